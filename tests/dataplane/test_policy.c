/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The policy table in ordinary memory: writer and reader against a plain list of rules, and what
 * the writer does with memory that is full, taken over, or damaged. tests/kernel/test_policy.c has
 * the same for the reader in the kernel.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <errno.h>
#include <cmocka.h>

#include "dataplane/policy.h"
#include "tests/support/policymodel.h"

#define SEED	20261125U
#define NOW_NS	(100 * 3600000000000ULL)
#define HOUR_NS 3600000000000ULL
#define CPUS	3

/* ---- a table in memory ------------------------------------------------------------------- */

struct table {
	struct levee_policy_memory memory;
	struct levee_policy *policy;
	struct policy_model *model;
	uint64_t begun;	 /* fences */
	uint64_t passed; /* the last that was waited for */
};

static struct table table;

static uint64_t start_fence(void *ctx)
{
	return ++((struct table *)ctx)->begun;
}

static void wait_fence(void *ctx, uint64_t nr)
{
	struct table *t = ctx;

	assert_in_range(nr, 1, t->begun);
	t->passed = nr;
}

static void *cells(size_t n, size_t size)
{
	void *p = calloc(n, size);

	assert_non_null(p);
	return p;
}

/* Blocks of their own, so that ASan sees who reaches beyond one. */
static void make_table(uint32_t rules, uint32_t rule_bits)
{
	struct levee_policy_memory *m = &table.memory;

	*m = (struct levee_policy_memory){ .rule_bits = rule_bits,
					   .rule_count = rules + 1,
					   .cpus = CPUS,
					   .source6_length = 64,
					   .fence_start = start_fence,
					   .fence_wait = wait_fence,
					   .ctx = &table };
	m->front = cells(1, sizeof(*m->front));
	m->far4 = cells(LEVEE_FAR_WORDS, sizeof(__u64));
	m->far6 = cells(LEVEE_FAR_WORDS, sizeof(__u64));
	m->buckets = aligned_alloc(64, sizeof(*m->buckets) << rule_bits);
	assert_non_null(m->buckets);
	memset(m->buckets, 0, sizeof(*m->buckets) << rule_bits);
	m->rules = cells(m->rule_count, sizeof(*m->rules));
	m->hits = cells((size_t)CPUS * m->rule_count, sizeof(*m->hits));
	m->key = (struct levee_hash_key){ 0x1234567890abcdefULL, 0x9e3779b97f4a7c15ULL,
					  0xc2b2ae3d27d4eb4fULL, 0x165667b19e3779f9ULL };
	table.model = cells(1, sizeof(*table.model));
	table.model->random = SEED;
	assert_int_equal(levee_policy_new(&table.policy, m), 0);
}

static int free_table(void **state)
{
	struct levee_policy_memory *m = &table.memory;

	(void)state;
	levee_policy_free(&table.policy);
	free(m->front);
	free(m->far4);
	free(m->far6);
	free(m->buckets);
	free(m->rules);
	free(m->hits);
	free(table.model);
	table = (struct table){ 0 };
	return 0;
}

/* As many slots for each rule as the back ends give it: four. */
static void make_usual_table(void)
{
	make_table(2048, 10);
}

static void readopt(void)
{
	levee_policy_free(&table.policy);
	assert_int_equal(levee_policy_new(&table.policy, &table.memory), 0);
}

/* ---- asking ------------------------------------------------------------------------------ */

static enum levee_verdict ask(const struct model_address *a, uint64_t now_ns)
{
	return levee_policy_lookup(&table.memory, a->family, a->hi, a->lo, 0, 0, now_ns, 0);
}

static struct levee_prefix prefix_of(const char *text)
{
	struct levee_prefix p;

	assert_int_equal(levee_prefix_parse(&p, text, strlen(text), NULL), 0);
	return p;
}

static enum levee_verdict ask_for(const char *text, uint64_t now_ns)
{
	struct levee_prefix p = prefix_of(text);
	struct model_address a = { p.family, p.hi, p.lo };

	return ask(&a, now_ns);
}

static int block(const char *text, uint64_t expires_ns)
{
	struct levee_prefix p = prefix_of(text);

	return levee_policy_block(table.policy, &p, expires_ns, NOW_NS);
}

static int unblock(const char *text)
{
	struct levee_prefix p = prefix_of(text);

	return levee_policy_unblock(table.policy, &p);
}

static void allow(const char *a, const char *b)
{
	struct levee_prefix list[2];
	size_t n = 0;

	if (a)
		list[n++] = prefix_of(a);
	if (b)
		list[n++] = prefix_of(b);
	assert_int_equal(levee_policy_set_allowed(table.policy, list, n), 0);
}

static struct levee_policy_info info_of(const char *text)
{
	struct levee_policy_info info;
	struct levee_prefix p = prefix_of(text);

	assert_int_equal(levee_policy_get(table.policy, &p, &info), 0);
	return info;
}

/* Prefix nr of a family of them that do not touch. */
static struct levee_prefix numbered(uint32_t nr)
{
	struct levee_prefix p = { .hi = nr * 2654435761U, .family = 4, .length = 32 };

