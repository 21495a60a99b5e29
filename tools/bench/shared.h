/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* What the bench's programs and its harness share. */
#ifndef LEVEE_BENCH_SHARED_H
#define LEVEE_BENCH_SHARED_H

#include <linux/types.h>

/* Which addresses come: base + a pseudo-random number below 2^bits, or a counter. */
struct bench_source {
	__u64 state;
	__u64 mask;   /* 2^bits - 1; sources there are */
	__u64 base;   /* IPv4: added to the number; IPv6: upper half of the address */
	__u64 never;  /* 1: never the same source twice */
};

#endif
