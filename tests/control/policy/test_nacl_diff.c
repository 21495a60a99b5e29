/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The reconcile against a model of EC2's network ACLs: quota, unique numbers, first match wins,
 * association ids that change with every switch, reads of which each part may be up to two minutes
 * old, calls that fail before or after their effect, and a process that dies anywhere.
 */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "control/policy/nacl_diff.h"
#include "control/policy/nacl_plan.h"

#define MOST_ACLS      5
#define MOST_ENTRIES   64
#define MOST_SUBNETS   4
#define MOST_STATES    256
#define MOST_SOURCES   40
#define MOST_RECENT    1024
#define MOST_SETS      128
#define SETTLE_MS      (LEVEE_NACL_SETTLE_S * 1000)
#define PATIENCE_STEPS 3000

enum { BLUE, GREEN, FIRST, SECOND, THIRD };

static uint64_t rng;

static uint32_t roll(uint32_t n)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return (uint32_t)((rng >> 11) % n);
}

/* EC2. */

struct cloud_acl {
	bool marked;
	struct levee_nacl_mark mark;
	struct levee_nacl_entry entries[MOST_ENTRIES];
	size_t n_entries;
};

struct cloud_subnet {
	int acl;
	unsigned int association;
};

struct cloud_state {
	uint64_t since_ms;
	struct cloud_acl acls[MOST_ACLS];
	struct cloud_subnet subnets[MOST_SUBNETS];
};

enum answer {
	OK,
	EXISTS,
	NOT_FOUND,
	QUOTA,
};

struct cloud {
	uint64_t now_ms;
	bool stale;    /* reads may be old */
	bool pedantic; /* an identical rule exists already, too */
	unsigned int next_association;
	size_t n_subnets;
	struct cloud_state states[MOST_STATES]; /* a ring of the latest */
	size_t n_states;
	/* operator's rules of the ACL that each subnet was on at the start */
	struct levee_nacl_entry operators[MOST_SUBNETS][MOST_ENTRIES];
	size_t n_operators[MOST_SUBNETS];
	size_t writes, switches;
};

static const char *const acl_ids[MOST_ACLS] = { "acl-blue", "acl-green", "acl-first", "acl-second",
						"acl-third" };
static const char subnet_ids[MOST_SUBNETS][LEVEE_NACL_ID] = { "subnet-0", "subnet-1", "subnet-2",
							      "subnet-3" };

static struct cloud_state *truth(struct cloud *c)
{
	return &c->states[(c->n_states - 1) % MOST_STATES];
}

/* A new state, in which the caller changes something. */
static struct cloud_state *change(struct cloud *c)
{
	struct cloud_state *next = &c->states[c->n_states % MOST_STATES];

	*next = *truth(c);
	next->since_ms = c->now_ms;
	c->n_states++;
	return next;
}

static struct levee_nacl_entry *find_entry(struct cloud_acl *acl, uint16_t number, bool egress)
{
	for (size_t i = 0; i < acl->n_entries; i++)
		if (acl->entries[i].number == number && acl->entries[i].egress == egress)
			return &acl->entries[i];
	return NULL;
}

static int acl_index(const char *id)
{
	for (int i = 0; i < MOST_ACLS; i++)
		if (!strcmp(acl_ids[i], id))
			return i;
	fail_msg("no ACL %s", id);
	return -1;
}

static bool is_over_quota(const struct cloud_acl *acl)
{
	unsigned int n[2][2] = { { 1, 1 }, { 1, 1 } };

	for (size_t i = 0; i < acl->n_entries; i++)
		n[acl->entries[i].egress][acl->entries[i].cidr.family == 6]++;
	return n[0][0] > 20 || n[0][1] > 20 || n[1][0] > 20 || n[1][1] > 20;
}

static enum answer create(struct cloud *c, int acl, const struct levee_nacl_entry *entry)
{
	const struct levee_nacl_entry *there = find_entry(&truth(c)->acls[acl], entry->number,
							  entry->egress);
	struct cloud_acl *next;

	if (there)
		return !c->pedantic && levee_nacl_equal(there, entry) ? OK : EXISTS;
	next = &change(c)->acls[acl];
	assert_true(next->n_entries < MOST_ENTRIES);
	next->entries[next->n_entries++] = *entry;
	return is_over_quota(next) ? QUOTA : OK;
}

static enum answer replace(struct cloud *c, int acl, const struct levee_nacl_entry *entry)
{
	struct levee_nacl_entry *there;

	if (!find_entry(&truth(c)->acls[acl], entry->number, entry->egress))
		return NOT_FOUND;
	there = find_entry(&change(c)->acls[acl], entry->number, entry->egress);
	*there = *entry;
	return is_over_quota(&truth(c)->acls[acl]) ? QUOTA : OK;
}

static enum answer drop(struct cloud *c, int acl, const struct levee_nacl_entry *entry)
{
	struct levee_nacl_entry *there;
	struct cloud_acl *next;

	if (!find_entry(&truth(c)->acls[acl], entry->number, entry->egress))
		return NOT_FOUND;
	next = &change(c)->acls[acl];
	there = find_entry(next, entry->number, entry->egress);
	*there = next->entries[--next->n_entries];
	return OK;
}

