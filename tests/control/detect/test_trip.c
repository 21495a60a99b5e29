/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "control/detect/trip.h"

static const struct levee_trip_params usual = {
	.on = true,
	.warmup_bins = 3,
	.cpus = 2,
	.detect = { .min_zscore = 3.0, .min_packets = 12000 },
};

/* xorshift64 (Marsaglia, J. Stat. Soft. 8(14), 2003): the same numbers at every run. */
static uint64_t next(uint64_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed;
}

static struct levee_prefix ipv4(uint32_t addr)
{
	return (struct levee_prefix){ .hi = addr, .family = 4, .length = 32 };
}

static void push(struct levee_window *window, int64_t start_s, const uint64_t *values, size_t n)
{
	struct levee_bin *bin = levee_bin_new(4096);
	struct levee_bin_record record;

	for (size_t i = 0; i < n; i++) {
		struct levee_prefix source = ipv4((uint32_t)i);

		assert_int_equal(levee_bin_add(bin, &source, values[i], 0), 0);
	}
	assert_int_equal(levee_bin_record_make(&record, bin, start_s, 12000), 0);
	assert_int_equal(levee_window_push(window, &record), 0);
	levee_bin_free(&bin);
}

/* ---- the model: CPUs that count for themselves ---------------------------------------------- */

#define CPUS_MAX 16

struct model {
	unsigned int cpus;
	unsigned int lag;
	uint64_t counted[CPUS_MAX]; /* of the open epoch */
	uint64_t waiting[CPUS_MAX]; /* received, and not counted yet */
	uint64_t drained;	    /* of the bin, in epochs before */
	uint64_t received;
	uint64_t events;
};

static uint64_t counted_sum(const struct model *m)
{
	uint64_t sum = m->drained;

	for (unsigned int i = 0; i < m->cpus; i++)
		sum += m->counted[i];
	return sum;
}

/* One packet on a CPU. \return whether an event says to block */
static bool receive(struct model *m, const struct levee_trip *trip, unsigned int cpu)
{
	struct levee_prefix source = ipv4(1);
	struct levee_finding finding;
	uint64_t before = m->counted[cpu] / trip->share;

	m->received++;
	if (++m->waiting[cpu] <= m->lag)
		return false;
	m->counted[cpu] += m->waiting[cpu];
	m->waiting[cpu] = 0;
	if (m->counted[cpu] / trip->share == before)
		return false;
	m->events++;
	return levee_trip_decide(trip, &source, counted_sum(m), 600, &finding);
}

/* An early drain: all counts begin anew, and every source is looked at. */
static bool drain(struct model *m, const struct levee_trip *trip)
{
	struct levee_prefix source = ipv4(1);
	struct levee_finding finding;

	for (unsigned int i = 0; i < m->cpus; i++) {
		m->drained += m->counted[i];
		m->counted[i] = 0;
	}
	return levee_trip_decide(trip, &source, m->drained, 600, &finding);
}

/*
 * Ways to spread packets over CPUs, the worst among them: all CPUs side by side, so that each
 * is just short of its next share when the sum passes the threshold.
 */
static unsigned int choose_cpu(uint64_t *seed, unsigned int way, unsigned int cpus, uint64_t nr)
{
	switch (way) {
	case 0:
		return (unsigned int)(nr % cpus);
	case 1:
		return (unsigned int)(next(seed) % cpus);
	case 2: /* one CPU has nearly everything */
		return next(seed) % 100 ? 0 : (unsigned int)(next(seed) % cpus);
	case 3: /* runs on one CPU, as with interrupts that wander */
		return (unsigned int)(nr / 997 % cpus);
	default:
		return (unsigned int)((next(seed) % cpus) * (next(seed) % cpus) / cpus);
	}
}

/* \return packets received when the block came; the bound is broken if that is above `latest` */
static uint64_t packets_until_block(uint64_t *seed, const struct levee_trip *trip,
				    const struct levee_trip_params *params, unsigned int way,
				    bool drains)
{
	struct model m = { .cpus = params->cpus, .lag = params->lag };

	while (m.received <= 2 * trip->latest) {
		if (receive(&m, trip, choose_cpu(seed, way, m.cpus, m.received)))
			return m.received;
		if (drains && next(seed) % 1500 == 0 && drain(&m, trip))
			return m.received;
	}
	return m.received;
}

