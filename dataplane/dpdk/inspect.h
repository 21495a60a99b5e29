/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The inspector: what one lcore does with a burst of packets. The order of ebpf/handle.bpf.h, and
 * the same tables, but over a burst, so that memory is asked for long before it is needed:
 *
 *	1  read the source of each packet, hash it, ask for its bucket and its word of the bitmaps;
 *	   where a rule may match, ask for the rule's bucket
 *	2  allow list and blocks, scope; count where the first bucket holds the source
 *	3  the others: second bucket, asked for in 2; the least slot of both if it is in neither
 *
 * It knows nothing of DPDK: benches and tests run it on prepared bursts.
 */
#ifndef LEVEE_DPDK_INSPECT_H
#define LEVEE_DPDK_INSPECT_H

#include <stdint.h>

#include "dataplane/dpdk/tables.h"

#define LEVEE_BURST_MAX 64 /* packets; one bit each in a verdict */

/** The bytes of a packet that lie together at its beginning, and its length on the wire. */
struct levee_view {
	const uint8_t *data;
	uint32_t captured;
	uint32_t bytes;
};

/** One lcore. Nobody else uses its rows. */
struct levee_inspector {
	const struct levee_tables *tables;
	uint32_t cpu; /* its number in the tables */
	bool flows;   /* look at TCP headers: tallies have SYNs then */
	/** An eviction log of this epoch is half full. Called on the lcore; must not block. */
	void (*pressure)(void *ctx, uint64_t seq);
	/**
	 * A source has a further share of packets in this epoch: levee_control.share_mask. As above.
	 * \return false: there was no room to note it, which the row's lost_events counts
	 */
	bool (*trip)(void *ctx, uint64_t seq, const struct levee_prefix *source);
	void *ctx;
};

/**
 * Judge and count a burst. Between two calls the lcore holds nothing of the tables: there it may
 * report a quiescent state.
 * \param n       0 to LEVEE_BURST_MAX
 * \param now_ns  CLOCK_BOOTTIME
 * \return bit i: drop packet i
 */
uint64_t levee_inspect(const struct levee_inspector *inspector, const struct levee_view *view,
		       unsigned int n, uint64_t now_ns);

#endif
