/* SPDX-License-Identifier: BSD-2-Clause */
#include "control/policy/nacl_cover.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define NONE UINT32_MAX

/* Combinations of points that one run may look at: a second or so. */
#define WORK_MAX   2e8
#define POINTS_MIN 8
#define POINTS_MAX 65536

/** One way to use some rules in a subtree: what it gives, and how it is made. */
struct point {
	uint64_t good;	  /* packets touched */
	levee_u128 flood; /* packets blocked */
	levee_u128 span;  /* addresses covered */
	uint16_t rules;	  /* used */
	bool take;	  /* one rule about the node itself; else one point of each child */
	uint16_t left_rules;
	uint32_t left;	/* index of the point in the child's entry of left_rules */
	uint32_t right; /* and in that of the rules that are left */
};

/** The best points for so many rules at most, by good packets; more of them, more flood. */
struct entry {
	struct point *points;
	uint32_t n;
};

struct node {
	struct levee_prefix prefix; /* family 0: the root above both families */
	uint32_t child[2];	    /* NONE: none */
	levee_u128 flood;	    /* of all sources in it */
	uint64_t good;
	size_t n_flood;
	bool takeable;
	unsigned int rules;    /* most that make sense in it */
	struct entry *entries; /* [rules + 1] */
};

struct work {
	const struct levee_cover_input *input;
	struct levee_cover_source *flood; /* sorted, joined */
	size_t n_flood;
	struct levee_cover_source *good;
	size_t n_good;
	levee_u128 *good_before; /* sums of good[0..i) */
	struct node *nodes;
	uint32_t n_nodes;
	uint32_t *stack; /* nodes whose children are not all known, each inside the one before */
	size_t depth;
	struct point *candidates; /* while an entry is made */
	size_t n_candidates;
	size_t capacity;
	uint32_t points_max;
	bool thinned;
};

/* ---- sources ------------------------------------------------------------------------------- */

static int by_prefix(const void *a, const void *b)
{
	const struct levee_cover_source *left = a, *right = b;

	return levee_prefix_compare(&left->prefix, &right->prefix);
}

static uint64_t add_or_most(uint64_t a, uint64_t b)
{
	uint64_t sum;

	return __builtin_add_overflow(a, b, &sum) ? UINT64_MAX : sum;
}

size_t levee_cover_sort(struct levee_cover_source *sources, size_t n)
{
	size_t kept = 0;

	for (size_t i = 0; i < n; i++)
		levee_prefix_canon(&sources[i].prefix);
	if (n)
		qsort(sources, n, sizeof(*sources), by_prefix);
	for (size_t i = 0; i < n; i++) {
		if (kept && !by_prefix(&sources[kept - 1], &sources[i]))
			sources[kept - 1].packets = add_or_most(sources[kept - 1].packets,
								sources[i].packets);
		else
			sources[kept++] = sources[i];
	}
	return kept;
}

