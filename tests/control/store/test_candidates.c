/* SPDX-License-Identifier: BSD-2-Clause */
#include "control/store/candidates.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define HEADER 12
#define ENTRY  34

static struct levee_candidate candidates[] = {
	{ { .family = 4, .length = 32, .hi = 0xc6336407 }, 15000, 900000, 0, false },
	{ { .family = 4, .length = 32, .hi = 0xc6336408 }, LEVEE_VALUE_MAX, 1, 0, false },
	{ { .family = 6, .length = 64, .hi = 0x20010db800000001 }, 1, UINT64_MAX, 0, false },
};

static struct levee_bin_record record(void)
{
	struct levee_bin_record r = {
		.start_s = 1700000040,
		.min_packets = 0,
		.n_candidates = 3,
		.candidates = candidates,
		.flags = LEVEE_BIN_FOLDED,
	};

	for (size_t i = 0; i < 3; i++)
		assert_int_equal(levee_moments_add(&r.moments, candidates[i].packets), 0);
	return r;
}

/* The columns without candidates: what is read before the blob. */
static struct levee_bin_record columns(void)
{
	struct levee_bin_record r = record();

	r.candidates = NULL;
	r.n_candidates = 0;
	return r;
}

static uint8_t *pack(const struct levee_bin_record *r, size_t *size)
{
	uint8_t *blob = levee_candidates_pack(r, 60, size);

	assert_non_null(blob);
	return blob;
}

static void assert_damaged(const uint8_t *blob, size_t size)
{
	struct levee_bin_record r = columns();
	const char *why = NULL;

	assert_int_equal(levee_candidates_unpack(&r, 60, blob, size, &why), -EUCLEAN);
	assert_non_null(why);
	assert_null(r.candidates);
}

static void what_was_packed_is_unpacked(void **state)
{
	struct levee_bin_record r = record(), again = columns();
	const char *why;
	size_t size;
	uint8_t *blob = pack(&r, &size);

	(void)state;
	assert_int_equal(size, HEADER + 3 * ENTRY);
	assert_int_equal(levee_candidates_unpack(&again, 60, blob, size, &why), 0);
	assert_int_equal(again.n_candidates, 3);
	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(
			levee_prefix_compare(&again.candidates[i].source, &candidates[i].source),
			0);
		assert_int_equal(again.candidates[i].packets, candidates[i].packets);
		assert_int_equal(again.candidates[i].bytes, candidates[i].bytes);
	}
	free(again.candidates);
	free(blob);
}

static void the_layout_does_not_drift(void **state)
{
	static const uint8_t entry[ENTRY] = {
		4, 32,	 0x07, 0x64, 0x33, 0xc6, 0, 0, 0, 0,	0,    0,    0, 0, 0, 0, 0,
		0, 0x98, 0x3a, 0,    0,	   0,	 0, 0, 0, 0xa0, 0xbb, 0x0d, 0, 0, 0, 0, 0,
	};
	struct levee_bin_record r = record();
	size_t size;
	uint8_t *blob = pack(&r, &size);

	(void)state;
	assert_memory_equal(blob, "LVC1", 4);
	assert_memory_equal(blob + HEADER, entry, ENTRY);
	free(blob);
}

static void no_candidates_make_a_blob_too(void **state)
{
	struct levee_bin_record r = columns(), again = columns();
	const char *why;
	size_t size;
	uint8_t *blob = pack(&r, &size);

	(void)state;
	assert_int_equal(size, HEADER);
	assert_int_equal(levee_candidates_unpack(&again, 60, blob, size, &why), 0);
	assert_int_equal(again.n_candidates, 0);
	assert_null(again.candidates);
	free(blob);
}

