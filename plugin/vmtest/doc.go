// SPDX-License-Identifier: Apache-2.0

// Package vmtest tests the plugin with real kernel devices that are plugged in and
// out: USB devices of QEMU, USB gadgets at the other end of a virtual cable, some with
// the test as their firmware, and HID devices with arbitrary report descriptors. The
// server (this project's, or an unmodified xrdp), an unmodified xfreerdp with the plugin
// installed, and the devices are all in one virtual machine, which scripts/vm/run boots;
// elsewhere the tests are skipped. Run them with scripts/vm/tests.
package vmtest
