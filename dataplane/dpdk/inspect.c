/* SPDX-License-Identifier: BSD-2-Clause */
#include "dataplane/dpdk/inspect.h"

#include "dataplane/dpdk/lanes.h"

#define BIT(i) (1ULL << (i))

/* Of each bit that is set, lowest first. */
#define FOR_EACH_BIT(i, bits)                                                                \
	for (uint64_t left_ = (bits), i; left_ && (i = (uint64_t)__builtin_ctzll(left_), 1); \
	     left_ &= left_ - 1)

/* A source between the passes, and its first bucket. */
struct item4 {
	struct levee_bucket4 *bucket;
	uint32_t addr;
};

struct item6 {
	struct levee_bucket6 *bucket;
	uint64_t hi, lo; /* masked once they are counted */
	uint64_t hash;
};

union item {
	struct item4 four;
	struct item6 six;
};

/* A burst, and where this lcore counts while it lasts. */
struct burst {
	const struct levee_inspector *in;
	const struct levee_page *page;
	const struct levee_hash_key *key;
	struct levee_row *row;
	struct levee_bucket4 *sources4; /* of the row, as are those below */
	struct levee_bucket6 *sources6;
	struct levee_evicted4 *evicted4;
	struct levee_evicted6 *evicted6;
	uint32_t bits4, bits6;
	uint32_t share; /* a power of two: packets of a source that are an event */
	uint64_t seq;

	/* Bit i is packet i. */
	uint64_t four, six; /* has a source of that family, and nothing is decided yet */
	uint64_t touched;   /* a rule may apply */
	uint64_t dropped;
	uint64_t late; /* is not in its first bucket */
	union item item[LEVEE_BURST_MAX];
	uint64_t tally[LEVEE_BURST_MAX]; /* what it adds to its source's */
	uint32_t outcome[LEVEE_OUTCOMES];
};

static void begin(struct burst *b, const struct levee_inspector *in)
{
	const struct levee_rows *t = &in->tables->rows;
	const struct levee_control *c = t->control;
	uint32_t epoch, nr;

	b->in = in;
	b->page = in->tables->page;
	b->key = &t->geo.key;
	b->seq = __atomic_load_n(&c->seq, __ATOMIC_ACQUIRE);
	epoch = (uint32_t)b->seq & 1;
	nr = levee_row_nr(in->cpu, epoch);
	b->row = &t->rows[nr];
	b->sources4 = t->sources4 + ((size_t)nr << t->geo.bits4);
	b->sources6 = t->sources6 + ((size_t)nr << t->geo.bits6);
	b->evicted4 = t->evicted4 + (size_t)nr * t->geo.log4;
	b->evicted6 = t->evicted6 + (size_t)nr * t->geo.log6;
	b->bits4 = c->bits4[epoch];
	b->bits6 = c->bits6[epoch];
	b->share = levee_read_once(c->share_mask) + 1;
	b->four = b->six = b->touched = b->dropped = b->late = 0;
	for (int i = 0; i < LEVEE_OUTCOMES; i++)
		b->outcome[i] = 0;
}

/* ---- pass 1: who sent it ----------------------------------------------------------------- */

static inline void ask_for6(const struct levee_bucket6 *bucket)
{
	__builtin_prefetch(bucket->hi, 1);
	__builtin_prefetch(bucket->packets, 1);
}

/* An IPv6 source by its bitmaps; the far one is only asked for. */
static inline uint64_t may_match6(const struct burst *b, uint64_t hi)
{
	if (!levee_near6(&b->page->front, b->key, hi))
		return 0;
	__builtin_prefetch(&b->in->tables->policy.far6[levee_far6_bit(b->key, hi) >> 6]);
	return 1;
}

