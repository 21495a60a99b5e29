/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The way of a packet: who sent it, is he allowed, is he blocked, is it in scope, count.
 *
 * Each packet ends in exactly one outcome of its CPU's account, and every path but one ends in
 * XDP_PASS: whatever is missing or odd, traffic flows. A header, because the bench wraps the same
 * code in a program that makes its own packets.
 */
#ifndef LEVEE_HANDLE_BPF_H
#define LEVEE_HANDLE_BPF_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include <levee/shared.h>

#include "ebpf/maps.bpf.h"

/* The row of this CPU in tables that hold a row for each epoch and CPU. */
struct levee_where {
	struct levee_row *row;
	__u64 row_nr; /* of bound_row(); says which CPU and epoch this is */
};

/* Boot time, read from the clock once a kernel tick: expiry needs no better. */
static __always_inline __u64 coarse_boot_ns(struct levee_row *row)
{
	__u64 tick = bpf_jiffies64();

	if (row->now_tick != tick) {
		row->now_ns = bpf_ktime_get_boot_ns();
		row->now_tick = tick;
	}
	return row->now_ns;
}

/*
 * The slow half of the policy: once the bitmaps say that a rule may apply. levee_match4() and
 * levee_match6() are global functions, which the verifier checks once each, whatever state they
 * are called in: inlined into their callers they cost it half a million instructions more, of the
 * million that it has. What they use is inlined into them: 10 ns a hit faster than calls, and
 * 40,000 instructions more.
 */

/* Rule index for a tag in one bucket; 0 if there is none. *full says whether to look further. */
static __always_inline __u32 search_bucket(__u32 nr, __u64 tag, int *full)
{
	struct levee_policy_bucket *b = bpf_map_lookup_elem(&policy, &nr);

	*full = 0;
	if (!b)
		return 0;
	for (__u32 i = 0; i < LEVEE_POLICY_SLOTS; i++) {
		__u64 slot = levee_read_once(b->slot[i]);

		if (!slot)
			return 0; /* slots fill from 0, so this is the end */
		if (levee_slot_is(slot, tag))
			return levee_slot_rule(slot);
	}
	*full = 1;
	return 0;
}

/* Rule index for a tag; 0 if there is none. */
static __always_inline __u32 search_rule(__u64 hash, __u64 tag)
{
	__u32 index;
	int full;

	index = search_bucket(levee_bucket_of(hash, GEO(rule_bits)), tag, &full);
	if (!index && full) {
		hash = levee_hash_again(KEY_AGAIN, hash);
		index = search_bucket(levee_bucket_of(hash, GEO(rule_bits)), tag, &full);
	}
	return index;
}

#define MATCH(verdict, index) ((__u32)(verdict) << 24 | (index))
#define MATCH_VERDICT(match)  ((match) >> 24)
#define MATCH_INDEX(match)    ((match)&0xffffff)

/* Is the rule the one looked for, and in force? An IPv6 tag may be shared, a rule may be going. */
static __always_inline __u32 check_rule(__u32 index, __u64 hi, __u64 lo, __u32 length, __u64 now_ns)
{
	struct levee_rule *rule = bpf_map_lookup_elem(&rules, &index);

	if (!rule || rule->hi != hi || rule->lo != lo || rule->length != length)
		return 0;
	if (levee_read_once(rule->expires_ns) <= now_ns)
		return 0;
	return MATCH(rule->verdict & 3, index & 0xffffff);
}

static __always_inline __u32 match4_at(__u32 addr, __u32 length, __u64 now_ns)
{
	__u32 key = addr & levee_mask4(length);
	__u32 index = search_rule(levee_rule_hash4(KEY_RULE4, key, length),
				  levee_slot_tag4(key, length));

	return index ? check_rule(index, key, 0, length, now_ns) : 0;
}

static __always_inline __u32 match6_at(__u64 hi, __u64 lo, __u32 length, __u64 now_ns)
{
	__u64 key_hi = hi & levee_mask6_hi(length), key_lo = lo & levee_mask6_lo(length);
	__u64 hash = levee_rule_hash6(KEY_RULE6, key_hi, key_lo, length);
	__u32 index = search_rule(hash, levee_slot_tag6(hash, length));

	return index ? check_rule(index, key_hi, key_lo, length, now_ns) : 0;
}

/*
 * The first rule in force of the second longest length and below: its verdict and index, or 0. The
 * longest length, where nearly all blocks are, is tried by the callers, to whom the call and its
 * guarded return would be a tenth of all that a dropped packet costs.
 */
__noinline __u32 levee_match4(__u32 addr, __u64 now_ns)
{
	__u32 set = levee_read_once(levee.front.in_use) & 1;
	__u32 n = levee.front.lengths[set].n4;

	for (__u32 i = 1; i < 33 && i < n; i++) {
		__u32 match = match4_at(addr, levee.front.lengths[set].len4[i] & 63, now_ns);

		if (match)
			return match;
	}
	return 0;
}

