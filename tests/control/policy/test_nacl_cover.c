/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "control/policy/nacl_cover.h"

static uint64_t next(uint64_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed;
}

static struct levee_prefix v4(uint32_t addr, uint8_t length)
{
	struct levee_prefix p = { .hi = addr, .family = 4, .length = length };

	levee_prefix_canon(&p);
	return p;
}

static bool always(const void *ctx, const struct levee_prefix *prefix)
{
	(void)ctx;
	(void)prefix;
	return true;
}

/* ---- brute force ---------------------------------------------------------------------------- */

#define BASE	 0xcb007100U /* 203.0.113.0 */
#define ADDRS	 16	     /* of a /28 */
#define PREFIXES 31	     /* of lengths 28 to 32 in it */

/* All there is: which addresses flood, which are good, which are allowed. */
struct world {
	uint64_t flood[ADDRS]; /* 0: does not */
	uint64_t good[ADDRS];
	bool allowed[ADDRS];
	unsigned int rules;
	uint64_t max_collateral;
	uint8_t widest;
};

struct value {
	uint64_t flood;
	uint64_t good;
	uint64_t span;
	unsigned int rules;
};

/* Prefix nr of the tree: 0 is the /28, 2n + 1 and 2n + 2 its halves, as in a heap. */
static void range_of(unsigned int nr, unsigned int *first, unsigned int *size)
{
	unsigned int level = 31U - (unsigned int)__builtin_clz(nr + 1);

	*size = ADDRS >> level;
	*first = (nr + 1 - (1U << level)) * *size;
}

static bool usable(const struct world *w, unsigned int nr)
{
	unsigned int first, size;

	range_of(nr, &first, &size);
	if (size > 1 && 32 - (unsigned int)__builtin_ctz(size) < w->widest)
		return false;
	for (unsigned int i = first; i < first + size; i++)
		if (w->allowed[i])
			return false;
	return true;
}

static struct value value_of(const struct world *w, unsigned int nr)
{
	struct value v = { .rules = 1 };
	unsigned int first, size;

	range_of(nr, &first, &size);
	v.span = size;
	for (unsigned int i = first; i < first + size; i++) {
		v.flood += w->flood[i];
		v.good += w->good[i];
	}
	return v;
}

static bool is_better(const struct value *a, const struct value *b)
{
	if (a->flood != b->flood)
		return a->flood > b->flood;
	if (a->good != b->good)
		return a->good < b->good;
	if (a->span != b->span)
		return a->span < b->span;
	return a->rules < b->rules;
}

/* Every set of disjoint prefixes, of all there are: those the tree leaves out, too. */
static void try_all(const struct world *w, unsigned int from, unsigned int used, uint32_t taken,
		    struct value sum, struct value *best)
{
	if (is_better(&sum, best))
		*best = sum;
	if (used == w->rules)
		return;
	for (unsigned int nr = from; nr < PREFIXES; nr++) {
		struct value v = value_of(w, nr);
		unsigned int first, size;
		uint32_t mask;

		range_of(nr, &first, &size);
		mask = ((1U << size) - 1) << first;
		if ((taken & mask) || !usable(w, nr) || sum.good + v.good > w->max_collateral)
			continue;
		v.flood += sum.flood;
		v.good += sum.good;
		v.span += sum.span;
		v.rules += sum.rules;
		try_all(w, nr + 1, used + 1, taken | mask, v, best);
	}
}

static bool may(const void *ctx, const struct levee_prefix *prefix)
{
	const struct world *w = ctx;
	unsigned int first = (unsigned int)prefix->hi - BASE, size = 1U << (32 - prefix->length);

	for (unsigned int i = first; i < first + size; i++)
		if (w->allowed[i])
			return false;
	return true;
}

static struct value run(const struct world *w, bool *exact)
{
	struct levee_cover_source flood[ADDRS], good[ADDRS];
	struct levee_cover_input in = { .flood = flood,
					.good = good,
					.rules4 = w->rules,
					.rules = w->rules,
					.max_collateral = w->max_collateral,
					.widest4 = w->widest,
					.widest6 = 48,
					.may = may,
					.ctx = w };
	struct value v = { 0 };
	struct levee_cover cover;
	levee_u128 sum = 0;

