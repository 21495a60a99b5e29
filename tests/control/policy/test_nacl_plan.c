/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "control/policy/nacl_plan.h"

#define MOST 64

/* A plan and all that it is made of. */
struct scene {
	struct levee_nacl_params params;
	struct levee_nacl_source sources[MOST];
	size_t n_sources;
	struct levee_prefix allowed[MOST];
	size_t n_allowed;
	struct levee_nacl_entry operators[MOST];
	size_t n_operators;
	struct levee_nacl_entry in_place[2 * MOST];
	size_t n_in_place;
	struct levee_nacl_plan plan;
};

static struct levee_prefix prefix(const char *text)
{
	struct levee_prefix p;

	assert_int_equal(levee_prefix_parse(&p, text, strlen(text), NULL), 0);
	return p;
}

static void add_operator(struct scene *s, int number, const char *cidr,
			 enum levee_nacl_action action)
{
	s->operators[s->n_operators++] = (struct levee_nacl_entry){
		.cidr = prefix(cidr),
		.number = (uint16_t)number,
		.action = action,
		.protocol = LEVEE_NACL_ALL,
	};
}

static void clear(struct scene *s)
{
	levee_nacl_plan_free(&s->plan);
	memset(s, 0, sizeof(*s));
	s->params = (struct levee_nacl_params){
		.budget = LEVEE_NACL_BUDGET,
		.mask4 = LEVEE_NACL_MASK4,
		.mask6 = LEVEE_NACL_MASK6,
		.action = LEVEE_NACL_DENY,
		.range = { LEVEE_NACL_FIRST, LEVEE_NACL_LAST },
	};
}

static int setup(void **state)
{
	struct scene *s = calloc(1, sizeof(*s));

	if (!s)
		return -1;
	clear(s);
	add_operator(s, 100, "0.0.0.0/0", LEVEE_NACL_ALLOW);
	add_operator(s, 101, "::/0", LEVEE_NACL_ALLOW);
	*state = s;
	return 0;
}

static int teardown(void **state)
{
	struct scene *s = *state;

	levee_nacl_plan_free(&s->plan);
	free(s);
	return 0;
}

static void add_source(struct scene *s, const char *text, double zscore)
{
	s->sources[s->n_sources++] = (struct levee_nacl_source){
		.prefix = prefix(text),
		.max_zscore = zscore,
		.max_packets = (uint64_t)(zscore * 1000),
	};
}

static struct levee_nacl_plan_input input_of(const struct scene *s)
{
	return (struct levee_nacl_plan_input){
		.sources = s->sources,
		.n_sources = s->n_sources,
		.allowed = s->allowed,
		.n_allowed = s->n_allowed,
		.operators = s->operators,
		.n_operators = s->n_operators,
		.in_place = s->in_place,
		.n_in_place = s->n_in_place,
	};
}

static void make(struct scene *s)
{
	struct levee_nacl_plan_input input = input_of(s);

	levee_nacl_plan_free(&s->plan);
	assert_int_equal(levee_nacl_plan_make(&s->plan, &s->params, &input), 0);
}

/* The plan is carried out. */
static void put_in_place(struct scene *s)
{
	assert_true(s->plan.n_rules <= 2 * MOST);
	memcpy(s->in_place, s->plan.rules, s->plan.n_rules * sizeof(*s->in_place));
	s->n_in_place = s->plan.n_rules;
}

static const struct levee_nacl_target *target(const struct scene *s, const char *text)
{
	struct levee_prefix p = prefix(text);

	for (size_t i = 0; i < s->plan.n_targets; i++)
		if (!levee_prefix_compare(&s->plan.targets[i].prefix, &p))
			return &s->plan.targets[i];
	fail_msg("no target %s", text);
	return NULL;
}

static void of_twenty_sources_eighteen_have_a_rule_and_two_are_local_only(void **state)
{
	struct scene *s = *state;
	char text[32];

	for (int i = 0; i < 20; i++) {
		snprintf(text, sizeof(text), "198.51.100.%d", i + 1);
		add_source(s, text, 30 - i);
	}
	make(s);
	assert_int_equal(s->plan.n_rules, 18);
	assert_int_equal(s->plan.unblocked_sources, 2);
	assert_int_equal(target(s, "198.51.100.18")->fit, LEVEE_NACL_RULE);
	assert_int_equal(target(s, "198.51.100.19")->fit, LEVEE_NACL_BUDGET_OUT);
	assert_int_equal(target(s, "198.51.100.20")->fit, LEVEE_NACL_BUDGET_OUT);
}

static void families_have_a_budget_each_unless_they_share_one(void **state)
{
	struct scene *s = *state;
	char text[32];

	for (int i = 0; i < 25; i++) {
		snprintf(text, sizeof(text), "198.51.100.%d", i + 1);
		add_source(s, text, 30 - i);
		snprintf(text, sizeof(text), "2001:db8:%d::/64", i + 1);
		add_source(s, text, 30 - i);
	}
	make(s);
	assert_int_equal(s->plan.n_rules, 36);
	s->params.together = true;
	make(s);
	assert_int_equal(s->plan.n_rules, 16); /* 20, less two rules and two default denies */
}