static void every_bit_that_turns_is_found(void **state)
{
	struct levee_bin_record r = record();
	size_t size;
	uint8_t *blob = pack(&r, &size);

	(void)state;
	for (size_t bit = 0; bit < 8 * size; bit++) {
		blob[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_damaged(blob, size);
		blob[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	free(blob);
}

static void every_cut_is_found(void **state)
{
	struct levee_bin_record r = record();
	size_t size;
	uint8_t *blob = pack(&r, &size);

	(void)state;
	for (size_t n = 0; n < size; n++) {
		uint8_t *cut = malloc(n ? n : 1); /* its own, so that ASan sees reads beyond */

		assert_non_null(cut);
		memcpy(cut, blob, n);
		assert_damaged(cut, n);
		free(cut);
	}
	assert_damaged(NULL, 0);
	free(blob);
}

static void a_column_that_changed_is_found(void **state)
{
	struct levee_bin_record r = record();
	struct levee_bin_record changed[6];
	const char *why;
	size_t size;
	uint8_t *blob = pack(&r, &size);

	(void)state;
	for (size_t i = 0; i < 6; i++)
		changed[i] = columns();
	changed[0].start_s += 60;
	changed[1].moments.n++;
	changed[2].moments.sum++;
	changed[3].moments.sq ^= (levee_u128)1 << 100;
	changed[4].min_packets++;
	changed[5].flags = 0;
	for (size_t i = 0; i < 6; i++)
		assert_int_equal(levee_candidates_unpack(&changed[i], 60, blob, size, &why),
				 -EUCLEAN);
	r = columns();
	assert_int_equal(levee_candidates_unpack(&r, 61, blob, size, &why), -EUCLEAN);
	free(blob);
}

/* A sum that is right says only that Levee wrote it: content is checked, too. */
static void assert_refused(struct levee_candidate *list, size_t n, const char *reason)
{
	struct levee_bin_record r = record(), again = columns();
	const char *why = NULL;
	size_t size;
	uint8_t *blob;

	r.candidates = list;
	r.n_candidates = n;
	blob = pack(&r, &size);
	assert_int_equal(levee_candidates_unpack(&again, 60, blob, size, &why), -EUCLEAN);
	assert_string_equal(why, reason);
	free(blob);
}

static void impossible_candidates_are_refused(void **state)
{
	struct levee_candidate family = { { .family = 5, .length = 32 }, 1, 1, 0, false };
	struct levee_candidate length = { { .family = 4, .length = 33 }, 1, 1, 0, false };
	struct levee_candidate host = {
		{ .family = 4, .length = 24, .hi = 0xc6336407 }, 1, 1, 0, false
	};
	struct levee_candidate wide = {
		{ .family = 4, .length = 32, .hi = 1ULL << 32 }, 1, 1, 0, false
	};
	struct levee_candidate zero = { { .family = 4, .length = 32 }, 0, 0, 0, false };
	struct levee_candidate huge = {
		{ .family = 4, .length = 32 }, LEVEE_VALUE_MAX + 1, 0, 0, false
	};
	struct levee_candidate twice[] = { candidates[0], candidates[0] };
	struct levee_candidate order[] = { candidates[1], candidates[0] };

	(void)state;
	assert_refused(&family, 1, "a source is no prefix");
	assert_refused(&length, 1, "a source is no prefix");
	assert_refused(&host, 1, "a source has host bits");
	assert_refused(&wide, 1, "a source has host bits");
	assert_refused(&zero, 1, "a source's packets are out of range");
	assert_refused(&huge, 1, "a source's packets are out of range");
	assert_refused(twice, 2, "sources are not sorted");
	assert_refused(order, 2, "sources are not sorted");
}

static void impossible_moments_are_refused(void **state)
{
	struct levee_bin_record r = columns(), again;
	const char *why;
	size_t size;
	uint8_t *blob;

	(void)state;
	r.moments.sq = 0; /* squares are no less than the values */
	again = r;
	blob = pack(&r, &size);
	assert_int_equal(levee_candidates_unpack(&again, 60, blob, size, &why), -EUCLEAN);
	free(blob);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_packed_is_unpacked),
		cmocka_unit_test(the_layout_does_not_drift),
		cmocka_unit_test(no_candidates_make_a_blob_too),
		cmocka_unit_test(every_bit_that_turns_is_found),
		cmocka_unit_test(every_cut_is_found),
		cmocka_unit_test(a_column_that_changed_is_found),
		cmocka_unit_test(impossible_candidates_are_refused),
		cmocka_unit_test(impossible_moments_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
