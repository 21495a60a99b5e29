/* SPDX-License-Identifier: BSD-2-Clause */
#include "dataplane/dpdk/inspect.h"

#define BIT(i) (1ULL << (i))

/* A packet between the passes. */
struct item {
	struct levee_packet pkt;
	uint64_t hash;	/* of its source, which for IPv6 is masked in pkt from pass 2 on */
	uint64_t tally; /* what it adds to its source's, from pass 2 on */
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
	bool flows;
	uint64_t seq;

	uint64_t parsed;  /* bit i: item i has a source */
	uint64_t touched; /* bit i: a rule may apply */
	uint64_t dropped;
	struct item item[LEVEE_BURST_MAX];
	uint32_t late[LEVEE_BURST_MAX]; /* items for pass 3 */
	uint32_t n_late;
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
	nr = epoch * t->geo.cpus + in->cpu;
	b->row = &t->rows[nr];
	b->sources4 = t->sources4 + ((size_t)nr << t->geo.bits4);
	b->sources6 = t->sources6 + ((size_t)nr << t->geo.bits6);
	b->evicted4 = t->evicted4 + (size_t)nr * t->geo.log4;
	b->evicted6 = t->evicted6 + (size_t)nr * t->geo.log6;
	b->bits4 = c->bits4[epoch];
	b->bits6 = c->bits6[epoch];
	b->share = levee_read_once(c->share);
	b->flows = in->flows;
	b->parsed = b->touched = b->dropped = 0;
	b->n_late = 0;
	for (int i = 0; i < LEVEE_OUTCOMES; i++)
		b->outcome[i] = 0;
}

/* ---- pass 1: who sent it ----------------------------------------------------------------- */

static inline struct levee_bucket4 *first4(const struct burst *b, uint64_t hash)
{
	return &b->sources4[levee_bucket_of(hash, b->bits4)];
}

static inline struct levee_bucket6 *first6(const struct burst *b, uint64_t hash)
{
	return &b->sources6[levee_bucket_of(hash, b->bits6)];
}

static inline void ask_for6(const struct levee_bucket6 *bucket)
{
	__builtin_prefetch(bucket->hi, 1);
	__builtin_prefetch(bucket->packets, 1);
}

static inline void look4(struct burst *b, struct item *item, unsigned int i)
{
	uint32_t addr = (uint32_t)item->pkt.hi;

	item->hash = levee_hash4(b->key, addr);
	__builtin_prefetch(first4(b, item->hash), 1);
	if (levee_bit(b->page->near4, addr >> 16)) {
		__builtin_prefetch(&b->in->tables->policy.far4[addr >> 14]);
		b->touched |= BIT(i);
	}
}

/* An IPv6 source by its bitmaps; the far one is only asked for. */
static inline uint64_t may_match6(const struct burst *b, uint64_t hi)
{
	uint32_t code;

	if (levee_bit(b->page->top6, (uint32_t)(hi >> 48)))
		return 1;
	code = levee_near6_code(b->page->near6, levee_near6_cell(b->key, hi));
	if (code & LEVEE_NEAR6_LONG)
		__builtin_prefetch(&b->in->tables->policy.far6[levee_far6_bit(b->key, hi) >> 6]);
	return code != 0;
}

static inline void look6(struct burst *b, struct item *item, unsigned int i)
{
	const struct levee_control *c = &b->page->control;

	item->hash = levee_hash6(b->key, item->pkt.hi & c->mask6_hi, item->pkt.lo & c->mask6_lo);
	ask_for6(first6(b, item->hash));
	b->touched |= may_match6(b, item->pkt.hi) << i;
}

static inline void look(struct burst *b, const struct levee_view *view, unsigned int n)
{
	uint64_t bytes = 0;

	for (unsigned int i = 0; i < n; i++) {
		struct item *item = &b->item[i];
		int ret = levee_packet_source(&item->pkt, view[i].data,
					      view[i].data + view[i].captured);

		bytes += view[i].bytes;
		if (levee_unlikely(ret < 0)) {
			b->row->reasons[-ret]++;
			b->outcome[ret == LEVEE_NOT_IP ? LEVEE_OUT_OF_SCOPE : LEVEE_UNPARSED]++;
			continue;
		}
		b->parsed |= BIT(i);
		if (levee_likely(item->pkt.family == 4))
			look4(b, item, i);
		else
			look6(b, item, i);
	}
	b->row->received_bytes += bytes;
}

