// SPDX-License-Identifier: Apache-2.0

// Transfers to the interface of a USB device, by libusb, which is looked up at run time.
//
// Functions return 0 or one of libusb's negative errors, unless they say otherwise. All
// may be called from any thread, but for one rule: pnpdr_usb_close is the last call.

#ifndef PNPDR_LIBUSB_USB_H
#define PNPDR_LIBUSB_USB_H

#include <stddef.h>
#include <stdint.h>

typedef struct pnpdr_usb pnpdr_usb;
typedef struct pnpdr_usb_transfer pnpdr_usb_transfer;

// A transfer that is complete. Its owner frees it.
typedef struct
{
	uint64_t tag;
	pnpdr_usb_transfer* transfer;
	int status; // enum libusb_transfer_status
	int length; // bytes moved
} pnpdr_usb_done;

// Loads libusb. Returns NULL, or why that fails, which is valid for ever. Further calls
// return the same.
const char* pnpdr_usb_load(void);

// Claims the interface of the device behind fd, a descriptor of its node, which stays the
// caller's and has to stay open until pnpdr_usb_close. A driver of the kernel lets go of
// the interface until then.
int pnpdr_usb_open(int fd, int interface, pnpdr_usb** usb);

// Gives the interface back. No transfer may be left.
void pnpdr_usb_close(pnpdr_usb* usb);

// Begins a transfer of length bytes. data is copied for an OUT endpoint and unused for
// others. timeout is in milliseconds, 0 for none.
int pnpdr_usb_submit(pnpdr_usb* usb, uint64_t tag, uint8_t endpoint, int interrupt,
                     const void* data, int length, unsigned timeout, pnpdr_usb_transfer** transfer);

// Asks a transfer to end soon. It may have ended, but must not have been freed.
void pnpdr_usb_cancel(pnpdr_usb_transfer* transfer);

// What an IN transfer has brought.
const void* pnpdr_usb_data(const pnpdr_usb_transfer* transfer);
void pnpdr_usb_free(pnpdr_usb_transfer* transfer);

// Waits until a transfer ends or pnpdr_usb_wake is called. Returns how many have ended,
// or an error. One thread at a time.
int pnpdr_usb_wait(pnpdr_usb* usb, pnpdr_usb_done* done, int room);
void pnpdr_usb_wake(pnpdr_usb* usb);

// These wait for the device. The first returns how many bytes were moved.
int pnpdr_usb_control(pnpdr_usb* usb, uint8_t type, uint8_t request, uint16_t value, uint16_t index,
                      void* data, uint16_t length, unsigned timeout);
int pnpdr_usb_clear_halt(pnpdr_usb* usb, uint8_t endpoint);
int pnpdr_usb_reset(pnpdr_usb* usb);

// The name of an error, such as LIBUSB_ERROR_BUSY.
const char* pnpdr_usb_error(int code);

#endif
