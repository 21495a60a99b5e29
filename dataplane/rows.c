/* SPDX-License-Identifier: BSD-2-Clause */
#include "dataplane/rows.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

/* ---- sizes ------------------------------------------------------------------------------- */

static uint32_t log2_up(uint64_t n)
{
	uint32_t bits = 0;

	while ((1ULL << bits) < n)
		bits++;
	return bits;
}

static void random_key(struct levee_hash_key *key)
{
	/* 32 bytes never come short (getrandom(2)); before the pool is ready it waits. */
	if (getrandom(key, sizeof(*key), 0) != (ssize_t)sizeof(*key))
		abort();
	key->mul_1 |= 1;
	key->mul_2 |= 1;
	key->mul_3 |= 1;
}

/* log2 of the buckets of a row that are one value. */
static uint32_t part_bits(uint32_t bits, size_t bucket, uint64_t most)
{
	while (bits && bucket << bits > most)
		bits--;
	return bits;
}

static enum levee_per_value per_value(uint32_t rows, uint32_t row_shift, uint32_t bits,
				      uint32_t part, uint64_t most)
{
	if ((uint64_t)rows << row_shift <= most)
		return LEVEE_ROWS;
	return part < bits ? LEVEE_PART : LEVEE_ROW;
}

void levee_geometry_part(struct levee_geometry *geo, uint64_t most)
{
	geo->part4 = part_bits(geo->bits4, sizeof(struct levee_bucket4), most);
	geo->part6 = part_bits(geo->bits6, sizeof(struct levee_bucket6), most);
	geo->mask4 = ((1U << geo->part4) - 1) * (uint32_t)sizeof(struct levee_bucket4);
	geo->mask6 = ((1U << geo->part6) - 1) * (uint32_t)sizeof(struct levee_bucket6);
	geo->row_shift4 = geo->bits4 + log2_up(sizeof(struct levee_bucket4));
	geo->row_shift6 = geo->bits6 + log2_up(sizeof(struct levee_bucket6));
	geo->per_value4 = per_value(geo->rows, geo->row_shift4, geo->bits4, geo->part4, most);
	geo->per_value6 = per_value(geo->rows, geo->row_shift6, geo->bits6, geo->part6, most);
}

void levee_geometry_init(struct levee_geometry *geo, uint32_t cpus, uint64_t sources,
			 uint64_t sources6, uint8_t source6_length, uint64_t rules)
{
	*geo = (struct levee_geometry){ .layout = LEVEE_LAYOUT,
					.cpus = cpus,
					.rows = LEVEE_EPOCHS * cpus,
					.source6_length = source6_length,
					.source6_hi = levee_mask6_hi(source6_length),
					.source6_lo = levee_mask6_lo(source6_length) };
	geo->bits4 = log2_up((sources + LEVEE_SLOTS - 1) / LEVEE_SLOTS);
	geo->bits6 = log2_up((sources6 + LEVEE_SLOTS - 1) / LEVEE_SLOTS);
	levee_geometry_part(geo, UINT64_MAX);
	geo->log4 = (1U << geo->bits4) * LEVEE_SLOTS / 2;
	geo->log6 = (1U << geo->bits6) * LEVEE_SLOTS / 2;
	geo->rules = (uint32_t)rules + 1;
	/* A quarter of the slots in use at most: both choices full is then next to impossible. */
	geo->rule_bits = log2_up((rules * 4 + LEVEE_POLICY_SLOTS - 1) / LEVEE_POLICY_SLOTS);
	random_key(&geo->key);
}

/* Where the rows of an epoch count, as the control block has it. */
static void aim(const struct levee_rows *t, uint32_t epoch)
{
	const struct levee_control *c = t->control;

	for (uint32_t cpu = 0; cpu < t->geo.cpus; cpu++) {
		uint32_t nr = levee_row_nr(cpu, epoch);

		t->rows[nr].shift4 = levee_shift4(c->bits4[epoch]);
		t->rows[nr].shift6 = levee_shift6(c->bits6[epoch]);
	}
}

