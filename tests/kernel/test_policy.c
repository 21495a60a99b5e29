/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Three readers of one policy, and one answer: the XDP program in the kernel, levee_policy_lookup()
 * on the same memory, and a plain list of rules. And what only the kernel can show: blocks that
 * end without anybody's doing, audit mode, and tables that a process before has left or damaged.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <errno.h>
#include <linux/bpf.h>
#include <cmocka.h>

#include "dataplane/xdp/xdp.h"
#include "tests/support/policymodel.h"
#include "tests/support/xdp.h"

#define SEED	20261126U
#define MS_NS	1000000ULL
#define FRAME	60 /* bytes of what levee_xdp_send() makes */
#define RULES	2000
#define CROWDED 100

static struct levee_xdp_fixture fixture;
static struct levee_policy_memory memory;
static struct policy_model model;

static int close_fixture(void **state)
{
	(void)state;
	levee_xdp_fixture_close(&fixture);
	return 0;
}

static void open_sized(uint64_t rules)
{
	levee_xdp_fixture_open(&fixture, &(struct levee_xdp_sizes){ .sources = 8, .rules = rules });
	levee_xdp_memory(&fixture, &memory);
	model.n_blocks = model.n_allowed = 0;
	model.random = SEED;
}

static void open_fixture(void)
{
	open_sized(RULES);
}

static struct levee_policy *policy(void)
{
	return levee_dataplane_policy(fixture.dp);
}

static struct levee_prefix prefix_of(const char *text)
{
	struct levee_prefix p;

	assert_int_equal(levee_prefix_parse(&p, text, strlen(text), NULL), 0);
	return p;
}

static void block(const char *text, uint64_t expires_ns)
{
	struct levee_prefix p = prefix_of(text);

	assert_int_equal(levee_policy_block(policy(), &p, expires_ns, levee_xdp_now_ns()), 0);
}

static struct levee_policy_info info_of(const char *text)
{
	struct levee_policy_info info;
	struct levee_prefix p = prefix_of(text);

	assert_int_equal(levee_policy_get(policy(), &p, &info), 0);
	return info;
}

/* ---- asking the kernel ------------------------------------------------------------------- */

/* By the verdict and by the account, which must say the same. */
static enum levee_verdict ask_kernel(const struct model_address *a)
{
	uint32_t verdict = levee_xdp_send(&fixture, a->family, a->hi, a->lo, FRAME);
	struct levee_account account;

	levee_xdp_take(&fixture, NULL, &account);
	assert_int_equal(account.received, 1);
	if (verdict == XDP_DROP) {
		assert_int_equal(account.outcome[LEVEE_DROPPED], 1);
		assert_int_equal(account.dropped_bytes, FRAME);
		return LEVEE_VERDICT_BLOCK;
	}
	assert_int_equal(verdict, XDP_PASS);
	assert_int_equal(account.outcome[LEVEE_ALLOWED] + account.outcome[LEVEE_COUNTED], 1);
	return account.outcome[LEVEE_ALLOWED] ? LEVEE_VERDICT_ALLOW : LEVEE_VERDICT_NONE;
}

static enum levee_verdict ask_kernel_for(const char *text)
{
	struct levee_prefix p = prefix_of(text);
	struct model_address a = { p.family, p.hi, p.lo };

	return ask_kernel(&a);
}

static void check_address(const struct model_address *a)
{
	uint64_t now_ns = levee_xdp_now_ns();
	struct model_block *by;
	enum levee_verdict want = model_verdict(&model, a, now_ns, &by);
	enum levee_verdict kernel = ask_kernel(a), user;
	struct levee_prefix p = { a->hi, a->lo, a->family, a->family == 4 ? 32 : 128 };
	char text[LEVEE_PREFIX_TEXT];

	user = levee_policy_lookup(&memory, a->family, a->hi, a->lo, 1, FRAME, now_ns, 0);
	if (kernel != want || user != want) {
		print_error("%s: wanted %d, the kernel says %d, user space %d\n",
			    levee_prefix_format(&p, text), want, kernel, user);
		fail();
	}
	if (by) {
		by->packets++;
		by->bytes += FRAME;
	}
}

static void check_addresses(unsigned int n)
{
	for (unsigned int i = 0; i < n; i++) {
		struct model_address a = model_random_address(&model);

		check_address(&a);
	}
}

static void change(unsigned int steps)
{
	while (steps--)
		model_step(&model, policy(), levee_xdp_now_ns());
}

