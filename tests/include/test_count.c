/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The functions of the counting table, driven as ebpf/levee.bpf.c drives them: find, second
 * choice, least slot, evict, fold. Tables are tiny, so that all of it happens all the time.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <levee/count.h>

#define SEED	    20260924U
#define SOURCES_MAX 4096
#define LOG_MAX	    100000

typedef unsigned __int128 uint128_t;

/* ---- one row: table, log and fold, of either family ---------------------------------------- */

struct row {
	struct levee_hash_key key;
	uint32_t bits;
	struct levee_bucket4 *table4;
	struct levee_bucket6 *table6;
	struct levee_evicted4 *log4;
	struct levee_evicted6 *log6;
	uint64_t room, at; /* of the log: entries there are, entries asked for */
	struct levee_fold fold;
	uint128_t fold_squares; /* the same sum, kept by the compiler's own arithmetic */
};

static void *must(void *p)
{
	assert_non_null(p);
	return p;
}

static struct row *row_new(uint32_t bits, uint64_t room)
{
	struct row *r = must(calloc(1, sizeof(*r)));

	r->key = (struct levee_hash_key){ 0x1234567890abcdefULL, 0x9e3779b97f4a7c15ULL,
					  0xc2b2ae3d27d4eb4fULL, 0x165667b19e3779f9ULL };
	r->bits = bits;
	r->room = room;
	r->table4 = must(aligned_alloc(64, sizeof(*r->table4) << bits));
	r->table6 = must(aligned_alloc(64, sizeof(*r->table6) << bits));
	memset(r->table4, 0, sizeof(*r->table4) << bits);
	memset(r->table6, 0, sizeof(*r->table6) << bits);
	r->log4 = must(calloc(room + 1, sizeof(*r->log4)));
	r->log6 = must(calloc(room + 1, sizeof(*r->log6)));
	return r;
}

static void row_free(struct row *r)
{
	free(r->table4);
	free(r->table6);
	free(r->log4);
	free(r->log6);
	free(r);
}

static void fold(struct row *r, uint64_t packets, uint64_t bytes)
{
	levee_fold_add(&r->fold, packets, bytes);
	r->fold_squares += (uint128_t)packets * packets;
}

static void evict4(struct row *r, const struct levee_bucket4 *b, uint32_t slot)
{
	uint64_t at = r->at++;

	if (at >= r->room) {
		fold(r, b->packets[slot], b->tally[slot]);
		return;
	}
	r->log4[at].addr = b->addr[slot];
	r->log4[at].packets = b->packets[slot];
	r->log4[at].tally = b->tally[slot];
}

static void hit4(struct row *r, struct levee_bucket4 *b, uint32_t slot, uint64_t bytes)
{
	if (b->packets[slot] == LEVEE_SLOT_FULL) {
		evict4(r, b, slot);
		b->packets[slot] = 0;
		b->tally[slot] = 0;
	}
	b->packets[slot]++;
	b->tally[slot] += bytes;
}

static void count4(struct row *r, uint32_t addr, uint64_t bytes)
{
	uint64_t hash = levee_hash4(&r->key, addr);
	struct levee_bucket4 *b = &r->table4[levee_bucket_of(hash, r->bits)];
	struct levee_bucket4 *c =
		&r->table4[levee_bucket_of(levee_hash_again(&r->key, hash), r->bits)];
	uint32_t slot = levee_find4(b, addr), other = levee_find4(c, addr);

	if (slot < LEVEE_SLOTS) {
		hit4(r, b, slot, bytes);
		return;
	}
	if (other < LEVEE_SLOTS) {
		hit4(r, c, other, bytes);
		return;
	}
	slot = levee_least4(b);
	other = levee_least4(c);
	if (c->packets[other] < b->packets[slot]) {
		b = c;
		slot = other;
	}
	if (b->packets[slot])
		evict4(r, b, slot);
	b->addr[slot] = addr;
	b->packets[slot] = 1;
	b->tally[slot] = bytes;
}

