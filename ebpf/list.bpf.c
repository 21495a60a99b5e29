/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Iterators that are pinned beside the maps, so that `cat` lists what the data path knows:
 *
 *	sources4, sources6    a line for each source, CPU and epoch that holds it
 *	rules                 a line for each allowed and blocked prefix, with its drops
 *
 * They share the maps of levee.bpf.c and are read at any time; a daemon need not live.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

#include <levee/shared.h>

#define LEVEE_MAPS_BY_LOOKUP
#include "ebpf/maps.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* What is used of the kernel's context; bpf_iter__bpf_map_elem is found by its name in BTF. */
struct seq_file;

struct bpf_iter_meta {
	struct seq_file *seq;
	__u64 session_id;
	__u64 seq_num;
} __attribute__((preserve_access_index));

struct bpf_map;

struct bpf_iter__bpf_map_elem {
	struct bpf_iter_meta *meta;
	struct bpf_map *map;
	void *key;
	void *value;
} __attribute__((preserve_access_index));

/* bpf_seq_printf() with its arguments as an array of 64-bit values. */
#define PRINT(seq, format, ...)                                                      \
	do {                                                                         \
		static const char _format[] = format;                                \
		__u64 _args[] = { __VA_ARGS__ };                                     \
                                                                                     \
		bpf_seq_printf(seq, _format, sizeof(_format), _args, sizeof(_args)); \
	} while (0)

/*
 * An iterator goes through a map and prints at each element, into a buffer of 32 KB; and read() ends
 * with EAGAIN after a million elements at which nothing was printed. A table, which is one element,
 * would be too much for the one, and its buckets, were they elements, for the other. So these two go
 * through far4, which has 2^18 elements on every machine, and print a share of the buckets at each.
 */
#define SHARES	  LEVEE_FAR_WORDS
#define SHARE_MAX 48 /* buckets whose sources fit into the buffer, with a burst that waits */
#define LOGGED	  (LEVEE_SLOTS / 2) /* entries of a row's log for each of its buckets */

/* Buckets a share, of all rows. */
static __always_inline __u32 share_of(__u32 bits)
{
	__u64 buckets = GEO(rows) << (bits & 31);

	return (__u32)((buckets + SHARES - 1) / SHARES);
}

static __always_inline void print_heading(struct bpf_iter_meta *meta, struct seq_file *seq,
					  __u32 bits)
{
	if (meta->seq_num)
		return;
	PRINT(seq, "# source packets bytes cpu epoch (open epoch: %llu)\n", levee.control.seq & 1);
	if (share_of(bits) > SHARE_MAX)
		PRINT(seq, "%s",
		      (__u64)(long)"# not all of them: levee list prints a table so large\n");
}

/* The n-th bucket of a share; -1 if there is none. */
static __always_inline int bucket_at(__u32 share, __u32 n, __u32 bits, __u32 *row, __u32 *bucket)
{
	__u64 nr = (__u64)share * share_of(bits) + n;

	if (n >= share_of(bits) || nr >= GEO(rows) << (bits & 31))
		return -1;
	*row = (__u32)(nr >> (bits & 31));
	*bucket = (__u32)nr & ((1U << (bits & 31)) - 1);
	return 0;
}

static __always_inline void print4(struct seq_file *seq, __u32 addr, __u64 packets, __u64 bytes,
				   __u32 row)
{
	PRINT(seq, "%u.%u.%u.%u %llu %llu %u %u\n", addr >> 24, (addr >> 16) & 255,
	      (addr >> 8) & 255, addr & 255, packets, bytes, levee_row_cpu(row),
	      levee_row_epoch(row));
}