static enum answer put_on(struct cloud *c, const char *association, int acl)
{
	char id[LEVEE_NACL_ID];

	for (size_t i = 0; i < c->n_subnets; i++) {
		snprintf(id, sizeof(id), "aclassoc-%u", truth(c)->subnets[i].association);
		if (strcmp(id, association))
			continue;
		change(c)->subnets[i] = (struct cloud_subnet){ acl, c->next_association++ };
		c->switches++;
		return OK;
	}
	return NOT_FOUND;
}

static enum answer mark(struct cloud *c, int acl, const struct levee_nacl_mark *what)
{
	struct cloud_acl *next = &change(c)->acls[acl];

	next->marked = true;
	next->mark = *what;
	return OK;
}

static enum answer call(struct cloud *c, const struct levee_nacl_step *step)
{
	int acl = acl_index(step->acl);

	c->writes++;
	/* never another's ACL */
	assert_true(acl == BLUE || acl == GREEN);
	switch (step->type) {
	case LEVEE_NACL_STEP_MARK:
		return mark(c, acl, &step->mark);
	case LEVEE_NACL_STEP_CREATE:
		return create(c, acl, &step->entry);
	case LEVEE_NACL_STEP_REPLACE:
		return replace(c, acl, &step->entry);
	case LEVEE_NACL_STEP_DELETE:
		return drop(c, acl, &step->entry);
	case LEVEE_NACL_STEP_SWITCH:
		return put_on(c, step->association, acl);
	default:
		fail_msg("step %d does not write", step->type);
		return OK;
	}
}

/* What DescribeNetworkAcls answers. */
struct view {
	uint64_t read_ms;
	struct levee_nacl acls[MOST_ACLS];
	struct levee_nacl_entry entries[MOST_ACLS][MOST_ENTRIES + 2];
	struct levee_nacl_association associations[MOST_ACLS][MOST_SUBNETS];
};

/* Some state that held within the last two minutes. */
static const struct cloud_state *visible(struct cloud *c)
{
	size_t oldest = c->n_states - 1,
	       kept = c->n_states > MOST_STATES ? MOST_STATES : c->n_states;

	while (c->stale && oldest > c->n_states - kept &&
	       c->states[oldest % MOST_STATES].since_ms + SETTLE_MS > c->now_ms)
		oldest--;
	return &c->states[(oldest + roll((uint32_t)(c->n_states - oldest))) % MOST_STATES];
}

static void see_associations(struct cloud *c, struct view *view, int acl)
{
	const struct cloud_state *state = visible(c);
	struct levee_nacl *to = &view->acls[acl];

	to->associations = view->associations[acl];
	for (size_t i = 0; i < c->n_subnets; i++) {
		struct levee_nacl_association *one = &view->associations[acl][to->n_associations];

		if (state->subnets[i].acl != acl)
			continue;
		snprintf(one->id, sizeof(one->id), "aclassoc-%u", state->subnets[i].association);
		memcpy(one->subnet, subnet_ids[i], sizeof(one->subnet));
		to->n_associations++;
	}
}

static void see_entries(struct cloud *c, struct view *view, int acl)
{
	const struct cloud_acl *from = &visible(c)->acls[acl];
	struct levee_nacl_entry *to = view->entries[acl];
	size_t n = from->n_entries;

	memcpy(to, from->entries, n * sizeof(*to));
	to[n] = (struct levee_nacl_entry){ .number = 32767, .protocol = LEVEE_NACL_ALL };
	to[n].cidr.family = 4;
	to[n + 1] = (struct levee_nacl_entry){ .number = 32768, .protocol = LEVEE_NACL_ALL };
	to[n + 1].cidr.family = 6;
	view->acls[acl].entries = to;
	view->acls[acl].n_entries = n + 2;
}

static void describe(struct cloud *c, struct view *view)
{
	memset(view, 0, sizeof(*view));
	view->read_ms = c->now_ms;
	for (int i = 0; i < MOST_ACLS; i++) {
		const struct cloud_acl *tags = &visible(c)->acls[i];

		levee_nacl_put_id(view->acls[i].id, acl_ids[i]);
		levee_nacl_put_id(view->acls[i].vpc, "vpc-1");
		view->acls[i].marked = tags->marked;
		view->acls[i].mark = tags->mark;
		see_entries(c, view, i);
		see_associations(c, view, i);
	}
	c->now_ms += 100;
}

/* The caller, as control/aws/ will be one. */

enum fault {
	NO_FAULT,
	THROTTLED,   /* refused, and told so */
	LOST_BEFORE, /* no answer, no effect */
	LOST_AFTER,  /* no answer, but the effect */
	DIES_BEFORE,
	DIES_AFTER,
	FAULTS,
};

struct memory {
	uint64_t at_ms[MOST_RECENT]; /* when it was answered */
	struct levee_nacl_write writes[MOST_RECENT];
	size_t n;
};

/* A set of Levee's rules that was wanted at some time. */
struct set {
	struct levee_nacl_entry rules[2 * LEVEE_NACL_BUDGET_MAX];
	size_t n;
};

