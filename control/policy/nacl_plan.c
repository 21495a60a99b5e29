/* SPDX-License-Identifier: BSD-2-Clause */
#include "control/policy/nacl_plan.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A source on its way to its target. */
struct member {
	struct levee_prefix prefix; /* of the target */
	size_t source;
};

/* A target on its way to its place. */
struct candidate {
	struct levee_nacl_target target;
	bool last;   /* comes after all that are not */
	double rank; /* highest Z-score among those sources of it that decide its place */
	size_t id;   /* its place while candidates are in the order of their prefixes */
};

/* What a number of the reserved range is used for. */
enum use {
	FREE,
	TAKEN,
	LEAVING4, /* an IPv4 rule stands there that is not wanted any more */
	LEAVING6,
};

struct work {
	const struct levee_nacl_params *params;
	const struct levee_nacl_plan_input *input;
	struct levee_prefix *allowed; /* in order, none inside another */
	size_t n_allowed;
	struct levee_nacl_entry *operators; /* the ingress rules, in order of their numbers */
	size_t n_operators;
	struct member *members; /* one a source */
	struct candidate *candidates;
	size_t n_candidates;
	struct levee_cover_source *good; /* sorted */
	size_t n_good;
	struct levee_cover cover; /* strategy cover */
	size_t *became;		  /* candidate id -> id of the candidate that stands for it */
	uint8_t use[LEVEE_NACL_NUMBER_MAX + 1];
};

static int by_prefix(const void *a, const void *b)
{
	return levee_prefix_compare(a, b);
}

static int by_target(const void *a, const void *b)
{
	const struct member *left = a, *right = b;
	int order = levee_prefix_compare(&left->prefix, &right->prefix);

	return order ? order : (left->source > right->source) - (left->source < right->source);
}

static int by_zscore(const void *a, const void *b)
{
	const struct candidate *left = a, *right = b;

	if (left->last != right->last)
		return left->last ? 1 : -1;
	if (left->rank != right->rank)
		return left->rank > right->rank ? -1 : 1;
	return levee_prefix_compare(&left->target.prefix, &right->target.prefix);
}

static bool is_prefix(const struct levee_prefix *p)
{
	return (p->family == 4 && p->length <= 32) || (p->family == 6 && p->length <= 128);
}

static int check(const struct levee_nacl_params *params, const struct levee_nacl_plan_input *input)
{
	if (!params->budget || params->budget > LEVEE_NACL_BUDGET_MAX || !params->mask4 ||
	    params->mask4 > 32 || !params->mask6 || params->mask6 > 128 || !params->range.first ||
	    params->range.first > params->range.last || params->range.last > LEVEE_NACL_NUMBER_MAX)
		return -EINVAL;
	for (size_t i = 0; i < input->n_sources; i++)
		if (!is_prefix(&input->sources[i].prefix))
			return -EINVAL;
	for (size_t i = 0; i < input->n_allowed; i++)
		if (!is_prefix(&input->allowed[i]))
			return -EINVAL;
	return 0;
}

/* In order and without what lies inside another, one look to each side answers for all. */
static int sort_allowed(struct work *work)
{
	const struct levee_nacl_plan_input *input = work->input;
	size_t n = 0;

	work->allowed = calloc(input->n_allowed + 1, sizeof(*work->allowed));
	if (!work->allowed)
		return -ENOMEM;
	for (size_t i = 0; i < input->n_allowed; i++) {
		work->allowed[i] = input->allowed[i];
		levee_prefix_canon(&work->allowed[i]);
	}
	qsort(work->allowed, input->n_allowed, sizeof(*work->allowed), by_prefix);
	for (size_t i = 0; i < input->n_allowed; i++)
		if (!n || !levee_prefix_covers(&work->allowed[n - 1], &work->allowed[i]))
			work->allowed[n++] = work->allowed[i];
	work->n_allowed = n;
	return 0;
}