static void the_operators_rules_take_from_the_budget(void **state)
{
	struct scene *s = *state;
	struct levee_nacl_entry egress;

	for (int i = 0; i < 5; i++)
		add_operator(s, 200 + i, "192.0.2.0/24", LEVEE_NACL_DENY);
	egress = s->operators[0];
	egress.egress = true;
	s->operators[s->n_operators++] = egress;
	assert_int_equal(levee_nacl_room(&s->params, s->operators, s->n_operators, 4), 13);
	assert_int_equal(levee_nacl_room(&s->params, s->operators, s->n_operators, 6), 18);
	s->params.budget = 3;
	assert_int_equal(levee_nacl_room(&s->params, s->operators, s->n_operators, 4), 0);
}

static void a_group_carries_its_highest_z_and_largest_packets(void **state)
{
	struct scene *s = *state;
	const struct levee_nacl_target *group;

	s->params.mask4 = 24;
	add_source(s, "198.51.100.1", 5);
	add_source(s, "198.51.100.9", 9);
	add_source(s, "198.51.100.7", 7);
	s->sources[0].max_packets = 77777;
	add_source(s, "203.0.113.7", 8);
	make(s);
	assert_int_equal(s->plan.n_targets, 2);
	group = target(s, "198.51.100.0/24");
	assert_ptr_equal(group, &s->plan.targets[0]);
	assert_true(group->max_zscore == 9);
	assert_int_equal(group->max_packets, 77777);
	assert_int_equal(group->n_sources, 3);
	assert_int_equal(s->plan.target_of[2], 0);
	assert_int_equal(s->plan.target_of[3], 1);
}

static void a_group_that_touches_the_allow_list_is_split(void **state)
{
	struct scene *s = *state;

	s->params.mask4 = 24;
	s->allowed[s->n_allowed++] = prefix("198.51.100.128/25");
	add_source(s, "198.51.100.1", 5);
	add_source(s, "198.51.100.2", 6);
	add_source(s, "198.51.100.200", 7);
	make(s);
	assert_int_equal(target(s, "198.51.100.1")->fit, LEVEE_NACL_RULE);
	assert_int_equal(target(s, "198.51.100.2")->fit, LEVEE_NACL_RULE);
	assert_int_equal(target(s, "198.51.100.200")->fit, LEVEE_NACL_ALLOWED);
	assert_int_equal(s->plan.unblocked_sources, 1);
}

static void a_block_around_an_allowed_address_has_no_rule(void **state)
{
	struct scene *s = *state;

	s->allowed[s->n_allowed++] = prefix("10.9.8.7");
	add_source(s, "10.0.0.0/8", 5);
	add_source(s, "0.0.0.0/0", 9);
	make(s);
	assert_int_equal(s->plan.n_rules, 0);
	assert_int_equal(target(s, "10.0.0.0/8")->fit, LEVEE_NACL_ALLOWED);
	assert_int_equal(target(s, "0.0.0.0/0")->fit, LEVEE_NACL_TOO_WIDE);
}

static void a_source_inside_a_blocked_prefix_needs_no_rule_of_its_own(void **state)
{
	struct scene *s = *state;

	add_source(s, "198.51.100.7", 9);
	add_source(s, "198.51.100.0/22", 4);
	add_source(s, "198.51.100.0/24", 5);
	make(s);
	assert_int_equal(s->plan.n_rules, 1);
	assert_int_equal(s->plan.n_targets, 1);
	assert_true(target(s, "198.51.100.0/22")->max_zscore == 9);
	for (int i = 0; i < 3; i++)
		assert_int_equal(s->plan.target_of[i], 0);
}

static void an_operators_block_comes_first(void **state)
{
	struct scene *s = *state;

	s->params.budget = 3;
	add_source(s, "198.51.100.7", 1e9);
	add_source(s, "198.51.100.8", INFINITY);
	add_source(s, "198.51.100.9", NAN);
	make(s);
	assert_int_equal(s->plan.n_rules, 1);
	assert_int_equal(target(s, "198.51.100.8")->fit, LEVEE_NACL_RULE);
	assert_int_equal(s->plan.target_of[2], 2);
}

static void what_stays_keeps_its_number_and_what_goes_leaves_a_gap(void **state)
{
	struct scene *s = *state;

	add_source(s, "198.51.100.1", 9);
	add_source(s, "198.51.100.2", 8);
	add_source(s, "198.51.100.3", 7);
	make(s);
	put_in_place(s);
	s->sources[1] = s->sources[2];
	s->sources[1].max_zscore = 99;
	s->n_sources = 2;
	make(s);
	assert_int_equal(target(s, "198.51.100.1")->number, 1);
	assert_int_equal(target(s, "198.51.100.3")->number, 3);
}

