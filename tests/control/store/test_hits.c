/* SPDX-License-Identifier: BSD-2-Clause */
/* What blocks have dropped, from one table through a state file into another. */
#include <errno.h>
#include <setjmp.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "control/store/hits.h"
#include "tests/support/statefile.h"

#define RULES	  64U
#define RULE_BITS 6U
#define NOW_NS	  1000U

/* A policy in this process' own memory. */
struct table {
	struct levee_policy_memory m;
	struct levee_policy *policy;
};

struct fixture {
	struct levee_statefile file;
	struct table before, after;
};

static void open_table(struct table *t)
{
	t->m = (struct levee_policy_memory){
		.front = calloc(1, sizeof(struct levee_front)),
		.far4 = calloc(LEVEE_FAR_WORDS, 8),
		.far6 = calloc(LEVEE_FAR_WORDS, 8),
		.buckets = aligned_alloc(64, sizeof(struct levee_policy_bucket) << RULE_BITS),
		.rules = calloc(RULES, sizeof(struct levee_rule)),
		.hits = calloc(RULES, sizeof(struct levee_hits)),
		.rule_bits = RULE_BITS,
		.rule_count = RULES,
		.cpus = 1,
		.source6_length = 64,
		.key = { 1, 3, 5, 7 },
	};
	assert_non_null(t->m.buckets);
	memset(t->m.buckets, 0, sizeof(struct levee_policy_bucket) << RULE_BITS);
	assert_int_equal(levee_policy_new(&t->policy, &t->m), 0);
}

static void close_table(struct table *t)
{
	levee_policy_free(&t->policy);
	free(t->m.front);
	free(t->m.far4);
	free(t->m.far6);
	free(t->m.buckets);
	free(t->m.rules);
	free(t->m.hits);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	levee_statefile_open(&f->file);
	open_table(&f->before);
	open_table(&f->after);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	levee_statefile_close(&f->file);
	close_table(&f->before);
	close_table(&f->after);
	free(f);
	return 0;
}

static struct levee_prefix prefix_of(const char *text)
{
	struct levee_prefix p;

	assert_int_equal(levee_prefix_parse(&p, text, strlen(text), NULL), 0);
	return p;
}

static void block(struct table *t, const char *text)
{
	struct levee_prefix p = prefix_of(text);

	assert_int_equal(levee_policy_block(t->policy, &p, LEVEE_NEVER, NOW_NS), 0);
}

static struct levee_policy_info info_of(const struct table *t, const char *text)
{
	struct levee_prefix p = prefix_of(text);
	struct levee_policy_info info;

	assert_int_equal(levee_policy_get(t->policy, &p, &info), 0);
	return info;
}

static void drop(struct table *t, uint32_t addr, uint64_t packets, uint64_t now_ns)
{
	assert_int_equal(levee_policy_lookup(&t->m, 4, addr, 0, packets, packets * 100, now_ns, 0),
			 LEVEE_VERDICT_BLOCK);
}

static void counters_go_on_in_another_table(void **state)
{
	struct fixture *f = *state;

	block(&f->before, "198.51.100.7");
	block(&f->before, "203.0.113.0/24");
	block(&f->before, "2001:db8::/64");
	drop(&f->before, 0xc6336407, 5, 2000);
	drop(&f->before, 0xcb007109, 7, 3000);
	assert_int_equal(levee_store_put_hits(f->file.store, f->before.policy, "boot"), 0);
	assert_int_equal(levee_store_load_hits(f->file.store, f->after.policy, "boot"), 0);
	block(&f->after, "203.0.113.0/24");
	block(&f->after, "198.51.100.7");
	block(&f->after, "198.51.100.8");
	assert_int_equal(info_of(&f->after, "198.51.100.7").packets, 5);
	assert_int_equal(info_of(&f->after, "198.51.100.7").bytes, 500);
	assert_int_equal(info_of(&f->after, "198.51.100.7").first_ns, 2000);
	assert_int_equal(info_of(&f->after, "203.0.113.0/24").packets, 7);
	assert_int_equal(info_of(&f->after, "203.0.113.0/24").last_ns, 3000);
	assert_int_equal(info_of(&f->after, "198.51.100.8").packets, 0);
	drop(&f->after, 0xc6336407, 2, 4000);
	assert_int_equal(info_of(&f->after, "198.51.100.7").packets, 7);
	assert_int_equal(info_of(&f->after, "198.51.100.7").first_ns, 2000);
}