static int sort_operators(struct work *work)
{
	const struct levee_nacl_plan_input *input = work->input;

	work->operators = calloc(input->n_operators + 1, sizeof(*work->operators));
	if (!work->operators)
		return -ENOMEM;
	for (size_t i = 0; i < input->n_operators; i++)
		if (!input->operators[i].egress && !levee_nacl_is_default(&input->operators[i]))
			work->operators[work->n_operators++] = input->operators[i];
	qsort(work->operators, work->n_operators, sizeof(*work->operators), levee_nacl_by_number);
	return 0;
}

static bool touches_allowed(const struct work *work, const struct levee_prefix *prefix)
{
	size_t low = 0, high = work->n_allowed;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (levee_prefix_compare(&work->allowed[middle], prefix) <= 0)
			low = middle + 1;
		else
			high = middle;
	}
	return (low && levee_prefix_covers(&work->allowed[low - 1], prefix)) ||
	       (low < work->n_allowed && levee_prefix_covers(prefix, &work->allowed[low]));
}

/* The operator's first rule about any address of the prefix; NULL: the default deny has it. */
static const struct levee_nacl_entry *first_about(const struct work *work,
						  const struct levee_prefix *prefix)
{
	for (size_t i = 0; i < work->n_operators; i++)
		if (levee_nacl_prefixes_touch(&work->operators[i].cidr, prefix))
			return &work->operators[i];
	return NULL;
}

static bool is_open(const struct work *work, const struct levee_prefix *prefix)
{
	const struct levee_nacl_entry *first = first_about(work, prefix);

	return first && first->action == LEVEE_NACL_ALLOW && first->protocol == LEVEE_NACL_ALL &&
	       levee_prefix_covers(&first->cidr, prefix);
}

/* The highest number at which a rule for the prefix does what it says. */
static uint16_t ceiling(const struct work *work, const struct levee_prefix *prefix)
{
	const struct levee_nacl_params *params = work->params;

	for (size_t i = 0; params->action == LEVEE_NACL_DENY && i < work->n_operators; i++) {
		const struct levee_nacl_entry *rule = &work->operators[i];

		if (rule->number > params->range.last)
			break;
		if (rule->action == LEVEE_NACL_ALLOW &&
		    levee_nacl_prefixes_touch(&rule->cidr, prefix))
			return (uint16_t)(rule->number - 1);
	}
	return params->range.last;
}

static enum levee_nacl_fit judge(const struct work *work, const struct levee_prefix *prefix)
{
	if (!prefix->length)
		return LEVEE_NACL_TOO_WIDE;
	if (touches_allowed(work, prefix))
		return LEVEE_NACL_ALLOWED;
	if (work->params->action == LEVEE_NACL_ALLOW && !is_open(work, prefix))
		return LEVEE_NACL_WOULD_OPEN;
	if (ceiling(work, prefix) < work->params->range.first)
		return LEVEE_NACL_ORDER;
	return LEVEE_NACL_RULE;
}

static uint64_t packets_of(const struct levee_nacl_source *source)
{
	return source->flood_packets ? source->flood_packets : source->max_packets;
}

static int sort_good(struct work *work)
{
	const struct levee_nacl_plan_input *input = work->input;

	work->good = calloc(input->n_good + 1, sizeof(*work->good));
	if (!work->good)
		return -ENOMEM;
	if (input->n_good)
		memcpy(work->good, input->good, input->n_good * sizeof(*work->good));
	work->n_good = levee_cover_sort(work->good, input->n_good);
	return 0;
}

/* The chosen prefix that the source lies in; NULL. They are in order, none inside another. */
static const struct levee_prefix *chosen_for(const struct work *work,
					     const struct levee_prefix *source)
{
	size_t low = 0, high = work->cover.n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (levee_prefix_compare(&work->cover.rules[middle].prefix, source) <= 0)
			low = middle + 1;
		else
			high = middle;
	}
	if (low && levee_prefix_covers(&work->cover.rules[low - 1].prefix, source))
		return &work->cover.rules[low - 1].prefix;
	return NULL;
}

