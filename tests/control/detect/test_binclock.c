/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "control/detect/binclock.h"

#define S   1000000000ULL
#define LEN (60 * S)

/* Wall time of bin 0 of most tests, and how far boot time is behind it. */
#define EPOCH (1700000040ULL * S)
#define BOOT  (1000 * S)

/* Both clocks at `s` seconds into the test, with the wall clock stepped by `step_s`. */
struct instant {
	uint64_t boot_ns;
	uint64_t unix_ns;
};

static struct instant at(double s, double step_s)
{
	return (struct instant){ BOOT + (uint64_t)(s * 1e9),
				 (uint64_t)((int64_t)(EPOCH + (uint64_t)(s * 1e9)) +
					    (int64_t)(step_s * 1e9)) };
}

static struct levee_binclock started(double s)
{
	struct levee_binclock clock;
	struct instant t = at(s, 0);

	levee_binclock_start(&clock, LEN, t.boot_ns, t.unix_ns);
	return clock;
}

static bool due(struct levee_binclock *clock, struct instant t)
{
	return levee_binclock_due(clock, t.boot_ns, t.unix_ns);
}

static unsigned int next(struct levee_binclock *clock, struct instant t)
{
	return levee_binclock_next(clock, t.boot_ns, t.unix_ns);
}

static void the_first_bin_is_the_one_that_holds_the_present(void **state)
{
	struct levee_binclock clock = started(17.5);

	(void)state;
	assert_int_equal(clock.start_ns, EPOCH);
	assert_int_equal(clock.opened_ns, BOOT + 17 * S + S / 2);
	assert_int_equal(clock.end_boot_ns, BOOT + LEN);
	assert_int_equal(clock.ahead_ns, 0);
	assert_int_equal(clock.stepped_ns, 0);
}

static void a_bin_ends_when_its_length_is_over_and_not_before(void **state)
{
	struct levee_binclock clock = started(0);

	(void)state;
	assert_false(due(&clock, at(0, 0)));
	assert_false(due(&clock, at(59.999999, 0)));
	assert_true(due(&clock, at(60, 0)));
	assert_int_equal(next(&clock, at(60, 0)), 1);
	assert_int_equal(clock.start_ns, EPOCH + LEN);
	assert_int_equal(clock.end_boot_ns, BOOT + 2 * LEN);
	assert_false(due(&clock, at(60, 0)));
}

static void a_caller_that_is_a_little_late_keeps_the_next_bin_aligned(void **state)
{
	struct levee_binclock clock = started(0);

	(void)state;
	assert_true(due(&clock, at(62, 0)));
	assert_int_equal(next(&clock, at(62, 0)), 1);
	assert_int_equal(clock.start_ns, EPOCH + LEN);
	assert_int_equal(clock.opened_ns, BOOT + 62 * S);
	assert_int_equal(clock.end_boot_ns, BOOT + 2 * LEN);
	assert_int_equal(clock.stepped_ns, 0);
}

static void a_bin_that_nobody_closed_stands_for_all_that_passed(void **state)
{
	struct levee_binclock clock = started(0);

	(void)state;
	assert_true(due(&clock, at(200, 0)));
	assert_int_equal(next(&clock, at(200, 0)), 3);
	assert_int_equal(clock.start_ns, EPOCH + 3 * LEN);
	assert_int_equal(clock.end_boot_ns, BOOT + 4 * LEN);
}

/* Boot time goes on while the machine sleeps, so a suspend is a late caller. */
static void a_suspend_of_hours_is_no_step(void **state)
{
	struct levee_binclock clock = started(30);

	(void)state;
	assert_true(due(&clock, at(30 + 7200, 0)));
	assert_int_equal(next(&clock, at(30 + 7200, 0)), 120);
	assert_int_equal(clock.start_ns, EPOCH + 120 * LEN);
	assert_int_equal(clock.end_boot_ns, BOOT + 121 * LEN);
	assert_int_equal(clock.stepped_ns, 0);
	assert_int_equal(clock.ahead_ns, 0);
}

static void a_step_past_the_end_ends_the_bin_at_once(void **state)
{
	struct levee_binclock clock = started(0);

	(void)state;
	assert_false(due(&clock, at(10, 0)));
	assert_true(due(&clock, at(11, 3600)));
	assert_int_equal(clock.stepped_ns, 3600 * S);
	assert_int_equal(next(&clock, at(11, 3600)), 1);
	assert_int_equal(clock.start_ns, EPOCH + 60 * LEN);
	/* The new bin ends when wall time says so: 11 s of it are over. */
	assert_int_equal(clock.end_boot_ns, BOOT + LEN);
	assert_int_equal(clock.ahead_ns, 0);
	assert_false(due(&clock, at(12, 3600)));
	assert_true(due(&clock, at(60, 3600)));
}