static void look6(struct burst *b, const struct levee_packet *pkt, unsigned int i)
{
	const struct levee_geometry *geo = &b->in->tables->rows.geo;
	uint64_t hash = levee_hash6(b->key, pkt->hi & geo->source6_hi, pkt->lo & geo->source6_lo);
	struct item6 *item = &b->item[i].six;

	item->bucket = &b->sources6[levee_bucket_of(hash, b->bits6)];
	item->hi = pkt->hi;
	item->lo = pkt->lo;
	item->hash = hash;
	ask_for6(item->bucket);
	b->six |= BIT(i);
	b->touched |= may_match6(b, pkt->hi) << i;
}

static void note_sourceless(struct burst *b, int reason)
{
	b->row->reasons[-reason]++;
	b->outcome[reason == LEVEE_NOT_IP ? LEVEE_OUT_OF_SCOPE : LEVEE_UNPARSED]++;
}

/*
 * The usual packet is of IPv4, and what it needs is in registers all along: every store into a
 * table might have changed what is read through a pointer, and would have it read again.
 */
static void look(struct burst *b, const struct levee_view *view, unsigned int n)
{
	const struct levee_hash_key key = *b->key;
	struct levee_bucket4 *const sources4 = b->sources4;
	const __u64 *const near4 = b->page->front.near4;
	const uint32_t bits4 = b->bits4;
	uint64_t bytes = 0, four = 0, touched = 0;

	for (unsigned int i = 0; i < n; i++) {
		struct item4 *item = &b->item[i].four;
		struct levee_packet pkt;
		uint32_t addr;
		int ret;

		ret = levee_packet_source(&pkt, view[i].data, view[i].data + view[i].captured);
		bytes += view[i].bytes;
		if (levee_unlikely(ret < 0)) {
			note_sourceless(b, ret);
			continue;
		}
		if (levee_unlikely(pkt.family != 4)) {
			look6(b, &pkt, i);
			continue;
		}
		addr = (uint32_t)pkt.hi;
		item->addr = addr;
		item->bucket = &sources4[levee_bucket_of(levee_hash4(&key, addr), bits4)];
		__builtin_prefetch(item->bucket, 1);
		four |= BIT(i);
		touched |= (uint64_t)levee_bit(near4, addr >> 16) << i;
	}
	b->four = four;
	b->touched |= touched;
	b->row->passed_bytes += bytes;
}

/* ---- pass 2: may it pass ------------------------------------------------------------------ */

/* Of the packets that a rule may match by the first bitmap: those that the second leaves. */
static void ask_rules(struct burst *b)
{
	const struct levee_policy_memory *m = &b->in->tables->policy;
	uint64_t four = b->touched & b->four, touched = b->touched & b->six;

	FOR_EACH_BIT(i, four)
	__builtin_prefetch(&m->far4[b->item[i].four.addr >> 14]);
	FOR_EACH_BIT(i, four)
	touched |= (uint64_t)levee_bit(m->far4, b->item[i].four.addr >> 8) << i;
	b->touched = touched;
	FOR_EACH_BIT(i, touched)
	{
		const union item *item = &b->item[i];
		bool is_four = b->four & BIT(i);

		if (!levee_policy_ask(m, is_four ? 4 : 6, is_four ? item->four.addr : item->six.hi,
				      is_four ? 0 : item->six.lo))
			b->touched &= ~BIT(i);
	}
}

static enum levee_verdict ask_policy(const struct burst *b, uint64_t i, uint32_t bytes,
				     uint64_t now_ns)
{
	const struct levee_policy_memory *m = &b->in->tables->policy;
	const union item *item = &b->item[i];

	if (b->four & BIT(i))
		return levee_policy_lookup(m, 4, item->four.addr, 0, 1, bytes, now_ns, b->in->cpu);
	return levee_policy_lookup(m, 6, item->six.hi, item->six.lo, 1, bytes, now_ns, b->in->cpu);
}

