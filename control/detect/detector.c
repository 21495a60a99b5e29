/* SPDX-License-Identifier: BSD-2-Clause */
#include "control/detect/detector.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "control/detect/detector_internal.h"

static const struct levee_detector *const detectors[] = {
	&levee_detector_zscore,
	&levee_detector_robust,
	&levee_detector_both,
};

const struct levee_detector *levee_detector_find(const char *name)
{
	for (size_t i = 0; i < sizeof(detectors) / sizeof(detectors[0]); i++)
		if (!strcmp(name, detectors[i]->name))
			return detectors[i];
	return NULL;
}

bool levee_detector_wants_histogram(const char *name)
{
	return strcmp(name, levee_detector_zscore.name) != 0;
}

const char *levee_measure_name(enum levee_measure measure)
{
	switch (measure) {
	case LEVEE_BYTES:
		return "bytes";
	case LEVEE_SYNS:
		return "syns";
	default:
		return "packets";
	}
}

void levee_evaluation_clear(struct levee_evaluation *evaluation)
{
	free(evaluation->findings);
	*evaluation = (struct levee_evaluation){ 0 };
}

bool levee_detect_is_masked(uint64_t k, uint64_t n, double min_zscore)
{
	long double z = min_zscore;

	/* sqrt((n - k) / k) <= z */
	return k && (long double)(n - k) <= z * z * (long double)k;
}

static bool has_soft(const struct levee_detect_params *params)
{
	return params->soft_zscore > 0 && params->soft_zscore < params->min_zscore;
}

int levee_detect_begin(const struct levee_judge *judge, const struct levee_detect_params *params,
		       struct levee_evaluation *out)
{
	int ret;

	*out = (struct levee_evaluation){ .now_s = judge->now_s };
	ret = levee_judge_moments(judge, LEVEE_PACKETS, &out->moments);
	if (ret)
		return ret;
	out->mean = levee_moments_mean(&out->moments);
	out->stddev = levee_moments_stddev(&out->moments);
	out->threshold = params->min_zscore * out->stddev + out->mean;
	out->limit_packets = levee_moments_threshold(&out->moments, params->min_packets,
						     params->min_zscore);
	out->soft_packets = out->limit_packets;
	if (has_soft(params))
		out->soft_packets = levee_moments_threshold(&out->moments, params->min_packets,
							    params->soft_zscore);
	out->n_above = levee_judge_count(judge, params->min_packets);
	out->masked = levee_detect_is_masked(out->n_above, out->moments.n, params->min_zscore);
	return 0;
}

/* ---- findings ------------------------------------------------------------------------------ */

static int by_source(const void *a, const void *b)
{
	const struct levee_finding *left = a, *right = b;

	return levee_prefix_compare(&left->source, &right->source);
}

static int by_score(const void *a, const void *b)
{
	const struct levee_finding *left = a, *right = b;

	if (left->soft != right->soft)
		return left->soft ? 1 : -1;
	if (left->max_zscore != right->max_zscore)
		return left->max_zscore > right->max_zscore ? -1 : 1;
	return levee_prefix_compare(&left->source, &right->source);
}

/* The same source, flagged by another measure: the one that says more speaks. */
static void join(struct levee_finding *into, const struct levee_finding *more)
{
	int64_t last_s = into->last_bin_s;
	bool wins = into->soft != more->soft ? into->soft : more->max_zscore > into->max_zscore;
	bool counts = into->soft == more->soft, answered = into->answered || more->answered;

	if (counts && more->last_bin_s > last_s)
		last_s = more->last_bin_s;
	if (wins)
		*into = *more;
	into->answered = answered;
	if (counts)
		into->last_bin_s = last_s;
}

static int append(struct levee_evaluation *out, const struct levee_finding *findings, size_t n)
{
	struct levee_finding *more;

	if (!n)
		return 0;
	more = reallocarray(out->findings, out->n_findings + n, sizeof(*more));
	if (!more)
		return -ENOMEM;
	memcpy(more + out->n_findings, findings, n * sizeof(*more));
	out->findings = more;
	out->n_findings += n;
	return 0;
}

/* Of the soft ones, those that no hard one is of: n of `soft`, in their order. \return how many */
static size_t without(const struct levee_finding *hard, size_t n_hard, struct levee_finding *soft,
		      size_t n)
{
	size_t kept = 0;

	for (size_t i = 0; i < n; i++)
		if (!n_hard || !bsearch(&soft[i], hard, n_hard, sizeof(*hard), by_source))
			soft[kept++] = soft[i];
	return kept;
}

