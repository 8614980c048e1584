// SPDX-License-Identifier: Apache-2.0

// Compares what api.h declares with libusb's own header.

#include "../api.h"

#include <libusb-1.0/libusb.h>
#include <stddef.h>

#define SAME(field)                                                       \
	_Static_assert(offsetof(struct libusb_transfer, field) ==             \
	                   offsetof(struct pnpdr_libusb_transfer, field),     \
	               #field);                                               \
	_Static_assert(sizeof(((struct libusb_transfer*)0)->field) ==         \
	                   sizeof(((struct pnpdr_libusb_transfer*)0)->field), \
	               #field);
SAME(dev_handle)
SAME(flags)
SAME(endpoint)
SAME(type)
SAME(timeout)
SAME(status)
SAME(length)
SAME(actual_length)
SAME(callback)
SAME(user_data)
SAME(buffer)
SAME(num_iso_packets)

_Static_assert((int)PNPDR_LIBUSB_OPTION_NO_DEVICE_DISCOVERY ==
                   (int)LIBUSB_OPTION_NO_DEVICE_DISCOVERY,
               "");
_Static_assert((int)PNPDR_LIBUSB_TRANSFER_TYPE_BULK == (int)LIBUSB_TRANSFER_TYPE_BULK, "");
_Static_assert((int)PNPDR_LIBUSB_TRANSFER_TYPE_INTERRUPT == (int)LIBUSB_TRANSFER_TYPE_INTERRUPT,
               "");
_Static_assert((int)PNPDR_LIBUSB_ERROR_NO_MEM == (int)LIBUSB_ERROR_NO_MEM, "");

// What libusb.go knows by number.
_Static_assert(LIBUSB_ERROR_NO_DEVICE == -4 && LIBUSB_ERROR_NOT_FOUND == -5 &&
                   LIBUSB_ERROR_BUSY == -6 && LIBUSB_ERROR_TIMEOUT == -7 &&
                   LIBUSB_ERROR_OVERFLOW == -8 && LIBUSB_ERROR_PIPE == -9 &&
                   LIBUSB_ERROR_INTERRUPTED == -10,
               "");
_Static_assert(LIBUSB_TRANSFER_COMPLETED == 0 && LIBUSB_TRANSFER_TIMED_OUT == 2 &&
                   LIBUSB_TRANSFER_CANCELLED == 3 && LIBUSB_TRANSFER_STALL == 4 &&
                   LIBUSB_TRANSFER_NO_DEVICE == 5 && LIBUSB_TRANSFER_OVERFLOW == 6,
               "");

// Assignments warn where a function's type differs, but for its int parameters.
#define CHECK(result, name, parameters) result(*check_##name) parameters = (void*)libusb_##name;
void check(void);
void check(void)
{
	PNPDR_LIBUSB_FUNCTIONS(CHECK)
#define USE(result, name, parameters) (void)check_##name;
	PNPDR_LIBUSB_FUNCTIONS(USE)
}
