/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Counting in the kernel, to the packet: what the tables, the eviction logs and the fold give back
 * is what was sent, whatever the size of the tables, across drains, and across processes that are
 * killed at the worst of moments. Tables are mostly tiny, so that second choices, evictions, full
 * logs and pressure happen all the time. The spoofed flood is in test_flood.c.
 */
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <errno.h>
#include <unistd.h>
#include <linux/bpf.h>
#include <cmocka.h>

#include "dataplane/xdp/xdp_internal.h"
#include "tests/support/stream.h"
#include "tests/support/xdp.h"

#define SEED	20261127U
#define NUMBERS 4096
#define SECOND	LEVEE_NS_PER_S

#define ALIKE_BITS  52
#define ALIKE_ZEROS (1ULL << ALIKE_BITS)
#define ALIKE_SOME  (ALIKE_ZEROS | 0x123456789abcdULL)

typedef unsigned __int128 uint128_t;

static struct levee_xdp_fixture fixture;
static struct levee_stream stream;

/* Not 0: IPv6 sources differ in their upper bits alone, and these are the lower ones. */
static uint64_t alike;

static int close_stream(void **state)
{
	(void)state;
	alike = 0;
	levee_stream_close(&stream);
	return 0;
}

static int close_fixture(void **state)
{
	(void)state;
	levee_xdp_fixture_close(&fixture);
	return 0;
}

static const struct mapset *maps(void)
{
	return &((const struct levee_xdp *)fixture.dp)->maps;
}

static uint32_t epoch(void)
{
	return (uint32_t)(maps()->page->control.seq & 1);
}

/* Row of this CPU in the open epoch. */
static uint32_t row_nr(void)
{
	return levee_row_nr((uint32_t)sched_getcpu(), epoch());
}

static uint32_t next_random(uint64_t *state)
{
	*state = *state * 6364136223846793005ULL + 1442695040888963407ULL;
	return (uint32_t)(*state >> 33);
}

/* ---- the truth --------------------------------------------------------------------------- */

struct counts {
	uint64_t packets;
	uint64_t bytes;
};

/* By family (0: IPv4) and number of the source. Number 0 is 0.0.0.0 or ::, as in a free slot. */
static struct {
	struct counts sent[2][NUMBERS];
	struct counts got[2][NUMBERS];
	struct counts all_sent;
	struct counts all_got;
	uint64_t parts;	  /* how often the sink was called */
	uint64_t kill_at; /* part at which this process ends; 0: never */
} truth;

static void forget_truth(void)
{
	memset(&truth, 0, sizeof(truth));
}

static uint64_t alike_hi(uint32_t nr)
{
	return (uint64_t)nr << ALIKE_BITS | (alike & ((1ULL << ALIKE_BITS) - 1));
}

static struct stream_source source_of(unsigned int six, uint32_t nr)
{
	if (!six)
		return (struct stream_source){ .family = 4, .hi = nr * STREAM_SCATTER4 };
	/* The lower half is outside the prefix, and must not matter. */
	return (struct stream_source){ .family = 6,
				       .hi = alike ? alike_hi(nr) : nr * STREAM_SCATTER6,
				       .lo = nr * 77ULL };
}

/* x with x * odd = 1 modulo 2^64, by Newton's iteration. */
static uint64_t inverse(uint64_t odd)
{
	uint64_t x = odd;

	for (int i = 0; i < 6; i++)
		x *= 2 - odd * x;
	return x;
}

static uint32_t nr_of(const struct levee_prefix *p)
{
	uint64_t nr;

	if (p->family == 4)
		nr = (uint32_t)(p->hi * inverse(STREAM_SCATTER4));
	else if (alike)
		nr = p->hi >> ALIKE_BITS;
	else
		nr = p->hi * inverse(STREAM_SCATTER6);
	assert_int_equal(p->lo, 0);
	assert_int_equal(p->length, p->family == 4 ? 32 : 64);
	assert_true(nr < NUMBERS);
	return (uint32_t)nr;
}

static void add(struct counts *to, uint64_t packets, uint64_t bytes)
{
	to->packets += packets;
	to->bytes += bytes;
}

static void note(unsigned int six, uint32_t nr, uint64_t packets, uint64_t bytes)
{
	add(&truth.sent[six][nr], packets, bytes);
	add(&truth.all_sent, packets, bytes);
}

static int on_source(void *ctx, const struct levee_prefix *source,
		     const struct levee_counts *counts)
{
	(void)ctx;
	if (++truth.parts == truth.kill_at)
		kill(getpid(), SIGKILL);
	assert_true(counts->packets > 0);
	add(&truth.got[source->family == 6][nr_of(source)], counts->packets, counts->bytes);
	add(&truth.all_got, counts->packets, counts->bytes);
	return 0;
}

static const struct levee_sink sink = { .source = on_source };

/* Without a fold: every source to the packet and the byte. */
static void assert_exact(void)
{
	for (unsigned int six = 0; six < 2; six++)
		for (uint32_t nr = 0; nr < NUMBERS; nr++) {
			const struct counts *sent = &truth.sent[six][nr];
			const struct counts *got = &truth.got[six][nr];

			if (sent->packets == got->packets && sent->bytes == got->bytes)
				continue;
			fail_msg("IPv%d source %u: sent %llu packets, %llu bytes; got %llu, %llu",
				 six ? 6 : 4, nr, (unsigned long long)sent->packets,
				 (unsigned long long)sent->bytes, (unsigned long long)got->packets,
				 (unsigned long long)got->bytes);
		}
	assert_int_equal(truth.all_sent.packets, truth.all_got.packets);
}

static uint64_t sources_sent(void)
{
	uint64_t n = 0;

	for (unsigned int six = 0; six < 2; six++)
		for (uint32_t nr = 0; nr < NUMBERS; nr++)
			n += truth.sent[six][nr].packets != 0;
	return n;
}

static void assert_adds_up(const struct levee_account *a)
{
	uint64_t sum = 0;

	for (int i = 0; i < LEVEE_OUTCOMES; i++)
		sum += a->outcome[i];
	assert_int_equal(a->received, sum);
}

/* ---- sending ----------------------------------------------------------------------------- */