/* ---- the tests --------------------------------------------------------------------------- */

static void random_policies_decide_in_the_kernel_as_in_user_space_and_in_a_list(void **state)
{
	(void)state;
	print_message("# seed %u\n", SEED);
	open_fixture();
	for (int turn = 0; turn < 900; turn++) {
		change(1);
		check_addresses(25);
		if (turn % 50 == 0)
			model_assert_same(&model, policy());
	}
	model_assert_same(&model, policy());
}

static void every_length_of_either_family_blocks_what_it_covers_and_no_more(void **state)
{
	(void)state;
	open_fixture();
	for (unsigned int i = 0; i < 33 + 129; i++) {
		struct levee_prefix p = { .family = i < 33 ? 4 : 6,
					  .length = (uint8_t)(i < 33 ? i : i - 33) };

		p.hi = p.family == 4 ? 0xa5c3f096 : 0xa5c3f096a5c3f096;
		p.lo = p.family == 4 ? 0 : 0x693cf00f0ff0c396;
		levee_prefix_canon(&p);
		assert_int_equal(levee_policy_block(policy(), &p, LEVEE_NEVER, 1), 0);
		model_block(&model, &p, LEVEE_NEVER);
		check_addresses(60);
		assert_int_equal(levee_policy_unblock(policy(), &p), 0);
		model_unblock(&model, &p);
		check_addresses(5);
	}
}

static void drops_are_counted_exactly_for_the_rule_that_decided(void **state)
{
	struct levee_policy_info info;
	uint64_t before_ns;

	(void)state;
	open_fixture();
	block("198.51.100.0/24", LEVEE_NEVER);
	block("198.51.100.7", LEVEE_NEVER);
	block("2001:db8::/32", LEVEE_NEVER);
	before_ns = levee_xdp_now_ns();
	for (uint64_t i = 0; i < 500; i++) {
		levee_xdp_send(&fixture, 4, 0xc6336400 + i % 10, 0, 100 + i);
		levee_xdp_send(&fixture, 6, 0x20010db800000000 + i, i, 200);
		levee_xdp_send(&fixture, 4, 0xc6336500, 0, 100); /* nobody's */
	}
	info = info_of("198.51.100.7");
	assert_int_equal(info.packets, 50);
	assert_int_equal(info.bytes, 50 * 107 + 10 * (49 * 50 / 2));
	assert_true(info.first_ns >= before_ns && info.first_ns <= levee_xdp_now_ns());
	assert_true(info.last_ns && info.last_ns <= levee_xdp_now_ns());
	assert_int_equal(info_of("198.51.100.0/24").packets, 450);
	assert_int_equal(info_of("2001:db8::/32").packets, 500);
	assert_int_equal(info_of("2001:db8::/32").bytes, 500 * 200);
}

static void drops_of_all_cpus_are_summed(void **state)
{
	unsigned int cpus = 0;

	(void)state;
	open_fixture();
	block("198.51.100.7", LEVEE_NEVER);
	for (unsigned int cpu = 0; cpu < 64; cpu++) {
		if (!levee_xdp_on_cpu(cpu))
			continue;
		cpus++;
		for (int i = 0; i < 10; i++)
			assert_int_equal(levee_xdp_send(&fixture, 4, 0xc6336407, 0, FRAME),
					 XDP_DROP);
	}
	assert_int_equal(info_of("198.51.100.7").packets, 10 * cpus);
	assert_int_equal(info_of("198.51.100.7").bytes, 10 * FRAME * cpus);
}

/* The program reads the clock once a kernel tick, 1 to 10 ms; a busy host adds its own delay. */
static void a_block_ends_on_time_with_nobody_touching_anything(void **state)
{
	uint64_t end_ns, before_ns;
	unsigned int drops = 0;

	(void)state;
	open_fixture();
	end_ns = levee_xdp_now_ns() + 50 * MS_NS;
	block("198.51.100.7", end_ns);
	block("2001:db8::/64", end_ns);
	levee_policy_free(&fixture.dp->policy); /* no writer, as with a daemon that died */
	for (;;) {
		before_ns = levee_xdp_now_ns();
		if (levee_xdp_send(&fixture, 4, 0xc6336407, 0, FRAME) == XDP_PASS)
			break;
		assert_true(before_ns < end_ns + 100 * MS_NS);
		drops++;
	}
	assert_true(levee_xdp_now_ns() >= end_ns);
	assert_true(drops > 0);
	assert_int_equal(levee_xdp_send(&fixture, 6, 0x20010db800000000, 5, FRAME), XDP_PASS);
	levee_xdp_adopt_policy(&fixture);
	assert_int_equal(info_of("198.51.100.7").packets, drops);
	assert_int_equal(levee_policy_blocks(policy()), 2);
}

