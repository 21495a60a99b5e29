/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The fleet: many instances behind one load balancer decide on the sum of what they see.
 *
 * One thread talks to the engine (Redis or Valkey); the controller's thread never waits for it.
 *
 *	controller                          fleet thread                        engine
 *	levee_fleet_bin(bin)      ->  sends it in parts, sorted by shard   ->  HINCRBY per source
 *	                              the leader, once all nodes are done or the grace is over,
 *	                              has each bucket reduced where it is  <-  n, sums, candidates
 *	                              detector over the fleet's window     ->  blocks, by stream
 *	levee_fleet_take(order)   <-  every node reads the stream          <-  "block", "lift"
 *	levee_fleet_block(block)  ->  what was decided here                ->  the same stream
 *
 * Squares are taken of the sums over nodes: a source's packets are added up first. The detector,
 * and what is done with its findings, are those of a single instance.
 *
 * levee_fleet_together() says who decides. While it is true the fleet does, and the controller
 * counts and reports but leaves findings alone. Otherwise (engine down, slow, full, a replica,
 * wrong password; no leader that keeps up) this node goes on with its own detector, and what it
 * decides is sent when contact is back. Entries of both sides are merged by one rule
 * (control/fleet/entry.h), so nothing is lost or doubled by an outage of any length.
 */
#ifndef LEVEE_FLEET_H
#define LEVEE_FLEET_H

#include <stdbool.h>
#include <stdint.h>

#include "control/detect/detector.h"
#include "control/fleet/entry.h"
#include "control/fleet/sums.h"
#include "control/json.h"

struct levee_fleet;

/** Strings are the caller's, and stay until levee_fleet_stop(). */
struct levee_fleet_options {
	const char *url;
	const char *ca_file;	   /* ""; for rediss:// */
	const char *password_file; /* "": none; read at each connect, so it may be rotated */
	const char *prefix;	   /* of all keys */
	const char *name;	   /* of the fleet */
	const char *node;	   /* of this instance; "": its host name */
	unsigned int grace_s;	   /* that the leader waits for a node after its own bin closed */
	unsigned int bin_s;
	unsigned int window_s;
	int64_t first_bin_s;  /* start of the bin that is running: the first that this node sends */
	const char *detector; /* NULL: zscore */
	struct levee_detect_params detect;
	/* The fast path: off, and it takes so many complete bins of the fleet. */
	bool fast;
	unsigned int warmup_bins;
	/* How long blocks last; bin_s and window_s are taken from above. */
	struct levee_blocks_params blocks;
	/** Told, on the fleet's thread, when a state changes. May be NULL. */
	void (*say)(void *ctx, bool problem, const char *message);
	void *ctx;
};

/** From now on what the controller tells it is kept. \return 0; -EINVAL (url, said); -errno */
int levee_fleet_new(struct levee_fleet **out, const struct levee_fleet_options *options);

/** Start the thread. \return 0, also if the engine cannot be reached; -errno */
int levee_fleet_start(struct levee_fleet *fleet);

/** Give the lease back, end the thread. Accepts NULL inside. */
void levee_fleet_stop(struct levee_fleet **fleet);

/* ---- the controller's side: none of these waits ------------------------------------------ */

/** Before the start: who was blocked before, as this node remembers it. */
void levee_fleet_remember(struct levee_fleet *fleet, const struct levee_offender *offender);

/** From the next bin on this detector (a name that stays), and these lengths of blocks. */
void levee_fleet_set_verdicts(struct levee_fleet *fleet, const char *detector,
			      const struct levee_blocks_params *blocks);

/** From now on this detector, these limits, and this fast path. \param detector  a constant */
void levee_fleet_set_limits(struct levee_fleet *fleet, const char *detector,
			    const struct levee_detect_params *detect, bool fast,
			    unsigned int warmup_bins);

/**
 * A bin has closed.
 * \param seq   of its last epoch: tells apart what was not sent before
 * \param held  what each detected block's source sent in it: so the fleet sees who goes on
 */
void levee_fleet_bin(struct levee_fleet *fleet, const struct levee_bin *bin, int64_t start_s,
		     uint64_t seq, const struct levee_fleet_held *held, size_t n_held);

/**
 * A block was put or prolonged here, by hand or by this node's own detector.
 * \param said_ms  when it was said by hand [unix ms]; 0: when the block began
 */
void levee_fleet_block(struct levee_fleet *fleet, const struct levee_block *block,
		       uint64_t said_ms);

/** A block was lifted here by hand. \param expires_ms  until when it stays lifted [unix ms] */
void levee_fleet_lift(struct levee_fleet *fleet, const struct levee_prefix *prefix, uint64_t now_ms,
		      uint64_t expires_ms);

/** A prefix was put on the allow list here by hand, or taken off. \param said_ms  when [unix ms] */
void levee_fleet_allow(struct levee_fleet *fleet, const struct levee_prefix *prefix, bool on_list,
		       uint64_t said_ms, const char *note);

/**
 * Packets of a source in the running bin so far, on this node: for the fast path. Called when the
 * data path says that a source passed another share of the threshold.
 */
void levee_fleet_share(struct levee_fleet *fleet, const struct levee_prefix *source,
		       uint64_t packets, int64_t bin_start_s);

/** Readable while orders wait. */
int levee_fleet_fd(const struct levee_fleet *fleet);

/** The next order: put this entry into force, block or lift. \return false if there is none */
bool levee_fleet_take(struct levee_fleet *fleet, struct levee_fleet_entry *order);

/** Was contact made, or found impossible? Until then an instance that joins should not be ready. */
bool levee_fleet_settled(const struct levee_fleet *fleet);

/** Does the fleet decide? */
bool levee_fleet_together(const struct levee_fleet *fleet);

/** Packets a bin of one source over all nodes above which the fast path blocks; 0: none yet. */
uint64_t levee_fleet_threshold(const struct levee_fleet *fleet);

/* ---- for those who act for the whole fleet (network ACLs) --------------------------------- */

/** Are we the leader? \param token  set to the fencing token if so; may be NULL */
bool levee_fleet_leads(const struct levee_fleet *fleet, uint64_t *token);

/**
 * May we make a call to somebody who cannot check the token, such as EC2? levee_fleet_fence() is to
 * be asked as well.
 * \param token  set to the fencing token if so
 * \return boot time by which the call must have ended, whatever comes of it [ms]; 0: not now
 */
int64_t levee_fleet_call_until_ms(struct levee_fleet *fleet, uint64_t *token);

/**
 * Ask the engine, before a step that only the leader may take. A connection of its own is used
 * and may be waited for, up to two seconds. Any thread, one at a time.
 * \return 0: the token is the newest; -EPERM: another leads, or may; -errno: cannot be known
 */
int levee_fleet_fence(struct levee_fleet *fleet, uint64_t token);

/* ---- status ------------------------------------------------------------------------------ */

/** Members of the status object, and metrics levee_fleet_...; any thread. */
void levee_fleet_status(void *fleet, struct levee_json *j);
void levee_fleet_metrics(void *fleet, FILE *out);

/** How many nodes were seen lately, this one included; 1 when alone. */
unsigned int levee_fleet_nodes(const struct levee_fleet *fleet);

#endif