static bool may_have(const void *ctx, const struct levee_prefix *prefix)
{
	return judge(ctx, prefix) == LEVEE_NACL_RULE;
}

/* Beside the rules that are chosen: neither inside one nor around one. */
static bool may_have_beside(const void *ctx, const struct levee_prefix *prefix)
{
	const struct work *work = ctx;

	for (size_t i = 0; i < work->cover.n; i++)
		if (levee_nacl_prefixes_touch(&work->cover.rules[i].prefix, prefix))
			return false;
	return may_have(ctx, prefix);
}

/* An operator's block comes before all floods that are measured. */
#define OPERATORS_PACKETS (1ULL << 56)

static bool is_last(const struct work *work, size_t source)
{
	return work->params->spoofable_last && work->input->sources[source].spoofable;
}

/* Those that come last and have no rule yet, or the others. \param n  set to how many */
static struct levee_cover_source *list_flood(const struct work *work, bool last, size_t *n)
{
	const struct levee_nacl_plan_input *input = work->input;
	struct levee_cover_source *flood = calloc(input->n_sources + 1, sizeof(*flood));

	*n = 0;
	for (size_t i = 0; flood && i < input->n_sources; i++) {
		const struct levee_nacl_source *source = &input->sources[i];

		if (is_last(work, i) != last || (last && chosen_for(work, &source->prefix)))
			continue;
		flood[*n].prefix = source->prefix;
		flood[(*n)++].packets = isinf(source->max_zscore) ? OPERATORS_PACKETS
								  : packets_of(source);
	}
	return flood;
}

static unsigned int usable_numbers(const struct work *work);

static unsigned int least(unsigned int a, unsigned int b)
{
	return a < b ? a : b;
}

/* The best set for one of the two kinds of sources. */
static int cover_kind(const struct work *work, bool last, struct levee_cover_input *in,
		      struct levee_cover *out)
{
	struct levee_cover_source *flood = list_flood(work, last, &in->n_flood);
	int ret;

	if (!flood)
		return -ENOMEM;
	in->flood = flood;
	ret = levee_cover_find(out, in);
	free(flood);
	return ret;
}

static int by_rule_prefix(const void *a, const void *b)
{
	const struct levee_cover_rule *left = a, *right = b;

	return levee_prefix_compare(&left->prefix, &right->prefix);
}

/* Two sets of which no rule touches one of the other. */
static int join_covers(struct levee_cover *into, const struct levee_cover *more)
{
	struct levee_cover_rule *rules = reallocarray(into->rules, into->n + more->n + 1,
						      sizeof(*rules));

	if (!rules)
		return -ENOMEM;
	if (more->n)
		memcpy(rules + into->n, more->rules, more->n * sizeof(*rules));
	into->rules = rules;
	into->n += more->n;
	qsort(rules, into->n, sizeof(*rules), by_rule_prefix);
	into->exact = into->exact && more->exact;
	return 0;
}

/* Rules and good packets that are not used up yet. */
static void take_off(struct levee_cover_input *in, const struct levee_cover *used)
{
	unsigned int n4 = 0;

	for (size_t i = 0; i < used->n; i++)
		n4 += used->rules[i].prefix.family == 4;
	in->rules4 -= n4;
	in->rules6 -= (unsigned int)used->n - n4;
	in->rules -= (unsigned int)used->n;
	in->max_collateral -= used->good_packets;
}