	if (nr & 1)
		p = (struct levee_prefix){ .hi = (uint64_t)(nr * 2654435761U) << 32,
					   .family = 6,
					   .length = 64 };
	return p;
}

/* ---- one rule at a time ------------------------------------------------------------------ */

static void an_empty_table_decides_nothing(void **state)
{
	(void)state;
	make_usual_table();
	assert_int_equal(ask_for("198.51.100.7", NOW_NS), LEVEE_VERDICT_NONE);
	assert_int_equal(ask_for("2001:db8::1", NOW_NS), LEVEE_VERDICT_NONE);
	assert_int_equal(levee_policy_blocks(table.policy), 0);
	assert_int_equal(levee_policy_allowed(table.policy), 0);
	assert_int_equal(unblock("198.51.100.7"), -ENOENT);
}

static void every_length_of_either_family_blocks_its_first_and_last_address_and_no_other(
	void **state)
{
	(void)state;
	make_usual_table();
	for (unsigned int i = 0; i < 33 + 129; i++) {
		struct levee_prefix p = { .family = i < 33 ? 4 : 6,
					  .length = (uint8_t)(i < 33 ? i : i - 33) };
		struct model_address in, out;

		p.hi = p.family == 4 ? 0xa5c3f096 : 0xa5c3f096a5c3f096;
		p.lo = p.family == 4 ? 0 : 0x693cf00f0ff0c396;
		levee_prefix_canon(&p);
		assert_int_equal(levee_policy_block(table.policy, &p, LEVEE_NEVER, NOW_NS), 0);
		in = (struct model_address){ p.family, p.hi, p.lo };
		assert_int_equal(ask(&in, NOW_NS), LEVEE_VERDICT_BLOCK);
		if (p.family == 4) {
			in.hi |= ~levee_mask4(p.length) & 0xffffffff;
		} else {
			in.hi |= ~levee_mask6_hi(p.length);
			in.lo |= ~levee_mask6_lo(p.length);
		}
		assert_int_equal(ask(&in, NOW_NS), LEVEE_VERDICT_BLOCK);
		/* Every address that differs in one bit of the prefix is outside. */
		for (unsigned int bit = 0; bit < p.length; bit++) {
			out = in;
			if (p.family == 4)
				out.hi ^= 1U << (31 - bit);
			else if (bit < 64)
				out.hi ^= 1ULL << (63 - bit);
			else
				out.lo ^= 1ULL << (127 - bit);
			assert_int_equal(ask(&out, NOW_NS), LEVEE_VERDICT_NONE);
		}
		assert_int_equal(levee_policy_unblock(table.policy, &p), 0);
		assert_int_equal(ask(&in, NOW_NS), LEVEE_VERDICT_NONE);
	}
}

static void an_expired_block_counts_as_absent_and_a_shorter_one_behind_it_decides(void **state)
{
	(void)state;
	make_usual_table();
	assert_int_equal(block("198.51.100.7", NOW_NS + 10), 0);
	assert_int_equal(ask_for("198.51.100.7", NOW_NS + 9), LEVEE_VERDICT_BLOCK);
	assert_int_equal(ask_for("198.51.100.7", NOW_NS + 10), LEVEE_VERDICT_NONE);
	assert_int_equal(block("198.51.100.0/24", NOW_NS + 20), 0);
	assert_int_equal(ask_for("198.51.100.7", NOW_NS + 19), LEVEE_VERDICT_BLOCK);
	assert_int_equal(ask_for("198.51.100.7", NOW_NS + 20), LEVEE_VERDICT_NONE);
	assert_int_equal(block("198.51.100.7", LEVEE_NEVER), 0); /* extended after its end */
	assert_int_equal(ask_for("198.51.100.7", UINT64_MAX - 1), LEVEE_VERDICT_BLOCK);
	assert_int_equal(levee_policy_blocks(table.policy), 2);
}

static void blocks_that_are_over_are_lifted_on_request_and_no_others(void **state)
{
	(void)state;
	make_usual_table();
	assert_int_equal(block("198.51.100.7", NOW_NS), 0);
	assert_int_equal(block("198.51.100.8", NOW_NS + 1), 0);
	assert_int_equal(block("2001:db8::/64", NOW_NS - 1), 0);
	assert_int_equal(block("2001:db8:1::/64", LEVEE_NEVER), 0);
	levee_policy_drop_expired(table.policy, NOW_NS);
	assert_int_equal(levee_policy_blocks(table.policy), 2);
	assert_int_equal(unblock("198.51.100.7"), -ENOENT);
	assert_int_equal(unblock("2001:db8::/64"), -ENOENT);
	assert_int_equal(unblock("198.51.100.8"), 0);
	assert_int_equal(unblock("2001:db8:1::/64"), 0);
}

