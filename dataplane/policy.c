/* SPDX-License-Identifier: BSD-2-Clause */
#include "dataplane/policy.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/prefixmap.h"

/* A block as the controller wants it; rule is 0 while the allow list covers it. */
struct wanted {
	struct levee_prefix prefix;
	uint64_t expires_ns;
	uint64_t created_ns;
	uint64_t interval_ns; /* a limit: between two packets at the rate that passes; 0: a block */
	uint64_t slack_ns;
	uint32_t rule;
};

struct levee_policy {
	struct levee_policy_memory m;

	struct levee_prefixmap allowed; /* -> rule index */
	struct levee_prefixmap blocked; /* -> index into wanted */
	struct wanted *wanted;
	uint32_t n_wanted;
	uint32_t room_wanted;

	uint32_t *free_rules; /* indices to give out, a stack */
	uint32_t n_free;
	uint32_t *going; /* removed, but a reader may still hold them */
	uint32_t n_going;

	uint32_t lengths4[33]; /* rules in the table of each length */
	uint32_t lengths6[129];
	bool stale_bits;    /* bitmaps have bits that no rule needs */
	uint32_t mid4_bits; /* set in mid4 */

	struct levee_prefixmap heirs; /* -> index into inherited */
	struct levee_hits *inherited;
	uint32_t n_inherited;
	uint32_t room_inherited;

	/* Begun when the last rule was removed, and when lengths were published: what comes much
	 * later finds them passed, and waits for nobody. */
	uint64_t going_fence;
	uint64_t lengths_fence;
};

static uint64_t start_fence(const struct levee_policy *policy)
{
	return policy->m.fence_start ? policy->m.fence_start(policy->m.ctx) : 0;
}

static void wait_fence(const struct levee_policy *policy, uint64_t nr)
{
	if (policy->m.fence_start)
		policy->m.fence_wait(policy->m.ctx, nr);
}

/* ---- finding a rule in the table --------------------------------------------------------- */

static uint64_t hash_of(const struct levee_policy_memory *m, const struct levee_prefix *p)
{
	if (p->family == 4)
		return levee_rule_hash4(&m->key, (uint32_t)p->hi, p->length);
	return levee_rule_hash6(&m->key, p->hi, p->lo, p->length);
}

static uint64_t tag_of(uint64_t hash, const struct levee_prefix *p)
{
	return p->family == 4 ? levee_slot_tag4((uint32_t)p->hi, p->length)
			      : levee_slot_tag6(hash, p->length);
}

static bool rule_is(const struct levee_rule *rule, const struct levee_prefix *p)
{
	return rule->hi == p->hi && rule->lo == p->lo && rule->length == p->length &&
	       rule->family == p->family;
}

/* The slot that leads to rule `index` of prefix p; NULL if there is none. */
static __u64 *find_slot(const struct levee_policy_memory *m, const struct levee_prefix *p,
			uint32_t index)
{
	uint64_t hash = hash_of(m, p), tag = tag_of(hash, p), at = hash;

	for (int choice = 0; choice < 2; choice++) {
		struct levee_policy_bucket *b = &m->buckets[levee_bucket_of(at, m->rule_bits)];

		for (unsigned int i = 0; i < LEVEE_POLICY_SLOTS; i++)
			if (levee_slot_is(b->slot[i], tag) && levee_slot_rule(b->slot[i]) == index)
				return &b->slot[i];
		at = levee_hash_again(&m->key, hash);
	}
	return NULL;
}

/* As ebpf/levee.bpf.c, search_rule(): the index of a prefix, 0 if there is none. */
static uint32_t search(const struct levee_policy_memory *m, const struct levee_prefix *p)
{
	uint64_t hash = hash_of(m, p), tag = tag_of(hash, p), at = hash;

	for (int choice = 0; choice < 2; choice++) {
		const struct levee_policy_bucket *b =
			&m->buckets[levee_bucket_of(at, m->rule_bits)];
		unsigned int i;

		for (i = 0; i < LEVEE_POLICY_SLOTS; i++) {
			uint64_t slot = levee_read_once(b->slot[i]);

			if (!slot)
				return 0;
			/* Two IPv6 prefixes share bucket and tag once in 2^32: the first counts. */
			if (levee_slot_is(slot, tag))
				return rule_is(&m->rules[levee_slot_rule(slot)], p)
					       ? levee_slot_rule(slot)
					       : 0;
		}
		at = levee_hash_again(&m->key, hash);
	}
	return 0;
}

/* A slot that a new rule of this prefix may take; NULL if both buckets are full. */
static __u64 *find_room(const struct levee_policy_memory *m, const struct levee_prefix *p)
{
	uint64_t hash = hash_of(m, p), at = hash;

	for (int choice = 0; choice < 2; choice++) {
		struct levee_policy_bucket *b = &m->buckets[levee_bucket_of(at, m->rule_bits)];

		for (unsigned int i = 0; i < LEVEE_POLICY_SLOTS; i++)
			if (!b->slot[i] || b->slot[i] == LEVEE_SLOT_GONE)
				return &b->slot[i];
		at = levee_hash_again(&m->key, hash);
	}
	return NULL;
}

