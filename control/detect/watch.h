/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * When to look again at a source that is on its way to the threshold. Pure: time comes in.
 *
 * Events of the data path come a share apart, which at 100,000 packets a second is 15 ms. So a
 * source that an event has told of is looked at again after half the time in which, at the rate it
 * has, it will pass the threshold. Its block comes within a look of the crossing, not a share.
 *
 *	levee_watch_note(&watch, &source, packets, threshold, now_ns)    after each look at a source
 *	wait until levee_watch_next(&watch)
 *	while (levee_watch_due(&watch, now_ns, &source))                 look: count, decide, note
 *
 * It only ever hastens a block: what finds no place here is still told of by its next event.
 */
#ifndef LEVEE_WATCH_H
#define LEVEE_WATCH_H

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/prefix.h"

#define LEVEE_WATCH_MAX	     64
#define LEVEE_WATCH_LOOK_NS  250000ULL	   /* no sooner than this after the last look */
#define LEVEE_WATCH_AHEAD_NS 1000000000ULL /* who needs longer than this is left to the events */

struct levee_watch {
	/*
	 * 0; or who grows is looked at again after this time at the latest, because what is decided
	 * on is a sum of which this is a part (a fleet). Above LEVEE_WATCH_AHEAD_NS / 2: as 0.
	 */
	uint64_t every_ns;
	unsigned int n;
	struct levee_watched {
		struct levee_prefix source;
		uint64_t first_packets; /* when it was noted first */
		uint64_t first_ns;
		uint64_t packets; /* in the running bin, as of seen_ns */
		uint64_t seen_ns;
		uint64_t next_ns; /* of the next look; UINT64_MAX: being looked at */
	} at[LEVEE_WATCH_MAX];
};

/**
 * A source was looked at and is not above the threshold.
 * \param packets  of it in the running bin, over all CPUs
 * \param now_ns   boot time
 */
void levee_watch_note(struct levee_watch *watch, const struct levee_prefix *source,
		      uint64_t packets, uint64_t threshold, uint64_t now_ns);

/** Had it so many at the last look? */
bool levee_watch_knows(const struct levee_watch *watch, const struct levee_prefix *source,
		       uint64_t packets);

/** It is blocked, or need not be looked at for another reason. */
void levee_watch_forget(struct levee_watch *watch, const struct levee_prefix *source);

/** A new bin: all counts begin at 0. */
void levee_watch_clear(struct levee_watch *watch);

/** Time of the next look; UINT64_MAX if there is none to come. */
uint64_t levee_watch_next(const struct levee_watch *watch);

/** A source that is to be looked at now. Ends with levee_watch_note() or levee_watch_forget(). */
bool levee_watch_due(struct levee_watch *watch, uint64_t now_ns, struct levee_prefix *source);

#endif