__noinline __u32 levee_match6(__u64 hi, __u64 lo, __u64 now_ns)
{
	__u32 set = levee_read_once(levee.front.in_use) & 1;
	__u32 n = levee.front.lengths[set].n6;

	for (__u32 i = 1; i < 129 && i < n; i++) {
		__u32 match = match6_at(hi, lo, levee.front.lengths[set].len6[i], now_ns);

		if (match)
			return match;
	}
	return 0;
}

#define RATE_TRIES 4 /* CPUs that meet at one limited source; a packet that loses is dropped */

/* Is there a token for a packet of a limited source? All CPUs take them from the same bucket. */
__noinline int levee_has_token(__u32 index)
{
	struct levee_rule *rule = bpf_map_lookup_elem(&rules, &index);
	__u64 now_ns = bpf_ktime_get_boot_ns(), next_ns, from_ns;

	if (!rule)
		return 1;
	for (int i = 0; i < RATE_TRIES; i++) {
		next_ns = levee_read_once(rule->next_ns);
		from_ns = next_ns > now_ns ? next_ns : now_ns;
		if (from_ns - now_ns > rule->slack_ns)
			return 0;
		if (__sync_val_compare_and_swap(&rule->next_ns, next_ns,
						from_ns + rule->interval_ns) == next_ns)
			return 1;
	}
	return 0;
}

/* The verdict of a match. A block is counted here, with its rule. */
static __always_inline __u32 apply_match(const struct levee_where *w, __u32 match, __u64 bytes,
					 __u64 now_ns)
{
	__u32 cell = levee_row_cpu((__u32)w->row_nr) * (__u32)GEO(rules) + MATCH_INDEX(match);
	__u32 verdict = MATCH_VERDICT(match);
	struct levee_hits *hit;

	if (verdict == LEVEE_VERDICT_LIMIT && levee_has_token(MATCH_INDEX(match)))
		return LEVEE_VERDICT_LIMIT;
	if (verdict != LEVEE_VERDICT_BLOCK && verdict != LEVEE_VERDICT_LIMIT)
		return verdict;
	hit = bpf_map_lookup_elem(&hits, &cell);
	if (hit) {
		if (levee_unlikely(!hit->packets))
			hit->first_ns = bpf_ktime_get_boot_ns();
		hit->packets++;
		hit->bytes += bytes;
		hit->last_ns = now_ns;
	}
	return LEVEE_VERDICT_BLOCK;
}

static __always_inline __u32 decide4(const struct levee_where *w, __u32 addr, __u64 bytes)
{
	__u32 set = levee_read_once(levee.front.in_use) & 1;
	__u64 now_ns = coarse_boot_ns(w->row);
	__u32 match = 0;

	if (levee.front.lengths[set].n4)
		match = match4_at(addr, levee.front.lengths[set].len4[0] & 63, now_ns);
	if (!match)
		match = levee_match4(addr, now_ns);
	return apply_match(w, match, bytes, now_ns);
}

static __always_inline __u32 decide6(const struct levee_where *w, __u64 hi, __u64 lo, __u64 bytes)
{
	__u32 set = levee_read_once(levee.front.in_use) & 1;
	__u64 now_ns = coarse_boot_ns(w->row);
	__u32 match = 0;

	if (levee.front.lengths[set].n6)
		match = match6_at(hi, lo, levee.front.lengths[set].len6[0], now_ns);
	if (!match)
		match = levee_match6(hi, lo, now_ns);
	return apply_match(w, match, bytes, now_ns);
}

/* By the lower 6 bits, which is what the instruction does (RFC 9669, 4.1), but C does not promise. */
static __always_inline __u64 shift_down(__u64 value, __u64 by)
{
	asm("%0 >>= %1" : "+r"(value) : "r"(by));
	return value;
}

static __always_inline int may_match4(const struct levee_packet *pkt)
{
	__u32 addr = (__u32)pkt->hi, word, bit;
	__u64 *far;

	word = addr >> 22;
	asm("" : "+r"(word)); /* or the mask is left out, without which Linux 6.1 knows no bounds */
	word &= LEVEE_NEAR_WORDS - 1;
	bit = addr >> 16;
	if (!(shift_down(levee.front.near4[word], bit) & 1))
		return 0;
	if (!(shift_down(levee.front.wide4[word], bit) & 1)) {
		bit = levee_mid4_bit(KEY_4, addr);
		if (!(shift_down(levee.front.mid4[(bit >> 6) & (LEVEE_MID4_WORDS - 1)], bit) & 1))
			return 0;
		if (levee_likely(!levee.front.crowded4))
			return 1;
	}
	word = addr >> 14;
	far = bpf_map_lookup_elem(&far4, &word);
	return far && (shift_down(*far, addr >> 8) & 1);
}