static void the_allow_list_wins_over_blocks_of_any_length(void **state)
{
	(void)state;
	make_usual_table();
	allow("10.1.0.0/16", "2001:db8:1::/48");
	assert_int_equal(block("10.0.0.0/8", LEVEE_NEVER), 0);
	assert_int_equal(block("10.1.0.0/16", LEVEE_NEVER), 0);
	assert_int_equal(block("10.1.2.3", LEVEE_NEVER), 0);
	assert_int_equal(block("2001:db8:1:2::/64", LEVEE_NEVER), 0);
	assert_int_equal(block("2001:db8::/32", LEVEE_NEVER), 0);
	assert_int_equal(ask_for("10.1.2.3", NOW_NS), LEVEE_VERDICT_ALLOW);
	assert_int_equal(ask_for("10.1.0.0", NOW_NS), LEVEE_VERDICT_ALLOW);
	assert_int_equal(ask_for("10.2.2.3", NOW_NS), LEVEE_VERDICT_BLOCK);
	assert_int_equal(ask_for("2001:db8:1:2::1", NOW_NS), LEVEE_VERDICT_ALLOW);
	assert_int_equal(ask_for("2001:db8:2:2::1", NOW_NS), LEVEE_VERDICT_BLOCK);
	assert_true(info_of("10.1.2.3").shadowed);
	assert_true(info_of("10.1.0.0/16").shadowed);
	assert_false(info_of("10.0.0.0/8").shadowed);
}

static void a_shadowed_block_returns_with_the_list_that_does_not_cover_it(void **state)
{
	(void)state;
	make_usual_table();
	assert_int_equal(block("10.1.2.3", NOW_NS + 5), 0);
	assert_int_equal(block("10.1.2.0/24", LEVEE_NEVER), 0);
	allow("10.1.0.0/16", "10.1.2.0/24");
	assert_int_equal(ask_for("10.1.2.3", NOW_NS), LEVEE_VERDICT_ALLOW);
	assert_int_equal(block("10.1.2.3", NOW_NS + HOUR_NS), 0); /* extended in the shadow */
	allow("10.1.2.0/24", NULL);
	assert_int_equal(ask_for("10.1.2.3", NOW_NS), LEVEE_VERDICT_ALLOW);
	assert_int_equal(ask_for("10.1.3.3", NOW_NS), LEVEE_VERDICT_NONE);
	allow("10.1.2.128/25", NULL);
	assert_int_equal(ask_for("10.1.2.200", NOW_NS), LEVEE_VERDICT_ALLOW);
	assert_int_equal(ask_for("10.1.2.4", NOW_NS), LEVEE_VERDICT_BLOCK);
	allow(NULL, NULL);
	assert_int_equal(ask_for("10.1.2.200", NOW_NS), LEVEE_VERDICT_BLOCK);
	assert_int_equal(unblock("10.1.2.0/24"), 0);
	assert_int_equal(ask_for("10.1.2.3", NOW_NS + 10), LEVEE_VERDICT_BLOCK);
	assert_int_equal(ask_for("10.1.2.3", NOW_NS + HOUR_NS), LEVEE_VERDICT_NONE);
}

static void drops_are_counted_for_the_rule_that_decided_and_summed_over_cpus(void **state)
{
	struct levee_policy_info info;

	(void)state;
	make_usual_table();
	assert_int_equal(block("198.51.100.7", NOW_NS + 50), 0);
	assert_int_equal(block("198.51.100.0/24", LEVEE_NEVER), 0);
	info = info_of("198.51.100.7");
	assert_int_equal(info.packets, 0);
	assert_int_equal(info.first_ns, 0);
	assert_int_equal(info.created_ns, NOW_NS);
	for (uint32_t cpu = 0; cpu < CPUS; cpu++)
		assert_int_equal(levee_policy_lookup(&table.memory, 4, 0xc6336407, 0, 2 + cpu, 100,
						     NOW_NS + 10 - cpu, cpu),
				 LEVEE_VERDICT_BLOCK);
	levee_policy_lookup(&table.memory, 4, 0xc6336407, 0, 1, 60, NOW_NS + 50, 0);
	info = info_of("198.51.100.7");
	assert_int_equal(info.packets, 2 + 3 + 4);
	assert_int_equal(info.bytes, 300);
	assert_int_equal(info.first_ns, NOW_NS + 8);
	assert_int_equal(info.last_ns, NOW_NS + 10);
	info = info_of("198.51.100.0/24");
	assert_int_equal(info.packets, 1);
	assert_int_equal(info.bytes, 60);
	assert_int_equal(info.first_ns, NOW_NS + 50);
}

static void a_rule_that_is_made_anew_begins_with_no_drops(void **state)
{
	(void)state;
	make_table(1, 0); /* one rule, so that its index comes again */
	assert_int_equal(block("198.51.100.7", LEVEE_NEVER), 0);
	levee_policy_lookup(&table.memory, 4, 0xc6336407, 0, 5, 500, NOW_NS, 1);
	assert_int_equal(unblock("198.51.100.7"), 0);
	assert_int_equal(block("198.51.100.8", LEVEE_NEVER), 0);
	assert_int_equal(info_of("198.51.100.8").packets, 0);
	assert_int_equal(info_of("198.51.100.8").first_ns, 0);
}