void levee_rows_use_all(const struct levee_rows *t)
{
	for (uint32_t epoch = 0; epoch < LEVEE_EPOCHS; epoch++) {
		t->control->bits4[epoch] = t->geo.bits4;
		t->control->bits6[epoch] = t->geo.bits6;
		aim(t, epoch);
	}
}

void levee_rows_begin(const struct levee_rows *rows, uint64_t seq, uint64_t now_boot_ns)
{
	struct levee_control *c = rows->control;

	c->geo = rows->geo;
	c->seq = seq;
	c->drained = seq - 1;
	levee_rows_use_all(rows);
	c->opened_ns[seq & 1] = now_boot_ns;
	c->share_mask = LEVEE_SHARE_OFF - 1;
	c->burst = LEVEE_BURST;
}

/* ---- one epoch --------------------------------------------------------------------------- */

/* What waits for its burst, a row's counters being read before. */
static uint32_t waiting(uint64_t put, uint64_t done)
{
	return put - done <= LEVEE_BURST ? (uint32_t)(put - done) : 0;
}

static void add_row(struct levee_account *sum, const struct levee_row *row,
		    const struct levee_geometry *geo)
{
	uint64_t put = levee_read_once(row->put4) + levee_read_once(row->put6);
	struct levee_account a = { .received = levee_read_once(row->uncounted) + put,
				   .received_bytes = levee_read_once(row->passed_bytes),
				   .would_drop = levee_read_once(row->would_drop),
				   .dropped_bytes = levee_read_once(row->dropped_bytes),
				   .port_unknown = levee_read_once(row->port_unknown),
				   .lost_events = levee_read_once(row->lost_events),
				   .fold = row->fold };

	a.evicted = (row->log4 < geo->log4 ? row->log4 : geo->log4) +
		    (row->log6 < geo->log6 ? row->log6 : geo->log6);
	for (int i = 0; i < LEVEE_OUTCOMES; i++)
		a.outcome[i] = levee_read_once(row->outcome[i]);
	a.received += a.outcome[LEVEE_COUNTED];
	a.received_bytes += a.dropped_bytes;
	a.outcome[LEVEE_COUNTED] += put;
	for (int i = 0; i < LEVEE_UNPARSED_MAX; i++)
		a.reasons[i] = levee_read_once(row->reasons[i]);
	levee_account_add(sum, &a);
}

static int give(const struct levee_sink *sink, const struct levee_prefix *source, uint64_t packets,
		uint64_t tally)
{
	struct levee_counts counts = levee_counts_of(packets, tally);

	return sink->source(sink->ctx, source, &counts);
}

/* So many buckets take well below a millisecond. */
#define BUCKETS_A_BREATH 4096U

static void breathe(const struct levee_rows *t, size_t bucket)
{
	if (t->breathe && !(bucket % BUCKETS_A_BREATH))
		t->breathe(t->ctx);
}

static int walk4(const struct levee_rows *t, uint32_t epoch, uint32_t nr,
		 const struct levee_sink *sink)
{
	const struct levee_bucket4 *b = t->sources4 + ((size_t)nr << t->geo.bits4);
	const struct levee_evicted4 *e = t->evicted4 + (size_t)nr * t->geo.log4;
	struct levee_prefix p = { .family = 4, .length = 32 };
	const struct levee_row *row = &t->rows[nr];
	int ret = 0;

	for (size_t i = 0; i < 1ULL << t->control->bits4[epoch]; i++) {
		breathe(t, i);
		for (int s = 0; s < LEVEE_SLOTS && !ret; s++) {
			if (!b[i].packets[s])
				continue;
			p.hi = b[i].addr[s];
			ret = give(sink, &p, b[i].packets[s], b[i].tally[s]);
		}
	}
	for (size_t i = 0; i < row->log4 && i < t->geo.log4 && !ret; i++) {
		p.hi = e[i].addr;
		ret = give(sink, &p, e[i].packets, e[i].tally);
	}
	for (uint32_t i = 0; i < waiting(row->put4, row->done4) && !ret; i++) {
		p.hi = row->waiting4[i].addr;
		ret = give(sink, &p, 1, row->waiting4[i].tally);
	}
	return ret;
}

