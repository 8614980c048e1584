/* SPDX-License-Identifier: Apache-2.0 */
/**
 * The C side of one RDP peer: the FreeRDP calls that the event loop in
 * peer_loop.go makes.
 *
 * C never calls Go: no Go value is lent to C, no panic can cross C, and both
 * sides know a dynamic channel by the id that FreeRDP gave it. All functions that
 * take an rds_peer must be called on the OS thread that called rds_peer_new:
 * FreeRDP 2.11 hangs or crashes when channels are closed or written on a thread
 * other than the one that reads the socket.
 */

#ifndef PNPDR_CSHIM_SERVER_PEER_H
#define PNPDR_CSHIM_SERVER_PEER_H

#include <stddef.h>
#include <stdint.h>

#include "door.h"

/** Channels reported readable by one turn; the others follow in the next. */
#define RDS_MAX_READABLE 64

typedef struct rds_peer rds_peer;

/** The client's answer to the creation of a dynamic channel. */
typedef struct
{
	uint32_t id;
	int32_t status; /**< HRESULT: negative is a refusal */
} rds_answer;

typedef enum
{
	RDS_CONNECTING = 0, /**< no dynamic channel can be opened yet */
	RDS_READY,          /**< dynamic channels can be opened */
	RDS_NO_DRDYNVC      /**< the client is connected without dynamic channels */
} rds_state;

/** The result of one turn of the loop. Valid until the next turn. */
typedef struct
{
	rds_state state;
	int more;    /**< FreeRDP holds something to read: do not wait for the socket */
	int blocked; /**< the client does not read what we send: write nothing more */
	const rds_answer* answers;
	size_t nanswers;
	uint32_t readable[RDS_MAX_READABLE];
	size_t nreadable;
} rds_turn;

typedef enum
{
	RDS_READ_CLOSED = -1, /**< the client closed the channel */
	RDS_READ_NONE = 0,    /**< no message */
	RDS_READ_LAST,        /**< read one; no other message waits */
	RDS_READ_MORE,        /**< read one; call again */
	RDS_READ_GROW         /**< read none: *size tells how large the buffer must be */
} rds_read_result;

/**
 * Once per process, before anything else.
 */
void rds_init(void);

/** Version of the FreeRDP library in use. */
const char* rds_version(void);

/** How many objects the functions below have allocated in C and not freed. */
long rds_live(void);

/**
 * Makes the server end of a connection. Owns sockfd from here on, even if it
 * fails. wakefd is an eventfd that ends rds_peer_turn's waiting; the caller
 * keeps it. certificate and key are PEM texts, copied. The session of a client
 * that announces a message of more than limit bytes ends, and so does that of one
 * whose longest messages on all open channels have more than total bytes together.
 * Returns NULL on failure.
 */
rds_peer* rds_peer_new(int sockfd, int wakefd, const char* certificate, const char* key,
                       uint32_t limit, uint64_t total);

/**
 * Waits up to timeout ms (-1: for ever) for the socket, for a channel or for
 * wakefd, then lets FreeRDP read and write. It does not read the socket unless
 * input is set. Returns NULL when the session has ended.
 */
const rds_turn* rds_peer_turn(rds_peer* peer, int timeout, int input);

/**
 * Why the door ended the session, and how many bytes were too many; RDS_DOOR_OPEN if
 * it did not.
 */
rds_door_verdict rds_peer_refused(const rds_peer* peer, uint64_t* bytes);

/**
 * Passes what was written to the network. Returns -1 when the session has
 * ended, else the new value of blocked.
 */
int rds_peer_flush(rds_peer* peer);

/** Tells the client that the session is over. The client then hangs up. */
void rds_peer_close(rds_peer* peer);

/** Frees peer and closes its socket. All channels must have been closed. */
void rds_peer_free(rds_peer* peer);

/**
 * Begins to open a dynamic channel; the client's answer comes by a later turn.
 * Returns the channel, which rds_channel_close must free, and its id, or NULL.
 */
void* rds_channel_open(rds_peer* peer, const char* name, uint32_t* id);

/** Reports the channel as readable from now on. Returns 0, or -1. */
int rds_channel_watch(rds_peer* peer, void* channel, uint32_t id);

/**
 * Reads one whole message into buffer; its length goes to *size.
 */
rds_read_result rds_channel_read(void* channel, void* buffer, uint32_t capacity, uint32_t* size);

/** Writes one message, copied into chunks until the next flush. Returns 0, or -1. */
int rds_channel_write(void* channel, const void* data, uint32_t length);

/** Closes the channel, towards the client too, and frees it. */
void rds_channel_close(rds_peer* peer, void* channel);

#endif