static void evict6(struct row *r, const struct levee_bucket6 *b, uint32_t slot)
{
	uint64_t at = r->at++;

	if (at >= r->room) {
		fold(r, b->packets[slot], b->tally[slot]);
		return;
	}
	r->log6[at].hi = b->hi[slot];
	r->log6[at].lo = b->lo[slot];
	r->log6[at].packets = b->packets[slot];
	r->log6[at].tally = b->tally[slot];
}

static void count6(struct row *r, uint64_t hi, uint64_t lo, uint64_t bytes)
{
	uint64_t hash = levee_hash6(&r->key, hi, lo);
	struct levee_bucket6 *b = &r->table6[levee_bucket_of(hash, r->bits)];
	struct levee_bucket6 *c =
		&r->table6[levee_bucket_of(levee_hash_again(&r->key, hash), r->bits)];
	uint32_t slot = levee_find6(b, hi, lo), other;

	if (slot >= LEVEE_SLOTS) {
		slot = levee_find6(c, hi, lo);
		if (slot < LEVEE_SLOTS)
			b = c;
	}
	if (slot < LEVEE_SLOTS) {
		b->packets[slot]++;
		b->tally[slot] += bytes;
		return;
	}
	slot = levee_least6(b);
	other = levee_least6(c);
	if (c->packets[other] < b->packets[slot]) {
		b = c;
		slot = other;
	}
	if (b->packets[slot])
		evict6(r, b, slot);
	b->hi[slot] = hi;
	b->lo[slot] = lo;
	b->packets[slot] = 1;
	b->tally[slot] = bytes;
}

/* ---- the truth, and draining against it ---------------------------------------------------- */

struct truth {
	uint64_t packets, bytes;	 /* sent */
	uint64_t got_packets, got_bytes; /* found in table and log */
	unsigned int in_table;
};

/* Number of a source, and back. Source 0 is 0.0.0.0 or ::, the key that free slots show. */
static uint32_t addr_of(uint32_t nr)
{
	return nr * 2654435761U;
}

static uint32_t nr_of(uint32_t addr)
{
	return addr * 244002641U; /* the inverse of 2654435761 modulo 2^32 */
}

static void found(struct truth *truth, uint32_t nr, uint64_t packets, uint64_t bytes, int in_table)
{
	assert_true(nr < SOURCES_MAX);
	truth[nr].got_packets += packets;
	truth[nr].got_bytes += bytes;
	truth[nr].in_table += (unsigned int)in_table;
	assert_true(truth[nr].in_table <= 1); /* never in both of its buckets */
}

static void drain4(const struct row *r, struct truth *truth)
{
	for (size_t i = 0; i < (size_t)1 << r->bits; i++)
		for (int s = 0; s < LEVEE_SLOTS; s++)
			if (r->table4[i].packets[s])
				found(truth, nr_of(r->table4[i].addr[s]), r->table4[i].packets[s],
				      r->table4[i].tally[s], 1);
	for (uint64_t i = 0; i < r->at && i < r->room; i++)
		found(truth, nr_of(r->log4[i].addr), r->log4[i].packets, r->log4[i].tally, 0);
}

static void drain6(const struct row *r, struct truth *truth)
{
	for (size_t i = 0; i < (size_t)1 << r->bits; i++)
		for (int s = 0; s < LEVEE_SLOTS; s++)
			if (r->table6[i].packets[s])
				found(truth, nr_of((uint32_t)r->table6[i].hi[s]),
				      r->table6[i].packets[s], r->table6[i].tally[s], 1);
	for (uint64_t i = 0; i < r->at && i < r->room; i++)
		found(truth, nr_of((uint32_t)r->log6[i].hi), r->log6[i].packets, r->log6[i].tally,
		      0);
}

