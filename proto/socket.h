/* The one home of ZeroMQ: the coordinator's ROUTER and the DEALER of a worker or
 * an observer, sending and receiving whole fm_messages.
 *
 * Every socket is encrypted (CurveZMQ); the server lets in the keys that it made
 * itself for this run only, over ZAP, and knows by the key whether a peer is a worker
 * or an observer.  Messages over FM_MESSAGE_MAX cut the connection; those of another
 * run are dropped.
 * Threads: one at a time for each object.  Fork: not across one. */
#ifndef FM_PROTO_SOCKET_H
#define FM_PROTO_SOCKET_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "proto/join.h"
#include "proto/message.h"

#define FM_PEER_ID_MAX 32

typedef enum { FM_PEER_WORKER, FM_PEER_OBSERVER } fm_peer_role;

/* Who sent a message: the same for the life of a client, over reconnections too. */
typedef struct {
    uint8_t size;                   /* bytes of id */
    uint8_t id[FM_PEER_ID_MAX];
    fm_peer_role role;
} fm_peer;

bool fm_peer_equal(const fm_peer *a, const fm_peer *b);

typedef struct fm_server fm_server;
typedef struct fm_client fm_client;

/* Listen on a free port: of 127.0.0.1 when local, else of all interfaces, under
 * the host's name in the endpoint.
 * worker, observer  written on success: endpoint, host, run, server_key and their own
 *                   keys; other fields are left alone.
 * Errors: -EADDRNOTAVAIL and what else bind gives, -ENOTSUP (libzmq without CURVE), -ENOMEM. */
int fm_server_open(bool local, uint64_t run, fm_join *worker, fm_join *observer, fm_server **out, fm_err *err);
void fm_server_close(fm_server *server);

/* Make one key more and let it in.
 * join  endpoint, host, run, server_key and the key pair are written; other fields are left alone.  Errors: -ENOMEM. */
int fm_server_admit(fm_server *server, fm_peer_role role, fm_join *join, fm_err *err);
/* Connections that show this key are not let in any more.  Those that stand stay. */
void fm_server_shut_out(fm_server *server, const uint8_t key[FM_KEY_BYTES]);
/* Listen on all interfaces too, from now on; join's endpoint (and those admitted later) can be reached from other hosts.
 * Errors: as fm_server_open. */
int fm_server_widen(fm_server *server, fm_join *join, fm_err *err);

/* The next message of this run.
 * timeout_ms  how long to wait for one; 0: not at all.
 * Returns 1 (from and out are written; fini out), 0 (none came in time, or a signal did), or a
 * negative code.  Damaged messages and strangers' are dropped; a peer of another protocol
 * version is sent REFUSED. */
int fm_server_receive(fm_server *server, int timeout_ms, fm_peer *from, fm_message *out, fm_err *err);

/* Send; sets message->run.  A peer that is gone is no error: the message is dropped. */
int fm_server_send(fm_server *server, const fm_peer *to, fm_message *message, fm_err *err);

/* Connect with what join says.  Succeeds whether or not somebody listens.
 * Errors: -EINVAL (an endpoint that is none), -ENOTSUP, -ENOMEM. */
int fm_client_open(const fm_join *join, fm_client **out, fm_err *err);
/* What was sent last still has linger_ms to get away. */
void fm_client_close(fm_client *client, int linger_ms);

/* Send; sets message->run and message->epoch from join.  -EAGAIN when the queue is full
 * (nobody listens). */
int fm_client_send(fm_client *client, fm_message *message, fm_err *err);
/* As fm_server_receive; -EPROTO when the coordinator speaks another version. */
int fm_client_receive(fm_client *client, int timeout_ms, fm_message *out, fm_err *err);
/* For how long the coordinator has owed an answer: milliseconds since the first message that was sent
 * after the last one that came in; 0 when nothing was sent since. */
uint64_t fm_client_silence_ms(const fm_client *client);

#endif
