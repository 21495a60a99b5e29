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

#include "control/detect/sourcetable.h"

static int setup(void **state)
{
	struct levee_sourcetable *table = calloc(1, sizeof(*table));

	*state = table;
	return table ? levee_sourcetable_init(table) : -1;
}

static int teardown(void **state)
{
	levee_sourcetable_clear(*state);
	free(*state);
	return 0;
}

static struct levee_prefix ipv4(uint32_t addr)
{
	return (struct levee_prefix){ .hi = addr, .family = 4, .length = 32 };
}

static struct levee_source *find(const struct levee_sourcetable *table, struct levee_prefix p)
{
	return levee_sourcetable_find(table, &p, levee_sourcetable_hash(table, &p));
}

static void insert(struct levee_sourcetable *table, struct levee_prefix p, uint64_t extra)
{
	assert_null(find(table, p));
	assert_int_equal(levee_sourcetable_reserve(table, 1), 0);
	levee_sourcetable_insert(table, &p, levee_sourcetable_hash(table, &p))->extra = extra;
}

static void an_empty_table_finds_nothing(void **state)
{
	assert_null(find(*state, ipv4(0)));
}

static void every_source_is_found_again_while_the_table_grows(void **state)
{
	struct levee_sourcetable *table = *state;
	enum { N = 50000 };

	for (uint32_t i = 0; i < N; i++) {
		insert(table, ipv4(i * 256), i);
		assert_int_equal(find(table, ipv4(i / 2 * 256))->extra, i / 2);
	}
	for (uint32_t i = 0; i < N; i++)
		assert_int_equal(find(table, ipv4(i * 256))->extra, i);
	assert_null(find(table, ipv4(1)));
	assert_int_equal(table->n, N);
}

static void family_length_and_both_halves_tell_sources_apart(void **state)
{
	const struct levee_prefix keys[] = {
		{ .hi = 0, .lo = 0, .family = 4, .length = 32 },
		{ .hi = 0, .lo = 0, .family = 4, .length = 0 },
		{ .hi = 0, .lo = 0, .family = 6, .length = 32 },
		{ .hi = 0, .lo = 0, .family = 6, .length = 64 },
		{ .hi = 0, .lo = 0, .family = 6, .length = 128 },
		{ .hi = 0, .lo = 1, .family = 6, .length = 128 },
		{ .hi = 1, .lo = 0, .family = 6, .length = 128 },
		{ .hi = UINT64_MAX, .lo = UINT64_MAX, .family = 6, .length = 128 },
	};
	enum { N = sizeof(keys) / sizeof(*keys) };

	for (uint64_t i = 0; i < N; i++)
		insert(*state, keys[i], i);
	for (uint64_t i = 0; i < N; i++) {
		struct levee_source *source = find(*state, keys[i]);
		struct levee_prefix back = levee_source_prefix(source);

		assert_int_equal(source->extra, i);
		assert_int_equal(levee_prefix_compare(&back, &keys[i]), 0);
	}
}

/* More than one line has room for, and the same hash for all: only the key tells them apart. */
static void sources_of_one_hash_are_told_apart(void **state)
{
	struct levee_sourcetable *table = *state;
	const uint32_t hash = 0xffffffff;

	assert_int_equal(levee_sourcetable_reserve(table, 60), 0);
	for (uint64_t i = 0; i < 20; i++) {
		struct levee_prefix keys[] = {
			{ .hi = i, .lo = 5, .family = 6, .length = 128 },
			{ .hi = 100, .lo = i, .family = 6, .length = 128 },
			{ .hi = 200, .lo = 5, .family = 6, .length = (uint8_t)i },
		};

		for (uint64_t k = 0; k < 3; k++) {
			assert_null(levee_sourcetable_find(table, &keys[k], hash));
			levee_sourcetable_insert(table, &keys[k], hash)->extra = k * 100 + i;
			assert_int_equal(levee_sourcetable_find(table, &keys[k], hash)->extra,
					 k * 100 + i);
		}
	}
}

static void a_count_of_2_to_the_48_leaves_the_key_alone(void **state)
{
	const struct levee_prefix key = { .hi = 5, .family = 6, .length = 64 };
	struct levee_source *source;

	insert(*state, key, 0);
	source = find(*state, key);
	source->word += 1ULL << 48;
	assert_ptr_equal(find(*state, key), source);
	assert_int_equal(levee_source_count(source), 1ULL << 48);
}