struct agent {
	struct cloud cloud;
	struct levee_nacl_setup setup;
	struct levee_nacl_params params;
	struct levee_nacl_source sources[MOST_SOURCES];
	size_t n_sources;
	struct view view;
	struct memory memory;
	uint64_t started_ms;
	bool journal;	     /* its memory survives its death */
	bool lazy;	     /* reads only when told to */
	bool replans;	     /* at every step, not once a push */
	size_t fail_at;	     /* this call, counted from 1; 0: none */
	uint32_t fail_often; /* one call in so many; 0: none */
	enum fault fault;
	size_t calls;
	struct set sets[MOST_SETS];
	size_t n_sets;
	struct levee_nacl_plan plan;
	struct levee_nacl_step last;
};

static bool same_rules(const struct set *set, const struct cloud_acl *acl)
{
	size_t n = 0;

	for (size_t i = 0; i < acl->n_entries; i++) {
		bool wanted = false;

		if (!acl->marked || !levee_nacl_mark_claims(&acl->mark, &acl->entries[i]))
			continue;
		for (size_t j = 0; j < set->n; j++)
			wanted |= levee_nacl_equal(&set->rules[j], &acl->entries[i]);
		if (!wanted)
			return false;
		n++;
	}
	return n == set->n;
}

static void check_operators(struct agent *a, size_t subnet)
{
	struct cloud *c = &a->cloud;
	struct cloud_acl *acl = &truth(c)->acls[truth(c)->subnets[subnet].acl];

	for (size_t i = 0; i < c->n_operators[subnet]; i++) {
		const struct levee_nacl_entry *own = &c->operators[subnet][i], *there;

		there = find_entry(acl, own->number, own->egress);
		assert_non_null(there);
		assert_true(levee_nacl_equal(own, there));
	}
}

static void check_set(struct agent *a, size_t subnet)
{
	int acl = truth(&a->cloud)->subnets[subnet].acl;

	if (acl != BLUE && acl != GREEN)
		return;
	for (size_t i = a->n_sets; i-- > 0;)
		if (same_rules(&a->sets[i], &truth(&a->cloud)->acls[acl]))
			return;
	fail_msg("%s is on %s, which holds no set of rules that was ever wanted",
		 subnet_ids[subnet], acl_ids[acl]);
}

/* What must hold at every instant. */
static void check_instant(struct agent *a)
{
	for (size_t i = 0; i < a->cloud.n_subnets; i++) {
		check_operators(a, i);
		check_set(a, i);
	}
}

static void remember_set(struct agent *a, const struct levee_nacl_entry *rules, size_t n)
{
	struct set *set = &a->sets[a->n_sets];

	if (a->n_sets && a->sets[a->n_sets - 1].n == n &&
	    (!n || !memcmp(a->sets[a->n_sets - 1].rules, rules, n * sizeof(*rules))))
		return;
	assert_true(a->n_sets < MOST_SETS);
	if (n)
		memcpy(set->rules, rules, n * sizeof(*rules));
	set->n = n;
	a->n_sets++;
}

static struct levee_nacl_world world_of(struct agent *a)
{
	struct memory *m = &a->memory;
	size_t old = 0;

	/* what any read that began with this one shows */
	while (old < m->n && m->at_ms[old] + SETTLE_MS <= a->view.read_ms)
		old++;
	m->n -= old;
	memmove(m->at_ms, m->at_ms + old, m->n * sizeof(*m->at_ms));
	memmove(m->writes, m->writes + old, m->n * sizeof(*m->writes));
	return (struct levee_nacl_world){
		.acls = a->view.acls,
		.n_acls = MOST_ACLS,
		.recent = m->writes,
		.n_recent = m->n,
		.quiet = a->journal || a->view.read_ms >= a->started_ms + SETTLE_MS,
	};
}

static void make_plan(struct agent *a, const struct levee_nacl_survey *survey)
{
	struct levee_nacl_plan_input input = {
		.sources = a->sources,
		.n_sources = a->n_sources,
		.operators = survey->operators,
		.n_operators = survey->n_operators,
		.in_place = survey->in_place,
		.n_in_place = survey->n_in_place,
	};

	levee_nacl_plan_free(&a->plan);
	assert_int_equal(levee_nacl_plan_make(&a->plan, &a->params, &input), 0);
}

static void ask(struct agent *a, struct levee_nacl_step *step)
{
	struct levee_nacl_world world = world_of(a);
	struct levee_nacl_survey survey;

	assert_int_equal(levee_nacl_survey_make(&survey, &a->setup, &world), 0);
	if (survey.step.type == LEVEE_NACL_STEP_CONVERGED && (a->replans || !a->plan.rules))
		make_plan(a, &survey);
	levee_nacl_next(&survey, a->plan.rules, a->plan.n_rules, step);
	if (step->why == LEVEE_NACL_OLD_PLAN) {
		make_plan(a, &survey);
		levee_nacl_next(&survey, a->plan.rules, a->plan.n_rules, step);
	}
	if (a->plan.rules)
		remember_set(a, a->plan.rules, a->plan.n_rules);
	levee_nacl_survey_free(&survey);
}

