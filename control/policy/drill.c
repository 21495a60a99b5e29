/* SPDX-License-Identifier: BSD-2-Clause */
#include "control/policy/drill.h"

#include "control/policy/blocks.h"

bool levee_drill_is_documentation(const struct levee_prefix *prefix)
{
	static const struct levee_prefix ranges[] = {
		{ .family = 4, .length = 24, .hi = 0xc0000200 },	 /* 192.0.2.0/24 */
		{ .family = 4, .length = 24, .hi = 0xc6336400 },	 /* 198.51.100.0/24 */
		{ .family = 4, .length = 24, .hi = 0xcb007100 },	 /* 203.0.113.0/24 */
		{ .family = 6, .length = 32, .hi = 0x20010db800000000 }, /* 2001:db8::/32 */
		{ .family = 6, .length = 20, .hi = 0x3fff000000000000 }, /* 3fff::/20 */
	};

	for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++)
		if (levee_prefix_covers(&ranges[i], prefix))
			return true;
	return false;
}

uint64_t levee_drill_packets(const struct levee_drill *drill, int64_t start_s, unsigned int bin_s,
			     uint64_t now_ns)
{
	uint64_t from = (uint64_t)start_s * LEVEE_NS_PER_S, to = from + bin_s * LEVEE_NS_PER_S;

	if (from < drill->begin_ns)
		from = drill->begin_ns;
	if (to > drill->end_ns)
		to = drill->end_ns;
	if (to > now_ns)
		to = now_ns;
	if (to <= from)
		return 0;
	return (uint64_t)((__uint128_t)drill->rate * (to - from) / LEVEE_NS_PER_S);
}

/* Start of the bin that holds an instant. */
static int64_t bin_of(uint64_t ns, unsigned int bin_s)
{
	int64_t s = (int64_t)(ns / LEVEE_NS_PER_S);

	return s - s % (int64_t)bin_s;
}

struct span {
	int64_t first_s, last_s; /* bins that it may have sent in */
	uint64_t now_ns;
};

static struct span span_of(const struct levee_drill *drill, const struct levee_evaluation *e,
			   int64_t begin_s, unsigned int bin_s)
{
	struct span span = { .first_s = bin_of(drill->begin_ns, bin_s),
			     .now_ns = (uint64_t)e->now_s * LEVEE_NS_PER_S };
	uint64_t end_ns = drill->end_ns < span.now_ns ? drill->end_ns : span.now_ns;

	span.last_s = bin_of(end_ns, bin_s);
	if (span.first_s < begin_s)
		span.first_s = begin_s;
	return span;
}

bool levee_drill_judge(const struct levee_drill *drill, const struct levee_evaluation *e,
		       const struct levee_detect_params *params, int64_t begin_s,
		       unsigned int bin_s, uint64_t *largest, double *zscore,
		       struct levee_finding *finding)
{
	struct span span = span_of(drill, e, begin_s, bin_s);
	struct levee_moments all = e->moments;
	uint64_t packets;

	*largest = 0;
	*finding = (struct levee_finding){
		.source = drill->source,
		.marks = LEVEE_BLOCK_DRILL | (drill->push ? LEVEE_BLOCK_PUSH : 0),
	};
	for (int64_t at = span.first_s; at <= span.last_s; at += bin_s) {
		packets = levee_drill_packets(drill, at, bin_s, span.now_ns);
		if (packets && levee_moments_add(&all, packets))
			return false;
		if (packets > *largest)
			*largest = packets;
	}
	*zscore = levee_moments_zscore(&all, *largest);
	for (int64_t at = span.first_s; at <= span.last_s; at += bin_s) {
		packets = levee_drill_packets(drill, at, bin_s, span.now_ns);
		if (packets <= params->min_packets ||
		    !levee_moments_above(&all, packets, params->min_zscore))
			continue;
		finding->last_bin_s = at;
		finding->last_packets = packets;
	}
	finding->max_packets = finding->max_value = *largest;
	finding->max_zscore = *zscore;
	return finding->last_packets > 0;
}