static void a_shorter_block_goes_on_when_a_longer_one_ends(void **state)
{
	uint64_t end_ns, drops = 0;

	(void)state;
	open_fixture();
	end_ns = levee_xdp_now_ns() + 30 * MS_NS;
	block("198.51.100.7", end_ns);
	block("198.51.100.0/24", LEVEE_NEVER);
	while (levee_xdp_now_ns() < end_ns + 50 * MS_NS) {
		assert_int_equal(levee_xdp_send(&fixture, 4, 0xc6336407, 0, FRAME), XDP_DROP);
		drops++;
	}
	assert_true(info_of("198.51.100.7").packets > 0);
	assert_true(info_of("198.51.100.0/24").packets > 0);
	assert_int_equal(info_of("198.51.100.7").packets + info_of("198.51.100.0/24").packets,
			 drops);
}

static void a_block_that_is_extended_goes_on_and_one_that_is_shortened_ends(void **state)
{
	(void)state;
	open_fixture();
	block("198.51.100.7", 1);
	assert_int_equal(ask_kernel_for("198.51.100.7"), LEVEE_VERDICT_NONE);
	block("198.51.100.7", LEVEE_NEVER);
	assert_int_equal(ask_kernel_for("198.51.100.7"), LEVEE_VERDICT_BLOCK);
	block("198.51.100.7", 1);
	assert_int_equal(ask_kernel_for("198.51.100.7"), LEVEE_VERDICT_NONE);
}

/* Packets of 198.51.100.7 that pass out of n, one right after the other; *ns is how long it took. */
static uint64_t passed_of(uint64_t n, uint64_t *ns)
{
	uint64_t passed = 0, begin_ns = levee_xdp_now_ns();

	for (uint64_t i = 0; i < n; i++)
		passed += ask_kernel_for("198.51.100.7") == LEVEE_VERDICT_NONE;
	*ns = levee_xdp_now_ns() - begin_ns;
	return passed;
}

static void a_limit_passes_its_burst_and_then_its_rate(void **state)
{
	static const uint64_t limits[][2] = { { 1000, 10 }, { 50, 1 }, { 1, 30 }, { 20000, 100 } };
	struct levee_prefix p = prefix_of("198.51.100.7");
	uint64_t ns, passed;

	(void)state;
	for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
		uint64_t pps = limits[i][0], burst = limits[i][1];

		open_fixture();
		block("198.51.100.7", LEVEE_NEVER);
		assert_int_equal(levee_policy_set_rate(policy(), &p, pps, burst), 0);
		assert_int_equal(info_of("198.51.100.7").rate_pps, pps);
		assert_int_equal(info_of("198.51.100.7").burst, burst);
		passed = passed_of(400, &ns);
		print_message("# %llu pps, burst %llu: %llu of 400 passed in %.1f ms\n",
			      (unsigned long long)pps, (unsigned long long)burst,
			      (unsigned long long)passed, (double)ns / 1e6);
		assert_true(passed >= (burst < 400 ? burst : 400));
		assert_true(passed <= burst + ns * pps / 1000000000 + 1);
		assert_int_equal(info_of("198.51.100.7").packets, 400 - passed);
		assert_int_equal(ask_kernel_for("198.51.100.8"), LEVEE_VERDICT_NONE);

		levee_xdp_adopt_policy(&fixture); /* the next process keeps the limit */
		assert_int_equal(info_of("198.51.100.7").rate_pps, pps);
		assert_int_equal(info_of("198.51.100.7").burst, burst);
		assert_int_equal(levee_policy_set_rate(policy(), &p, 0, 0), 0);
		assert_int_equal(passed_of(20, &ns), 0);
	}
}

static void a_rate_that_is_none_is_refused(void **state)
{
	struct levee_prefix p = prefix_of("198.51.100.7");

	(void)state;
	open_fixture();
	assert_int_equal(levee_policy_set_rate(policy(), &p, 10, 10), -ENOENT);
	block("198.51.100.7", LEVEE_NEVER);
	assert_int_equal(levee_policy_set_rate(policy(), &p, 10, 0), -EINVAL);
	assert_int_equal(levee_policy_set_rate(policy(), &p, 1000000001, 1), -EINVAL);
	assert_int_equal(levee_policy_set_rate(policy(), &p, 10, 1ULL << 32), -EINVAL);
	assert_int_equal(ask_kernel_for("198.51.100.7"), LEVEE_VERDICT_BLOCK);
}