/* First source that is not before the prefix, or with `after` not inside it either. */
static size_t find(const struct levee_cover_source *sources, size_t n,
		   const struct levee_prefix *prefix, bool after)
{
	size_t low = 0, high = n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		const struct levee_prefix *p = &sources[middle].prefix;

		if (levee_prefix_compare(p, prefix) < 0 ||
		    (after && levee_prefix_covers(prefix, p)))
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

levee_u128 levee_cover_sum(const struct levee_cover_source *sources, size_t n,
			   const struct levee_prefix *prefix, size_t *n_in)
{
	size_t first = find(sources, n, prefix, false), end = find(sources, n, prefix, true);
	levee_u128 sum = 0;

	/* One that is wider than the prefix has addresses in it, too. */
	if (first && levee_prefix_covers(&sources[first - 1].prefix, prefix))
		first--;
	for (size_t i = first; i < end; i++)
		sum += sources[i].packets;
	if (n_in)
		*n_in = end - first;
	return sum;
}

static uint64_t good_in(const struct work *work, const struct levee_prefix *prefix)
{
	size_t first = find(work->good, work->n_good, prefix, false);
	size_t end = find(work->good, work->n_good, prefix, true);
	levee_u128 sum;

	if (first && levee_prefix_covers(&work->good[first - 1].prefix, prefix))
		first--;
	sum = work->good_before[end] - work->good_before[first];
	return sum > UINT64_MAX ? UINT64_MAX : (uint64_t)sum;
}

static int copy_sources(struct work *work)
{
	const struct levee_cover_input *in = work->input;

	work->flood = calloc(in->n_flood + 1, sizeof(*work->flood));
	work->good = calloc(in->n_good + 1, sizeof(*work->good));
	work->good_before = calloc(in->n_good + 1, sizeof(*work->good_before));
	if (!work->flood || !work->good || !work->good_before)
		return -ENOMEM;
	if (in->n_flood)
		memcpy(work->flood, in->flood, in->n_flood * sizeof(*work->flood));
	if (in->n_good)
		memcpy(work->good, in->good, in->n_good * sizeof(*work->good));
	work->n_flood = levee_cover_sort(work->flood, in->n_flood);
	work->n_good = levee_cover_sort(work->good, in->n_good);
	for (size_t i = 0; i < work->n_good; i++)
		work->good_before[i + 1] = work->good_before[i] + work->good[i].packets;
	return 0;
}

/* ---- the tree ------------------------------------------------------------------------------ */

static unsigned int leading_zeros(uint64_t x)
{
	return x ? (unsigned int)__builtin_clzll(x) : 64;
}

/* The longest prefix that contains both. */
static struct levee_prefix common(const struct levee_prefix *a, const struct levee_prefix *b)
{
	struct levee_prefix both = *a;
	unsigned int same;

	if (a->family == 4)
		same = leading_zeros(a->hi ^ b->hi) - 32;
	else
		same = a->hi != b->hi ? leading_zeros(a->hi ^ b->hi)
				      : 64 + leading_zeros(a->lo ^ b->lo);
	if (same > a->length)
		same = a->length;
	if (same > b->length)
		same = b->length;
	both.length = (uint8_t)same;
	levee_prefix_canon(&both);
	return both;
}

/* A source has no packets when nobody has counted them yet: one, so that it is worth a rule. */
static uint32_t new_node(struct work *work, const struct levee_prefix *prefix, uint64_t packets,
			 bool is_source)
{
	struct node *node = &work->nodes[work->n_nodes];
	uint8_t widest = prefix->family == 4 ? work->input->widest4 : work->input->widest6;

	*node = (struct node){ .prefix = *prefix, .child = { NONE, NONE } };
	if (prefix->family) {
		node->good = good_in(work, prefix);
		node->takeable = (is_source || prefix->length >= widest) &&
				 node->good <= work->input->max_collateral &&
				 work->input->may(work->input->ctx, prefix);
	}
	if (is_source) {
		node->flood = packets ? packets : 1;
		node->n_flood = 1;
	}
	return work->n_nodes++;
}

static void adopt(struct work *work, uint32_t parent, uint32_t child)
{
	struct node *p = &work->nodes[parent], *c = &work->nodes[child];

	p->child[p->child[0] != NONE] = child;
	p->flood += c->flood;
	p->n_flood += c->n_flood;
}

/* The uppermost node of the stack is whole: it joins the one below. */
static void pop(struct work *work)
{
	uint32_t child = work->stack[--work->depth];

	adopt(work, work->stack[work->depth - 1], child);
}

/* Sources come in order, so the tree grows at its right edge, which the stack holds. */
static void add_source(struct work *work, const struct levee_cover_source *source)
{
	struct levee_prefix join;
	uint32_t last;

	while (work->depth > 1 &&
	       !levee_prefix_covers(&work->nodes[work->stack[work->depth - 1]].prefix,
				    &source->prefix)) {
		last = work->stack[work->depth - 1];
		join = common(&work->nodes[last].prefix, &source->prefix);
		/* Does their common prefix lie below the next node? Then it is a node itself. */
		if (work->depth == 2 ||
		    (join.length > work->nodes[work->stack[work->depth - 2]].prefix.length &&
		     levee_prefix_covers(&work->nodes[work->stack[work->depth - 2]].prefix,
					 &join))) {
			uint32_t parent = new_node(work, &join, 0, false);

			adopt(work, parent, last);
			work->stack[work->depth - 1] = parent;
			break;
		}
		pop(work);
	}
	work->stack[work->depth++] = new_node(work, &source->prefix, source->packets, true);
}

static bool is_family(const struct levee_cover_source *source, uint8_t family)
{
	return source->prefix.family == family;
}

/* The root of one family, or NONE. stack[0] is a stand-in that adopts it. */
static uint32_t grow(struct work *work, uint8_t family)
{
	struct levee_prefix nothing = { 0 };
	uint32_t stand_in = new_node(work, &nothing, 0, false);

	work->depth = 0;
	work->stack[work->depth++] = stand_in;
	for (size_t i = 0; i < work->n_flood; i++)
		if (is_family(&work->flood[i], family))
			add_source(work, &work->flood[i]);
	while (work->depth > 1)
		pop(work);
	return work->nodes[stand_in].child[0];
}

static unsigned int least(size_t a, unsigned int b)
{
	return a < b ? (unsigned int)a : b;
}

/* More rules than flooding sources make no sense in a subtree. */
static void set_rules(struct work *work, uint8_t family, unsigned int rules)
{
	for (uint32_t i = 0; i < work->n_nodes; i++)
		if (work->nodes[i].prefix.family == family)
			work->nodes[i].rules = least(work->nodes[i].n_flood, rules);
}

static int make_tree(struct work *work, uint32_t *root)
{
	const struct levee_cover_input *in = work->input;
	struct levee_prefix nothing = { 0 };
	uint32_t root4, root6;

	/* A node for each source, one less for each pair, two stand-ins, the root. */
	work->nodes = calloc(2 * work->n_flood + 4, sizeof(*work->nodes));
	work->stack = calloc(work->n_flood + 132, sizeof(*work->stack));
	if (!work->nodes || !work->stack)
		return -ENOMEM;
	root4 = grow(work, 4);
	root6 = grow(work, 6);
	set_rules(work, 4, in->rules4);
	set_rules(work, 6, in->rules6);
	*root = new_node(work, &nothing, 0, false);
	if (root4 != NONE)
		adopt(work, *root, root4);
	if (root6 != NONE)
		adopt(work, *root, root6);
	work->nodes[*root].rules = least(work->nodes[*root].n_flood, in->rules);
	return 0;
}

/* ---- points -------------------------------------------------------------------------------- */

/* By good packets; of as many, the better first. */
static int by_good(const void *a, const void *b)
{
	const struct point *l = a, *r = b;

	if (l->good != r->good)
		return l->good < r->good ? -1 : 1;
	if (l->flood != r->flood)
		return l->flood > r->flood ? -1 : 1;
	if (l->span != r->span)
		return l->span < r->span ? -1 : 1;
	return (l->rules > r->rules) - (l->rules < r->rules);
}

static int propose(struct work *work, const struct point *point)
{
	if (work->n_candidates == work->capacity) {
		size_t capacity = work->capacity ? 2 * work->capacity : 256;
		void *more = reallocarray(work->candidates, capacity, sizeof(*work->candidates));

		if (!more)
			return -ENOMEM;
		work->candidates = more;
		work->capacity = capacity;
	}
	work->candidates[work->n_candidates++] = *point;
	return 0;
}

/* Addresses of a prefix. No source has length 0, and a rule is no wider than `widest`. */
static levee_u128 span_of(const struct levee_prefix *prefix)
{
	unsigned int bits = (prefix->family == 4 ? 32U : 128U) - prefix->length;

	return bits > 127 ? (levee_u128)1 << 127 : (levee_u128)1 << bits;
}

static int propose_rule(struct work *work, const struct node *node)
{
	struct point point = { .good = node->good,
			       .flood = node->flood,
			       .span = span_of(&node->prefix),
			       .rules = 1,
			       .take = true };

	return node->takeable ? propose(work, &point) : 0;
}

/* What a child has for so many rules; without a child, and without rules, that is nothing. */
static const struct entry *entry_of(const struct work *work, uint32_t child, unsigned int rules)
{
	static struct point nothing;
	static const struct entry empty = { &nothing, 1 };

	if (child == NONE || !rules)
		return &empty;
	return &work->nodes[child].entries[rules];
}

static levee_u128 add_span(levee_u128 a, levee_u128 b)
{
	levee_u128 sum;

	return __builtin_add_overflow(a, b, &sum) ? ~(levee_u128)0 : sum;
}

static int propose_pairs(struct work *work, const struct node *node, unsigned int left_rules,
			 unsigned int right_rules)
{
	const struct entry *l = entry_of(work, node->child[0], left_rules);
	const struct entry *r = entry_of(work, node->child[1], right_rules);
	int ret = 0;

	for (uint32_t i = 0; i < l->n && !ret; i++) {
		for (uint32_t j = 0; j < r->n && !ret; j++) {
			const struct point *a = &l->points[i], *b = &r->points[j];
			struct point both = { .good = add_or_most(a->good, b->good),
					      .flood = a->flood + b->flood,
					      .span = add_span(a->span, b->span),
					      .rules = (uint16_t)(a->rules + b->rules),
					      .left_rules = (uint16_t)left_rules,
					      .left = i,
					      .right = j };

			if (both.good > work->input->max_collateral)
				break; /* and so do all behind it */
			ret = propose(work, &both);
		}
	}
	return ret;
}

static unsigned int rules_of(const struct work *work, uint32_t child)
{
	return child == NONE ? 0 : work->nodes[child].rules;
}

/* Too many points: some of them, evenly, the first and the last among them. */
static void thin(struct work *work)
{
	size_t n = work->n_candidates, max = work->points_max;

	if (n <= max)
		return;
	work->thinned = true;
	for (size_t i = 0; i < max; i++)
		work->candidates[i] = work->candidates[i * (n - 1) / (max - 1)];
	work->n_candidates = max;
}

/* Keep what is better than all with fewer good packets. */
static int keep_best(struct work *work, struct entry *out)
{
	size_t n = 0;

	qsort(work->candidates, work->n_candidates, sizeof(*work->candidates), by_good);
	for (size_t i = 0; i < work->n_candidates; i++)
		if (!n || work->candidates[i].flood > work->candidates[n - 1].flood)
			work->candidates[n++] = work->candidates[i];
	work->n_candidates = n;
	thin(work);
	out->points = calloc(work->n_candidates, sizeof(*out->points));
	if (!out->points)
		return -ENOMEM;
	memcpy(out->points, work->candidates, work->n_candidates * sizeof(*out->points));
	out->n = (uint32_t)work->n_candidates;
	return 0;
}

static int fill_entry(struct work *work, struct node *node, unsigned int rules)
{
	unsigned int left = rules_of(work, node->child[0]), right = rules_of(work, node->child[1]);
	unsigned int first = rules > right ? rules - right : 0;
	int ret = propose_rule(work, node);

	work->n_candidates = ret ? 0 : work->n_candidates;
	/* What a side has for all rules that make sense in it is no less than with fewer. */
	if (first > left)
		first = left;
	for (unsigned int i = first; !ret && i <= left && i <= rules; i++)
		ret = propose_pairs(work, node, i, rules - i < right ? rules - i : right);
	if (!ret)
		ret = keep_best(work, &node->entries[rules]);
	work->n_candidates = 0;
	return ret;
}

/* Children were made before their parents, but for the joins: by depth first. */
static int fill(struct work *work, uint32_t at)
{
	struct node *node = &work->nodes[at];
	int ret = 0;

	for (int i = 0; i < 2 && !ret; i++)
		if (node->child[i] != NONE)
			ret = fill(work, node->child[i]);
	if (ret)
		return ret;
	node->entries = calloc(node->rules + 1U, sizeof(*node->entries));
	if (!node->entries)
		return -ENOMEM;
	for (unsigned int r = 1; r <= node->rules && !ret; r++)
		ret = fill_entry(work, node, r);
	return ret;
}

/* How long entries may be so that all combinations together stay within the limit. */
static void set_points_max(struct work *work)
{
	double pairs = 1, points;

	for (uint32_t i = 0; i < work->n_nodes; i++)
		pairs += (rules_of(work, work->nodes[i].child[0]) + 1.0) *
			 (rules_of(work, work->nodes[i].child[1]) + 1.0);
	points = sqrt(WORK_MAX / pairs);
	work->points_max = points < POINTS_MIN	 ? POINTS_MIN
			   : points > POINTS_MAX ? POINTS_MAX
						 : (uint32_t)points;
}

/* ---- the result ---------------------------------------------------------------------------- */

static void write_rules(const struct work *work, uint32_t at, unsigned int rules, uint32_t place,
			struct levee_cover *out)
{
	const struct node *node = at == NONE ? NULL : &work->nodes[at];
	const struct point *point;
	unsigned int right;

	if (!node || !rules)
		return;
	point = &node->entries[rules].points[place];
	if (point->take) {
		out->rules[out->n++] = (struct levee_cover_rule){ .prefix = node->prefix,
								  .flood_packets = node->flood,
								  .n_flood = node->n_flood,
								  .good_packets = node->good };
		return;
	}
	right = rules - point->left_rules;
	if (right > rules_of(work, node->child[1]))
		right = rules_of(work, node->child[1]);
	write_rules(work, node->child[0], point->left_rules, point->left, out);
	write_rules(work, node->child[1], right, point->right, out);
}

static int by_rule(const void *a, const void *b)
{
	const struct levee_cover_rule *left = a, *right = b;

	return levee_prefix_compare(&left->prefix, &right->prefix);
}

static int write_cover(const struct work *work, uint32_t root, struct levee_cover *out)
{
	const struct node *node = &work->nodes[root];
	const struct entry *all = node->rules ? &node->entries[node->rules] : NULL;

	out->exact = !work->thinned;
	out->rules = calloc(node->rules + 1U, sizeof(*out->rules));
	if (!out->rules)
		return -ENOMEM;
	if (!all)
		return 0;
	out->flood_packets = all->points[all->n - 1].flood;
	out->good_packets = all->points[all->n - 1].good;
	write_rules(work, root, node->rules, all->n - 1, out);
	if (out->n)
		qsort(out->rules, out->n, sizeof(*out->rules), by_rule);
	return 0;
}

static void clear_work(struct work *work)
{
	for (uint32_t i = 0; i < work->n_nodes; i++) {
		for (unsigned int r = 0; work->nodes[i].entries && r <= work->nodes[i].rules; r++)
			free(work->nodes[i].entries[r].points);
		free(work->nodes[i].entries);
	}
	free(work->nodes);
	free(work->stack);
	free(work->candidates);
	free(work->flood);
	free(work->good);
	free(work->good_before);
}

int levee_cover_find(struct levee_cover *out, const struct levee_cover_input *input)
{
	struct work work = { .input = input };
	uint32_t root;
	int ret;

	*out = (struct levee_cover){ 0 };
	ret = copy_sources(&work);
	if (!ret)
		ret = make_tree(&work, &root);
	if (!ret) {
		set_points_max(&work);
		ret = fill(&work, root);
	}
	if (!ret)
		ret = write_cover(&work, root, out);
	clear_work(&work);
	return ret;
}

void levee_cover_free(struct levee_cover *cover)
{
	free(cover->rules);
	*cover = (struct levee_cover){ 0 };
}
