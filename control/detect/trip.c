/* SPDX-License-Identifier: BSD-2-Clause */
#include "control/detect/trip.h"

#include <assert.h>

/* A quarter of the threshold is what may pass between the crossing and the block. */
#define QUARTER 4

uint64_t levee_trip_share(uint64_t threshold, unsigned int cpus, unsigned int lag)
{
	uint64_t share = threshold / QUARTER / cpus;

	assert(cpus > 0);
	/* Once before the sum is seen to pass the threshold, and once more until the event. */
	return share > 2ULL * lag + 1 ? share - 2ULL * lag : 1;
}

/*
 * The threshold as an integer: packets above it are anomalous, packets at it are not. Where all
 * values are equal, or where there are none, z says nothing: the formula's deviation is then 0.
 */
static uint64_t find_threshold(const struct levee_moments *m,
			       const struct levee_detect_params *params)
{
	uint64_t floor = levee_moments_floor(m, params->min_packets, params->min_zscore);
	uint64_t mean = m->n ? (uint64_t)(m->sum / m->n) : 0;

	if (floor < LEVEE_VALUE_END)
		return floor - 1;
	return params->min_packets > mean ? params->min_packets : mean;
}

int levee_trip_make(struct levee_trip *trip, const struct levee_trip_params *params,
		    const struct levee_window *window, int64_t running_s)
{
	int64_t begin_s = levee_window_begin(window, running_s);
	int ret = 0;

	*trip = (struct levee_trip){ 0 };
	for (size_t i = 0; !ret && i < levee_window_bins(window); i++) {
		const struct levee_bin_record *record = levee_window_bin(window, i);

		if (record->start_s < begin_s || record->start_s >= running_s)
			continue;
		ret = levee_moments_merge(&trip->moments, &record->moments);
		trip->bins++;
	}
	if (ret)
		return ret;
	trip->threshold = find_threshold(&trip->moments, &params->detect);
	trip->share = levee_trip_share(trip->threshold, params->cpus, params->lag);
	trip->latest = trip->threshold + params->cpus * (trip->share - 1 + 2ULL * params->lag) + 1;
	trip->armed = params->on && trip->bins >= params->warmup_bins;
	return 0;
}

bool levee_trip_decide(const struct levee_trip *trip, const struct levee_prefix *source,
		       uint64_t packets, int64_t running_s, struct levee_finding *finding)
{
	if (!trip->armed || packets <= trip->threshold)
		return false;
	*finding = (struct levee_finding){
		.source = *source,
		.by = LEVEE_BY_TRIP,
		.max_zscore = levee_moments_zscore(&trip->moments, packets),
		.max_packets = packets,
		.last_bin_s = running_s,
		.last_packets = packets,
	};
	return true;
}