static __always_inline int may_match6(const struct levee_packet *pkt)
{
	__u64 hash = levee_near6_hash(KEY_4, pkt->hi), near, wide, *far;
	__u32 bit, word;

	near = shift_down(levee.front.near6[hash >> 54], hash >> 48);
	wide = levee.front.wide6 >> (pkt->hi >> 58);
	if (levee_likely(!((near | wide) & 1)))
		return 0;
	bit = (__u32)(pkt->hi >> 48);
	if (shift_down(levee.front.top6[bit >> 6], bit) & 1)
		return 1;
	if (!(near & 1))
		return 0;
	if (shift_down(levee.front.short6[hash >> 54], hash >> 48) & 1)
		return 1;
	bit = levee_far6_bit(KEY_FAR6, pkt->hi);
	word = bit >> 6;
	far = bpf_map_lookup_elem(&far6, &word);
	return far && (shift_down(*far, bit) & 1);
}

/* An event for the controller; one that finds no room is counted, and the next share comes. */
static __always_inline struct levee_event *begin_event(struct levee_row *row, __u32 type)
{
	struct levee_event *e = bpf_ringbuf_reserve(&events, sizeof(*e), 0);

	if (!e) {
		row->lost_events++;
		return 0;
	}
	e->type = type;
	e->cpu = bpf_get_smp_processor_id();
	e->seq = levee.control.seq;
	e->hi = 0;
	e->lo = 0;
	e->at_ns = bpf_ktime_get_boot_ns();
	e->packets = 0;
	e->family = 0;
	return e;
}

/* Half of a log gone is the moment to say so: the rest lasts until the controller is here. */
static __noinline void raise_pressure(struct levee_row *row)
{
	struct levee_event *e = begin_event(row, LEVEE_EVENT_PRESSURE);

	if (e)
		bpf_ringbuf_submit(e, 0);
}

static __noinline void evict4(struct levee_row *row, __u32 row_nr, struct levee_bucket4 *b,
			      __u32 slot)
{
	__u64 at = row->log4++;
	__u32 index = row_nr * GEO(log4) + (__u32)at;
	struct levee_evicted4 *e;

	slot &= LEVEE_SLOTS - 1;
	if (at == GEO(log4) / 2)
		raise_pressure(row);
	e = at < GEO(log4) ? bpf_map_lookup_elem(&evicted4, &index) : 0;
	if (!e) {
		levee_fold_add(&row->fold, b->packets[slot], levee_tally_bytes(b->tally[slot]));
		return;
	}
	e->addr = b->addr[slot];
	e->packets = b->packets[slot];
	e->tally = b->tally[slot];
}

static __noinline void evict6(struct levee_row *row, __u32 row_nr, struct levee_bucket6 *b,
			      __u32 slot)
{
	__u64 at = row->log6++;
	__u32 index = row_nr * GEO(log6) + (__u32)at;
	struct levee_evicted6 *e;

	slot &= LEVEE_SLOTS - 1;
	if (at == GEO(log6) / 2)
		raise_pressure(row);
	e = at < GEO(log6) ? bpf_map_lookup_elem(&evicted6, &index) : 0;
	if (!e) {
		levee_fold_add(&row->fold, b->packets[slot], levee_tally_bytes(b->tally[slot]));
		return;
	}
	e->hi = b->hi[slot];
	e->lo = b->lo[slot];
	e->packets = b->packets[slot];
	e->tally = b->tally[slot];
}

static __always_inline __u64 add_tally(__u64 tally, __u64 more)
{
	if (levee_likely(!FLOWS))
		return tally + more;
	asm("" : "+r"(tally)); /* or both ways are made one, for a mask of all ones */
	return levee_tally_add(tally, more);
}

/* A further share of packets in one slot: say so, and empty the slot before it overflows. */
__noinline int levee_pass_share4(struct levee_row *row, __u32 row_nr, struct levee_bucket4 *b,
				 __u32 slot)
{
	struct levee_event *e;

	if (!row || !b)
		return 0;
	slot &= LEVEE_SLOTS - 1;
	if (levee.control.share_mask != LEVEE_SHARE_OFF - 1) {
		e = begin_event(row, LEVEE_EVENT_TRIP);
		if (e) {
			e->hi = b->addr[slot];
			e->packets = b->packets[slot];
			e->family = 4;
			bpf_ringbuf_submit(e, 0);
		}
	}
	if (b->packets[slot] >= LEVEE_SLOT_FULL) {
		evict4(row, row_nr, b, slot);
		b->packets[slot] = 0;
		b->tally[slot] = 0;
	}
	return 0;
}

