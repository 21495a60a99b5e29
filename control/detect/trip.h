/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The fast path's arithmetic: which count of a source in the running bin is a block at once, and
 * how often a data path has to ask. Pure; the data path and the controller carry it out.
 *
 * At each bin's close, from the complete bins of the window alone (what floods now is not in
 * them, so it cannot hide itself):
 *
 *	threshold = max(min_packets, mean + min_zscore * stddev)	[packets/bin]
 *	share     = threshold / 4 / CPUs				[packets on one CPU]
 *
 * Each CPU counts for itself and raises an event when its own count of a source passes a further
 * multiple of the share. The controller then adds up that source's counts over all CPUs (and what
 * was drained of the bin before), and blocks it if the sum is above the threshold:
 *
 *	levee_trip_make(&trip, &params, window, bin_start_s)     at each close, before the next bin
 *	... event: levee_trip_decide(&trip, &source, sum, bin_start_s, &finding)
 *	... early drain: the same for every source of the bin with more than trip.threshold
 *
 * Why the block comes at the latest at 1.25 times the threshold, however a source's packets are
 * spread over the CPUs: when its sum passes the threshold, each CPU is less than one share away
 * from its next event. Together they count less than CPUs * share = threshold / 4 before one of
 * them raises it. A drain begins all counts anew, hence the look at everything when it happens.
 */
#ifndef LEVEE_TRIP_H
#define LEVEE_TRIP_H

#include <stdbool.h>
#include <stdint.h>

#include "control/detect/detector.h"
#include "control/detect/window.h"

#define LEVEE_TRIP_WARMUP 3 /* [bins] */

struct levee_trip_params {
	bool on;
	unsigned int warmup_bins; /* complete bins that the window must hold, 0 to 10080 */
	unsigned int cpus;	  /* that may count one source, 1 at least */
	/*
	 * Packets that a CPU may have received and not counted yet (it counts in bursts). They are
	 * taken off the share so that the bound holds for packets received, not counted ones.
	 */
	unsigned int lag;
	struct levee_detect_params detect;
};

struct levee_trip {
	bool armed;	    /* false: switched off, or the window is too young */
	uint64_t threshold; /* a source with more packets in the running bin is blocked */
	uint64_t share;	    /* a CPU raises an event at each multiple of it; 1 at least */
	uint64_t latest;    /* received packets at which the block has come at the latest */
	unsigned int bins;  /* complete bins it was made from */
	struct levee_moments moments; /* of these bins */
};

/**
 * \param window     the bins that are complete; one that starts at running_s or later is left out,
 *                   a part of the running bin from before a restart among them
 * \param running_s  start of the bin that begins now [unix s]
 * \return 0; -ERANGE, *trip not armed
 */
int levee_trip_make(struct levee_trip *trip, const struct levee_trip_params *params,
		    const struct levee_window *window, int64_t running_s);

/** The share for a threshold; at least 1, so that tiny thresholds ask at every packet. */
uint64_t levee_trip_share(uint64_t threshold, unsigned int cpus, unsigned int lag);

/**
 * Is a source to be blocked?
 * \param packets  of it in the running bin, over all CPUs and earlier drains
 * \param finding  filled if so: decided by LEVEE_BY_TRIP, z against the complete bins
 */
bool levee_trip_decide(const struct levee_trip *trip, const struct levee_prefix *source,
		       uint64_t packets, int64_t running_s, struct levee_finding *finding);

#endif