static void note(struct agent *a, const struct levee_nacl_step *step)
{
	struct memory *m = &a->memory;

	assert_true(m->n < MOST_RECENT);
	m->at_ms[m->n] = a->cloud.now_ms;
	m->writes[m->n].step = *step;
	m->writes[m->n].outcome = LEVEE_NACL_UNSURE;
	m->n++;
}

static void die(struct agent *a)
{
	if (!a->journal)
		a->memory.n = 0;
	a->started_ms = a->cloud.now_ms;
	levee_nacl_plan_free(&a->plan);
	describe(&a->cloud, &a->view);
}

static enum fault choose_fault(struct agent *a)
{
	a->calls++;
	if (a->fail_often && !roll(a->fail_often))
		return (enum fault)(1 + roll(FAULTS - 1));
	return a->calls == a->fail_at ? a->fault : NO_FAULT;
}

static void hear(struct agent *a, const struct levee_nacl_step *step, enum answer answer)
{
	struct levee_nacl_write *write = &a->memory.writes[a->memory.n - 1];

	assert_int_not_equal(answer, QUOTA);
	if (answer == OK || step->type == LEVEE_NACL_STEP_DELETE)
		write->outcome = LEVEE_NACL_DONE;
	else
		write->outcome = LEVEE_NACL_REFUSED;
}

static void perform(struct agent *a, const struct levee_nacl_step *step)
{
	enum fault fault = choose_fault(a);

	assert_true(step->writes);
	note(a, step);
	a->cloud.now_ms += 150 + roll(100);
	if (fault == NO_FAULT || fault == LOST_AFTER || fault == DIES_AFTER) {
		enum answer answer = call(&a->cloud, step);

		check_instant(a);
		if (fault == NO_FAULT)
			hear(a, step, answer);
	}
	if (a->memory.n)
		a->memory.at_ms[a->memory.n - 1] = a->cloud.now_ms;
	if (fault == THROTTLED)
		a->memory.n--;
	if (fault == DIES_BEFORE || fault == DIES_AFTER)
		die(a);
	else if (!a->lazy)
		describe(&a->cloud, &a->view);
}

static void wait_and_read(struct agent *a)
{
	a->cloud.now_ms += 5000 + roll(20000);
	describe(&a->cloud, &a->view);
}

/* Until it has converged, or stops. */
static void push(struct agent *a)
{
	struct levee_nacl_step *step = &a->last;

	levee_nacl_plan_free(&a->plan);
	describe(&a->cloud, &a->view);
	for (int i = 0; i < PATIENCE_STEPS; i++) {
		ask(a, step);
		if (step->type == LEVEE_NACL_STEP_CONVERGED || step->type == LEVEE_NACL_STEP_STOP)
			return;
		if (step->writes)
			perform(a, step);
		else
			wait_and_read(a);
	}
	fail_msg("not converged after %d steps: last %d, why %s", PATIENCE_STEPS, step->type,
		 levee_nacl_why_text(step->why));
}

static bool is_denied(const struct cloud_acl *acl, const struct levee_prefix *source)
{
	const struct levee_nacl_entry *first = NULL;

	for (size_t i = 0; i < acl->n_entries; i++) {
		const struct levee_nacl_entry *entry = &acl->entries[i];

		if (!entry->egress && entry->protocol == LEVEE_NACL_ALL &&
		    levee_prefix_covers(&entry->cidr, source) &&
		    (!first || entry->number < first->number))
			first = entry;
	}
	return !first || first->action == LEVEE_NACL_DENY;
}

/* What must hold when it has converged. */
static void check_converged(struct agent *a)
{
	const struct cloud_state *now = truth(&a->cloud);
	struct set wanted = { .n = a->plan.n_rules };

	if (a->last.type != LEVEE_NACL_STEP_CONVERGED)
		fail_msg("%s: %s %s %s %u", levee_nacl_why_text(a->last.why), a->last.acl,
			 a->last.other_acl, a->last.subnet, a->last.entry.number);
	memcpy(wanted.rules, a->plan.rules, wanted.n * sizeof(*wanted.rules));
	check_instant(a);
	for (size_t i = 0; i < a->cloud.n_subnets; i++) {
		int acl = now->subnets[i].acl;

		assert_true(acl == BLUE || acl == GREEN);
		assert_int_equal(acl, now->subnets[0].acl);
		assert_true(same_rules(&wanted, &now->acls[acl]));
		for (size_t j = 0; j < a->plan.n_targets; j++)
			assert_int_equal(is_denied(&now->acls[acl], &a->plan.targets[j].prefix),
					 a->plan.targets[j].number != 0);
	}
}

/* Scenes. */

static struct levee_nacl_entry rule(int number, const char *cidr, enum levee_nacl_action action)
{
	struct levee_nacl_entry entry = {
		.number = (uint16_t)number,
		.action = action,
		.protocol = LEVEE_NACL_ALL,
	};

	assert_int_equal(levee_prefix_parse(&entry.cidr, cidr, strlen(cidr), NULL), 0);
	return entry;
}

static void add_rule(struct agent *a, int acl, struct levee_nacl_entry entry)
{
	struct cloud_acl *to = &truth(&a->cloud)->acls[acl];

	to->entries[to->n_entries++] = entry;
}

static void add_egress(struct agent *a, int acl, struct levee_nacl_entry entry)
{
	entry.egress = true;
	add_rule(a, acl, entry);
}