static void a_step_within_the_bin_brings_its_end_nearer(void **state)
{
	struct levee_binclock clock = started(0);

	(void)state;
	assert_false(due(&clock, at(10, 20)));
	assert_int_equal(clock.stepped_ns, 20 * S);
	assert_int_equal(clock.end_boot_ns, BOOT + 40 * S);
	assert_false(due(&clock, at(39, 20)));
	assert_true(due(&clock, at(40, 20)));
	assert_int_equal(next(&clock, at(40, 20)), 1);
	assert_int_equal(clock.start_ns, EPOCH + LEN);
	assert_int_equal(clock.end_boot_ns, BOOT + 100 * S);
}

static void after_a_step_backwards_names_go_on_and_run_ahead(void **state)
{
	struct levee_binclock clock = started(0);

	(void)state;
	assert_false(due(&clock, at(10, -3600)));
	assert_int_equal(clock.stepped_ns, -3600 * (int64_t)S);
	assert_int_equal(clock.ahead_ns, 3600 * S);
	assert_false(due(&clock, at(59, -3600)));
	assert_true(due(&clock, at(60, -3600)));
	assert_int_equal(next(&clock, at(60, -3600)), 1);
	assert_int_equal(clock.start_ns, EPOCH + LEN);
	assert_int_equal(clock.end_boot_ns, BOOT + 2 * LEN);
	assert_int_equal(clock.ahead_ns, 3600 * S);
}

static void a_step_is_seen_once(void **state)
{
	struct levee_binclock clock = started(0);

	(void)state;
	assert_false(due(&clock, at(10, -5)));
	assert_int_equal(clock.stepped_ns, -5 * (int64_t)S);
	clock.stepped_ns = 0;
	assert_false(due(&clock, at(11, -5)));
	assert_int_equal(clock.stepped_ns, 0);
	assert_false(due(&clock, at(12, 0)));
	assert_int_equal(clock.stepped_ns, 5 * S);
	assert_int_equal(clock.ahead_ns, 0);
}

static void when_wall_time_has_caught_up_names_follow_it_again(void **state)
{
	struct levee_binclock clock = started(0);

	(void)state;
	assert_false(due(&clock, at(10, -3600)));
	assert_true(due(&clock, at(60, -3600)));
	next(&clock, at(60, -3600));
	/* Half of the way back: still ahead. */
	assert_false(due(&clock, at(70, -1800)));
	assert_int_equal(clock.ahead_ns, 1800 * S);
	/* All of it, and more. */
	assert_true(due(&clock, at(80, 600)));
	assert_int_equal(next(&clock, at(80, 600)), 1);
	assert_int_equal(clock.start_ns, EPOCH + 11 * LEN);
	assert_int_equal(clock.ahead_ns, 0);
	assert_int_equal(clock.end_boot_ns, BOOT + 120 * S);
}

static void a_late_caller_with_names_ahead_counts_by_boot_time(void **state)
{
	struct levee_binclock clock = started(0);

	(void)state;
	assert_false(due(&clock, at(10, -90)));
	assert_true(due(&clock, at(250, -90)));
	assert_int_equal(next(&clock, at(250, -90)), 4);
	assert_int_equal(clock.start_ns, EPOCH + 4 * LEN);
	assert_int_equal(clock.end_boot_ns, BOOT + 5 * LEN);
	assert_int_equal(clock.ahead_ns, 90 * S);
}

/* The two clocks are read one after the other, so they never quite agree. */
static void microseconds_between_the_readings_are_no_step_and_skip_no_bin(void **state)
{
	struct levee_binclock clock = started(0);
	double jitter = 0;

	(void)state;
	for (uint64_t bin = 1; bin <= 1000; bin++) {
		jitter = (double)(bin * 37 % 100) * 1e-6;
		assert_true(due(&clock, at(60.0 * (double)bin + 0.01, jitter)));
		assert_int_equal(next(&clock, at(60.0 * (double)bin + 0.01, jitter)), 1);
		assert_int_equal(clock.start_ns, EPOCH + bin * LEN);
	}
	assert_int_equal(clock.stepped_ns, 0);
	assert_true(clock.ahead_ns < 100000);
}

static void a_late_look_just_before_a_boundary_counts_what_wall_time_counts(void **state)
{
	struct levee_binclock clock = started(0);
	struct instant t = at(119.99999, 0.00002);

	(void)state;
	assert_true(due(&clock, t));
	assert_int_equal(next(&clock, t), 2);
	assert_int_equal(clock.start_ns, EPOCH + 2 * LEN);
}

static void closing_before_the_time_keeps_names_apart_and_bins_short(void **state)
{
	struct levee_binclock clock = started(0);

	(void)state;
	assert_int_equal(next(&clock, at(10, 0)), 1);
	assert_int_equal(clock.start_ns, EPOCH + LEN);
	assert_int_equal(clock.end_boot_ns, BOOT + 70 * S);
	assert_int_equal(clock.ahead_ns, 50 * S);
}

struct random {
	uint64_t state;
};

static uint64_t below(struct random *r, uint64_t n)
{
	r->state = r->state * 6364136223846793005ULL + 1442695040888963407ULL;
	return (r->state >> 33) % n;
}