/* ---- the bitmaps in front ---------------------------------------------------------------- */

/* Where bits are set: the table's own bitmaps, or a private copy that is then written over. */
struct bitmaps {
	struct levee_front *front;
	__u64 *far4, *far6;
};

static void set_bits(__u64 *words, uint32_t first, uint32_t n)
{
	for (uint32_t bit = first; n; bit++, n--) {
		if (!(bit & 63) && n >= 64) {
			levee_write_once(words[bit >> 6], ~0ULL);
			bit += 63;
			n -= 63;
			continue;
		}
		levee_write_once(words[bit >> 6], words[bit >> 6] | (1ULL << (bit & 63)));
	}
}

static void mark4(const struct bitmaps *to, const struct levee_hash_key *key,
		  const struct levee_prefix *p)
{
	uint32_t addr = (uint32_t)p->hi;

	if (p->length < 24)
		set_bits(to->front->wide4, addr >> 16,
			 p->length >= 16 ? 1 : 1U << (16 - p->length));
	else
		set_bits(to->front->mid4, levee_mid4_bit(key, addr), 1);
	set_bits(to->far4, addr >> 8, p->length >= 24 ? 1 : 1U << (24 - p->length));
	set_bits(to->front->near4, addr >> 16, p->length >= 16 ? 1 : 1U << (16 - p->length));
}

static void mark6(const struct bitmaps *to, const struct levee_hash_key *key,
		  const struct levee_prefix *p)
{
	uint32_t near = levee_near6_bit(key, p->hi);

	if (p->length < 32) {
		set_bits(&to->front->wide6, (uint32_t)(p->hi >> 58),
			 p->length >= 6 ? 1 : 1U << (6 - p->length));
		set_bits(to->front->top6, (uint32_t)(p->hi >> 48),
			 p->length >= 16 ? 1 : 1U << (16 - p->length));
		return;
	}
	if (p->length >= 48)
		set_bits(to->far6, levee_far6_bit(key, p->hi), 1);
	else
		set_bits(to->front->short6, near, 1);
	set_bits(to->front->near6, near, 1);
}

static void mark(const struct levee_policy *policy, const struct bitmaps *to,
		 const struct levee_prefix *p)
{
	if (p->family == 4)
		mark4(to, &policy->m.key, p);
	else
		mark6(to, &policy->m.key, p);
}

static void say_crowded(const struct levee_policy *policy)
{
	levee_write_once(policy->m.front->crowded4, policy->mid4_bits > LEVEE_MID4_CROWD);
}

static void mark_live(struct levee_policy *policy, const struct levee_prefix *p)
{
	const struct levee_policy_memory *m = &policy->m;
	struct bitmaps live = { m->front, m->far4, m->far6 };

	if (p->family == 4 && p->length >= 24 &&
	    !levee_bit(m->front->mid4, levee_mid4_bit(&m->key, (uint32_t)p->hi)))
		policy->mid4_bits++;
	mark(policy, &live, p);
	say_crowded(policy);
}

static struct levee_prefix prefix_of(const struct levee_rule *rule)
{
	return (struct levee_prefix){
		.hi = rule->hi, .lo = rule->lo, .family = rule->family, .length = rule->length
	};
}

static void write_words(__u64 *to, const __u64 *from, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (to[i] != from[i])
			levee_write_once(to[i], from[i]);
}

void levee_policy_tidy(struct levee_policy *policy)
{
	struct levee_policy_memory *m = &policy->m;
	struct levee_front *front = m->front;
	struct bitmaps fresh;

	if (!policy->stale_bits)
		return;
	fresh.front = calloc(1, sizeof(*fresh.front) + 2 * LEVEE_FAR_WORDS * sizeof(__u64));
	if (!fresh.front)
		return; /* superfluous bits cost time, never a verdict */
	fresh.far4 = (__u64 *)(fresh.front + 1);
	fresh.far6 = fresh.far4 + LEVEE_FAR_WORDS;
	for (uint32_t i = 1; i < m->rule_count; i++) {
		struct levee_prefix p;

		if (m->rules[i].verdict == LEVEE_VERDICT_NONE)
			continue;
		p = prefix_of(&m->rules[i]);
		mark(policy, &fresh, &p);
	}
	write_words(front->near4, fresh.front->near4, LEVEE_NEAR_WORDS);
	write_words(front->wide4, fresh.front->wide4, LEVEE_NEAR_WORDS);
	write_words(front->mid4, fresh.front->mid4, LEVEE_MID4_WORDS);
	write_words(m->far4, fresh.far4, LEVEE_FAR_WORDS);
	write_words(front->near6, fresh.front->near6, LEVEE_NEAR_WORDS);
	write_words(&front->wide6, &fresh.front->wide6, 1);
	write_words(front->top6, fresh.front->top6, LEVEE_NEAR_WORDS);
	write_words(front->short6, fresh.front->short6, LEVEE_NEAR_WORDS);
	write_words(m->far6, fresh.far6, LEVEE_FAR_WORDS);
	policy->mid4_bits = 0;
	for (size_t i = 0; i < LEVEE_MID4_WORDS; i++)
		policy->mid4_bits += (uint32_t)__builtin_popcountll(fresh.front->mid4[i]);
	say_crowded(policy);
	free(fresh.front);
	policy->stale_bits = false;
}