static int find_cover(struct work *work)
{
	const struct levee_nacl_params *params = work->params;
	const struct levee_nacl_plan_input *input = work->input;
	unsigned int numbers = usable_numbers(work);
	struct levee_cover_input in = {
		.good = input->good,
		.n_good = input->n_good,
		.max_collateral = params->max_collateral,
		.widest4 = input->good_known ? LEVEE_COVER_WIDEST4 : 32,
		.widest6 = input->good_known ? LEVEE_COVER_WIDEST6 : 128,
		.may = may_have,
		.ctx = work,
	};
	struct levee_cover left_over = { 0 };
	int ret;

	if (params->strategy != LEVEE_NACL_COVER)
		return 0;
	in.rules4 = least(numbers, levee_nacl_room(params, work->operators, work->n_operators, 4));
	in.rules6 = least(numbers, levee_nacl_room(params, work->operators, work->n_operators, 6));
	in.rules = params->together ? in.rules4 : least(numbers, in.rules4 + in.rules6);
	ret = cover_kind(work, false, &in, &work->cover);
	if (ret || !params->spoofable_last)
		return ret;
	take_off(&in, &work->cover);
	in.may = may_have_beside;
	ret = cover_kind(work, true, &in, &left_over);
	if (!ret)
		ret = join_covers(&work->cover, &left_over);
	levee_cover_free(&left_over);
	return ret;
}

/* The source's group; the source itself where a rule for the whole group may not be. */
static struct levee_prefix target_prefix(const struct work *work, const struct levee_prefix *source)
{
	uint8_t mask = source->family == 4 ? work->params->mask4 : work->params->mask6;
	struct levee_prefix own = *source, group;

	levee_prefix_canon(&own);
	if (work->params->strategy == LEVEE_NACL_COVER) {
		const struct levee_prefix *chosen = chosen_for(work, &own);

		return chosen ? *chosen : own;
	}
	if (own.length <= mask)
		return own;
	group = own;
	group.length = mask;
	levee_prefix_canon(&group);
	return judge(work, &group) == LEVEE_NACL_RULE ? group : own;
}

static int find_members(struct work *work)
{
	const struct levee_nacl_plan_input *input = work->input;

	work->members = calloc(input->n_sources + 1, sizeof(*work->members));
	work->candidates = calloc(input->n_sources + 1, sizeof(*work->candidates));
	work->became = calloc(input->n_sources + 1, sizeof(*work->became));
	if (!work->members || !work->candidates || !work->became)
		return -ENOMEM;
	for (size_t i = 0; i < input->n_sources; i++) {
		work->members[i].prefix = target_prefix(work, &input->sources[i].prefix);
		work->members[i].source = i;
	}
	qsort(work->members, input->n_sources, sizeof(*work->members), by_target);
	return 0;
}

static uint64_t add_or_most(uint64_t a, uint64_t b)
{
	uint64_t sum;

	return __builtin_add_overflow(a, b, &sum) ? UINT64_MAX : sum;
}

/* The place of a candidate is that of its foremost source. */
static void find_place(struct candidate *candidate, bool last, double zscore)
{
	bool is_first = !candidate->target.n_sources;

	if (is_first || (candidate->last && !last) ||
	    (candidate->last == last && zscore > candidate->rank))
		candidate->rank = zscore;
	candidate->last = is_first ? last : candidate->last && last;
}

static void take_in(struct levee_nacl_target *target, double zscore, uint64_t packets,
		    uint64_t flood_packets, size_t n)
{
	target->flood_packets = add_or_most(target->flood_packets, flood_packets);
	if (!target->n_sources || zscore > target->max_zscore)
		target->max_zscore = zscore;
	if (packets > target->max_packets)
		target->max_packets = packets;
	target->n_sources += n;
}

static void take_source(const struct work *work, struct candidate *candidate,
			const struct levee_nacl_source *source)
{
	struct levee_nacl_target *target = &candidate->target;
	/* What is not a number has no place in an order: last. */
	double zscore = source->max_zscore == source->max_zscore ? source->max_zscore : 0;

	find_place(candidate, work->params->spoofable_last && source->spoofable, zscore);
	target->spoofable = source->spoofable && (!target->n_sources || target->spoofable);
	take_in(target, zscore, source->max_packets, packets_of(source), 1);
}

