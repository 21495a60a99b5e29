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
	trip->threshold = levee_moments_threshold(&trip->moments, params->detect.min_packets,
						  params->detect.min_zscore);
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
		.max_value = packets,
		.max_packets = packets,
		.last_bin_s = running_s,
		.last_packets = packets,
	};
	return true;
}