static __always_inline void list_bucket4(struct seq_file *seq, __u32 row, __u32 bucket)
{
	struct levee_row *r;
	struct levee_evicted4 *e;
	struct levee_waiting4 *p;
	struct levee_bucket4 *b;
	struct levee_table t;
	__u32 nr;

	if (find_row_nr(&r, bound_row(row)) || find_table4(&t, bound_row(row)))
		return;
	if (find_bucket4(&b, &t, bucket << 6))
		return;
	for (int i = 0; i < LEVEE_SLOTS; i++)
		if (b->packets[i])
			print4(seq, b->addr[i], b->packets[i], levee_tally_bytes(b->tally[i]), row);
	for (__u32 i = 0; i < LOGGED && bucket * LOGGED + i < r->log4; i++) {
		nr = row * GEO(log4) + bucket * LOGGED + i;
		e = bpf_map_lookup_elem(&evicted4, &nr);
		if (e)
			print4(seq, e->addr, e->packets, levee_tally_bytes(e->tally), row);
	}
	for (__u64 i = 0; !bucket && i < LEVEE_BURST && i < r->put4 - r->done4; i++) {
		p = &r->waiting4[i];
		print4(seq, p->addr, 1, levee_tally_bytes(p->tally), row);
	}
}

SEC("iter/bpf_map_elem")
int list_sources4(struct bpf_iter__bpf_map_elem *ctx)
{
	struct seq_file *seq = ctx->meta->seq;
	__u32 *key = ctx->key;
	__u32 row, bucket;

	print_heading(ctx->meta, seq, GEO(bits4));
	if (!key)
		return 0;
	for (__u32 n = 0; n < SHARE_MAX; n++) {
		if (bucket_at(*key, n, GEO(bits4), &row, &bucket))
			break;
		list_bucket4(seq, row, bucket);
	}
	return 0;
}

static __always_inline __u32 group_of(__u64 hi, __u64 lo, __u32 i)
{
	return (i < 4 ? hi >> (48 - 16 * i) : lo >> (112 - 16 * i)) & 0xffff;
}

/* Which groups `::` stands for, a bit each: the first of the longest runs of zeros, two at least. */
static __always_inline __u32 longest_run(__u64 hi, __u64 lo)
{
	__u32 zeros = 0, run = 0, starts, length = 1;

	for (__u32 i = 0; i < 8; i++)
		zeros |= levee_is_zero(group_of(hi, lo, i)) << i;
	/* Bit i stays in `starts` while a run of `length` starts at group i. */
	starts = zeros & (zeros >> 1);
	for (; length < 8 && starts; length++) {
		run = starts & (0 - starts);
		run = (run << (length + 1)) - run;
		starts &= zeros >> (length + 1);
	}
	return run;
}

/* As inet_ntop(3) does (RFC 5952), but for IPv4 addresses in it, which are groups like others here. */
static __always_inline void print6(struct seq_file *seq, __u64 hi, __u64 lo, __u32 length)
{
	__u32 run = longest_run(hi, lo);

	for (__u32 i = 0; i < 8; i++) {
		__u32 before = (run << 1 >> i) & 1;

		if ((run >> i) & 1) {
			if (!before)
				PRINT(seq, "%s", (__u64)(long)"::");
		} else if (i && !before) {
			PRINT(seq, ":%x", group_of(hi, lo, i));
		} else {
			PRINT(seq, "%x", group_of(hi, lo, i));
		}
	}
	PRINT(seq, "/%u", length);
}

static __always_inline void print_source6(struct seq_file *seq, __u64 hi, __u64 lo, __u64 packets,
					  __u64 bytes, __u32 row)
{
	print6(seq, hi, lo, (__u32)GEO(source6_length));
	PRINT(seq, " %llu %llu %u %u\n", packets, bytes, levee_row_cpu(row), levee_row_epoch(row));
}