/* \return true if that was all: allowed, or dropped */
static bool is_decided(struct burst *b, uint64_t i, uint32_t bytes, uint64_t now_ns)
{
	switch (ask_policy(b, i, bytes, now_ns)) {
	case LEVEE_VERDICT_ALLOW:
		b->outcome[LEVEE_ALLOWED]++;
		return true;
	case LEVEE_VERDICT_BLOCK:
		if (levee_read_once(b->page->control.audit)) {
			b->row->would_drop++;
			return false;
		}
		b->outcome[LEVEE_DROPPED]++;
		b->row->passed_bytes -= bytes;
		b->row->dropped_bytes += bytes;
		b->dropped |= BIT(i);
		return true;
	case LEVEE_VERDICT_LIMIT: /* within its rate; what is above comes as a block */
	case LEVEE_VERDICT_NONE:
		break;
	}
	return false;
}

static void take_out(struct burst *b, uint64_t i)
{
	b->four &= ~BIT(i);
	b->six &= ~BIT(i);
}

static void judge(struct burst *b, const struct levee_view *view, uint64_t now_ns)
{
	FOR_EACH_BIT(i, b->touched)
	if (is_decided(b, i, view[i].bytes, now_ns))
		take_out(b, i);
}

/* ---- pass 3: does it count, and as what --------------------------------------------------- */

static bool is_in_scope(struct burst *b, const struct levee_packet *pkt)
{
	int ret = levee_scope_has(&b->page->scope, pkt);

	if (ret == 2)
		b->row->port_unknown++;
	if (!ret)
		b->outcome[LEVEE_OUT_OF_SCOPE]++;
	return ret != 0;
}

/* What few set-ups need, and no packet is asked for otherwise: protocol, ports and TCP flags. */
static void look_deeper(struct burst *b, const struct levee_view *view, bool scoped)
{
	FOR_EACH_BIT(i, b->four | b->six)
	{
		const uint8_t *end = view[i].data + view[i].captured;
		struct levee_packet pkt;

		if (levee_packet_source(&pkt, view[i].data, end))
			continue; /* it was found before */
		levee_packet_flow(&pkt, view[i].data, end);
		b->tally[i] = view[i].bytes + (b->in->flows ? levee_flow_tally(&pkt) : 0);
		if (scoped && !is_in_scope(b, &pkt))
			take_out(b, i);
	}
}

/* ---- eviction ---------------------------------------------------------------------------- */

/* Half of a log gone is the moment to say so: the rest lasts until the controller is here. */
static void note_log(const struct burst *b, uint64_t used, uint32_t room)
{
	if (used == room / 2 && b->in->pressure)
		b->in->pressure(b->in->ctx, b->seq);
}

static void evict4(struct burst *b, const struct levee_bucket4 *from, uint32_t slot)
{
	uint32_t room = b->in->tables->rows.geo.log4;
	uint64_t at = b->row->log4++;

	note_log(b, at, room);
	if (at >= room)
		levee_fold_add(&b->row->fold, from->packets[slot],
			       levee_tally_bytes(from->tally[slot]));
	else
		b->evicted4[at] = (struct levee_evicted4){ .addr = from->addr[slot],
							   .packets = from->packets[slot],
							   .tally = from->tally[slot] };
}

static void evict6(struct burst *b, const struct levee_bucket6 *from, uint32_t slot)
{
	uint32_t room = b->in->tables->rows.geo.log6;
	uint64_t at = b->row->log6++;

	note_log(b, at, room);
	if (at >= room)
		levee_fold_add(&b->row->fold, from->packets[slot],
			       levee_tally_bytes(from->tally[slot]));
	else
		b->evicted6[at] = (struct levee_evicted6){ .hi = from->hi[slot],
							   .lo = from->lo[slot],
							   .packets = from->packets[slot],
							   .tally = from->tally[slot] };
}

/* ---- counting ---------------------------------------------------------------------------- */

static void raise_trip(const struct burst *b, const struct levee_prefix *source)
{
	if (b->share == LEVEE_SHARE_OFF || !b->in->trip)
		return;
	if (!b->in->trip(b->in->ctx, b->seq, source))
		b->row->lost_events++;
}

