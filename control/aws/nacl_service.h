/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The thread that keeps the network ACLs as the block table wants them: it takes snapshots from
 * the board, pushes what has changed at most once in [nacl] min_interval, reads back every
 * verify_every, backs off when EC2 throttles, and shows on the board how it stands. The
 * controller's thread never waits for it.
 *
 * A push that is under way takes up the newest snapshot at each step.
 */
#ifndef LEVEE_AWS_NACL_SERVICE_H
#define LEVEE_AWS_NACL_SERVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "control/aws/nacl_push.h"
#include "control/board.h"
#include "control/config.h"

enum levee_nacl_state {
	LEVEE_NACL_STARTING, /* nothing is known of EC2 yet */
	LEVEE_NACL_PUSHING,
	LEVEE_NACL_IN_FORCE, /* what is wanted was read back */
	LEVEE_NACL_WAITING,  /* a call failed, or reads lag behind: it goes on by itself */
	LEVEE_NACL_STOPPED,  /* an operator has to do something; it is tried again now and then */
};

/** How it stands. */
struct levee_nacl_status {
	enum levee_nacl_state state;
	char text[LEVEE_PUSH_TEXT]; /* what is waited for, or what is wrong; "" */
	char vpc[LEVEE_NACL_ID];    /* ids: "" until they are known */
	char blue[LEVEE_NACL_ID];
	char green[LEVEE_NACL_ID];
	char in_force[LEVEE_NACL_ID];
	bool audit; /* rules allow */
	size_t n_subnets;
	unsigned int budget;			     /* configured */
	unsigned int granted;			     /* by EC2, if it is less; else 0 */
	size_t rules;				     /* wanted */
	size_t spoofable_rules;			     /* of these, about spoofable sources alone */
	size_t blocked_networks, unblocked_networks; /* of the plan: with and without a rule */
	size_t blocked_sources, unblocked_sources;
	size_t spoofable; /* blocked sources that are not pushed: [nacl] push_spoofable */
	/* Flood packets a bin of all sources, of those with a rule, and good ones that rules touch. */
	uint64_t flood_packets, blocked_packets, good_packets;
	int64_t in_force_unix_ms; /* read back last; 0: never */
	int64_t wrote_unix_ms;	  /* wrote last; 0: never */
	int64_t failed_unix_ms;	  /* a call failed, or it stopped, last; 0: never */
	uint64_t pushes;	  /* that wrote something and were read back */
	struct levee_nacl_push_counts counts;
};

struct levee_nacl_service;

/**
 * Start the thread, and show it on the board as "nacl".
 * \param config     must outlive the service, as `board`
 * \param may_write  only while it says so does this process make calls: one writer in a fleet. It
 *                   is asked before each write, on the service's thread, and must not wait. When
 *                   it says yes after a no, reads are distrusted for [nacl] settle. *licence: see
 *                   control/aws/nacl_push.h. NULL: always
 * \return 0; -errno
 */
int levee_nacl_service_start(struct levee_nacl_service **out, const struct levee_config *config,
			     struct levee_board *board,
			     bool (*may_write)(void *ctx, struct levee_nacl_licence *licence),
			     void *ctx);

/** The call on its way is called off; returns within a moment. NULL inside is fine. */
void levee_nacl_service_stop(struct levee_nacl_service **service);

/** Any thread. */
void levee_nacl_service_status(struct levee_nacl_service *service, struct levee_nacl_status *out);

const char *levee_nacl_state_name(enum levee_nacl_state state);

#endif