/* ---- the lengths in use ------------------------------------------------------------------ */

/* Write the other of the two sets, then point to it. Readers of the old one see a whole list. */
static void publish_lengths(struct levee_policy *policy)
{
	struct levee_front *front = policy->m.front;
	uint32_t other = !(front->in_use & 1);
	struct levee_lengths *l = &front->lengths[other];

	wait_fence(policy, policy->lengths_fence); /* nobody reads the set before the last one */
	l->n4 = 0;
	for (int length = 32; length >= 0; length--)
		if (policy->lengths4[length])
			l->len4[l->n4++] = (uint8_t)length;
	l->n6 = 0;
	for (int length = 128; length >= 0; length--)
		if (policy->lengths6[length])
			l->len6[l->n6++] = (uint8_t)length;
	__atomic_store_n(&front->in_use, other, __ATOMIC_RELEASE);
	policy->lengths_fence = start_fence(policy);
}

static void use_length(struct levee_policy *policy, const struct levee_prefix *p)
{
	uint32_t *n = p->family == 4 ? &policy->lengths4[p->length] : &policy->lengths6[p->length];

	if (!(*n)++)
		publish_lengths(policy);
}

/* A length that is not used any more only costs time: the next new length takes it out. */
static void leave_length(struct levee_policy *policy, const struct levee_prefix *p)
{
	uint32_t *n = p->family == 4 ? &policy->lengths4[p->length] : &policy->lengths6[p->length];

	(*n)--;
}

/* ---- adding and removing rules ----------------------------------------------------------- */

static uint32_t take_rule(struct levee_policy *policy)
{
	if (!policy->n_free && policy->n_going) {
		wait_fence(policy, policy->going_fence);
		memcpy(policy->free_rules, policy->going, policy->n_going * sizeof(uint32_t));
		policy->n_free = policy->n_going;
		policy->n_going = 0;
	}
	return policy->n_free ? policy->free_rules[--policy->n_free] : 0;
}

static int add_rule(struct levee_policy *policy, const struct levee_prefix *p,
		    enum levee_verdict verdict, uint64_t expires_ns, uint64_t created_ns,
		    uint32_t *index)
{
	struct levee_policy_memory *m = &policy->m;
	__u64 *slot = find_room(m, p);
	struct levee_rule *rule;
	uint32_t i = slot ? take_rule(policy) : 0, *heir;

	if (!i)
		return -ENOSPC;
	rule = &m->rules[i];
	*rule = (struct levee_rule){ .hi = p->hi,
				     .lo = p->lo,
				     .expires_ns = expires_ns,
				     .created_ns = created_ns,
				     .family = p->family,
				     .length = p->length,
				     .verdict = (uint8_t)verdict };
	for (uint32_t cpu = 0; cpu < m->cpus; cpu++)
		m->hits[(size_t)cpu * m->rule_count + i] = (struct levee_hits){ 0 };
	heir = verdict == LEVEE_VERDICT_ALLOW ? NULL : levee_prefixmap_get(&policy->heirs, p);
	if (heir) {
		m->hits[i] = policy->inherited[*heir];
		levee_prefixmap_remove(&policy->heirs, p);
	}

	mark_live(policy, p);
	use_length(policy, p);
	__atomic_store_n(slot, tag_of(hash_of(m, p), p) | i, __ATOMIC_RELEASE);
	*index = i;
	return 0;
}

/*
 * Free the removed slots at the end of a bucket. A full bucket keeps them, because readers go on
 * to the second choice only past a full one.
 */
static void trim_bucket(struct levee_policy_bucket *b)
{
	if (b->slot[LEVEE_POLICY_SLOTS - 1])
		return;
	for (int i = LEVEE_POLICY_SLOTS - 1; i >= 0; i--) {
		if (b->slot[i] && b->slot[i] != LEVEE_SLOT_GONE)
			return;
		levee_write_once(b->slot[i], 0);
	}
}

static void remove_rule(struct levee_policy *policy, uint32_t index)
{
	struct levee_policy_memory *m = &policy->m;
	struct levee_prefix p = prefix_of(&m->rules[index]);
	__u64 *slot = find_slot(m, &p, index);

	if (slot) {
		levee_write_once(*slot, LEVEE_SLOT_GONE);
		trim_bucket(&m->buckets[((uintptr_t)slot - (uintptr_t)m->buckets) /
					sizeof(m->buckets[0])]);
	}
	levee_write_once(m->rules[index].verdict, LEVEE_VERDICT_NONE);
	leave_length(policy, &p);
	policy->going[policy->n_going++] = index;
	policy->going_fence = start_fence(policy);
	policy->stale_bits = true;
}

