/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/support/policymodel.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <errno.h>
#include <cmocka.h>

#define HOUR_NS 3600000000000ULL

/* More would make each look-up in the lists slow, and nothing more likely. */
#define BLOCKS_USUAL  120
#define ALLOWED_USUAL 25

typedef unsigned __int128 uint128_t;

uint32_t model_random(struct policy_model *m)
{
	m->random = m->random * 6364136223846793005ULL + 1442695040888963407ULL;
	return (uint32_t)(m->random >> 33);
}

/* ---- prefixes, bit by bit ---------------------------------------------------------------- */

/* Bit 0 is the first on the wire. */
static unsigned int bit_of(uint8_t family, uint64_t hi, uint64_t lo, unsigned int bit)
{
	if (family == 4)
		return (unsigned int)(hi >> (31 - bit)) & 1;
	return (unsigned int)(bit < 64 ? hi >> (63 - bit) : lo >> (127 - bit)) & 1;
}

bool model_contains(const struct levee_prefix *p, const struct model_address *a)
{
	if (p->family != a->family)
		return false;
	for (unsigned int bit = 0; bit < p->length; bit++)
		if (bit_of(p->family, p->hi, p->lo, bit) != bit_of(a->family, a->hi, a->lo, bit))
			return false;
	return true;
}

static bool covers(const struct levee_prefix *outer, const struct levee_prefix *inner)
{
	struct model_address first = { inner->family, inner->hi, inner->lo };

	return outer->length <= inner->length && model_contains(outer, &first);
}

static bool is_same(const struct levee_prefix *a, const struct levee_prefix *b)
{
	return a->length == b->length && covers(a, b);
}

/* ---- the policy -------------------------------------------------------------------------- */

static bool is_allowed(const struct policy_model *m, const struct levee_prefix *p)
{
	for (size_t i = 0; i < m->n_allowed; i++)
		if (covers(&m->allowed[i], p))
			return true;
	return false;
}

/* A rule's drops end with the rule, and a shadowed block has none. */
static void shade(struct policy_model *m, struct model_block *b)
{
	bool shadowed = is_allowed(m, &b->prefix);

	if (shadowed != b->shadowed)
		b->packets = b->bytes = 0;
	b->shadowed = shadowed;
}

void model_set_allowed(struct policy_model *m, const struct levee_prefix *list, size_t n)
{
	m->n_allowed = 0;
	for (size_t i = 0; i < n; i++) {
		bool twice = false;

		for (size_t k = 0; k < m->n_allowed; k++)
			twice |= is_same(&m->allowed[k], &list[i]);
		if (!twice)
			m->allowed[m->n_allowed++] = list[i];
	}
	for (size_t i = 0; i < m->n_blocks; i++)
		shade(m, &m->blocks[i]);
}

struct model_block *model_find(struct policy_model *m, const struct levee_prefix *prefix)
{
	for (size_t i = 0; i < m->n_blocks; i++)
		if (is_same(&m->blocks[i].prefix, prefix))
			return &m->blocks[i];
	return NULL;
}

void model_block(struct policy_model *m, const struct levee_prefix *prefix, uint64_t expires_ns)
{
	struct model_block *b = model_find(m, prefix);

	if (!b) {
		assert_true(m->n_blocks < MODEL_MAX);
		b = &m->blocks[m->n_blocks++];
		*b = (struct model_block){ .prefix = *prefix };
	}
	b->expires_ns = expires_ns;
	shade(m, b);
}

bool model_unblock(struct policy_model *m, const struct levee_prefix *prefix)
{
	struct model_block *b = model_find(m, prefix);

	if (!b)
		return false;
	*b = m->blocks[--m->n_blocks];
	return true;
}

void model_drop_expired(struct policy_model *m, uint64_t now_ns)
{
	for (size_t i = 0; i < m->n_blocks;)
		if (m->blocks[i].expires_ns <= now_ns)
			m->blocks[i] = m->blocks[--m->n_blocks];
		else
			i++;
}