static void add_usual_rules(struct agent *a, int acl)
{
	add_rule(a, acl, rule(100, "0.0.0.0/0", LEVEE_NACL_ALLOW));
	add_rule(a, acl, rule(101, "::/0", LEVEE_NACL_ALLOW));
	add_egress(a, acl, rule(100, "0.0.0.0/0", LEVEE_NACL_ALLOW));
	add_egress(a, acl, rule(101, "::/0", LEVEE_NACL_ALLOW));
	/* an early one, that looks like Levee's */
	add_rule(a, acl, rule(5, "192.0.2.0/24", LEVEE_NACL_DENY));
	/* and one for a single port, which cannot */
	add_rule(a, acl, rule(7, "203.0.113.0/24", LEVEE_NACL_DENY));
	truth(&a->cloud)->acls[acl].entries[5].protocol = 6;
	truth(&a->cloud)->acls[acl].entries[5].port_first = 22;
	truth(&a->cloud)->acls[acl].entries[5].port_last = 22;
}

static void put_subnets(struct agent *a, size_t n, const int *acls)
{
	a->cloud.n_subnets = n;
	a->setup.n_subnets = n;
	for (size_t i = 0; i < n; i++) {
		truth(&a->cloud)->subnets[i].acl = acls[i];
		truth(&a->cloud)->subnets[i].association = a->cloud.next_association++;
	}
}

/* What the ACLs that are in force hold now is the operator's. */
static void take_operators(struct agent *a)
{
	for (size_t i = 0; i < a->cloud.n_subnets; i++) {
		const struct cloud_acl *acl =
			&truth(&a->cloud)->acls[truth(&a->cloud)->subnets[i].acl];

		memcpy(a->cloud.operators[i], acl->entries, sizeof(acl->entries));
		a->cloud.n_operators[i] = acl->n_entries;
	}
}

static void add_source(struct agent *a, uint32_t number, bool v6)
{
	struct levee_nacl_source *source = &a->sources[a->n_sources++];

	assert_true(a->n_sources <= MOST_SOURCES);
	*source = (struct levee_nacl_source){ .max_zscore = 3 + roll(50), .max_packets = 20000 };
	source->prefix.family = v6 ? 6 : 4;
	source->prefix.length = v6 ? 64 : 32;
	source->prefix.hi = v6 ? 0x20010db800000000ULL + number : 0xc6336400ULL + number;
}

static struct agent *new_agent(uint64_t seed)
{
	static const int on_first[2] = { FIRST, FIRST };
	struct agent *a = calloc(1, sizeof(*a));

	assert_non_null(a);
	rng = seed * 0x9e3779b97f4a7c15ULL | 1;
	a->cloud.n_states = 1;
	a->cloud.now_ms = 1000000;
	a->cloud.next_association = 1;
	a->cloud.stale = true;
	levee_nacl_put_id(a->setup.blue, acl_ids[BLUE]);
	levee_nacl_put_id(a->setup.green, acl_ids[GREEN]);
	a->setup.subnets = subnet_ids;
	a->setup.range = (struct levee_nacl_range){ LEVEE_NACL_FIRST, LEVEE_NACL_LAST };
	a->params = (struct levee_nacl_params){
		.budget = LEVEE_NACL_BUDGET,
		.mask4 = LEVEE_NACL_MASK4,
		.mask6 = LEVEE_NACL_MASK6,
		.action = LEVEE_NACL_DENY,
		.range = a->setup.range,
	};
	add_usual_rules(a, FIRST);
	put_subnets(a, 2, on_first);
	take_operators(a);
	return a;
}

static void free_agent(struct agent *a)
{
	levee_nacl_plan_free(&a->plan);
	free(a);
}

static void age(struct agent *a)
{
	a->cloud.now_ms += 2 * SETTLE_MS;
}

/* Converge, and then count the calls from here on. */
static void settle(struct agent *a)
{
	push(a);
	check_converged(a);
	age(a);
	a->cloud.writes = a->cloud.switches = 0;
}

static void the_first_push_protects_every_subnet(void **state)
{
	struct agent *a = new_agent(1);

	(void)state;
	for (uint32_t i = 0; i < 20; i++)
		add_source(a, i, false);
	push(a);
	check_converged(a);
	assert_int_equal(a->plan.n_rules, 16); /* 20, less the default and three rules */
	assert_int_equal(a->plan.unblocked_sources, 4);
	assert_int_equal(a->cloud.switches, 2);
	/* mark, the rules, the switches: nothing twice */
	assert_int_equal(a->cloud.writes, 1 + 6 + 16 + 2);
	free_agent(a);
}

static void nothing_changed_is_no_writing_call(void **state)
{
	struct agent *a = new_agent(2);

	(void)state;
	for (uint32_t i = 0; i < 20; i++)
		add_source(a, i, false);
	settle(a);
	for (int i = 0; i < 10; i++)
		push(a);
	check_converged(a);
	assert_int_equal(a->cloud.writes, 0);
	/* nor after a restart */
	die(a);
	push(a);
	check_converged(a);
	assert_int_equal(a->cloud.writes, 0);
	free_agent(a);
}