static void an_index_is_given_out_again_only_behind_a_fence(void **state)
{
	uint64_t begun, passed;

	(void)state;
	make_table(1, 0);
	assert_int_equal(block("198.51.100.7", LEVEE_NEVER), 0);
	begun = table.begun;
	passed = table.passed;
	assert_int_equal(unblock("198.51.100.7"), 0);
	assert_int_equal(table.passed, passed); /* lifting a block waits for nobody */
	assert_int_equal(block("198.51.100.8", LEVEE_NEVER), 0);
	assert_true(table.passed > begun); /* one that began after the block was lifted */
}

static void blocking_a_source_waits_for_nobody(void **state)
{
	uint64_t passed;

	(void)state;
	make_usual_table();
	passed = table.passed;
	assert_int_equal(block("198.51.100.7", LEVEE_NEVER), 0);
	assert_int_equal(block("2001:db8::/64", LEVEE_NEVER), 0);
	assert_int_equal(table.passed, passed);
}

static void a_new_length_waits_for_readers_of_the_lengths_before_the_last(void **state)
{
	uint64_t begun;

	(void)state;
	make_usual_table();
	begun = table.begun;
	assert_int_equal(block("198.51.100.0/24", LEVEE_NEVER), 0);
	assert_int_equal(table.passed, begun); /* begun when the lengths in force were published */
	assert_int_equal(table.begun, begun + 1);
	assert_int_equal(block("203.0.113.0/25", LEVEE_NEVER), 0);
	assert_int_equal(table.passed, begun + 1);
}

/* ---- random policies --------------------------------------------------------------------- */

static void print_address(const struct model_address *a, int want, int got)
{
	struct levee_prefix p = { a->hi, a->lo, a->family, a->family == 4 ? 32 : 128 };
	char text[LEVEE_PREFIX_TEXT];

	print_error("%s: wanted verdict %d, got %d\n", levee_prefix_format(&p, text), want, got);
}

/* Reader, list of rules, and the drops of each rule agree. */
static void check_addresses(unsigned int n)
{
	struct policy_model *m = table.model;

	for (unsigned int i = 0; i < n; i++) {
		struct model_address a = model_random_address(m);
		uint64_t packets = 1 + model_random(m) % 9, bytes = packets * 64;
		struct model_block *by;
		enum levee_verdict want = model_verdict(m, &a, NOW_NS, &by), got;

		got = levee_policy_lookup(&table.memory, a.family, a.hi, a.lo, packets, bytes,
					  NOW_NS, model_random(m) % CPUS);
		if (got != want) {
			print_address(&a, want, got);
			fail();
		}
		if (by) {
			by->packets += packets;
			by->bytes += bytes;
		}
	}
}

static void random_policies_decide_as_a_list_of_rules_does(void **state)
{
	(void)state;
	print_message("# seed %u\n", SEED);
	make_usual_table();
	for (int turn = 0; turn < 2500; turn++) {
		model_step(table.model, table.policy, NOW_NS);
		check_addresses(20);
		if (turn % 50 == 0)
			model_assert_same(table.model, table.policy);
	}
	model_assert_same(table.model, table.policy);
}

static void a_crowded_table_decides_as_a_list_of_rules_does(void **state)
{
	struct policy_model *m;
	unsigned int full = 0;

	(void)state;
	print_message("# seed %u\n", SEED);
	make_table(200, 4); /* 128 slots: buckets overflow, and removed slots stay as marks */
	m = table.model;
	for (int turn = 0; turn < 6000; turn++) {
		struct levee_prefix p = numbered(model_random(m) % 160);
		struct model_address a = { p.family, p.hi, p.lo };
		int ret;

		if (model_random(m) % 3) {
			ret = levee_policy_block(table.policy, &p, LEVEE_NEVER, NOW_NS);
			assert_true(ret == 0 || ret == -ENOSPC);
			full += ret == -ENOSPC;
			if (!ret)
				model_block(m, &p, LEVEE_NEVER);
		} else {
			ret = levee_policy_unblock(table.policy, &p);
			assert_int_equal(ret, model_unblock(m, &p) ? 0 : -ENOENT);
		}
		assert_int_equal(ask(&a, NOW_NS), model_verdict(m, &a, NOW_NS, NULL));
		if (turn % 100 == 0) {
			model_assert_same(m, table.policy);
			for (uint32_t nr = 0; nr < 160; nr++) {
				p = numbered(nr);
				a = (struct model_address){ p.family, p.hi, p.lo };
				assert_int_equal(ask(&a, NOW_NS),
						 model_verdict(m, &a, NOW_NS, NULL));
			}
		}
	}
	assert_true(full > 0);
}