static void open_sized(uint64_t sources)
{
	struct levee_xdp_sizes sizes = { .sources = sources, .rules = 64 };

	levee_xdp_fixture_open(&fixture, &sizes);
	/* What is evicted when, and logs of less than a burst, are looked at packet by packet. */
	if (sources < 1024)
		maps()->page->control.burst = 1;
	levee_stream_open(&stream, &fixture);
	forget_truth();
}

/* For those that pin the maps: they must not be pinned yet. */
static void open_anew(uint64_t sources)
{
	levee_xdp_fixture_close(&fixture);
	open_sized(sources);
}

/* Most packets from few sources, most sources with few packets. */
static uint32_t random_nr(uint64_t *random, uint32_t numbers)
{
	uint32_t n = next_random(random) % 4 ? numbers : numbers / 64;

	return next_random(random) % (n ? n : 1);
}

/* Packets of random sources of both families; `really` not: only for the truth. */
static void send_random(uint64_t *random, uint32_t packets, uint32_t numbers, bool really)
{
	static struct stream_source list[STREAM_LIST_MAX];
	size_t len = 60 + next_random(random) % 1400;

	assert_true(packets <= STREAM_LIST_MAX && numbers <= NUMBERS);
	for (uint32_t i = 0; i < packets; i++) {
		unsigned int six = next_random(random) & 1;
		uint32_t nr = random_nr(random, numbers);

		list[i] = source_of(six, nr);
		note(six, nr, 1, len);
	}
	if (!really)
		return;
	levee_stream_list(&stream, list, packets);
	levee_stream_run(&stream, packets, len);
}

static void send_one(unsigned int six, uint32_t nr, uint64_t packets)
{
	struct stream_source s = source_of(six, nr);

	note(six, nr, packets, packets * 60);
	while (packets--)
		levee_xdp_send(&fixture, (uint8_t)s.family, s.hi, s.lo, 60);
}

/* Is there pressure? The timer, which is due as well, may come first. */
static bool pressure(void)
{
	struct levee_dp_event event;

	for (int i = 0; i < 2; i++) {
		assert_int_equal(levee_dataplane_wait(fixture.dp, 0, &event), 0);
		if (event.type == LEVEE_DP_PRESSURE)
			return true;
	}
	return false;
}

static void drain(struct levee_account *sum)
{
	struct levee_drained drained;

	assert_int_equal(levee_dataplane_drain(fixture.dp, SECOND, &sink, &drained), 0);
	assert_adds_up(&drained.account);
	levee_account_add(sum, &drained.account);
}

static void drain_and_release(struct levee_account *sum)
{
	drain(sum);
	levee_dataplane_release(fixture.dp);
}

/* ---- exactness --------------------------------------------------------------------------- */

static void a_table_with_room_counts_every_source_exactly(void **state)
{
	struct levee_account sum = { 0 };
	uint64_t random = SEED;

	(void)state;
	print_message("# seed %u\n", SEED);
	open_sized(16384);
	for (int i = 0; i < 12; i++) {
		send_random(&random, STREAM_LIST_MAX, NUMBERS, true);
		if (i % 4 == 3)
			drain_and_release(&sum);
	}
	assert_exact();
	assert_int_equal(sum.received, truth.all_sent.packets);
	assert_int_equal(sum.received_bytes, truth.all_sent.bytes);
	assert_int_equal(sum.outcome[LEVEE_COUNTED], sum.received);
	assert_int_equal(sum.fold.n, 0);
}

static void a_crowded_table_that_is_drained_on_pressure_loses_no_name(void **state)
{
	struct levee_account sum = { 0 };
	uint64_t random = SEED + 1;
	unsigned int drains = 0;

	(void)state;
	print_message("# seed %u\n", SEED + 1);
	open_sized(256); /* logs of 128 a family, pressure at 64: the next 60 fit */
	for (int i = 0; i < 90; i++) {
		send_random(&random, 60, NUMBERS, true);
		if (!pressure())
			continue;
		drain_and_release(&sum);
		drains++;
	}
	drain_and_release(&sum);
	print_message("# %u drains on pressure, %llu values by way of the logs\n", drains,
		      (unsigned long long)sum.evicted);
	assert_true(drains > 5 && sum.evicted > 600);
	assert_int_equal(sum.fold.n, 0);
	assert_exact();
}

static void a_tiny_table_that_is_drained_on_pressure_loses_no_name(void **state)
{
	struct levee_account sum = { 0 };
	uint64_t random = SEED + 2;

	(void)state;
	print_message("# seed %u\n", SEED + 2);
	open_sized(64);
	for (int i = 0; i < 2500; i++) {
		send_one(next_random(&random) & 1, random_nr(&random, NUMBERS),
			 1 + next_random(&random) % 3);
		if (i % 8 == 7 && pressure())
			drain_and_release(&sum);
	}
	drain_and_release(&sum);
	print_message("# %llu values by way of the logs\n", (unsigned long long)sum.evicted);
	assert_true(sum.evicted > 300);
	assert_int_equal(sum.fold.n, 0);
	assert_exact();
}

/* What is compared first is equal for all of them; with zeros as in a free slot, too. */
static void sources_that_are_alike_are_told_apart(void **state)
{
	static const uint64_t kinds[] = { ALIKE_ZEROS, ALIKE_SOME };
	static const uint64_t sizes[] = { 16384, 65536 }; /* counted at once, and after a wait */
	static const uint64_t waiting[] = { 0, 2 * (LEVEE_BURST - 1) };
	uint64_t random = SEED + 3;

	(void)state;
	print_message("# seed %u\n", SEED + 3);
	for (int i = 0; i < 4; i++) {
		struct levee_account sum = { 0 };

		open_sized(sizes[i / 2]);
		alike = kinds[i % 2];
		for (int n = 0; n < 4; n++)
			send_random(&random, STREAM_LIST_MAX, NUMBERS, true);
		drain_and_release(&sum);
		assert_exact();
		assert_int_equal(sum.outcome[LEVEE_COUNTED], truth.all_sent.packets);
		assert_int_equal(sum.fold.n, 0);
		/* each has one slot, but for what waits for it, or went to the log */
		assert_in_range(truth.parts, sources_sent(),
				sources_sent() + waiting[i / 2] + sum.evicted);
		levee_stream_close(&stream);
	}
}