__noinline int levee_pass_share6(struct levee_row *row, __u32 row_nr, struct levee_bucket6 *b,
				 __u32 slot)
{
	struct levee_event *e;

	if (!row || !b)
		return 0;
	slot &= LEVEE_SLOTS - 1;
	if (levee.control.share_mask != LEVEE_SHARE_OFF - 1) {
		e = begin_event(row, LEVEE_EVENT_TRIP);
		if (e) {
			e->hi = b->hi[slot];
			e->lo = b->lo[slot];
			e->packets = (__u32)b->packets[slot];
			e->family = 6;
			bpf_ringbuf_submit(e, 0);
		}
	}
	if (b->packets[slot] >= LEVEE_SLOT_FULL) {
		evict6(row, row_nr, b, slot);
		b->packets[slot] = 0;
		b->tally[slot] = 0;
	}
	return 0;
}

/*
 * A slot for use as an index. The compiler knows that levee_has4() and levee_has6() give no other,
 * and would leave the mask out; but to the verifier of Linux 6.1 an OR of two unknowns is anything.
 */
static __always_inline __u32 as_slot(__u32 slot)
{
	asm("" : "+r"(slot));
	return slot & (LEVEE_SLOTS - 1);
}

static __always_inline __u32 has4(const struct levee_bucket4 *b, __u32 addr, __u32 *slot)
{
	__u32 found = levee_has4(b, addr, slot);

	*slot = as_slot(*slot);
	return found;
}

/* With fewer instructions where sources have no lower half. */
static __always_inline __u32 has6(const struct levee_bucket6 *b, __u64 hi, __u64 lo, __u32 *slot)
{
	__u32 found;

	if (levee_likely(!GEO64(source6_lo))) {
		found = levee_may_have6(b, hi, slot);
		*slot = as_slot(*slot);
		if (levee_unlikely(!found))
			return 0;
		if (levee_likely(b->hi[*slot] == hi))
			return found;
		asm("" : "+r"(hi)); /* or what both ways have in common is kept from here on */
		lo = 0;
	}
	found = levee_has6(b, hi, lo, slot);
	*slot = as_slot(*slot);
	return found;
}

static __always_inline void hit4(struct levee_where *w, struct levee_bucket4 *b, __u32 slot,
				 __u64 tally)
{
	__u32 packets;

	packets = b->packets[slot] + 1;
	b->packets[slot] = packets;
	b->tally[slot] = add_tally(b->tally[slot], tally);
	if (levee_unlikely(!(packets & levee.control.share_mask)))
		levee_pass_share4(w->row, (__u32)w->row_nr, b, slot);
}

static __always_inline void hit6(struct levee_where *w, struct levee_bucket6 *b, __u32 slot,
				 __u64 tally)
{
	__u64 packets;

	packets = b->packets[slot] + 1;
	b->packets[slot] = packets;
	b->tally[slot] = add_tally(b->tally[slot], tally);
	if (levee_unlikely(!(packets & levee.control.share_mask)))
		levee_pass_share6(w->row, (__u32)w->row_nr, b, slot);
}

/*
 * A source that is in neither of its buckets takes the least slot of both.
 * Returns the slot, plus LEVEE_SLOTS if it is in the second bucket.
 */
__noinline __u32 levee_make_room4(struct levee_row *row, __u32 row_nr, struct levee_bucket4 *b,
				  struct levee_bucket4 *c)
{
	__u32 slot, other, second = 0;

	if (!row || !b || !c)
		return 0;
	slot = levee_least4(b) & (LEVEE_SLOTS - 1);
	other = levee_least4(c) & (LEVEE_SLOTS - 1);
	if (c->packets[other] < b->packets[slot]) {
		second = LEVEE_SLOTS;
		b = c;
		slot = other;
	}
	if (b->packets[slot])
		evict4(row, row_nr, b, slot);
	else
		row->names4++;
	return slot + second;
}

__noinline __u32 levee_make_room6(struct levee_row *row, __u32 row_nr, struct levee_bucket6 *b,
				  struct levee_bucket6 *c)
{
	__u32 slot, other, second = 0;

	if (!row || !b || !c)
		return 0;
	slot = levee_least6(b) & (LEVEE_SLOTS - 1);
	other = levee_least6(c) & (LEVEE_SLOTS - 1);
	if (c->packets[other] < b->packets[slot]) {
		second = LEVEE_SLOTS;
		b = c;
		slot = other;
	}
	if (b->packets[slot])
		evict6(row, row_nr, b, slot);
	else
		row->names6++;
	return slot + second;
}

/* ---- bursts ------------------------------------------------------------------------------ */

/*
 * log2 of the buckets of a table that stays in a core's own cache: 256 KB of IPv4 sources, 512 KB
 * of IPv6 ones. There a packet is counted at once: what waits for nothing need not be put down.
 */
#define CACHED_BITS 12

/*
 * Asks for a line. The value is not used, so nothing waits for it, and the lines of a whole burst
 * are on their way together.
 */
static __always_inline void fetch(const void *line)
{
	(void)*(const volatile __u32 *)line;
}

