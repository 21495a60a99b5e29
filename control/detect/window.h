/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The rolling window: what is kept of each closed bin. That is its moments and the sources above
 * the packet minimum, so an hour of bins with a million sources each costs kilobytes.
 *
 * A window at time `now` holds every bin with bin >= now - (window + now % bin_len): the complete
 * bins of the last window, and the running one. (FIELD: 60 complete bins and the running one.)
 */
#ifndef LEVEE_WINDOW_H
#define LEVEE_WINDOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "control/detect/bin.h"
#include "control/detect/histogram.h"
#include "control/detect/moments.h"

/** A source with more of a measure in one bin than its minimum. */
struct levee_candidate {
	struct levee_prefix source;
	uint64_t packets;
	uint64_t bytes;
	uint64_t syns; /* in the list of LEVEE_SYNS alone */
	bool answered; /* seen with an established flow, as far as somebody looked */
};

static inline uint64_t levee_candidate_value(const struct levee_candidate *candidate,
					     enum levee_measure measure)
{
	return measure == LEVEE_PACKETS ? candidate->packets
	       : measure == LEVEE_BYTES ? candidate->bytes
					: candidate->syns;
}

/** What is kept of a closed bin for a measure beside packets. */
struct levee_bin_measure {
	uint64_t minimum; /* candidates have more than this */
	struct levee_moments moments;
	size_t n_candidates;
	struct levee_candidate *candidates; /* owned, sorted by source */
};

/* levee_bin_record.flags */
#define LEVEE_BIN_ESTIMATED 0x1 /* a share of counts that cover several bins */
#define LEVEE_BIN_FOLDED    0x2 /* values lost their names: n may be too high */

/** What is kept of a closed bin. */
struct levee_bin_record {
	int64_t start_s; /* unix time of its start, a multiple of the bin length [s] */
	struct levee_moments moments;
	uint64_t min_packets; /* candidates have more than this */
	size_t n_candidates;
	struct levee_candidate *candidates; /* owned by the record, sorted by source */
	uint32_t flags;			    /* LEVEE_BIN_* */
	struct levee_histogram histogram;   /* owned; empty unless a detector wants it */
	/* Owned; NULL for measures that are not judged, and for LEVEE_PACKETS, which is above. */
	struct levee_bin_measure *measures[LEVEE_MEASURES];
};

/** Make a record of a bin. \return 0; -ENOMEM; -ERANGE. levee_bin_record_clear() frees it. */
int levee_bin_record_make(struct levee_bin_record *record, const struct levee_bin *bin,
			  int64_t start_s, uint64_t min_packets);

/**
 * Count all values of a bin. Those without a name are known by number and sum alone: each counts
 * as their mean. \return 0; -ERANGE
 */
int levee_bin_count_values(const struct levee_bin *bin, struct levee_buckets *buckets);

/** Add the histogram to the record of a bin. \return 0; -ENOMEM; -ERANGE */
int levee_bin_record_add_histogram(struct levee_bin_record *record, const struct levee_bin *bin);
/** Add a measure to the record of a bin. \return 0; -ENOMEM; -ERANGE */
int levee_bin_record_add_measure(struct levee_bin_record *record, const struct levee_bin *bin,
				 enum levee_measure measure, uint64_t minimum);

/** Moments of a measure; NULL if it was not kept. */
const struct levee_moments *levee_bin_record_moments(const struct levee_bin_record *record,
						     enum levee_measure measure);

/** Its candidates; none if it was not kept. */
struct levee_candidates {
	const struct levee_candidate *list;
	size_t n;
};

struct levee_candidates levee_bin_record_candidates(const struct levee_bin_record *record,
						    enum levee_measure measure);

/** Candidates with more packets than `above`. */
uint64_t levee_bin_record_above(const struct levee_bin_record *record, uint64_t above);

void levee_bin_record_clear(struct levee_bin_record *record);

struct levee_window;

/**
 * \param bin_s     length of a bin [s], 1 to 86400
 * \param window_s  length of the window [s], a multiple of bin_s, at most 10080 bins
 * \return the caller frees it with levee_window_free(); NULL if memory is short
 */
struct levee_window *levee_window_new(unsigned int bin_s, unsigned int window_s);
void levee_window_free(struct levee_window **window);

/**
 * Take over a record, whose content then belongs to the window. A bin of the same start is
 * merged: moments and candidates add up. (Two parts of one bin: a restart inside it.) What the
 * parts did not keep is lost to that bin: a source that sent in both counts as two values, and
 * one that passes the minimum only with both parts together is no candidate.
 * \return 0, *record emptied; otherwise nothing changed: -ENOMEM; -ERANGE if a sum would wrap,
 *         start_s is no multiple of the bin length, or no values can have such moments
 */
int levee_window_push(struct levee_window *window, struct levee_bin_record *record);

/** Forget the bins that a window at time now_s does not hold any more. */
void levee_window_advance(struct levee_window *window, int64_t now_s);

/**
 * Rename all bins: after a step of the wall clock they keep their distance from the running one.
 * \param by_s  a multiple of the bin length
 */
void levee_window_shift(struct levee_window *window, int64_t by_s);

/** Start of the earliest bin that a window at now_s holds [unix s]. */
int64_t levee_window_begin(const struct levee_window *window, int64_t now_s);

/** The bins held, earliest first; i from 0 to count - 1. */
size_t levee_window_bins(const struct levee_window *window);
const struct levee_bin_record *levee_window_bin(const struct levee_window *window, size_t i);

/** Bytes of memory that the window takes. */
size_t levee_window_memory(const struct levee_window *window);

unsigned int levee_window_bin_s(const struct levee_window *window);
unsigned int levee_window_window_s(const struct levee_window *window);

#endif