static void one_source_more_or_fewer_is_one_call_and_no_switch(void **state)
{
	struct agent *a = new_agent(3);

	(void)state;
	add_source(a, 0, false);
	settle(a);
	for (uint32_t i = 1; i < 16; i++) {
		add_source(a, i, false);
		push(a);
		check_converged(a);
		assert_int_equal(a->cloud.writes, i);
	}
	for (int i = 1; i < 16; i++) {
		a->n_sources--;
		push(a);
		check_converged(a);
		assert_int_equal(a->cloud.writes, 15 + i);
	}
	assert_int_equal(a->cloud.switches, 0);
	free_agent(a);
}

static void a_source_in_the_place_of_another_is_one_call(void **state)
{
	struct agent *a = new_agent(4);

	(void)state;
	for (uint32_t i = 0; i < 17; i++)
		add_source(a, i, false);
	settle(a);
	add_source(a, 99, false);
	a->sources[17].max_zscore = 1000;
	push(a);
	check_converged(a);
	assert_int_equal(a->cloud.writes, 1);
	free_agent(a);
}

static void a_larger_change_goes_to_the_idle_acl_and_then_every_subnet(void **state)
{
	struct agent *a = new_agent(5);
	int before;

	(void)state;
	add_source(a, 0, false);
	settle(a);
	before = truth(&a->cloud)->subnets[0].acl;
	add_source(a, 1, false);
	add_source(a, 2, true);
	push(a);
	check_converged(a);
	assert_int_not_equal(truth(&a->cloud)->subnets[0].acl, before);
	assert_int_equal(a->cloud.switches, 2);
	assert_int_equal(a->cloud.writes, 1 + 6 + 3 + 2);
	/* and back: what the other one missed, what is new, and the switch */
	age(a);
	a->cloud.writes = 0;
	add_source(a, 3, false);
	add_source(a, 4, false);
	push(a);
	check_converged(a);
	assert_int_equal(truth(&a->cloud)->subnets[0].acl, before);
	assert_int_equal(a->cloud.writes, 2 + 2 + 2);
	free_agent(a);
}

static void two_subnets_on_different_acls_both_end_protected(void **state)
{
	static const int acls[3] = { FIRST, SECOND, FIRST };
	struct levee_nacl_entry extra = rule(110, "0.0.0.0/0", LEVEE_NACL_ALLOW);
	struct agent *a = new_agent(6);

	(void)state;
	add_usual_rules(a, SECOND);
	extra.protocol = 6; /* behind the allow of all: without effect, so it can be carried */
	extra.port_first = extra.port_last = 443;
	add_rule(a, SECOND, extra);
	put_subnets(a, 3, acls);
	take_operators(a);
	for (uint32_t i = 0; i < 5; i++)
		add_source(a, i, i == 3);
	push(a);
	check_converged(a);
	assert_int_equal(a->cloud.switches, 3);
	free_agent(a);
}

static void acls_that_would_mean_something_else_are_not_merged_unasked(void **state)
{
	static const int acls[2] = { FIRST, SECOND };
	struct agent *a = new_agent(7);

	(void)state;
	add_usual_rules(a, SECOND);
	add_rule(a, SECOND, rule(50, "198.51.100.128/25", LEVEE_NACL_DENY));
	put_subnets(a, 2, acls);
	take_operators(a);
	age(a);
	push(a);
	assert_int_equal(a->last.type, LEVEE_NACL_STEP_STOP);
	assert_int_equal(a->last.why, LEVEE_NACL_OTHER_MEANING);
	assert_string_equal(a->last.acl, "acl-first");
	assert_string_equal(a->last.other_acl, "acl-second");
	assert_int_equal(a->last.entry.number, 50);
	assert_int_equal(a->cloud.writes, 0);
	a->setup.merge = true;
	push(a);
	check_converged(a);
	free_agent(a);
}

static void a_subnet_that_was_put_on_another_acl_comes_back(void **state)
{
	struct agent *a = new_agent(8);

	(void)state;
	for (uint32_t i = 0; i < 5; i++)
		add_source(a, i, false);
	settle(a);
	change(&a->cloud)->subnets[1] = (struct cloud_subnet){ FIRST, a->cloud.next_association++ };
	age(a);
	push(a);
	check_converged(a);
	assert_int_equal(a->cloud.writes, 1);
	assert_int_equal(a->cloud.switches, 1);
	free_agent(a);
}

static void rules_that_somebody_took_out_are_put_back(void **state)
{
	struct agent *a = new_agent(9);
	struct cloud_acl *acl;

	(void)state;
	for (uint32_t i = 0; i < 8; i++)
		add_source(a, i, false);
	settle(a);
	acl = &truth(&a->cloud)->acls[truth(&a->cloud)->subnets[0].acl];
	assert_true(levee_nacl_mark_claims(&acl->mark, &acl->entries[acl->n_entries - 1]));
	acl->n_entries--;
	remember_set(a, a->plan.rules, 7);
	push(a);
	check_converged(a);
	assert_int_equal(a->cloud.writes, 1);
	free_agent(a);
}