enum levee_verdict model_verdict(struct policy_model *m, const struct model_address *a,
				 uint64_t now_ns, struct model_block **by)
{
	struct model_block *best = NULL;

	if (by)
		*by = NULL;
	for (size_t i = 0; i < m->n_allowed; i++)
		if (model_contains(&m->allowed[i], a))
			return LEVEE_VERDICT_ALLOW;
	for (size_t i = 0; i < m->n_blocks; i++) {
		struct model_block *b = &m->blocks[i];

		if (b->expires_ns > now_ns && model_contains(&b->prefix, a) &&
		    (!best || b->prefix.length > best->prefix.length))
			best = b;
	}
	if (by)
		*by = best;
	return best ? LEVEE_VERDICT_BLOCK : LEVEE_VERDICT_NONE;
}

/* ---- random prefixes and addresses ------------------------------------------------------- */

static uint64_t random64(struct policy_model *m)
{
	return (uint64_t)model_random(m) << 33 ^ (uint64_t)model_random(m) << 11 ^ model_random(m);
}

/* One that the model holds; false if it holds none. */
static bool some_prefix(struct policy_model *m, struct levee_prefix *p)
{
	size_t n = m->n_allowed + m->n_blocks, at;

	if (!n)
		return false;
	at = model_random(m) % n;
	*p = at < m->n_allowed ? m->allowed[at] : m->blocks[at - m->n_allowed].prefix;
	return true;
}

/* Set what is behind the prefix's bits to random ones. */
static void fill_host(struct policy_model *m, struct levee_prefix *p)
{
	struct levee_prefix host = { random64(m), random64(m), p->family, p->length }, net = host;

	if (p->family == 4)
		host.hi = net.hi = (uint32_t)host.hi;
	levee_prefix_canon(&net);
	p->hi |= host.hi ^ net.hi;
	p->lo |= p->family == 6 ? host.lo ^ net.lo : 0;
}

static uint128_t number_of(const struct levee_prefix *p)
{
	return (uint128_t)p->hi << 64 | p->lo;
}

struct levee_prefix model_random_prefix(struct policy_model *m)
{
	/* The lengths at which bitmaps change what they stand for, and those of sources. */
	static const uint8_t edges4[] = { 0, 8, 15, 16, 17, 23, 24, 25, 31, 32, 32, 32, 32 };
	static const uint8_t edges6[] = { 0,  15, 16, 17, 31, 32, 33, 47,  48, 49,
					  56, 63, 64, 64, 64, 65, 96, 127, 128 };
	struct levee_prefix p;
	unsigned int most;

	if (model_random(m) % 3 == 0 || !some_prefix(m, &p)) {
		p = (struct levee_prefix){ .family = model_random(m) & 1 ? 4 : 6 };
		fill_host(m, &p);
	}
	most = p.family == 4 ? 32 : 128;
	fill_host(m, &p);
	if (model_random(m) & 1)
		p.length = p.family == 4 ? edges4[model_random(m) % sizeof(edges4)]
					 : edges6[model_random(m) % sizeof(edges6)];
	else
		p.length = (uint8_t)(model_random(m) % (most + 1));
	/* Short prefixes cover all the others: a few are enough. */
	if (p.length < 8 && model_random(m) % 4)
		p.length = (uint8_t)(p.length + 16);
	levee_prefix_canon(&p);
	return p;
}

struct model_address model_random_address(struct policy_model *m)
{
	struct levee_prefix p = { .family = model_random(m) & 1 ? 4 : 6 };
	unsigned int host_bits;
	uint128_t n, size;

	if (model_random(m) % 8 == 0 || !some_prefix(m, &p)) {
		fill_host(m, &p);
		return (struct model_address){ p.family, p.hi, p.lo };
	}
	if (model_random(m) & 1) {
		fill_host(m, &p);
		return (struct model_address){ p.family, p.hi, p.lo };
	}
	host_bits = (p.family == 4 ? 32U : 128U) - p.length;
	if (p.family == 4) { /* in the upper bits, so that both families wrap alike */
		p.hi <<= 32;
		host_bits += 96;
	}
	size = host_bits >= 128 ? 0 : (uint128_t)1 << host_bits;
	n = number_of(&p);
	switch (model_random(m) % 4) {
	case 0: /* the first of the prefix */
		break;
	case 1: /* the last */
		n += size - 1;
		break;
	case 2: /* the one before it */
		n -= 1;
		break;
	default: /* the one behind it */
		n += size;
		break;
	}
	p.hi = (uint64_t)(n >> 64);
	p.lo = (uint64_t)n;
	if (p.family == 4)
		return (struct model_address){ 4, p.hi >> 32, 0 };
	return (struct model_address){ 6, p.hi, p.lo };
}

