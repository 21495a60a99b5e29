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

#include "control/detect/detector.h"

static const struct levee_detect_params usual = { .min_zscore = 3.0, .min_packets = 12000 };

struct fixture {
	struct levee_window *window;
	struct levee_bin *bin;
	struct levee_evaluation evaluation;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	f->window = levee_window_new(60, 3600);
	f->bin = levee_bin_new(4096);
	*state = f;
	return f->window && f->bin ? 0 : -1;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	levee_evaluation_clear(&f->evaluation);
	levee_evaluation_clear(&f->evaluation);
	levee_window_free(&f->window);
	levee_bin_free(&f->bin);
	free(f);
	return 0;
}

static struct levee_prefix ipv4(uint32_t addr)
{
	return (struct levee_prefix){ .hi = addr, .family = 4, .length = 32 };
}

static void send(struct fixture *f, uint32_t addr, uint64_t packets)
{
	struct levee_prefix source = ipv4(addr);

	assert_int_equal(levee_bin_add(f->bin, &source, packets, 0), 0);
}

/* 99 clients of 10 packets each. */
static void send_clients(struct fixture *f)
{
	for (uint32_t i = 0; i < 99; i++)
		send(f, 1000 + i, 10);
}

static void close_bin_at(struct fixture *f, int64_t start_s, uint64_t min_packets)
{
	struct levee_bin_record record;

	assert_int_equal(levee_bin_record_make(&record, f->bin, start_s, min_packets), 0);
	assert_int_equal(levee_window_push(f->window, &record), 0);
	levee_bin_reset(f->bin);
}

static void close_bin(struct fixture *f, int64_t start_s)
{
	close_bin_at(f, start_s, usual.min_packets);
}

static const struct levee_evaluation *evaluate_with(struct fixture *f, int64_t now_s,
						    const struct levee_detect_params *params)
{
	levee_evaluation_clear(&f->evaluation);
	levee_window_advance(f->window, now_s);
	assert_int_equal(levee_detector_zscore.evaluate(f->window, now_s % 60 ? f->bin : NULL,
							now_s, params, &f->evaluation),
			 0);
	return &f->evaluation;
}

static const struct levee_evaluation *evaluate(struct fixture *f, int64_t now_s)
{
	return evaluate_with(f, now_s, &usual);
}

static void detectors_are_found_by_name(void **state)
{
	(void)state;
	assert_ptr_equal(levee_detector_find("zscore"), &levee_detector_zscore);
	assert_null(levee_detector_find("zscor"));
	assert_null(levee_detector_find(""));
}

static void an_empty_window_flags_nothing(void **state)
{
	const struct levee_evaluation *e = evaluate(*state, 6000);

	assert_int_equal(e->now_s, 6000);
	assert_int_equal(e->moments.n, 0);
	assert_int_equal(e->n_findings, 0);
	assert_true(e->mean == 0.0 && e->stddev == 0.0 && e->threshold == 0.0);
}

static void a_flood_among_clients_is_flagged_with_its_score(void **state)
{
	const struct levee_evaluation *e;

	send_clients(*state);
	send(*state, 7, 20010);
	close_bin(*state, 6000);
	e = evaluate(*state, 6060);
	assert_int_equal(e->moments.n, 100);
	assert_true(e->mean == 210.0);
	/* 20000 * sqrt(0.01 * 0.99) */
	assert_true(fabs(e->stddev / (20000 * sqrt(0.0099)) - 1) < 1e-15);
	assert_true(e->threshold == 3.0 * e->stddev + e->mean);
	assert_int_equal(e->n_findings, 1);
	assert_int_equal(e->findings[0].source.hi, 7);
	assert_int_equal(e->findings[0].max_packets, 20010);
	assert_int_equal(e->findings[0].last_packets, 20010);
	assert_int_equal(e->findings[0].last_bin_s, 6000);
	assert_true(fabs(e->findings[0].max_zscore - sqrt(99)) < 1e-12);
}

static void the_packet_minimum_is_strict(void **state)
{
	send_clients(*state);
	send(*state, 7, 12000);
	close_bin_at(*state, 6000, 0);
	assert_int_equal(evaluate(*state, 6060)->n_findings, 0);
	send_clients(*state);
	send(*state, 8, 12001);
	close_bin_at(*state, 6060, 0);
	assert_int_equal(evaluate(*state, 6120)->n_findings, 1);
	assert_int_equal(evaluate(*state, 6120)->findings[0].source.hi, 8);
}