/* Few rules are found without the large bitmap, many with it, and nobody else either way. */
static void a_crowded_filter_asks_the_large_bitmap(void **state)
{
	struct levee_prefix p = { .family = 4, .length = 32 };
	struct levee_policy_memory *m = &table.memory;
	uint32_t n = LEVEE_MID4_CROWD * 2, passes = 0;

	(void)state;
	make_table(n, 16);
	for (uint32_t i = 0; i < n; i++) {
		p.hi = i * 2654435761U;
		assert_int_equal(levee_policy_block(table.policy, &p, LEVEE_NEVER, NOW_NS), 0);
		if (i == LEVEE_MID4_CROWD / 2)
			assert_true(!table.memory.front->crowded4);
	}
	assert_true(table.memory.front->crowded4);
	for (uint32_t i = 0; i < n; i++)
		assert_int_equal(levee_policy_lookup(m, 4, i * 2654435761U, 0, 0, 0, NOW_NS, 0),
				 LEVEE_VERDICT_BLOCK);
	for (uint32_t i = 0; i < 100000; i++)
		passes += (uint32_t)levee_bit(m->front->mid4,
					      levee_mid4_bit(&m->key, (i + n) * 2654435761U));
	assert_in_range(passes, 1, 10000); /* it lets some through, and most not */
	for (uint32_t i = 0; i < n; i++) {
		p.hi = i * 2654435761U;
		if (i % 16)
			levee_policy_unblock(table.policy, &p);
	}
	levee_policy_tidy(table.policy);
	assert_true(!table.memory.front->crowded4);
	for (uint32_t i = 0; i < n; i++)
		assert_int_equal(levee_policy_lookup(m, 4, i * 2654435761U, 0, 0, 0, NOW_NS, 0),
				 i % 16 ? LEVEE_VERDICT_NONE : LEVEE_VERDICT_BLOCK);
}

/* Every word that a reader looks at is back to what it was in an empty table. */
static void assert_clean(void)
{
	const struct levee_policy_memory *m = &table.memory;
	const struct levee_front *front = m->front;

	for (size_t i = 0; i < LEVEE_NEAR_WORDS; i++)
		assert_true(!front->near4[i] && !front->wide4[i] && !front->top6[i] &&
			    !front->near6[i] && !front->short6[i]);
	for (size_t i = 0; i < LEVEE_MID4_WORDS; i++)
		assert_true(!front->mid4[i]);
	assert_true(!front->crowded4 && !front->wide6);
	for (size_t i = 0; i < LEVEE_FAR_WORDS; i++)
		assert_true(!m->far4[i] && !m->far6[i]);
	for (uint32_t i = 1; i < m->rule_count; i++)
		assert_int_equal(m->rules[i].verdict, LEVEE_VERDICT_NONE);
	for (uint32_t nr = 0; nr < 1U << m->rule_bits; nr++)
		for (int i = 0; i < LEVEE_POLICY_SLOTS; i++)
			assert_true(!m->buckets[nr].slot[i] ||
				    m->buckets[nr].slot[i] == LEVEE_SLOT_GONE);
}

static void an_unblocked_table_has_no_bit_left_once_it_is_tidied(void **state)
{
	(void)state;
	make_usual_table();
	for (int i = 0; i < 300; i++)
		model_step(table.model, table.policy, NOW_NS);
	while (table.model->n_blocks) {
		struct levee_prefix p = table.model->blocks[0].prefix;

		assert_int_equal(levee_policy_unblock(table.policy, &p), 0);
		model_unblock(table.model, &p);
	}
	assert_int_equal(levee_policy_set_allowed(table.policy, NULL, 0), 0);
	levee_policy_tidy(table.policy);
	assert_clean();
}

static void a_cleared_table_is_empty_and_usable(void **state)
{
	(void)state;
	make_usual_table();
	for (int i = 0; i < 300; i++)
		model_step(table.model, table.policy, NOW_NS);
	check_addresses(1000);
	levee_policy_clear(table.policy);
	assert_clean();
	for (size_t i = 0; i < (size_t)CPUS * table.memory.rule_count; i++)
		assert_int_equal(table.memory.hits[i].packets, 0);
	assert_int_equal(levee_policy_blocks(table.policy), 0);
	assert_int_equal(levee_policy_allowed(table.policy), 0);
	table.model->n_blocks = table.model->n_allowed = 0;
	for (int i = 0; i < 300; i++)
		model_step(table.model, table.policy, NOW_NS);
	check_addresses(1000);
	model_assert_same(table.model, table.policy);
}

/* ---- a table that is full ---------------------------------------------------------------- */

static uint32_t fill_up(void)
{
	uint32_t n = 0;

	for (;;) {
		struct levee_prefix p = numbered(n);
		int ret = levee_policy_block(table.policy, &p, LEVEE_NEVER, NOW_NS);

		if (ret) {
			assert_int_equal(ret, -ENOSPC);
			return n;
		}
		model_block(table.model, &p, LEVEE_NEVER);
		n++;
	}
}

