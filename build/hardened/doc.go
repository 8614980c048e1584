// SPDX-License-Identifier: Apache-2.0

// Package hardened tests how the library and the programs are linked, by
// scripts/build or by CMake: $PNPDR_BUILT is a folder in which one of them has
// built; without it, scripts/build builds into a folder of the test's own.
package hardened
