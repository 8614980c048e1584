/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "peer_fields.h"

#define DRDYNVC "drdynvc"

/* The peer has two or three handles: its socket and its own wake-ups. */
#define MAX_HANDLES 16

/* How often FreeRDP may read in one turn, so that a busy client can neither keep us
 * from writing nor pile up messages: 3.x reads one PDU each time, 2.11 for up to a
 * millisecond. */
#if FREERDP_VERSION_MAJOR < 3
#define MAX_READS 2
#else
#define MAX_READS 64
#endif

atomic_long g_rds_live;

/* Peers are made one at a time: WTSOpenServer counts its sessions without a lock,
 * and FreeRDP's first peer fills in tables without one. */
static pthread_mutex_t g_creation = PTHREAD_MUTEX_INITIALIZER;

void rds_init(void)
{
	/* FreeRDP logs much about every session: leave that to those who ask for it. */
	if (!getenv("WLOG_LEVEL"))
		WLog_SetLogLevel(WLog_GetRoot(), WLOG_ERROR);

	winpr_InitializeSSL(WINPR_SSL_INIT_DEFAULT);
	WTSRegisterWtsApiFunctionTable(FreeRDP_InitWtsApi());
}

const char* rds_version(void)
{
	return freerdp_get_version_string();
}

long rds_live(void)
{
	return atomic_load(&g_rds_live);
}

static BOOL peer_yes(freerdp_peer* client)
{
	(void)client;
	return TRUE;
}

/* Called on the peer's thread while it reads the socket. A FALSE ends the
 * session. */
static BOOL peer_channel_answered(void* userdata, UINT32 id, INT32 status)
{
	rds_peer* peer = userdata;

	if (peer->turn.nanswers == peer->capacity)
	{
		const size_t capacity = peer->capacity ? peer->capacity * 2 : 16;
		rds_answer* answers = realloc(peer->answers, capacity * sizeof(rds_answer));

		if (!answers)
		{
			peer->lost = TRUE;
			return FALSE;
		}

		peer->answers = answers;
		peer->capacity = capacity;
	}

	peer->answers[peer->turn.nanswers].id = id;
	peer->answers[peer->turn.nanswers].status = status;
	peer->turn.nanswers++;
	return TRUE;
}

static BOOL peer_set_identity(rdpSettings* settings, const char* certificate, const char* key)
{
#if FREERDP_VERSION_MAJOR >= 3
	rdpPrivateKey* private = freerdp_key_new_from_pem(key);
	rdpCertificate* public = freerdp_certificate_new_from_pem(certificate);

	/* The settings own each object from the moment they hold it. */
	if (!private ||
	    !freerdp_settings_set_pointer_len(settings, FreeRDP_RdpServerRsaKey, private, 1))
	{
		freerdp_key_free(private);
		freerdp_certificate_free(public);
		return FALSE;
	}

	if (!public ||
	    !freerdp_settings_set_pointer_len(settings, FreeRDP_RdpServerCertificate, public, 1))
	{
		freerdp_certificate_free(public);
		return FALSE;
	}

	return TRUE;
#else
	/* 2.11 leaks the copies of both that it parses: about 5 KiB for each client. */
	return freerdp_settings_set_string(settings, FreeRDP_CertificateContent, certificate) &&
	       freerdp_settings_set_string(settings, FreeRDP_PrivateKeyContent, key);
#endif
}

static BOOL peer_configure(rds_peer* peer, const char* certificate, const char* key)
{
	freerdp_peer* client = peer->client;
#if FREERDP_VERSION_MAJOR >= 3
	rdpSettings* settings = client->context->settings;
#else
	rdpSettings* settings = client->settings;

	/* 2.11 reads until nothing is left or this many milliseconds have passed;
	 * only then can we answer. 3.x reads one PDU at a time. */
	if (!freerdp_settings_set_uint32(settings, FreeRDP_MaxTimeInCheckLoop, 1))
		return FALSE;
#endif

	/* With WaitForOutputBufferFlush a write waits until the client reads. A client
	 * that waits for us to read never does. */
	if (!peer_set_identity(settings, certificate, key) ||
	    !freerdp_settings_set_bool(settings, FreeRDP_RdpSecurity, FALSE) ||
	    !freerdp_settings_set_bool(settings, FreeRDP_NlaSecurity, FALSE) ||
	    !freerdp_settings_set_bool(settings, FreeRDP_TlsSecurity, TRUE) ||
	    !freerdp_settings_set_bool(settings, FreeRDP_WaitForOutputBufferFlush, FALSE) ||
	    !freerdp_settings_set_uint32(settings, FreeRDP_ColorDepth, 32))
		return FALSE;

	client->PostConnect = peer_yes;
	client->Activate = peer_yes;
	return client->Initialize(client);
}