static void a_full_table_refuses_a_block_and_nothing_changes(void **state)
{
	uint32_t n;

	(void)state;
	make_table(100, 6);
	n = fill_up();
	assert_int_equal(n, 100);
	assert_int_equal(block("203.0.113.1", LEVEE_NEVER), -ENOSPC);
	model_assert_same(table.model, table.policy);
	assert_int_equal(ask_for("203.0.113.1", NOW_NS), LEVEE_VERDICT_NONE);
	check_addresses(2000);
	/* What is there can be extended and lifted, and then there is room for one. */
	for (uint32_t i = 0; i < n; i++) {
		struct levee_prefix p = numbered(i);

		assert_int_equal(levee_policy_block(table.policy, &p, NOW_NS + 1, NOW_NS), 0);
	}
	assert_int_equal(levee_policy_unblock(table.policy, &table.model->blocks[50].prefix), 0);
	assert_int_equal(block("203.0.113.1", LEVEE_NEVER), 0);
	assert_int_equal(block("203.0.113.2", LEVEE_NEVER), -ENOSPC);
}

static void a_table_without_a_free_slot_refuses_as_well(void **state)
{
	(void)state;
	make_table(100, 0); /* one bucket of eight */
	assert_int_equal(fill_up(), LEVEE_POLICY_SLOTS);
	model_assert_same(table.model, table.policy);
	check_addresses(500);
}

static void an_allow_list_that_is_too_long_leaves_the_old_one_in_force(void **state)
{
	struct levee_prefix list[60];

	(void)state;
	make_table(100, 6);
	for (uint32_t i = 0; i < 60; i++)
		list[i] = numbered(1000 + i);
	assert_int_equal(levee_policy_set_allowed(table.policy, list, 30), 0);
	model_set_allowed(table.model, list, 30);
	assert_int_equal(fill_up(), 70);
	/* Blocks of the same prefixes have to leave for it, and must come back. */
	for (uint32_t i = 30; i < 60; i++)
		list[i] = numbered(i);
	list[59] = numbered(5000);
	list[58] = numbered(5001);
	assert_int_equal(levee_policy_set_allowed(table.policy, list, 60), -ENOSPC);
	model_assert_same(table.model, table.policy);
	check_addresses(2000);
	readopt();
	model_assert_same(table.model, table.policy);
}

static void a_block_without_room_to_return_stays_out_until_it_is_asked_for_again(void **state)
{
	struct levee_prefix returning = prefix_of("10.1.2.3");

	(void)state;
	make_table(100, 6);
	allow("10.1.0.0/16", NULL);
	assert_int_equal(block("10.1.2.2", LEVEE_NEVER), 0);
	assert_int_equal(block("10.1.2.3", LEVEE_NEVER), 0);
	assert_int_equal(fill_up(), 99);
	allow(NULL, NULL); /* gives one place back, and two want it */
	assert_int_equal(ask_for("10.1.2.2", NOW_NS), LEVEE_VERDICT_BLOCK);
	assert_int_equal(ask_for("10.1.2.3", NOW_NS), LEVEE_VERDICT_NONE);
	assert_true(info_of("10.1.2.3").shadowed);
	assert_int_equal(block("10.1.2.3", LEVEE_NEVER), -ENOSPC);
	assert_int_equal(levee_policy_unblock(table.policy, &table.model->blocks[0].prefix), 0);
	assert_int_equal(levee_policy_block(table.policy, &returning, LEVEE_NEVER, NOW_NS), 0);
	assert_int_equal(ask_for("10.1.2.3", NOW_NS), LEVEE_VERDICT_BLOCK);
	assert_false(info_of("10.1.2.3").shadowed);
}

/* ---- a table that is taken over ---------------------------------------------------------- */

/* The table holds no shadowed blocks, so a new process learns of them from its state. */
static void forget_shadowed(struct policy_model *m)
{
	for (size_t i = 0; i < m->n_blocks;)
		if (m->blocks[i].shadowed)
			m->blocks[i] = m->blocks[--m->n_blocks];
		else
			i++;
}

static void a_table_that_is_taken_over_decides_as_before(void **state)
{
	(void)state;
	print_message("# seed %u\n", SEED);
	make_usual_table();
	for (int turn = 0; turn < 60; turn++) {
		for (int i = 0; i < 40; i++)
			model_step(table.model, table.policy, NOW_NS);
		check_addresses(100);
		readopt();
		forget_shadowed(table.model);
		model_assert_same(table.model, table.policy);
		check_addresses(300);
	}
}

static void the_allow_list_that_is_taken_over_shadows_new_blocks(void **state)
{
	(void)state;
	make_usual_table();
	allow("10.1.0.0/16", "2001:db8::/48");
	readopt();
	assert_int_equal(levee_policy_allowed(table.policy), 2);
	assert_int_equal(block("10.1.2.3", LEVEE_NEVER), 0);
	assert_int_equal(block("2001:db8:0:1::/64", LEVEE_NEVER), 0);
	assert_true(info_of("10.1.2.3").shadowed);
	assert_int_equal(ask_for("10.1.2.3", NOW_NS), LEVEE_VERDICT_ALLOW);
	assert_int_equal(ask_for("2001:db8:0:1::1", NOW_NS), LEVEE_VERDICT_ALLOW);
}