/* One candidate for each prefix, in the order of the prefixes. */
static void merge_members(struct work *work, struct levee_nacl_plan *plan)
{
	struct candidate *last = NULL;

	for (size_t i = 0; i < plan->n_sources; i++) {
		const struct member *member = &work->members[i];

		if (!last || levee_prefix_compare(&last->target.prefix, &member->prefix)) {
			last = &work->candidates[work->n_candidates];
			last->id = work->n_candidates++;
			last->target.prefix = member->prefix;
			last->target.fit = judge(work, &member->prefix);
		}
		take_source(work, last, &work->input->sources[member->source]);
		plan->target_of[member->source] = last->id;
	}
}

static bool lies_in(const struct candidate *outer, const struct candidate *inner)
{
	return outer && levee_prefix_covers(&outer->target.prefix, &inner->target.prefix);
}

static void join(struct work *work, struct candidate *into, const struct candidate *from)
{
	work->became[from->id] = into->id;
	find_place(into, from->last, from->rank);
	into->target.spoofable &= from->target.spoofable;
	take_in(&into->target, from->target.max_zscore, from->target.max_packets,
		from->target.flood_packets, from->target.n_sources);
}

/*
 * A rule inside another is one too many: its sources join the wider. But what comes last may get
 * no rule, so it stands for none of the others.
 */
static void fold_covered(struct work *work)
{
	struct candidate *cover[2] = { NULL, NULL }; /* of others, and of those that come last */
	size_t n = 0;

	for (size_t i = 0; i < work->n_candidates; i++) {
		struct candidate *next = &work->candidates[i];
		bool has_rule = next->target.fit == LEVEE_NACL_RULE;

		work->became[next->id] = next->id;
		if (has_rule && lies_in(cover[0], next)) {
			join(work, cover[0], next);
			continue;
		}
		if (has_rule && next->last && lies_in(cover[1], next)) {
			join(work, cover[1], next);
			continue;
		}
		work->candidates[n] = *next;
		if (has_rule)
			cover[next->last] = &work->candidates[n];
		n++;
	}
	work->n_candidates = n;
}

/* What a rule costs. */
static void measure_good(struct work *work)
{
	for (size_t i = 0; i < work->n_candidates; i++) {
		struct levee_nacl_target *target = &work->candidates[i].target;
		levee_u128 sum = levee_cover_sum(work->good, work->n_good, &target->prefix,
						 &target->n_good);

		target->good_packets = sum > UINT64_MAX ? UINT64_MAX : (uint64_t)sum;
	}
}

static unsigned int subtract(unsigned int from, unsigned int what)
{
	return from > what ? from - what : 0;
}

unsigned int levee_nacl_room(const struct levee_nacl_params *params,
			     const struct levee_nacl_entry *operators, size_t n_operators,
			     uint8_t family)
{
	unsigned int taken = params->together ? 2 : 1; /* the default denies */

	for (size_t i = 0; i < n_operators; i++)
		if (!operators[i].egress && !levee_nacl_is_default(&operators[i]) &&
		    (params->together || operators[i].cidr.family == family))
			taken++;
	return subtract(params->budget, taken);
}

/* Numbers of the reserved range that the operator does not use. */
static unsigned int usable_numbers(const struct work *work)
{
	struct levee_nacl_range range = work->params->range;
	unsigned int n = 1U + range.last - range.first;

	for (size_t i = 0; i < work->n_operators; i++)
		if (work->operators[i].number >= range.first &&
		    work->operators[i].number <= range.last &&
		    (!i || work->operators[i].number != work->operators[i - 1].number))
			n--;
	return n;
}

static bool may_have_rule(const struct levee_nacl_target *target)
{
	return target->fit == LEVEE_NACL_RULE || target->fit == LEVEE_NACL_BUDGET_OUT ||
	       target->fit == LEVEE_NACL_NUMBERS_OUT;
}