/* What names no longer hold, the fold holds: the sums agree to the packet and the byte. */
static void assert_all_accounted(const struct row *r, const struct truth *truth)
{
	uint64_t packets = 0, bytes = 0;

	for (uint32_t i = 0; i < SOURCES_MAX; i++) {
		assert_true(truth[i].got_packets <= truth[i].packets);
		packets += truth[i].packets - truth[i].got_packets;
		bytes += truth[i].bytes - truth[i].got_bytes;
	}
	assert_int_equal(packets, r->fold.packets);
	assert_int_equal(bytes, r->fold.bytes);
	assert_int_equal(r->fold.n, r->at > r->room ? r->at - r->room : 0);
	assert_true((((uint128_t)r->fold.sq_hi << 64) | r->fold.sq_lo) == r->fold_squares);
}

static uint32_t next_random(uint64_t *state)
{
	*state = *state * 6364136223846793005ULL + 1442695040888963407ULL;
	return (uint32_t)(*state >> 33);
}

struct stream {
	uint32_t bits, sources, packets;
	uint64_t room;
};

static void run_stream(const struct stream *t, int family, uint64_t *random)
{
	struct row *r = row_new(t->bits, t->room);
	struct truth *truth = must(calloc(SOURCES_MAX, sizeof(*truth)));

	for (uint32_t i = 0; i < t->packets; i++) {
		/* Half of the packets come from an eighth of the sources. */
		uint32_t some = next_random(random) & 1 ? t->sources : t->sources / 8 + 1;
		uint32_t nr = next_random(random) % some;
		uint64_t bytes = 60 + next_random(random) % 1455;

		truth[nr].packets++;
		truth[nr].bytes += bytes;
		if (family == 4)
			count4(r, addr_of(nr), bytes);
		else
			count6(r, addr_of(nr), nr ? 7 : 0, bytes);
	}
	if (family == 4)
		drain4(r, truth);
	else
		drain6(r, truth);
	assert_all_accounted(r, truth);
	free(truth);
	row_free(r);
}

static void run_streams(int family, uint64_t most_room)
{
	uint64_t random = SEED;

	print_message("seed %u\n", SEED);
	for (int turn = 0; turn < 300; turn++) {
		struct stream t = {
			.bits = next_random(&random) % 6,
			.sources = 1 + next_random(&random) % 500,
			.packets = next_random(&random) % 4000,
			.room = most_room ? next_random(&random) % most_room : 0,
		};

		run_stream(&t, family, &random);
	}
}

static void ipv4_table_log_and_fold_add_up_exactly(void **state)
{
	(void)state;
	run_streams(4, 500);
}

static void ipv6_table_log_and_fold_add_up_exactly(void **state)
{
	(void)state;
	run_streams(6, 500);
}

static void without_a_log_every_eviction_is_folded(void **state)
{
	(void)state;
	run_streams(4, 0);
	run_streams(6, 0);
}

static void with_log_enough_every_source_is_exact(void **state)
{
	struct stream t = { .bits = 2, .sources = 400, .packets = 20000, .room = LOG_MAX };
	uint64_t random = SEED;

	(void)state;
	for (int family = 4; family <= 6; family += 2) {
		/* run_stream() finds nothing folded, so that no source may lack anything. */
		run_stream(&t, family, &random);
	}
}

/* ---- sources that look like free slots ----------------------------------------------------- */

static void source_zero_is_counted_like_any_other(void **state)
{
	struct truth *truth = must(calloc(SOURCES_MAX, sizeof(*truth)));
	struct row *r = row_new(0, 8);

	(void)state;
	/* Between others that come and fill the one bucket. */
	for (uint32_t nr = 0; nr < 4; nr++) {
		count4(r, 0, 100);
		count4(r, addr_of(nr), 100);
		count6(r, 0, 0, 100);
		count6(r, addr_of(nr), nr ? 7 : 0, 100);
	}
	assert_int_equal(r->at, 0);
	drain4(r, truth);
	assert_int_equal(truth[0].got_packets, 5);
	assert_int_equal(truth[0].got_bytes, 500);
	memset(truth, 0, SOURCES_MAX * sizeof(*truth));
	drain6(r, truth);
	assert_int_equal(truth[0].got_packets, 5);
	row_free(r);
	free(truth);
}