static void the_score_minimum_is_strict(void **state)
{
	for (uint32_t i = 0; i < 9; i++)
		send(*state, 1000 + i, 10);
	send(*state, 7, 50000);
	close_bin(*state, 6000);
	assert_int_equal(evaluate(*state, 6060)->n_findings, 0);
	send(*state, 1000, 10);
	close_bin(*state, 6060);
	assert_int_equal(evaluate(*state, 6120)->n_findings, 1);
}

static void equal_values_flag_nothing_however_large(void **state)
{
	for (uint32_t i = 0; i < 50; i++)
		send(*state, i, 1ULL << 40);
	close_bin(*state, 6000);
	assert_int_equal(
		evaluate_with(*state, 6060, &(struct levee_detect_params){ 0 })->n_findings, 0);
	assert_true(evaluate(*state, 6060)->stddev == 0.0);
}

static void a_flood_in_the_running_bin_is_flagged_before_the_bin_ends(void **state)
{
	const struct levee_evaluation *e;

	send_clients(*state);
	close_bin(*state, 6000);
	send(*state, 7, 15000);
	e = evaluate(*state, 6090);
	assert_int_equal(e->moments.n, 100);
	assert_int_equal(e->n_findings, 1);
	assert_int_equal(e->findings[0].last_bin_s, 6060);
}

static void a_source_carries_its_largest_bin_and_its_last_anomalous_one(void **state)
{
	static const uint64_t packets[] = { 500, 90000, 200000, 90001, 700 };
	const struct levee_evaluation *e;

	for (int i = 0; i < 5; i++) {
		send_clients(*state);
		send(*state, 7, packets[i]);
		close_bin(*state, 6000 + 60 * i);
	}
	e = evaluate(*state, 6300);
	assert_int_equal(e->n_findings, 1);
	assert_int_equal(e->findings[0].max_packets, 200000);
	assert_int_equal(e->findings[0].last_bin_s, 6180);
	assert_int_equal(e->findings[0].last_packets, 90001);
}

/* 13000 is above the packet minimum in each bin, but 3 deviations only beside small values. */
static void a_bin_above_the_minimum_but_not_anomalous_is_not_the_last(void **state)
{
	const struct levee_evaluation *e;

	for (int i = 0; i < 3; i++) {
		send_clients(*state);
		send(*state, 7, i == 0 ? 1000000 : 13000);
		close_bin(*state, 6000 + 60 * i);
	}
	e = evaluate(*state, 6180);
	assert_int_equal(e->n_findings, 1);
	assert_int_equal(e->findings[0].last_bin_s, 6000);
	assert_int_equal(e->findings[0].last_packets, 1000000);
}

static void findings_come_by_score_and_equal_ones_by_source(void **state)
{
	static const uint32_t order[] = { 5, 2, 3, 9, 1 };
	const struct levee_evaluation *e;

	for (uint32_t i = 0; i < 999; i++)
		send(*state, 1000 + i, 10);
	send(*state, 9, 30000);
	send(*state, 3, 40000);
	send(*state, 5, 50000);
	send(*state, 2, 40000);
	send(*state, 1, 20000);
	close_bin(*state, 6000);
	e = evaluate(*state, 6060);
	assert_int_equal(e->n_findings, 5);
	for (size_t i = 0; i < 5; i++)
		assert_int_equal(e->findings[i].source.hi, order[i]);
	assert_true(e->findings[1].max_zscore == e->findings[2].max_zscore);
}

static void the_number_of_findings_is_not_limited(void **state)
{
	for (uint32_t i = 0; i < 3000; i++)
		send(*state, 1000 + i, 1);
	for (uint32_t i = 0; i < 150; i++)
		send(*state, i, 20000 + i);
	close_bin(*state, 6000);
	assert_int_equal(evaluate(*state, 6060)->n_findings, 150);
}

static void a_spike_stays_flagged_while_it_is_in_the_window(void **state)
{
	send_clients(*state);
	send(*state, 7, 20000);
	close_bin(*state, 6000);
	for (int64_t start_s = 6060; start_s < 9660; start_s += 60) {
		send_clients(*state);
		close_bin(*state, start_s);
	}
	/* 6000 + 60 bins: the last instant at which bin 6000 is held is before 9660. */
	assert_int_equal(evaluate(*state, 9659)->n_findings, 1);
	assert_int_equal(evaluate(*state, 9660)->n_findings, 0);
}