static void cpus_add_up(void **state)
{
	struct levee_account sum = { 0 };
	uint64_t random = SEED + 3;
	int home = sched_getcpu();

	(void)state;
	print_message("# seed %u\n", SEED + 3);
	open_sized(4096);
	for (unsigned int turn = 0; turn < 3; turn++) {
		for (unsigned int cpu = 0; cpu < 16; cpu++)
			if (levee_xdp_on_cpu(cpu))
				send_random(&random, 5000, 500, true);
		drain_and_release(&sum);
	}
	assert_true(levee_xdp_on_cpu((unsigned int)home));
	assert_exact();
	assert_int_equal(sum.received, truth.all_sent.packets);
	assert_int_equal(sum.fold.n, 0);
}

static void every_outcome_is_in_the_account_across_drains(void **state)
{
	struct levee_prefix blocked = { .hi = 0x0a000000, .family = 4, .length = 8 };
	struct levee_prefix allowed = { .hi = 0x0a010000, .family = 4, .length = 16 };
	static const uint8_t arp[60] = { [12] = 0x08, [13] = 0x06 };
	static const uint8_t cut[34] = { [12] = 0x86, [13] = 0xdd, [14] = 0x60 };
	struct levee_account sum = { 0 };
	struct levee_drained drained;
	uint64_t n = 0;

	(void)state;
	open_sized(64);
	assert_int_equal(levee_policy_set_allowed(fixture.dp->policy, &allowed, 1), 0);
	assert_int_equal(levee_policy_block(fixture.dp->policy, &blocked, LEVEE_NEVER, 1), 0);
	for (int i = 0; i < 20; i++) {
		for (uint32_t k = 0; k < 64; k++) { /* as many sources as slots: some are evicted */
			levee_xdp_send(&fixture, 4, 0x0a000000 + k, 0, 60);
			levee_xdp_send(&fixture, 4, 0x0a010000 + k, 0, 70);
			levee_xdp_run(&fixture, arp, sizeof(arp));
			levee_xdp_run(&fixture, cut, sizeof(cut));
			levee_xdp_send(&fixture, 6, k, 0, 80);
			n++;
		}
		assert_int_equal(levee_dataplane_drain(fixture.dp, SECOND, NULL, &drained), 0);
		assert_adds_up(&drained.account);
		levee_account_add(&sum, &drained.account);
		levee_dataplane_release(fixture.dp);
	}
	assert_int_equal(sum.received, 5 * n);
	assert_int_equal(sum.received_bytes, (60 + 70 + sizeof(arp) + sizeof(cut) + 80) * n);
	assert_int_equal(sum.outcome[LEVEE_DROPPED], n);
	assert_int_equal(sum.dropped_bytes, 60 * n);
	assert_int_equal(sum.outcome[LEVEE_ALLOWED], n);
	assert_int_equal(sum.outcome[LEVEE_OUT_OF_SCOPE], n);
	assert_int_equal(sum.reasons[-LEVEE_NOT_IP], n);
	assert_int_equal(sum.outcome[LEVEE_UNPARSED], n);
	assert_int_equal(sum.reasons[-LEVEE_BAD_IPV6], n);
	assert_int_equal(sum.outcome[LEVEE_COUNTED], n);
	assert_int_equal(sum.evicted + sum.fold.n > 0, true);
}

/* ---- a model of one row, to the slot ----------------------------------------------------- */

/* What the row of this CPU should hold, by a plain version of the same algorithm. */
struct model_slot {
	uint64_t hi;
	uint64_t packets;
	uint64_t bytes;
};

struct model_row {
	uint32_t bits;
	uint64_t log_room;
	struct model_slot *slots; /* [buckets][LEVEE_SLOTS] */
	struct model_slot *log;
	uint64_t log_n;
};

static struct model_row rows[2];
static struct {
	uint64_t n;
	uint64_t packets;
	uint64_t bytes;
	uint128_t squares;
} folded;

static void make_model(void)
{
	memset(&folded, 0, sizeof(folded));
	for (unsigned int six = 0; six < 2; six++) {
		struct model_row *r = &rows[six];

		free(r->slots);
		free(r->log);
		r->bits = six ? maps()->geo.bits6 : maps()->geo.bits4;
		r->log_room = six ? maps()->geo.log6 : maps()->geo.log4;
		r->slots = calloc((size_t)LEVEE_SLOTS << r->bits, sizeof(*r->slots));
		r->log = calloc(r->log_room, sizeof(*r->log));
		r->log_n = 0;
		assert_true(r->slots && r->log);
	}
}

static void model_evict(struct model_row *r, const struct model_slot *s)
{
	if (r->log_n++ < r->log_room) {
		r->log[r->log_n - 1] = *s;
		return;
	}
	folded.n++;
	folded.packets += s->packets;
	folded.bytes += s->bytes;
	folded.squares += (uint128_t)s->packets * s->packets;
}

static void model_count(const struct stream_source *source, uint64_t bytes)
{
	struct model_row *r = &rows[source->family == 6];
	const struct levee_hash_key *key = &maps()->geo.key;
	uint64_t hash = source->family == 4 ? levee_hash4(key, (uint32_t)source->hi)
					    : levee_hash6(key, source->hi, 0);
	uint32_t buckets[2] = { levee_bucket_of(hash, r->bits),
				levee_bucket_of(levee_hash_again(key, hash), r->bits) };
	struct model_slot *least = NULL;
	int free_in = -1; /* the bucket of least, if that is free */

	for (int choice = 0; choice < 2; choice++)
		for (int i = 0; i < LEVEE_SLOTS; i++) {
			struct model_slot *s =
				&r->slots[buckets[choice] * LEVEE_SLOTS + (uint32_t)i];

			if (s->packets && s->hi == source->hi) {
				s->packets++;
				s->bytes += bytes;
				return;
			}
			/* 0 is found in free slots, and takes the last of a bucket. */
			if (!least || s->packets < least->packets ||
			    (!source->hi && !s->packets && free_in == choice)) {
				least = s;
				free_in = s->packets ? -1 : choice;
			}
		}
	if (least->packets)
		model_evict(r, least);
	*least = (struct model_slot){ source->hi, 1, bytes };
}

/* Order within a bucket is free where a zero source is involved: compare sums. */
static int on_modelled(void *ctx, const struct levee_prefix *source,
		       const struct levee_counts *counts)
{
	truth.parts++;
	add(ctx, counts->packets * (source->hi | 1), counts->bytes * (source->hi | 1));
	return 0;
}