/* Called on the peer's thread for each chunk that a static channel receives. A
 * FALSE ends the session. */
static BOOL peer_receive(freerdp_peer* client, UINT16 id, const BYTE* data, size_t size,
                         UINT32 flags, size_t total)
{
	rds_peer* peer = client->ContextExtra;

	if (id == WTSChannelGetId(client, DRDYNVC))
	{
		peer->verdict = rds_door_check(&peer->door, data, size, flags, &peer->bytes);

		if (peer->verdict != RDS_DOOR_OPEN)
			return FALSE;
	}

	return peer->receive(client, id, data, size, flags, total);
}

static BOOL peer_open_server(rds_peer* peer)
{
	LPSTR session = NULL;
	DWORD size = 0;
	HANDLE vcm = WTSOpenServerA((LPSTR)peer->client->context);

	if (!vcm || (vcm == INVALID_HANDLE_VALUE))
		return FALSE;

	peer->vcm = vcm;

	if (!WTSQuerySessionInformationA(vcm, WTS_CURRENT_SESSION, WTSSessionId, &session, &size))
		return FALSE;

	memcpy(&peer->session, session, sizeof(peer->session));
	WTSFreeMemory(session);
	WTSVirtualChannelManagerSetDVCCreationCallback(vcm, peer_channel_answered, peer);
	peer->receive = peer->client->ReceiveChannelData; /* set by WTSOpenServer */
	peer->client->ReceiveChannelData = peer_receive;
	peer->client->ContextExtra = peer;
	return peer->receive != NULL;
}

rds_peer* rds_peer_new(int sockfd, int wakefd, const char* certificate, const char* key,
                       uint32_t limit, uint64_t total)
{
	BOOL created;
	rds_peer* peer = calloc(1, sizeof(rds_peer));

	if (!peer)
	{
		close(sockfd);
		return NULL;
	}

	atomic_fetch_add(&g_rds_live, 1);
	peer->wakefd = wakefd;
	peer->sockfd = sockfd;
	peer->door.limit = limit;
	peer->door.total = total;
	peer->epollfd = epoll_create1(EPOLL_CLOEXEC);
	peer->client = freerdp_peer_new(sockfd);

	if (!peer->client)
	{
		close(sockfd);
		goto fail;
	}

	pthread_mutex_lock(&g_creation);
	created = freerdp_peer_context_new(peer->client) && peer_open_server(peer);
	pthread_mutex_unlock(&g_creation);

	if (!created || (peer->epollfd < 0) || !peer_configure(peer, certificate, key))
		goto fail;

	return peer;
fail:
	rds_peer_free(peer);
	return NULL;
}

void rds_peer_free(rds_peer* peer)
{
	if (!peer)
		return;

	/* In this order: the channel manager uses the context, and the context owns
	 * the transport with the socket. */
	if (peer->vcm)
		WTSCloseServer(peer->vcm);

	if (peer->client)
	{
		if (peer->client->context)
		{
			peer->client->Disconnect(peer->client);
			freerdp_peer_context_free(peer->client);
		}

		freerdp_peer_free(peer->client);
	}

	if (peer->epollfd >= 0)
		close(peer->epollfd);

	rds_door_clear(&peer->door);
	free(peer->answers);
	free(peer);
	atomic_fetch_sub(&g_rds_live, 1);
}