/* ---- taking over a table ----------------------------------------------------------------- */

static int want(struct levee_policy *policy, const struct levee_prefix *prefix, uint32_t rule,
		uint64_t expires_ns, uint64_t created_ns)
{
	struct wanted *more;
	int ret;

	if (policy->n_wanted == policy->room_wanted) {
		uint32_t room = policy->room_wanted ? policy->room_wanted * 2 : 64;

		more = realloc(policy->wanted, room * sizeof(*more));
		if (!more)
			return -ENOMEM;
		policy->wanted = more;
		policy->room_wanted = room;
	}
	ret = levee_prefixmap_set(&policy->blocked, prefix, policy->n_wanted);
	if (ret)
		return ret;
	policy->wanted[policy->n_wanted++] = (struct wanted){
		.prefix = *prefix, .expires_ns = expires_ns, .created_ns = created_ns, .rule = rule
	};
	return 0;
}

/* Order of the array does not matter: the last one fills the gap. */
static void unwant(struct levee_policy *policy, uint32_t at)
{
	uint32_t last = --policy->n_wanted;

	levee_prefixmap_remove(&policy->blocked, &policy->wanted[at].prefix);
	if (at != last) {
		policy->wanted[at] = policy->wanted[last];
		*levee_prefixmap_get(&policy->blocked, &policy->wanted[at].prefix) = at;
	}
}

static bool is_sound(const struct levee_rule *rule)
{
	struct levee_prefix p = prefix_of(rule), canon = p;

	if (rule->family != 4 && rule->family != 6)
		return false;
	if (rule->length > (rule->family == 4 ? 32 : 128))
		return false;
	levee_prefix_canon(&canon);
	if (rule->verdict == LEVEE_VERDICT_LIMIT && !rule->interval_ns)
		return false;
	return canon.hi == p.hi && canon.lo == p.lo && rule->verdict >= LEVEE_VERDICT_ALLOW &&
	       rule->verdict <= LEVEE_VERDICT_LIMIT;
}

/* Is this the slot by which its rule is found? Another one only leads readers astray. */
static bool is_own_slot(const struct levee_policy_memory *m, const __u64 *slot)
{
	uint32_t index = levee_slot_rule(*slot);
	struct levee_prefix p;

	if (!index || index >= m->rule_count || !is_sound(&m->rules[index]))
		return false;
	p = prefix_of(&m->rules[index]);
	return find_slot(m, &p, index) == slot;
}

/* Slots that lead nowhere would be dead weight for ever, and readers stop at the first free one. */
static void sweep_slots(struct levee_policy *policy)
{
	struct levee_policy_memory *m = &policy->m;

	for (uint32_t nr = 0; nr < 1U << m->rule_bits; nr++) {
		struct levee_policy_bucket *b = &m->buckets[nr];
		bool behind = false; /* there is a rule behind this slot */

		for (int i = LEVEE_POLICY_SLOTS - 1; i >= 0; i--) {
			if (b->slot[i] && b->slot[i] != LEVEE_SLOT_GONE &&
			    is_own_slot(m, &b->slot[i]))
				behind = true;
			else if (b->slot[i] || behind)
				levee_write_once(b->slot[i], LEVEE_SLOT_GONE);
		}
		trim_bucket(b);
	}
}

/*
 * A process may have been killed at any store, and worse may have happened: keep what readers
 * find, take back what they do not.
 */
static int adopt_rules(struct levee_policy *policy)
{
	struct levee_policy_memory *m = &policy->m;
	int ret = 0;

	sweep_slots(policy);
	for (uint32_t i = m->rule_count - 1; i >= 1 && !ret; i--) {
		struct levee_rule *rule = &m->rules[i];
		struct levee_prefix p = prefix_of(rule);

		if (!is_sound(rule) || search(m, &p) != i) {
			levee_write_once(rule->verdict, LEVEE_VERDICT_NONE);
			policy->free_rules[policy->n_free++] = i;
			continue;
		}
		if (p.family == 4)
			policy->lengths4[p.length]++;
		else
			policy->lengths6[p.length]++;
		if (rule->verdict == LEVEE_VERDICT_ALLOW) {
			levee_write_once(rule->expires_ns, LEVEE_NEVER);
			ret = levee_prefixmap_set(&policy->allowed, &p, i);
		} else {
			ret = want(policy, &p, i, rule->expires_ns, rule->created_ns);
			if (!ret && rule->verdict == LEVEE_VERDICT_LIMIT) {
				policy->wanted[policy->n_wanted - 1].interval_ns =
					rule->interval_ns;
				policy->wanted[policy->n_wanted - 1].slack_ns = rule->slack_ns;
			}
		}
	}
	sweep_slots(policy); /* of the rules that were taken back */
	return ret;
}

