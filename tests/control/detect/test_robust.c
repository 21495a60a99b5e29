/* SPDX-License-Identifier: BSD-2-Clause */
/* Detectors robust and both, masking, and the measures beside packets. */
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

#define ATTACKER 1000000

static const struct levee_detect_params usual = { .min_zscore = 3.0, .min_packets = 12000 };

struct fixture {
	struct levee_window *window;
	struct levee_bin *bin;
	struct levee_evaluation e;
	struct levee_detect_params params;
	bool no_histogram;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	f->window = levee_window_new(60, 3600);
	f->bin = levee_bin_new(4096);
	f->params = usual;
	*state = f;
	return f->window && f->bin ? 0 : -1;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	levee_evaluation_clear(&f->e);
	levee_window_free(&f->window);
	levee_bin_free(&f->bin);
	free(f);
	return 0;
}

static struct levee_prefix ipv4(uint32_t addr)
{
	return (struct levee_prefix){ .hi = addr, .family = 4, .length = 32 };
}

static void send_bytes(struct fixture *f, uint32_t addr, uint64_t packets, uint64_t bytes)
{
	struct levee_prefix source = ipv4(addr);

	assert_int_equal(levee_bin_add(f->bin, &source, packets, bytes), 0);
}

static void send(struct fixture *f, uint32_t addr, uint64_t packets)
{
	send_bytes(f, addr, packets, 60 * packets);
}

static void send_syns(struct fixture *f, uint32_t addr, uint64_t syns)
{
	struct levee_prefix source = ipv4(addr);

	send(f, addr, syns);
	assert_int_equal(levee_bin_add_syns(f->bin, &source, syns), 0);
}

static void close_bin(struct fixture *f, int64_t start_s)
{
	struct levee_bin_record r;

	assert_int_equal(levee_bin_record_make(&r, f->bin, start_s, f->params.min_packets), 0);
	if (!f->no_histogram)
		assert_int_equal(levee_bin_record_add_histogram(&r, f->bin), 0);
	if (f->params.min_bytes)
		assert_int_equal(
			levee_bin_record_add_measure(&r, f->bin, LEVEE_BYTES, f->params.min_bytes),
			0);
	if (f->params.min_syns)
		assert_int_equal(
			levee_bin_record_add_measure(&r, f->bin, LEVEE_SYNS, f->params.min_syns),
			0);
	assert_int_equal(levee_window_push(f->window, &r), 0);
	levee_bin_reset(f->bin);
}

static const struct levee_evaluation *judge(struct fixture *f, const char *detector, int64_t now_s)
{
	levee_evaluation_clear(&f->e);
	levee_window_advance(f->window, now_s);
	assert_int_equal(levee_detector_find(detector)->evaluate(
				 f->window, levee_bin_sources(f->bin) ? f->bin : NULL, now_s,
				 &f->params, &f->e),
			 0);
	return &f->e;
}

/* 40 clients about 120 packets, and so many attackers. */
static void send_all(struct fixture *f, uint32_t attackers, uint64_t packets)
{
	for (uint32_t i = 0; i < 40; i++)
		send(f, 100 + i, 100 + i);
	for (uint32_t i = 0; i < attackers; i++)
		send(f, ATTACKER + i, packets + i);
}

static void assert_flags_the_attackers(const struct levee_evaluation *e, size_t n)
{
	assert_int_equal(e->n_findings, n);
	for (size_t i = 0; i < n; i++) {
		assert_true(e->findings[i].source.hi >= ATTACKER);
		assert_true(e->findings[i].max_packets > 12000);
		assert_true(!i || e->findings[i].max_zscore <= e->findings[i - 1].max_zscore);
	}
}

static void thirty_attackers_hide_from_zscore_and_not_from_robust(void **state)
{
	struct fixture *f = *state;

	for (int64_t at = 0; at < 240; at += 60) {
		send_all(f, 0, 0);
		close_bin(f, at);
	}
	send_all(f, 30, 18000);
	close_bin(f, 240);
	assert_int_equal(judge(f, "zscore", 300)->n_findings, 0);
	assert_true(f->e.masked);
	assert_int_equal(f->e.n_above, 30);
	assert_flags_the_attackers(judge(f, "robust", 300), 30);
	assert_int_equal(f->e.findings[0].by, LEVEE_BY_ROBUST);
	assert_true(f->e.masked);
	assert_flags_the_attackers(judge(f, "both", 300), 30);
	assert_int_equal(f->e.findings[0].by, LEVEE_BY_ROBUST);
}