static void model_walk(struct counts *sum, uint64_t *parts)
{
	for (unsigned int six = 0; six < 2; six++) {
		const struct model_row *r = &rows[six];

		for (size_t i = 0; i < (size_t)LEVEE_SLOTS << r->bits; i++)
			if (r->slots[i].packets) {
				add(sum, r->slots[i].packets * (r->slots[i].hi | 1),
				    r->slots[i].bytes * (r->slots[i].hi | 1));
				(*parts)++;
			}
		for (size_t i = 0; i < r->log_n && i < r->log_room; i++) {
			add(sum, r->log[i].packets * (r->log[i].hi | 1),
			    r->log[i].bytes * (r->log[i].hi | 1));
			(*parts)++;
		}
	}
}

static void assert_as_model(void)
{
	struct counts got = { 0 }, want = { 0 };
	struct levee_sink modelled = { .source = on_modelled, .ctx = &got };
	struct levee_account a;
	uint64_t parts = 0;

	truth.parts = 0;
	levee_xdp_take(&fixture, &modelled, &a);
	model_walk(&want, &parts);
	assert_int_equal(truth.parts, parts);
	assert_int_equal(got.packets, want.packets);
	assert_int_equal(got.bytes, want.bytes);
	assert_int_equal(a.fold.n, folded.n);
	assert_int_equal(a.fold.packets, folded.packets);
	assert_int_equal(a.fold.bytes, folded.bytes);
	assert_int_equal(a.fold.sq_lo, (uint64_t)folded.squares);
	assert_int_equal(a.fold.sq_hi, (uint64_t)(folded.squares >> 64));
	assert_int_equal(
		a.evicted,
		(rows[0].log_n < rows[0].log_room ? rows[0].log_n : rows[0].log_room) +
			(rows[1].log_n < rows[1].log_room ? rows[1].log_n : rows[1].log_room));
	assert_adds_up(&a);
}

static void model_send(uint64_t *random, uint32_t packets, uint32_t numbers)
{
	static struct stream_source list[STREAM_LIST_MAX];
	size_t len = 60 + next_random(random) % 1400;

	for (uint32_t i = 0; i < packets; i++) {
		list[i] = source_of(next_random(random) & 1, random_nr(random, numbers));
		list[i].lo = 0;
		model_count(&list[i], len);
	}
	levee_stream_list(&stream, list, packets);
	levee_stream_run(&stream, packets, len);
}

static void what_finds_the_log_full_is_folded_with_exact_moments(void **state)
{
	static const uint64_t sizes[] = { 4, 32, 512 };
	uint64_t random = SEED + 4;

	(void)state;
	print_message("# seed %u\n", SEED + 4);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		open_sized(sizes[i]);
		for (int turn = 0; turn < 6; turn++) {
			uint32_t numbers = turn & 1 ? NUMBERS : (uint32_t)sizes[i];

			make_model();
			for (int k = 0; k < 3; k++)
				model_send(&random, 20000, numbers);
			if (turn & 1)
				assert_true(folded.n > 1000);
			assert_as_model();
		}
		levee_stream_close(&stream);
	}
	for (unsigned int six = 0; six < 2; six++) {
		free(rows[six].slots);
		free(rows[six].log);
		rows[six] = (struct model_row){ 0 };
	}
}

/* One bucket, a log of two: what is evicted when can be said by heart. */
static void the_source_with_the_fewest_packets_goes_first_to_the_log_then_to_the_fold(void **state)
{
	struct levee_account a;

	(void)state;
	for (unsigned int six = 0; six < 2; six++) {
		open_sized(4);
		send_one(six, 1, 10);
		send_one(six, 2, 20);
		send_one(six, 3, 30);
		send_one(six, 4, 40);
		send_one(six, 5, 50); /* 10 go to the log */
		send_one(six, 6, 60); /* 20 go to the log */
		send_one(six, 7, 70); /* 30 are folded */
		send_one(six, 8, 80); /* 40 are folded */
		levee_xdp_take(&fixture, &sink, &a);
		assert_int_equal(a.evicted, 2);
		assert_int_equal(a.fold.n, 2);
		assert_int_equal(a.fold.packets, 70);
		assert_int_equal(a.fold.bytes, 70 * 60);
		assert_int_equal(a.fold.sq_lo, 30 * 30 + 40 * 40);
		assert_int_equal(a.fold.sq_hi, 0);
		truth.sent[six][3] = truth.sent[six][4] = (struct counts){ 0 };
		truth.all_sent.packets -= 70;
		assert_exact();
		levee_stream_close(&stream);
	}
}

static void squares_beyond_64_bits_are_folded_exactly(void **state)
{
	static const uint64_t values[] = { 0xffffffffULL, 1ULL << 40, (1ULL << 48) - 1,
					   0xfedcba9876ULL };
	struct levee_bucket6 *b;
	struct levee_account a;
	uint128_t squares = 0;
	uint64_t packets = 0;

	(void)state;
	open_sized(4);
	for (uint32_t nr = 1; nr <= 4; nr++)
		send_one(1, nr, 1);
	b = maps()->sources6 + ((size_t)row_nr() << maps()->geo.bits6);
	for (int i = 0; i < LEVEE_SLOTS; i++)
		b->packets[i] = values[i];
	maps()->rows[row_nr()].log6 = maps()->geo.log6; /* full */
	for (uint32_t nr = 10; nr < 14; nr++) {
		/* Each new one takes the least; then it must not be the least itself. */
		send_one(1, nr, 1);
		for (int i = 0; i < LEVEE_SLOTS; i++)
			if (b->packets[i] == 1)
				b->packets[i] = 1ULL << 50;
	}
	for (int i = 0; i < LEVEE_SLOTS; i++) {
		packets += values[i];
		squares += (uint128_t)values[i] * values[i];
	}
	levee_xdp_take(&fixture, NULL, &a);
	assert_int_equal(a.fold.n, 4);
	assert_int_equal(a.fold.packets, packets);
	assert_int_equal(a.fold.sq_lo, (uint64_t)squares);
	assert_int_equal(a.fold.sq_hi, (uint64_t)(squares >> 64));
}