/* Of the packets that a rule may match by the first bitmap: those that the second leaves. */
static void ask_rules(struct burst *b)
{
	for (uint64_t left = b->touched; left; left &= left - 1) {
		unsigned int i = (unsigned int)__builtin_ctzll(left);
		const struct levee_packet *pkt = &b->item[i].pkt;

		if (!levee_policy_ask(&b->in->tables->policy, pkt->family, pkt->hi, pkt->lo))
			b->touched &= ~BIT(i);
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

static inline uint64_t add_tally(const struct burst *b, uint64_t tally, uint64_t more)
{
	return b->flows ? levee_tally_add(tally, more) : tally + more;
}

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
				       .length = (uint8_t)b->page->control.mask6_len };

	raise_trip(b, &source);
	if (bucket->packets[slot] < LEVEE_SLOT_FULL)
		return;
	evict6(b, bucket, slot);
	bucket->packets[slot] = 0;
	bucket->tally[slot] = 0;
}

static inline void hit4(struct burst *b, struct levee_bucket4 *bucket, uint32_t slot,
			uint64_t tally)
{
	uint32_t packets = bucket->packets[slot] + 1;

	bucket->packets[slot] = packets;
	bucket->tally[slot] = add_tally(b, bucket->tally[slot], tally);
	if (levee_unlikely(!(packets & (b->share - 1))))
		pass_share4(b, bucket, slot);
}

static inline void hit6(struct burst *b, struct levee_bucket6 *bucket, uint32_t slot,
			uint64_t tally)
{
	uint64_t packets = bucket->packets[slot] + 1;

	bucket->packets[slot] = packets;
	bucket->tally[slot] = add_tally(b, bucket->tally[slot], tally);
	if (levee_unlikely(!(packets & (b->share - 1))))
		pass_share6(b, bucket, slot);
}

static inline void count4(struct burst *b, struct item *item, unsigned int i)
{
	struct levee_bucket4 *bucket = first4(b, item->hash);
	uint32_t slot = levee_find4(bucket, (uint32_t)item->pkt.hi);

	if (levee_likely(slot < LEVEE_SLOTS)) {
		hit4(b, bucket, slot, item->tally);
		return;
	}
	__builtin_prefetch(first4(b, levee_hash_again(b->key, item->hash)), 1);
	b->late[b->n_late++] = i;
}

static inline void count6(struct burst *b, struct item *item, unsigned int i)
{
	struct levee_bucket6 *bucket = first6(b, item->hash);
	uint32_t slot;

	item->pkt.hi &= b->page->control.mask6_hi;
	item->pkt.lo &= b->page->control.mask6_lo;
	slot = levee_find6(bucket, item->pkt.hi, item->pkt.lo);
	if (levee_likely(slot < LEVEE_SLOTS)) {
		hit6(b, bucket, slot, item->tally);
		return;
	}
	ask_for6(first6(b, levee_hash_again(b->key, item->hash)));
	b->late[b->n_late++] = i;
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
	hit4(b, one, slot, tally); /* with a share of 1 the first packet is an event */
}

static void insert6(struct burst *b, struct levee_bucket6 *one, struct levee_bucket6 *two,
		    const struct levee_packet *pkt, uint64_t tally)
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
	one->hi[slot] = pkt->hi;
	one->lo[slot] = pkt->lo;
	one->packets[slot] = 0;
	one->tally[slot] = 0;
	hit6(b, one, slot, tally);
}

/* The first bucket is looked at again: an item before may have put the source there. */
static void settle4(struct burst *b, const struct item *item)
{
	struct levee_bucket4 *one = first4(b, item->hash);
	struct levee_bucket4 *two = first4(b, levee_hash_again(b->key, item->hash));
	uint32_t addr = (uint32_t)item->pkt.hi;
	uint32_t slot = levee_find4(one, addr);

	if (slot < LEVEE_SLOTS) {
		hit4(b, one, slot, item->tally);
		return;
	}
	slot = levee_find4(two, addr);
	if (slot < LEVEE_SLOTS)
		hit4(b, two, slot, item->tally);
	else
		insert4(b, one, two, addr, item->tally);
}