/* Killed between adding an allowed prefix and taking out the blocks that it covers. */
static void a_block_below_an_allowed_prefix_leaves_the_table_that_is_taken_over(void **state)
{
	struct levee_policy_memory *m;

	(void)state;
	make_usual_table();
	m = &table.memory;
	assert_int_equal(block("10.1.2.3", LEVEE_NEVER), 0);
	assert_int_equal(block("10.1.0.0/16", LEVEE_NEVER), 0);
	for (uint32_t i = 1; i < m->rule_count; i++)
		if (m->rules[i].length == 16)
			m->rules[i].verdict = LEVEE_VERDICT_ALLOW;
	assert_int_equal(ask_for("10.1.2.3", NOW_NS), LEVEE_VERDICT_BLOCK);
	readopt();
	assert_int_equal(ask_for("10.1.2.3", NOW_NS), LEVEE_VERDICT_ALLOW);
	assert_true(info_of("10.1.2.3").shadowed);
}

/* ---- a table that is damaged ------------------------------------------------------------- */

static uint64_t random64(void)
{
	return (uint64_t)model_random(table.model) << 33 ^
	       (uint64_t)model_random(table.model) << 11 ^ model_random(table.model);
}

static void damage_words(void *area, size_t size, unsigned int n)
{
	uint64_t *words = area;
	size_t at;

	while (n--) {
		at = random64() % (size / sizeof(*words));
		switch (model_random(table.model) % 4) {
		case 0:
			words[at] = random64();
			break;
		case 1:
			words[at] = 0;
			break;
		case 2: /* another word of the same area */
			words[at] = words[random64() % (size / sizeof(*words))];
			break;
		default:
			words[at] ^= 1ULL << (random64() % 64);
		}
	}
}

static void damage(unsigned int n)
{
	struct levee_policy_memory *m = &table.memory;
	struct levee_front *front = m->front;

	damage_words(m->buckets, sizeof(*m->buckets) << m->rule_bits, n);
	damage_words(m->rules, sizeof(*m->rules) * m->rule_count, n);
	damage_words(m->hits, sizeof(*m->hits) * m->rule_count * CPUS, n);
	damage_words(front->near4, sizeof(front->near4), n);
	damage_words(front->wide4, sizeof(front->wide4), n);
	damage_words(front->mid4, sizeof(front->mid4), n);
	damage_words(m->far4, LEVEE_FAR_WORDS * sizeof(__u64), n);
	damage_words(front->top6, sizeof(front->top6), n);
	damage_words(front->near6, sizeof(front->near6), n);
	damage_words(front->short6, sizeof(front->short6), n);
	damage_words(&front->wide6, sizeof(front->wide6), n);
	damage_words(m->far6, LEVEE_FAR_WORDS * sizeof(__u64), n);
	damage_words(front->lengths, sizeof(front->lengths), 4);
	front->in_use = model_random(table.model);
}

static void learn(void *ctx, const struct levee_policy_info *info)
{
	struct policy_model *m = ctx;
	struct model_block *b = &m->blocks[m->n_blocks++];

	*b = (struct model_block){ .prefix = info->prefix,
				   .expires_ns = info->expires_ns,
				   .shadowed = info->shadowed,
				   .packets = info->packets,
				   .bytes = info->bytes };
}

/* What the writer says that it holds; the allow list is only to be had from the memory. */
static void learn_policy(void)
{
	const struct levee_policy_memory *m = &table.memory;

	table.model->n_blocks = table.model->n_allowed = 0;
	levee_policy_walk(table.policy, learn, table.model);
	for (uint32_t i = 1; i < m->rule_count; i++)
		if (m->rules[i].verdict == LEVEE_VERDICT_ALLOW)
			table.model->allowed[table.model->n_allowed++] =
				(struct levee_prefix){ m->rules[i].hi, m->rules[i].lo,
						       m->rules[i].family, m->rules[i].length };
	assert_int_equal(levee_policy_allowed(table.policy), table.model->n_allowed);
}

/* Rules, slots and the writer's lists are the same set, and all of it can be taken out again. */
static void assert_consistent(void)
{
	const struct levee_policy_memory *m = &table.memory;
	uint32_t rules = 0, slots = 0, in_force = 0;

	for (size_t i = 0; i < table.model->n_blocks; i++)
		in_force += !table.model->blocks[i].shadowed;
	for (uint32_t i = 1; i < m->rule_count; i++)
		rules += m->rules[i].verdict != LEVEE_VERDICT_NONE;
	for (uint32_t nr = 0; nr < 1U << m->rule_bits; nr++)
		for (int i = 0; i < LEVEE_POLICY_SLOTS; i++)
			slots += m->buckets[nr].slot[i] &&
				 m->buckets[nr].slot[i] != LEVEE_SLOT_GONE;
	assert_int_equal(rules, in_force + table.model->n_allowed);
	assert_int_equal(slots, rules);
	check_addresses(300);
	for (int i = 0; i < 20; i++)
		model_step(table.model, table.policy, NOW_NS);
	check_addresses(100);
}