static void a_newcomer_takes_the_number_of_a_rule_that_leaves(void **state)
{
	struct scene *s = *state;

	add_source(s, "198.51.100.1", 9);
	add_source(s, "198.51.100.2", 8);
	add_source(s, "2001:db8::/64", 8);
	make(s);
	put_in_place(s);
	s->sources[1].prefix = prefix("198.51.100.77");
	make(s);
	assert_int_equal(target(s, "198.51.100.77")->number, 2);
	/* not of the other family: EC2 would count it before the old one is gone */
	s->sources[1].prefix = prefix("2001:db8:1::/64");
	make(s);
	assert_int_equal(target(s, "2001:db8:1::/64")->number, 4);
}

static void the_number_of_an_operators_rule_in_the_range_is_not_used(void **state)
{
	struct scene *s = *state;

	s->params.range = (struct levee_nacl_range){ 1, 3 };
	add_operator(s, 2, "192.0.2.0/24", LEVEE_NACL_DENY);
	add_source(s, "198.51.100.1", 9);
	add_source(s, "198.51.100.2", 8);
	add_source(s, "198.51.100.3", 7);
	make(s);
	assert_int_equal(target(s, "198.51.100.1")->number, 1);
	assert_int_equal(target(s, "198.51.100.2")->number, 3);
	assert_int_equal(target(s, "198.51.100.3")->fit, LEVEE_NACL_NUMBERS_OUT);
}

static void where_numbers_are_short_the_highest_z_wins_over_what_stands(void **state)
{
	struct scene *s = *state;

	s->params.range = (struct levee_nacl_range){ 1, 2 };
	add_source(s, "198.51.100.1", 9);
	add_source(s, "198.51.100.2", 8);
	make(s);
	put_in_place(s);
	add_source(s, "198.51.100.3", 10);
	make(s);
	assert_int_equal(target(s, "198.51.100.3")->number, 2);
	assert_int_equal(target(s, "198.51.100.1")->number, 1);
	assert_int_equal(target(s, "198.51.100.2")->fit, LEVEE_NACL_NUMBERS_OUT);
}

static void a_deny_stands_before_every_allow_of_its_addresses(void **state)
{
	struct scene *s = *state;

	add_operator(s, 3, "198.51.100.0/24", LEVEE_NACL_ALLOW);
	add_source(s, "198.51.100.1", 9);
	add_source(s, "198.51.100.2", 8);
	add_source(s, "198.51.100.3", 7);
	add_source(s, "203.0.113.1", 6);
	make(s);
	assert_int_equal(s->plan.n_rules, 3);
	assert_true(target(s, "198.51.100.1")->number < 3);
	assert_true(target(s, "198.51.100.2")->number < 3);
	assert_int_equal(target(s, "198.51.100.3")->fit, LEVEE_NACL_ORDER);
	assert_int_equal(target(s, "203.0.113.1")->number, 4);
}

static void a_range_behind_the_operators_allow_has_no_rules(void **state)
{
	struct scene *s = *state;

	s->params.range = (struct levee_nacl_range){ 200, 299 };
	add_source(s, "198.51.100.1", 9);
	make(s);
	assert_int_equal(s->plan.n_rules, 0);
	assert_int_equal(target(s, "198.51.100.1")->fit, LEVEE_NACL_ORDER);
}

static void an_audit_rule_never_opens_what_the_operator_closed(void **state)
{
	struct scene *s = *state;

	s->params.action = LEVEE_NACL_ALLOW;
	add_operator(s, 50, "203.0.113.0/24", LEVEE_NACL_DENY);
	add_source(s, "198.51.100.1", 9);
	add_source(s, "203.0.113.1", 8);
	make(s);
	assert_int_equal(s->plan.n_rules, 1);
	assert_int_equal(s->plan.rules[0].action, LEVEE_NACL_ALLOW);
	assert_int_equal(target(s, "203.0.113.1")->fit, LEVEE_NACL_WOULD_OPEN);
	/* one port open is not all ports open */
	s->operators[0].protocol = 6;
	s->operators[0].port_first = s->operators[0].port_last = 443;
	make(s);
	assert_int_equal(target(s, "198.51.100.1")->fit, LEVEE_NACL_WOULD_OPEN);
}

static void parameters_out_of_range_are_refused(void **state)
{
	struct scene *s = *state;
	struct levee_nacl_plan_input input = input_of(s);
	struct levee_nacl_params bad[8];

	for (int i = 0; i < 8; i++)
		bad[i] = s->params;
	bad[0].budget = 0;
	bad[1].budget = 41;
	bad[2].mask4 = 33;
	bad[3].mask6 = 129;
	bad[4].mask4 = 0;
	bad[5].range.first = 0;
	bad[6].range.last = LEVEE_NACL_NUMBER_MAX + 1;
	bad[7].range.first = 100;
	for (int i = 0; i < 8; i++)
		assert_int_equal(levee_nacl_plan_make(&s->plan, &bad[i], &input), -EINVAL);
	add_source(s, "192.0.2.1", 4);
	s->sources[0].prefix.length = 33;
	input = input_of(s);
	assert_int_equal(levee_nacl_plan_make(&s->plan, &s->params, &input), -EINVAL);
}

