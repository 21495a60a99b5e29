/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Detectors: which sources of a window are abnormal. Pure: traffic and time come in as arguments.
 *
 * `zscore` keeps, bin for bin, the semantics of the solution that Levee takes over: average and
 * population standard deviation over all (source, bin) values of the window; a source is flagged
 * if in any bin z > min_zscore and packets > min_packets, both strictly, and it carries its
 * largest z and its largest packets.
 *
 * `robust` puts the median in the place of the average, and the median absolute deviation in the
 * place of the deviation, which nobody can move who does not hold half of all values:
 *
 *	score(x) = 0.6745 * (x - median) / MAD		MAD = median of |x - median|
 *
 * (modified Z-score: Iglewicz and Hoaglin, How to Detect and Handle Outliers, ASQC 1993; 0.6745
 * makes it a Z-score where values are normally distributed). Both medians come from histograms
 * and are off by at most 0.4 % of the values around them; a MAD below that, or below one packet,
 * is taken as that much, so that many equal values do not make every other one infinite.
 *
 * `both` flags what both flag. While masking makes z > min_zscore impossible (below), zscore has
 * no say: then `robust` decides, and the value must be above mean + min_zscore * stddev of the
 * bins in which nothing was masked, as far as the window holds such bins.
 *
 * Masking: k of n values can all have z > Z only if k < n / (1 + Z^2), because of k equal values
 * among n with the others at 0 each has z = sqrt((n - k) / k), and nothing else gives the least
 * of them more. So when k values are above the packet minimum, and k is that many or more, the
 * evaluation says so: zscore cannot flag them all, and none of them if they are equal.
 *
 * Further measures, bytes and TCP SYNs of a source in a bin, are judged by zscore, each against
 * its own values and with its own minimum. A source is flagged by any; the finding names the one
 * that it is furthest above. They are off by default and then cost nothing.
 */
#ifndef LEVEE_DETECTOR_H
#define LEVEE_DETECTOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "control/detect/window.h"

struct levee_detect_params {
	double min_zscore;    /* [standard deviations], 0 to 1000; default 3.0 */
	uint64_t min_packets; /* [packets/bin]; default 12000 */
	uint64_t min_bytes;   /* [bytes/bin]; 0: bytes are not judged */
	uint64_t min_syns;    /* [SYNs/bin]; 0: SYNs are not judged */
	/* From here to min_zscore a source is flagged as `soft`; 0: there is no such range. */
	double soft_zscore;
};

/** Does it want levee_bin_record.histogram? */
bool levee_detector_wants_histogram(const char *name);

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
	enum levee_measure measure;
	bool soft;	       /* above the soft threshold alone */
	bool answered;	       /* in an anomalous bin it had an established TCP flow */
	double max_zscore;     /* of max_value; `robust`: its score */
	uint64_t max_value;    /* largest bin, in the unit of the measure */
	uint64_t max_packets;  /* packets in that bin [packets/bin] */
	int64_t last_bin_s;    /* start of its last anomalous bin [unix s] */
	uint64_t last_packets; /* packets in that bin */
	uint32_t marks;	       /* of the block it makes: LEVEE_BLOCK_DRILL, ... */
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
	uint64_t soft_packets; /* the same for the soft threshold; limit_packets if there is none */

	uint64_t n_above; /* values of more than min_packets */
	bool masked;	  /* they are too many for z > min_zscore: zscore cannot flag them all */

	/* `robust` and `both` alone */
	bool has_robust;
	double median;		 /* [packets/bin] */
	double mad;		 /* as it was used [packets/bin] */
	double robust_threshold; /* median + min_zscore * mad / 0.6745 [packets/bin] */

	size_t n_findings;
	/* By max_zscore, highest first; equal ones by source. Owned; not limited in number. Those
	 * that are `soft` stand behind all others. */
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
extern const struct levee_detector levee_detector_robust;
extern const struct levee_detector levee_detector_both;

/** By name; NULL if there is none of that name. */
const struct levee_detector *levee_detector_find(const char *name);

/** All names, separated by ", ", for messages. */
#define LEVEE_DETECTORS "zscore, robust, both"

/** "packets", "bytes", "syns" */
const char *levee_measure_name(enum levee_measure measure);

void levee_evaluation_clear(struct levee_evaluation *evaluation);

#endif