	for (unsigned int i = 0; i < ADDRS; i++) {
		if (w->flood[i])
			flood[in.n_flood++] = (struct levee_cover_source){ v4(BASE + i, 32),
									   w->flood[i] };
		if (w->good[i])
			good[in.n_good++] = (struct levee_cover_source){ v4(BASE + i, 32),
									 w->good[i] };
	}
	assert_int_equal(levee_cover_find(&cover, &in), 0);
	*exact = cover.exact;
	assert_true(cover.n <= w->rules);
	for (size_t i = 0; i < cover.n; i++) {
		const struct levee_cover_rule *r = &cover.rules[i];

		assert_true(may(w, &r->prefix));
		v.span += 1U << (32 - r->prefix.length);
		sum += r->flood_packets;
		v.good += r->good_packets;
		for (size_t j = i + 1; j < cover.n; j++)
			assert_false(levee_prefix_covers(&r->prefix, &cover.rules[j].prefix));
	}
	v.rules = (unsigned int)cover.n;
	v.flood = (uint64_t)cover.flood_packets;
	assert_true(sum == cover.flood_packets);
	assert_int_equal(v.good, cover.good_packets);
	levee_cover_free(&cover);
	return v;
}

static void make_world(struct world *w, uint64_t *seed)
{
	unsigned int busy = 1 + (unsigned int)(next(seed) % 4);

	*w = (struct world){ .rules = 1 + (unsigned int)(next(seed) % 4),
			     .widest = (uint8_t)(next(seed) % 3 ? 16 : 28 + next(seed) % 4) };
	for (unsigned int i = 0; i < ADDRS; i++) {
		if (next(seed) % 4 < busy)
			w->flood[i] = 1 + next(seed) % (next(seed) % 2 ? 5 : 1000);
		else if (next(seed) % 3 == 0)
			w->good[i] = 1 + next(seed) % 6;
		w->allowed[i] = !w->flood[i] && next(seed) % 12 == 0;
	}
	w->max_collateral = next(seed) % 2 ? 0 : next(seed) % 15;
}

static void the_best_set_is_found_as_by_trying_all(void **state)
{
	uint64_t seed = 0x9e3779b97f4a7c15ULL;

	(void)state;
	for (int i = 0; i < 3000; i++) {
		struct value best = { 0 }, got;
		struct world w;
		bool exact;

		make_world(&w, &seed);
		try_all(&w, 0, 0, 0, (struct value){ 0 }, &best);
		got = run(&w, &exact);
		if (got.flood != best.flood || got.good != best.good || got.span != best.span ||
		    got.rules != best.rules)
			fail_msg(
				"run %d: flood %lu good %lu span %lu rules %u, best %lu %lu %lu %u",
				i, got.flood, got.good, got.span, got.rules, best.flood, best.good,
				best.span, best.rules);
		assert_true(exact);
	}
}

/* ---- two families ---------------------------------------------------------------------------- */

static struct levee_prefix v6(uint64_t hi)
{
	return (struct levee_prefix){ .hi = hi, .family = 6, .length = 64 };
}

static struct levee_cover find(struct levee_cover_input *in)
{
	struct levee_cover cover;

	in->may = in->may ? in->may : always;
	in->widest4 = in->widest4 ? in->widest4 : LEVEE_COVER_WIDEST4;
	in->widest6 = in->widest6 ? in->widest6 : LEVEE_COVER_WIDEST6;
	assert_int_equal(levee_cover_find(&cover, in), 0);
	return cover;
}

static void families_have_budgets_of_their_own_and_one_together(void **state)
{
	const struct levee_cover_source flood[] = { { v4(0xcb007101, 32), 10 },
						    { v4(0xcb007110, 32), 20 },
						    { v4(0xcb007120, 32), 30 },
						    { v6(0x20010db800010000), 5 },
						    { v6(0x20010db8ffff0000), 40 } };
	struct levee_cover_input in = { .flood = flood,
					.n_flood = 5,
					.widest4 = 32,
					.widest6 = 64,
					.rules4 = 2,
					.rules6 = 1,
					.rules = 3 };
	struct levee_cover cover;

	(void)state;
	cover = find(&in);
	assert_int_equal(cover.n, 3);
	assert_true(cover.flood_packets == 20 + 30 + 40);
	levee_cover_free(&cover);
	/* One budget for both: the heaviest of all. */
	in.rules4 = in.rules6 = in.rules = 2;
	cover = find(&in);
	assert_int_equal(cover.n, 2);
	assert_true(cover.flood_packets == 30 + 40);
	levee_cover_free(&cover);
	in.rules = in.rules4 = in.rules6 = 0;
	cover = find(&in);
	assert_int_equal(cover.n, 0);
	levee_cover_free(&cover);
}

