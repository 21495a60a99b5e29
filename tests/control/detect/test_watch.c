/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "control/detect/watch.h"

#define MS_NS 1000000ULL
#define START (1000 * MS_NS)

static struct levee_watch watch;

static struct levee_prefix source_nr(uint32_t nr)
{
	return (struct levee_prefix){ .hi = 0xc6336400 + nr, .family = 4, .length = 32 };
}

static int clear(void **state)
{
	(void)state;
	memset(&watch, 0, sizeof(watch));
	return 0;
}

/* Packets beyond the threshold when a look finds the crossing, at a constant rate. */
static uint64_t lag_of(uint64_t per_ms, uint64_t first, uint64_t threshold, uint64_t *looks)
{
	struct levee_prefix p = source_nr(1);
	uint64_t now_ns = START, packets = first;

	*looks = 0;
	levee_watch_clear(&watch);
	while (packets <= threshold) {
		levee_watch_note(&watch, &p, packets, threshold, now_ns);
		now_ns = levee_watch_next(&watch);
		if (now_ns == UINT64_MAX)
			return UINT64_MAX;
		assert_true(levee_watch_due(&watch, now_ns, &p));
		packets = first + (now_ns - START) * per_ms / MS_NS;
		(*looks)++;
	}
	return packets - threshold;
}

static void a_steady_source_is_caught_within_two_looks_of_its_crossing(void **state)
{
	uint64_t looks, lag;

	(void)state;
	for (uint64_t per_ms = 8; per_ms <= 5000; per_ms = per_ms * 3 + 1)
		for (uint64_t first = 0; first < 12000; first += 997) {
			lag = lag_of(per_ms, first, 12000, &looks);
			if (lag == UINT64_MAX) {
				assert_true((12000 - first) > per_ms * 500);
				continue;
			}
			assert_true(lag <= 2 * LEVEE_WATCH_LOOK_NS * per_ms / MS_NS + 2);
			assert_true(looks < 40);
		}
}

/* Packets beyond the threshold when a look finds the crossing, of one that sends in bursts. */
static uint64_t lag_in_bursts(uint64_t burst, uint64_t pause_ns, uint64_t phase_ns)
{
	struct levee_prefix p = source_nr(1);
	uint64_t now_ns = START, first = 6000, packets = first;

	levee_watch_clear(&watch);
	while (packets <= 12000) {
		levee_watch_note(&watch, &p, packets, 12000, now_ns);
		now_ns = levee_watch_next(&watch);
		if (now_ns == UINT64_MAX)
			return UINT64_MAX;
		assert_true(levee_watch_due(&watch, now_ns, &p));
		packets = first + (now_ns - START + phase_ns) / pause_ns * burst;
	}
	return packets - 12000;
}

static void a_look_between_two_bursts_does_not_lose_the_source(void **state)
{
	(void)state;
	/* 100,000 packets a second in bursts up to 10 ms apart: a burst of lag and two looks */
	for (uint64_t pause_us = 100; pause_us <= 10000; pause_us += 300)
		for (uint64_t phase_us = 0; phase_us < pause_us; phase_us += 70)
			assert_true(lag_in_bursts(pause_us / 10, pause_us * 1000,
						  phase_us * 1000) <= pause_us / 10 + 50);
}

static void a_part_of_a_sum_is_looked_at_by_the_clock_while_it_grows(void **state)
{
	struct levee_prefix p = source_nr(1);
	uint64_t now_ns = START, then_ns, every = 100 * MS_NS;

	(void)state;
	watch.every_ns = every;
	/* Too slow to be followed to the threshold for its own sake. */
	levee_watch_note(&watch, &p, 100, 12000, now_ns);
	for (int i = 1; i <= 20; i++) {
		now_ns = levee_watch_next(&watch);
		assert_true(levee_watch_due(&watch, now_ns, &p));
		levee_watch_note(&watch, &p, 100 + (uint64_t)i, 12000, now_ns);
		assert_true(levee_watch_next(&watch) <= now_ns + every);
		assert_true(levee_watch_knows(&watch, &p, 100 + (uint64_t)i));
		assert_false(levee_watch_knows(&watch, &p, 99));
	}
	/* It has ended: less and less often, and then not at all. */
	then_ns = now_ns;
	for (int i = 0; i < 10 && levee_watch_next(&watch) != UINT64_MAX; i++) {
		now_ns = levee_watch_next(&watch);
		assert_true(levee_watch_due(&watch, now_ns, &p));
		levee_watch_note(&watch, &p, 120, 12000, now_ns);
	}
	assert_true(levee_watch_next(&watch) == UINT64_MAX && now_ns - then_ns < 10 * every);
}