static __always_inline void list_bucket6(struct seq_file *seq, __u32 row, __u32 bucket)
{
	struct levee_row *r;
	struct levee_evicted6 *e;
	struct levee_waiting6 *p;
	struct levee_bucket6 *b;
	struct levee_table t;
	__u32 nr;

	if (find_row_nr(&r, bound_row(row)) || find_table6(&t, bound_row(row)))
		return;
	if (find_bucket6(&b, &t, bucket << 7))
		return;
	for (int i = 0; i < LEVEE_SLOTS; i++)
		if (b->packets[i])
			print_source6(seq, b->hi[i], b->lo[i], b->packets[i],
				      levee_tally_bytes(b->tally[i]), row);
	for (__u32 i = 0; i < LOGGED && bucket * LOGGED + i < r->log6; i++) {
		nr = row * GEO(log6) + bucket * LOGGED + i;
		e = bpf_map_lookup_elem(&evicted6, &nr);
		if (e)
			print_source6(seq, e->hi, e->lo, e->packets, levee_tally_bytes(e->tally),
				      row);
	}
	for (__u64 i = 0; !bucket && i < LEVEE_BURST && i < r->put6 - r->done6; i++) {
		p = &r->waiting6[i];
		print_source6(seq, p->hi, p->lo, 1, levee_tally_bytes(p->tally), row);
	}
}

SEC("iter/bpf_map_elem")
int list_sources6(struct bpf_iter__bpf_map_elem *ctx)
{
	struct seq_file *seq = ctx->meta->seq;
	__u32 *key = ctx->key;
	__u32 row, bucket;

	print_heading(ctx->meta, seq, GEO(bits6));
	if (!key)
		return 0;
	for (__u32 n = 0; n < SHARE_MAX; n++) {
		if (bucket_at(*key, n, GEO(bits6), &row, &bucket))
			break;
		list_bucket6(seq, row, bucket);
	}
	return 0;
}

static __always_inline void print_end(struct seq_file *seq, __u64 expires_ns)
{
	__u64 now_ns = bpf_ktime_get_boot_ns();

	if (expires_ns == LEVEE_NEVER)
		PRINT(seq, "%s", (__u64)(long)" never");
	else if (expires_ns <= now_ns)
		PRINT(seq, "%s", (__u64)(long)" expired");
	else
		PRINT(seq, " %llus", (expires_ns - now_ns + 999999999) / 1000000000);
}

SEC("iter/bpf_map_elem")
int list_rules(struct bpf_iter__bpf_map_elem *ctx)
{
	struct seq_file *seq = ctx->meta->seq;
	struct levee_rule *rule = ctx->value;
	__u32 *key = ctx->key;
	__u64 packets = 0, bytes = 0;

	if (ctx->meta->seq_num == 0)
		PRINT(seq, "%s", (__u64)(long)"# verdict prefix ends-in packets bytes\n");
	if (!rule || !key || rule->verdict == LEVEE_VERDICT_NONE)
		return 0;
	for (__u32 cpu = 0; cpu < 1024 && cpu < GEO(cpus); cpu++) {
		__u32 cell = cpu * GEO(rules) + *key;
		struct levee_hits *h = bpf_map_lookup_elem(&hits, &cell);

		if (h) {
			packets += h->packets;
			bytes += h->bytes;
		}
	}
	if (rule->verdict == LEVEE_VERDICT_ALLOW)
		PRINT(seq, "%s", (__u64)(long)"allow ");
	else if (levee.control.audit)
		PRINT(seq, "%s", (__u64)(long)"audit ");
	else if (rule->verdict == LEVEE_VERDICT_LIMIT)
		PRINT(seq, "%s", (__u64)(long)"limit ");
	else
		PRINT(seq, "%s", (__u64)(long)"block ");
	if (rule->family == 4)
		PRINT(seq, "%u.%u.%u.%u/%u", (rule->hi >> 24) & 255, (rule->hi >> 16) & 255,
		      (rule->hi >> 8) & 255, rule->hi & 255, rule->length);
	else
		print6(seq, rule->hi, rule->lo, rule->length);
	print_end(seq, rule->expires_ns);
	PRINT(seq, " %llu %llu\n", packets, bytes);
	return 0;
}