/* The fewer instructions there are between two loads, the more of them a core has under way. */
#define UNROLLED _Pragma("clang loop unroll_count(16)")

/* The lines of a whole burst. */
static __always_inline void fetch_burst4(const struct levee_table *t, struct levee_row *row)
{
	void *base = t->base;
	__u64 mask = t->mask;
	struct levee_bucket4 *b;

	if (GEO(per_value4) != LEVEE_PART) {
		UNROLLED
		for (__u32 i = 0; i < LEVEE_BURST; i++)
			fetch(base + (levee_read_once(row->waiting4[i].at) & mask));
		return;
	}
	for (__u32 i = 0; i < LEVEE_BURST; i++)
		if (!find_bucket4(&b, t, row->waiting4[i].at))
			fetch(b);
}

static __always_inline void fetch_burst6(const struct levee_table *t, struct levee_row *row)
{
	void *base = t->base;
	__u64 mask = t->mask;
	struct levee_bucket6 *b;

	if (GEO(per_value6) != LEVEE_PART) {
		UNROLLED
		for (__u32 i = 0; i < LEVEE_BURST; i++) {
			b = base + (levee_read_once(row->waiting6[i].at) & mask);
			fetch(b->hi);
			fetch(b->packets);
		}
		return;
	}
	for (__u32 i = 0; i < LEVEE_BURST; i++) {
		if (find_bucket6(&b, t, row->waiting6[i].at))
			continue;
		fetch(b->hi);
		fetch(b->packets);
	}
}

/* A source that is in neither of its buckets. */
static __always_inline void insert4(struct levee_where *w, struct levee_bucket4 *b,
				    struct levee_bucket4 *c, __u32 addr, __u64 tally)
{
	__u32 slot = levee_make_room4(w->row, (__u32)w->row_nr, b, c);

	if (slot >= LEVEE_SLOTS)
		b = c;
	slot &= LEVEE_SLOTS - 1;
	b->addr[slot] = addr;
	b->packets[slot] = 1;
	b->tally[slot] = tally;
	if (levee_unlikely(!levee.control.share_mask))
		levee_pass_share4(w->row, (__u32)w->row_nr, b, slot);
}

/* Counts a packet at once, `at` being its source's first bucket. */
static __always_inline void count4(struct levee_where *w, const struct levee_table *t, __u64 at,
				   __u32 addr, __u64 tally)
{
	struct levee_bucket4 *b, *c;
	__u64 hash;
	__u32 slot;

	if (find_bucket4(&b, t, at))
		return;
	if (levee_likely(has4(b, addr, &slot))) {
		hit4(w, b, slot, tally);
		return;
	}
	hash = levee_hash_again(KEY_AGAIN, levee_hash4(KEY_4, addr));
	if (find_bucket4(&c, t, shift_down(hash, w->row->shift4)))
		return;
	if (has4(c, addr, &slot)) {
		hit4(w, c, slot, tally);
		return;
	}
	insert4(w, b, c, addr, tally);
}

/* A source that is in neither of its buckets. */
static __always_inline void insert6(struct levee_where *w, struct levee_bucket6 *b,
				    struct levee_bucket6 *c, __u64 hi, __u64 lo, __u64 tally)
{
	__u32 slot = levee_make_room6(w->row, (__u32)w->row_nr, b, c);

	if (slot >= LEVEE_SLOTS)
		b = c;
	slot &= LEVEE_SLOTS - 1;
	b->hi[slot] = hi;
	b->lo[slot] = lo;
	b->packets[slot] = 1;
	b->tally[slot] = tally;
	if (levee_unlikely(!levee.control.share_mask))
		levee_pass_share6(w->row, (__u32)w->row_nr, b, slot);
}

/* Counts a packet at once, `at` being its source's first bucket. */
static __always_inline void count6(struct levee_where *w, const struct levee_table *t, __u64 at,
				   __u64 hi, __u64 lo, __u64 tally)
{
	struct levee_bucket6 *b, *c;
	__u64 hash;
	__u32 slot;

	if (find_bucket6(&b, t, at))
		return;
	if (levee_likely(has6(b, hi, lo, &slot))) {
		hit6(w, b, slot, tally);
		return;
	}
	hash = levee_hash_again(KEY_AGAIN, levee_hash6(KEY_6, hi, lo));
	if (find_bucket6(&c, t, shift_down(hash, w->row->shift6)))
		return;
	if (has6(c, hi, lo, &slot)) {
		hit6(w, c, slot, tally);
		return;
	}
	insert6(w, b, c, hi, lo, tally);
}

/* In the account, a packet that passes without being counted. */
static __always_inline void account(struct levee_row *row, enum levee_outcome outcome, __u64 bytes)
{
	row->uncounted++;
	row->passed_bytes += bytes;
	row->outcome[outcome]++;
}