/* Under strategy cover the set is chosen already. */
static bool is_chosen(const struct work *work, const struct levee_prefix *prefix)
{
	const struct levee_prefix *chosen;

	if (work->params->strategy != LEVEE_NACL_COVER)
		return true;
	chosen = chosen_for(work, prefix);
	return chosen && !levee_prefix_compare(chosen, prefix);
}

/* Give budget and numbers to the first that a rule is possible for; which numbers comes later. */
static void choose(struct work *work)
{
	unsigned int room[2] = {
		levee_nacl_room(work->params, work->operators, work->n_operators, 4),
		levee_nacl_room(work->params, work->operators, work->n_operators, 6),
	};
	unsigned int numbers = usable_numbers(work);

	for (size_t i = 0; i < work->n_candidates; i++) {
		struct levee_nacl_target *target = &work->candidates[i].target;
		unsigned int *left = &room[!work->params->together && target->prefix.family == 6];

		target->number = 0;
		if (!may_have_rule(target))
			continue;
		if (!is_chosen(work, &target->prefix)) {
			target->fit = LEVEE_NACL_BUDGET_OUT;
			continue;
		}
		target->fit = !*left	 ? LEVEE_NACL_BUDGET_OUT
			      : !numbers ? LEVEE_NACL_NUMBERS_OUT
					 : LEVEE_NACL_RULE;
		if (target->fit == LEVEE_NACL_RULE) {
			(*left)--;
			numbers--;
		}
	}
}

static void mark_standing(struct work *work)
{
	memset(work->use, FREE, sizeof(work->use));
	for (size_t i = 0; i < work->input->n_in_place; i++) {
		const struct levee_nacl_entry *rule = &work->input->in_place[i];

		if (levee_nacl_is_reserved(rule, work->params->range))
			work->use[rule->number] = rule->cidr.family == 4 ? LEAVING4 : LEAVING6;
	}
	for (size_t i = 0; i < work->n_operators; i++)
		work->use[work->operators[i].number] = TAKEN;
}

/* The number at which the target has a rule already; 0: it has none that could stay. */
static uint16_t standing_number(const struct work *work, const struct levee_prefix *prefix)
{
	uint16_t lowest = 0, top = ceiling(work, prefix);

	for (size_t i = 0; i < work->input->n_in_place; i++) {
		const struct levee_nacl_entry *rule = &work->input->in_place[i];

		if (levee_nacl_is_reserved(rule, work->params->range) && rule->number <= top &&
		    work->use[rule->number] != TAKEN &&
		    !levee_prefix_compare(&rule->cidr, prefix) &&
		    (!lowest || rule->number < lowest))
			lowest = rule->number;
	}
	return lowest;
}

static void keep_numbers(struct work *work, bool last)
{
	for (size_t i = 0; i < work->n_candidates; i++) {
		struct levee_nacl_target *target = &work->candidates[i].target;

		if (target->fit != LEVEE_NACL_RULE || work->candidates[i].last != last)
			continue;
		target->number = standing_number(work, &target->prefix);
		if (target->number)
			work->use[target->number] = TAKEN;
	}
}

/* The lowest number used so, up to top; 0: none. */
static uint16_t lowest_number(const struct work *work, enum use use, uint16_t top)
{
	for (unsigned int number = work->params->range.first; number <= top; number++)
		if (work->use[number] == use)
			return (uint16_t)number;
	return 0;
}

static uint16_t new_number(const struct work *work, const struct levee_prefix *prefix)
{
	bool v4 = prefix->family == 4;
	uint16_t top = ceiling(work, prefix), number;

	number = lowest_number(work, v4 ? LEAVING4 : LEAVING6, top);
	if (!number)
		number = lowest_number(work, FREE, top);
	/* Of the other family: two calls, since one of them has to go before the other comes. */
	if (!number)
		number = lowest_number(work, v4 ? LEAVING6 : LEAVING4, top);
	return number;
}

