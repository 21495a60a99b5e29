/* SPDX-License-Identifier: BSD-2-Clause */
/* What detectors share: which bins are judged, and from a floor on the findings. */
#ifndef LEVEE_JUDGE_H
#define LEVEE_JUDGE_H

#include "control/detect/detector.h"

struct levee_judge {
	const struct levee_window *window;
	const struct levee_bin *running; /* NULL: none */
	int64_t now_s;
	int64_t running_s;
	size_t first; /* bins that a window at now_s holds: [first, end) */
	size_t end;
	/* The part of the running bin that was stored before a restart; NULL as a rule. */
	const struct levee_bin_record *earlier;
};

void levee_judge_begin(struct levee_judge *judge, const struct levee_window *window,
		       const struct levee_bin *running, int64_t now_s);

/** Moments over all values of the measure. \return 0; -ENOMEM; -ERANGE */
int levee_judge_moments(const struct levee_judge *judge, enum levee_measure measure,
			struct levee_moments *sum);

/**
 * One finding for each source with a value of at least `floor` in any bin: highest value first,
 * equal ones by source. `by` and max_zscore are left to the caller.
 * \param floor  from LEVEE_VALUE_END on there are none
 * \return 0 and *findings, which the caller frees; -ENOMEM
 */
int levee_judge_findings(const struct levee_judge *judge, enum levee_measure measure,
			 uint64_t floor, struct levee_finding **findings, size_t *n);

/** Values of more than `above` packets, in bins [first, end) and the running one. */
uint64_t levee_judge_count(const struct levee_judge *judge, uint64_t above);

#endif
