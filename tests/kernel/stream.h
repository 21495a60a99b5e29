/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* What tests/kernel/stream.bpf.c and its driver, tests/support/stream.c, share. */
#ifndef LEVEE_TESTS_STREAM_H
#define LEVEE_TESTS_STREAM_H

#include <linux/types.h>

#define STREAM_LIST_MAX 65536

/* Numbers of never-repeated sources are scattered one to one: an odd factor. */
#define STREAM_SCATTER4 2654435761U
#define STREAM_SCATTER6 0x9e3779b97f4a7c15ULL

/* A source as in struct levee_packet. */
struct stream_source {
	__u64 hi;
	__u64 lo;
	__u32 family; /* 4 or 6 */
	__u32 _pad;
};

struct stream_state {
	__u64 at;     /* packets made so far */
	__u64 every;  /* one packet of so many comes from the list, in turn; 1: all; 0: none */
	__u64 n;      /* sources in the list */
	__u64 next;   /* number of the next source that never comes again */
	__u64 family; /* of those */
};

#endif
