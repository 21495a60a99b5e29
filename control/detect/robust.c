/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "control/detect/detector_internal.h"

#define TO_SIGMA 0.6745 /* third quartile of the normal distribution: MAD of its deviation */

static double larger(double a, double b)
{
	return a > b ? a : b;
}

static uint64_t larger_of(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

static int count_values(const struct levee_judge *judge, struct levee_buckets *buckets)
{
	for (size_t i = judge->first; i < judge->end; i++)
		levee_buckets_take(buckets, &levee_window_bin(judge->window, i)->histogram);
	return judge->running ? levee_bin_count_values(judge->running, buckets) : 0;
}

/*
 * Bins that another detector left have no histogram. While less than half of the values are
 * known, the median may be anywhere, and robust has no say.
 */
static int find_medians(const struct levee_judge *judge, const struct levee_detect_params *params,
			struct levee_evaluation *out)
{
	struct levee_buckets *buckets = calloc(1, sizeof(*buckets));
	int ret = buckets ? count_values(judge, buckets) : -ENOMEM;

	if (!ret && buckets->n && buckets->n >= out->moments.n / 2) {
		out->has_robust = true;
		out->median = levee_buckets_median(buckets);
		ret = levee_buckets_deviation(buckets, out->median, &out->mad);
		out->mad = larger(out->mad, larger(1.0, out->median * LEVEE_BUCKET_ERROR));
		out->robust_threshold = out->median + params->min_zscore * out->mad / TO_SIGMA;
	}
	free(buckets);
	return ret;
}

/* Least number of packets above the minimum with a score above z. */
static uint64_t robust_floor(const struct levee_evaluation *e, uint64_t minimum, double z)
{
	double threshold = e->median + z * e->mad / TO_SIGMA;

	if (!e->has_robust || threshold >= (double)LEVEE_VALUE_MAX)
		return LEVEE_VALUE_END;
	return larger_of(minimum, (uint64_t)threshold) + 1;
}

static void mark_robust(const void *ctx, struct levee_finding *finding)
{
	const struct levee_evaluation *e = ctx;

	finding->by = LEVEE_BY_ROBUST;
	finding->max_zscore = TO_SIGMA * ((double)finding->max_value - e->median) / e->mad;
}

static void mark_zscore(const void *ctx, struct levee_finding *finding)
{
	const struct levee_evaluation *e = ctx;

	finding->by = LEVEE_BY_ZSCORE;
	finding->max_zscore = levee_moments_zscore(&e->moments, finding->max_value);
}

/*
 * What the bins without masking say is usual: values up to mean + z * stddev of them. 0 if there is
 * no such bin, and nothing to compare with.
 */
static int usual_packets(const struct levee_judge *judge, const struct levee_detect_params *params,
			 double z, uint64_t *out)
{
	struct levee_moments usual = { 0 };
	int ret = 0;

	for (size_t i = judge->first; !ret && i < judge->end; i++) {
		const struct levee_bin_record *r = levee_window_bin(judge->window, i);
		uint64_t k = levee_bin_record_above(r, params->min_packets);

		if (!levee_detect_is_masked(k, r->moments.n, params->min_zscore))
			ret = levee_moments_merge(&usual, &r->moments);
	}
	*out = usual.n ? levee_moments_threshold(&usual, params->min_packets, z) : 0;
	return ret;
}

/* Above which both detectors flag; robust alone, and what is usual, where zscore is blind. */
static int both_floor(const struct levee_judge *judge, const struct levee_detect_params *params,
		      const struct levee_evaluation *e, double z, uint64_t *floor)
{
	uint64_t usual = 0;
	int ret = 0;

	*floor = robust_floor(e, params->min_packets, z);
	if (!e->has_robust)
		*floor = levee_moments_floor(&e->moments, params->min_packets, z);
	else if (!e->masked)
		*floor = larger_of(*floor,
				   levee_moments_floor(&e->moments, params->min_packets, z));
	else
		ret = usual_packets(judge, params, z, &usual);
	*floor = larger_of(*floor, usual + 1);
	return ret;
}

static double soft_of(const struct levee_detect_params *params)
{
	return params->soft_zscore > 0 && params->soft_zscore < params->min_zscore
		       ? params->soft_zscore
		       : params->min_zscore;
}

/* Packets that are not in the window are judged by the same floor: without one, by the Z-score. */
static void set_limits(struct levee_evaluation *e, uint64_t floor, uint64_t soft)
{
	if (floor < LEVEE_VALUE_END)
		e->limit_packets = floor - 1;
	e->soft_packets = soft < LEVEE_VALUE_END ? soft - 1 : e->limit_packets;
}

static int evaluate(const struct levee_window *window, const struct levee_bin *running,
		    int64_t now_s, const struct levee_detect_params *params, bool both,
		    struct levee_evaluation *out)
{
	struct levee_judge judge;
	uint64_t floor, soft;
	int ret;

	levee_judge_begin(&judge, window, running, now_s);
	ret = levee_detect_begin(&judge, params, out);
	if (!ret)
		ret = find_medians(&judge, params, out);
	floor = robust_floor(out, params->min_packets, params->min_zscore);
	soft = robust_floor(out, params->min_packets, soft_of(params));
	if (!ret && both)
		ret = both_floor(&judge, params, out, params->min_zscore, &floor);
	if (!ret && both)
		ret = both_floor(&judge, params, out, soft_of(params), &soft);
	if (!ret) {
		set_limits(out, floor, soft);
		ret = levee_detect_add(&judge, LEVEE_PACKETS, floor, soft,
				       both && (!out->masked || !out->has_robust) ? mark_zscore
										  : mark_robust,
				       out, out);
	}
	if (!ret)
		ret = levee_detect_measures(&judge, params, out);
	if (ret)
		levee_evaluation_clear(out);
	return ret;
}

static int evaluate_robust(const struct levee_window *window, const struct levee_bin *running,
			   int64_t now_s, const struct levee_detect_params *params,
			   struct levee_evaluation *out)
{
	return evaluate(window, running, now_s, params, false, out);
}

static int evaluate_both(const struct levee_window *window, const struct levee_bin *running,
			 int64_t now_s, const struct levee_detect_params *params,
			 struct levee_evaluation *out)
{
	return evaluate(window, running, now_s, params, true, out);
}

const struct levee_detector levee_detector_robust = {
	.name = "robust",
	.evaluate = evaluate_robust,
};

const struct levee_detector levee_detector_both = {
	.name = "both",
	.evaluate = evaluate_both,
};