/* A further share of packets in one slot: say so, and empty the slot before it overflows. */
static void pass_share4(struct burst *b, struct levee_bucket4 *bucket, uint32_t slot)
{
	struct levee_prefix source = { .hi = bucket->addr[slot], .family = 4, .length = 32 };

	raise_trip(b, &source);
	if (bucket->packets[slot] < LEVEE_SLOT_FULL)
		return;
	evict4(b, bucket, slot);
	bucket->packets[slot] = 0;
	bucket->tally[slot] = 0;
}

static void pass_share6(struct burst *b, struct levee_bucket6 *bucket, uint32_t slot)
{
	struct levee_prefix source = { .hi = bucket->hi[slot],
				       .lo = bucket->lo[slot],
				       .family = 6,
				       .length = (uint8_t)b->in->tables->rows.geo.source6_length };

	raise_trip(b, &source);
	if (bucket->packets[slot] < LEVEE_SLOT_FULL)
		return;
	evict6(b, bucket, slot);
	bucket->packets[slot] = 0;
	bucket->tally[slot] = 0;
}

static inline void hit4(struct burst *b, uint32_t share, struct levee_bucket4 *bucket,
			uint32_t slot, uint64_t tally)
{
	uint32_t packets = bucket->packets[slot] + 1;

	bucket->packets[slot] = packets;
	bucket->tally[slot] = levee_tally_add(bucket->tally[slot], tally);
	if (levee_unlikely(!(packets & (share - 1))))
		pass_share4(b, bucket, slot);
}

static inline void hit6(struct burst *b, struct levee_bucket6 *bucket, uint32_t slot,
			uint64_t tally)
{
	uint64_t packets = bucket->packets[slot] + 1;

	bucket->packets[slot] = packets;
	bucket->tally[slot] = levee_tally_add(bucket->tally[slot], tally);
	if (levee_unlikely(!(packets & (b->share - 1))))
		pass_share6(b, bucket, slot);
}

/*
 * \param deep  tallies are in b->tally; otherwise they are the packets' lengths. A constant, so
 *              that there are two loops of it.
 */
static inline __attribute__((always_inline)) void count_all4(struct burst *b,
							     const struct levee_view *view,
							     bool deep)
{
	const uint32_t share = b->share;

	FOR_EACH_BIT(i, b->four)
	{
		const struct item4 *item = &b->item[i].four;
		uint32_t slot = levee_lane4(item->bucket, item->addr);
		uint64_t hash;

		if (levee_likely(slot < LEVEE_SLOTS)) {
			hit4(b, share, item->bucket, slot, deep ? b->tally[i] : view[i].bytes);
			continue;
		}
		hash = levee_hash_again(b->key, levee_hash4(b->key, item->addr));
		__builtin_prefetch(&b->sources4[levee_bucket_of(hash, b->bits4)], 1);
		b->late |= BIT(i);
	}
}

static void count_all6(struct burst *b, const struct levee_view *view, bool deep)
{
	const struct levee_geometry *geo = &b->in->tables->rows.geo;

	FOR_EACH_BIT(i, b->six)
	{
		struct item6 *item = &b->item[i].six;
		uint32_t slot;

		item->hi &= geo->source6_hi;
		item->lo &= geo->source6_lo;
		slot = levee_find6(item->bucket, item->hi, item->lo);
		if (levee_likely(slot < LEVEE_SLOTS)) {
			hit6(b, item->bucket, slot, deep ? b->tally[i] : view[i].bytes);
			continue;
		}
		item->hash = levee_hash_again(b->key, item->hash);
		ask_for6(&b->sources6[levee_bucket_of(item->hash, b->bits6)]);
		b->late |= BIT(i);
	}
}

/* A source that is in neither of its buckets takes the least slot of both. */
static void insert4(struct burst *b, struct levee_bucket4 *one, struct levee_bucket4 *two,
		    uint32_t addr, uint64_t tally)
{
	uint32_t slot = levee_least4(one), other = levee_least4(two);

	if (two->packets[other] < one->packets[slot]) {
		one = two;
		slot = other;
	}
	if (one->packets[slot])
		evict4(b, one, slot);
	else
		b->row->names4++;
	one->addr[slot] = addr;
	one->packets[slot] = 0;
	one->tally[slot] = 0;
	hit4(b, b->share, one, slot, tally); /* with a share of 1 the first packet is an event */
}

