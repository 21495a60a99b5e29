/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "control/policy/good.h"

struct fixture {
	struct levee_good *good;
	struct levee_bin *bin;
	struct levee_blocks *blocks;
	struct levee_cover_source *list;
	size_t n;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct levee_blocks_params params = { .bin_s = 60, .window_s = 600 };

	f->good = levee_good_new(100, 1);
	f->bin = levee_bin_new(1024);
	f->blocks = levee_blocks_new(&params);
	*state = f;
	return f->good && f->bin && f->blocks ? 0 : -1;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	levee_good_free(&f->good);
	levee_good_free(&f->good);
	levee_bin_free(&f->bin);
	levee_blocks_free(&f->blocks);
	free(f->list);
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

static void close_bin(struct fixture *f, int64_t start_s)
{
	assert_int_equal(levee_good_close(f->good, f->bin, start_s, start_s + 60 - 600), 0);
	levee_bin_reset(f->bin);
}

static void block(struct fixture *f, uint32_t addr, enum levee_block_kind kind)
{
	struct levee_block b = { .prefix = ipv4(addr),
				 .reason = LEVEE_BLOCK_ZSCORE,
				 .kind = kind,
				 .expires_boot_ns = LEVEE_NEVER };

	assert_int_equal(levee_blocks_put(f->blocks, &b, NULL, NULL), 0);
}

static void list(struct fixture *f)
{
	free(f->list);
	assert_int_equal(levee_good_list(f->good, f->blocks, &f->list, &f->n), 0);
}

static void neighbours_of_a_block_are_listed_with_their_largest_bin(void **state)
{
	struct fixture *f = *state;

	send(f, 0xcb007101, 10);
	send(f, 0xcb007105, 90000);
	send(f, 0xcb007fff, 3); /* in the same /20 */
	send(f, 0xcb008001, 5); /* in the next one */
	close_bin(f, 0);
	send(f, 0xcb007101, 7);
	close_bin(f, 60);
	list(f);
	assert_int_equal(f->n, 0);
	block(f, 0xcb007105, LEVEE_KIND_DROP);
	list(f);
	assert_int_equal(f->n, 2);
	for (size_t i = 0; i < 2; i++)
		assert_int_equal(f->list[i].packets, f->list[i].prefix.hi == 0xcb007101 ? 10 : 3);
	assert_true(levee_good_known(f->good));
}

static void who_is_only_limited_is_good(void **state)
{
	struct fixture *f = *state;

	send(f, 0xcb007101, 10);
	close_bin(f, 0);
	block(f, 0xcb007101, LEVEE_KIND_LIMIT);
	list(f);
	assert_int_equal(f->n, 1);
}

static void who_was_silent_for_a_window_is_forgotten(void **state)
{
	struct fixture *f = *state;

	block(f, 0xcb007105, LEVEE_KIND_DROP);
	send(f, 0xcb007101, 10);
	close_bin(f, 0);
	for (int64_t at = 60; at < 600; at += 60)
		close_bin(f, at);
	assert_int_equal(levee_good_count(f->good), 1);
	close_bin(f, 600);
	assert_int_equal(levee_good_count(f->good), 0);
}

static void before_the_first_bin_nothing_is_known(void **state)
{
	struct fixture *f = *state;

	assert_false(levee_good_known(f->good));
}

static void it_takes_some_bins_to_know_who_is_there(void **state)
{
	struct fixture *f = *state;

	levee_good_free(&f->good);
	f->good = levee_good_new(100, 3);
	for (int64_t at = 0; at < 180; at += 60) {
		assert_false(levee_good_known(f->good));
		close_bin(f, at);
	}
	assert_true(levee_good_known(f->good));
}

static void who_was_known_before_a_restart_is_kept_for_his_window(void **state)
{
	struct fixture *f = *state;
	struct levee_cover_source before = { ipv4(0xcb007101), 44 };

	block(f, 0xcb007105, LEVEE_KIND_DROP);
	assert_int_equal(levee_good_put(f->good, &before, 60), 0);
	close_bin(f, 120);
	list(f);
	assert_int_equal(f->n, 1);
	assert_int_equal(f->list[0].packets, 44);
	close_bin(f, 660);
	list(f);
	assert_int_equal(f->n, 0);
}

static void names_that_were_lost_are_known_to_be(void **state)
{
	struct fixture *f = *state;
	struct levee_fold fold = { .n = 5, .packets = 5, .sq_lo = 5 };

	assert_int_equal(levee_bin_add_fold(f->bin, &fold), 0);
	close_bin(f, 0);
	assert_false(levee_good_known(f->good));
	close_bin(f, 540);
	assert_false(levee_good_known(f->good));
	close_bin(f, 600);
	assert_true(levee_good_known(f->good));
	/* No room for all is the same. */
	for (uint32_t i = 0; i < 101; i++)
		send(f, i, 1);
	close_bin(f, 660);
	assert_int_equal(levee_good_count(f->good), 100);
	assert_false(levee_good_known(f->good));
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(neighbours_of_a_block_are_listed_with_their_largest_bin),
		T(who_is_only_limited_is_good),
		T(who_was_silent_for_a_window_is_forgotten),
		T(before_the_first_bin_nothing_is_known),
		T(it_takes_some_bins_to_know_who_is_there),
		T(who_was_known_before_a_restart_is_kept_for_his_window),
		T(names_that_were_lost_are_known_to_be),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
