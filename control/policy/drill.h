/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A drill: a flood that detection sees and no network does. Pure: what it "sent" is a function of
 * time, so nothing is added to any count, and real sources are judged by real traffic alone.
 *
 * Its values are judged as detector zscore would judge them in the window: against the moments of
 * all real values and its own. Once it is blocked it is dropped and not counted, as a real one.
 */
#ifndef LEVEE_DRILL_H
#define LEVEE_DRILL_H

#include <stdbool.h>
#include <stdint.h>

#include "control/detect/detector.h"
#include "control/detect/trip.h"

struct levee_drill {
	struct levee_prefix source;
	uint64_t rate;	   /* [packets/s] */
	uint64_t begin_ns; /* [unix ns, in bin time] */
	uint64_t end_ns;   /* of the flood; it is cut short when it is blocked */
	bool push;
};

/** Is all of the prefix in a range reserved for documentation (RFC 5737, RFC 3849, RFC 9637)? */
bool levee_drill_is_documentation(const struct levee_prefix *prefix);

/** What it has sent in the bin of bin_s seconds that starts at start_s, as of now_ns. */
uint64_t levee_drill_packets(const struct levee_drill *drill, int64_t start_s, unsigned int bin_s,
			     uint64_t now_ns);

/**
 * Judge it at an evaluation of the real window.
 * \param begin_s  start of the earliest bin of the window
 * \param largest  set to its largest bin, for whoever asks why not
 * \param zscore   set to the Z-score of that
 * \return whether it is abnormal; then *finding is filled, with its marks
 */
bool levee_drill_judge(const struct levee_drill *drill, const struct levee_evaluation *evaluation,
		       const struct levee_detect_params *params, int64_t begin_s,
		       unsigned int bin_s, uint64_t *largest, double *zscore,
		       struct levee_finding *finding);

#endif