static void what_the_data_path_knows_itself_stays(void **state)
{
	struct fixture *f = *state;

	block(&f->before, "198.51.100.7");
	drop(&f->before, 0xc6336407, 5, 2000);
	assert_int_equal(levee_store_put_hits(f->file.store, f->before.policy, "boot"), 0);
	drop(&f->before, 0xc6336407, 1, 2500);
	assert_int_equal(levee_store_load_hits(f->file.store, f->before.policy, "boot"), 0);
	block(&f->before, "198.51.100.7");
	assert_int_equal(info_of(&f->before, "198.51.100.7").packets, 6);
}

static void a_later_block_begins_anew(void **state)
{
	struct fixture *f = *state;
	struct levee_prefix p = prefix_of("198.51.100.7");

	block(&f->before, "198.51.100.7");
	drop(&f->before, 0xc6336407, 5, 2000);
	assert_int_equal(levee_store_put_hits(f->file.store, f->before.policy, "boot"), 0);
	assert_int_equal(levee_store_load_hits(f->file.store, f->after.policy, "boot"), 0);
	block(&f->after, "198.51.100.7");
	assert_int_equal(levee_policy_unblock(f->after.policy, &p), 0);
	block(&f->after, "198.51.100.7");
	assert_int_equal(info_of(&f->after, "198.51.100.7").packets, 0);
	assert_int_equal(levee_store_load_hits(f->file.store, f->after.policy, "boot"), 0);
	levee_policy_inherit_end(f->after.policy);
	assert_int_equal(levee_policy_unblock(f->after.policy, &p), 0);
	block(&f->after, "198.51.100.7");
	assert_int_equal(info_of(&f->after, "198.51.100.7").packets, 0);
}

static void times_of_another_boot_are_left_out(void **state)
{
	struct fixture *f = *state;

	block(&f->before, "198.51.100.7");
	drop(&f->before, 0xc6336407, 5, 2000);
	assert_int_equal(levee_store_put_hits(f->file.store, f->before.policy, "boot"), 0);
	assert_int_equal(levee_store_load_hits(f->file.store, f->after.policy, "another"), 0);
	block(&f->after, "198.51.100.7");
	assert_int_equal(info_of(&f->after, "198.51.100.7").packets, 5);
	assert_int_equal(info_of(&f->after, "198.51.100.7").first_ns, 0);
	assert_int_equal(info_of(&f->after, "198.51.100.7").last_ns, 0);
}

static void damage_is_seen(void **state)
{
	static const char *const damages[] = {
		"UPDATE hits SET list = x'00'",
		"UPDATE hits SET list = x'0102030405060708'",
		"UPDATE hits SET list = substr(list, 1, length(list) - 56)",
		"UPDATE hits SET list = ''",
	};
	struct fixture *f = *state;

	block(&f->before, "198.51.100.7");
	drop(&f->before, 0xc6336407, 5, 2000);
	for (size_t i = 0; i < sizeof(damages) / sizeof(damages[0]); i++) {
		assert_int_equal(levee_store_put_hits(f->file.store, f->before.policy, "boot"), 0);
		assert_int_equal(sqlite3_exec(levee_store_database(f->file.store), damages[i], NULL,
					      NULL, NULL),
				 SQLITE_OK);
		assert_int_equal(levee_store_load_hits(f->file.store, f->after.policy, "boot"),
				 -EUCLEAN);
	}
	block(&f->after, "198.51.100.7");
	assert_int_equal(info_of(&f->after, "198.51.100.7").packets, 0);
}

static void an_empty_file_has_none(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(levee_store_load_hits(f->file.store, f->after.policy, "boot"), 0);
	assert_int_equal(levee_store_put_hits(f->file.store, f->before.policy, "boot"), 0);
	assert_int_equal(levee_store_load_hits(f->file.store, f->after.policy, "boot"), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(counters_go_on_in_another_table),
		TEST(what_the_data_path_knows_itself_stays),
		TEST(a_later_block_begins_anew),
		TEST(times_of_another_boot_are_left_out),
		TEST(damage_is_seen),
		TEST(an_empty_file_has_none),
	};

	return cmocka_run_group_tests_name("store_hits", tests, NULL, NULL);
}
