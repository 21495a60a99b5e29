/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Strategy `cover`: the set of prefixes that blocks the most flood packets with so many rules,
 * without touching more good packets than allowed. Pure: no I/O, no clock.
 *
 * Both are measured by our own counters. A rule about a prefix blocks the flood of all flooding
 * sources in it, and costs the packets of all good ones in it. Among sets within the limits the
 * best is, in this order:
 *
 *	most flood packets blocked
 *	fewest good packets touched
 *	fewest addresses covered	(good traffic that was not seen yet may come from them)
 *	fewest rules
 *
 * It is found exactly, by dynamic programming over the prefix tree of the flooding sources. Only
 * the sources themselves and the longest prefixes that two of them have in common come into
 * question: any other prefix covers more addresses for the same flood. For each of these nodes and
 * each number of rules the table holds the best flood for every amount of good packets, as far as
 * that is better than with less. What is best for a node comes from its two halves, or from
 * one rule about all of it.
 *
 * With max_collateral 0 an entry has one amount, and 2,000 sources with 18 rules take
 * milliseconds. Large limits with much good traffic between the sources can make entries so
 * long that they are thinned: the result then is within all limits, and `exact` is false.
 */
#ifndef LEVEE_NACL_COVER_H
#define LEVEE_NACL_COVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "control/detect/moments.h"
#include "dataplane/prefix.h"

#define LEVEE_COVER_RULES_MAX 40 /* of each family */
#define LEVEE_COVER_WIDEST4   20 /* no rule is wider than these, however quiet it is there */
#define LEVEE_COVER_WIDEST6   48

/** Packets of a source. */
struct levee_cover_source {
	struct levee_prefix prefix;
	uint64_t packets;
};

struct levee_cover_input {
	const struct levee_cover_source *flood; /* to be blocked; a prefix may come twice */
	size_t n_flood;
	/* Not to be blocked, of the same length within a family. In any order. */
	const struct levee_cover_source *good;
	size_t n_good;
	unsigned int rules4; /* how many there may be of each family, at most 40 */
	unsigned int rules6;
	unsigned int rules;	 /* and of both together */
	uint64_t max_collateral; /* good packets that all rules together may touch */
	uint8_t widest4;	 /* shortest length of a rule that no source has itself */
	uint8_t widest6;
	/** May there be a rule about this prefix (allow list, operator's rules)? */
	bool (*may)(const void *ctx, const struct levee_prefix *prefix);
	const void *ctx;
};

struct levee_cover_rule {
	struct levee_prefix prefix;
	levee_u128 flood_packets; /* that it blocks */
	size_t n_flood;		  /* flooding prefixes in it */
	uint64_t good_packets;	  /* that it touches */
};

struct levee_cover {
	struct levee_cover_rule *rules; /* by prefix, none inside another */
	size_t n;
	levee_u128 flood_packets; /* of all of them */
	uint64_t good_packets;
	bool exact; /* nothing was thinned */
};

/**
 * \param out  filled; levee_cover_free() frees what it holds, after a failure too
 * \return 0; -ENOMEM
 */
int levee_cover_find(struct levee_cover *out, const struct levee_cover_input *input);

/** Accepts one that is all zero, and leaves it so. */
void levee_cover_free(struct levee_cover *cover);

/**
 * Packets of the sources in a prefix: for saying what a rule blocks or costs.
 * \param sources  canonical prefixes in order (levee_cover_sort), none inside another
 * \param n_in     set to how many; may be NULL
 */
levee_u128 levee_cover_sum(const struct levee_cover_source *sources, size_t n,
			   const struct levee_prefix *prefix, size_t *n_in);

/** Bring into order, make canonical, and join those of equal prefix. \return how many are left */
size_t levee_cover_sort(struct levee_cover_source *sources, size_t n);

#endif
