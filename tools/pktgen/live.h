/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* What output_live.c and gen.bpf.c share. */
#ifndef PKTGEN_LIVE_H
#define PKTGEN_LIVE_H

#include "tools/pktgen/address.h"
#include "tools/pktgen/patch.h"

#define PKTGEN_LIVE_POPULATIONS 64   /* a power of two */
#define PKTGEN_LIVE_TEMPLATES	256  /* the schedule names them in a byte */
#define PKTGEN_LIVE_SCHEDULE	4096 /* a power of two */

/* A population as the program sees it: source k sends after source k - 1, and so round and round. */
struct pktgen_live_population {
	struct pktgen_plan plan;
	__u64 sources;	   /* 0: spoofed, no source comes back */
	__u64 next;	   /* source of the next frame */
	__u64 count;	   /* frames made */
	__u32 random_port; /* 1: the source port changes */
	__u32 _pad;
};

#endif