static void a_long_allow_list_and_many_blocks_are_planned_in_no_time(void **state)
{
	struct scene *s = *state;
	size_t n_allowed = 100000, n_sources = 50000;
	struct levee_prefix *allowed = calloc(n_allowed, sizeof(*allowed));
	struct levee_nacl_source *sources = calloc(n_sources, sizeof(*sources));
	struct levee_nacl_plan_input input = input_of(s);

	/* all behind one early allow: each asks for a number that there is not */
	add_operator(s, 5, "0.0.0.0/0", LEVEE_NACL_ALLOW);
	for (size_t i = 0; i < n_allowed; i++)
		allowed[i] = (struct levee_prefix){ .hi = 2 * i, .family = 4, .length = 32 };
	for (size_t i = 0; i < n_sources; i++) {
		sources[i].prefix = (struct levee_prefix){ .hi = i, .family = 4, .length = 32 };
		sources[i].max_zscore = (double)(i % 100);
	}
	input.n_operators = s->n_operators;
	input.allowed = allowed;
	input.n_allowed = n_allowed;
	input.sources = sources;
	input.n_sources = n_sources;
	assert_int_equal(levee_nacl_plan_make(&s->plan, &s->params, &input), 0);
	assert_int_equal(s->plan.n_rules, 4);
	assert_int_equal(s->plan.unblocked_sources, n_sources - 4);
	free(allowed);
	free(sources);
}

/* Random worlds. */

static uint64_t rng;

static uint32_t roll(uint32_t n)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return (uint32_t)((rng >> 11) % n);
}

/* Few networks, so that everything meets everything. */
static struct levee_prefix random_prefix(bool narrow)
{
	static const uint8_t lengths4[] = { 32, 32, 32, 30, 24, 16, 8 };
	static const uint8_t lengths6[] = { 64, 64, 64, 128, 56, 48, 32 };
	bool v6 = !roll(3);
	int which = narrow ? 0 : (int)roll(7);
	struct levee_prefix p = { .family = v6 ? 6 : 4 };

	p.length = v6 ? lengths6[which] : lengths4[which];
	if (v6)
		p.hi = 0x20010db800000000ULL | (uint64_t)roll(2) << 16 | roll(40);
	else
		p.hi = 0x0a000000U | roll(2) << 24 | roll(2) << 16 | roll(2) << 8 | roll(60);
	p.lo = v6 ? roll(3) : 0;
	levee_prefix_canon(&p);
	return p;
}

static void random_scene(struct scene *s, bool plain)
{
	clear(s);
	s->params.budget = 1 + roll(plain ? 40 : 30);
	s->params.together = !roll(4);
	s->params.mask4 = (uint8_t)(roll(2) ? 32 : 24 + roll(9));
	s->params.mask6 = (uint8_t)(roll(2) ? 64 : 48 + roll(81));
	s->params.action = roll(4) ? LEVEE_NACL_DENY : LEVEE_NACL_ALLOW;
	s->params.range.first = (uint16_t)(1 + roll(20));
	s->params.range.last = (uint16_t)(s->params.range.first + (plain ? 79 : roll(80)));
	for (uint32_t i = roll(40); i; i--)
		s->sources[s->n_sources++] = (struct levee_nacl_source){
			.prefix = random_prefix(plain),
			.max_zscore = 3 + roll(10),
			.max_packets = roll(100000),
		};
	for (uint32_t i = roll(8); i; i--)
		s->allowed[s->n_allowed++] = random_prefix(false);
	for (uint32_t i = roll(6), number = 1 + roll(120); i; i--, number += 1 + roll(40))
		s->operators[s->n_operators++] = (struct levee_nacl_entry){
			.cidr = random_prefix(false),
			.number = (uint16_t)number,
			.egress = !roll(5),
			.action = roll(2) ? LEVEE_NACL_ALLOW : LEVEE_NACL_DENY,
			.protocol = LEVEE_NACL_ALL,
		};
	add_operator(s, 3000, "0.0.0.0/0", LEVEE_NACL_ALLOW);
	add_operator(s, 3001, "::/0", LEVEE_NACL_ALLOW);
}

static void check_budget(const struct scene *s)
{
	unsigned int n[2] = { 1, 1 };

	for (size_t i = 0; i < s->n_operators; i++)
		n[s->operators[i].cidr.family == 6] += !s->operators[i].egress;
	for (size_t i = 0; i < s->plan.n_rules; i++)
		n[s->plan.rules[i].cidr.family == 6]++;
	/* what the operator has beyond the budget is not the plan's doing */
	if (s->plan.n_rules && s->params.together)
		assert_true(n[0] + n[1] <= s->params.budget);
	for (size_t i = 0; i < s->plan.n_rules; i++)
		assert_true(n[s->plan.rules[i].cidr.family == 6] <= s->params.budget);
}