static void apply_shadows(struct levee_policy *policy);

int levee_policy_new(struct levee_policy **out, const struct levee_policy_memory *memory)
{
	struct levee_policy *policy = calloc(1, sizeof(*policy));
	int ret = -ENOMEM;

	*out = NULL;
	if (!policy)
		return -ENOMEM;
	policy->m = *memory;
	policy->free_rules = calloc(memory->rule_count, sizeof(uint32_t));
	policy->going = calloc(memory->rule_count, sizeof(uint32_t));
	if (!policy->free_rules || !policy->going)
		goto fail;
	ret = adopt_rules(policy);
	if (ret)
		goto fail;
	/* Lengths of sources are always in use, so that the first block need not wait for a fence. */
	policy->lengths4[32]++;
	policy->lengths6[memory->source6_length]++;
	/* The process before may have just published. */
	policy->lengths_fence = start_fence(policy);
	publish_lengths(policy);
	apply_shadows(policy); /* a process killed while it changed the allow list left that */
	policy->stale_bits = true;
	levee_policy_tidy(policy);
	*out = policy;
	return 0;
fail:
	levee_policy_free(&policy);
	return ret;
}

void levee_policy_free(struct levee_policy **policy)
{
	struct levee_policy *p = *policy;

	if (!p)
		return;
	levee_prefixmap_clear(&p->allowed);
	levee_prefixmap_clear(&p->blocked);
	levee_policy_inherit_end(p);
	free(p->wanted);
	free(p->free_rules);
	free(p->going);
	free(p);
	*policy = NULL;
}

void levee_policy_clear(struct levee_policy *policy)
{
	for (uint32_t i = 1; i < policy->m.rule_count; i++)
		if (policy->m.rules[i].verdict != LEVEE_VERDICT_NONE)
			remove_rule(policy, i);
	levee_prefixmap_clear(&policy->allowed);
	levee_prefixmap_clear(&policy->blocked);
	policy->n_wanted = 0;
	levee_policy_tidy(policy);
	memset(policy->m.hits, 0,
	       (size_t)policy->m.cpus * policy->m.rule_count * sizeof(*policy->m.hits));
}

/* ---- the allow list ---------------------------------------------------------------------- */

bool levee_policy_is_allowed(const struct levee_policy *policy, const struct levee_prefix *prefix)
{
	return levee_prefixmap_cover(&policy->allowed, prefix);
}

static void shadow(struct levee_policy *policy, struct wanted *w)
{
	if (!w->rule)
		return;
	remove_rule(policy, w->rule);
	w->rule = 0;
}

/*
 * Put the new entries in, before anything else changes. A block of the very same prefix has to
 * leave first, as one prefix leads to one rule.
 */
static int add_allowed(struct levee_policy *policy, const struct levee_prefix *list, size_t n,
		       struct levee_prefixmap *added)
{
	uint32_t index, *at;
	int ret;

	for (size_t i = 0; i < n; i++) {
		if (levee_prefixmap_get(&policy->allowed, &list[i]) ||
		    levee_prefixmap_get(added, &list[i]))
			continue;
		at = levee_prefixmap_get(&policy->blocked, &list[i]);
		if (at)
			shadow(policy, &policy->wanted[*at]);
		ret = add_rule(policy, &list[i], LEVEE_VERDICT_ALLOW, LEVEE_NEVER, 0, &index);
		if (ret)
			return ret;
		ret = levee_prefixmap_set(added, &list[i], index);
		if (ret) {
			remove_rule(policy, index);
			return ret;
		}
	}
	return 0;
}

/* A rule is a block first, so that what is to be limited never passes as a whole. */
static void apply_rate(struct levee_policy *policy, const struct wanted *w)
{
	struct levee_rule *rule = &policy->m.rules[w->rule];

	if (!w->rule)
		return;
	if (!w->interval_ns) {
		levee_write_once(rule->verdict, LEVEE_VERDICT_BLOCK);
		return;
	}
	levee_write_once(rule->interval_ns, w->interval_ns);
	levee_write_once(rule->slack_ns, w->slack_ns);
	__atomic_thread_fence(__ATOMIC_RELEASE);
	levee_write_once(rule->verdict, LEVEE_VERDICT_LIMIT);
}

static int put_in_table(struct levee_policy *policy, struct wanted *w)
{
	int ret = add_rule(policy, &w->prefix, LEVEE_VERDICT_BLOCK, w->expires_ns, w->created_ns,
			   &w->rule);

	apply_rate(policy, w);
	return ret;
}

/*
 * Blocks enter and leave the table as the allow list covers them or not. One for which the table
 * has no room stays out, and enters when it is asked for again.
 */
