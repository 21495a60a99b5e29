/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What runs inside the engine: Lua scripts, each atomic, each short. Lua's numbers are doubles,
 * exact up to 2^53; what may pass that stays text, or is kept in parts (see REDUCE).
 */
#ifndef LEVEE_FLEET_SCRIPTS_H
#define LEVEE_FLEET_SCRIPTS_H

enum levee_script {
	LEVEE_SCRIPT_JOIN,    /* what the fleet agreed on, or agree on it now */
	LEVEE_SCRIPT_RESET,   /* forget what it agreed on, if nobody lives by it */
	LEVEE_SCRIPT_BEAT,    /* a sign of life; prolong or take the lease; the engine's time */
	LEVEE_SCRIPT_RESIGN,  /* give the lease back */
	LEVEE_SCRIPT_ADD,     /* add sources to the buckets of one shard, once */
	LEVEE_SCRIPT_DONE,    /* a node has added all of a bin */
	LEVEE_SCRIPT_REDUCE,  /* close one lane of a bucket: its moments, candidates, histogram */
	LEVEE_SCRIPT_RECORD,  /* the leader's result for a bin */
	LEVEE_SCRIPT_PUBLISH, /* blocks and lifts, by the rule of control/fleet/entry.h */
	LEVEE_SCRIPT_PRUNE,   /* take out entries that ended long ago, and nodes that are gone */
	LEVEE_SCRIPT_SHARE,   /* fast path: a node's share of a source, and the sum */
	LEVEE_SCRIPTS
};

/** Its source. */
extern const char *const levee_scripts[LEVEE_SCRIPTS];

/* Written into the fleet's agreement: what these scripts leave in the engine. */
#define LEVEE_FLEET_SCHEMA "3"

#endif