static void a_slot_that_is_full_goes_on_in_the_log(void **state)
{
	const uint64_t before = LEVEE_SLOT_FULL - 1;
	struct levee_bucket4 *b;
	struct levee_account a;

	(void)state;
	open_sized(4);
	send_one(0, 7, 1);
	b = maps()->sources4 + ((size_t)row_nr() << maps()->geo.bits4);
	b->packets[0] = (uint32_t)before;
	b->tally[0] = before * 60;
	note(0, 7, before - 1, (before - 1) * 60);
	send_one(0, 7, 5);
	levee_xdp_take(&fixture, &sink, &a);
	assert_int_equal(truth.parts, 2);
	assert_int_equal(a.evicted, 1);
	assert_int_equal(a.fold.n, 0);
	assert_exact();
}

/* ---- epochs ------------------------------------------------------------------------------ */

static void a_drained_epoch_is_told_as_what_it_was(void **state)
{
	struct levee_drained first, second, open;
	uint64_t before_ns, after_ns;

	(void)state;
	open_sized(64);
	assert_int_equal(levee_dataplane_drain(fixture.dp, 60 * SECOND, &sink, &first), 0);
	levee_dataplane_release(fixture.dp);
	before_ns = levee_xdp_now_ns();
	assert_int_equal(levee_dataplane_drain(fixture.dp, 120 * SECOND, &sink, &second), 0);
	after_ns = levee_xdp_now_ns();
	assert_int_equal(second.seq, first.seq + 1);
	assert_int_equal(second.bin_ns, 60 * SECOND);
	assert_true(second.opened_ns && second.opened_ns <= before_ns);
	fixture.dp->ops->peek(fixture.dp, &open);
	assert_int_equal(open.seq, second.seq + 1);
	assert_int_equal(open.bin_ns, 120 * SECOND);
	assert_true(open.opened_ns >= before_ns && open.opened_ns <= after_ns);
	assert_int_equal(open.account.received, 0);
}

static void there_is_no_second_drain_before_the_first_is_released(void **state)
{
	struct levee_account sum = { 0 };
	struct levee_drained drained;

	(void)state;
	open_sized(64);
	send_one(0, 1, 3);
	drain(&sum);
	send_one(0, 1, 4);
	send_one(1, 2, 5);
	assert_int_equal(levee_dataplane_drain(fixture.dp, SECOND, &sink, &drained), -EBUSY);
	assert_int_equal(fixture.dp->ops->redrain(fixture.dp, &sink, &drained), -EBUSY);
	levee_dataplane_release(fixture.dp);
	levee_dataplane_release(fixture.dp); /* once more does nothing */
	assert_int_equal(fixture.dp->ops->redrain(fixture.dp, &sink, &drained), -ENOENT);
	drain_and_release(&sum);
	assert_exact();
	assert_int_equal(sum.received, 12);
}

static void what_is_counted_between_drain_and_release_is_in_the_next_epoch(void **state)
{
	struct levee_account sum = { 0 };
	uint64_t random = SEED + 5;

	(void)state;
	print_message("# seed %u\n", SEED + 5);
	open_sized(16384);
	for (int i = 0; i < 21; i++) {
		send_random(&random, 2000, 1000, true);
		drain(&sum);
		send_random(&random, 2000, 1000, true);
		levee_dataplane_release(fixture.dp);
	}
	drain_and_release(&sum);
	assert_exact();
	assert_int_equal(sum.received, truth.all_sent.packets);
}

static void an_epoch_that_was_released_leaves_nothing_behind(void **state)
{
	struct levee_account sum = { 0 };
	uint64_t random = SEED + 6;
	const unsigned char *areas[2];
	size_t sizes[2];

	(void)state;
	print_message("# seed %u\n", SEED + 6);
	open_sized(256);
	send_random(&random, 5000, NUMBERS, true);
	drain_and_release(&sum);
	send_random(&random, 5000, NUMBERS, true);
	drain_and_release(&sum);
	areas[0] = (const unsigned char *)maps()->sources4;
	sizes[0] = ((size_t)2 * maps()->geo.cpus << maps()->geo.bits4) * 64;
	areas[1] = (const unsigned char *)maps()->sources6;
	sizes[1] = ((size_t)2 * maps()->geo.cpus << maps()->geo.bits6) * 128;
	for (int a = 0; a < 2; a++)
		for (size_t i = 0; i < sizes[a]; i++)
			assert_int_equal(areas[a][i], 0);
	for (uint32_t nr = 0; nr < 2 * maps()->geo.cpus; nr++)
		assert_int_equal(maps()->rows[nr].passed_bytes + maps()->rows[nr].log4 +
					 maps()->rows[nr].names4 + maps()->rows[nr].fold.n,
				 0);
}

/* One packet of every source, in an order of its own each turn. */
static void send_every_source(uint32_t turn)
{
	static struct stream_source list[2 * NUMBERS];

	for (uint32_t i = 0; i < NUMBERS; i++) {
		uint32_t nr = (i * 1663 + turn) % NUMBERS;

		for (unsigned int six = 0; six < 2; six++) {
			list[2 * i + six] = source_of(six, nr);
			note(six, nr, 1, 60);
		}
	}
	levee_stream_list(&stream, list, 2 * NUMBERS);
	levee_stream_run(&stream, 2 * NUMBERS, 60);
}

/* Few sources make the next epoch small; many that come then are evicted, and none is lost. */
static void a_table_that_was_made_too_small_for_its_epoch_loses_nothing(void **state)
{
	struct levee_account sum = { 0 };
	uint64_t random = SEED + 7;
	uint32_t least = 32, most = 0;

	(void)state;
	print_message("# seed %u\n", SEED + 7);
	open_sized(32768); /* 13 bits, logs of 16384 */
	for (uint32_t turn = 0; turn < 24; turn++) {
		uint32_t bits = maps()->page->control.bits4[epoch()];

		least = bits < least ? bits : least;
		most = bits > most ? bits : most;
		if (turn % 3)
			send_every_source(turn);
		else
			send_random(&random, 3000, 30, true);
		drain_and_release(&sum);
	}
	print_message("# between 2^%u and 2^%u buckets, %llu values by way of the logs\n", least,
		      most, (unsigned long long)sum.evicted);
	assert_int_equal(least, 9);
	assert_int_equal(most, 13);
	assert_true(sum.evicted > 1000);
	assert_int_equal(sum.fold.n, 0);
	assert_exact();
}

/* ---- pressure ---------------------------------------------------------------------------- */