/* \return looks until nobody is watched any more; now_ns ends there */
static unsigned int looks_until_left(struct levee_prefix *p, uint64_t packets, uint64_t per_s,
				     uint64_t *now_ns)
{
	uint64_t begin_ns = *now_ns;
	unsigned int looks = 0;

	levee_watch_note(&watch, p, packets, 12000, *now_ns);
	while (levee_watch_next(&watch) != UINT64_MAX && looks < 1000) {
		*now_ns = levee_watch_next(&watch);
		assert_true(levee_watch_due(&watch, *now_ns, p));
		levee_watch_note(&watch, p, packets + (*now_ns - begin_ns) * per_s / 1000000000,
				 12000, *now_ns);
		looks++;
	}
	return looks;
}

static void who_stops_or_is_slow_is_left_to_the_events(void **state)
{
	struct levee_prefix p = source_nr(1);
	uint64_t now_ns = START;

	(void)state;
	/* Stopped: looked at less and less often, and given up. */
	assert_true(looks_until_left(&p, 6000, 0, &now_ns) < 16);
	assert_true(now_ns < START + 2 * LEVEE_WATCH_AHEAD_NS);
	/* So slow that the next share tells of it early enough. */
	now_ns = START;
	assert_true(looks_until_left(&p, 6000, 1000, &now_ns) < 16);
	assert_true(now_ns < START + LEVEE_WATCH_AHEAD_NS);
}

static void a_clock_that_stands_still_divides_nothing_by_zero(void **state)
{
	struct levee_prefix p = source_nr(1);

	(void)state;
	levee_watch_note(&watch, &p, 6000, 12000, START);
	levee_watch_note(&watch, &p, 7000, 12000, START);
	assert_int_equal(levee_watch_next(&watch), START + LEVEE_WATCH_LOOK_NS);
}

static void there_is_room_for_some_and_the_rest_is_no_harm(void **state)
{
	struct levee_prefix p;
	unsigned int n = 0;

	(void)state;
	for (uint32_t nr = 0; nr < LEVEE_WATCH_MAX + 10; nr++) {
		p = source_nr(nr);
		levee_watch_note(&watch, &p, 100, 12000, START + nr);
	}
	while (levee_watch_due(&watch, START + MS_NS, &p))
		n++;
	assert_int_equal(n, LEVEE_WATCH_MAX);
	assert_int_equal(levee_watch_next(&watch), UINT64_MAX);
	for (uint32_t nr = 0; nr < LEVEE_WATCH_MAX; nr++) {
		p = source_nr(nr);
		levee_watch_forget(&watch, &p);
		levee_watch_forget(&watch, &p);
	}
	assert_int_equal(watch.n, 0);
}

int main(void)
{
#define T(test) cmocka_unit_test_setup(test, clear)
	const struct CMUnitTest tests[] = {
		T(a_steady_source_is_caught_within_two_looks_of_its_crossing),
		cmocka_unit_test_setup(a_part_of_a_sum_is_looked_at_by_the_clock_while_it_grows,
				       clear),
		T(a_look_between_two_bursts_does_not_lose_the_source),
		T(who_stops_or_is_slow_is_left_to_the_events),
		T(a_clock_that_stands_still_divides_nothing_by_zero),
		T(there_is_room_for_some_and_the_rest_is_no_harm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
