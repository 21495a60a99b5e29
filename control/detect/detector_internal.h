/* SPDX-License-Identifier: BSD-2-Clause */
/* The steps that detectors are made of: detector.c. */
#ifndef LEVEE_DETECTOR_INTERNAL_H
#define LEVEE_DETECTOR_INTERNAL_H

#include "control/detect/judge.h"

/** Moments, thresholds of the Z-score, and masking. \return 0; -errno, *out to be cleared */
int levee_detect_begin(const struct levee_judge *judge, const struct levee_detect_params *params,
		       struct levee_evaluation *out);

/** The findings by Z-score of packets. */
int levee_detect_zscore(const struct levee_judge *judge, const struct levee_detect_params *params,
			struct levee_evaluation *out);

/** Bytes and SYNs, as far as they are judged, join the findings. */
int levee_detect_measures(const struct levee_judge *judge, const struct levee_detect_params *params,
			  struct levee_evaluation *out);

/** Can k of n values all have z > min_zscore? Decided in integers where it matters. */
bool levee_detect_is_masked(uint64_t k, uint64_t n, double min_zscore);

/**
 * Findings from a floor on, scored and marked by `mark`, added to those that *out has. Behind
 * them those from the soft floor on.
 */
int levee_detect_add(const struct levee_judge *judge, enum levee_measure measure, uint64_t floor,
		     uint64_t soft_floor,
		     void (*mark)(const void *ctx, struct levee_finding *finding), const void *ctx,
		     struct levee_evaluation *out);

#endif