static __always_inline int drop(struct levee_row *row, __u64 bytes)
{
	row->uncounted++;
	row->dropped_bytes += bytes;
	row->outcome[LEVEE_DROPPED]++;
	return XDP_DROP;
}

/* The row of an epoch on this CPU. */
static __always_inline int find_row_of(struct levee_where *w, __u32 epoch)
{
	w->row_nr = bound_row(levee_row_nr(bpf_get_smp_processor_id(), epoch));
	return find_row_nr(&w->row, w->row_nr);
}

/* The row of the open epoch. */
static __always_inline int find_row(struct levee_where *w)
{
	return find_row_of(w, (__u32)levee_read_once(levee.control.seq) & 1);
}

/*
 * A packet whose source is not in the bucket that it waited for. If that was the first one, it waits
 * for the other, which is fetched with the next burst; else the source is in neither, unless a packet
 * just before put it into the first.
 */
static __always_inline void turn_away4(struct levee_where *w, const struct levee_table *t,
				       struct levee_waiting4 *p)
{
	__u64 hash = levee_hash4(KEY_4, p->addr);
	__u64 first = shift_down(hash, w->row->shift4);
	__u64 second = shift_down(levee_hash_again(KEY_AGAIN, hash), w->row->shift4);
	struct levee_bucket4 *b, *c;
	struct levee_waiting4 *q;
	__u32 slot;

	if (p->at == first && first != second) {
		q = &w->row->waiting4[(w->row->put4 - w->row->done4) & (LEVEE_BURST - 1)];
		w->row->done4--;
		q->addr = p->addr;
		q->tally = p->tally;
		q->at = (__u32)second;
		return;
	}
	if (find_bucket4(&b, t, first) || find_bucket4(&c, t, second))
		return;
	if (has4(b, p->addr, &slot))
		hit4(w, b, slot, p->tally);
	else
		insert4(w, b, c, p->addr, p->tally);
}

/* The same for IPv6. */
static __always_inline void turn_away6(struct levee_where *w, const struct levee_table *t,
				       struct levee_waiting6 *p)
{
	__u64 hash = levee_hash6(KEY_6, p->hi, p->lo);
	__u64 first = shift_down(hash, w->row->shift6);
	__u64 second = shift_down(levee_hash_again(KEY_AGAIN, hash), w->row->shift6);
	struct levee_bucket6 *b, *c;
	struct levee_waiting6 *q;
	__u32 slot;

	if (p->at == first && first != second) {
		q = &w->row->waiting6[(w->row->put6 - w->row->done6) & (LEVEE_BURST - 1)];
		w->row->done6--;
		q->hi = p->hi;
		q->lo = p->lo;
		q->tally = p->tally;
		q->at = (__u32)second;
		return;
	}
	if (find_bucket6(&b, t, first) || find_bucket6(&c, t, second))
		return;
	if (has6(b, p->hi, p->lo, &slot))
		hit6(w, b, slot, p->tally);
	else
		insert6(w, b, c, p->hi, p->lo, p->tally);
}

/*
 * Counts what waits in this CPU's row of the epoch: once for the lines, if the burst is a whole
 * one, and once for the counts. Global functions, which the verifier checks once; what it learns
 * of n in the first loop it would carry through every turn of the second, so n is read anew.
 * Returns whether so many still wait, for their second bucket, that they are to be counted now.
 */
__noinline int levee_count_waiting4(__u32 epoch)
{
	struct levee_waiting4 *p;
	struct levee_bucket4 *b;
	struct levee_table t;
	struct levee_where w;
	__u32 slot;
	__u64 n;

	if (find_row_of(&w, epoch & 1) || find_table4(&t, w.row_nr))
		return 0;
	n = levee_read_once(w.row->put4) - w.row->done4;
	if (n == LEVEE_BURST)
		fetch_burst4(&t, w.row);
	n = levee_read_once(w.row->put4) - w.row->done4;
	w.row->done4 = w.row->put4; /* those that are turned away are taken back */
	for (__u32 i = 0; i < LEVEE_BURST && i < n; i++) {
		p = &w.row->waiting4[i];
		if (find_bucket4(&b, &t, p->at))
			continue;
		if (levee_likely(has4(b, p->addr, &slot)))
			hit4(&w, b, slot, p->tally);
		else
			turn_away4(&w, &t, p);
	}
	return (w.row->put4 - w.row->done4) * 2 > levee.control.burst;
}

