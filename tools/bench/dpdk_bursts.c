/* SPDX-License-Identifier: BSD-2-Clause */
/* Prepared bursts through the inspector, through rte_hash, and past one cache line a packet. */
#include "tools/bench/dpdk_bench.h"

#ifdef WITH_DPDK

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include <rte_hash.h>
#include <rte_hash_crc.h>

#include "dataplane/dpdk/inspect.h"
#include "tools/bench/sections.h"

#define BURST	LEVEE_BURST_MAX
#define PACKETS (1U << 20) /* of a sample */
#define WARM	(1U << 17)
#define STRIDE	128 /* of frames: no two in one pair of lines */

#define SCATTER4 2654435761U /* odd: different n, different address */
#define SCATTER6 0x9e3779b97f4a7c15ULL

#define SIX_MOST (1ULL << 20) /* sources of IPv6, for the memory's sake */

struct counter {
	uint64_t packets, bytes;
};

struct bench {
	uint64_t sources;
	uint64_t mask; /* sources - 1 */
	uint64_t random;
	uint8_t frames4[BURST][STRIDE] __attribute__((aligned(64)));
	uint8_t frames6[BURST][STRIDE] __attribute__((aligned(64)));
	struct levee_view view4[BURST], view6[BURST];

	struct levee_tables tables;    /* sources of all three inspectors, and a policy of nobody */
	struct levee_tables many, hit; /* policies of others, on the same sources */
	struct levee_policy *policy[3];
	struct levee_inspector plain, blocked, dropping;

	struct rte_hash *hash;
	struct counter *counters;
	size_t counters_size;

	uint64_t *lines; /* as many as the buckets that the inspector uses */
	uint64_t n_lines;
};

/* ---- frames ------------------------------------------------------------------------------ */

static uint64_t next_random(struct bench *b)
{
	b->random ^= b->random << 13;
	b->random ^= b->random >> 7;
	b->random ^= b->random << 17;
	return b->random;
}

/* 22 bytes of UDP payload over IPv4, 2 over IPv6: the smallest frames but for their check sums. */
static void make_frames(struct bench *b)
{
	static const uint8_t head4[] = { 2, 0, 0,    0, 0, 1,  2, 0, 0,	   0, 0,  2,
					 8, 0, 0x45, 0, 0, 50, 0, 0, 0x40, 0, 64, 17 };
	static const uint8_t head6[] = { 2, 0,	  0,	0,    0, 1, 2, 0, 0,  0,  0,
					 2, 0x86, 0xdd, 0x60, 0, 0, 0, 0, 10, 17, 64 };

	for (unsigned int i = 0; i < BURST; i++) {
		memcpy(b->frames4[i], head4, sizeof(head4));
		memcpy(b->frames6[i], head6, sizeof(head6));
		b->view4[i] = (struct levee_view){ b->frames4[i], 64, 64 };
		b->view6[i] = (struct levee_view){ b->frames6[i], 64, 64 };
	}
}

static uint32_t address4(uint64_t n)
{
	return (uint32_t)n * SCATTER4;
}

static uint64_t address6(uint64_t n)
{
	return 0x2000000000000000ULL | (n * SCATTER6 & 0x1fffffffffffffffULL);
}

static void put4(struct bench *b, unsigned int i, uint64_t n)
{
	uint32_t be = __builtin_bswap32(address4(n));

	memcpy(b->frames4[i] + 26, &be, sizeof(be));
}

static void put6(struct bench *b, unsigned int i, uint64_t n)
{
	uint64_t be = __builtin_bswap64(address6(n));

	memcpy(b->frames6[i] + 22, &be, sizeof(be));
}

static void generate4(struct bench *b)
{
	for (unsigned int i = 0; i < BURST; i++)
		put4(b, i, next_random(b) & b->mask);
}

static void generate6(struct bench *b)
{
	for (unsigned int i = 0; i < BURST; i++)
		put6(b, i, next_random(b) & b->mask);
}

/* ---- what is done with a burst ------------------------------------------------------------ */

static uint64_t boot_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_BOOTTIME, &t);
	return (uint64_t)t.tv_sec * LEVEE_NS_PER_S + (uint64_t)t.tv_nsec;
}

static void inspect(const struct levee_inspector *in, const struct levee_view *view)
{
	/* The clock is read as a worker does. */
	levee_inspect(in, view, BURST, boot_ns());
}

static void count(struct bench *b, int32_t at, uint32_t bytes)
{
	b->counters[at].packets++;
	b->counters[at].bytes += bytes;
}

static void hash_each(struct bench *b)
{
	struct levee_packet pkt;

	for (unsigned int i = 0; i < BURST; i++) {
		const struct levee_view *v = &b->view4[i];
		uint32_t key;
		int32_t at;

		if (levee_packet_source(&pkt, v->data, v->data + v->captured))
			continue;
		key = (uint32_t)pkt.hi;
		at = rte_hash_lookup(b->hash, &key);
		if (at < 0)
			at = rte_hash_add_key(b->hash, &key);
		if (at >= 0)
			count(b, at, v->bytes);
	}
}

