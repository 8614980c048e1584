// SPDX-License-Identifier: Apache-2.0

// Package spectest holds the tests of the protocol's requirements, one or
// several for each row of testdata/requirements.csv, over the wire codec and
// both roles. It has no code of its own.
package spectest
