// SPDX-License-Identifier: Apache-2.0

// Wakes pnpdr_usb_wait while another thread handles libusb's events, as a control transfer
// does. One wake-up that is lost, and this program hangs. Without libusb it exits with 77.

#include "../usb.c"

#include <sched.h>

static pnpdr_usb usb;
static int rounds;
static int woken;
static int stop;

static void* handle_events(void* unused)
{
	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED))
	{
		struct timeval now = { 0, 0 };
		(void)libusb.handle_events_timeout_completed(usb.context, &now, NULL);
	}
	return unused;
}

static void* wait_for_each(void* unused)
{
	pnpdr_usb_done done[1];
	for (int i = 1; i <= rounds; i++)
	{
		if (pnpdr_usb_wait(&usb, done, 1) != 0)
			abort();
		__atomic_store_n(&woken, i, __ATOMIC_RELEASE);
	}
	return unused;
}

int main(int argc, char** argv)
{
	pthread_t events;
	pthread_t waiter;
	unsigned random = 1;
	rounds = argc > 1 ? atoi(argv[1]) : 0;
	if (pnpdr_usb_load())
		return 77;
	(void)libusb.set_option(NULL, PNPDR_LIBUSB_OPTION_NO_DEVICE_DISCOVERY);
	if (libusb.init(&usb.context) < 0)
		return 77;
	usb.last = &usb.ended;
	(void)pthread_mutex_init(&usb.lock, NULL);
	(void)pthread_create(&events, NULL, handle_events, NULL);
	(void)pthread_create(&waiter, NULL, wait_for_each, NULL);
	for (int i = 1; i <= rounds; i++)
	{
		random = random * 1103515245 + 12345;
		for (volatile unsigned spin = random >> 20; spin > 0; spin--)
			;
		pnpdr_usb_wake(&usb);
		while (__atomic_load_n(&woken, __ATOMIC_ACQUIRE) < i)
			(void)sched_yield();
	}
	__atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
	(void)pthread_join(waiter, NULL);
	(void)pthread_join(events, NULL);
	libusb.exit(usb.context);
	return 0;
}