static void settle6(struct burst *b, const struct item *item)
{
	struct levee_bucket6 *bucket = first6(b, item->hash);
	struct levee_bucket6 *two = first6(b, levee_hash_again(b->key, item->hash));
	uint32_t slot = levee_find6(bucket, item->pkt.hi, item->pkt.lo);

	if (slot == LEVEE_SLOTS) {
		bucket = two;
		slot = levee_find6(two, item->pkt.hi, item->pkt.lo);
	}
	if (slot == LEVEE_SLOTS) {
		insert6(b, first6(b, item->hash), two, &item->pkt, item->tally);
		return;
	}
	hit6(b, bucket, slot, item->tally);
}

/* ---- pass 2: may it pass, and does it count ---------------------------------------------- */

static enum levee_verdict ask_policy(const struct burst *b, const struct levee_packet *pkt,
				     uint32_t bytes, uint64_t now_ns)
{
	const struct levee_policy_memory *m = &b->in->tables->policy;

	return levee_policy_lookup(m, pkt->family, pkt->hi, pkt->lo, 1, bytes, now_ns, b->in->cpu);
}

/* \return true if that was all: allowed, or dropped */
static bool is_decided(struct burst *b, unsigned int i, uint32_t bytes, uint64_t now_ns)
{
	switch (ask_policy(b, &b->item[i].pkt, bytes, now_ns)) {
	case LEVEE_VERDICT_ALLOW:
		b->outcome[LEVEE_ALLOWED]++;
		return true;
	case LEVEE_VERDICT_BLOCK:
		if (levee_read_once(b->page->control.audit)) {
			b->row->would_drop++;
			return false;
		}
		b->outcome[LEVEE_DROPPED]++;
		b->row->dropped_bytes += bytes;
		b->dropped |= BIT(i);
		return true;
	case LEVEE_VERDICT_LIMIT: /* within its rate; what is above comes as a block */
	case LEVEE_VERDICT_NONE:
		break;
	}
	return false;
}

static bool is_in_scope(struct burst *b, const struct item *item)
{
	int ret = levee_scope_has(&b->page->scope, &item->pkt);

	if (ret == 2)
		b->row->port_unknown++;
	if (!ret)
		b->outcome[LEVEE_OUT_OF_SCOPE]++;
	return ret != 0;
}

static inline void judge(struct burst *b, const struct levee_view *view, unsigned int n,
			 uint64_t now_ns)
{
	bool scoped = __atomic_load_n(&b->page->scope.enabled, __ATOMIC_ACQUIRE) != 0;
	uint32_t counted = 0;

	for (unsigned int i = 0; i < n; i++) {
		struct item *item = &b->item[i];

		if (levee_unlikely(!(b->parsed & BIT(i))))
			continue;
		if ((b->touched & BIT(i)) && is_decided(b, i, view[i].bytes, now_ns))
			continue;
		item->tally = view[i].bytes;
		if (scoped || b->flows)
			levee_packet_flow(&item->pkt, view[i].data,
					  view[i].data + view[i].captured);
		if (scoped && !is_in_scope(b, item))
			continue;
		if (b->flows)
			item->tally += levee_flow_tally(&item->pkt);
		counted++;
		if (levee_likely(item->pkt.family == 4))
			count4(b, item, i);
		else
			count6(b, item, i);
	}
	b->outcome[LEVEE_COUNTED] += counted;
}

/* ---- pass 3: sources that are new, or in their second bucket ------------------------------ */

static void settle(struct burst *b)
{
	for (uint32_t at = 0; at < b->n_late; at++) {
		uint32_t i = b->late[at];

		if (b->item[i].pkt.family == 4)
			settle4(b, &b->item[i]);
		else
			settle6(b, &b->item[i]);
	}
}

uint64_t levee_inspect(const struct levee_inspector *in, const struct levee_view *view,
		       unsigned int n, uint64_t now_ns)
{
	struct burst b; /* its items are written before they are read, and many: not cleared */

	begin(&b, in);
	look(&b, view, n);
	if (b.touched)
		ask_rules(&b);
	judge(&b, view, n, now_ns);
	settle(&b);
	b.row->received += n;
	for (int i = 0; i < LEVEE_OUTCOMES; i++)
		b.row->outcome[i] += b.outcome[i];
	return b.dropped;
}
