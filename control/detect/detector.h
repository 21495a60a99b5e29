/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Detectors: which sources of a window are abnormal. Pure: traffic and time come in as arguments.
 *
 * `zscore` keeps, bin for bin, the semantics of the solution that Levee takes over: average and
 * population standard deviation over all (source, bin) values of the window; a source is flagged
 * if in any bin z > min_zscore and packets > min_packets, both strictly, and it carries its
 * largest z and its largest packets.
 */
#ifndef LEVEE_DETECTOR_H
#define LEVEE_DETECTOR_H

#include <stddef.h>
#include <stdint.h>

#include "control/detect/window.h"

struct levee_detect_params {
	double min_zscore;    /* [standard deviations], 0 to 1000; default 3.0 */
	uint64_t min_packets; /* [packets/bin]; default 12000 */
};

/** What decided that a source is abnormal. Stored with its block: numbers stay what they are. */
enum levee_decider {
	LEVEE_BY_ZSCORE = 0,
	LEVEE_BY_ROBUST = 1,
	LEVEE_BY_TRIP = 2, /* the fast path, within the bin (control/detect/trip.h) */
};

/** A flagged source. */
struct levee_finding {
	struct levee_prefix source;
	enum levee_decider by;
	double max_zscore;
	uint64_t max_packets;  /* largest bin [packets/bin] */
	int64_t last_bin_s;    /* start of its last anomalous bin [unix s] */
	uint64_t last_packets; /* packets in that bin */
};

/** The result of one evaluation. */
struct levee_evaluation {
	int64_t now_s;
	struct levee_moments moments;
	double mean;	  /* [packets/bin] */
	double stddev;	  /* [packets/bin] */
	double threshold; /* min_zscore * stddev + mean [packets/bin] */
	/* For values that are not in the window, such as dropped packets: more than this is
	 * anomalous, as levee_moments_threshold() has it [packets/bin]. */
	uint64_t limit_packets;
	size_t n_findings;
	/* By max_zscore, highest first; equal ones by source. Owned; not limited in number. */
	struct levee_finding *findings;
};

struct levee_detector {
	const char *name;
	/**
	 * Judge the window at now_s.
	 * \param window   advanced to now_s by the caller
	 * \param running  values of the running bin, which starts at floor(now_s / bin) * bin;
	 *                 NULL if it has none yet
	 * \param out      filled on success; levee_evaluation_clear() frees it
	 * \return 0; -ENOMEM; -ERANGE
	 */
	int (*evaluate)(const struct levee_window *window, const struct levee_bin *running,
			int64_t now_s, const struct levee_detect_params *params,
			struct levee_evaluation *out);
};

extern const struct levee_detector levee_detector_zscore;

/** By name; NULL if there is none of that name. */
const struct levee_detector *levee_detector_find(const char *name);

void levee_evaluation_clear(struct levee_evaluation *evaluation);

#endif