static void audit_drops_nothing_and_counts_all_the_same(void **state)
{
	struct levee_account account;

	(void)state;
	open_fixture();
	block("198.51.100.0/24", LEVEE_NEVER);
	block("2001:db8::/32", LEVEE_NEVER);
	fixture.dp->ops->set_audit(fixture.dp, true);
	for (uint64_t i = 0; i < 100; i++) {
		assert_int_equal(levee_xdp_send(&fixture, 4, 0xc6336400 + i, 0, FRAME), XDP_PASS);
		assert_int_equal(levee_xdp_send(&fixture, 6, 0x20010db800000000, i, FRAME),
				 XDP_PASS);
		assert_int_equal(levee_xdp_send(&fixture, 4, 0xcb007100, 0, FRAME), XDP_PASS);
	}
	levee_xdp_account(&fixture, &account);
	assert_int_equal(account.received, 300);
	assert_int_equal(account.would_drop, 200);
	assert_int_equal(account.outcome[LEVEE_COUNTED], 300);
	assert_int_equal(account.outcome[LEVEE_DROPPED], 0);
	assert_int_equal(account.dropped_bytes, 0);
	assert_int_equal(info_of("198.51.100.0/24").packets, 100);
	fixture.dp->ops->set_audit(fixture.dp, false);
	assert_int_equal(levee_xdp_send(&fixture, 4, 0xc6336401, 0, FRAME), XDP_DROP);
}

/* ---- a table that is full, taken over, damaged ------------------------------------------- */

static struct levee_prefix numbered(uint32_t nr)
{
	struct levee_prefix p = { .hi = nr * 2654435761U, .family = 4, .length = 32 };

	if (nr & 1)
		p = (struct levee_prefix){ .hi = (uint64_t)(nr * 2654435761U) << 32,
					   .family = 6,
					   .length = 64 };
	return p;
}

static uint32_t fill_up(void)
{
	for (uint32_t n = 0;; n++) {
		struct levee_prefix p = numbered(n);
		int ret = levee_policy_block(policy(), &p, LEVEE_NEVER, 1);

		if (ret) {
			assert_int_equal(ret, -ENOSPC);
			return n;
		}
		model_block(&model, &p, LEVEE_NEVER);
	}
}

static void a_full_table_refuses_a_block_and_nothing_changes(void **state)
{
	(void)state;
	open_sized(CROWDED);
	assert_int_equal(fill_up(), CROWDED);
	check_addresses(1000);
	model_assert_same(&model, policy());
	assert_int_equal(
		levee_policy_set_allowed(policy(), &(struct levee_prefix){ .family = 4 }, 1),
		-ENOSPC);
	check_addresses(1000);
	model_assert_same(&model, policy());
}

static void forget_shadowed(void)
{
	for (size_t i = 0; i < model.n_blocks;)
		if (model.blocks[i].shadowed)
			model.blocks[i] = model.blocks[--model.n_blocks];
		else
			i++;
}

static void a_table_that_is_taken_over_decides_as_before(void **state)
{
	(void)state;
	print_message("# seed %u\n", SEED);
	open_fixture();
	for (int turn = 0; turn < 30; turn++) {
		change(50);
		check_addresses(50);
		levee_xdp_adopt_policy(&fixture);
		forget_shadowed();
		model_assert_same(&model, policy());
		check_addresses(200);
	}
}

static void pinned_maps_keep_policy_and_drops_for_the_next_process(void **state)
{
	(void)state;
	open_sized(64);
	change(60);
	check_addresses(500);
	levee_xdp_fixture_pin(&fixture);
	levee_xdp_fixture_reopen(&fixture);
	assert_true(levee_xdp_resumed(fixture.dp));
	levee_xdp_memory(&fixture, &memory);
	forget_shadowed();
	model_assert_same(&model, policy());
	check_addresses(500);
	model_assert_same(&model, policy());
	levee_xdp_fixture_close(&fixture);
}

static uint64_t random64(void)
{
	return (uint64_t)model_random(&model) << 33 ^ (uint64_t)model_random(&model) << 11 ^
	       model_random(&model);
}