static void source_zero_may_come_first_in_between_or_last(void **state)
{
	(void)state;
	for (uint32_t before = 0; before <= 3; before++) {
		struct truth *truth = must(calloc(SOURCES_MAX, sizeof(*truth)));
		struct row *r = row_new(0, 8);

		for (uint32_t nr = 1; nr <= before; nr++)
			count4(r, addr_of(nr), 1);
		count4(r, 0, 1);
		for (uint32_t nr = before + 1; nr <= 3; nr++)
			count4(r, addr_of(nr), 1);
		for (int i = 0; i < 9; i++)
			count4(r, 0, 1);
		assert_int_equal(r->at, 0);
		drain4(r, truth);
		assert_int_equal(truth[0].got_packets, 10);
		assert_int_equal(truth[0].in_table, 1);
		for (uint32_t nr = 1; nr <= 3; nr++)
			assert_int_equal(truth[nr].got_packets, 1);
		row_free(r);
		free(truth);
	}
}

static void an_evicted_source_zero_keeps_its_count_in_the_log(void **state)
{
	struct truth *truth = must(calloc(SOURCES_MAX, sizeof(*truth)));
	struct row *r = row_new(0, 8);

	(void)state;
	count4(r, 0, 1);
	for (int i = 0; i < 3; i++)
		for (uint32_t nr = 1; nr <= 3; nr++)
			count4(r, addr_of(nr), 1);
	count4(r, addr_of(4), 1); /* in its place */
	assert_int_equal(r->at, 1);
	assert_int_equal(r->log4[0].addr, 0);
	assert_int_equal(r->log4[0].packets, 1);
	count4(r, 0, 1); /* and back, for the new one */
	assert_int_equal(r->at, 2);
	drain4(r, truth);
	assert_int_equal(truth[0].got_packets, 2);
	assert_int_equal(truth[4].got_packets, 1);
	row_free(r);
	free(truth);
}

/* ---- single functions ---------------------------------------------------------------------- */

static void a_source_is_found_in_each_slot(void **state)
{
	struct levee_bucket4 b4 = { .addr = { 11, 12, 13, 14 }, .packets = { 1, 1, 1, 1 } };
	struct levee_bucket6 b6 = { .hi = { 1, 1, 2, 2 },
				    .lo = { 1, 2, 1, 2 },
				    .packets = { 1, 1, 1, 1 } };

	(void)state;
	for (uint32_t i = 0; i < LEVEE_SLOTS; i++) {
		assert_int_equal(levee_find4(&b4, 11 + i), i);
		assert_int_equal(levee_find6(&b6, 1 + i / 2, 1 + i % 2), i);
	}
	assert_int_equal(levee_find4(&b4, 10), LEVEE_SLOTS);
	assert_int_equal(levee_find4(&b4, 0), LEVEE_SLOTS);
	assert_int_equal(levee_find6(&b6, 1, 3), LEVEE_SLOTS);
	assert_int_equal(levee_find6(&b6, 3, 1), LEVEE_SLOTS);
}

/* Whoever is there may be there, and in that slot, if nobody else may be. */
static void a_source_that_is_there_may_be_there(void **state)
{
	uint64_t random = 20261126;

	(void)state;
	for (int round = 0; round < 100000; round++) {
		struct levee_bucket6 b = { .packets = { 1, 1, 1, 1 } };
		unsigned int alike = 0;
		uint64_t hi = 0;
		uint32_t slot;

		/* of 4 x 4 values, so that halves are shared */
		for (uint32_t i = 0; i <= LEVEE_SLOTS; i++) {
			random = random * 6364136223846793005ULL + 1442695040888963407ULL;
			hi = (random >> 60 & 3) << 32 | (random >> 62);
			if (i < LEVEE_SLOTS)
				b.hi[i] = hi;
		}
		for (uint32_t i = 0; i < LEVEE_SLOTS; i++)
			alike += levee_load32(&b.hi[i]) == levee_load32(&hi);
		assert_int_equal(levee_may_have6(&b, hi, &slot), alike > 0);
		assert_in_range(slot, 0, LEVEE_SLOTS - 1);
		if (alike == 1 && levee_find6(&b, hi, 0) < LEVEE_SLOTS)
			assert_int_equal(slot, levee_find6(&b, hi, 0));
	}
}

