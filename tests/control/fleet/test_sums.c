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

#include "control/fleet/sums.h"

static const char seed_text[] = "00112233445566778899aabbccddeeff0123456789abcdeffedcba9876543210";

static struct levee_fleet_seed seed(void)
{
	struct levee_fleet_seed s;

	assert_int_equal(levee_fleet_seed_parse(&s, seed_text), 0);
	return s;
}

static void a_seed_is_64_hexadecimal_digits(void **state)
{
	struct levee_fleet_seed s;

	(void)state;
	assert_int_equal(levee_fleet_seed_parse(&s, seed_text), 0);
	assert_true(s.word[0] == 0x0011223344556677ULL && s.word[3] == 0xfedcba9876543210ULL);
	assert_int_equal(levee_fleet_seed_parse(&s, ""), -EINVAL);
	assert_int_equal(levee_fleet_seed_parse(&s, seed_text + 1), -EINVAL);
	assert_int_equal(levee_fleet_seed_parse(&s,
						"x0112233445566778899aabbccddeeff0123456789abcde"
						"ffedcba9876543210"),
			 -EINVAL);
}

/* Neighbours, as a scan or a botnet's block of addresses has them, must spread as well. */
static void neighbours_spread_over_all_buckets(void **state)
{
	struct levee_fleet_seed s = seed();
	unsigned int count[LEVEE_FLEET_BUCKETS] = { 0 }, most = 0, least = UINT32_MAX;

	(void)state;
	for (uint32_t i = 0; i < LEVEE_FLEET_BUCKETS * 256; i++) {
		struct levee_prefix p = { 0x0a000000 + i, 0, 4, 32 };

		count[levee_fleet_bucket(&s, &p)]++;
	}
	for (unsigned int i = 0; i < LEVEE_FLEET_BUCKETS; i++) {
		most = count[i] > most ? count[i] : most;
		least = count[i] < least ? count[i] : least;
	}
	/* 256 on average, deviation 16: 6 of them. */
	assert_true(least > 160 && most < 352);
}