static struct levee_trip trip_of(uint64_t threshold, const struct levee_trip_params *params)
{
	struct levee_window *window = levee_window_new(60, 3600);
	struct levee_trip_params with = *params;
	struct levee_trip trip;

	with.warmup_bins = 0;
	with.detect.min_packets = threshold;
	assert_int_equal(levee_trip_make(&trip, &with, window, 600), 0);
	levee_window_free(&window);
	return trip;
}

static void any_split_is_blocked_by_one_and_a_quarter(void **state)
{
	uint64_t seed = 0x9e3779b97f4a7c15ULL;

	(void)state;
	for (unsigned int run = 0; run < 1500; run++) {
		struct levee_trip_params params = usual;
		uint64_t threshold = 64 * CPUS_MAX + next(&seed) % 20000, got;
		struct levee_trip trip;

		params.cpus = 1 + (unsigned int)(next(&seed) % CPUS_MAX);
		trip = trip_of(threshold, &params);
		assert_int_equal(trip.threshold, threshold);
		got = packets_until_block(&seed, &trip, &params, run % 5, run % 3 == 0);
		assert_true(got > threshold);
		assert_true(got <= trip.latest);
		assert_true(4 * got <= 5 * threshold);
	}
}

static void counting_in_bursts_keeps_the_bound(void **state)
{
	uint64_t seed = 0x2545f4914f6cdd1dULL;

	(void)state;
	for (unsigned int run = 0; run < 500; run++) {
		struct levee_trip_params params = usual;
		uint64_t threshold = 12000 + next(&seed) % 20000, got;
		struct levee_trip trip;

		params.cpus = 1 + (unsigned int)(next(&seed) % CPUS_MAX);
		params.lag = 63;
		trip = trip_of(threshold, &params);
		got = packets_until_block(&seed, &trip, &params, run % 5, run % 3 == 0);
		assert_true(got > threshold);
		assert_true(got <= trip.latest);
		/* With 16 CPUs the bursts alone may hold more than a quarter of it back. */
		if (params.cpus * 126ULL + params.cpus <= threshold / 4)
			assert_true(4 * trip.latest <= 5 * threshold);
	}
}

static void the_worst_split_comes_near_the_bound(void **state)
{
	struct levee_trip_params params = usual;
	struct levee_trip trip;
	struct model m = { .cpus = 4 };
	bool blocked = false;

	(void)state;
	params.cpus = 4;
	trip = trip_of(12000, &params);
	assert_int_equal(trip.share, 750);
	/* Each of the four stands at 2,999: together 11,996, and no event for 749 packets each. */
	for (unsigned int cpu = 0; cpu < 4; cpu++)
		for (int i = 0; i < 2999; i++)
			assert_false(receive(&m, &trip, cpu));
	/* The first events come at 3,000 on each, the second of them at a sum above 12,000. */
	for (unsigned int i = 0; !blocked; i++)
		blocked = receive(&m, &trip, i % 4);
	assert_in_range(m.received, 12001, 15000);
}

static void a_source_below_the_threshold_raises_an_event_per_share(void **state)
{
	struct levee_trip trip = trip_of(12000, &usual);
	struct model m = { .cpus = 2 };

	(void)state;
	for (int i = 0; i < 12000; i++)
		assert_false(receive(&m, &trip, (unsigned int)i % 2));
	assert_int_equal(m.events, 2 * 6000 / 1500);
	m = (struct model){ .cpus = 2 };
	for (int i = 0; i < 1499; i++)
		assert_false(receive(&m, &trip, 0));
	assert_int_equal(m.events, 0);
}

/* ---- the threshold -------------------------------------------------------------------------- */