static void damage_words(void *area, size_t size, unsigned int n)
{
	uint64_t *words = area;

	while (n--) {
		uint64_t word = words[random64() % (size / sizeof(*words))];
		uint32_t dice = model_random(&model) % 4;

		if (dice < 2)
			word = dice ? random64() : 0;
		else if (dice == 2)
			word ^= 1ULL << (random64() % 64);
		words[random64() % (size / sizeof(*words))] = word;
	}
}

static void damage(unsigned int n)
{
	struct levee_front *front = memory.front;

	damage_words(memory.buckets, sizeof(*memory.buckets) << memory.rule_bits, n);
	damage_words(memory.rules, sizeof(*memory.rules) * memory.rule_count, n);
	damage_words(front->near4, sizeof(front->near4), n);
	damage_words(front->wide4, sizeof(front->wide4), n);
	damage_words(front->mid4, sizeof(front->mid4), n);
	front->crowded4 = model_random(&model) & 1;
	damage_words(memory.far4, LEVEE_FAR_WORDS * sizeof(__u64), n);
	damage_words(front->top6, sizeof(front->top6), n);
	damage_words(front->near6, sizeof(front->near6), n);
	damage_words(front->short6, sizeof(front->short6), n);
	front->wide6 = random64();
	damage_words(memory.far6, LEVEE_FAR_WORDS * sizeof(__u64), n);
	damage_words(front->lengths, sizeof(front->lengths), n < 20 ? n : 20);
	front->in_use = model_random(&model);
}

static void learn(void *ctx, const struct levee_policy_info *info)
{
	struct policy_model *m = ctx;

	m->blocks[m->n_blocks++] = (struct model_block){ .prefix = info->prefix,
							 .expires_ns = info->expires_ns,
							 .shadowed = info->shadowed,
							 .packets = info->packets,
							 .bytes = info->bytes };
}

static void learn_policy(void)
{
	model.n_blocks = model.n_allowed = 0;
	levee_policy_walk(policy(), learn, &model);
	for (uint32_t i = 1; i < memory.rule_count; i++)
		if (memory.rules[i].verdict == LEVEE_VERDICT_ALLOW)
			model.allowed[model.n_allowed++] =
				(struct levee_prefix){ memory.rules[i].hi, memory.rules[i].lo,
						       memory.rules[i].family,
						       memory.rules[i].length };
}

/* Whatever the maps hold, the program ends, passes or drops, and accounts for the packet. */
static void run_on_damage(unsigned int n)
{
	while (n--) {
		struct model_address a = model_random_address(&model);

		ask_kernel(&a);
	}
}

static void a_damaged_table_does_no_harm_and_is_consistent_once_taken_over(void **state)
{
	(void)state;
	print_message("# seed %u\n", SEED);
	open_fixture();
	for (int turn = 0; turn < 24; turn++) {
		change(80);
		damage(turn % 4 ? (unsigned int)turn % 4 * 20 : 3000);
		run_on_damage(300);
		levee_xdp_adopt_policy(&fixture);
		learn_policy();
		check_addresses(300);
		change(20);
		check_addresses(100);
	}
	model_assert_same(&model, policy());
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			random_policies_decide_in_the_kernel_as_in_user_space_and_in_a_list),
		cmocka_unit_test(every_length_of_either_family_blocks_what_it_covers_and_no_more),
		cmocka_unit_test(drops_are_counted_exactly_for_the_rule_that_decided),
		cmocka_unit_test(drops_of_all_cpus_are_summed),
		cmocka_unit_test(a_block_ends_on_time_with_nobody_touching_anything),
		cmocka_unit_test(a_shorter_block_goes_on_when_a_longer_one_ends),
		cmocka_unit_test(a_block_that_is_extended_goes_on_and_one_that_is_shortened_ends),
		cmocka_unit_test(a_limit_passes_its_burst_and_then_its_rate),
		cmocka_unit_test(a_rate_that_is_none_is_refused),
		cmocka_unit_test(audit_drops_nothing_and_counts_all_the_same),
		cmocka_unit_test(a_table_that_is_taken_over_decides_as_before),
		cmocka_unit_test(a_damaged_table_does_no_harm_and_is_consistent_once_taken_over),
		cmocka_unit_test(a_full_table_refuses_a_block_and_nothing_changes),
		cmocka_unit_test(pinned_maps_keep_policy_and_drops_for_the_next_process),
	};

	return cmocka_run_group_tests(tests, NULL, close_fixture);
}