static void half_a_log_is_pressure_and_is_told_once(void **state)
{
	struct levee_account sum = { 0 };
	uint32_t nr = 1;

	(void)state;
	open_sized(4); /* 4 names, a log of 2: the second eviction is half of it and one */
	for (; nr <= 5; nr++)
		send_one(0, nr, 1);
	assert_false(pressure());
	send_one(0, nr++, 1);
	assert_true(pressure());
	assert_false(pressure());
	for (; nr < 20; nr++)
		send_one(0, nr, 1);
	assert_false(pressure());
	drain_and_release(&sum);
	assert_int_equal(sum.received, 19);
	for (nr = 1; nr <= 6; nr++)
		send_one(1, nr, 1);
	assert_true(pressure()); /* the other family's log, in the other epoch */
}

static void pressure_of_an_epoch_that_is_drained_already_is_none(void **state)
{
	struct levee_account sum = { 0 };

	(void)state;
	open_sized(4);
	for (uint32_t nr = 1; nr <= 8; nr++)
		send_one(0, nr, 1);
	drain_and_release(&sum);
	assert_false(pressure());
}

/* ---- bursts and shares ------------------------------------------------------------------- */

static struct levee_counts count_now(unsigned int six, uint32_t nr)
{
	struct stream_source s = source_of(six, nr);
	struct levee_prefix p = { .hi = s.hi, .family = six ? 6 : 4, .length = six ? 64 : 32 };
	struct levee_counts sum;

	fixture.dp->ops->count(fixture.dp, &p, &sum);
	return sum;
}

static void what_waits_for_its_burst_is_in_every_sum(void **state)
{
	struct levee_account sum = { 0 };

	(void)state;
	for (unsigned int six = 0; six < 2; six++) {
		open_sized(4096);
		for (uint64_t n = 1; n <= 3 * LEVEE_BURST + 1; n++) {
			send_one(six, 3, 1);
			send_one(six, 4, 1);
			assert_int_equal(count_now(six, 3).packets, n);
			assert_int_equal(count_now(six, 3).bytes, n * 60);
		}
		levee_xdp_account(&fixture, &sum);
		assert_int_equal(sum.outcome[LEVEE_COUNTED], 2 * (3 * LEVEE_BURST + 1));
		assert_int_equal(count_now(!six, 3).packets, 0);
		drain_and_release(&sum);
		assert_exact();
		assert_int_equal(count_now(six, 3).packets, 0);
		levee_stream_close(&stream);
	}
}

/* The next source told of, if there is one. */
static bool tripped(struct levee_prefix *source)
{
	struct levee_dp_event event;

	for (int i = 0; i < 2; i++) {
		assert_int_equal(levee_dataplane_wait(fixture.dp, 0, &event), 0);
		if (event.type == LEVEE_DP_TRIP) {
			*source = event.source;
			return true;
		}
	}
	return false;
}

/* Of a source that never stops: no more than a share is ever untold, and not much less. */
static void each_further_share_of_a_source_is_told_once(void **state)
{
	static const uint64_t shares[] = { 1, 2, 3, 7, 64, 100, 127, 128, 190, 3000 };
	struct levee_prefix source;

	(void)state;
	for (unsigned int six = 0; six < 2; six++)
		for (size_t i = 0; i < sizeof(shares) / sizeof(shares[0]); i++) {
			uint64_t n = 4 * shares[i] + 20, untold = 0, told = 0;

			open_sized(4096);
			fixture.dp->ops->set_trip(fixture.dp, shares[i]);
			for (uint64_t k = 0; k < n; k++) {
				send_one(six, 7, 1);
				if (k % 16 == 0)
					send_one(six, (uint32_t)(100 + k / 16), 1);
				if (++untold < shares[i] && k % 8)
					continue; /* not asked for each packet: it takes its time */
				if (!tripped(&source)) {
					assert_true(untold < shares[i]);
					continue;
				}
				untold = 0;
				if (shares[i] > 1) {
					assert_int_equal(source.hi, source_of(six, 7).hi);
					assert_int_equal(source.family, six ? 6 : 4);
					assert_int_equal(source.length, six ? 64 : 32);
				}
				told++;
			}
			assert_int_equal(count_now(six, 7).packets, n);
			assert_true(told * shares[i] <= 4 * n + shares[i]);
			while (tripped(&source))
				;
			fixture.dp->ops->set_trip(fixture.dp, 0);
			send_one(six, 7, 2 * shares[i]);
			assert_false(tripped(&source));
			levee_stream_close(&stream);
		}
}

/* A ring buffer of 256 KB holds 4,681 events of 48 + 8 bytes. */
static void an_event_that_finds_the_ring_buffer_full_is_counted(void **state)
{
	struct levee_account sum = { 0 };
	struct levee_prefix source;

	(void)state;
	open_sized(4096);
	fixture.dp->ops->set_trip(fixture.dp, 1);
	send_one(0, 9, 6000);
	levee_xdp_account(&fixture, &sum);
	assert_int_equal(sum.lost_events, 6000 - 256 * 1024 / 56);
	assert_true(tripped(&source));
	send_one(0, 9, 1);
	assert_true(tripped(&source));
	levee_xdp_account(&fixture, &sum);
	assert_int_equal(sum.lost_events, 6000 - 256 * 1024 / 56);
}

/* ---- processes that are killed ----------------------------------------------------------- */

enum moment { BEFORE_DRAIN, IN_DRAIN, BEFORE_RELEASE, AFTER_RELEASE };

/* The first process: counts, drains and releases once, counts again, and is killed. */
static void work_and_die(enum moment moment)
{
	struct levee_account sum = { 0 };
	uint64_t random = SEED + 8;

	/* An assertion that fails here must not go on to the other tests in this process. */
	setenv("CMOCKA_TEST_ABORT", "1", 1);
	levee_xdp_fixture_reopen(&fixture);
	levee_stream_open(&stream, &fixture);
	send_random(&random, 3000, 700, true);
	drain_and_release(&sum);
	send_random(&random, 3000, 700, true);
	if (moment == IN_DRAIN)
		truth.kill_at = truth.parts + 200;
	if (moment != BEFORE_DRAIN)
		drain(&sum);
	send_random(&random, 1000, 700, true);
	if (moment == AFTER_RELEASE)
		levee_dataplane_release(fixture.dp);
	kill(getpid(), SIGKILL);
}