static void check_rule(const struct scene *s, const struct levee_nacl_entry *rule)
{
	struct levee_prefix canonical = rule->cidr;

	levee_prefix_canon(&canonical);
	assert_false(levee_prefix_compare(&canonical, &rule->cidr));
	assert_true(levee_nacl_is_reserved(rule, s->params.range));
	assert_int_equal(rule->action, s->params.action);
	for (size_t i = 0; i < s->n_allowed; i++)
		assert_false(levee_nacl_prefixes_touch(&s->allowed[i], &rule->cidr));
	for (size_t i = 0; i < s->n_operators; i++) {
		const struct levee_nacl_entry *theirs = &s->operators[i];

		if (theirs->egress)
			continue;
		assert_int_not_equal(theirs->number, rule->number);
		if (rule->action == LEVEE_NACL_DENY && theirs->action == LEVEE_NACL_ALLOW &&
		    levee_nacl_prefixes_touch(&theirs->cidr, &rule->cidr))
			assert_true(theirs->number > rule->number);
	}
	for (const struct levee_nacl_entry *other = s->plan.rules; other < rule; other++) {
		assert_int_not_equal(other->number, rule->number);
		assert_false(levee_nacl_prefixes_touch(&other->cidr, &rule->cidr));
	}
}

/* Every source is in a target that contains it; z and packets are those of its sources. */
static void check_targets(const struct scene *s)
{
	size_t sources = 0, unblocked = 0, rules = 0;

	for (size_t i = 0; i < s->n_sources; i++) {
		const struct levee_nacl_target *t = &s->plan.targets[s->plan.target_of[i]];

		assert_true(levee_prefix_covers(&t->prefix, &s->sources[i].prefix));
		assert_true(t->max_zscore >= s->sources[i].max_zscore);
		assert_true(t->max_packets >= s->sources[i].max_packets);
	}
	for (size_t i = 0; i < s->plan.n_targets; i++) {
		const struct levee_nacl_target *t = &s->plan.targets[i];

		assert_int_equal(t->fit == LEVEE_NACL_RULE, t->number != 0);
		sources += t->n_sources;
		unblocked += t->number ? 0 : t->n_sources;
		rules += t->number != 0;
		if (i)
			assert_true(t[-1].max_zscore > t->max_zscore ||
				    (t[-1].max_zscore == t->max_zscore &&
				     levee_prefix_compare(&t[-1].prefix, &t->prefix) < 0));
	}
	assert_int_equal(sources, s->n_sources);
	assert_int_equal(unblocked, s->plan.unblocked_sources);
	assert_int_equal(rules, s->plan.n_rules);
}

/* No target is left out for the budget while one of its family behind it has a rule. */
static void check_order(const struct scene *s)
{
	bool out[2] = { false, false };

	for (size_t i = 0; i < s->plan.n_targets; i++) {
		const struct levee_nacl_target *t = &s->plan.targets[i];
		int pool = !s->params.together && t->prefix.family == 6;

		if (t->fit == LEVEE_NACL_BUDGET_OUT)
			out[pool] = true;
		if (t->fit == LEVEE_NACL_NUMBERS_OUT)
			out[0] = out[1] = true;
		if (t->fit == LEVEE_NACL_RULE)
			assert_false(out[pool]);
	}
}

static void check_plan(const struct scene *s)
{
	check_budget(s);
	for (size_t i = 0; i < s->plan.n_rules; i++)
		check_rule(s, &s->plan.rules[i]);
	check_targets(s);
	check_order(s);
}

static void every_plan_of_a_random_world_keeps_the_promises(void **state)
{
	struct scene *s = *state;

	rng = 20240611;
	print_message("seed %" PRIu64 "\n", rng);
	for (int i = 0; i < 20000; i++) {
		random_scene(s, false);
		make(s);
		check_plan(s);
		/* the same once more, upon what stands then, and upon something else */
		put_in_place(s);
		for (uint32_t n = s->n_sources ? roll(5) : 0; n; n--)
			s->sources[roll((uint32_t)s->n_sources)].prefix = random_prefix(false);
		make(s);
		check_plan(s);
	}
}

static void shuffle(struct scene *s)
{
	for (size_t i = s->n_sources; i > 1; i--) {
		size_t j = roll((uint32_t)i);
		struct levee_nacl_source swap = s->sources[i - 1];

		s->sources[i - 1] = s->sources[j];
		s->sources[j] = swap;
	}
	for (size_t i = s->n_in_place; i > 1; i--) {
		size_t j = roll((uint32_t)i);
		struct levee_nacl_entry swap = s->in_place[i - 1];

		s->in_place[i - 1] = s->in_place[j];
		s->in_place[j] = swap;
	}
}

/* How many of the plan's rules do not stand already. */
static size_t count_new(const struct scene *s)
{
	size_t n = 0;

	for (size_t i = 0; i < s->plan.n_rules; i++) {
		bool stands = false;

		for (size_t j = 0; j < s->n_in_place; j++)
			stands |= levee_nacl_equal(&s->plan.rules[i], &s->in_place[j]);
		n += !stands;
	}
	return n;
}