static void empty_by_hand(void)
{
	while (table.model->n_blocks) {
		struct levee_prefix p = table.model->blocks[0].prefix;

		assert_int_equal(levee_policy_unblock(table.policy, &p), 0);
		model_unblock(table.model, &p);
	}
	assert_int_equal(levee_policy_set_allowed(table.policy, NULL, 0), 0);
	table.model->n_allowed = 0;
	levee_policy_tidy(table.policy);
	assert_clean();
}

static void a_damaged_table_that_is_taken_over_is_consistent(void **state)
{
	uint32_t room;

	(void)state;
	print_message("# seed %u\n", SEED);
	make_table(500, 6); /* crowded: second choices, and slots that were removed */
	room = fill_up();
	empty_by_hand();
	for (int turn = 0; turn < 60; turn++) {
		for (int i = 0; i < 150; i++)
			model_step(table.model, table.policy, NOW_NS);
		damage(turn % 5 ? (unsigned int)turn % 5 * 8 : 400);
		readopt();
		learn_policy();
		assert_consistent();
		if (turn % 3 == 0)
			empty_by_hand();
	}
	empty_by_hand();
	assert_int_equal(fill_up(), room);
	model_assert_same(table.model, table.policy);
	check_addresses(1000);
}

static void a_table_of_random_words_that_is_taken_over_is_consistent(void **state)
{
	struct levee_policy_memory *m;

	(void)state;
	print_message("# seed %u\n", SEED);
	make_table(500, 8);
	m = &table.memory;
	for (int turn = 0; turn < 20; turn++) {
		damage_words(m->rules, sizeof(*m->rules) * m->rule_count, 20000);
		damage_words(m->buckets, sizeof(*m->buckets) << m->rule_bits, 20000);
		damage(1000);
		readopt();
		learn_policy();
		assert_consistent();
	}
	empty_by_hand();
	assert_int_equal(fill_up(), table.memory.rule_count - 1);
}

/* One prefix, two rules: whichever is found is the only one that is left. */
static void of_two_rules_of_one_prefix_one_is_left(void **state)
{
	struct levee_policy_memory *m;
	uint32_t index = 0;

	(void)state;
	make_table(100, 0);
	m = &table.memory;
	assert_int_equal(block("198.51.100.7", LEVEE_NEVER), 0);
	for (uint32_t i = 1; i < m->rule_count; i++)
		if (m->rules[i].verdict != LEVEE_VERDICT_NONE)
			index = i;
	m->rules[7] = m->rules[index];
	m->rules[7].verdict = LEVEE_VERDICT_ALLOW;
	m->buckets[0].slot[1] = (m->buckets[0].slot[0] & ~0xffffffULL) | 7;
	readopt();
	assert_int_equal(levee_policy_blocks(table.policy), 1);
	assert_int_equal(levee_policy_allowed(table.policy), 0);
	assert_int_equal(unblock("198.51.100.7"), 0);
	assert_int_equal(ask_for("198.51.100.7", NOW_NS), LEVEE_VERDICT_NONE);
	levee_policy_tidy(table.policy);
	assert_clean();
}

int main(void)
{
#define T(test) cmocka_unit_test_teardown(test, free_table)
	const struct CMUnitTest tests[] = {
		T(an_empty_table_decides_nothing),
		T(a_crowded_filter_asks_the_large_bitmap),
		T(every_length_of_either_family_blocks_its_first_and_last_address_and_no_other),
		T(an_expired_block_counts_as_absent_and_a_shorter_one_behind_it_decides),
		T(blocks_that_are_over_are_lifted_on_request_and_no_others),
		T(the_allow_list_wins_over_blocks_of_any_length),
		T(a_shadowed_block_returns_with_the_list_that_does_not_cover_it),
		T(drops_are_counted_for_the_rule_that_decided_and_summed_over_cpus),
		T(a_rule_that_is_made_anew_begins_with_no_drops),
		T(an_index_is_given_out_again_only_behind_a_fence),
		T(blocking_a_source_waits_for_nobody),
		T(a_new_length_waits_for_readers_of_the_lengths_before_the_last),
		T(random_policies_decide_as_a_list_of_rules_does),
		T(a_crowded_table_decides_as_a_list_of_rules_does),
		T(an_unblocked_table_has_no_bit_left_once_it_is_tidied),
		T(a_cleared_table_is_empty_and_usable),
		T(a_full_table_refuses_a_block_and_nothing_changes),
		T(a_table_without_a_free_slot_refuses_as_well),
		T(an_allow_list_that_is_too_long_leaves_the_old_one_in_force),
		T(a_block_without_room_to_return_stays_out_until_it_is_asked_for_again),
		T(a_table_that_is_taken_over_decides_as_before),
		T(the_allow_list_that_is_taken_over_shadows_new_blocks),
		T(a_block_below_an_allowed_prefix_leaves_the_table_that_is_taken_over),
		T(a_damaged_table_that_is_taken_over_is_consistent),
		T(a_table_of_random_words_that_is_taken_over_is_consistent),
		T(of_two_rules_of_one_prefix_one_is_left),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