static void a_rule_that_the_operator_adds_is_carried_to_the_other_acl(void **state)
{
	struct agent *a = new_agent(10);
	int active;

	(void)state;
	add_source(a, 0, false);
	settle(a);
	active = truth(&a->cloud)->subnets[0].acl;
	add_rule(a, active, rule(90, "198.51.100.240/28", LEVEE_NACL_DENY));
	truth(&a->cloud)
		->acls[active]
		.entries[truth(&a->cloud)->acls[active].n_entries - 1]
		.protocol = 17;
	push(a);
	check_converged(a);
	assert_int_equal(a->cloud.writes, 0);
	for (size_t i = 0; i < 2; i++)
		a->cloud.operators[i][a->cloud.n_operators[i]++] =
			*find_entry(&truth(&a->cloud)->acls[active], 90, false);
	add_source(a, 1, false);
	add_source(a, 2, false);
	push(a);
	check_converged(a);
	assert_int_not_equal(truth(&a->cloud)->subnets[0].acl, active);
	free_agent(a);
}

static void from_deny_to_audit_and_back(void **state)
{
	struct agent *a = new_agent(11);

	(void)state;
	for (uint32_t i = 0; i < 5; i++)
		add_source(a, i, false);
	settle(a);
	a->params.action = LEVEE_NACL_ALLOW;
	push(a);
	assert_int_equal(a->last.type, LEVEE_NACL_STEP_CONVERGED);
	assert_int_equal(a->plan.n_rules, 5);
	for (int i = 0; i < 5; i++)
		assert_false(is_denied(&truth(&a->cloud)->acls[truth(&a->cloud)->subnets[0].acl],
				       &a->sources[i].prefix));
	a->params.action = LEVEE_NACL_DENY;
	push(a);
	check_converged(a);
	free_agent(a);
}

static void another_reserved_range_takes_the_old_rules_along(void **state)
{
	struct agent *a = new_agent(12);

	(void)state;
	for (uint32_t i = 0; i < 5; i++)
		add_source(a, i, false);
	settle(a);
	a->setup.range = a->params.range = (struct levee_nacl_range){ 40, 80 };
	a->n_sources--;
	push(a);
	check_converged(a);
	for (size_t i = 0; i < a->plan.n_rules; i++)
		assert_true(a->plan.rules[i].number >= 40);
	assert_int_equal(truth(&a->cloud)->acls[truth(&a->cloud)->subnets[0].acl].n_entries, 10);
	free_agent(a);
}

static void what_stood_in_the_pair_before_goes(void **state)
{
	struct agent *a = new_agent(13);

	(void)state;
	for (int acl = BLUE; acl <= GREEN; acl++) {
		add_rule(a, acl, rule(1, "198.51.100.9", LEVEE_NACL_DENY));
		add_rule(a, acl, rule(3, "10.0.0.0/8", LEVEE_NACL_ALLOW));
		add_rule(a, acl, rule(100, "10.0.0.0/8", LEVEE_NACL_DENY));
		add_egress(a, acl, rule(400, "0.0.0.0/0", LEVEE_NACL_DENY));
	}
	for (uint32_t i = 0; i < 5; i++)
		add_source(a, i, false);
	push(a);
	check_converged(a);
	assert_int_equal(truth(&a->cloud)->acls[truth(&a->cloud)->subnets[0].acl].n_entries, 11);
	free_agent(a);
}

static void a_subnet_that_starts_on_blue_keeps_its_rules(void **state)
{
	static const int acls[2] = { BLUE, BLUE };
	struct agent *a = new_agent(14);

	(void)state;
	add_usual_rules(a, BLUE); /* one of them looks like Levee's, but there is no mark yet */
	put_subnets(a, 2, acls);
	take_operators(a);
	remember_set(a, NULL, 0);
	add_source(a, 0, false);
	push(a);
	check_converged(a);
	add_source(a, 1, false);
	add_source(a, 2, false);
	push(a);
	check_converged(a);
	assert_int_equal(truth(&a->cloud)->subnets[0].acl, GREEN);
	free_agent(a);
}

static void a_rehearsal_lists_what_then_happens(void **state)
{
	struct agent *a = new_agent(15);
	struct levee_nacl_step *steps;
	struct levee_nacl_world world;
	struct levee_nacl_survey survey;
	size_t n, switches = 0;

	(void)state;
	for (uint32_t i = 0; i < 5; i++)
		add_source(a, i, false);
	describe(&a->cloud, &a->view);
	world = world_of(a);
	world.quiet = true;
	assert_int_equal(levee_nacl_survey_make(&survey, &a->setup, &world), 0);
	make_plan(a, &survey);
	levee_nacl_survey_free(&survey);
	assert_int_equal(
		levee_nacl_rehearse(&a->setup, &world, a->plan.rules, a->plan.n_rules, &steps, &n),
		0);
	assert_int_equal(steps[n - 1].type, LEVEE_NACL_STEP_CONVERGED);
	for (size_t i = 0; i < n; i++)
		switches += steps[i].type == LEVEE_NACL_STEP_SWITCH;
	assert_int_equal(switches, 2);
	push(a);
	check_converged(a);
	assert_int_equal(a->cloud.writes, n - 1);
	free(steps);
	free_agent(a);
}