static int walk6(const struct levee_rows *t, uint32_t epoch, uint32_t nr,
		 const struct levee_sink *sink)
{
	const struct levee_bucket6 *b = t->sources6 + ((size_t)nr << t->geo.bits6);
	const struct levee_evicted6 *e = t->evicted6 + (size_t)nr * t->geo.log6;
	struct levee_prefix p = { .family = 6, .length = (uint8_t)t->geo.source6_length };
	const struct levee_row *row = &t->rows[nr];
	int ret = 0;

	for (size_t i = 0; i < 1ULL << t->control->bits6[epoch]; i++) {
		breathe(t, i);
		for (int s = 0; s < LEVEE_SLOTS && !ret; s++) {
			if (!b[i].packets[s])
				continue;
			p.hi = b[i].hi[s];
			p.lo = b[i].lo[s];
			ret = give(sink, &p, b[i].packets[s], b[i].tally[s]);
		}
	}
	for (size_t i = 0; i < row->log6 && i < t->geo.log6 && !ret; i++) {
		p.hi = e[i].hi;
		p.lo = e[i].lo;
		ret = give(sink, &p, e[i].packets, e[i].tally);
	}
	for (uint32_t i = 0; i < waiting(row->put6, row->done6) && !ret; i++) {
		p.hi = row->waiting6[i].hi;
		p.lo = row->waiting6[i].lo;
		ret = give(sink, &p, 1, row->waiting6[i].tally);
	}
	return ret;
}

static bool has_counted(const struct levee_row *row)
{
	return row->outcome[LEVEE_COUNTED] || row->put4 || row->put6;
}

int levee_rows_walk_cpu(const struct levee_rows *t, uint32_t epoch, uint32_t cpu,
			const struct levee_sink *sink)
{
	uint32_t nr = levee_row_nr(cpu, epoch);
	int ret;

	if (!has_counted(&t->rows[nr]))
		return 0;
	ret = walk4(t, epoch, nr, sink);
	return ret ? ret : walk6(t, epoch, nr, sink);
}

int levee_rows_walk(const struct levee_rows *t, uint32_t epoch, const struct levee_sink *sink,
		    struct levee_account *account)
{
	int ret = 0;

	for (uint32_t cpu = 0; cpu < t->geo.cpus && !ret; cpu++) {
		uint32_t nr = levee_row_nr(cpu, epoch);

		add_row(account, &t->rows[nr], &t->geo);
		if (sink)
			ret = levee_rows_walk_cpu(t, epoch, cpu, sink);
	}
	return ret;
}

/* ---- one source -------------------------------------------------------------------------- */

static void add_counts(struct levee_counts *sum, uint64_t packets, uint64_t tally)
{
	struct levee_counts more = levee_counts_of(packets, tally);

	levee_counts_add(sum, &more);
}

static void count_bucket4(struct levee_counts *sum, const struct levee_bucket4 *b, uint32_t addr)
{
	for (int s = 0; s < LEVEE_SLOTS; s++)
		if (b->addr[s] == addr && levee_read_once(b->packets[s]))
			add_counts(sum, levee_read_once(b->packets[s]),
				   levee_read_once(b->tally[s]));
}

static void count_bucket6(struct levee_counts *sum, const struct levee_bucket6 *b, uint64_t hi,
			  uint64_t lo)
{
	for (int s = 0; s < LEVEE_SLOTS; s++)
		if (b->hi[s] == hi && b->lo[s] == lo && levee_read_once(b->packets[s]))
			add_counts(sum, levee_read_once(b->packets[s]),
				   levee_read_once(b->tally[s]));
}