__noinline int levee_count_waiting6(__u32 epoch)
{
	struct levee_waiting6 *p;
	struct levee_bucket6 *b;
	struct levee_table t;
	struct levee_where w;
	__u32 slot;
	__u64 n;

	if (find_row_of(&w, epoch & 1) || find_table6(&t, w.row_nr))
		return 0;
	n = levee_read_once(w.row->put6) - w.row->done6;
	if (n == LEVEE_BURST)
		fetch_burst6(&t, w.row);
	n = levee_read_once(w.row->put6) - w.row->done6;
	w.row->done6 = w.row->put6; /* those that are turned away are taken back */
	for (__u32 i = 0; i < LEVEE_BURST && i < n; i++) {
		p = &w.row->waiting6[i];
		if (find_bucket6(&b, &t, p->at))
			continue;
		if (levee_likely(has6(b, p->hi, p->lo, &slot)))
			hit6(&w, b, slot, p->tally);
		else
			turn_away6(&w, &t, p);
	}
	return (w.row->put6 - w.row->done6) * 2 > levee.control.burst;
}

static __always_inline void count_or_wait4(struct levee_where *w, __u32 addr, __u64 tally,
					   __u64 bytes)
{
	__u32 shift = w->row->shift4;
	__u64 at = shift_down(levee_hash4(KEY_4, addr), shift);
	struct levee_waiting4 *p;
	struct levee_table t;
	__u64 put, n;

	w->row->passed_bytes += bytes;
	if (shift >= levee_shift4(CACHED_BITS)) {
		w->row->outcome[LEVEE_COUNTED]++;
		if (!find_table4(&t, w->row_nr))
			count4(w, &t, at, addr, tally);
		return;
	}
	put = w->row->put4;
	n = put - w->row->done4;
	p = &w->row->waiting4[n & (LEVEE_BURST - 1)];
	p->tally = tally;
	p->addr = addr;
	p->at = (__u32)at;
	w->row->put4 = put + 1;
	if (levee_unlikely(n + 1 >= levee.control.burst) &&
	    levee_count_waiting4(levee_row_epoch((__u32)w->row_nr)))
		levee_count_waiting4(levee_row_epoch((__u32)w->row_nr));
}

static __always_inline void count_or_wait6(struct levee_where *w, __u64 hi, __u64 lo, __u64 tally,
					   __u64 bytes)
{
	__u32 shift = w->row->shift6;
	struct levee_waiting6 *p;
	struct levee_table t;
	__u64 at, put, n;

	at = shift_down(levee_hash6(KEY_6, hi, lo), shift);
	w->row->passed_bytes += bytes;
	if (shift >= levee_shift6(CACHED_BITS)) {
		w->row->outcome[LEVEE_COUNTED]++;
		if (!find_table6(&t, w->row_nr))
			count6(w, &t, at, hi, lo, tally);
		return;
	}
	put = w->row->put6;
	n = put - w->row->done6;
	p = &w->row->waiting6[n & (LEVEE_BURST - 1)];
	p->hi = hi;
	p->lo = lo;
	p->tally = tally;
	p->at = (__u32)at;
	w->row->put6 = put + 1;
	if (levee_unlikely(n + 1 >= levee.control.burst) &&
	    levee_count_waiting6(levee_row_epoch((__u32)w->row_nr)))
		levee_count_waiting6(levee_row_epoch((__u32)w->row_nr));
}

/* ---- all together ------------------------------------------------------------------------ */

/*
 * The lower half of an IPv6 source, once more and volatile: most packets are counted by their upper
 * half, and would only carry it along.
 */
static __always_inline __u64 read_lower(struct xdp_md *ctx, const struct levee_packet *pkt)
{
	const __u8 *data = (const void *)(long)levee_read_once(ctx->data);
	const __u8 *end = (const void *)(long)levee_read_once(ctx->data_end);
	const __u8 *lower = data + pkt->l3 + 16;

	return lower + 8 > end ? 0 : levee_be64(levee_load64(lower));
}

/* Is there a rule, and what does it say? */
static __always_inline __u32 ask_policy(struct xdp_md *ctx, const struct levee_where *w,
					const struct levee_packet *pkt, __u64 bytes)
{
	if (pkt->family == 4) {
		if (levee_unlikely(may_match4(pkt)))
			return decide4(w, (__u32)pkt->hi, bytes);
	} else {
		if (levee_unlikely(may_match6(pkt)))
			return decide6(w, pkt->hi, read_lower(ctx, pkt), bytes);
	}
	return LEVEE_VERDICT_NONE;
}

/* The packet's bytes once more. Volatile, so that they are not kept where few ask for them. */
static __always_inline void read_flow(struct xdp_md *ctx, struct levee_packet *pkt)
{
	const void *data = (const void *)(long)levee_read_once(ctx->data);
	const void *data_end = (const void *)(long)levee_read_once(ctx->data_end);

	levee_packet_flow(pkt, data, data_end);
}

/*
 * A packet with a source. Called once for each family, as a constant: where the ways of both meet
 * the compiler would keep what it knows on the stack.
 */
