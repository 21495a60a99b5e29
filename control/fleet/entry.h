/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the fleet knows of one prefix: blocked, or lifted by hand; and, by itself, allowed by hand, or
 * not any more. Pure.
 *
 * Every node can decide at any time, also while it is cut off; when it is back the entries of all
 * are merged. The order below makes that safe: of two entries one wins, whatever the order in
 * which they arrive and however often, so all nodes end with the same (a join semilattice):
 *
 *	1. an entry that has ended is as none
 *	2. by hand wins over by a detector
 *	3. by hand: the later command wins; by a detector: the later end wins
 *	4. a lift wins over a block, a drop over a limit, and of two of these the one whose source
 *	   is known not to be made up
 *
 * A lift is kept until it ends like a block, and no detector's block comes through meanwhile.
 * The same order is written down in Lua (LEVEE_SCRIPT_PUBLISH); a test compares them.
 */
#ifndef LEVEE_FLEET_ENTRY_H
#define LEVEE_FLEET_ENTRY_H

#include <stdbool.h>
#include <stdint.h>

#include "control/policy/blocks.h"

#define LEVEE_FLEET_ENTRY_TEXT 384
#define LEVEE_FLEET_NODE_TEXT  64
#define LEVEE_FLEET_KEY_TEXT   (LEVEE_PREFIX_TEXT + 1)

struct levee_fleet_entry {
	struct levee_prefix prefix;
	bool allow; /* on the allow list, by hand and without end; `lifted`: taken off */
	bool lifted;
	bool manual;
	uint64_t order_ms;   /* manual: when it was said [unix ms]; else expires_ms */
	uint64_t expires_ms; /* [unix ms]; 0: never */
	uint64_t created_ms; /* [unix ms] */
	int64_t last_bin_s;
	double max_zscore;
	uint64_t max_packets;
	/* As in struct levee_block; nothing for a lift. */
	enum levee_block_reason reason;
	enum levee_block_kind kind;
	enum levee_measure measure;
	uint64_t max_value;
	uint32_t repeats;
	bool spoofable;
	char node[LEVEE_FLEET_NODE_TEXT]; /* who decided */
	char note[LEVEE_NOTE_TEXT];
};

/**
 * "S K ORDER EXPIRES W CREATED BIN Z PACKETS REASON MEASURE VALUE REPEATS NODE NOTE"; S is B or L,
 * K 1 for manual, W what rule 4 goes by.
 */
const char *levee_fleet_entry_format(const struct levee_fleet_entry *entry,
				     char text[static LEVEE_FLEET_ENTRY_TEXT]);

/** What names it in the engine: the prefix, with a + before it if it is about the allow list. */
const char *levee_fleet_entry_key(const struct levee_fleet_entry *entry,
				  char text[static LEVEE_FLEET_KEY_TEXT]);

/** \param key  as levee_fleet_entry_key() has it. \return 0; -EINVAL: not to be trusted, left alone */
int levee_fleet_entry_parse(struct levee_fleet_entry *entry, const char *key, const char *text);

/** Does `a` take the place of `b` (NULL: there is none)? Not if they are equal. */
bool levee_fleet_entry_wins(const struct levee_fleet_entry *a, const struct levee_fleet_entry *b,
			    uint64_t now_ms);

bool levee_fleet_entry_over(const struct levee_fleet_entry *entry, uint64_t now_ms);

/** A block of this node's table as an entry, and back. Boot times are counted from `now`. */
void levee_fleet_entry_from_block(struct levee_fleet_entry *entry, const struct levee_block *block,
				  const char *node);
void levee_fleet_entry_to_block(const struct levee_fleet_entry *entry, struct levee_block *block,
				const struct levee_time *now);

#endif
