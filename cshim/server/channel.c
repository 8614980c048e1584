/* SPDX-License-Identifier: Apache-2.0 */
#include <sys/epoll.h>

#include "peer_fields.h"

/* The event that is set while the channel has something to read, or -1. */
static int channel_event_fd(void* channel)
{
	int fd = -1;
	DWORD size = 0;
	void* event = NULL;

	if (WTSVirtualChannelQuery(channel, WTSVirtualEventHandle, &event, &size))
		fd = GetEventFileDescriptor(*(HANDLE*)event);

	WTSFreeMemory(event);
	return fd;
}

/* Whether the channel is open or still being opened. */
static BOOL channel_is_alive(void* channel)
{
	DWORD size = 0;
	void* ready = NULL;
	const BOOL alive = WTSVirtualChannelQuery(channel, WTSVirtualChannelReady, &ready, &size);

	WTSFreeMemory(ready);
	return alive;
}

void* rds_channel_open(rds_peer* peer, const char* name, uint32_t* id)
{
	HANDLE channel =
	    WTSVirtualChannelOpenEx(peer->session, (LPSTR)name, WTS_CHANNEL_OPTION_DYNAMIC);

	if (!channel)
		return NULL;

	*id = WTSChannelGetIdByHandle(channel);

	if (rds_door_add(&peer->door, *id) < 0)
	{
		WTSVirtualChannelClose(channel);
		return NULL;
	}

	atomic_fetch_add(&g_rds_live, 1);
	return channel;
}

int rds_channel_watch(rds_peer* peer, void* channel, uint32_t id)
{
	struct epoll_event event = { .events = EPOLLIN, .data.u32 = id };

	return epoll_ctl(peer->epollfd, EPOLL_CTL_ADD, channel_event_fd(channel), &event);
}

rds_read_result rds_channel_read(void* channel, void* buffer, uint32_t capacity, uint32_t* size)
{
	ULONG length = 0;
	ULONG next = 0;

	/* Without a buffer this returns the length of the first message. Where the client has
	 * closed the channel, and then accepted it again, it is alive for FreeRDP, but what ends
	 * the messages stays the first one for ever. */
	SetLastError(ERROR_SUCCESS);

	if (!WTSVirtualChannelRead(channel, 0, NULL, 0, &length))
		return (GetLastError() == ERROR_NO_DATA) && channel_is_alive(channel) ? RDS_READ_NONE
		                                                                      : RDS_READ_CLOSED;

	*size = length;

	if (length > capacity)
		return RDS_READ_GROW;

	if (!WTSVirtualChannelRead(channel, 0, buffer, capacity, &length))
		return RDS_READ_CLOSED;

	/* If the channel has ended, the next read notices: the event stays set, so the
	 * channel is reported as readable again. */
	return WTSVirtualChannelRead(channel, 0, NULL, 0, &next) ? RDS_READ_MORE : RDS_READ_LAST;
}

int rds_channel_write(void* channel, const void* data, uint32_t length)
{
	ULONG written = 0;

	return WTSVirtualChannelWrite(channel, (PCHAR)data, length, &written) ? 0 : -1;
}

void rds_channel_close(rds_peer* peer, void* channel)
{
	struct epoll_event event = { 0 };

	/* A child process may have inherited the descriptor, which would then stay in
	 * the set although it is closed here. This fails for a channel that was never
	 * watched. */
	epoll_ctl(peer->epollfd, EPOLL_CTL_DEL, channel_event_fd(channel), &event);
	rds_door_remove(&peer->door, WTSChannelGetIdByHandle(channel));
	WTSVirtualChannelClose(channel);
	atomic_fetch_sub(&g_rds_live, 1);
}