static __always_inline int handle_ip(struct xdp_md *ctx, struct levee_packet *pkt, __u64 bytes)
{
	__u64 tally = bytes;
	struct levee_where w;
	__u32 verdict;
	int ret;

	if (find_row(&w))
		return XDP_PASS;
	verdict = ask_policy(ctx, &w, pkt, bytes);
	if (levee_unlikely(verdict == LEVEE_VERDICT_ALLOW)) {
		account(w.row, LEVEE_ALLOWED, bytes);
		return XDP_PASS;
	}
	if (levee_unlikely(verdict == LEVEE_VERDICT_BLOCK)) {
		if (!levee.control.audit)
			return drop(w.row, bytes);
		w.row->would_drop++;
	}

	/* Twice, because of a header nobody asks for its port the compiler reads much less. */
	if (levee_unlikely(levee.scope.enabled)) {
		read_flow(ctx, pkt);
		ret = levee_scope_has(&levee.scope, pkt);
		if (!ret) {
			account(w.row, LEVEE_OUT_OF_SCOPE, bytes);
			return XDP_PASS;
		}
		if (ret == 2)
			w.row->port_unknown++;
		if (levee_unlikely(FLOWS))
			tally |= levee_flow_tally(pkt);
	} else if (levee_unlikely(FLOWS)) {
		read_flow(ctx, pkt);
		tally |= levee_flow_tally(pkt);
	}

	if (pkt->family == 4)
		count_or_wait4(&w, (__u32)pkt->hi, tally, bytes);
	else if (levee_unlikely(GEO64(source6_lo)))
		count_or_wait6(&w, pkt->hi, read_lower(ctx, pkt) & GEO64(source6_lo), tally, bytes);
	else
		count_or_wait6(&w, pkt->hi & GEO64(source6_hi), 0, tally, bytes);
	return XDP_PASS;
}

static __always_inline int handle_source(struct xdp_md *ctx, struct levee_packet *pkt, __u64 bytes)
{
	if (levee_likely(pkt->family == 4)) {
		pkt->family = 4;
		return handle_ip(ctx, pkt, bytes);
	}
	pkt->family = 6;
	return handle_ip(ctx, pkt, bytes);
}

/* A packet without a source; `why` is one of enum levee_unparsed, without its sign. */
__noinline int levee_pass_unparsed(__u32 why, __u64 bytes)
{
	struct levee_where w;

	if (find_row(&w) || why >= LEVEE_UNPARSED_MAX)
		return XDP_PASS;
	w.row->reasons[why]++;
	account(w.row, why == -LEVEE_NOT_IP ? LEVEE_OUT_OF_SCOPE : LEVEE_UNPARSED, bytes);
	return XDP_PASS;
}

/*
 * A frame with VLAN tags: the same at other offsets. Behind a call, so that the compiler knows
 * the offset where there is none, and makes no common code for all of them.
 */
__noinline int levee_handle_tagged(struct xdp_md *ctx, __u64 bytes)
{
	struct levee_packet pkt;
	int ret = levee_packet_tagged(&pkt, (const void *)(long)ctx->data,
				      (const void *)(long)ctx->data_end);

	return ret ? levee_pass_unparsed((__u32)-ret, bytes) : handle_source(ctx, &pkt, bytes);
}

/* Everything that is done with a packet. `bytes` is its length on the wire. */
static __always_inline int handle(struct xdp_md *ctx, const void *data, const void *data_end,
				  __u64 bytes)
{
	struct levee_packet pkt;
	int ret = levee_packet_untagged(&pkt, data, data_end);

	if (levee_unlikely(ret == LEVEE_TAGGED))
		return levee_handle_tagged(ctx, bytes);
	return levee_unlikely(ret) ? levee_pass_unparsed((__u32)-ret, bytes)
				   : handle_source(ctx, &pkt, bytes);
}

/* Length on the wire, by a helper call if the frame may have fragments. Any kernel can do this. */
static __always_inline __u64 length_of(struct xdp_md *ctx, const void *data, const void *data_end)
{
	return FRAGS ? bpf_xdp_get_buff_len(ctx) : (__u64)(data_end - data);
}

/* What is used of the kernel's own context; its offset is relocated at load. */
struct xdp_buff {
	__u32 flags;
} __attribute__((preserve_access_index));

#define LEVEE_XDP_HAS_FRAGS 1 /* XDP_FLAGS_HAS_FRAGS in include/net/xdp.h */

extern void *bpf_cast_to_kern_ctx(void *ctx) __ksym __weak;

/*
 * The same from Linux 6.2 on: the call is made for frames with fragments only. A call and its
 * return cost 6 ns, a third of all else, where the kernel guards returns.
 */
static __always_inline __u64 length_seen(struct xdp_md *ctx, const void *data, const void *data_end)
{
	struct xdp_buff *buff = bpf_cast_to_kern_ctx(ctx); /* no call: the verifier drops it */

	if (levee_unlikely(buff->flags & LEVEE_XDP_HAS_FRAGS))
		return bpf_xdp_get_buff_len(ctx);
	return (__u64)(data_end - data);
}

#endif
