// SPDX-License-Identifier: Apache-2.0

// The part of libusb 1.0's interface that is used here. It is declared here because libusb
// need not be installed, neither to build nor to run. The test compares it with libusb's
// own header.

#ifndef PNPDR_LIBUSB_API_H
#define PNPDR_LIBUSB_API_H

#include <stdint.h>
#include <sys/time.h>

struct libusb_context;
struct libusb_device_handle;
struct libusb_transfer;

typedef void (*pnpdr_libusb_callback)(struct libusb_transfer* transfer);

// What libusb_transfer begins with, up to its packets of isochronous transfers.
struct pnpdr_libusb_transfer
{
	struct libusb_device_handle* dev_handle;
	uint8_t flags;
	unsigned char endpoint;
	unsigned char type;
	unsigned int timeout;
	int status;
	int length;
	int actual_length;
	pnpdr_libusb_callback callback;
	void* user_data;
	unsigned char* buffer;
	int num_iso_packets;
};

enum
{
	PNPDR_LIBUSB_OPTION_NO_DEVICE_DISCOVERY = 2,
	PNPDR_LIBUSB_TRANSFER_TYPE_BULK = 2,
	PNPDR_LIBUSB_TRANSFER_TYPE_INTERRUPT = 3,
	PNPDR_LIBUSB_ERROR_NO_MEM = -11
};

// Every function, as X(result, name, parameters).
#define PNPDR_LIBUSB_FUNCTIONS(X)                                                              \
	X(int, init, (struct libusb_context**))                                                    \
	X(void, exit, (struct libusb_context*))                                                    \
	X(int, set_option, (struct libusb_context*, int, ...))                                     \
	X(int, wrap_sys_device, (struct libusb_context*, intptr_t, struct libusb_device_handle**)) \
	X(void, close, (struct libusb_device_handle*))                                             \
	X(int, set_auto_detach_kernel_driver, (struct libusb_device_handle*, int))                 \
	X(int, claim_interface, (struct libusb_device_handle*, int))                               \
	X(int, release_interface, (struct libusb_device_handle*, int))                             \
	X(int, clear_halt, (struct libusb_device_handle*, unsigned char))                          \
	X(int, reset_device, (struct libusb_device_handle*))                                       \
	X(int, control_transfer,                                                                   \
	  (struct libusb_device_handle*, uint8_t, uint8_t, uint16_t, uint16_t, unsigned char*,     \
	   uint16_t, unsigned int))                                                                \
	X(struct libusb_transfer*, alloc_transfer, (int))                                          \
	X(void, free_transfer, (struct libusb_transfer*))                                          \
	X(int, submit_transfer, (struct libusb_transfer*))                                         \
	X(int, cancel_transfer, (struct libusb_transfer*))                                         \
	X(int, handle_events_timeout_completed, (struct libusb_context*, struct timeval*, int*))   \
	X(void, interrupt_event_handler, (struct libusb_context*))                                 \
	X(const char*, error_name, (int))

#endif