/* A wave of sources, a second one, some leave. */
static void play(struct agent *a)
{
	for (uint32_t i = 0; i < 6; i++)
		add_source(a, i, i == 4);
	push(a);
	check_converged(a);
	a->sources[2] = a->sources[5];
	a->n_sources = 4;
	for (uint32_t i = 20; i < 23; i++)
		add_source(a, i, false);
	push(a);
	check_converged(a);
	add_source(a, 30, false);
	push(a);
	check_converged(a);
	a->n_sources = 2;
	push(a);
	check_converged(a);
}

static struct agent *new_player(uint64_t seed, int way)
{
	static const int acls[3] = { FIRST, SECOND, FIRST };
	struct agent *a = new_agent(seed);

	add_usual_rules(a, SECOND);
	put_subnets(a, 3, acls);
	take_operators(a);
	a->journal = way & 1;
	a->lazy = way & 2;
	a->replans = way & 4;
	a->cloud.pedantic = way & 8;
	return a;
}

static void it_converges_whatever_call_fails_in_whatever_way(void **state)
{
	size_t calls, runs = 0;
	struct agent *a;

	(void)state;
	for (int way = 0; way < 16; way++) {
		a = new_player(100, way);
		play(a);
		calls = a->calls;
		free_agent(a);
		for (size_t at = 1; at <= calls; at++) {
			for (int fault = THROTTLED; fault < FAULTS; fault++, runs++) {
				a = new_player(100 + runs, way);
				a->fail_at = at;
				a->fault = (enum fault)fault;
				play(a);
				free_agent(a);
			}
		}
	}
	print_message("%zu runs with one failure each\n", runs);
	assert_true(runs > 1000);
}

static void move_sources(struct agent *a)
{
	uint32_t what = roll(4);

	if (what == 0 && a->n_sources) {
		a->n_sources--;
		a->sources[roll((uint32_t)a->n_sources + 1)] = a->sources[a->n_sources];
	} else if (what == 1) {
		a->n_sources = roll((uint32_t)a->n_sources + 1);
	}
	for (uint32_t n = what == 2 ? 1 : roll(8); n && a->n_sources < MOST_SOURCES; n--)
		add_source(a, roll(60), !roll(4));
}

/* Ends early, as a daemon does when it has something newer to push. */
static void push_a_little(struct agent *a)
{
	struct levee_nacl_step *step = &a->last;

	levee_nacl_plan_free(&a->plan);
	for (uint32_t i = 0, n = roll(40); i < n; i++) {
		ask(a, step);
		if (step->type == LEVEE_NACL_STEP_CONVERGED)
			return;
		if (step->type == LEVEE_NACL_STEP_STOP)
			fail_msg("%s: %s %s %s %u", levee_nacl_why_text(step->why), step->acl,
				 step->other_acl, step->subnet, step->entry.number);
		if (step->writes)
			perform(a, step);
		else
			wait_and_read(a);
	}
}

static void play_at_random(uint64_t seed)
{
	struct agent *a = new_player(seed, (int)(seed % 16));

	a->fail_often = 3 + roll(20);
	describe(&a->cloud, &a->view);
	for (int i = 0; i < 6; i++) {
		move_sources(a);
		push_a_little(a);
	}
	a->fail_often = 0;
	push(a);
	check_converged(a);
	/* and then there is nothing left to do */
	age(a);
	a->cloud.writes = 0;
	push(a);
	if (a->cloud.writes)
		fail_msg("seed %" PRIu64 ": %zu calls for nothing", seed, a->cloud.writes);
	free_agent(a);
}

static void it_converges_after_any_sequence_of_pushes_failures_and_deaths(void **state)
{
	uint64_t first = 5000;

	(void)state;
	print_message("seeds %" PRIu64 " to %" PRIu64 "\n", first, first + 1999);
	for (uint64_t seed = first; seed < first + 2000; seed++)
		play_at_random(seed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_first_push_protects_every_subnet),
		cmocka_unit_test(nothing_changed_is_no_writing_call),
		cmocka_unit_test(one_source_more_or_fewer_is_one_call_and_no_switch),
		cmocka_unit_test(a_source_in_the_place_of_another_is_one_call),
		cmocka_unit_test(a_larger_change_goes_to_the_idle_acl_and_then_every_subnet),
		cmocka_unit_test(two_subnets_on_different_acls_both_end_protected),
		cmocka_unit_test(acls_that_would_mean_something_else_are_not_merged_unasked),
		cmocka_unit_test(a_subnet_that_was_put_on_another_acl_comes_back),
		cmocka_unit_test(rules_that_somebody_took_out_are_put_back),
		cmocka_unit_test(a_rule_that_the_operator_adds_is_carried_to_the_other_acl),
		cmocka_unit_test(from_deny_to_audit_and_back),
		cmocka_unit_test(another_reserved_range_takes_the_old_rules_along),
		cmocka_unit_test(what_stood_in_the_pair_before_goes),
		cmocka_unit_test(a_subnet_that_starts_on_blue_keeps_its_rules),
		cmocka_unit_test(a_rehearsal_lists_what_then_happens),
		cmocka_unit_test(it_converges_whatever_call_fails_in_whatever_way),
		cmocka_unit_test(it_converges_after_any_sequence_of_pushes_failures_and_deaths),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
