/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <errno.h>
#include <cmocka.h>

#include "dataplane/prefixmap.h"

#define SEED  20261124U
#define KEYS  600
#define TURNS 60000

static uint32_t next_random(uint64_t *state)
{
	*state = *state * 6364136223846793005ULL + 1442695040888963407ULL;
	return (uint32_t)(*state >> 33);
}

static struct levee_prefix prefix4(uint32_t addr, uint8_t length)
{
	struct levee_prefix p = { .hi = addr, .family = 4, .length = length };

	levee_prefix_canon(&p);
	return p;
}

/* Few addresses and all lengths, so that prefixes come again and nest. */
static struct levee_prefix random_prefix(uint64_t *random)
{
	struct levee_prefix p = { .family = next_random(random) & 1 ? 4 : 6 };

	p.length = (uint8_t)(next_random(random) % (p.family == 4 ? 33 : 129));
	if (next_random(random) & 1)
		p.length = p.family == 4 ? 32 : 64;
	p.hi = (uint64_t)(next_random(random) % 5) << (p.family == 4 ? 24 : 56) |
	       next_random(random) % 7;
	p.lo = p.family == 6 ? (uint64_t)(next_random(random) % 3) << 62 : 0;
	levee_prefix_canon(&p);
	return p;
}

/* ---- a list to compare with -------------------------------------------------------------- */

struct list {
	size_t n;
	struct levee_prefix key[KEYS];
	uint32_t value[KEYS];
};

static size_t find(const struct list *list, const struct levee_prefix *key)
{
	size_t i = 0;

	while (i < list->n && levee_prefix_compare(&list->key[i], key))
		i++;
	return i;
}

static const struct levee_prefix *shortest_cover(const struct list *list,
						 const struct levee_prefix *p)
{
	const struct levee_prefix *best = NULL;

	for (size_t i = 0; i < list->n; i++)
		if (levee_prefix_covers(&list->key[i], p) &&
		    (!best || list->key[i].length < best->length))
			best = &list->key[i];
	return best;
}

static void assert_same(const struct levee_prefixmap *map, const struct list *list)
{
	const struct levee_prefixmap_entry *e;
	size_t seen = 0, counted = 0;

	for (size_t i = 0; (e = levee_prefixmap_next(map, &i));) {
		size_t at = find(list, &e->key);

		assert_true(at < list->n);
		assert_int_equal(e->value, list->value[at]);
		seen++;
	}
	assert_int_equal(seen, list->n);
	assert_int_equal(map->n, list->n);
	for (int family = 0; family < 2; family++)
		for (int length = 0; length <= 128; length++)
			counted += map->with_length[family][length];
	assert_int_equal(counted, list->n);
}

/* ---- the tests --------------------------------------------------------------------------- */

static void an_empty_map_has_nothing(void **state)
{
	struct levee_prefixmap map = { 0 };
	struct levee_prefix p = prefix4(0xc0000201, 32);
	size_t i = 0;

	(void)state;
	assert_null(levee_prefixmap_get(&map, &p));
	assert_null(levee_prefixmap_cover(&map, &p));
	assert_null(levee_prefixmap_next(&map, &i));
	assert_int_equal(levee_prefixmap_remove(&map, &p), -ENOENT);
	levee_prefixmap_clear(&map);
}

static void a_value_that_is_set_is_found_and_can_be_replaced(void **state)
{
	struct levee_prefixmap map = { 0 };
	struct levee_prefix p = prefix4(0xc0000201, 32);

	(void)state;
	assert_int_equal(levee_prefixmap_set(&map, &p, 7), 0);
	assert_int_equal(*levee_prefixmap_get(&map, &p), 7);
	assert_int_equal(levee_prefixmap_set(&map, &p, 8), 0);
	assert_int_equal(*levee_prefixmap_get(&map, &p), 8);
	assert_int_equal(map.n, 1);
	assert_int_equal(levee_prefixmap_remove(&map, &p), 0);
	assert_null(levee_prefixmap_get(&map, &p));
	assert_int_equal(levee_prefixmap_remove(&map, &p), -ENOENT);
	levee_prefixmap_clear(&map);
}

static void length_and_family_are_part_of_the_key(void **state)
{
	struct levee_prefixmap map = { 0 };
	struct levee_prefix keys[] = { { 0, 0, 4, 0 },	{ 0, 0, 4, 1 },	 { 0, 0, 4, 32 },
				       { 0, 0, 6, 0 },	{ 0, 0, 6, 1 },	 { 0, 0, 6, 32 },
				       { 0, 0, 6, 64 }, { 0, 0, 6, 128 } };
	size_t n = sizeof(keys) / sizeof(keys[0]);

	(void)state;
	for (uint32_t i = 0; i < n; i++)
		assert_int_equal(levee_prefixmap_set(&map, &keys[i], i), 0);
	assert_int_equal(map.n, n);
	for (uint32_t i = 0; i < n; i++)
		assert_int_equal(*levee_prefixmap_get(&map, &keys[i]), i);
	levee_prefixmap_clear(&map);
}