static void the_threshold_is_mean_and_deviation_of_complete_bins(void **state)
{
	struct levee_window *window = levee_window_new(60, 3600);
	const uint64_t values[] = { 10000, 20000 }, running[] = { 1000000 };
	struct levee_trip trip;

	(void)state;
	for (int64_t at = 0; at < 600; at += 60)
		push(window, at, values, 2);
	push(window, 600, running, 1); /* a part of the running bin, from before a restart */
	assert_int_equal(levee_trip_make(&trip, &usual, window, 600), 0);
	assert_true(trip.armed);
	assert_int_equal(trip.bins, 10);
	/* mean 15,000, deviation 5,000 */
	assert_int_equal(trip.threshold, 30000);
	assert_int_equal(trip.share, 30000 / 2 / 4);
	levee_window_free(&window);
}

static void the_minimum_holds_where_traffic_is_light(void **state)
{
	struct levee_window *window = levee_window_new(60, 3600);
	const uint64_t values[] = { 10, 20 };
	struct levee_trip trip;

	(void)state;
	for (int64_t at = 0; at < 600; at += 60)
		push(window, at, values, 2);
	assert_int_equal(levee_trip_make(&trip, &usual, window, 600), 0);
	assert_int_equal(trip.threshold, 12000);
	levee_window_free(&window);
}

static void without_deviation_the_mean_counts(void **state)
{
	struct levee_window *window = levee_window_new(60, 3600);
	const uint64_t values[] = { 50000, 50000 };
	struct levee_trip trip;

	(void)state;
	for (int64_t at = 0; at < 600; at += 60)
		push(window, at, values, 2);
	assert_int_equal(levee_trip_make(&trip, &usual, window, 600), 0);
	assert_int_equal(trip.threshold, 50000);
	levee_window_free(&window);
}

static void it_is_not_armed_before_the_warm_up_or_when_off(void **state)
{
	struct levee_window *window = levee_window_new(60, 3600);
	struct levee_trip_params params = usual;
	struct levee_prefix source = ipv4(7);
	const uint64_t values[] = { 10, 20 };
	struct levee_finding finding;
	struct levee_trip trip;

	(void)state;
	for (int64_t at = 0; at < 240; at += 60) {
		assert_int_equal(levee_trip_make(&trip, &params, window, at), 0);
		assert_int_equal(trip.armed, at >= 180);
		assert_int_equal(levee_trip_decide(&trip, &source, 1000000, at, &finding),
				 at >= 180);
		push(window, at, values, 2);
	}
	params.on = false;
	assert_int_equal(levee_trip_make(&trip, &params, window, 240), 0);
	assert_false(trip.armed);
	/* What the window does not hold any more warms nothing up. */
	params.on = true;
	assert_int_equal(levee_trip_make(&trip, &params, window, 36000), 0);
	assert_false(trip.armed);
	levee_window_free(&window);
}

static void the_decision_is_strict_and_says_what_it_saw(void **state)
{
	struct levee_window *window = levee_window_new(60, 3600);
	const uint64_t values[] = { 10000, 20000 };
	struct levee_prefix source = ipv4(7);
	struct levee_finding finding;
	struct levee_trip trip;

	(void)state;
	for (int64_t at = 0; at < 600; at += 60)
		push(window, at, values, 2);
	assert_int_equal(levee_trip_make(&trip, &usual, window, 600), 0);
	assert_false(levee_trip_decide(&trip, &source, 30000, 600, &finding));
	assert_true(levee_trip_decide(&trip, &source, 35000, 600, &finding));
	assert_int_equal(finding.by, LEVEE_BY_TRIP);
	assert_int_equal(levee_prefix_compare(&finding.source, &source), 0);
	assert_true(finding.max_zscore == 4.0);
	assert_int_equal(finding.max_packets, 35000);
	assert_int_equal(finding.last_bin_s, 600);
	levee_window_free(&window);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(any_split_is_blocked_by_one_and_a_quarter),
		cmocka_unit_test(counting_in_bursts_keeps_the_bound),
		cmocka_unit_test(the_worst_split_comes_near_the_bound),
		cmocka_unit_test(a_source_below_the_threshold_raises_an_event_per_share),
		cmocka_unit_test(the_threshold_is_mean_and_deviation_of_complete_bins),
		cmocka_unit_test(the_minimum_holds_where_traffic_is_light),
		cmocka_unit_test(without_deviation_the_mean_counts),
		cmocka_unit_test(it_is_not_armed_before_the_warm_up_or_when_off),
		cmocka_unit_test(the_decision_is_strict_and_says_what_it_saw),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
