/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A push: what is blocked becomes rules of the network ACLs. It reads EC2, has control/policy/
 * say what the next step is, carries that out, and so on until what EC2 holds was read back and
 * is what is wanted. It waits for nothing itself: each turn is one call at most, and says how long
 * to wait before the next.
 *
 *	levee_nacl_push_new(&push, &params)
 *	do {
 *		levee_nacl_push_turn(push, &input, &turn)	with what is blocked now
 *		... wait turn.wait_ms ...
 *	} while (turn.verdict == LEVEE_PUSH_AGAIN || turn.verdict == LEVEE_PUSH_WAIT);
 *	CONVERGED: done; ask again when something has changed, or to verify
 *	STOPPED:   turn.text says what an operator has to do; asking again later is fine
 *
 * Every write is put down in the journal before it is sent. A process that is killed anywhere, or
 * that fails at any call, leaves a working ACL on every subnet; the next run converges.
 *
 * Reads and writes have a back-off each, which grows with failures in a row to about a minute: an
 * EC2 that throttles for hours is asked about once a minute, and gets all when it lets up.
 */
#ifndef LEVEE_AWS_NACL_PUSH_H
#define LEVEE_AWS_NACL_PUSH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "control/aws/client.h"
#include "control/aws/ec2_nacl.h"
#include "control/aws/nacl_journal.h"
#include "control/policy/nacl_diff.h"
#include "control/policy/nacl_plan.h"

#define LEVEE_PUSH_TEXT 768

/* Permission for the next write. */
struct levee_nacl_licence {
	/*
	 * Fencing token in a fleet; 0: there is none. It is put into a tag of both ACLs before
	 * anything else, and who finds a larger one there writes nothing.
	 */
	uint64_t token;
	int64_t until_ms; /* boot time by which the call must have ended; 0: no such time */
};

struct levee_nacl_push_params {
	struct levee_aws_client *client;
	const struct levee_aws_env *env;    /* for chance */
	struct levee_nacl_journal *journal; /* the push's until it is freed */
	int64_t (*now_ms)(void *ctx);	    /* boot time; NULL: levee_nacl_boot_ms() */
	/* Asked before each write: may this process write? NULL: yes. *licence is all 0 before. */
	bool (*may_write)(void *ctx, struct levee_nacl_licence *licence);
	void *ctx;

	char vpc[LEVEE_NACL_ID]; /* "": that of the subnets */
	const char (*subnets)[LEVEE_NACL_ID];
	size_t n_subnets;
	char blue[LEVEE_NACL_ID]; /* "", as green: the pair with the tag, made if `manage` */
	char green[LEVEE_NACL_ID];
	bool manage;
	bool merge;
	struct levee_nacl_params plan;
	uint64_t settle_ms;
};

/** What is wanted now. Read during the call only. */
struct levee_nacl_push_input {
	const struct levee_nacl_source *sources;
	size_t n_sources;
	const struct levee_prefix *allowed; /* the VPC's CIDRs are added by the push */
	size_t n_allowed;
	const struct levee_cover_source *good; /* see struct levee_nacl_plan_input */
	size_t n_good;
	bool good_known;
};

enum levee_push_verdict {
	LEVEE_PUSH_AGAIN,     /* go on */
	LEVEE_PUSH_WAIT,      /* go on after wait_ms; text says what is waited for */
	LEVEE_PUSH_CONVERGED, /* what EC2 holds was read back, and is what is wanted */
	LEVEE_PUSH_STOPPED,   /* text says what is wrong and what to do */
};

struct levee_nacl_turn {
	enum levee_push_verdict verdict;
	uint32_t wait_ms;
	bool wrote; /* step was carried out */
	struct levee_nacl_step step;
	struct levee_aws_error error; /* of the call, if one failed; code "" if none did */
	char text[LEVEE_PUSH_TEXT];   /* one line; "" if there is nothing to say */
};

/* Calls since the push was made. */
struct levee_nacl_push_counts {
	uint64_t reads;	    /* DescribeNetworkAcls, all pages as one */
	uint64_t writes;    /* carried out */
	uint64_t switches;  /* of these, subnets that were put on another ACL */
	uint64_t failures;  /* calls that failed, throttled ones among them */
	uint64_t throttled; /* of these */
	uint64_t fenced;    /* writes that were not made, because another node leads the fleet */
};

struct levee_nacl_push;

/** Copies what params points to, but for client, env and journal. \return 0; -ENOMEM; -EINVAL */
int levee_nacl_push_new(struct levee_nacl_push **out, const struct levee_nacl_push_params *params);
void levee_nacl_push_free(struct levee_nacl_push **push);

void levee_nacl_push_turn(struct levee_nacl_push *push, const struct levee_nacl_push_input *input,
			  struct levee_nacl_turn *turn);

/** Another process may have written a moment ago (this one has just become the fleet's writer). */
void levee_nacl_push_distrust(struct levee_nacl_push *push);

/** What a look found: for `levee nacl plan` and `levee nacl status`. Borrowed from the push. */
struct levee_nacl_look {
	const struct levee_ec2_nacls *acls;
	const struct levee_nacl_setup *setup;	/* blue and green as they were found */
	const struct levee_nacl_survey *survey; /* its step says whether it can be worked with */
	const struct levee_nacl_plan *plan;
	const char *vpc;
	bool pair_missing; /* manage: it would be made first; survey and plan are as if it were */
	struct levee_nacl_step *steps; /* owned by the look: what would be done; the last writes
					* nothing */
	size_t n_steps;
};

/**
 * Read, and change nothing.
 * \param look  filled; steps is the caller's to free, the rest is valid until the next turn
 * \return 0; -errno with turn->text and turn->error saying why
 */
int levee_nacl_push_look(struct levee_nacl_push *push, const struct levee_nacl_push_input *input,
			 struct levee_nacl_look *look, struct levee_nacl_turn *turn);

/** Of the last turn that got so far; NULL if none did. Valid until the next turn. */
const struct levee_nacl_plan *levee_nacl_push_plan(const struct levee_nacl_push *push);

/** ACL in force on the protected subnets, as far as is known; "" if none is. */
const char *levee_nacl_push_in_force(const struct levee_nacl_push *push);

/** Its VPC; "" until it is known. */
const char *levee_nacl_push_vpc(const struct levee_nacl_push *push);

/** Ids of the pair: "" until they are known. */
const char *levee_nacl_push_side(const struct levee_nacl_push *push, int side);

const struct levee_nacl_push_counts *levee_nacl_push_counts(const struct levee_nacl_push *push);

/** Rules per family that EC2 has turned out to grant, if fewer than configured; else 0. */
unsigned int levee_nacl_push_learned_budget(const struct levee_nacl_push *push);

/** A step for people: "acl-1 rule 7: deny 198.51.100.7/32". \return text */
const char *levee_nacl_step_text(const struct levee_nacl_step *step,
				 char text[static LEVEE_PUSH_TEXT]);

/** A rule for people: "rule 7 in: deny 198.51.100.7/32". \return text */
const char *levee_nacl_entry_text(const struct levee_nacl_entry *entry,
				  char text[static LEVEE_PUSH_TEXT]);

/**
 * An error of EC2 for people: what, which, and what to do about it.
 * \param what  was tried: "DescribeNetworkAcls of vpc-1"
 */
void levee_nacl_error_text(const struct levee_aws_error *error, const char *what,
			   char text[static LEVEE_PUSH_TEXT]);

#endif