static void bins_outside_the_window_do_not_count(void **state)
{
	struct fixture *f = *state;

	send_clients(f);
	close_bin(f, 6000);
	send(f, 7, 50000);
	close_bin(f, 60000);
	/* Not advanced, and one bin is in the future. */
	assert_int_equal(
		levee_detector_zscore.evaluate(f->window, NULL, 7200, &usual, &f->evaluation), 0);
	assert_int_equal(f->evaluation.moments.n, 99);
	levee_evaluation_clear(&f->evaluation);
	assert_int_equal(
		levee_detector_zscore.evaluate(f->window, NULL, 60060, &usual, &f->evaluation), 0);
	assert_int_equal(f->evaluation.moments.n, 1);
}

static void the_current_minimum_counts_and_not_the_one_a_record_was_made_with(void **state)
{
	const struct levee_detect_params lower = { .min_zscore = 3.0, .min_packets = 100 };

	send_clients(*state);
	send(*state, 7, 5000);
	close_bin_at(*state, 6000, 50);
	assert_int_equal(evaluate(*state, 6060)->n_findings, 0);
	assert_int_equal(evaluate_with(*state, 6060, &lower)->n_findings, 1);
}

/* A restart inside a bin: the first part is in the window, the second one is running. */
static void the_two_parts_of_a_running_bin_add_up(void **state)
{
	const struct levee_evaluation *e;

	send_clients(*state);
	send(*state, 7, 13000);
	send(*state, 8, 14000);
	close_bin(*state, 6000);
	send(*state, 7, 100);
	send(*state, 8, 15000);
	send(*state, 9, 16000);
	e = evaluate(*state, 6030);
	assert_int_equal(e->n_findings, 3);
	assert_int_equal(e->findings[0].source.hi, 8);
	assert_int_equal(e->findings[0].max_packets, 29000);
	assert_int_equal(e->findings[1].source.hi, 9);
	assert_int_equal(e->findings[1].max_packets, 16000);
	assert_int_equal(e->findings[2].source.hi, 7);
	assert_int_equal(e->findings[2].max_packets, 13100);
	assert_int_equal(e->findings[2].last_bin_s, 6000);
}

static void sums_that_would_wrap_are_reported(void **state)
{
	struct fixture *f = *state;

	for (int i = 0; i < 2; i++) {
		struct levee_bin_record record = { .start_s = 6000 + 60 * i,
						   .moments = { .n = UINT64_MAX } };

		assert_int_equal(levee_window_push(f->window, &record), 0);
	}
	assert_int_equal(
		levee_detector_zscore.evaluate(f->window, NULL, 6120, &usual, &f->evaluation),
		-ERANGE);
	assert_null(f->evaluation.findings);
}

static void an_unreachable_minimum_flags_nothing(void **state)
{
	const struct levee_detect_params params = { .min_zscore = 0.0, .min_packets = UINT64_MAX };

	send_clients(*state);
	send(*state, 7, LEVEE_VALUE_MAX);
	close_bin_at(*state, 6000, 0);
	assert_int_equal(evaluate_with(*state, 6060, &params)->n_findings, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(detectors_are_found_by_name),
		TEST(an_empty_window_flags_nothing),
		TEST(a_flood_among_clients_is_flagged_with_its_score),
		TEST(the_packet_minimum_is_strict),
		TEST(the_score_minimum_is_strict),
		TEST(equal_values_flag_nothing_however_large),
		TEST(a_flood_in_the_running_bin_is_flagged_before_the_bin_ends),
		TEST(a_source_carries_its_largest_bin_and_its_last_anomalous_one),
		TEST(a_bin_above_the_minimum_but_not_anomalous_is_not_the_last),
		TEST(findings_come_by_score_and_equal_ones_by_source),
		TEST(the_number_of_findings_is_not_limited),
		TEST(a_spike_stays_flagged_while_it_is_in_the_window),
		TEST(bins_outside_the_window_do_not_count),
		TEST(the_current_minimum_counts_and_not_the_one_a_record_was_made_with),
		TEST(the_two_parts_of_a_running_bin_add_up),
		TEST(sums_that_would_wrap_are_reported),
		TEST(an_unreachable_minimum_flags_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
