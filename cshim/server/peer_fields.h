/* SPDX-License-Identifier: Apache-2.0 */
/** The fields of rds_peer, for peer.c and channel.c alone. */

#ifndef PNPDR_CSHIM_SERVER_PEER_FIELDS_H
#define PNPDR_CSHIM_SERVER_PEER_FIELDS_H

#include <stdatomic.h>

#include "headers.h"
#include "peer.h"

struct rds_peer
{
	freerdp_peer* client;
	HANDLE vcm;
	DWORD session;
	int wakefd;
	int sockfd;  /* the transport's; for polling only */
	int epollfd; /* event descriptors of the open channels */
	rds_turn turn;
	rds_answer* answers;
	size_t capacity;
	BOOL lost;                        /* an answer could not be stored */
	psPeerReceiveChannelData receive; /* FreeRDP's own */
	rds_door door;
	rds_door_verdict verdict; /* the door's last */
	uint64_t bytes;           /* of it */
};

/** What rds_live returns. */
extern atomic_long g_rds_live;

#endif