struct world {
	struct random random;
	struct levee_binclock clock;
	uint64_t len_ns;
	uint64_t boot_ns;
	int64_t offset_ns; /* wall - boot */
	uint64_t began_ns;
	uint64_t stood_for_ns;
	uint64_t forwards; /* steps */
	bool punctual;	   /* since the running bin was opened */
};

static uint64_t wall(const struct world *w)
{
	return w->boot_ns + (uint64_t)w->offset_ns;
}

static void disturb(struct world *w)
{
	static const int64_t sizes[] = { 1,	      1000,	     50000000,	    1500000000,
					 61000000000, 4000000000000, 90000000000000 };
	int64_t size = sizes[below(&w->random, 7)] * (int64_t)(1 + below(&w->random, 5));

	switch (below(&w->random, 40)) {
	case 0:
		w->offset_ns += size;
		w->forwards++;
		break;
	case 1:
		w->offset_ns -= size;
		break;
	case 2: /* asleep, or stopped */
		w->boot_ns += (uint64_t)size;
		w->punctual = false;
		break;
	default:
		break;
	}
}

static void close_and_check(struct world *w)
{
	uint64_t before_ns = w->clock.start_ns;
	uint64_t opened_ns = w->clock.opened_ns;
	unsigned int bins = levee_binclock_next(&w->clock, w->boot_ns, wall(w));

	assert_true(bins >= 1);
	assert_int_equal(w->clock.start_ns % w->len_ns, 0);
	assert_true(w->clock.start_ns >= before_ns + bins * w->len_ns);
	assert_int_equal(w->clock.opened_ns, w->boot_ns);
	assert_true(w->clock.end_boot_ns > w->boot_ns);
	assert_true(w->clock.end_boot_ns <= w->boot_ns + w->len_ns);
	if (w->punctual)
		assert_true(w->boot_ns - opened_ns <= w->len_ns);
	w->stood_for_ns += bins * w->len_ns;
	/* The bin just opened may cover what is left of a length; a step may cut one off. */
	assert_true(w->stood_for_ns + (1 + w->forwards) * w->len_ns >= w->boot_ns - w->began_ns);
	/* Names are wall time, unless that stepped back. */
	assert_true(w->clock.start_ns + w->len_ns > wall(w));
	if (!w->clock.ahead_ns)
		assert_true(w->clock.start_ns <= wall(w));
	w->punctual = true;
}

static void run_world(uint64_t seed)
{
	static const uint64_t lengths[] = { S, 10 * S, LEN, 86400 * S };
	struct world w = { .random = { seed }, .punctual = true };

	w.len_ns = lengths[below(&w.random, 4)];
	w.boot_ns = w.began_ns = BOOT + below(&w.random, LEN);
	/* So far from the epoch of 1970 that no sequence of steps comes near it. */
	w.offset_ns = (int64_t)(EPOCH + below(&w.random, LEN));
	levee_binclock_start(&w.clock, w.len_ns, w.boot_ns, wall(&w));
	for (int i = 0; i < 400; i++) {
		disturb(&w);
		if (levee_binclock_due(&w.clock, w.boot_ns, wall(&w))) {
			close_and_check(&w);
			assert_false(levee_binclock_due(&w.clock, w.boot_ns, wall(&w)));
		}
		/* Wait a second, or until the end of the bin if that is sooner. */
		w.boot_ns += w.clock.end_boot_ns - w.boot_ns < S ? w.clock.end_boot_ns - w.boot_ns
								 : S;
	}
}

static void any_sequence_of_steps_and_sleeps_keeps_every_promise(void **state)
{
	(void)state;
	print_message("# seeds 1 to 3000\n");
	for (uint64_t seed = 1; seed <= 3000; seed++)
		run_world(seed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_first_bin_is_the_one_that_holds_the_present),
		cmocka_unit_test(a_bin_ends_when_its_length_is_over_and_not_before),
		cmocka_unit_test(a_caller_that_is_a_little_late_keeps_the_next_bin_aligned),
		cmocka_unit_test(a_bin_that_nobody_closed_stands_for_all_that_passed),
		cmocka_unit_test(a_suspend_of_hours_is_no_step),
		cmocka_unit_test(a_step_past_the_end_ends_the_bin_at_once),
		cmocka_unit_test(a_step_within_the_bin_brings_its_end_nearer),
		cmocka_unit_test(after_a_step_backwards_names_go_on_and_run_ahead),
		cmocka_unit_test(a_step_is_seen_once),
		cmocka_unit_test(when_wall_time_has_caught_up_names_follow_it_again),
		cmocka_unit_test(a_late_caller_with_names_ahead_counts_by_boot_time),
		cmocka_unit_test(microseconds_between_the_readings_are_no_step_and_skip_no_bin),
		cmocka_unit_test(a_late_look_just_before_a_boundary_counts_what_wall_time_counts),
		cmocka_unit_test(closing_before_the_time_keeps_names_apart_and_bins_short),
		cmocka_unit_test(any_sequence_of_steps_and_sleeps_keeps_every_promise),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