static void run_and_kill(enum moment moment)
{
	pid_t pid;
	int status;

	levee_xdp_fixture_pin(&fixture);
	levee_dataplane_close(&fixture.dp); /* the lock on its pins goes with it */
	pid = fork();
	assert_true(pid >= 0);
	if (!pid)
		work_and_die(moment);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGKILL);
	levee_xdp_fixture_reopen(&fixture);
	assert_true(levee_xdp_resumed(fixture.dp));
	levee_stream_open(&stream, &fixture);
}

/* The same numbers without a packet: what the process before had counted, and not released. */
static void learn_truth(enum moment moment)
{
	uint64_t random = SEED + 8;

	send_random(&random, 3000, 700, false);
	forget_truth();
	send_random(&random, 3000, 700, false);
	if (moment == AFTER_RELEASE)
		forget_truth();
	if (moment != IN_DRAIN) /* that one died before it */
		send_random(&random, 1000, 700, false);
}

static void check_resumes(enum moment moment)
{
	bool left = moment == IN_DRAIN || moment == BEFORE_RELEASE;
	struct levee_account sum = { 0 };
	struct levee_drained drained, open;
	uint64_t random = SEED + 9;

	open_anew(2048);
	levee_stream_close(&stream);
	run_and_kill(moment);
	learn_truth(moment);
	/* Packets go on while nobody drains. */
	send_random(&random, 500, 700, true);
	fixture.dp->ops->peek(fixture.dp, &open);
	assert_int_equal(fixture.dp->ops->redrain(fixture.dp, &sink, &drained), left ? 0 : -ENOENT);
	if (left) {
		assert_int_equal(drained.seq, open.seq - 1);
		assert_int_equal(drained.bin_ns, SECOND);
		assert_adds_up(&drained.account);
		levee_account_add(&sum, &drained.account);
		levee_dataplane_release(fixture.dp);
	}
	assert_int_equal(fixture.dp->ops->redrain(fixture.dp, &sink, &drained), -ENOENT);
	send_random(&random, 500, 700, true);
	drain_and_release(&sum);
	assert_exact();
	assert_int_equal(sum.received, truth.all_sent.packets);
	assert_int_equal(sum.fold.n, 0);
}

static void nothing_is_lost_if_it_is_killed_before_a_drain(void **state)
{
	(void)state;
	check_resumes(BEFORE_DRAIN);
}

static void nothing_is_lost_or_doubled_if_it_is_killed_in_a_drain(void **state)
{
	(void)state;
	check_resumes(IN_DRAIN);
}

static void nothing_is_lost_or_doubled_if_it_is_killed_before_the_release(void **state)
{
	(void)state;
	check_resumes(BEFORE_RELEASE);
}

static void nothing_is_doubled_if_it_is_killed_after_the_release(void **state)
{
	(void)state;
	check_resumes(AFTER_RELEASE);
}

/* In the middle of clearing, what is left belongs to an epoch whose number was stored already. */
static void an_epoch_that_is_half_cleared_is_told_by_its_number_and_cleared_whole(void **state)
{
	struct levee_account sum = { 0 };
	struct levee_drained first, again;
	uint64_t random = SEED + 10;

	(void)state;
	open_anew(2048);
	levee_xdp_fixture_pin(&fixture);
	send_random(&random, 5000, NUMBERS, true);
	assert_int_equal(levee_dataplane_drain(fixture.dp, SECOND, &sink, &first), 0);
	memset(maps()->sources4, 0, sizeof(struct levee_bucket4) << maps()->geo.bits4);
	levee_stream_close(&stream);
	levee_xdp_fixture_reopen(&fixture);
	levee_stream_open(&stream, &fixture);
	assert_int_equal(fixture.dp->ops->redrain(fixture.dp, &sink, &again), 0);
	assert_int_equal(again.seq, first.seq);
	levee_dataplane_release(fixture.dp);
	forget_truth();
	for (int i = 0; i < 2; i++) {
		send_random(&random, 2000, 700, true);
		drain_and_release(&sum);
	}
	assert_exact();
	assert_int_equal(sum.received, 4000);
}

static void maps_of_other_sizes_are_drained_once_and_replaced(void **state)
{
	struct levee_account sum = { 0 };
	struct levee_drained drained;
	uint64_t random = SEED + 11;
	int ret, epochs = 0;

	(void)state;
	open_anew(2048);
	levee_xdp_fixture_pin(&fixture);
	send_random(&random, 1000, 700, true);
	assert_int_equal(levee_dataplane_drain(fixture.dp, SECOND, NULL, &drained), 0);
	send_random(&random, 1000, 700, true); /* and so both epochs hold something */
	levee_stream_close(&stream);
	fixture.sizes.sources = 512;
	levee_xdp_fixture_reopen(&fixture);
	assert_false(levee_xdp_resumed(fixture.dp));
	levee_stream_open(&stream, &fixture);
	send_random(&random, 200, 100, true); /* into the new ones */
	while (!(ret = fixture.dp->ops->redrain(fixture.dp, &sink, &drained))) {
		assert_int_equal(drained.seq, ++epochs);
		levee_account_add(&sum, &drained.account);
		levee_dataplane_release(fixture.dp);
	}
	assert_int_equal(ret, -ENOENT);
	assert_int_equal(epochs, 2);
	drain_and_release(&sum);
	assert_exact();
	assert_int_equal(sum.received, truth.all_sent.packets);
}

/* How far a start with other sizes comes before it is killed. */
enum step { OPENED, PINNED, DRAINED, RELEASED, RELEASED_BOTH, STEPS };

static void resize_and_die(enum step step)
{
	struct levee_account sum = { 0 };
	struct levee_drained drained;

	setenv("CMOCKA_TEST_ABORT", "1", 1);
	levee_xdp_fixture_reopen(&fixture);
	assert_false(levee_xdp_resumed(fixture.dp));
	if (step >= PINNED)
		levee_xdp_fixture_pin(&fixture);
	for (enum step at = DRAINED; at <= step; at++) {
		if (at != RELEASED)
			assert_int_equal(fixture.dp->ops->redrain(fixture.dp, &sink, &drained), 0);
		levee_account_add(&sum, &drained.account);
		if (at != DRAINED)
			levee_dataplane_release(fixture.dp);
	}
	kill(getpid(), SIGKILL);
}