static int add_soft(const struct levee_judge *judge, enum levee_measure measure, uint64_t floor,
		    const struct levee_finding *hard, size_t n_hard, struct levee_evaluation *found)
{
	struct levee_finding *soft, *sorted = NULL;
	size_t n;
	int ret = levee_judge_findings(judge, measure, floor, &soft, &n);

	if (!ret && n_hard) {
		sorted = calloc(n_hard, sizeof(*sorted));
		ret = sorted ? 0 : -ENOMEM;
	}
	if (!ret && n_hard) {
		memcpy(sorted, hard, n_hard * sizeof(*sorted));
		qsort(sorted, n_hard, sizeof(*sorted), by_source);
	}
	if (!ret) {
		n = without(sorted, n_hard, soft, n);
		for (size_t i = 0; i < n; i++)
			soft[i].soft = true;
		ret = append(found, soft, n);
	}
	free(sorted);
	free(soft);
	return ret;
}

/* Join what another measure found, in any order, and bring all into the order of their scores. */
static int join_all(struct levee_evaluation *out, struct levee_evaluation *found)
{
	size_t n_before = out->n_findings, n_new = 0;

	if (n_before)
		qsort(out->findings, n_before, sizeof(*out->findings), by_source);
	for (size_t i = 0; i < found->n_findings; i++) {
		struct levee_finding *there = n_before ? bsearch(&found->findings[i], out->findings,
								 n_before, sizeof(*out->findings),
								 by_source)
						       : NULL;

		if (there)
			join(there, &found->findings[i]);
		else
			found->findings[n_new++] = found->findings[i];
	}
	if (append(out, found->findings, n_new))
		return -ENOMEM;
	if (out->n_findings)
		qsort(out->findings, out->n_findings, sizeof(*out->findings), by_score);
	return 0;
}

int levee_detect_add(const struct levee_judge *judge, enum levee_measure measure, uint64_t floor,
		     uint64_t soft_floor,
		     void (*mark)(const void *ctx, struct levee_finding *finding), const void *ctx,
		     struct levee_evaluation *out)
{
	struct levee_evaluation found = { 0 };
	int ret = levee_judge_findings(judge, measure, floor, &found.findings, &found.n_findings);

	if (!ret && soft_floor < floor)
		ret = add_soft(judge, measure, soft_floor, found.findings, found.n_findings,
			       &found);
	for (size_t i = 0; !ret && i < found.n_findings; i++)
		mark(ctx, &found.findings[i]);
	if (!ret && measure == LEVEE_PACKETS) {
		out->findings = found.findings; /* the first, and in order */
		out->n_findings = found.n_findings;
		return 0;
	}
	if (!ret && found.n_findings)
		ret = join_all(out, &found);
	free(found.findings);
	return ret;
}

/* ---- by Z-score ---------------------------------------------------------------------------- */

static void mark_zscore(const void *ctx, struct levee_finding *finding)
{
	finding->by = LEVEE_BY_ZSCORE;
	finding->max_zscore = levee_moments_zscore(ctx, finding->max_value);
}

static int add_by_zscore(const struct levee_judge *judge, enum levee_measure measure,
			 const struct levee_moments *m, uint64_t minimum,
			 const struct levee_detect_params *params, struct levee_evaluation *out)
{
	uint64_t floor = levee_moments_floor(m, minimum, params->min_zscore), soft = floor;

	if (has_soft(params))
		soft = levee_moments_floor(m, minimum, params->soft_zscore);
	return levee_detect_add(judge, measure, floor, soft, mark_zscore, m, out);
}

int levee_detect_zscore(const struct levee_judge *judge, const struct levee_detect_params *params,
			struct levee_evaluation *out)
{
	return add_by_zscore(judge, LEVEE_PACKETS, &out->moments, params->min_packets, params, out);
}

int levee_detect_measures(const struct levee_judge *judge, const struct levee_detect_params *params,
			  struct levee_evaluation *out)
{
	const uint64_t minimum[LEVEE_MEASURES] = {
		[LEVEE_BYTES] = params->min_bytes, [LEVEE_SYNS] = params->min_syns
	};
	int ret = 0;

	for (enum levee_measure m = LEVEE_BYTES; !ret && m < LEVEE_MEASURES; m++) {
		struct levee_moments moments = { 0 };

		if (!minimum[m])
			continue;
		ret = levee_judge_moments(judge, m, &moments);
		if (!ret)
			ret = add_by_zscore(judge, m, &moments, minimum[m], params, out);
	}
	return ret;
}