/* Waits. Returns -1 on failure, otherwise whether there is anything to read. */
static int peer_wait(rds_peer* peer, int timeout, BOOL* channels)
{
	int input = 0;
	nfds_t count = 0;
	nfds_t handles = 0;
	uint64_t wakeups = 0;
	HANDLE events[MAX_HANDLES] = { 0 };
	struct pollfd fds[MAX_HANDLES + 3] = { 0 };
	freerdp_peer* client = peer->client;

	/* The peer's handles are descriptors that poll can take as they are. */
	handles = client->GetEventHandles(client, events, MAX_HANDLES);

	if (handles == 0)
		return -1;

	for (; count < handles; count++)
	{
		fds[count].fd = GetEventFileDescriptor(events[count]);
		fds[count].events = POLLIN;
	}

	fds[count].fd = peer->wakefd;
	fds[count++].events = POLLIN;
	fds[count].fd = peer->epollfd;
	fds[count++].events = POLLIN;

	if (peer->turn.blocked)
	{
		fds[count].fd = peer->sockfd;
		fds[count++].events = POLLOUT;
	}

	if (poll(fds, count, timeout) < 0)
		return (errno == EINTR) ? 0 : -1;

	for (nfds_t i = 0; i < handles; i++)
		input |= (fds[i].revents != 0);

	if (fds[handles].revents && (read(peer->wakefd, &wakeups, sizeof(wakeups)) < 0) &&
	    (errno != EAGAIN) && (errno != EINTR))
		return -1;

	*channels = (fds[handles + 1].revents != 0);

	if (peer->turn.blocked && fds[handles + 2].revents && (client->DrainOutputBuffer(client) < 0))
		return -1;

	return input;
}

static rds_state peer_state(rds_peer* peer)
{
	if (!WTSVirtualChannelManagerIsChannelJoined(peer->vcm, DRDYNVC))
		return RDS_NO_DRDYNVC;

	if (WTSVirtualChannelManagerGetDrdynvcState(peer->vcm) != DRDYNVC_STATE_READY)
		return RDS_CONNECTING;

	return RDS_READY;
}

rds_door_verdict rds_peer_refused(const rds_peer* peer, uint64_t* bytes)
{
	*bytes = peer->bytes;
	return peer->verdict;
}

const rds_turn* rds_peer_turn(rds_peer* peer, int timeout, int input)
{
	int readable;
	BOOL channels = FALSE;
	rds_turn* turn = &peer->turn;
	freerdp_peer* client = peer->client;

	turn->nanswers = 0;
	turn->nreadable = 0;
	readable = peer_wait(peer, timeout, &channels);

	if (readable < 0)
		return NULL;

	if (turn->more)
		readable = 1;

	if (readable && input)
	{
		int reads = 0;

		do
		{
			if (!client->CheckFileDescriptor(client) || peer->lost)
				return NULL;

			turn->more = client->HasMoreToRead(client) ? 1 : 0;
		} while (turn->more && (++reads < MAX_READS));
	}

	turn->answers = peer->answers;

	/* The first call of this makes 3.x open drdynvc, which it tries only once: wait
	 * until the client has joined the channel. */
	if (client->activated)
	{
		if (rds_peer_flush(peer) < 0)
			return NULL;

		if (turn->state == RDS_CONNECTING)
			turn->state = peer_state(peer);
	}

	if (readable || channels)
	{
		struct epoll_event ready[RDS_MAX_READABLE];
		const int count = epoll_wait(peer->epollfd, ready, RDS_MAX_READABLE, 0);

		for (int i = 0; i < count; i++)
			turn->readable[turn->nreadable++] = ready[i].data.u32;
	}

	return turn;
}

int rds_peer_flush(rds_peer* peer)
{
	freerdp_peer* client = peer->client;

	if (!WTSVirtualChannelManagerCheckFileDescriptor(peer->vcm))
		return -1;

	peer->turn.blocked = client->IsWriteBlocked(client) ? 1 : 0;
	return peer->turn.blocked;
}

void rds_peer_close(rds_peer* peer)
{
	peer->client->Close(peer->client);
	peer->turn.blocked = peer->client->IsWriteBlocked(peer->client) ? 1 : 0;
}