static void nobody_floods_and_nothing_is_done(void **state)
{
	struct levee_cover_input in = { .rules4 = 18, .rules6 = 18, .rules = 36 };
	struct levee_cover cover = find(&in);

	(void)state;
	assert_int_equal(cover.n, 0);
	assert_true(cover.exact);
	levee_cover_free(&cover);
	levee_cover_free(&cover);
}

static void no_rule_is_wider_than_allowed_but_a_source_may_be(void **state)
{
	const struct levee_cover_source flood[] = { { v4(0x0a000000, 32), 10 },
						    { v4(0x0a7f0000, 32), 10 },
						    { v4(0xc6000000, 8), 10 } };
	struct levee_cover_input in = { .flood = flood, .n_flood = 3, .rules4 = 2, .rules = 2 };
	struct levee_cover cover = find(&in);

	(void)state;
	assert_int_equal(cover.n, 2);
	for (size_t i = 0; i < 2; i++)
		assert_true(cover.rules[i].prefix.length == 32 ||
			    cover.rules[i].prefix.length == 8);
	levee_cover_free(&cover);
}

/* A prefix that an operator blocks, and sources in it that are blocked by themselves. */
static void a_source_inside_another_needs_no_rule(void **state)
{
	const struct levee_cover_source flood[] = {
		{ v4(0xcb007100, 24), 100 },
		{ v4(0xcb007105, 32), 50 },
		{ v4(0xcb0071f0, 32), 60 },
		{ v4(0xcb007105, 32), 7 }, /* the same once more */
	};
	const struct levee_cover_source good[] = { { v4(0xcb007101, 32), 3 } };
	struct levee_cover_input in = { .flood = flood, .n_flood = 4, .rules4 = 18, .rules = 18 };
	struct levee_cover cover = find(&in);

	(void)state;
	assert_int_equal(cover.n, 1);
	assert_true(cover.flood_packets == 217);
	assert_int_equal(cover.rules[0].n_flood, 3);
	levee_cover_free(&cover);
	/* Where the wide one would cost good packets, those inside stand for themselves. */
	in.good = good;
	in.n_good = 1;
	cover = find(&in);
	assert_int_equal(cover.n, 2);
	assert_true(cover.flood_packets == 117);
	levee_cover_free(&cover);
	in.max_collateral = 3;
	cover = find(&in);
	assert_int_equal(cover.n, 1);
	assert_int_equal(cover.good_packets, 3);
	levee_cover_free(&cover);
}

/* ---- many ------------------------------------------------------------------------------------ */

#define CLUSTERS  30
#define ATTACKERS 2000

/* 2,000 attackers in 30 clusters of a /24 each, and good clients all over the address space. */
static size_t make_clusters(struct levee_cover_source *flood, uint64_t *seed)
{
	for (size_t i = 0; i < ATTACKERS; i++) {
		uint32_t cluster = (uint32_t)(i % CLUSTERS);
		uint32_t net = 0xc0000000U + (cluster * 0x00050300U);

		/* Every address of a /24 once, from its upper end. */
		flood[i] = (struct levee_cover_source){
			v4(net + 255 - (uint32_t)(i / CLUSTERS), 32), 20000 + next(seed) % 10000
		};
	}
	return ATTACKERS;
}

static int heavier(const void *a, const void *b)
{
	const struct levee_cover_source *l = a, *r = b;

	return (l->packets < r->packets) - (l->packets > r->packets);
}

