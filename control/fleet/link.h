/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One connection to one server of the engine: TCP or TLS, commands out, replies in, pipelined.
 *
 * The protocol is hiredis's, formatter and reader; the transport is here, because hiredis has
 * TLS only from 1.0 on (Debian 12 has 0.14), and because every wait must have an end.
 *
 *	levee_link_open(&link, &params, why)        connected, TLS checked, authenticated
 *	levee_link_push(link, argc, argv, lengths)  as many commands as wanted, nothing is sent yet
 *	levee_link_pop(link, timeout_ms, &reply)    one reply for each, in order
 *
 * Not thread-safe: each thread has links of its own. The thread must ignore or block SIGPIPE.
 */
#ifndef LEVEE_FLEET_LINK_H
#define LEVEE_FLEET_LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <hiredis/hiredis.h>

#define LEVEE_LINK_WHY 400

/* What no sane engine passes: bytes of one reply, and elements of one array of it. */
#define LEVEE_LINK_REPLY_MAX	(64U << 20)
#define LEVEE_LINK_ELEMENTS_MAX (1U << 22)

struct levee_link_params {
	const char *host;
	const char *port;
	bool tls;
	const char *ca_file;  /* "": what the system trusts */
	const char *user;     /* "": the default user */
	const char *password; /* "": none */
	unsigned int db;
	int timeout_ms; /* for connecting, and for each reply of it */
};

/* What went over it, both ways. */
struct levee_link_traffic {
	uint64_t commands;
	uint64_t bytes_out;
	uint64_t bytes_in;
};

struct levee_link;

/**
 * \param why  on failure a sentence without secrets
 * \return 0, the caller closes it; -EACCES if the server refuses the user or password; -errno
 */
int levee_link_open(struct levee_link **out, const struct levee_link_params *params,
		    char why[static LEVEE_LINK_WHY]);
void levee_link_close(struct levee_link **link);

/** Add a command. Out of memory shows at the next pop. \param lengths  NULL: strings */
void levee_link_push(struct levee_link *link, int argc, const char *const *argv,
		     const size_t *lengths);

/**
 * Send what waits, and receive one reply; an error that the server answers is a reply, too.
 * However fast the server talks, it ends at the timeout, and within LEVEE_LINK_REPLY_MAX.
 * \param timeout_ms  0: only what is there already
 * \return 0, the caller frees *reply with freeReplyObject(); -EAGAIN (nothing there yet, timeout
 *         0); -ETIMEDOUT, -errno: the link is of no use any more, and levee_link_why() says why
 */
int levee_link_pop(struct levee_link *link, int timeout_ms, redisReply **reply);

/** push and pop. Only while no other reply is outstanding. */
int levee_link_call(struct levee_link *link, int timeout_ms, redisReply **reply, int argc,
		    const char *const *argv, const size_t *lengths);

/** Send what waits, without waiting for replies. \return 0; -errno as pop */
int levee_link_flush(struct levee_link *link, int timeout_ms);

int levee_link_fd(const struct levee_link *link);
const char *levee_link_why(const struct levee_link *link);
const struct levee_link_traffic *levee_link_traffic(const struct levee_link *link);

#endif