static uint64_t searched(uint64_t logged, uint32_t room)
{
	uint64_t n = logged < room ? logged : room;

	return n <= LEVEE_LOG_SEARCHED ? n : 0;
}

static void count_row4(const struct levee_rows *t, uint32_t nr, uint32_t bits, uint32_t addr,
		       struct levee_counts *sum)
{
	const struct levee_bucket4 *b = t->sources4 + ((size_t)nr << t->geo.bits4);
	const struct levee_evicted4 *e = t->evicted4 + (size_t)nr * t->geo.log4;
	const struct levee_row *row = &t->rows[nr];
	uint64_t hash = levee_hash4(&t->geo.key, addr);
	uint32_t one = levee_bucket_of(hash, bits);
	uint32_t two = levee_bucket_of(levee_hash_again(&t->geo.key, hash), bits);
	uint64_t logged = searched(row->log4, t->geo.log4);

	count_bucket4(sum, &b[one], addr);
	if (two != one)
		count_bucket4(sum, &b[two], addr);
	for (uint64_t i = 0; i < logged; i++)
		if (e[i].addr == addr)
			add_counts(sum, e[i].packets, e[i].tally);
	for (uint32_t i = 0; i < waiting(row->put4, row->done4); i++)
		if (row->waiting4[i].addr == addr)
			add_counts(sum, 1, row->waiting4[i].tally);
}

static void count_row6(const struct levee_rows *t, uint32_t nr, uint32_t bits,
		       const struct levee_prefix *source, struct levee_counts *sum)
{
	const struct levee_bucket6 *b = t->sources6 + ((size_t)nr << t->geo.bits6);
	const struct levee_evicted6 *e = t->evicted6 + (size_t)nr * t->geo.log6;
	const struct levee_row *row = &t->rows[nr];
	uint64_t hi = source->hi, lo = source->lo, hash = levee_hash6(&t->geo.key, hi, lo);
	uint32_t one = levee_bucket_of(hash, bits);
	uint32_t two = levee_bucket_of(levee_hash_again(&t->geo.key, hash), bits);
	uint64_t logged = searched(row->log6, t->geo.log6);

	count_bucket6(sum, &b[one], hi, lo);
	if (two != one)
		count_bucket6(sum, &b[two], hi, lo);
	for (uint64_t i = 0; i < logged; i++)
		if (e[i].hi == hi && e[i].lo == lo)
			add_counts(sum, e[i].packets, e[i].tally);
	for (uint32_t i = 0; i < waiting(row->put6, row->done6); i++)
		if (row->waiting6[i].hi == hi && row->waiting6[i].lo == lo)
			add_counts(sum, 1, row->waiting6[i].tally);
}

struct levee_counts levee_rows_count(const struct levee_rows *t, uint32_t epoch,
				     const struct levee_prefix *source)
{
	struct levee_counts sum = { 0 };

	for (uint32_t cpu = 0; cpu < t->geo.cpus; cpu++) {
		uint32_t nr = levee_row_nr(cpu, epoch);

		if (source->family == 4)
			count_row4(t, nr, t->control->bits4[epoch], (uint32_t)source->hi, &sum);
		else
			count_row6(t, nr, t->control->bits6[epoch], source, &sum);
	}
	return sum;
}

/* What waits lags behind what was received: a burst takes its length, less one, off the step. */
void levee_rows_set_share(const struct levee_rows *t, uint64_t share)
{
	uint64_t burst = share ? 1 : LEVEE_BURST, step = 1;

	while (burst < LEVEE_BURST && burst * 4 <= share)
		burst *= 2;
	while (step < LEVEE_SHARE_OFF / 2 && step * 2 + burst - 1 <= share)
		step *= 2;
	if (!share)
		step = LEVEE_SHARE_OFF;
	levee_write_once(t->control->burst, (__u32)burst);
	levee_write_once(t->control->share_mask, (__u32)step - 1);
}

/* ---- between epochs ---------------------------------------------------------------------- */