static void what_has_not_changed_is_planned_again_in_any_order(void **state)
{
	struct scene *s = *state;

	rng = 20240612;
	print_message("seed %" PRIu64 "\n", rng);
	for (int i = 0; i < 10000; i++) {
		random_scene(s, false);
		make(s);
		put_in_place(s);
		shuffle(s);
		make(s);
		assert_int_equal(s->plan.n_rules, s->n_in_place);
		assert_int_equal(count_new(s), 0);
	}
}

static void one_source_more_is_at_most_one_new_rule(void **state)
{
	struct scene *s = *state;

	rng = 20240613;
	print_message("seed %" PRIu64 "\n", rng);
	for (int i = 0; i < 10000; i++) {
		random_scene(s, true);
		s->params.mask4 = 32; /* with wide masks one source can split or fold others */
		s->params.mask6 = 64;
		make(s);
		put_in_place(s);
		s->sources[s->n_sources++] = (struct levee_nacl_source){
			.prefix = random_prefix(true),
			.max_zscore = 3 + roll(10),
		};
		make(s);
		assert_true(count_new(s) <= 1);
	}
}

/* ---- strategy cover -------------------------------------------------------------------------- */

static void set_cover(struct scene *s)
{
	s->params.strategy = LEVEE_NACL_COVER;
}

static void make_with_good(struct scene *s, const struct levee_cover_source *good, size_t n,
			   bool known)
{
	struct levee_nacl_plan_input input = input_of(s);

	input.good = good;
	input.n_good = n;
	input.good_known = known;
	levee_nacl_plan_free(&s->plan);
	assert_int_equal(levee_nacl_plan_make(&s->plan, &s->params, &input), 0);
}

/* Thirty sources in one net and ten elsewhere, for two rules. */
static void add_net_and_others(struct scene *s)
{
	char text[32];

	s->params.budget = 4; /* the default deny, the operator's allow, and two */
	for (int i = 0; i < 30; i++) {
		snprintf(text, sizeof(text), "203.0.113.%d", 8 * i);
		add_source(s, text, 10);
	}
	for (int i = 0; i < 10; i++) {
		snprintf(text, sizeof(text), "198.51.%d.7", 100 + i);
		add_source(s, text, 20 + i);
	}
}

static void cover_blocks_a_net_and_the_heaviest_source_beside_it(void **state)
{
	struct scene *s = *state;

	add_net_and_others(s);
	set_cover(s);
	make_with_good(s, NULL, 0, true);
	assert_int_equal(s->plan.n_rules, 2);
	assert_non_null(target(s, "203.0.113.0/24"));
	assert_int_not_equal(target(s, "203.0.113.0/24")->number, 0);
	assert_int_equal(target(s, "203.0.113.0/24")->n_sources, 30);
	assert_int_equal(target(s, "203.0.113.0/24")->flood_packets, 30 * 10000);
	/* The ten lie in one /16, with nobody else in it. */
	assert_non_null(target(s, "198.51.96.0/20"));
	assert_int_equal(s->plan.unblocked_sources, 0);
	assert_true(s->plan.exact);
	assert_int_equal(s->plan.blocked_packets, 30 * 10000 + 245 * 1000);
	assert_int_equal(s->plan.flood_packets, s->plan.blocked_packets);
	assert_int_equal(s->plan.single_packets, 29000 + 28000);
}

static void cover_touches_no_good_source_unless_it_is_told_to(void **state)
{
	struct scene *s = *state;
	const struct levee_cover_source good[] = { { prefix("203.0.113.9"), 500 },
						   { prefix("198.51.105.8"), 40 } };

	add_net_and_others(s);
	set_cover(s);
	make_with_good(s, good, 2, true);
	for (size_t i = 0; i < s->plan.n_rules; i++)
		for (size_t j = 0; j < 2; j++)
			assert_false(levee_prefix_covers(&s->plan.rules[i].cidr, &good[j].prefix));
	assert_int_equal(s->plan.good_packets, 0);
	s->params.max_collateral = 500;
	make_with_good(s, good, 2, true);
	assert_int_not_equal(target(s, "203.0.113.0/24")->number, 0);
	assert_int_equal(target(s, "203.0.113.0/24")->good_packets, 500);
	assert_int_equal(target(s, "203.0.113.0/24")->n_good, 1);
	assert_int_equal(s->plan.good_packets, 500);
	s->params.max_collateral = 540;
	make_with_good(s, good, 2, true);
	assert_int_equal(s->plan.good_packets, 540);
	assert_int_equal(s->plan.unblocked_sources, 0);
}

static void cover_keeps_off_the_allow_list(void **state)
{
	struct scene *s = *state;

	add_net_and_others(s);
	s->allowed[s->n_allowed++] = prefix("203.0.113.9");
	set_cover(s);
	make_with_good(s, NULL, 0, true);
	for (size_t i = 0; i < s->plan.n_rules; i++)
		assert_false(levee_prefix_covers(&s->plan.rules[i].cidr, &s->allowed[0]));
	assert_true(s->plan.n_rules == 2);
}

