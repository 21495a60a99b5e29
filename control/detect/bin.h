/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The running bin: packets and bytes of each source, added up over CPUs, logs and early drains.
 *
 * It holds at most max_sources names. When they are used up, the sources with the fewest packets,
 * about half of the table, give up their name and go into `folded`, each as one value; heavy
 * sources stay. Their sum stays exact; n is too high by every folded source that comes again.
 */
#ifndef LEVEE_BIN_H
#define LEVEE_BIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <levee/count.h>

#include "control/detect/moments.h"
#include "dataplane/prefix.h"

struct levee_bin;

/** What is judged of a source in a bin. Stored: numbers stay what they are. */
enum levee_measure {
	LEVEE_PACKETS = 0,
	LEVEE_BYTES = 1,
	LEVEE_SYNS = 2, /* TCP SYNs without ACK */
	LEVEE_MEASURES = 3,
};

/**
 * \param max_sources  1024 to 2^28; a source costs 45 to 60 bytes, and only when it appears
 * \return the caller frees it with levee_bin_free(); NULL if memory is short
 */
struct levee_bin *levee_bin_new(size_t max_sources);

/** Another limit from now on; names that are there already stay. */
void levee_bin_set_max(struct levee_bin *bin, size_t max_sources);

/** Call breathe every few thousand sources of whatever walks over all of them. It must leave the bin alone. */
void levee_bin_set_breathe(struct levee_bin *bin, void (*breathe)(void *ctx), void *ctx);

void levee_bin_free(struct levee_bin **bin);

/** Forget everything; memory that a large bin took is given back. */
void levee_bin_reset(struct levee_bin *bin);

/**
 * Add to a source. \param packets  0 is no value and is ignored
 * \return 0; -ENOMEM; -ERANGE if the source would pass LEVEE_VALUE_MAX, or all packets of the bin
 *         2^64, or its bytes 2^63. Unchanged on failure.
 */
int levee_bin_add(struct levee_bin *bin, const struct levee_prefix *source, uint64_t packets,
		  uint64_t bytes);

/** The same, of a source that answered: it is not one whose address somebody made up. */
int levee_bin_add_answered(struct levee_bin *bin, const struct levee_prefix *source,
			   uint64_t packets, uint64_t bytes);

/**
 * Add SYNs to a source; its packets are added by levee_bin_add(). Costs a second table, which is
 * made with the first call. Above max_sources sources further ones lose their names.
 * \return 0; -ENOMEM; -ERANGE. Unchanged on failure.
 */
int levee_bin_add_syns(struct levee_bin *bin, const struct levee_prefix *source, uint64_t syns);

/**
 * Add values that lost their names in the data path.
 * \return 0; -ERANGE, unchanged, if no values can have such moments or the sums become too large
 */
int levee_bin_add_fold(struct levee_bin *bin, const struct levee_fold *fold);

/** Moments over all values, named and folded. \return 0; -ERANGE */
int levee_bin_moments(const struct levee_bin *bin, struct levee_moments *out);

/**
 * The same for any measure. A source without SYNs is a value of 0 there. Sources without a name count as their mean: their number and sum are
 * exact, the sum of squares is the least possible. \return 0; -ERANGE
 */
int levee_bin_measure(const struct levee_bin *bin, enum levee_measure measure,
		      struct levee_moments *out);

/** Named sources now held; values folded for want of room, here or in the data path. */
size_t levee_bin_sources(const struct levee_bin *bin);
uint64_t levee_bin_folded(const struct levee_bin *bin);

struct levee_bin_entry {
	struct levee_prefix source;
	uint64_t packets;
	uint64_t bytes;
	uint64_t syns;
	bool answered;
};

static inline uint64_t levee_bin_entry_value(const struct levee_bin_entry *entry,
					     enum levee_measure measure)
{
	return measure == LEVEE_PACKETS ? entry->packets
	       : measure == LEVEE_BYTES ? entry->bytes
					: entry->syns;
}

/** All of a source. \return false, *entry zero but for its name, if it has none */
bool levee_bin_find(const struct levee_bin *bin, const struct levee_prefix *source,
		    struct levee_bin_entry *entry);

/** Packets of a source in this bin, 0 if it has none. */
uint64_t levee_bin_get(const struct levee_bin *bin, const struct levee_prefix *source);

/**
 * The values without a name, as a data path gives them.
 * \return 0; -ERANGE if there are more than a levee_fold holds, or SYNs without a name
 */
int levee_bin_fold(const struct levee_bin *bin, struct levee_fold *fold);

/** Call fn for every named source with more than above_packets, in no order. */
void levee_bin_walk(const struct levee_bin *bin, uint64_t above_packets,
		    void (*fn)(void *ctx, const struct levee_bin_entry *entry), void *ctx);

/**
 * The same for every source with more than `above` of the measure. entry->syns is given for
 * LEVEE_SYNS alone.
 */
void levee_bin_walk_measure(const struct levee_bin *bin, enum levee_measure measure, uint64_t above,
			    void (*fn)(void *ctx, const struct levee_bin_entry *entry), void *ctx);

/**
 * Part `part` (0 to parts - 1) of a bin that is to stand for `parts` bins, because nobody closed
 * them in time: each source's packets divided evenly, the remainder in the last part, zero parts
 * left out. Folded values go into the last part as they are.
 * \return a new bin, the caller frees it; NULL if memory is short
 */
struct levee_bin *levee_bin_split(const struct levee_bin *bin, unsigned int parts,
				  unsigned int part);

#endif