static void hash_bulk(struct bench *b)
{
	uint32_t key[BURST], n = 0;
	const void *keys[BURST];
	int32_t at[BURST];
	struct levee_packet pkt;

	for (unsigned int i = 0; i < BURST; i++) {
		const struct levee_view *v = &b->view4[i];

		if (levee_packet_source(&pkt, v->data, v->data + v->captured))
			continue;
		key[n] = (uint32_t)pkt.hi;
		keys[n] = &key[n];
		n++;
	}
	if (!n || rte_hash_lookup_bulk(b->hash, keys, n, at))
		return;
	for (uint32_t i = 0; i < n; i++)
		if (at[i] >= 0)
			__builtin_prefetch(&b->counters[at[i]], 1);
	for (uint32_t i = 0; i < n; i++) {
		if (at[i] < 0)
			at[i] = rte_hash_add_key(b->hash, keys[i]);
		if (at[i] >= 0)
			count(b, at[i], 64);
	}
}

/* The frames are written all the same, so that the same is subtracted. */
static void touch_lines(struct bench *b)
{
	uint64_t *line[BURST];

	for (unsigned int i = 0; i < BURST; i++) {
		uint64_t n = next_random(b) & b->mask;

		put4(b, i, n);
		line[i] = b->lines + ((n * SCATTER6 >> 32) & (b->n_lines - 1)) * 8;
		__builtin_prefetch(line[i], 1);
	}
	for (unsigned int i = 0; i < BURST; i++)
		(*line[i])++;
}

static void step(struct bench *b, enum dpdk_subject subject)
{
	switch (subject) {
	case DPDK_LINE:
		touch_lines(b);
		return;
	case DPDK_GENERATE6:
		generate6(b);
		return;
	case DPDK_LEVEE6:
		generate6(b);
		inspect(&b->plain, b->view6);
		return;
	default:
		generate4(b);
		break;
	}
	if (subject == DPDK_LEVEE)
		inspect(&b->plain, b->view4);
	else if (subject == DPDK_LEVEE_100K)
		inspect(&b->blocked, b->view4);
	else if (subject == DPDK_LEVEE_HIT)
		inspect(&b->dropping, b->view4);
	else if (subject == DPDK_HASH)
		hash_each(b);
	else if (subject == DPDK_HASH_BULK)
		hash_bulk(b);
	else
		__asm__ volatile("" : : "r"(b->frames4) : "memory");
}

/* ---- tables ------------------------------------------------------------------------------ */

