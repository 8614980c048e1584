// SPDX-License-Identifier: Apache-2.0

// Package bench measures the plugin in sessions of an unmodified xfreerdp,
// beside a plugin that is written purely in C (testdata/baseline.c), with the
// same server and in turn with it. scripts/bench prints the results as a table;
// docs/benchmarks.md has results and says what limits them.
package bench