/* ---- changes to both --------------------------------------------------------------------- */

static uint64_t random_end(struct policy_model *m, uint64_t now_ns)
{
	switch (model_random(m) % 4) {
	case 0:
		return now_ns > HOUR_NS ? now_ns - HOUR_NS : 1;
	case 1:
		return LEVEE_NEVER;
	default:
		return now_ns + HOUR_NS + model_random(m);
	}
}

static void step_block(struct policy_model *m, struct levee_policy *policy, uint64_t now_ns)
{
	struct levee_prefix p = model_random_prefix(m);
	uint64_t end_ns = random_end(m, now_ns);

	if (model_random(m) % 4 == 0)
		some_prefix(m, &p); /* extend, shorten, or block what is allowed */
	assert_int_equal(levee_policy_block(policy, &p, end_ns, now_ns), 0);
	model_block(m, &p, end_ns);
}

static void step_unblock(struct policy_model *m, struct levee_policy *policy)
{
	struct levee_prefix p = model_random_prefix(m);
	int ret;

	if (m->n_blocks && model_random(m) % 8)
		p = m->blocks[model_random(m) % m->n_blocks].prefix;
	ret = levee_policy_unblock(policy, &p);
	assert_int_equal(ret, model_unblock(m, &p) ? 0 : -ENOENT);
}

static void step_allow(struct policy_model *m, struct levee_policy *policy)
{
	struct levee_prefix list[ALLOWED_USUAL];
	size_t n = 0, wanted = model_random(m) % ALLOWED_USUAL;

	/* Some of the old, some new, some twice. */
	for (size_t i = 0; i < m->n_allowed && n < wanted; i++)
		if (model_random(m) % 3)
			list[n++] = m->allowed[i];
	while (n < wanted) {
		list[n] = model_random_prefix(m);
		if (n && model_random(m) % 16 == 0)
			list[n] = list[model_random(m) % n];
		n += list[n].length >= 8;
	}
	assert_int_equal(levee_policy_set_allowed(policy, list, n), 0);
	model_set_allowed(m, list, n);
}

void model_step(struct policy_model *m, struct levee_policy *policy, uint64_t now_ns)
{
	uint32_t dice = model_random(m) % 100;

	if (m->n_blocks > BLOCKS_USUAL)
		dice = dice / 2 + 50;
	if (dice < 60) {
		step_block(m, policy, now_ns);
	} else if (dice < 90) {
		step_unblock(m, policy);
	} else if (dice < 96) {
		step_allow(m, policy);
	} else if (dice < 97) {
		levee_policy_drop_expired(policy, now_ns);
		model_drop_expired(m, now_ns);
	} else {
		levee_policy_tidy(policy);
	}
}

static void count_one(void *ctx, const struct levee_policy_info *info)
{
	(void)info;
	(*(size_t *)ctx)++;
}

void model_assert_same(struct policy_model *m, const struct levee_policy *policy)
{
	struct levee_policy_info info;
	size_t walked = 0;

	for (size_t i = 0; i < m->n_blocks; i++) {
		const struct model_block *b = &m->blocks[i];

		assert_int_equal(levee_policy_get(policy, &b->prefix, &info), 0);
		assert_int_equal(levee_prefix_compare(&info.prefix, &b->prefix), 0);
		assert_int_equal(info.expires_ns, b->expires_ns);
		assert_int_equal(info.shadowed, b->shadowed);
		assert_int_equal(info.packets, b->packets);
		assert_int_equal(info.bytes, b->bytes);
		assert_true(info.first_ns || !b->packets);
		assert_int_equal(levee_policy_is_allowed(policy, &b->prefix), b->shadowed);
	}
	for (size_t i = 0; i < m->n_allowed; i++)
		assert_true(levee_policy_is_allowed(policy, &m->allowed[i]));
	levee_policy_walk(policy, count_one, &walked);
	assert_int_equal(walked, m->n_blocks);
	assert_int_equal(levee_policy_blocks(policy), m->n_blocks);
	assert_int_equal(levee_policy_allowed(policy), m->n_allowed);
}
