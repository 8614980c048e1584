// SPDX-License-Identifier: Apache-2.0

//go:build !race

package main

// memoryFactor is how much more memory a program takes that looks for races.
const memoryFactor = 1
