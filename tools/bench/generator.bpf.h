/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Traffic from many sources out of the one packet that test-run has: every run of a program first
 * writes the next source address into it. Costs the same in front of every program.
 */
#ifndef LEVEE_BENCH_GENERATOR_BPF_H
#define LEVEE_BENCH_GENERATOR_BPF_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include <levee/compiler.h>

#include "tools/bench/shared.h"

/* Apart from .bss, which for the programs under test is the data path's own. */
struct bench_source bench SEC(".data.bench");

static __always_inline __u64 next_number(void)
{
	__u64 x;

	if (bench.in_turn)
		return bench.state++;
	/* xorshift64 (Marsaglia, J. Stat. Software 8(14), 2003) */
	x = bench.state;
	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	bench.state = x;
	return (x >> 20) & bench.mask;
}

/* Whole stores, as a NIC's would be: of bytes, the program's wide loads would have to wait. */
typedef __u32 __attribute__((__may_alias__)) any_u32;
typedef __u64 __attribute__((__may_alias__)) any_u64;

static __always_inline int write_source(struct xdp_md *ctx)
{
	__u8 *data = (__u8 *)(long)ctx->data;
	__u8 *end = (__u8 *)(long)ctx->data_end;
	__u64 n = next_number();

	if (data + 54 > end)
		return -1;
	if (data[12] == 0x08) {
		*(any_u32 *)(data + 26) = levee_be32((__u32)(bench.base + n * BENCH_SCATTER4));
	} else {
		*(any_u64 *)(data + 22) = levee_be64(bench.base + ((n * BENCH_SCATTER6) >> 3));
	}
	return 0;
}

#endif
