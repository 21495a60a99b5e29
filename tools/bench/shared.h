/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* What the bench's programs and its harness share. */
#ifndef LEVEE_BENCH_SHARED_H
#define LEVEE_BENCH_SHARED_H

#include <linux/types.h>

/*
 * Which sources come: base + f(n), f being one to one and scattering. IPv4: n times an odd number,
 * modulo 2^32. IPv6: the same in the upper 64 bits, modulo 2^61, so that all are in 2000::/3.
 */
struct bench_source {
	__u64 state;   /* of the generator; the next n if `in_turn` */
	__u64 mask;    /* n is a pseudo-random number of these bits */
	__u64 base;    /* IPv4: an address; IPv6: upper 64 bits of one, its lower 61 bits 0 */
	__u64 in_turn; /* 1: n = state, state + 1 ...: no source comes twice */
	__u64 event_ns; /* bench_pressure: when it first raised an event [CLOCK_BOOTTIME]; 0: never */
	__u64 _line[3];
};

#define BENCH_SCATTER4 2654435761U
#define BENCH_SCATTER6 0x9e3779b97f4a7c15ULL

/* How a program learns the length of a frame: see ebpf/handle.bpf.h. */
enum bench_length {
	BENCH_LENGTH_LINEAR = 0, /* frames have no fragments */
	BENCH_LENGTH_CALL = 1,	 /* it asks a helper: what the daemon does before Linux 6.2 */
	BENCH_LENGTH_SEEN = 2,	 /* it looks itself: what the daemon does from then on */
};

#endif