static void without_knowing_the_good_ones_rules_are_single_sources(void **state)
{
	struct scene *s = *state;

	add_net_and_others(s);
	set_cover(s);
	make_with_good(s, NULL, 0, false);
	assert_int_equal(s->plan.n_rules, 2);
	for (size_t i = 0; i < 2; i++)
		assert_int_equal(s->plan.rules[i].cidr.length, 32);
	assert_int_equal(s->plan.blocked_packets, s->plan.single_packets);
}

static void an_operators_block_comes_first_in_a_cover_too(void **state)
{
	struct scene *s = *state;

	add_net_and_others(s);
	add_source(s, "192.0.2.77", 1);
	s->sources[s->n_sources - 1].max_zscore = INFINITY;
	set_cover(s);
	make_with_good(s, NULL, 0, true);
	assert_non_null(target(s, "192.0.2.77"));
	assert_int_not_equal(target(s, "192.0.2.77")->number, 0);
}

static void a_cover_that_stays_keeps_its_numbers(void **state)
{
	struct scene *s = *state;
	struct levee_nacl_plan before;

	add_net_and_others(s);
	set_cover(s);
	make_with_good(s, NULL, 0, true);
	put_in_place(s);
	before = s->plan;
	s->plan = (struct levee_nacl_plan){ 0 };
	make_with_good(s, NULL, 0, true);
	assert_int_equal(s->plan.n_rules, before.n_rules);
	for (size_t i = 0; i < before.n_rules; i++)
		assert_true(levee_nacl_equal(&before.rules[i], &s->plan.rules[i]));
	levee_nacl_plan_free(&before);
}

static void what_a_masked_group_costs_is_said_too(void **state)
{
	struct scene *s = *state;
	const struct levee_cover_source good[] = { { prefix("203.0.113.9"), 500 } };

	add_source(s, "203.0.113.5", 5);
	s->params.mask4 = 24;
	make_with_good(s, good, 1, true);
	assert_int_equal(target(s, "203.0.113.0/24")->good_packets, 500);
	assert_int_equal(s->plan.good_packets, 500);
	assert_false(s->plan.exact);
}

/* ---- made-up addresses ------------------------------------------------------------------------ */

static void add_spoofable(struct scene *s, const char *text, double zscore)
{
	add_source(s, text, zscore);
	s->sources[s->n_sources - 1].spoofable = true;
}

static void a_spoofed_flood_gets_what_the_others_leave_over(void **state)
{
	struct scene *s = *state;
	char text[32];

	for (int i = 0; i < 40; i++) {
		snprintf(text, sizeof(text), "198.51.100.%d", i);
		add_spoofable(s, text, 50 + i);
	}
	for (int i = 0; i < 5; i++) {
		snprintf(text, sizeof(text), "203.0.113.%d", i);
		add_source(s, text, 4);
	}
	make(s); /* by Z-score alone nobody else would have a rule */
	assert_int_equal(target(s, "203.0.113.0")->number, 0);
	assert_int_equal(s->plan.spoofable_rules, 18);
	s->params.spoofable_last = true;
	for (int cover = 0; cover <= 1; cover++) {
		s->params.strategy = cover ? LEVEE_NACL_COVER : LEVEE_NACL_MASK;
		make(s);
		assert_int_equal(s->plan.n_rules, 18);
		assert_int_equal(s->plan.spoofable_rules, 13);
		for (int i = 0; i < 5; i++) {
			snprintf(text, sizeof(text), "203.0.113.%d", i);
			assert_int_not_equal(target(s, text)->number, 0);
			assert_false(target(s, text)->spoofable);
		}
		assert_int_equal(target(s, "198.51.100.0")->fit, LEVEE_NACL_BUDGET_OUT);
		assert_true(target(s, "198.51.100.39")->spoofable);
		assert_int_not_equal(target(s, "198.51.100.39")->number, 0);
	}
}

static void made_up_neighbours_do_not_raise_a_group(void **state)
{
	struct scene *s = *state;

	s->params.spoofable_last = true;
	s->params.mask4 = 24;
	s->params.budget = 3; /* room for one beside the operator's rule and the default */
	add_source(s, "203.0.113.5", 5);
	add_source(s, "192.0.2.5", 4);
	add_spoofable(s, "192.0.2.6", 99);
	make(s);
	assert_int_not_equal(target(s, "203.0.113.0/24")->number, 0);
	assert_int_equal(target(s, "192.0.2.0/24")->number, 0);
	assert_true(target(s, "192.0.2.0/24")->max_zscore > 98);
	assert_false(target(s, "192.0.2.0/24")->spoofable);
}

static struct levee_cover_source *random_good(size_t *n)
{
	struct levee_cover_source *good = calloc(32, sizeof(*good));

	assert_non_null(good);
	*n = roll(32);
	for (size_t i = 0; i < *n; i++)
		good[i] = (struct levee_cover_source){ random_prefix(true), roll(300) };
	return good;
}