/*
 * The target at this place found no number below an operator's allow. (Without such an allow there
 * is one: no more were chosen than there are numbers.) Nor is one for those behind it that have no
 * other numbers to choose from and no rule yet; without this, each would ask in a round of its own.
 */
static void refuse_from(struct work *work, size_t place)
{
	uint16_t top = ceiling(work, &work->candidates[place].target.prefix);

	work->candidates[place].target.fit = LEVEE_NACL_ORDER;
	for (size_t i = place + 1; i < work->n_candidates; i++) {
		struct levee_nacl_target *target = &work->candidates[i].target;

		if (may_have_rule(target) && !target->number &&
		    ceiling(work, &target->prefix) <= top &&
		    !standing_number(work, &target->prefix))
			target->fit = LEVEE_NACL_ORDER;
	}
}

/* \return false if a target that was chosen finds no number: choose again without it */
static bool new_numbers(struct work *work, bool last)
{
	for (size_t i = 0; i < work->n_candidates; i++) {
		struct levee_nacl_target *target = &work->candidates[i].target;

		if (target->fit != LEVEE_NACL_RULE || target->number ||
		    work->candidates[i].last != last)
			continue;
		target->number = new_number(work, &target->prefix);
		if (!target->number) {
			refuse_from(work, i);
			return false;
		}
		work->use[target->number] = TAKEN;
	}
	return true;
}

/* Those that come last get their numbers as if they came later: the others know nothing of them. */
static bool give_numbers(struct work *work)
{
	mark_standing(work);
	for (int last = 0; last <= 1; last++) {
		keep_numbers(work, last);
		if (!new_numbers(work, last))
			return false;
	}
	return true;
}

static void write_target(struct work *work, struct levee_nacl_plan *plan, size_t place)
{
	const struct levee_nacl_target *target = &work->candidates[place].target;

	plan->targets[place] = *target;
	plan->flood_packets = add_or_most(plan->flood_packets, target->flood_packets);
	if (target->number) {
		plan->spoofable_rules += target->spoofable;
		plan->blocked_packets = add_or_most(plan->blocked_packets, target->flood_packets);
		plan->good_packets = add_or_most(plan->good_packets, target->good_packets);
	}
	if (!target->number) {
		plan->unblocked_sources += target->n_sources;
		return;
	}
	plan->rules[plan->n_rules++] = (struct levee_nacl_entry){
		.cidr = target->prefix,
		.number = target->number,
		.action = work->params->action,
		.protocol = LEVEE_NACL_ALL,
	};
}

/* became[] says who stands for whom; afterwards it says where that one is in the plan. */
static void write_plan(struct work *work, struct levee_nacl_plan *plan)
{
	for (size_t i = 0; i < plan->n_sources; i++)
		plan->target_of[i] = work->became[plan->target_of[i]];
	for (size_t i = 0; i < work->n_candidates; i++)
		work->became[work->candidates[i].id] = i;
	for (size_t i = 0; i < plan->n_sources; i++)
		plan->target_of[i] = work->became[plan->target_of[i]];
	plan->n_targets = work->n_candidates;
	for (size_t i = 0; i < work->n_candidates; i++)
		write_target(work, plan, i);
}

static int heaviest_first(const void *a, const void *b)
{
	const struct levee_cover_source *left = a, *right = b;

	return (left->packets < right->packets) - (left->packets > right->packets);
}

