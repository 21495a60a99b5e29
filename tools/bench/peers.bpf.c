/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * What the XDP program is measured against, behind the same generator. Net cost is over
 * bench_parse, which generates and parses and does nothing else.
 */
#include <levee/packet.h>

#include "tools/bench/generator.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

struct counts {
	__u64 packets;
	__u64 bytes;
};

#define HASH_OF_COUNTS(name, map_type)        \
	struct {                              \
		__uint(type, map_type);       \
		__uint(max_entries, 2 << 20); \
		__type(key, __u32);           \
		__type(value, struct counts); \
	} name SEC(".maps")

HASH_OF_COUNTS(percpu_hash, BPF_MAP_TYPE_PERCPU_HASH);
HASH_OF_COUNTS(lru_hash, BPF_MAP_TYPE_LRU_PERCPU_HASH);

/* Entry 0 is the program that bench_call goes on with. */
struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} next SEC(".maps");

SEC("xdp.frags")
int bench_drop(struct xdp_md *ctx)
{
	return write_source(ctx) ? XDP_ABORTED : XDP_DROP;
}

/* Nothing but a verdict: what test-run itself costs. */
SEC("xdp.frags")
int bench_nothing(struct xdp_md *ctx)
{
	(void)ctx;
	return XDP_DROP;
}

static __always_inline int generate_and_parse(struct xdp_md *ctx, struct levee_packet *pkt)
{
	if (write_source(ctx))
		return -1;
	return levee_packet_source(pkt, (void *)(long)ctx->data, (void *)(long)ctx->data_end);
}

SEC("xdp.frags")
int bench_parse(struct xdp_md *ctx)
{
	struct levee_packet pkt;

	if (generate_and_parse(ctx, &pkt))
		return XDP_ABORTED;
	/* The source decides, so that the compiler cannot leave out reading it. */
	return pkt.hi + pkt.lo == 1 ? XDP_DROP : XDP_PASS;
}

static __always_inline void count_in(void *map, __u32 key, __u64 bytes)
{
	struct counts *found = bpf_map_lookup_elem(map, &key), one = { 1, bytes };

	if (found) {
		found->packets++;
		found->bytes += bytes;
	} else {
		bpf_map_update_elem(map, &key, &one, BPF_ANY);
	}
}

SEC("xdp.frags")
int bench_percpu_hash(struct xdp_md *ctx)
{
	struct levee_packet pkt;

	if (generate_and_parse(ctx, &pkt))
		return XDP_ABORTED;
	count_in(&percpu_hash, (__u32)pkt.hi, ctx->data_end - ctx->data);
	return XDP_PASS;
}

SEC("xdp.frags")
int bench_lru_hash(struct xdp_md *ctx)
{
	struct levee_packet pkt;

	if (generate_and_parse(ctx, &pkt))
		return XDP_ABORTED;
	count_in(&lru_hash, (__u32)pkt.hi, ctx->data_end - ctx->data);
	return XDP_PASS;
}

/* The generator in front of a program that is there as an object only. */
SEC("xdp.frags")
int bench_call(struct xdp_md *ctx)
{
	if (write_source(ctx))
		return XDP_ABORTED;
	bpf_tail_call_static(ctx, &next, 0);
	return XDP_ABORTED;
}
