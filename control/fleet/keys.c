/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Names in the engine, all below [fleet] prefix:
 *
 *	P:{F}:meta         what the fleet agreed on: schema, bin, window, seed
 *	P:{F}:nodes        node -> when seen, and how it stands
 *	P:{F}:lease        "NODE TOKEN" of the leader, expires
 *	P:{F}:token        the last token given out
 *	P:{F}:blocks       prefix -> entry (control/fleet/entry.h); ended ones stay as long as repeat
 *	                   offenders are remembered
 *	P:{F}:events       stream of entries as they change
 *	P:{F}:records      bin -> record (control/fleet/sums.h), of one window
 *	P:{F}:dirty        bin -> marks of nodes that came late
 *	P:{F}:eval         the last evaluation, and the fast path's threshold
 *	P:{F}:bin:T        which nodes have sent bin T
 *	P:{F.S}:T:parts    shard S: the parts that were added, and whether it is closed
 *	P:{F.S}:T:B:L      bucket B, lane L: source -> value
 *	P:{F.S}:T:fast:B   fast path: shares of bin T
 *
 * In braces is what a cluster chooses the hash slot by.
 */
#include <inttypes.h>
#include <stdio.h>

#include "control/fleet/fleet_internal.h"

void levee_fleet_keys_init(struct levee_fleet_keys *k, const char *prefix, const char *name)
{
	const struct {
		char *key;
		const char *last;
	} all[] = { { k->meta, "meta" },       { k->nodes, "nodes" },	{ k->lease, "lease" },
		    { k->token, "token" },     { k->blocks, "blocks" }, { k->events, "events" },
		    { k->records, "records" }, { k->dirty, "dirty" },	{ k->eval, "eval" } };

	k->prefix = prefix;
	k->name = name;
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		snprintf(all[i].key, LEVEE_KEY_TEXT, "%s:{%s}:%s", prefix, name, all[i].last);
}

const char *levee_fleet_key_bin(const struct levee_fleet_keys *k, int64_t start_s,
				char key[static LEVEE_KEY_TEXT])
{
	snprintf(key, LEVEE_KEY_TEXT, "%s:{%s}:bin:%" PRId64, k->prefix, k->name, start_s);
	return key;
}

const char *levee_fleet_key_parts(const struct levee_fleet_keys *k, int64_t start_s,
				  unsigned int shard, char key[static LEVEE_KEY_TEXT])
{
	snprintf(key, LEVEE_KEY_TEXT, "%s:{%s.%u}:%" PRId64 ":parts", k->prefix, k->name, shard,
		 start_s);
	return key;
}

const char *levee_fleet_key_bucket(const struct levee_fleet_keys *k, int64_t start_s,
				   unsigned int bucket, unsigned int lane,
				   char key[static LEVEE_KEY_TEXT])
{
	snprintf(key, LEVEE_KEY_TEXT, "%s:{%s.%u}:%" PRId64 ":%u:%c", k->prefix, k->name,
		 bucket / LEVEE_FLEET_PER_SHARD, start_s, bucket, LEVEE_LANE_LETTERS[lane]);
	return key;
}

const char *levee_fleet_key_shares(const struct levee_fleet_keys *k, int64_t start_s,
				   unsigned int bucket, char key[static LEVEE_KEY_TEXT])
{
	snprintf(key, LEVEE_KEY_TEXT, "%s:{%s.%u}:%" PRId64 ":fast:%u", k->prefix, k->name,
		 bucket / LEVEE_FLEET_PER_SHARD, start_s, bucket);
	return key;
}