/* What the same budget could do with single sources, the heaviest of them. */
static int measure_singles(const struct work *work, struct levee_nacl_plan *plan)
{
	struct levee_cover_source *flood = calloc(plan->n_sources + 1, sizeof(*flood));
	unsigned int room[2] = {
		levee_nacl_room(work->params, work->operators, work->n_operators, 4),
		levee_nacl_room(work->params, work->operators, work->n_operators, 6),
	};
	unsigned int numbers = usable_numbers(work);

	if (!flood)
		return -ENOMEM;
	for (size_t i = 0; i < plan->n_sources; i++)
		flood[i] = (struct levee_cover_source){ work->input->sources[i].prefix,
							packets_of(&work->input->sources[i]) };
	qsort(flood, plan->n_sources, sizeof(*flood), heaviest_first);
	for (size_t i = 0; i < plan->n_sources && numbers; i++) {
		unsigned int *left = &room[!work->params->together && flood[i].prefix.family == 6];

		if (!*left || judge(work, &flood[i].prefix) != LEVEE_NACL_RULE)
			continue;
		plan->single_packets = add_or_most(plan->single_packets, flood[i].packets);
		(*left)--;
		numbers--;
	}
	free(flood);
	return 0;
}

static int make_room(struct levee_nacl_plan *plan, size_t n_sources)
{
	plan->targets = calloc(n_sources + 1, sizeof(*plan->targets));
	plan->target_of = calloc(n_sources + 1, sizeof(*plan->target_of));
	plan->rules = calloc((size_t)2 * LEVEE_NACL_BUDGET_MAX, sizeof(*plan->rules));
	plan->n_sources = n_sources;
	return plan->targets && plan->target_of && plan->rules ? 0 : -ENOMEM;
}

static void free_work(struct work *work)
{
	free(work->allowed);
	free(work->operators);
	free(work->members);
	free(work->candidates);
	free(work->became);
	free(work->good);
	levee_cover_free(&work->cover);
	free(work);
}

static int make(struct work *work, struct levee_nacl_plan *plan)
{
	int ret = make_room(plan, work->input->n_sources);

	if (!ret)
		ret = sort_allowed(work);
	if (!ret)
		ret = sort_operators(work);
	if (!ret)
		ret = sort_good(work);
	if (!ret)
		ret = find_cover(work);
	if (!ret)
		ret = find_members(work);
	if (!ret)
		ret = measure_singles(work, plan);
	if (ret)
		return ret;
	plan->exact = work->params->strategy == LEVEE_NACL_COVER && work->cover.exact;
	merge_members(work, plan);
	fold_covered(work);
	measure_good(work);
	qsort(work->candidates, work->n_candidates, sizeof(*work->candidates), by_zscore);
	do
		choose(work);
	while (!give_numbers(work));
	write_plan(work, plan);
	return 0;
}

int levee_nacl_plan_make(struct levee_nacl_plan *plan, const struct levee_nacl_params *params,
			 const struct levee_nacl_plan_input *input)
{
	int ret = check(params, input);
	struct work *work;

	memset(plan, 0, sizeof(*plan));
	if (ret)
		return ret;
	work = calloc(1, sizeof(*work));
	if (!work)
		return -ENOMEM;
	work->params = params;
	work->input = input;
	ret = make(work, plan);
	free_work(work);
	return ret;
}

void levee_nacl_plan_free(struct levee_nacl_plan *plan)
{
	free(plan->targets);
	free(plan->target_of);
	free(plan->rules);
	memset(plan, 0, sizeof(*plan));
}

const char *levee_nacl_fit_text(enum levee_nacl_fit fit)
{
	switch (fit) {
	case LEVEE_NACL_RULE:
		return "it has a rule";
	case LEVEE_NACL_ALLOWED:
		return "it shares addresses with the allow list";
	case LEVEE_NACL_BUDGET_OUT:
		return "the rule budget is used up by higher Z-scores";
	case LEVEE_NACL_NUMBERS_OUT:
		return "no rule number of the reserved range is free";
	case LEVEE_NACL_ORDER:
		return "an allow rule of the operator stands before the free numbers of the "
		       "reserved range";
	case LEVEE_NACL_WOULD_OPEN:
		return "an audit rule would allow what the operator's rules deny";
	case LEVEE_NACL_TOO_WIDE:
		return "a rule about every address would cut the subnet off";
	}
	return "unknown reason";
}