static void apply_shadows(struct levee_policy *policy)
{
	for (uint32_t i = 0; i < policy->n_wanted; i++) {
		struct wanted *w = &policy->wanted[i];

		if (levee_policy_is_allowed(policy, &w->prefix))
			shadow(policy, w);
		else if (!w->rule)
			put_in_table(policy, w);
	}
}

static void remove_all(struct levee_policy *policy, struct levee_prefixmap *map)
{
	const struct levee_prefixmap_entry *e;

	for (size_t i = 0; (e = levee_prefixmap_next(map, &i));)
		remove_rule(policy, e->value);
	levee_prefixmap_clear(map);
}

int levee_policy_set_allowed(struct levee_policy *policy, const struct levee_prefix *list, size_t n)
{
	struct levee_prefixmap added = { 0 }, next = { 0 };
	const struct levee_prefixmap_entry *e;
	uint32_t *index;
	int ret;

	ret = add_allowed(policy, list, n, &added);
	for (size_t i = 0; i < n && !ret; i++) {
		index = levee_prefixmap_get(&policy->allowed, &list[i]);
		if (!index)
			index = levee_prefixmap_get(&added, &list[i]);
		ret = levee_prefixmap_set(&next, &list[i], *index);
	}
	if (ret) {
		remove_all(policy, &added);
		levee_prefixmap_clear(&next);
		apply_shadows(policy);
		return ret;
	}

	/* From here on nothing fails. What is covered goes before what covered it. */
	for (size_t i = 0; (e = levee_prefixmap_next(&policy->allowed, &i));)
		if (!levee_prefixmap_get(&next, &e->key))
			remove_rule(policy, e->value);
	levee_prefixmap_clear(&policy->allowed);
	levee_prefixmap_clear(&added);
	policy->allowed = next;
	apply_shadows(policy);
	levee_policy_tidy(policy);
	return 0;
}

/* ---- blocks ------------------------------------------------------------------------------ */

int levee_policy_block(struct levee_policy *policy, const struct levee_prefix *prefix,
		       uint64_t expires_ns, uint64_t now_ns)
{
	uint32_t *at = levee_prefixmap_get(&policy->blocked, prefix);
	uint32_t rule = 0;
	int ret;

	if (at) {
		struct wanted *w = &policy->wanted[*at];

		w->expires_ns = expires_ns;
		if (w->rule)
			levee_write_once(policy->m.rules[w->rule].expires_ns, expires_ns);
		else if (!levee_policy_is_allowed(policy, prefix))
			return put_in_table(policy, w);
		return 0;
	}
	if (!levee_policy_is_allowed(policy, prefix)) {
		ret = add_rule(policy, prefix, LEVEE_VERDICT_BLOCK, expires_ns, now_ns, &rule);
		if (ret)
			return ret;
	}
	ret = want(policy, prefix, rule, expires_ns, now_ns);
	if (ret && rule)
		remove_rule(policy, rule);
	return ret;
}

int levee_policy_set_rate(struct levee_policy *policy, const struct levee_prefix *prefix,
			  uint64_t pps, uint64_t burst)
{
	const uint64_t second_ns = 1000000000;
	uint32_t *at = levee_prefixmap_get(&policy->blocked, prefix);
	struct wanted *w;

	if (!at)
		return -ENOENT;
	if (pps > second_ns || (pps && (!burst || burst > UINT32_MAX)))
		return -EINVAL;
	w = &policy->wanted[*at];
	w->interval_ns = pps ? second_ns / pps : 0;
	w->slack_ns = pps ? (burst - 1) * w->interval_ns : 0;
	apply_rate(policy, w);
	return 0;
}

int levee_policy_unblock(struct levee_policy *policy, const struct levee_prefix *prefix)
{
	uint32_t *at = levee_prefixmap_get(&policy->blocked, prefix);

	if (!at)
		return -ENOENT;
	shadow(policy, &policy->wanted[*at]);
	unwant(policy, *at);
	return 0;
}

void levee_policy_drop_expired(struct levee_policy *policy, uint64_t now_ns)
{
	/* Backwards: unwant() moves the last one, which was looked at, into the gap. */
	for (uint32_t i = policy->n_wanted; i-- > 0;) {
		if (policy->wanted[i].expires_ns > now_ns)
			continue;
		shadow(policy, &policy->wanted[i]);
		unwant(policy, i);
	}
}

void levee_hits_add(struct levee_hits *sum, const struct levee_hits *more)
{
	uint64_t first_ns = levee_read_once(more->first_ns);
	uint64_t last_ns = levee_read_once(more->last_ns);

	sum->packets += levee_read_once(more->packets);
	sum->bytes += levee_read_once(more->bytes);
	if (first_ns && (!sum->first_ns || first_ns < sum->first_ns))
		sum->first_ns = first_ns;
	if (last_ns > sum->last_ns)
		sum->last_ns = last_ns;
}

static void add_hits(const struct levee_policy *policy, uint32_t rule,
		     struct levee_policy_info *info)
{
	struct levee_hits sum = { 0 };