static void addresses_that_differ_in_one_bit_are_told_apart(void **state)
{
	(void)state;
	for (uint32_t bit = 0; bit < 32; bit++) {
		struct levee_bucket4 b = { .addr = { 0xc6336407, 1, 2, 3 },
					   .packets = { 1, 1, 1, 1 } };

		assert_int_equal(levee_find4(&b, 0xc6336407U ^ (1U << bit)), LEVEE_SLOTS);
	}
	assert_int_equal(levee_is_zero(0), 1);
	for (uint32_t bit = 0; bit < 63; bit++)
		assert_int_equal(levee_is_zero(1ULL << bit), 0);
}

static void the_least_slot_is_the_lowest_of_equals(void **state)
{
	struct levee_bucket4 b4 = { .packets = { 5, 3, 3, 9 } };
	struct levee_bucket6 b6 = { .packets = { 1ULL << 40, 9, 1ULL << 33, 9 } };

	(void)state;
	assert_int_equal(levee_least4(&b4), 1);
	assert_int_equal(levee_least6(&b6), 1);
	b4.packets[3] = 0;
	b6.packets[2] = 0;
	assert_int_equal(levee_least4(&b4), 3);
	assert_int_equal(levee_least6(&b6), 2);
	memset(&b4, 0, sizeof(b4));
	assert_int_equal(levee_least4(&b4), 0);
}

static void a_slot_moves_to_the_log_before_its_packets_wrap(void **state)
{
	struct truth *truth = must(calloc(SOURCES_MAX, sizeof(*truth)));
	struct row *r = row_new(0, 8);

	(void)state;
	count4(r, addr_of(5), 60);
	r->table4[0].packets[0] = LEVEE_SLOT_FULL - 1;
	count4(r, addr_of(5), 60);
	assert_int_equal(r->at, 0);
	count4(r, addr_of(5), 60);
	assert_int_equal(r->at, 1);
	assert_int_equal(r->log4[0].packets, LEVEE_SLOT_FULL);
	drain4(r, truth);
	assert_int_equal(truth[5].got_packets, (uint64_t)LEVEE_SLOT_FULL + 1);
	assert_int_equal(truth[5].got_bytes, 180);
	row_free(r);
	free(truth);
}

static void heavy_sources_stay_in_the_table_under_a_spoofed_flood(void **state)
{
	struct row *r = row_new(8, 0);
	uint64_t random = SEED, kept = 0;

	(void)state;
	for (uint32_t i = 0; i < 200000; i++) {
		count4(r, 0x80000000U | next_random(&random), 60); /* hardly ever the same */
		if (i % 10 == 0)
			count4(r, 1 + i / 10 % 20, 60);
	}
	for (size_t i = 0; i < (size_t)1 << r->bits; i++)
		for (int s = 0; s < LEVEE_SLOTS; s++)
			if (r->table4[i].addr[s] && r->table4[i].addr[s] <= 20)
				kept += r->table4[i].packets[s];
	row_free(r);
	/* 20 sources of 1000 packets each; 1004 other slots take the flood. */
	assert_in_range(kept, 19900, 20000);
}

static void buckets_of_a_hash_lie_in_the_table(void **state)
{
	uint64_t random = SEED;

	(void)state;
	for (uint32_t bits = 0; bits <= 31; bits++) {
		assert_int_equal(levee_bucket_of(0, bits), 0);
		assert_int_equal(levee_bucket_of(UINT64_MAX, bits), (1ULL << bits) - 1);
		for (int i = 0; i < 100; i++) {
			uint64_t h = (uint64_t)next_random(&random) << 33 ^ next_random(&random);

			assert_true(levee_bucket_of(h, bits) < 1ULL << bits);
		}
	}
}