/* As many buckets as 1.5 slots for each source of the busiest CPU, or all there are. */
static uint32_t bits_for(uint64_t names, uint32_t most)
{
	uint32_t bits = log2_up(names + names / 2) - 2;

	_Static_assert(LEVEE_SLOTS == 4, "2 bits");
	if (names < 1024)
		bits = 9;
	return bits < most ? bits : most;
}

void levee_rows_size_next(const struct levee_rows *t, uint32_t running)
{
	struct levee_control *c = t->control;
	uint64_t names4 = 0, names6 = 0;
	bool any = false;

	for (uint32_t cpu = 0; cpu < t->geo.cpus; cpu++) {
		const struct levee_row *row = &t->rows[levee_row_nr(cpu, running)];

		any |= has_counted(row);
		if (row->names4 + row->log4 > names4)
			names4 = row->names4 + row->log4;
		if (row->names6 + row->log6 > names6)
			names6 = row->names6 + row->log6;
	}
	/* No packet says nothing of the sources to come: a start may be in the middle of a flood. */
	c->bits4[!running] = any ? bits_for(names4, t->geo.bits4) : t->geo.bits4;
	c->bits6[!running] = any ? bits_for(names6, t->geo.bits6) : t->geo.bits6;
	aim(t, !running);
}

static void clear(const struct levee_rows *t, void *buckets, size_t size, size_t n)
{
	for (size_t i = 0; i < n; i += BUCKETS_A_BREATH) {
		breathe(t, i);
		memset((char *)buckets + i * size, 0,
		       size * (n - i < BUCKETS_A_BREATH ? n - i : BUCKETS_A_BREATH));
	}
}

/* A row stays aimed. */
#define KEPT offsetof(struct levee_row, put4)

void levee_rows_clear(const struct levee_rows *t, uint32_t epoch)
{
	const struct levee_control *c = t->control;

	for (uint32_t cpu = 0; cpu < t->geo.cpus; cpu++) {
		uint32_t nr = levee_row_nr(cpu, epoch);

		if (has_counted(&t->rows[nr])) {
			clear(t, t->sources4 + ((size_t)nr << t->geo.bits4),
			      sizeof(struct levee_bucket4), 1ULL << c->bits4[epoch]);
			clear(t, t->sources6 + ((size_t)nr << t->geo.bits6),
			      sizeof(struct levee_bucket6), 1ULL << c->bits6[epoch]);
		}
		/* Last, so that a process killed before finds the row and clears all again. */
		__atomic_thread_fence(__ATOMIC_RELEASE);
		memset((char *)&t->rows[nr] + KEPT, 0, sizeof(struct levee_row) - KEPT);
	}
}

void levee_rows_describe(const struct levee_rows *t, uint64_t seq, struct levee_drained *drained)
{
	*drained = (struct levee_drained){ .seq = seq,
					   .opened_ns = t->control->opened_ns[seq & 1],
					   .bin_ns = t->control->bin_ns[seq & 1] };
}

/* ---- scope ------------------------------------------------------------------------------- */

/* Widen first, narrow last: in between whatever is in the new scope is in. */
void levee_scope_publish(struct levee_scope *scope, const struct levee_scope *next)
{
	__u64 *to = (__u64 *)(void *)scope;
	const __u64 *from = (const __u64 *)(const void *)next;
	size_t words = sizeof(*scope) / sizeof(__u64);

	_Static_assert(!(sizeof(*scope) % sizeof(__u64)), "written by words");
	_Static_assert(!__builtin_offsetof(struct levee_scope, enabled), "the first word");
	if (!next->enabled)
		levee_write_once(to[0], 0);
	for (size_t i = 1; i < words; i++)
		levee_write_once(to[i], to[i] | from[i]);
	__atomic_thread_fence(__ATOMIC_RELEASE);
	for (size_t i = 1; i < words; i++)
		levee_write_once(to[i], from[i]);
	__atomic_store_n(&to[0], next->enabled, __ATOMIC_RELEASE);
}
