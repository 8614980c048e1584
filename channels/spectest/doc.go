// SPDX-License-Identifier: Apache-2.0

// Package spectest tests the requirements of the protocol, with one or several
// tests of the messages and both roles for each row of testdata/requirements.csv.
// It has no code of its own.
package spectest