/* What a data path that shifts in one go gets is the bucket's offset, and less than a bucket more. */
static void a_shifted_hash_is_the_offset_of_its_bucket(void **state)
{
	uint64_t random = SEED;

	(void)state;
	for (uint32_t bits = 0; bits <= 24; bits++) {
		for (int i = 0; i < 100; i++) {
			uint64_t h = (uint64_t)next_random(&random) << 33 ^ next_random(&random);
			uint64_t nr = levee_bucket_of(h, bits);

			assert_int_equal((h >> levee_shift4(bits)) / sizeof(struct levee_bucket4),
					 nr);
			assert_int_equal((h >> levee_shift6(bits)) / sizeof(struct levee_bucket6),
					 nr);
		}
		assert_true(UINT64_MAX >> levee_shift6(bits) <= UINT32_MAX);
	}
}

/* ---- the moments --------------------------------------------------------------------------- */

static void assert_fold_adds(uint64_t before, uint64_t value)
{
	struct levee_fold f = { 0 };
	uint128_t want = (uint128_t)before * before + (uint128_t)value * value;

	levee_fold_add(&f, before, 1);
	levee_fold_add(&f, value, 2);
	assert_int_equal(f.n, 2);
	assert_int_equal(f.packets, before + value);
	assert_int_equal(f.bytes, 3);
	assert_int_equal(f.sq_lo, (uint64_t)want);
	assert_int_equal(f.sq_hi, (uint64_t)(want >> 64));
}

static void squares_are_exact_at_every_power_of_two(void **state)
{
	(void)state;
	for (int i = 0; i < 64; i++) {
		for (int j = 0; j < 64; j++) {
			uint64_t a = 1ULL << i, b = 1ULL << j;

			/* Two squares of 2^63 and more together are still below 2^128. */
			assert_fold_adds(a, b);
			assert_fold_adds(a - 1, b);
			assert_fold_adds(a, b - 1);
		}
	}
	assert_fold_adds(0, UINT64_MAX);
	assert_fold_adds(UINT64_MAX, 0);
}

static void squares_are_exact_for_random_values(void **state)
{
	struct levee_fold f = { 0 };
	uint64_t random = SEED, packets = 0;
	uint128_t squares = 0;

	(void)state;
	print_message("seed %u\n", SEED);
	for (int i = 0; i < 100000; i++) {
		uint64_t v = ((uint64_t)next_random(&random) << 33) ^ next_random(&random);

		v >>= 8 + next_random(&random) % 56; /* 2^17 squares of 2^55 fit */
		levee_fold_add(&f, v, v);
		packets += v;
		squares += (uint128_t)v * v;
	}
	assert_int_equal(f.n, 100000);
	assert_int_equal(f.packets, packets);
	assert_int_equal(f.bytes, packets);
	assert_true((((uint128_t)f.sq_hi << 64) | f.sq_lo) == squares);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_shifted_hash_is_the_offset_of_its_bucket),
		cmocka_unit_test(ipv4_table_log_and_fold_add_up_exactly),
		cmocka_unit_test(ipv6_table_log_and_fold_add_up_exactly),
		cmocka_unit_test(without_a_log_every_eviction_is_folded),
		cmocka_unit_test(with_log_enough_every_source_is_exact),
		cmocka_unit_test(source_zero_is_counted_like_any_other),
		cmocka_unit_test(source_zero_may_come_first_in_between_or_last),
		cmocka_unit_test(an_evicted_source_zero_keeps_its_count_in_the_log),
		cmocka_unit_test(a_source_is_found_in_each_slot),
		cmocka_unit_test(a_source_that_is_there_may_be_there),
		cmocka_unit_test(addresses_that_differ_in_one_bit_are_told_apart),
		cmocka_unit_test(the_least_slot_is_the_lowest_of_equals),
		cmocka_unit_test(a_slot_moves_to_the_log_before_its_packets_wrap),
		cmocka_unit_test(heavy_sources_stay_in_the_table_under_a_spoofed_flood),
		cmocka_unit_test(buckets_of_a_hash_lie_in_the_table),
		cmocka_unit_test(squares_are_exact_at_every_power_of_two),
		cmocka_unit_test(squares_are_exact_for_random_values),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