static void insert6(struct burst *b, struct levee_bucket6 *one, struct levee_bucket6 *two,
		    const struct item6 *item, uint64_t tally)
{
	uint32_t slot = levee_least6(one), other = levee_least6(two);

	if (two->packets[other] < one->packets[slot]) {
		one = two;
		slot = other;
	}
	if (one->packets[slot])
		evict6(b, one, slot);
	else
		b->row->names6++;
	one->hi[slot] = item->hi;
	one->lo[slot] = item->lo;
	one->packets[slot] = 0;
	one->tally[slot] = 0;
	hit6(b, one, slot, tally);
}

/* The first bucket is looked at again: an item before may have put the source there. */
static void settle4(struct burst *b, const struct item4 *item, uint64_t tally)
{
	uint64_t hash = levee_hash_again(b->key, levee_hash4(b->key, item->addr));
	struct levee_bucket4 *two = &b->sources4[levee_bucket_of(hash, b->bits4)];
	uint32_t slot = levee_lane4(item->bucket, item->addr);

	if (slot < LEVEE_SLOTS) {
		hit4(b, b->share, item->bucket, slot, tally);
		return;
	}
	slot = levee_lane4(two, item->addr);
	if (slot < LEVEE_SLOTS)
		hit4(b, b->share, two, slot, tally);
	else
		insert4(b, item->bucket, two, item->addr, tally);
}

static void settle6(struct burst *b, const struct item6 *item, uint64_t tally)
{
	struct levee_bucket6 *two = &b->sources6[levee_bucket_of(item->hash, b->bits6)];
	uint32_t slot = levee_find6(item->bucket, item->hi, item->lo);

	if (slot < LEVEE_SLOTS) {
		hit6(b, item->bucket, slot, tally);
		return;
	}
	slot = levee_find6(two, item->hi, item->lo);
	if (slot < LEVEE_SLOTS)
		hit6(b, two, slot, tally);
	else
		insert6(b, item->bucket, two, item, tally);
}

/* ---- pass 4: sources that are new, or in their second bucket ------------------------------ */

static void settle(struct burst *b, const struct levee_view *view, bool deep)
{
	FOR_EACH_BIT(i, b->late)
	{
		uint64_t tally = deep ? b->tally[i] : view[i].bytes;

		if (b->four & BIT(i))
			settle4(b, &b->item[i].four, tally);
		else
			settle6(b, &b->item[i].six, tally);
	}
}

static void count(struct burst *b, const struct levee_view *view, bool deep)
{
	b->outcome[LEVEE_COUNTED] += (uint32_t)__builtin_popcountll(b->four | b->six);
	if (deep)
		count_all4(b, view, true);
	else
		count_all4(b, view, false);
	if (b->six)
		count_all6(b, view, deep);
	if (b->late)
		settle(b, view, deep);
}

uint64_t levee_inspect(const struct levee_inspector *in, const struct levee_view *view,
		       unsigned int n, uint64_t now_ns)
{
	struct burst b; /* its items are written before they are read, and many: not cleared */
	bool scoped;

	begin(&b, in);
	look(&b, view, n);
	if (b.touched) {
		ask_rules(&b);
		judge(&b, view, now_ns);
	}
	scoped = __atomic_load_n(&b.page->scope.enabled, __ATOMIC_ACQUIRE) != 0;
	if (scoped || in->flows)
		look_deeper(&b, view, scoped);
	count(&b, view, scoped || in->flows);
	b.row->uncounted += n - b.outcome[LEVEE_COUNTED];
	for (int i = 0; i < LEVEE_OUTCOMES; i++)
		b.row->outcome[i] += b.outcome[i];
	return b.dropped;
}