static void the_shortest_prefix_that_covers_another_is_found(void **state)
{
	struct levee_prefixmap map = { 0 };
	struct levee_prefix p8 = prefix4(0x0a000000, 8), p24 = prefix4(0x0a010200, 24),
			    p32 = prefix4(0x0a010203, 32), other = prefix4(0x0b000000, 32),
			    wider = prefix4(0x0a000000, 7);

	(void)state;
	assert_int_equal(levee_prefixmap_set(&map, &p24, 24), 0);
	assert_int_equal(levee_prefixmap_cover(&map, &p32)->value, 24);
	assert_int_equal(levee_prefixmap_cover(&map, &p24)->value, 24);
	assert_null(levee_prefixmap_cover(&map, &p8));
	assert_int_equal(levee_prefixmap_set(&map, &p8, 8), 0);
	assert_int_equal(levee_prefixmap_cover(&map, &p32)->value, 8);
	assert_null(levee_prefixmap_cover(&map, &other));
	assert_null(levee_prefixmap_cover(&map, &wider));
	assert_int_equal(levee_prefixmap_remove(&map, &p8), 0);
	assert_int_equal(levee_prefixmap_cover(&map, &p32)->value, 24);
	levee_prefixmap_clear(&map);
}

static void everybody_is_covered_by_length_0_of_his_family(void **state)
{
	struct levee_prefixmap map = { 0 };
	struct levee_prefix all = { 0, 0, 6, 0 }, six = { ~0ULL, ~0ULL, 6, 128 },
			    four = prefix4(0xffffffff, 32);

	(void)state;
	assert_int_equal(levee_prefixmap_set(&map, &all, 1), 0);
	assert_int_equal(levee_prefixmap_cover(&map, &six)->value, 1);
	assert_null(levee_prefixmap_cover(&map, &four));
	levee_prefixmap_clear(&map);
}

static void a_map_can_be_used_again_after_it_was_cleared(void **state)
{
	struct levee_prefixmap map = { 0 };

	(void)state;
	for (uint32_t turn = 0; turn < 3; turn++) {
		for (uint32_t i = 0; i < 300; i++) {
			struct levee_prefix p = prefix4(i << 8, 24);

			assert_int_equal(levee_prefixmap_set(&map, &p, i + turn), 0);
		}
		assert_int_equal(map.n, 300);
		levee_prefixmap_clear(&map);
		assert_int_equal(map.n, 0);
	}
}

static void a_hundred_thousand_prefixes_are_kept_apart(void **state)
{
	struct levee_prefixmap map = { 0 };

	(void)state;
	for (uint32_t i = 0; i < 100000; i++) {
		struct levee_prefix p = prefix4(i * 2654435761U, 32);

		assert_int_equal(levee_prefixmap_set(&map, &p, i), 0);
	}
	for (uint32_t i = 0; i < 100000; i += 2) {
		struct levee_prefix p = prefix4(i * 2654435761U, 32);

		assert_int_equal(levee_prefixmap_remove(&map, &p), 0);
	}
	assert_int_equal(map.n, 50000);
	for (uint32_t i = 0; i < 100000; i++) {
		struct levee_prefix p = prefix4(i * 2654435761U, 32);
		const uint32_t *value = levee_prefixmap_get(&map, &p);

		if (i & 1)
			assert_int_equal(*value, i);
		else
			assert_null(value);
	}
	levee_prefixmap_clear(&map);
}

static void random_changes_are_as_in_a_list(void **state)
{
	struct list *list = calloc(1, sizeof(*list));
	struct levee_prefixmap map = { 0 };
	uint64_t random = SEED;

	(void)state;
	assert_non_null(list);
	print_message("# seed %u\n", SEED);
	for (uint32_t turn = 0; turn < TURNS; turn++) {
		struct levee_prefix p = random_prefix(&random);
		size_t at = find(list, &p);
		/* It grows for some time, then shrinks to nothing, and so on. */
		bool add = next_random(&random) % 8 < (turn / 3000 % 2 ? 2 : 6);
		const struct levee_prefixmap_entry *cover;
		const struct levee_prefix *want;

		if (add && (at < list->n || list->n < KEYS)) {
			assert_int_equal(levee_prefixmap_set(&map, &p, turn), 0);
			list->key[at] = p;
			list->value[at] = turn;
			list->n += at == list->n;
		} else if (!add) {
			assert_int_equal(levee_prefixmap_remove(&map, &p),
					 at < list->n ? 0 : -ENOENT);
			if (at < list->n) {
				list->key[at] = list->key[--list->n];
				list->value[at] = list->value[list->n];
			}
		}
		p = random_prefix(&random);
		cover = levee_prefixmap_cover(&map, &p);
		want = shortest_cover(list, &p);
		assert_int_equal(!cover, !want);
		if (cover)
			assert_int_equal(levee_prefix_compare(&cover->key, want), 0);
		if (turn % 500 == 0)
			assert_same(&map, list);
	}
	assert_same(&map, list);
	levee_prefixmap_clear(&map);
	free(list);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_empty_map_has_nothing),
		cmocka_unit_test(a_value_that_is_set_is_found_and_can_be_replaced),
		cmocka_unit_test(length_and_family_are_part_of_the_key),
		cmocka_unit_test(the_shortest_prefix_that_covers_another_is_found),
		cmocka_unit_test(everybody_is_covered_by_length_0_of_his_family),
		cmocka_unit_test(a_map_can_be_used_again_after_it_was_cleared),
		cmocka_unit_test(a_hundred_thousand_prefixes_are_kept_apart),
		cmocka_unit_test(random_changes_are_as_in_a_list),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