static void eighteen_rules_block_more_than_eighteen_addresses(void **state)
{
	static struct levee_cover_source flood[ATTACKERS], good[20000];
	uint64_t seed = 4711, singles = 0, all = 0;
	struct levee_cover_input in = { .flood = flood, .good = good, .rules4 = 18, .rules = 18 };
	struct timespec begin, end;
	struct levee_cover cover;
	double ms;

	(void)state;
	in.n_flood = make_clusters(flood, &seed);
	for (in.n_good = 0; in.n_good < 20000; in.n_good++)
		good[in.n_good] = (struct levee_cover_source){ v4((uint32_t)next(&seed), 32),
							       1 + next(&seed) % 200 };
	clock_gettime(CLOCK_MONOTONIC, &begin);
	cover = find(&in);
	clock_gettime(CLOCK_MONOTONIC, &end);
	ms = (double)(end.tv_sec - begin.tv_sec) * 1e3 +
	     (double)(end.tv_nsec - begin.tv_nsec) / 1e6;
	for (size_t i = 0; i < in.n_flood; i++)
		all += flood[i].packets;
	qsort(flood, in.n_flood, sizeof(*flood), heavier);
	for (size_t i = 0; i < 18; i++)
		singles += flood[i].packets;
	print_message("# 18 rules block %.1f %% of the flood, 18 addresses %.1f %%; %.0f ms\n",
		      100.0 * (double)cover.flood_packets / (double)all,
		      100.0 * (double)singles / (double)all, ms);
	assert_int_equal(cover.n, 18);
	assert_int_equal(cover.good_packets, 0);
	assert_true(cover.exact);
	/* Each of the 30 nets holds a thirtieth of the flood. */
	assert_true((double)cover.flood_packets >= 0.55 * (double)all);
	assert_true(cover.flood_packets > 30 * (levee_u128)singles);
	levee_cover_free(&cover);
}

/* Good traffic everywhere and a large limit: thinned if it must be, and never over the limit. */
static void a_large_limit_is_kept_and_bounded_in_work(void **state)
{
	static struct levee_cover_source flood[ATTACKERS], good[4000];
	struct levee_cover_input in = { .flood = flood, .good = good, .rules4 = 18, .rules = 18 };
	struct levee_cover zero, some;
	uint64_t seed = 42;

	(void)state;
	in.n_flood = make_clusters(flood, &seed);
	for (in.n_good = 0; in.n_good < 4000; in.n_good++) {
		uint32_t cluster = (uint32_t)(next(&seed) % CLUSTERS);

		good[in.n_good] = (struct levee_cover_source){
			v4(0xc0000000U + cluster * 0x00050300U + (uint32_t)(next(&seed) % 256), 32),
			1 + next(&seed) % 3000
		};
	}
	zero = find(&in);
	in.max_collateral = 300000;
	some = find(&in);
	assert_int_equal(zero.good_packets, 0);
	assert_true(some.good_packets <= 300000);
	assert_true(some.flood_packets > zero.flood_packets);
	print_message("# %zu points exact: %d\n", some.n, some.exact);
	levee_cover_free(&zero);
	levee_cover_free(&some);
}

static void sums_are_over_what_is_inside(void **state)
{
	struct levee_cover_source s[] = { { v4(0x0a000005, 32), 5 },
					  { v4(0x0a000001, 32), 1 },
					  { v4(0x0a000105, 32), 50 },
					  { v4(0x0a000001, 32), 2 } };
	struct levee_prefix net = v4(0x0a000000, 24), all = v4(0, 0), other = v4(0x0b000000, 8);
	size_t n = levee_cover_sort(s, 4), in;

	(void)state;
	assert_int_equal(n, 3);
	assert_true(levee_cover_sum(s, n, &net, &in) == 8);
	assert_int_equal(in, 2);
	assert_true(levee_cover_sum(s, n, &all, &in) == 58);
	assert_int_equal(in, 3);
	assert_true(levee_cover_sum(s, n, &other, &in) == 0);
	assert_int_equal(in, 0);
	assert_true(levee_cover_sum(s, n, &s[1].prefix, NULL) == 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_best_set_is_found_as_by_trying_all),
		cmocka_unit_test(families_have_budgets_of_their_own_and_one_together),
		cmocka_unit_test(nobody_floods_and_nothing_is_done),
		cmocka_unit_test(no_rule_is_wider_than_allowed_but_a_source_may_be),
		cmocka_unit_test(a_source_inside_another_needs_no_rule),
		cmocka_unit_test(eighteen_rules_block_more_than_eighteen_addresses),
		cmocka_unit_test(a_large_limit_is_kept_and_bounded_in_work),
		cmocka_unit_test(sums_are_over_what_is_inside),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
