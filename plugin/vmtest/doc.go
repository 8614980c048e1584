// SPDX-License-Identifier: Apache-2.0

// Package vmtest tests the plugin on kernel devices that really come and go: USB
// devices that QEMU plugs in, a USB gadget at the other end of a virtual cable,
// HID devices with any report descriptor. A server, an unmodified xfreerdp with
// the plugin installed, and the devices all are in one virtual machine, which
// scripts/vm/run boots; anywhere else the tests are skipped. "scripts/vm/tests"
// runs them.
package vmtest