static void a_cold_start_under_a_flood_by_many_is_seen(void **state)
{
	struct fixture *f = *state;

	send_all(f, 30, 18000);
	close_bin(f, 0);
	assert_int_equal(judge(f, "zscore", 60)->n_findings, 0);
	assert_flags_the_attackers(judge(f, "robust", 60), 30);
	assert_flags_the_attackers(judge(f, "both", 60), 30);
}

/* The running bin is judged by the same rules. */
static void a_flood_by_many_in_the_running_bin_is_seen(void **state)
{
	struct fixture *f = *state;

	send_all(f, 0, 0);
	close_bin(f, 0);
	send_all(f, 30, 18000);
	assert_flags_the_attackers(judge(f, "robust", 90), 30);
	assert_flags_the_attackers(judge(f, "both", 90), 30);
	assert_int_equal(f->e.findings[0].last_bin_s, 60);
}

static void robust_flags_nobody_where_all_are_about_equal(void **state)
{
	struct fixture *f = *state;

	for (uint32_t i = 0; i < 100; i++)
		send(f, 100 + i, 50000 + 10 * i);
	close_bin(f, 0);
	assert_int_equal(judge(f, "robust", 60)->n_findings, 0);
	assert_int_equal(judge(f, "both", 60)->n_findings, 0);
	levee_window_advance(f->window, 36000);
	for (uint32_t i = 0; i < 100; i++)
		send(f, 100 + i, 50000);
	close_bin(f, 60);
	assert_int_equal(judge(f, "robust", 120)->n_findings, 0);
}

/* More than half of the values equal: their MAD is 0, and a flood must stand out all the same. */
static void equal_clients_do_not_blind_robust(void **state)
{
	struct fixture *f = *state;

	for (uint32_t i = 0; i < 100; i++)
		send(f, 100 + i, 10);
	send(f, ATTACKER, 12001);
	close_bin(f, 0);
	assert_flags_the_attackers(judge(f, "robust", 60), 1);
	assert_true(f->e.median == 10);
	assert_true(f->e.mad == 1);
	assert_true(isfinite(f->e.findings[0].max_zscore));
}

static void the_minimum_is_strict_for_robust_too(void **state)
{
	struct fixture *f = *state;

	send_all(f, 0, 0);
	send(f, ATTACKER, 12000);
	close_bin(f, 0);
	assert_int_equal(judge(f, "robust", 60)->n_findings, 0);
}

/* Clients that are all the same to the median, and unlike to the deviation: both must agree. */
static void both_flags_what_both_flag(void **state)
{
	struct fixture *f = *state;

	/* Many light ones, a few that are always heavy, all of them known for long. */
	for (int64_t at = 0; at < 1200; at += 60) {
		for (uint32_t i = 0; i < 95; i++)
			send(f, 100 + i, 100 + i);
		for (uint32_t i = 0; i < 5; i++)
			send(f, 500 + i, 20000 + 20000 * i);
		close_bin(f, at);
	}
	/* robust takes all five for attackers, the Z-score the heaviest of them. */
	assert_int_equal(judge(f, "robust", 1200)->n_findings, 5);
	assert_int_equal(judge(f, "zscore", 1200)->n_findings, 3);
	assert_int_equal(judge(f, "both", 1200)->n_findings, 3);
	assert_int_equal(f->e.findings[0].by, LEVEE_BY_ZSCORE);
	assert_false(f->e.masked);
}

/*
 * Every sixth client is heavy, and has been all the time until today it was one in twenty. The
 * Z-score is blind now, and the median calls all of them abnormal; what was usual says otherwise.
 */
static void both_spares_what_was_usual_before_masking_began(void **state)
{
	struct fixture *f = *state;

	for (int64_t at = 0; at < 600; at += 60) {
		for (uint32_t i = 0; i < 95; i++)
			send(f, 100 + i, 100 + i);
		for (uint32_t i = 0; i < 5; i++)
			send(f, 500 + i, 20000);
		close_bin(f, at);
	}
	for (int64_t at = 600; at < 2400; at += 60) {
		for (uint32_t i = 0; i < 20; i++)
			send(f, 100 + i, 100 + i);
		for (uint32_t i = 0; i < 5; i++)
			send(f, 500 + i, 13000);
		close_bin(f, at);
	}
	assert_true(judge(f, "robust", 2400)->masked);
	assert_int_equal(f->e.n_findings, 5);
	assert_int_equal(judge(f, "both", 2400)->n_findings, 5);
	for (size_t i = 0; i < 5; i++)
		assert_true(f->e.findings[i].last_bin_s < 600);
}