/* The first `n` sources of the scene; the others are not there. */
static void plan_of(struct scene *s, size_t n, const struct levee_cover_source *good, size_t n_good,
		    bool known)
{
	size_t all = s->n_sources;

	s->n_sources = n;
	make_with_good(s, good, n_good, known);
	s->n_sources = all;
}

static size_t put_spoofable_last(struct scene *s)
{
	size_t firm = s->n_sources ? roll((uint32_t)s->n_sources + 1) : 0;

	for (size_t i = firm; i < s->n_sources; i++) {
		s->sources[i].spoofable = true;
		s->sources[i].max_zscore += roll(2) * 20;
	}
	return firm;
}

/*
 * Whoever is not spoofable has the rules that he would have without any spoofed flood, under the
 * same numbers, whatever stands already; the budget and what good sources may lose hold for all.
 */
static void nobody_has_another_rule_because_of_made_up_addresses(void **state)
{
	struct scene *s = *state;
	struct levee_nacl_entry firm_rules[2 * LEVEE_NACL_BUDGET_MAX];
	struct levee_cover_source *good;
	size_t n_good, firm, n_firm, n, with = 0;
	bool known;

	rng = 20240617;
	print_message("seed %" PRIu64 "\n", rng);
	for (int i = 0; i < 6000; i++) {
		random_scene(s, roll(2));
		good = random_good(&n_good);
		known = roll(3);
		s->params.strategy = roll(2) ? LEVEE_NACL_COVER : LEVEE_NACL_MASK;
		s->params.max_collateral = roll(2) ? 0 : roll(1000);
		plan_of(s, s->n_sources, good, n_good, known);
		put_in_place(s);
		firm = put_spoofable_last(s);
		s->params.spoofable_last = true;

		plan_of(s, firm, good, n_good, known);
		n_firm = s->plan.n_rules;
		memcpy(firm_rules, s->plan.rules, n_firm * sizeof(*firm_rules));
		plan_of(s, s->n_sources, good, n_good, known);

		check_budget(s);
		n = 0;
		for (size_t j = 0; j < s->plan.n_targets; j++)
			if (s->plan.targets[j].number && !s->plan.targets[j].spoofable) {
				assert_true(n < n_firm);
				assert_int_equal(firm_rules[n].number, s->plan.targets[j].number);
				assert_false(levee_prefix_compare(&firm_rules[n].cidr,
								  &s->plan.targets[j].prefix));
				n++;
			}
		assert_int_equal(n, n_firm);
		assert_int_equal(s->plan.n_rules, n_firm + s->plan.spoofable_rules);
		if (s->params.strategy == LEVEE_NACL_COVER)
			assert_true(s->plan.good_packets <= s->params.max_collateral);
		with += s->plan.spoofable_rules > 0;
		free(good);
	}
	assert_true(with > 1000); /* and what is left over is used */
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(cover_blocks_a_net_and_the_heaviest_source_beside_it),
		TEST(cover_touches_no_good_source_unless_it_is_told_to),
		TEST(cover_keeps_off_the_allow_list),
		TEST(without_knowing_the_good_ones_rules_are_single_sources),
		TEST(an_operators_block_comes_first_in_a_cover_too),
		TEST(a_cover_that_stays_keeps_its_numbers),
		TEST(what_a_masked_group_costs_is_said_too),
		TEST(a_spoofed_flood_gets_what_the_others_leave_over),
		TEST(made_up_neighbours_do_not_raise_a_group),
		TEST(nobody_has_another_rule_because_of_made_up_addresses),
		TEST(of_twenty_sources_eighteen_have_a_rule_and_two_are_local_only),
		TEST(families_have_a_budget_each_unless_they_share_one),
		TEST(the_operators_rules_take_from_the_budget),
		TEST(a_group_carries_its_highest_z_and_largest_packets),
		TEST(a_group_that_touches_the_allow_list_is_split),
		TEST(a_block_around_an_allowed_address_has_no_rule),
		TEST(a_source_inside_a_blocked_prefix_needs_no_rule_of_its_own),
		TEST(an_operators_block_comes_first),
		TEST(what_stays_keeps_its_number_and_what_goes_leaves_a_gap),
		TEST(a_newcomer_takes_the_number_of_a_rule_that_leaves),
		TEST(the_number_of_an_operators_rule_in_the_range_is_not_used),
		TEST(where_numbers_are_short_the_highest_z_wins_over_what_stands),
		TEST(a_deny_stands_before_every_allow_of_its_addresses),
		TEST(a_range_behind_the_operators_allow_has_no_rules),
		TEST(an_audit_rule_never_opens_what_the_operator_closed),
		TEST(parameters_out_of_range_are_refused),
		TEST(a_long_allow_list_and_many_blocks_are_planned_in_no_time),
		TEST(every_plan_of_a_random_world_keeps_the_promises),
		TEST(what_has_not_changed_is_planned_again_in_any_order),
		TEST(one_source_more_is_at_most_one_new_rule),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
