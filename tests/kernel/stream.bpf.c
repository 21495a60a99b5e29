/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * A generator in front of the program under test: each run of test-run writes the next source into
 * the frame, and goes on to that program by a tail call. So it is the very program that a NIC would
 * run, and a stream of millions of packets takes one system call for many of them.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include <levee/compiler.h>

#include "tests/kernel/stream.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

struct stream_state stream;

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, STREAM_LIST_MAX);
	__type(key, __u32);
	__type(value, struct stream_source);
} list SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} program SEC(".maps");

static __always_inline int next_source(struct stream_source *to)
{
	__u64 at = stream.at++, number;
	struct stream_source *from;
	__u32 nr;

	if (stream.every && at % stream.every == 0) {
		nr = stream.n ? (__u32)(at / stream.every % stream.n) : 0;
		from = bpf_map_lookup_elem(&list, &nr);
		if (!from)
			return -1;
		*to = *from;
		return 0;
	}
	number = stream.next++;
	to->family = (__u32)stream.family;
	to->hi = to->family == 4 ? (__u32)(number * STREAM_SCATTER4) : number * STREAM_SCATTER6;
	to->lo = 0;
	return 0;
}

/* The frame is at least 60 bytes of zeros behind the addresses of Ethernet. */
static __always_inline int write_source(struct xdp_md *ctx, const struct stream_source *s)
{
	__u8 *data = (__u8 *)(long)ctx->data;
	__u8 *end = (__u8 *)(long)ctx->data_end;
	__u32 addr = levee_be32((__u32)s->hi);
	__u64 hi = levee_be64(s->hi), lo = levee_be64(s->lo);

	if (data + 60 > end)
		return -1;
	if (s->family == 4) {
		data[12] = 0x08;
		data[13] = 0x00;
		data[14] = 0x45;
		__builtin_memcpy(data + 26, &addr, 4);
	} else {
		data[12] = 0x86;
		data[13] = 0xdd;
		data[14] = 0x60;
		__builtin_memcpy(data + 22, &hi, 8);
		__builtin_memcpy(data + 30, &lo, 8);
	}
	return 0;
}

SEC("xdp.frags")
int make_packet(struct xdp_md *ctx)
{
	struct stream_source source = { 0 };

	if (next_source(&source) || write_source(ctx, &source))
		return XDP_ABORTED;
	bpf_tail_call(ctx, &program, 0);
	return XDP_ABORTED;
}