static void check_resizes(enum step step)
{
	struct levee_account sum = { 0 };
	struct levee_drained drained;
	uint64_t first = SEED + 12, second = SEED + 13, third = SEED + 14;
	uint64_t next = step >= RELEASED ? 2 : 1, epochs = 0;
	int status;
	pid_t pid;

	open_anew(2048);
	levee_xdp_fixture_pin(&fixture);
	send_random(&first, 1000, 700, true);
	assert_int_equal(levee_dataplane_drain(fixture.dp, SECOND, NULL, &drained), 0);
	send_random(&second, 1000, 700, true);
	levee_stream_close(&stream);
	levee_dataplane_close(&fixture.dp);
	fixture.sizes.sources = 512;
	pid = fork();
	assert_true(pid >= 0);
	if (!pid)
		resize_and_die(step);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);

	/* What was released was told; all else is this one's to tell. */
	forget_truth();
	first = SEED + 12;
	second = SEED + 13;
	if (step < RELEASED)
		send_random(&first, 1000, 700, false);
	if (step < RELEASED_BOTH)
		send_random(&second, 1000, 700, false);
	levee_xdp_fixture_reopen(&fixture);
	assert_int_equal(levee_xdp_resumed(fixture.dp), step >= PINNED);
	levee_stream_open(&stream, &fixture);
	send_random(&third, 200, 100, true);
	while (fixture.dp->ops->left(fixture.dp)) {
		assert_int_equal(fixture.dp->ops->left(fixture.dp), next + epochs);
		assert_int_equal(fixture.dp->ops->redrain(fixture.dp, &sink, &drained), 0);
		assert_int_equal(drained.seq, next + epochs);
		levee_account_add(&sum, &drained.account);
		levee_dataplane_release(fixture.dp);
		epochs++;
	}
	assert_int_equal(epochs, step < RELEASED ? 2 : step < RELEASED_BOTH ? 1 : 0);
	assert_int_equal(fixture.dp->ops->redrain(fixture.dp, &sink, &drained), -ENOENT);
	drain(&sum);
	levee_dataplane_release(fixture.dp);
	assert_exact();
	assert_int_equal(sum.received, truth.all_sent.packets);
}

static void a_start_with_other_sizes_may_be_killed_at_any_step(void **state)
{
	(void)state;
	for (enum step step = OPENED; step < STEPS; step++) {
		print_message("# step %d\n", step);
		check_resizes(step);
		levee_stream_close(&stream);
	}
}

/* dataplane/xdp/rewrite.c has put them in, and the account and the tables by their addresses. */
static void the_program_loads_no_constant_and_looks_no_row_up(void **state)
{
	static struct bpf_insn insn[16384];
	struct bpf_prog_info info = { .xlated_prog_insns = (uintptr_t)insn,
				      .xlated_prog_len = sizeof(insn) };
	uint32_t len = sizeof(info), direct = 0;

	(void)state;
	open_anew(2048);
	assert_return_code(bpf_obj_get_info_by_fd(levee_xdp_program_fd(fixture.dp), &info, &len),
			   errno);
	assert_in_range(info.xlated_prog_len, 1000 * sizeof(*insn), sizeof(insn));
	for (uint32_t i = 0; i < info.xlated_prog_len / sizeof(*insn); i++) {
		struct bpf_map_info map = { 0 };
		int fd;

		if (insn[i].code != (BPF_LD | BPF_IMM | BPF_DW) ||
		    (insn[i].src_reg != BPF_PSEUDO_MAP_FD &&
		     insn[i].src_reg != BPF_PSEUDO_MAP_VALUE))
			continue;
		fd = bpf_map_get_fd_by_id((uint32_t)insn[i].imm);
		assert_return_code(fd, errno);
		len = sizeof(map);
		assert_return_code(bpf_obj_get_info_by_fd(fd, &map, &len), errno);
		close(fd);
		assert_null(strstr(map.name, ".rodata"));
		if (strcmp(map.name, "rows") && strcmp(map.name, "sources4") &&
		    strcmp(map.name, "sources6"))
			continue;
		assert_int_equal(insn[i].src_reg, BPF_PSEUDO_MAP_VALUE);
		direct++;
	}
	assert_true(direct > 0);
}

int main(void)
{
#define T(test) cmocka_unit_test_teardown(test, close_stream)
	const struct CMUnitTest tests[] = {
		T(a_table_with_room_counts_every_source_exactly),
		T(a_crowded_table_that_is_drained_on_pressure_loses_no_name),
		T(a_tiny_table_that_is_drained_on_pressure_loses_no_name),
		T(sources_that_are_alike_are_told_apart),
		T(cpus_add_up),
		T(every_outcome_is_in_the_account_across_drains),
		T(what_finds_the_log_full_is_folded_with_exact_moments),
		T(the_source_with_the_fewest_packets_goes_first_to_the_log_then_to_the_fold),
		T(squares_beyond_64_bits_are_folded_exactly),
		T(a_slot_that_is_full_goes_on_in_the_log),
		T(a_drained_epoch_is_told_as_what_it_was),
		T(there_is_no_second_drain_before_the_first_is_released),
		T(what_is_counted_between_drain_and_release_is_in_the_next_epoch),
		T(an_epoch_that_was_released_leaves_nothing_behind),
		T(a_table_that_was_made_too_small_for_its_epoch_loses_nothing),
		T(half_a_log_is_pressure_and_is_told_once),
		T(pressure_of_an_epoch_that_is_drained_already_is_none),
		T(what_waits_for_its_burst_is_in_every_sum),
		T(each_further_share_of_a_source_is_told_once),
		T(an_event_that_finds_the_ring_buffer_full_is_counted),
		T(nothing_is_lost_if_it_is_killed_before_a_drain),
		T(nothing_is_lost_or_doubled_if_it_is_killed_in_a_drain),
		T(nothing_is_lost_or_doubled_if_it_is_killed_before_the_release),
		T(nothing_is_doubled_if_it_is_killed_after_the_release),
		T(an_epoch_that_is_half_cleared_is_told_by_its_number_and_cleared_whole),
		T(maps_of_other_sizes_are_drained_once_and_replaced),
		T(a_start_with_other_sizes_may_be_killed_at_any_step),
		T(the_program_loads_no_constant_and_looks_no_row_up),
	};

	return cmocka_run_group_tests(tests, NULL, close_fixture);
}