static void without_histograms_robust_has_no_say(void **state)
{
	struct fixture *f = *state;

	f->no_histogram = true;
	for (int64_t at = 0; at < 600; at += 60) {
		send_all(f, 0, 0);
		close_bin(f, at);
	}
	send_all(f, 1, 50000);
	f->no_histogram = false;
	close_bin(f, 600);
	assert_false(judge(f, "robust", 660)->has_robust);
	assert_int_equal(f->e.n_findings, 0);
	/* both goes by the Z-score then. */
	assert_flags_the_attackers(judge(f, "both", 660), 1);
	for (int64_t at = 660; at < 1320; at += 60) {
		send_all(f, 0, 0);
		close_bin(f, at);
	}
	assert_flags_the_attackers(judge(f, "robust", 1320), 1);
}

static void values_without_a_name_count_for_the_median(void **state)
{
	struct fixture *f = *state;
	struct levee_fold fold = { .n = 1000, .packets = 3000, .bytes = 0, .sq_lo = 9000 };

	send_all(f, 1, 50000);
	assert_int_equal(levee_bin_add_fold(f->bin, &fold), 0);
	close_bin(f, 0);
	assert_int_equal(judge(f, "robust", 60)->moments.n, 1041);
	assert_true(f->e.median == 3);
}

/* z = sqrt((n - k) / k): the bound of FIELD, from both sides. */
static void masking_is_said_exactly_where_zscores_cannot_pass(void **state)
{
	struct fixture *f = *state;

	for (uint32_t k = 1; k <= 12; k++) {
		for (uint32_t n = k + 1; n <= 120; n++) {
			bool can = (double)(n - k) > 9.0 * k;
			size_t flagged;

			for (uint32_t i = 0; i < n - k; i++)
				send(f, 100 + i, 1);
			for (uint32_t i = 0; i < k; i++)
				send(f, ATTACKER + i, 1ULL << 40);
			close_bin(f, 0);
			flagged = judge(f, "zscore", 60)->n_findings;
			assert_int_equal(f->e.masked, !can);
			assert_int_equal(flagged, can ? k : 0);
			levee_window_advance(f->window, 36000);
		}
	}
}

static void nobody_above_the_minimum_is_no_masking(void **state)
{
	struct fixture *f = *state;

	send(f, 1, 12000);
	send(f, 2, 1);
	close_bin(f, 0);
	assert_false(judge(f, "zscore", 60)->masked);
	assert_false(judge(f, "zscore", 60000)->masked);
}

/* ---- the soft threshold ---------------------------------------------------------------------- */

static void between_soft_and_hard_a_source_is_flagged_softly(void **state)
{
	struct fixture *f = *state;

	f->params.soft_zscore = 1.5;
	for (uint32_t i = 0; i < 200; i++)
		send(f, 100 + i, 100);
	send(f, ATTACKER, 100000);
	send(f, ATTACKER + 1, 15000);
	close_bin(f, 0);
	judge(f, "zscore", 60);
	assert_int_equal(f->e.n_findings, 2);
	assert_false(f->e.findings[0].soft);
	assert_true(f->e.findings[1].soft);
	assert_int_equal(f->e.findings[1].source.hi, ATTACKER + 1);
	assert_in_range(f->e.findings[1].max_packets, f->e.soft_packets + 1, f->e.limit_packets);
	/* A hard bin makes the source hard, whatever its other bins are. */
	for (uint32_t i = 0; i < 200; i++)
		send(f, 100 + i, 100);
	send(f, ATTACKER, 15000);
	send(f, ATTACKER + 1, 15000);
	close_bin(f, 60);
	judge(f, "zscore", 120);
	assert_int_equal(f->e.n_findings, 2);
	assert_int_equal(f->e.findings[0].source.hi, ATTACKER);
	assert_false(f->e.findings[0].soft);
	assert_true(f->e.findings[1].soft);
	/* Off by default, and when it is no lower. */
	f->params.soft_zscore = 3.0;
	assert_int_equal(judge(f, "zscore", 120)->n_findings, 1);
	f->params.soft_zscore = 0;
	assert_int_equal(judge(f, "zscore", 120)->n_findings, 1);
	assert_int_equal(f->e.soft_packets, f->e.limit_packets);
}

