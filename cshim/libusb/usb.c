// SPDX-License-Identifier: Apache-2.0

#include "usb.h"
#include "api.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct pnpdr_usb
{
	struct libusb_context* context;
	struct libusb_device_handle* handle;
	int interface;

	pthread_mutex_t lock; // guards the rest
	pnpdr_usb_transfer* ended;
	pnpdr_usb_transfer** last; // where the next that ends is put
	bool woken;
	// Whether pnpdr_usb_wait has a reason to return. libusb looks at it without the lock,
	// whenever it is about to wait: another thread may have handled the events meanwhile.
	int ready;
};

struct pnpdr_usb_transfer
{
	pnpdr_usb* usb;
	uint64_t tag;
	struct libusb_transfer* inner;
	pnpdr_usb_transfer* next; // of those that have ended
	unsigned char data[];
};

#define DECLARE(result, name, parameters) result(*name) parameters;
static struct
{
	PNPDR_LIBUSB_FUNCTIONS(DECLARE)
} libusb;
#undef DECLARE

static char load_error[512];

static void load(void)
{
	void* library = dlopen("libusb-1.0.so.0", RTLD_NOW | RTLD_LOCAL);
	if (!library)
	{
		(void)snprintf(load_error, sizeof(load_error), "%s", dlerror());
		return;
	}
#define LOOK_UP(result, name, parameters)                                         \
	*(void**)(&libusb.name) = dlsym(library, "libusb_" #name);                    \
	if (!libusb.name)                                                             \
	{                                                                             \
		(void)snprintf(load_error, sizeof(load_error),                            \
		               "libusb-1.0.so.0 is too old: it has no libusb_%s", #name); \
		return;                                                                   \
	}
	PNPDR_LIBUSB_FUNCTIONS(LOOK_UP)
#undef LOOK_UP
}

const char* pnpdr_usb_load(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	(void)pthread_once(&once, load);
	return load_error[0] ? load_error : NULL;
}

int pnpdr_usb_open(int fd, int interface, pnpdr_usb** usb)
{
	int rc;
	pnpdr_usb* u = calloc(1, sizeof(*u));
	if (!u)
		return PNPDR_LIBUSB_ERROR_NO_MEM;
	u->interface = interface;
	u->last = &u->ended;
	(void)pthread_mutex_init(&u->lock, NULL);
	// For the contexts that are made from now on: nothing is searched, since the caller
	// has opened the device. A libusb that does not know the option searches.
	(void)libusb.set_option(NULL, PNPDR_LIBUSB_OPTION_NO_DEVICE_DISCOVERY);
	rc = libusb.init(&u->context);
	if (rc < 0)
		goto no_context;
	rc = libusb.wrap_sys_device(u->context, fd, &u->handle);
	if (rc < 0)
		goto no_handle;
	(void)libusb.set_auto_detach_kernel_driver(u->handle, 1);
	rc = libusb.claim_interface(u->handle, interface);
	if (rc < 0)
		goto not_claimed;
	*usb = u;
	return 0;

not_claimed:
	libusb.close(u->handle);
no_handle:
	libusb.exit(u->context);
no_context:
	(void)pthread_mutex_destroy(&u->lock);
	free(u);
	return rc;
}

void pnpdr_usb_close(pnpdr_usb* usb)
{
	(void)libusb.release_interface(usb->handle, usb->interface);
	libusb.close(usb->handle);
	libusb.exit(usb->context);
	(void)pthread_mutex_destroy(&usb->lock);
	free(usb);
}

static struct pnpdr_libusb_transfer* fields(const pnpdr_usb_transfer* transfer)
{
	return (struct pnpdr_libusb_transfer*)transfer->inner;
}

static void set_ready(pnpdr_usb* usb, bool ready)
{
	__atomic_store_n(&usb->ready, ready, __ATOMIC_RELEASE);
}

// Runs in pnpdr_usb_wait, or in whichever other call of libusb's handles events.
static void complete(struct libusb_transfer* inner)
{
	pnpdr_usb_transfer* transfer = ((struct pnpdr_libusb_transfer*)inner)->user_data;
	pnpdr_usb* usb = transfer->usb;
	(void)pthread_mutex_lock(&usb->lock);
	*usb->last = transfer;
	usb->last = &transfer->next;
	set_ready(usb, true);
	(void)pthread_mutex_unlock(&usb->lock);
}

int pnpdr_usb_submit(pnpdr_usb* usb, uint64_t tag, uint8_t endpoint, int interrupt,
                     const void* data, int length, unsigned timeout, pnpdr_usb_transfer** transfer)
{
	int rc;
	struct pnpdr_libusb_transfer* f;
	pnpdr_usb_transfer* t = malloc(sizeof(*t) + (size_t)length);
	if (!t)
		return PNPDR_LIBUSB_ERROR_NO_MEM;
	t->usb = usb;
	t->tag = tag;
	t->next = NULL;
	t->inner = libusb.alloc_transfer(0);
	if (!t->inner)
	{
		free(t);
		return PNPDR_LIBUSB_ERROR_NO_MEM;
	}
	if (!(endpoint & 0x80) && length > 0)
		memcpy(t->data, data, (size_t)length);
	f = fields(t);
	f->dev_handle = usb->handle;
	f->endpoint = endpoint;
	f->type = interrupt ? PNPDR_LIBUSB_TRANSFER_TYPE_INTERRUPT : PNPDR_LIBUSB_TRANSFER_TYPE_BULK;
	f->timeout = timeout;
	f->buffer = t->data;
	f->length = length;
	f->callback = complete;
	f->user_data = t;
	*transfer = t; // it may end before submit_transfer returns
	rc = libusb.submit_transfer(t->inner);
	if (rc < 0)
	{
		pnpdr_usb_free(t);
		*transfer = NULL;
	}
	return rc;
}

void pnpdr_usb_cancel(pnpdr_usb_transfer* transfer)
{
	(void)libusb.cancel_transfer(transfer->inner);
}

const void* pnpdr_usb_data(const pnpdr_usb_transfer* transfer)
{
	return transfer->data;
}

void pnpdr_usb_free(pnpdr_usb_transfer* transfer)
{
	libusb.free_transfer(transfer->inner);
	free(transfer);
}

// Takes those that have ended off the list. Returns how many, or -1 if there are none and
// nobody wants to be woken.
static int take(pnpdr_usb* usb, pnpdr_usb_done* done, int room)
{
	int n = 0;
	bool woken;
	(void)pthread_mutex_lock(&usb->lock);
	while (n < room && usb->ended)
	{
		pnpdr_usb_transfer* t = usb->ended;
		usb->ended = t->next;
		if (!usb->ended)
			usb->last = &usb->ended;
		done[n].tag = t->tag;
		done[n].transfer = t;
		done[n].status = fields(t)->status;
		done[n].length = fields(t)->actual_length;
		n++;
	}
	woken = usb->woken;
	usb->woken = false;
	set_ready(usb, usb->ended != NULL);
	(void)pthread_mutex_unlock(&usb->lock);
	return n > 0 || woken ? n : -1;
}

int pnpdr_usb_wait(pnpdr_usb* usb, pnpdr_usb_done* done, int room)
{
	for (;;)
	{
		struct timeval hour = { 3600, 0 };
		int rc = take(usb, done, room);
		if (rc >= 0)
			return rc;
		rc = libusb.handle_events_timeout_completed(usb->context, &hour, &usb->ready);
		if (rc < 0 && rc != -10) // LIBUSB_ERROR_INTERRUPTED
			return rc;
	}
}

void pnpdr_usb_wake(pnpdr_usb* usb)
{
	(void)pthread_mutex_lock(&usb->lock);
	usb->woken = true;
	set_ready(usb, true);
	(void)pthread_mutex_unlock(&usb->lock);
	libusb.interrupt_event_handler(usb->context);
}

int pnpdr_usb_control(pnpdr_usb* usb, uint8_t type, uint8_t request, uint16_t value, uint16_t index,
                      void* data, uint16_t length, unsigned timeout)
{
	return libusb.control_transfer(usb->handle, type, request, value, index, data, length, timeout);
}

int pnpdr_usb_clear_halt(pnpdr_usb* usb, uint8_t endpoint)
{
	return libusb.clear_halt(usb->handle, endpoint);
}

int pnpdr_usb_reset(pnpdr_usb* usb)
{
	return libusb.reset_device(usb->handle);
}

const char* pnpdr_usb_error(int code)
{
	return libusb.error_name(code);
}
