/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The XDP program under test, and what it is measured against, each behind the same generator:
 * every run of a program first writes a new source address into the packet it was given. Net cost
 * is over bench_parse, which generates and parses and does nothing else.
 */
#include "ebpf/handle.bpf.h"
#include "tools/bench/shared.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

struct bench_source bench;

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(max_entries, 2 << 20);
	__type(key, __u32);
	__type(value, struct { __u64 packets; __u64 bytes; });
} bench_hash SEC(".maps");

static __always_inline __u64 next_number(void)
{
	__u64 x;

	if (bench.never)
		return bench.state++;
	/* xorshift64 (Marsaglia, J. Stat. Software 8(14), 2003) */
	x = bench.state;
	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	bench.state = x;
	return (x >> 20) & bench.mask;
}

static __always_inline int write_source(struct xdp_md *ctx)
{
	__u8 *data = (__u8 *)(long)ctx->data;
	__u8 *end = (__u8 *)(long)ctx->data_end;
	__u64 n = next_number();

	if (data + 54 > end)
		return -1;
	if (data[12] == 0x08) {
		/* Scattered over the address space, one to one: an odd factor. */
		__u32 addr = levee_be32((__u32)(bench.base + n * 2654435761U));

		__builtin_memcpy(data + 26, &addr, 4);
	} else {
		__u64 hi = levee_be64(bench.base + n * 0x9e3779b97f4a7c15ULL);

		__builtin_memcpy(data + 22, &hi, 8);
	}
	return 0;
}

SEC("xdp")
int bench_drop(struct xdp_md *ctx)
{
	return write_source(ctx) ? XDP_ABORTED : XDP_DROP;
}

SEC("xdp")
int bench_parse(struct xdp_md *ctx)
{
	struct levee_packet pkt;

	if (write_source(ctx))
		return XDP_ABORTED;
	if (levee_packet_source(&pkt, (void *)(long)ctx->data, (void *)(long)ctx->data_end))
		return XDP_ABORTED;
	return pkt.hi + pkt.lo == 1 ? XDP_DROP : XDP_PASS;
}

SEC("xdp.frags")
int bench_levee(struct xdp_md *ctx)
{
	if (write_source(ctx))
		return XDP_ABORTED;
	return handle((const void *)(long)ctx->data, (const void *)(long)ctx->data_end,
		      length_of(ctx));
}

SEC("xdp")
int bench_percpu_hash(struct xdp_md *ctx)
{
	struct { __u64 packets; __u64 bytes; } *value, one = { 1, 60 };
	struct levee_packet pkt;
	__u32 key;

	if (write_source(ctx))
		return XDP_ABORTED;
	if (levee_packet_source(&pkt, (void *)(long)ctx->data, (void *)(long)ctx->data_end))
		return XDP_ABORTED;
	key = (__u32)pkt.hi;
	value = bpf_map_lookup_elem(&bench_hash, &key);
	if (value) {
		value->packets++;
		value->bytes += 60;
	} else {
		bpf_map_update_elem(&bench_hash, &key, &one, BPF_ANY);
	}
	return XDP_PASS;
}