/* ---- bytes and SYNs -------------------------------------------------------------------------- */

static void a_source_of_few_large_packets_is_flagged_by_its_bytes(void **state)
{
	struct fixture *f = *state;

	for (uint32_t i = 0; i < 100; i++)
		send_bytes(f, 100 + i, 1000, 100000);
	send_bytes(f, ATTACKER, 11000, 16500000);
	close_bin(f, 0);
	assert_int_equal(judge(f, "zscore", 60)->n_findings, 0);

	levee_window_advance(f->window, 36000);
	f->params.min_bytes = 10000000;
	for (uint32_t i = 0; i < 100; i++)
		send_bytes(f, 100 + i, 1000, 100000);
	send_bytes(f, ATTACKER, 11000, 16500000);
	close_bin(f, 0);
	judge(f, "zscore", 60);
	assert_int_equal(f->e.n_findings, 1);
	assert_int_equal(f->e.findings[0].source.hi, ATTACKER);
	assert_int_equal(f->e.findings[0].measure, LEVEE_BYTES);
	assert_int_equal(f->e.findings[0].max_value, 16500000);
	assert_int_equal(f->e.findings[0].max_packets, 11000);
	assert_true(f->e.findings[0].max_zscore > 9);
	assert_string_equal(levee_measure_name(f->e.findings[0].measure), "bytes");
	/* What is said of packets is as it was. */
	assert_int_equal(f->e.moments.n, 101);
	assert_true(f->e.mean == (100 * 1000.0 + 11000) / 101);
}

static void a_flood_of_syns_is_flagged_by_them_in_closed_and_running_bins(void **state)
{
	struct fixture *f = *state;

	f->params.min_syns = 1000;
	for (int64_t at = 0; at < 120; at += 60) {
		for (uint32_t i = 0; i < 100; i++) {
			send(f, 100 + i, 1000);
			send_syns(f, 100 + i, 3);
		}
		if (at)
			send_syns(f, ATTACKER, 5000);
		if (at) {
			judge(f, "zscore", 100);
			assert_int_equal(f->e.n_findings, 1);
			assert_int_equal(f->e.findings[0].last_bin_s, 60);
		}
		close_bin(f, at);
	}
	judge(f, "zscore", 120);
	assert_int_equal(f->e.n_findings, 1);
	assert_int_equal(f->e.findings[0].measure, LEVEE_SYNS);
	assert_int_equal(f->e.findings[0].max_value, 5000);
	f->params.min_syns = 5000;
	assert_int_equal(judge(f, "zscore", 120)->n_findings, 0);
}

static void sources_without_syns_are_values_of_0(void **state)
{
	struct fixture *f = *state;

	f->params.min_syns = 200;
	for (uint32_t i = 0; i < 60; i++)
		send(f, 100 + i, 30);
	send_syns(f, ATTACKER, 450);
	close_bin(f, 0);
	assert_int_equal(levee_window_bin(f->window, 0)->measures[LEVEE_SYNS]->moments.n, 61);
	judge(f, "zscore", 60);
	assert_int_equal(f->e.n_findings, 1);
	assert_int_equal(f->e.findings[0].measure, LEVEE_SYNS);
}

static void a_source_that_two_measures_flag_is_one_finding(void **state)
{
	struct fixture *f = *state;

	f->params.min_bytes = 1000;
	for (uint32_t i = 0; i < 100; i++)
		send_bytes(f, 100 + i, 1000 + 20 * i, 100000);
	send_bytes(f, ATTACKER, 50000, 60000000);
	send_bytes(f, ATTACKER + 1, 1000, 90000000);
	close_bin(f, 0);
	judge(f, "zscore", 60);
	assert_int_equal(f->e.n_findings, 2);
	/* Each is known for what it does more of than the others, though both have many bytes. */
	for (size_t i = 0; i < 2; i++)
		assert_int_equal(f->e.findings[i].measure, f->e.findings[i].source.hi == ATTACKER
								   ? LEVEE_PACKETS
								   : LEVEE_BYTES);
	assert_true(f->e.findings[0].max_zscore >= f->e.findings[1].max_zscore);
}

