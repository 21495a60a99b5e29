/* SPDX-License-Identifier: BSD-2-Clause */
#include "control/fleet/entry.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NS_PER_MS 1000000ULL
/* Times above it are not exact in Lua; the year 287396. */
#define MS_MAX (1ULL << 53)

/* Rule 4: 9 for a lift; 2 for a drop, and 1 more for a source that is not spoofable. */
#define WEIGHT_LIFT	9
#define WEIGHT_DROP	2
#define WEIGHT_ANSWERED 1

static int weight_of(const struct levee_fleet_entry *e)
{
	if (e->lifted)
		return WEIGHT_LIFT;
	return (e->kind == LEVEE_KIND_DROP ? WEIGHT_DROP : 0) +
	       (e->spoofable ? 0 : WEIGHT_ANSWERED);
}

const char *levee_fleet_entry_format(const struct levee_fleet_entry *e,
				     char text[static LEVEE_FLEET_ENTRY_TEXT])
{
	snprintf(text, LEVEE_FLEET_ENTRY_TEXT,
		 "%c %d %" PRIu64 " %" PRIu64 " %d %" PRIu64 " %" PRId64 " %.6f %" PRIu64
		 " %d %d %" PRIu64 " %" PRIu32 " %s %s",
		 e->lifted ? 'L' : 'B', e->manual ? 1 : 0, e->order_ms, e->expires_ms, weight_of(e),
		 e->created_ms, e->last_bin_s, e->max_zscore, e->max_packets, (int)e->reason,
		 (int)e->measure, e->max_value, e->repeats, e->node[0] ? e->node : "-", e->note);
	return text;
}

const char *levee_fleet_entry_key(const struct levee_fleet_entry *e,
				  char text[static LEVEE_FLEET_KEY_TEXT])
{
	text[0] = '+';
	levee_prefix_format(&e->prefix, text + e->allow);
	return text;
}

static bool is_sane(const struct levee_fleet_entry *e, int reason, int measure)
{
	return e->order_ms <= MS_MAX && e->expires_ms <= MS_MAX && e->created_ms <= MS_MAX &&
	       (!e->allow || (e->manual && !e->expires_ms)) && e->last_bin_s >= 0 &&
	       isfinite(e->max_zscore) && (e->manual || e->expires_ms) && reason >= 0 &&
	       reason <= LEVEE_BLOCK_TRIP && measure >= 0 && measure < LEVEE_MEASURES;
}

int levee_fleet_entry_parse(struct levee_fleet_entry *e, const char *key, const char *text)
{
	int manual = -1, at = 0, weight = 0, reason = -1, measure = -1;
	char state = 0;

	*e = (struct levee_fleet_entry){ .allow = key[0] == '+' };
	key += e->allow;
	if (strlen(text) >= LEVEE_FLEET_ENTRY_TEXT ||
	    levee_prefix_parse(&e->prefix, key, strlen(key), NULL))
		return -EINVAL;
	if (sscanf(text,
		   "%c %1d %" SCNu64 " %" SCNu64 " %1d %" SCNu64 " %" SCNd64 " %lf %" SCNu64
		   " %d %d %" SCNu64 " %" SCNu32 " %63s%n",
		   &state, &manual, &e->order_ms, &e->expires_ms, &weight, &e->created_ms,
		   &e->last_bin_s, &e->max_zscore, &e->max_packets, &reason, &measure,
		   &e->max_value, &e->repeats, e->node, &at) != 14)
		return -EINVAL;
	e->lifted = state == 'L';
	e->manual = manual == 1;
	e->kind = weight & WEIGHT_DROP ? LEVEE_KIND_DROP : LEVEE_KIND_LIMIT;
	e->spoofable = !(weight & WEIGHT_ANSWERED);
	if (e->lifted) {
		e->kind = LEVEE_KIND_DROP;
		e->spoofable = false;
	}
	if ((state != 'B' && state != 'L') || (manual != 0 && manual != 1) ||
	    weight != weight_of(e) || !is_sane(e, reason, measure))
		return -EINVAL;
	e->reason = (enum levee_block_reason)reason;
	e->measure = (enum levee_measure)measure;
	if (text[at] == ' ')
		snprintf(e->note, sizeof(e->note), "%s", text + at + 1);
	return 0;
}

bool levee_fleet_entry_over(const struct levee_fleet_entry *e, uint64_t now_ms)
{
	return e->expires_ms && e->expires_ms <= now_ms;
}

bool levee_fleet_entry_wins(const struct levee_fleet_entry *a, const struct levee_fleet_entry *b,
			    uint64_t now_ms)
{
	if (!b || levee_fleet_entry_over(b, now_ms))
		return true;
	if (a->manual != b->manual)
		return a->manual;
	if (a->order_ms != b->order_ms)
		return a->order_ms > b->order_ms;
	return weight_of(a) > weight_of(b);
}

void levee_fleet_entry_from_block(struct levee_fleet_entry *e, const struct levee_block *block,
				  const char *node)
{
	bool never = block->expires_boot_ns == LEVEE_NEVER || block->expires_unix_ns == LEVEE_NEVER;

	*e = (struct levee_fleet_entry){
		.prefix = block->prefix,
		.manual = block->reason == LEVEE_BLOCK_MANUAL,
		.expires_ms = never ? 0 : block->expires_unix_ns / NS_PER_MS,
		.created_ms = block->created_unix_ns / NS_PER_MS,
		.last_bin_s = block->last_bin_s,
		.max_zscore = block->max_zscore,
		.max_packets = block->max_packets,
		.reason = block->reason,
		.kind = block->kind,
		.measure = block->measure,
		.max_value = block->max_value,
		.repeats = block->repeats,
		.spoofable = block->spoofable,
	};
	/* A detector's block without an end cannot be; if it were, its order would be the last. */
	if (never && !e->manual)
		e->expires_ms = MS_MAX;
	e->order_ms = e->manual ? e->created_ms : e->expires_ms;
	snprintf(e->node, sizeof(e->node), "%s", node);
	snprintf(e->note, sizeof(e->note), "%s", block->note);
}

void levee_fleet_entry_to_block(const struct levee_fleet_entry *e, struct levee_block *block,
				const struct levee_time *now)
{
	uint64_t expires_ns = e->expires_ms * NS_PER_MS, left_ns;

	*block = (struct levee_block){
		.prefix = e->prefix,
		.reason = e->manual   ? LEVEE_BLOCK_MANUAL
			  : e->reason ? e->reason
				      : LEVEE_BLOCK_ZSCORE,
		.kind = e->kind,
		.measure = e->measure,
		.max_value = e->max_value,
		.repeats = e->repeats,
		.spoofable = e->spoofable,
		.created_unix_ns = e->created_ms * NS_PER_MS,
		.created_boot_ns = now->boot_ns,
		.last_bin_s = e->last_bin_s,
		.max_zscore = e->max_zscore,
		.max_packets = e->max_packets,
		.flagged = !e->manual,
	};
	snprintf(block->note, sizeof(block->note), "%s", e->note);
	if (!e->expires_ms) {
		block->expires_boot_ns = block->expires_unix_ns = LEVEE_NEVER;
		return;
	}
	left_ns = expires_ns > now->unix_ns ? expires_ns - now->unix_ns : 0;
	block->expires_unix_ns = expires_ns;
	block->expires_boot_ns = now->boot_ns + left_ns;
}