static bool keep_even(void *ctx, const struct levee_source *source)
{
	uint64_t *asked = ctx;

	assert_int_equal(source->extra, (*asked)++);
	return source->extra % 2 == 0;
}

static void keep_asks_in_order_of_arrival_and_forgets_the_rest(void **state)
{
	struct levee_sourcetable *table = *state;
	uint64_t asked = 0;

	for (uint32_t i = 0; i < 10000; i++)
		insert(table, ipv4(i), i);
	levee_sourcetable_keep(table, keep_even, &asked);
	assert_int_equal(asked, 10000);
	assert_int_equal(table->n, 5000);
	for (uint32_t i = 0; i < 10000; i++)
		assert_int_equal(find(table, ipv4(i)) != NULL, i % 2 == 0);
	insert(table, ipv4(1), 1);
}

static void reset_forgets_and_gives_much_memory_back(void **state)
{
	struct levee_sourcetable *table = *state;

	insert(table, ipv4(7), 0);
	levee_sourcetable_reset(table);
	assert_null(find(table, ipv4(7)));
	assert_int_not_equal(table->capacity, 0);
	for (uint32_t i = 0; i < 10000; i++)
		insert(table, ipv4(i), i);
	levee_sourcetable_reset(table);
	assert_int_equal(table->capacity, 0);
	assert_null(table->index);
	assert_null(find(table, ipv4(7)));
	insert(table, ipv4(7), 1);
	assert_int_equal(find(table, ipv4(7))->extra, 1);
}

static void two_tables_place_the_same_source_differently(void **state)
{
	struct levee_sourcetable other;
	unsigned int same = 0;

	assert_int_equal(levee_sourcetable_init(&other), 0);
	for (uint32_t i = 0; i < 64; i++) {
		struct levee_prefix p = ipv4(i);

		same += levee_sourcetable_hash(*state, &p) == levee_sourcetable_hash(&other, &p);
	}
	assert_true(same < 2);
}

static void reserved_room_is_enough_for_inserts_without_asking_again(void **state)
{
	struct levee_sourcetable *table = *state;
	size_t capacity;

	assert_int_equal(levee_sourcetable_reserve(table, 5000), 0);
	capacity = table->capacity;
	assert_true(capacity >= 5000);
	for (uint32_t i = 0; i < 5000; i++) {
		struct levee_prefix p = ipv4(i);

		levee_sourcetable_insert(table, &p, levee_sourcetable_hash(table, &p));
	}
	assert_int_equal(table->capacity, capacity);
	assert_non_null(find(table, ipv4(4999)));
}

/* Linear probing is only as good as the hash: sequences are what addresses come in. */
static void sources_in_sequence_fill_the_lines_evenly(void **state)
{
	static const uint32_t strides[] = { 1, 2, 255, 256, 65536, 0x01000193 };

	for (size_t s = 0; s < sizeof(strides) / sizeof(*strides); s++) {
		struct levee_sourcetable *table = *state;
		size_t full = 0;

		levee_sourcetable_reset(table);
		for (uint32_t i = 0; i < 20000; i++)
			insert(table, ipv4(i * strides[s]), i);
		for (size_t i = 0; i < (size_t)1 << table->bits; i++)
			full += table->index[i].place[LEVEE_LINE_SLOTS - 1] != 0;
		/* 4.9 of 8 on average: one line in eight is full, and a few by overflow. */
		assert_true(full < ((size_t)1 << table->bits) / 4);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(an_empty_table_finds_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(every_source_is_found_again_while_the_table_grows,
						setup, teardown),
		cmocka_unit_test_setup_teardown(family_length_and_both_halves_tell_sources_apart,
						setup, teardown),
		cmocka_unit_test_setup_teardown(sources_of_one_hash_are_told_apart, setup,
						teardown),
		cmocka_unit_test_setup_teardown(a_count_of_2_to_the_48_leaves_the_key_alone, setup,
						teardown),
		cmocka_unit_test_setup_teardown(keep_asks_in_order_of_arrival_and_forgets_the_rest,
						setup, teardown),
		cmocka_unit_test_setup_teardown(reset_forgets_and_gives_much_memory_back, setup,
						teardown),
		cmocka_unit_test_setup_teardown(two_tables_place_the_same_source_differently, setup,
						teardown),
		cmocka_unit_test_setup_teardown(
			reserved_room_is_enough_for_inserts_without_asking_again, setup, teardown),
		cmocka_unit_test_setup_teardown(sources_in_sequence_fill_the_lines_evenly, setup,
						teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