	for (uint32_t cpu = 0; cpu < policy->m.cpus; cpu++)
		levee_hits_add(&sum, &policy->m.hits[(size_t)cpu * policy->m.rule_count + rule]);
	info->packets = sum.packets;
	info->bytes = sum.bytes;
	info->first_ns = sum.first_ns;
	info->last_ns = sum.last_ns;
}

/* ---- counts of elsewhere --------------------------------------------------------------------- */

int levee_policy_inherit(struct levee_policy *policy, const struct levee_prefix *prefix,
			 const struct levee_hits *hits)
{
	uint32_t room = policy->room_inherited ? policy->room_inherited * 2 : 64;
	struct levee_prefix canon = *prefix;
	struct levee_hits *more;
	int ret;

	if ((prefix->family != 4 && prefix->family != 6) ||
	    prefix->length > (prefix->family == 4 ? 32 : 128))
		return -EINVAL;
	levee_prefix_canon(&canon);
	if (levee_prefix_compare(&canon, prefix))
		return -EINVAL;
	if (!hits->packets || levee_prefixmap_get(&policy->blocked, prefix) ||
	    levee_prefixmap_get(&policy->heirs, prefix))
		return 0;
	if (policy->n_inherited == policy->room_inherited) {
		more = reallocarray(policy->inherited, room, sizeof(*more));
		if (!more)
			return -ENOMEM;
		policy->inherited = more;
		policy->room_inherited = room;
	}
	ret = levee_prefixmap_set(&policy->heirs, prefix, policy->n_inherited);
	if (!ret)
		policy->inherited[policy->n_inherited++] = *hits;
	return ret;
}

void levee_policy_inherit_end(struct levee_policy *policy)
{
	levee_prefixmap_clear(&policy->heirs);
	free(policy->inherited);
	policy->inherited = NULL;
	policy->n_inherited = policy->room_inherited = 0;
}

int levee_policy_add_hits(struct levee_policy *policy, const struct levee_prefix *prefix,
			  const struct levee_hits *more, uint32_t cpu)
{
	const uint32_t *at = levee_prefixmap_get(&policy->blocked, prefix);
	uint32_t rule = at ? policy->wanted[*at].rule : 0;
	struct levee_hits *h;

	if (!rule || cpu >= policy->m.cpus)
		return -ENOENT;
	h = &policy->m.hits[(size_t)cpu * policy->m.rule_count + rule];
	__atomic_fetch_add(&h->packets, more->packets, __ATOMIC_RELAXED);
	__atomic_fetch_add(&h->bytes, more->bytes, __ATOMIC_RELAXED);
	if (!levee_read_once(h->first_ns))
		levee_write_once(h->first_ns, more->first_ns);
	if (levee_read_once(h->last_ns) < more->last_ns)
		levee_write_once(h->last_ns, more->last_ns);
	return 0;
}

static void describe(const struct levee_policy *policy, const struct wanted *w,
		     struct levee_policy_info *info)
{
	*info = (struct levee_policy_info){ .prefix = w->prefix,
					    .expires_ns = w->expires_ns,
					    .created_ns = w->created_ns,
					    .shadowed = !w->rule };
	if (w->interval_ns) {
		info->rate_pps = 1000000000 / w->interval_ns;
		info->burst = w->slack_ns / w->interval_ns + 1;
	}
	if (w->rule)
		add_hits(policy, w->rule, info);
}

int levee_policy_get(const struct levee_policy *policy, const struct levee_prefix *prefix,
		     struct levee_policy_info *info)
{
	const uint32_t *at = levee_prefixmap_get(&policy->blocked, prefix);

	if (!at)
		return -ENOENT;
	describe(policy, &policy->wanted[*at], info);
	return 0;
}

void levee_policy_walk(const struct levee_policy *policy,
		       void (*fn)(void *ctx, const struct levee_policy_info *info), void *ctx)
{
	for (uint32_t i = 0; i < policy->n_wanted; i++) {
		struct levee_policy_info info;

		describe(policy, &policy->wanted[i], &info);
		fn(ctx, &info);
	}
}

void levee_policy_walk_allowed(const struct levee_policy *policy,
			       void (*fn)(void *ctx, const struct levee_prefix *prefix), void *ctx)
{
	const struct levee_prefixmap_entry *e;

	for (size_t i = 0; (e = levee_prefixmap_next(&policy->allowed, &i));)
		fn(ctx, &e->key);
}

size_t levee_policy_blocks(const struct levee_policy *policy)
{
	return policy->n_wanted;
}

size_t levee_policy_allowed(const struct levee_policy *policy)
{
	return policy->allowed.n;
}

/* ---- the reader in user space ------------------------------------------------------------ */

static bool may_match4(const struct levee_policy_memory *m, uint32_t addr)
{
	const struct levee_front *front = m->front;

	if (!levee_bit(front->near4, addr >> 16))
		return false;
	if (!levee_bit(front->wide4, addr >> 16)) {
		if (!levee_bit(front->mid4, levee_mid4_bit(&m->key, addr)))
			return false;
		if (!levee_read_once(front->crowded4))
			return true;
	}
	return levee_bit(m->far4, addr >> 8);
}