static uint64_t most(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* A second policy over the source tables of the first. */
static int open_policy(struct bench *b, struct levee_tables *t, struct levee_policy **policy,
		       struct levee_inspector *in)
{
	struct levee_tables_sizes sizes = { 1, 1024, 1024, 2 * DPDK_BLOCKS, 64 };
	int ret = levee_tables_open(t, &sizes, boot_ns());

	if (ret)
		return ret;
	t->policy.key = b->tables.rows.geo.key; /* the inspector hashes once for both */
	t->rows = b->tables.rows;
	*in = (struct levee_inspector){ .tables = t };
	return levee_policy_new(policy, &t->policy);
}

/* Addresses that no source has: those of n in [2^30, 2^30 + 100,000), the sources being below. */
static int block_many(struct levee_policy *policy)
{
	int ret = 0;

	for (uint64_t i = 0; i < DPDK_BLOCKS && !ret; i++) {
		struct levee_prefix p = { .hi = address4((1ULL << 30) + i),
					  .family = 4,
					  .length = 32 };

		ret = levee_policy_block(policy, &p, LEVEE_NEVER, 1);
	}
	return ret;
}

/* All there is, in 256 prefixes. */
static int block_all(struct levee_policy *policy)
{
	int ret = 0;

	for (uint64_t i = 0; i < 256 && !ret; i++) {
		struct levee_prefix p = { .hi = i << 24, .family = 4, .length = 8 };

		ret = levee_policy_block(policy, &p, LEVEE_NEVER, 1);
	}
	return ret;
}

static int open_levee(struct bench *b)
{
	uint64_t six = least(b->sources, SIX_MOST);
	struct levee_tables_sizes sizes = { .cpus = 1,
					    .sources = most(2 * b->sources, 1 << 18),
					    .sources6 = most(2 * six, 1 << 16),
					    .rules = 1024,
					    .source6_length = 64 };
	int ret = levee_tables_open(&b->tables, &sizes, boot_ns());

	if (!ret)
		ret = levee_policy_new(&b->policy[0], &b->tables.policy);
	b->plain = (struct levee_inspector){ .tables = &b->tables };
	if (!ret)
		ret = open_policy(b, &b->many, &b->policy[1], &b->blocked);
	if (!ret)
		ret = block_many(b->policy[1]);
	if (!ret)
		ret = open_policy(b, &b->hit, &b->policy[2], &b->dropping);
	return ret ? ret : block_all(b->policy[2]);
}

static int open_hash(struct bench *b)
{
	struct rte_hash_parameters parameters = {
		.name = "bench",
		.entries = (uint32_t)most(b->sources + b->sources / 4, 1024),
		.key_len = sizeof(uint32_t),
		.hash_func = rte_hash_crc,
	};

	b->hash = rte_hash_create(&parameters);
	if (!b->hash)
		return -ENOMEM;
	b->counters_size = ((size_t)rte_hash_max_key_id(b->hash) + 1) * sizeof(*b->counters);
	b->counters = mmap(NULL, b->counters_size, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (b->counters == MAP_FAILED)
		return -ENOMEM;
	madvise(b->counters, b->counters_size, MADV_HUGEPAGE);
	return 0;
}

static int open_lines(struct bench *b)
{
	b->n_lines = 1ULL << b->tables.rows.control->bits4[b->tables.rows.control->seq & 1];
	b->lines = mmap(NULL, b->n_lines * 64, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			-1, 0);
	if (b->lines == MAP_FAILED)
		return -ENOMEM;
	madvise(b->lines, b->n_lines * 64, MADV_HUGEPAGE);
	memset(b->lines, 1, b->n_lines * 64);
	return 0;
}

static void unmap(void *at, size_t size)
{
	if (at && at != MAP_FAILED)
		munmap(at, size);
}

static void close_bench(struct bench *b)
{
	for (int i = 0; i < 3; i++)
		levee_policy_free(&b->policy[i]);
	levee_tables_close(&b->many);
	levee_tables_close(&b->hit);
	levee_tables_close(&b->tables);
	rte_hash_free(b->hash);
	unmap(b->counters, b->counters_size);
	unmap(b->lines, b->n_lines * 64);
	free(b);
}

/* Every source once, into each table. */
static void fill(struct bench *b)
{
	for (uint64_t n = 0; n < most(b->sources, BURST); n += BURST) {
		for (unsigned int i = 0; i < BURST; i++) {
			put4(b, i, (n + i) & b->mask);
			put6(b, i, (n + i) & b->mask);
		}
		inspect(&b->plain, b->view4);
		if (b->sources <= SIX_MOST)
			inspect(&b->plain, b->view6);
		if (b->hash)
			hash_each(b);
	}
}

/* The next epoch has the size that the daemon would give it after this one. */
static void next_epoch(struct bench *b)
{
	struct levee_control *c = b->tables.rows.control;

	levee_rows_size_next(&b->tables.rows, (uint32_t)(c->seq & 1));
	c->seq++;
	levee_rows_clear(&b->tables.rows, (uint32_t)((c->seq - 1) & 1));
}

/* ---- measuring --------------------------------------------------------------------------- */

static double sample(struct bench *b, enum dpdk_subject subject)
{
	double begin;

	for (unsigned int i = 0; i < WARM; i += BURST)
		step(b, subject);
	begin = bench_thread_ns();
	for (unsigned int i = 0; i < PACKETS; i += BURST)
		step(b, subject);
	return (bench_thread_ns() - begin) / PACKETS;
}

static bool is_left_out(const struct bench *b, enum dpdk_subject subject)
{
	return (subject == DPDK_LEVEE6 || subject == DPDK_GENERATE6) && b->sources > SIX_MOST;
}

static void measure(struct bench *b, unsigned int rounds, struct dpdk_results *r, unsigned int size)
{
	for (unsigned int round = 0; round < rounds; round++)
		for (unsigned int i = 0; i < DPDK_SUBJECTS; i++) {
			/* Nobody is always first, or always behind the same other. */
			enum dpdk_subject s = (enum dpdk_subject)(
				(i * (round % 2 ? 2 : 1) + round) % DPDK_SUBJECTS);

			if (!is_left_out(b, s))
				bench_add(&r->ns[size][s], sample(b, s));
		}
	r->evicted[size] =
		b->tables.rows.rows[b->tables.rows.control->seq & 1].log4; /* one lcore's row */
}

static int measure_size(const struct bench_run *run, struct dpdk_results *r, unsigned int size)
{
	struct bench *b = aligned_alloc(64, (sizeof(*b) + 63) & ~(size_t)63);
	int ret;

	if (!b)
		return -ENOMEM;
	memset(b, 0, sizeof(*b));
	b->sources = dpdk_sources[size];
	b->mask = b->sources - 1;
	b->random = 88172645463325252ULL;
	make_frames(b);
	ret = open_levee(b);
	if (!ret) {
		fill(b);
		next_epoch(b);
		ret = open_lines(b);
	}
	if (!ret)
		ret = open_hash(b);
	if (!ret) {
		fill(b);
		measure(b, run->rounds, r, size);
	}
	close_bench(b);
	return ret;
}

int dpdk_measure_bursts(const struct bench_run *run, struct dpdk_results *results)
{
	int ret = 0;

	for (unsigned int i = 0; i < DPDK_SIZES && !ret; i++) {
		bench_progress("DPDK inspector, %llu sources", (unsigned long long)dpdk_sources[i]);
		ret = measure_size(run, results, i);
	}
	if (ret)
		return dpdk_fail(results, ret, "prepared bursts: %s", strerror(-ret));
	return 0;
}

#else
int dpdk_measure_bursts(const struct bench_run *run, struct dpdk_results *results)
{
	(void)run;
	return dpdk_fail(results, -95, "not built in");
}
#endif