static void parts_of_a_bin_add_up_in_every_measure(void **state)
{
	struct fixture *f = *state;
	const struct levee_bin_record *r;

	f->params.min_bytes = 1000;
	f->params.min_syns = 100;
	for (int part = 0; part < 2; part++) {
		send_syns(f, ATTACKER, 500);
		send_bytes(f, ATTACKER + 1, 500, 700);
		close_bin(f, 0);
	}
	r = levee_window_bin(f->window, 0);
	assert_int_equal(levee_window_bins(f->window), 1);
	assert_int_equal(r->measures[LEVEE_SYNS]->n_candidates, 1);
	assert_int_equal(r->measures[LEVEE_SYNS]->candidates[0].syns, 1000);
	assert_true(r->measures[LEVEE_BYTES]->moments.sum == 2 * (500 * 60 + 700));
	assert_int_equal(r->measures[LEVEE_BYTES]->n_candidates, 1);
	assert_true(levee_window_memory(f->window) > sizeof(struct levee_bin_measure));
}

static void who_answered_is_known_in_closed_and_running_bins(void **state)
{
	struct fixture *f = *state;
	struct levee_prefix honest = ipv4(ATTACKER), other = ipv4(ATTACKER + 1);
	struct levee_bin_entry entry;
	struct levee_bin *share;

	for (uint32_t i = 0; i < 100; i++)
		send(f, 100 + i, 10);
	assert_int_equal(levee_bin_add_answered(f->bin, &honest, 20000, 1200000), 0);
	send(f, ATTACKER, 10000);
	send(f, ATTACKER + 1, 30000);
	assert_true(levee_bin_find(f->bin, &honest, &entry));
	assert_true(entry.answered);
	assert_int_equal(entry.bytes, 1200000 + 600000);
	assert_true(levee_bin_find(f->bin, &other, &entry));
	assert_false(entry.answered);
	share = levee_bin_split(f->bin, 2, 0);
	assert_true(levee_bin_find(share, &honest, &entry) && entry.answered);
	assert_int_equal(entry.bytes, 900000);
	levee_bin_free(&share);
	for (int closed = 0; closed < 2; closed++) {
		judge(f, "zscore", closed ? 60 : 50);
		assert_int_equal(f->e.n_findings, 2);
		for (size_t i = 0; i < 2; i++)
			assert_int_equal(f->e.findings[i].answered,
					 f->e.findings[i].source.hi == ATTACKER);
		close_bin(f, 0);
	}
}

static void a_late_bin_is_divided_in_every_measure(void **state)
{
	struct fixture *f = *state;
	struct levee_moments m;
	uint64_t sum = 0;

	send_syns(f, ATTACKER, 1001);
	send_syns(f, 5, 1);
	for (unsigned int part = 0; part < 4; part++) {
		struct levee_bin *share = levee_bin_split(f->bin, 4, part);

		assert_int_equal(levee_bin_measure(share, LEVEE_SYNS, &m), 0);
		sum += (uint64_t)m.sum;
		levee_bin_free(&share);
	}
	assert_int_equal(sum, 1002);
}

static void names_are_known_and_no_others(void **state)
{
	(void)state;
	assert_non_null(levee_detector_find("zscore"));
	assert_non_null(levee_detector_find("robust"));
	assert_non_null(levee_detector_find("both"));
	assert_null(levee_detector_find("neither"));
	assert_false(levee_detector_wants_histogram("zscore"));
	assert_true(levee_detector_wants_histogram("both"));
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(thirty_attackers_hide_from_zscore_and_not_from_robust),
		T(a_cold_start_under_a_flood_by_many_is_seen),
		T(a_flood_by_many_in_the_running_bin_is_seen),
		T(robust_flags_nobody_where_all_are_about_equal),
		T(equal_clients_do_not_blind_robust),
		T(the_minimum_is_strict_for_robust_too),
		T(both_flags_what_both_flag),
		T(both_spares_what_was_usual_before_masking_began),
		T(without_histograms_robust_has_no_say),
		T(values_without_a_name_count_for_the_median),
		T(masking_is_said_exactly_where_zscores_cannot_pass),
		T(nobody_above_the_minimum_is_no_masking),
		T(between_soft_and_hard_a_source_is_flagged_softly),
		T(a_source_of_few_large_packets_is_flagged_by_its_bytes),
		T(a_flood_of_syns_is_flagged_by_them_in_closed_and_running_bins),
		T(sources_without_syns_are_values_of_0),
		T(a_source_that_two_measures_flag_is_one_finding),
		T(parts_of_a_bin_add_up_in_every_measure),
		T(who_answered_is_known_in_closed_and_running_bins),
		T(a_late_bin_is_divided_in_every_measure),
		T(names_are_known_and_no_others),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