static bool may_match6(const struct levee_policy_memory *m, uint64_t hi)
{
	const struct levee_front *front = m->front;
	uint32_t near = levee_near6_bit(&m->key, hi);

	if (!levee_near6(front, &m->key, hi))
		return false;
	if (levee_bit(front->top6, (uint32_t)(hi >> 48)))
		return true;
	if (!levee_bit(front->near6, near))
		return false;
	return levee_bit(front->short6, near) || levee_bit(m->far6, levee_far6_bit(&m->key, hi));
}

static bool may_match(const struct levee_policy_memory *m, uint8_t family, uint64_t hi)
{
	return family == 4 ? may_match4(m, (uint32_t)hi) : may_match6(m, hi);
}

static const struct levee_lengths *lengths_of(const struct levee_policy_memory *m)
{
	return &m->front->lengths[__atomic_load_n(&m->front->in_use, __ATOMIC_ACQUIRE) & 1];
}

/* As the kernel does it, for records of several packets: all of them pass, or none. */
static bool is_within_rate(struct levee_rule *rule, uint64_t packets, uint64_t now_ns)
{
	__u64 next_ns = __atomic_load_n(&rule->next_ns, __ATOMIC_RELAXED), from_ns, need_ns;

	do {
		from_ns = next_ns > now_ns ? next_ns : now_ns;
		if (__builtin_mul_overflow(packets ? packets - 1 : 0, rule->interval_ns,
					   &need_ns) ||
		    need_ns > rule->slack_ns || from_ns - now_ns > rule->slack_ns - need_ns)
			return false;
	} while (!__atomic_compare_exchange_n(&rule->next_ns, &next_ns,
					      from_ns + need_ns + rule->interval_ns, false,
					      __ATOMIC_RELAXED, __ATOMIC_RELAXED));
	return true;
}

/* Longer ones are looked for first, and found first: the others are rarely needed. */
#define LENGTHS_ASKED 3

bool levee_policy_ask(const struct levee_policy_memory *m, uint8_t family, uint64_t hi, uint64_t lo)
{
	const struct levee_lengths *l;
	uint32_t n;

	if (!may_match(m, family, hi))
		return false;
	l = lengths_of(m);
	n = family == 4 ? l->n4 : l->n6;
	for (uint32_t i = 0; i < n && i < LENGTHS_ASKED; i++) {
		struct levee_prefix p = { .hi = hi,
					  .lo = lo,
					  .family = family,
					  .length = family == 4 ? l->len4[i] : l->len6[i] };

		levee_prefix_canon(&p);
		__builtin_prefetch(&m->buckets[levee_bucket_of(hash_of(m, &p), m->rule_bits)]);
	}
	return true;
}

static enum levee_verdict apply(const struct levee_policy_memory *m, uint32_t index,
				uint64_t packets, uint64_t bytes, uint64_t now_ns, uint32_t cpu)
{
	struct levee_rule *rule = &m->rules[index];
	struct levee_hits *h = &m->hits[(size_t)cpu * m->rule_count + index];

	if (levee_read_once(rule->expires_ns) <= now_ns)
		return LEVEE_VERDICT_NONE;
	if (rule->verdict == LEVEE_VERDICT_LIMIT) {
		if (is_within_rate(rule, packets, now_ns))
			return LEVEE_VERDICT_LIMIT;
	} else if (rule->verdict != LEVEE_VERDICT_BLOCK) {
		return (enum levee_verdict)rule->verdict;
	}
	if (!h->packets)
		h->first_ns = now_ns;
	h->packets += packets;
	h->bytes += bytes;
	h->last_ns = now_ns;
	return LEVEE_VERDICT_BLOCK;
}

enum levee_verdict levee_policy_lookup(const struct levee_policy_memory *m, uint8_t family,
				       uint64_t hi, uint64_t lo, uint64_t packets, uint64_t bytes,
				       uint64_t now_ns, uint32_t cpu)
{
	const struct levee_lengths *l;
	enum levee_verdict verdict;
	uint32_t n, index;

	if (!may_match(m, family, hi))
		return LEVEE_VERDICT_NONE;
	l = lengths_of(m);
	n = family == 4 ? l->n4 : l->n6;
	for (uint32_t i = 0; i < n; i++) {
		struct levee_prefix p = { .hi = hi,
					  .lo = lo,
					  .family = family,
					  .length = family == 4 ? l->len4[i] : l->len6[i] };

		levee_prefix_canon(&p);
		index = search(m, &p);
		verdict = index ? apply(m, index, packets, bytes, now_ns, cpu) : LEVEE_VERDICT_NONE;
		if (verdict)
			return verdict;
	}
	return LEVEE_VERDICT_NONE;
}