static void fields_read_back(void **state)
{
	static const struct levee_prefix sources[] = {
		{ 0xc6336407, 0, 4, 32 },	  { 0, 0, 4, 32 },
		{ 0x20010db800010002, 0, 6, 64 }, { 0x20010db800010002, 0x1, 6, 128 },
		{ 0x20010db800000000, 0, 6, 32 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(sources) / sizeof(sources[0]); i++) {
		unsigned char field[LEVEE_FLEET_FIELD_MAX];
		struct levee_prefix back;
		size_t n = levee_fleet_field(&sources[i], field);

		assert_int_equal(levee_fleet_field_parse(&back, field, n), 0);
		assert_int_equal(levee_prefix_compare(&back, &sources[i]), 0);
	}
}

static void fields_that_nobody_writes_are_refused(void **state)
{
	static const unsigned char bad_length[9] = { 129, 1 };
	static const unsigned char host_bits[17] = { 64, 0x20, [16] = 1 };
	struct levee_prefix p;

	(void)state;
	assert_int_equal(levee_fleet_field_parse(&p, "", 0), -EINVAL);
	assert_int_equal(levee_fleet_field_parse(&p, "abcde", 5), -EINVAL);
	assert_int_equal(levee_fleet_field_parse(&p, bad_length, 9), -EINVAL);
	assert_int_equal(levee_fleet_field_parse(&p, host_bits, 17), -EINVAL);
}

static struct levee_bin *make_bin(unsigned int sources)
{
	struct levee_bin *bin = levee_bin_new(1 << 20);

	for (uint32_t i = 0; i < sources; i++) {
		struct levee_prefix p = { 0x0a000000 + 7 * i, 0, 4, 32 };

		assert_int_equal(levee_bin_add(bin, &p, 1 + i % 50, 60), 0);
	}
	return bin;
}

static void parts_hold_every_source_once_and_stay_in_a_shard(void **state)
{
	struct levee_bin *bin = make_bin(50000);
	struct levee_fleet_seed s = seed();
	struct levee_fleet_bin out;
	uint64_t packets = 0;
	size_t n;

	(void)state;
	assert_int_equal(levee_fleet_bin_make(&out, bin, 60, 0, NULL, 0), 0);
	levee_fleet_bin_sort(&out, &s);
	assert_int_equal(out.n, 50000);
	for (size_t at = 0; at < out.n; at += n) {
		n = levee_fleet_bin_part(&out, at);
		assert_in_range(n, 1, LEVEE_FLEET_PART_MAX);
		for (size_t i = at; i < at + n; i++) {
			assert_int_equal(out.values[i].bucket / LEVEE_FLEET_PER_SHARD,
					 out.values[at].bucket / LEVEE_FLEET_PER_SHARD);
			packets += out.values[i].value;
		}
	}
	assert_true(packets == out.packets);
	assert_int_equal(out.folded[LEVEE_PACKETS].n, 0);
	levee_fleet_bin_clear(&out);
	levee_bin_free(&bin);
}

static void the_same_bin_makes_the_same_parts(void **state)
{
	struct levee_bin *a = make_bin(3000), *b = levee_bin_new(1 << 20);
	struct levee_fleet_seed s = seed();
	struct levee_fleet_bin left, right;
	uint64_t sum;

	(void)state;
	for (uint32_t i = 3000; i-- > 0;) { /* in another order, in two goes */
		struct levee_prefix p = { 0x0a000000 + 7 * i, 0, 4, 32 };

		levee_bin_add(b, &p, 1, 30);
		levee_bin_add(b, &p, i % 50, 30);
	}
	assert_int_equal(levee_fleet_bin_make(&left, a, 60, 0, NULL, 0), 0);
	assert_int_equal(levee_fleet_bin_make(&right, b, 60, 0, NULL, 0), 0);
	levee_fleet_bin_sort(&left, &s);
	levee_fleet_bin_sort(&right, &s);
	assert_int_equal(left.n, right.n);
	sum = levee_fleet_part_sum(left.values, left.n);
	assert_true(sum == levee_fleet_part_sum(right.values, right.n));
	right.values[17].value++;
	assert_true(sum != levee_fleet_part_sum(right.values, right.n));
	levee_fleet_bin_clear(&left);
	levee_fleet_bin_clear(&right);
	levee_bin_free(&a);
	levee_bin_free(&b);
}

static void folded_values_are_kept_apart(void **state)
{
	struct levee_bin *bin = make_bin(10);
	struct levee_fold fold = { .n = 3, .packets = 30, .sq_lo = 302 };
	struct levee_fleet_bin out;

	(void)state;
	assert_int_equal(levee_bin_add_fold(bin, &fold), 0);
	assert_int_equal(levee_fleet_bin_make(&out, bin, 60, 0, NULL, 0), 0);
	assert_int_equal(out.n, 10);
	assert_int_equal(out.folded[LEVEE_PACKETS].n, 3);
	assert_true(out.folded[LEVEE_PACKETS].sum == 30 && out.folded[LEVEE_PACKETS].sq == 302);
	levee_fleet_bin_clear(&out);
	levee_bin_free(&bin);
}

/* Of each lane the sums, over all values. */
static void every_lane_has_its_values(void **state)
{
	static const struct levee_fleet_held held[] = { { { 0x0a000001, 0, 4, 32 }, 900 },
							{ { 0x0a000007, 0, 4, 32 }, 100 } };
	unsigned int lanes = 1U << LEVEE_LANE_BYTES | 1U << LEVEE_LANE_SYNS |
			     1U << LEVEE_LANE_ANSWERED;
	struct levee_fold fold = { .n = 4, .packets = 40, .sq_lo = 400, .bytes = 6400 };
	struct levee_bin *bin = levee_bin_new(1 << 20);
	uint64_t sum[LEVEE_LANES] = { 0 }, n[LEVEE_LANES] = { 0 };
	struct levee_fleet_bin out;

	(void)state;
	for (uint32_t i = 0; i < 60; i++) {
		struct levee_prefix p = { 0x0a000000 + i, 0, 4, 32 };

		if (i % 3)
			levee_bin_add(bin, &p, 10, 600);
		else
			levee_bin_add_answered(bin, &p, 10, 600);
		if (i % 2)
			levee_bin_add_syns(bin, &p, 2);
	}
	assert_int_equal(levee_bin_add_fold(bin, &fold), 0);
	assert_int_equal(levee_fleet_bin_make(&out, bin, 60, lanes, held, 2), 0);
	for (size_t i = 0; i < out.n; i++) {
		sum[out.values[i].lane] += out.values[i].value;
		n[out.values[i].lane]++;
	}
	assert_int_equal(out.sources, 60);
	assert_true(n[LEVEE_LANE_PACKETS] == 60 && sum[LEVEE_LANE_PACKETS] == 600);
	assert_true(n[LEVEE_LANE_BYTES] == 60 && sum[LEVEE_LANE_BYTES] == 36000);
	assert_true(n[LEVEE_LANE_SYNS] == 30 && sum[LEVEE_LANE_SYNS] == 60);
	assert_true(n[LEVEE_LANE_ANSWERED] == 20 && sum[LEVEE_LANE_ANSWERED] == 20);
	assert_true(n[LEVEE_LANE_HELD] == 2 && sum[LEVEE_LANE_HELD] == 1000);
	assert_true(out.folded[LEVEE_PACKETS].n == 4 && out.folded[LEVEE_PACKETS].sum == 40);
	assert_true(out.folded[LEVEE_BYTES].sum == 6400 && out.folded[LEVEE_SYNS].sum == 0);
	levee_fleet_bin_clear(&out);
	levee_bin_free(&bin);
}

static void lanes_read_back(void **state)
{
	char text[LEVEE_LANES + 1];

	(void)state;
	for (unsigned int lanes = 1; lanes < 1U << LEVEE_LANES; lanes += 2)
		assert_int_equal(levee_fleet_lanes_parse(levee_fleet_lanes_format(lanes, text)),
				 lanes);
	assert_int_equal(levee_fleet_lanes_parse(""), 0);
	assert_int_equal(levee_fleet_lanes_parse("b"), 0);
	assert_int_equal(levee_fleet_lanes_parse("px"), 0);
}

static void cells_add_up(void **state)
{
	struct levee_buckets *b = calloc(1, sizeof(*b));
	static const char *const bad[] = { "1",	    "1 ",     "x 1",	      "1 x",
					   "1 2 3", "5377 1", "1 9999999999", "1 2,3 4" };

	(void)state;
	assert_int_equal(levee_fleet_reduced_cells(b, ""), 0);
	assert_int_equal(levee_fleet_reduced_cells(b, "7 3 5376 1"), 0);
	assert_int_equal(levee_fleet_reduced_cells(b, "7 2"), 0);
	assert_true(b->n == 6 && b->count[7] == 5 && b->count[5376] == 1);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(levee_fleet_reduced_cells(b, bad[i]), -EPROTO);
	free(b);
}

static void reductions_add_up(void **state)
{
	struct levee_moments m = { 0 };
	uint64_t capped = 0;

	(void)state;
	/* The values 3 and 2^24 * 5 + 2: sums low 5, high 5; 13, 10, 25. */
	assert_int_equal(levee_fleet_reduced(&m, &capped, "2 0 5 5 13 0 10 0 25 0"), 0);
	assert_int_equal(m.n, 2);
	assert_true(m.sum == 3 + ((5U << 24) + 2));
	assert_true(m.sq == 9 + (levee_u128)((5U << 24) + 2) * ((5U << 24) + 2));
	assert_int_equal(levee_fleet_reduced(&m, &capped, "0 0 0 0 0 0 0 0 0 0"), 0);
	assert_int_equal(m.n, 2);
	assert_int_equal(levee_fleet_reduced(&m, &capped, "2 0 5 5"), -EPROTO);
	assert_int_equal(levee_fleet_reduced(&m, &capped, "2 0 5 5 13 0 10 0 25 0 1"), -EPROTO);
	assert_int_equal(levee_fleet_reduced(&m, &capped, "0 0 5 5 13 0 10 0 25 0"), -EPROTO);
	assert_int_equal(levee_fleet_reduced(&m, &capped, "x"), -EPROTO);
}

static void a_record_reads_back(void **state)
{
	struct levee_candidate candidates[] = {
		{ .source = { 0xc6336407, 0, 4, 32 }, .packets = 15000, .answered = true },
		{ .source = { 0x20010db800010002, 0, 6, 64 }, .packets = LEVEE_VALUE_MAX },
	};
	struct levee_candidate by_bytes[] = {
		{ .source = { 0xc6336408, 0, 4, 32 }, .packets = 9, .bytes = 5000 },
	};
	struct levee_bin_measure bytes = { .minimum = 4000,
					   .moments = { 2, 5001, 25000001 },
					   .n_candidates = 1,
					   .candidates = by_bytes };
	struct levee_histogram_cell cells[] = { { 200, 7 }, { 5376, 1 } };
	struct levee_fleet_record in = { .bin = { .start_s = 1700000040,
						  .moments = { 2, LEVEE_VALUE_MAX + 15000,
							       (levee_u128)LEVEE_VALUE_MAX *
									       LEVEE_VALUE_MAX +
								       15000ULL * 15000 },
						  .min_packets = 12000,
						  .n_candidates = 2,
						  .candidates = candidates,
						  .flags = LEVEE_BIN_FOLDED,
						  .histogram = { 2, cells },
						  .measures = { [LEVEE_BYTES] = &bytes } },
					 .capped = 3 },
				  out;
	char *text;

	(void)state;
	levee_fleet_name_add(&in.nodes, &in.n_nodes, "a");
	levee_fleet_name_add(&in.nodes, &in.n_nodes, "b \"c\"");
	levee_fleet_name_add(&in.late, &in.n_late, "a");
	levee_fleet_name_add(&in.missing, &in.n_missing, "d");
	text = levee_fleet_record_format(&in);
	assert_non_null(text);
	assert_int_equal(levee_fleet_record_parse(&out, text), 0);
	assert_true(out.bin.start_s == in.bin.start_s && out.bin.moments.n == 2 &&
		    out.bin.moments.sum == in.bin.moments.sum &&
		    out.bin.moments.sq == in.bin.moments.sq);
	assert_int_equal(out.bin.n_candidates, 2);
	assert_true(out.bin.candidates[1].packets == LEVEE_VALUE_MAX);
	assert_int_equal(levee_prefix_compare(&out.bin.candidates[1].source, &candidates[1].source),
			 0);
	assert_true(out.bin.candidates[0].answered && !out.bin.candidates[1].answered);
	assert_null(out.bin.measures[LEVEE_SYNS]);
	assert_true(out.bin.measures[LEVEE_BYTES]->minimum == 4000 &&
		    out.bin.measures[LEVEE_BYTES]->moments.sq == 25000001 &&
		    out.bin.measures[LEVEE_BYTES]->candidates[0].bytes == 5000 &&
		    out.bin.measures[LEVEE_BYTES]->candidates[0].packets == 9);
	assert_true(out.bin.histogram.n == 2 && out.bin.histogram.cells[0].count == 7 &&
		    out.bin.histogram.cells[1].bucket == 5376);
	assert_int_equal(out.capped, 3);
	assert_true(out.n_nodes == 2 && out.n_late == 1 && out.n_missing == 1);
	assert_string_equal(out.nodes[1], "b \"c\"");
	assert_true(levee_fleet_name_in(out.missing, 1, "d"));
	free(text);
	levee_fleet_record_clear(&out);
	in.bin.candidates = NULL;
	in.bin.n_candidates = 0;
	in.bin.histogram = (struct levee_histogram){ 0 };
	in.bin.measures[LEVEE_BYTES] = NULL;
	levee_fleet_record_clear(&in);
}

static void a_damaged_record_is_refused(void **state)
{
	static const char *const bad[] = {
		"",
		"{}",
		"[]",
		"{\"v\":2}",
		/* more candidates' packets than moments allow are the window's to see; the sum here cannot be of one value */
		"{\"v\":2,\"start\":60,\"n\":1,\"sum\":\"00000000000000000000000000000002\",\"sq\":"
		"\"00000000000000000000000000000001\",\"capped\":0,\"min\":1,\"flags\":0,\"nodes\":"
		"[],\"late\":[],\"missing\":[],\"candidates\":[],\"bytes\":null,\"syns\":null,"
		"\"histogram\":\"\"}",
		"{\"v\":1,\"start\":60,\"n\":1,\"sum\":\"00000000000000000000000000000001\",\"sq\":"
		"\"00000000000000000000000000000001\",\"capped\":0,\"min\":1,\"flags\":0,\"nodes\":"
		"[],\"late\":[],\"missing\":[],\"candidates\":[],\"bytes\":null,\"syns\":null,"
		"\"histogram\":\"\"}",
		"{\"v\":2,\"start\":60,\"n\":1,\"sum\":\"1\",\"sq\":"
		"\"00000000000000000000000000000001\",\"capped\":0,\"min\":1,\"flags\":0,\"nodes\":"
		"[],\"late\":[],\"missing\":[],\"candidates\":[],\"bytes\":null,\"syns\":null,"
		"\"histogram\":\"\"}",
		"{\"v\":2,\"start\":60,\"n\":1,\"sum\":\"00000000000000000000000000000001\",\"sq\":"
		"\"00000000000000000000000000000001\",\"capped\":0,\"min\":1,\"flags\":0,\"nodes\":"
		"[],\"late\":[],\"missing\":[],\"candidates\":[[\"x\",1,1,false]],\"bytes\":null,"
		"\"syns\":null,\"histogram\":\"\"}",
		"{\"v\":2,\"start\":60,\"n\":1,\"sum\":\"00000000000000000000000000000001\",\"sq\":"
		"\"00000000000000000000000000000001\",\"capped\":0,\"min\":1,\"flags\":0,\"nodes\":"
		"[],\"late\":[],\"missing\":[],\"candidates\":[[\"192.0.2.1\",-1,1,false]],"
		"\"bytes\":null,\"syns\":null,\"histogram\":\"\"}",
		"{\"v\":2,\"start\":60,\"n\":1,\"sum\":\"00000000000000000000000000000001\",\"sq\":"
		"\"00000000000000000000000000000001\",\"capped\":0,\"min\":1,\"flags\":0,\"nodes\":"
		"[7],\"late\":[],\"missing\":[],\"candidates\":[],\"bytes\":null,\"syns\":null,"
		"\"histogram\":\"\"}",
		"{\"v\":2,\"start\":60,\"n\":1,\"sum\":\"00000000000000000000000000000001\",\"sq\":"
		"\"00000000000000000000000000000001\",\"capped\":0,\"min\":1,\"flags\":0,\"nodes\":"
		"[],\"late\":[],\"missing\":[],\"candidates\":[],\"bytes\":null,\"syns\":null,"
		"\"histogram\":\"0\"}",
		"{\"v\":2,\"start\":60,\"n\":1,\"sum\":\"00000000000000000000000000000001\",\"sq\":"
		"\"00000000000000000000000000000001\",\"capped\":0,\"min\":1,\"flags\":0,\"nodes\":"
		"[],\"late\":[],\"missing\":[],\"candidates\":[],\"bytes\":null,\"syns\":null,"
		"\"histogram\":\"zz\"}",
		"{\"v\":2,\"start\":60,\"n\":1,\"sum\":\"00000000000000000000000000000001\",\"sq\":"
		"\"00000000000000000000000000000001\",\"capped\":0,\"min\":1,\"flags\":0,\"nodes\":"
		"[],\"late\":[],\"missing\":[],\"candidates\":[],\"bytes\":null,\"syns\":null,"
		"\"histogram\":\"0100\"}",
		"{\"v\":2,\"start\":60,\"n\":1,\"sum\":\"00000000000000000000000000000001\",\"sq\":"
		"\"00000000000000000000000000000001\",\"capped\":0,\"min\":1,\"flags\":0,\"nodes\":"
		"[],\"late\":[],\"missing\":[],\"candidates\":[],\"bytes\":null,\"syns\":null,"
		"\"histogram\":7}",
		"{\"v\":2,\"start\":60,\"n\":1,\"sum\":\"00000000000000000000000000000001\",\"sq\":"
		"\"00000000000000000000000000000001\",\"capped\":0,\"min\":1,\"flags\":0,\"nodes\":"
		"[],\"late\":[],\"missing\":[],\"candidates\":[],\"bytes\":{},\"syns\":null,"
		"\"histogram\":\"\"}",
		"{\"v\":2,\"start\":60,\"n\":1,\"sum\":\"00000000000000000000000000000001\",\"sq\":"
		"\"00000000000000000000000000000001\",\"capped\":0,\"min\":1,\"flags\":0,\"nodes\":"
		"[],\"late\":[],\"missing\":[],\"candidates\":[],\"bytes\":7,\"syns\":null,"
		"\"histogram\":\"\"}",
	};
	struct levee_fleet_record record;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(levee_fleet_record_parse(&record, bad[i]), -EINVAL);
}

static void the_record_that_the_damaged_ones_come_from_is_good(void **state)
{
	struct levee_fleet_record record;

	(void)state;
	assert_int_equal(
		levee_fleet_record_parse(
			&record,
			"{\"v\":2,\"start\":60,\"n\":1,\"sum\":"
			"\"00000000000000000000000000000001\",\"sq\":"
			"\"00000000000000000000000000000001\",\"capped\":0,\"min\":1,\"flags\":0,"
			"\"nodes\":[],\"late\":[],\"missing\":[],\"candidates\":[],\"bytes\":null,"
			"\"syns\":null,\"histogram\":\"\"}"),
		0);
	levee_fleet_record_clear(&record);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_seed_is_64_hexadecimal_digits),
		cmocka_unit_test(neighbours_spread_over_all_buckets),
		cmocka_unit_test(fields_read_back),
		cmocka_unit_test(fields_that_nobody_writes_are_refused),
		cmocka_unit_test(parts_hold_every_source_once_and_stay_in_a_shard),
		cmocka_unit_test(the_same_bin_makes_the_same_parts),
		cmocka_unit_test(folded_values_are_kept_apart),
		cmocka_unit_test(every_lane_has_its_values),
		cmocka_unit_test(lanes_read_back),
		cmocka_unit_test(cells_add_up),
		cmocka_unit_test(reductions_add_up),
		cmocka_unit_test(a_record_reads_back),
		cmocka_unit_test(a_damaged_record_is_refused),
		cmocka_unit_test(the_record_that_the_damaged_ones_come_from_is_good),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
