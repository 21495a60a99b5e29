/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the DPDK parts of the bench hand to each other. EAL starts once in a process and pins the
 * thread that starts it, so they run in a child; the samples come back in shared memory.
 */
#ifndef LEVEE_BENCH_DPDK_BENCH_H
#define LEVEE_BENCH_DPDK_BENCH_H

#include <stdbool.h>
#include <stdint.h>

#include "tools/bench/measure.h"

#define DPDK_SIZES  5
#define DPDK_BLOCKS 100000U

/* Each does something to one prepared burst after another. */
enum dpdk_subject {
	DPDK_GENERATE,	 /* only write the sources into the frames: what the others are net of */
	DPDK_LEVEE,	 /* the inspector, nobody blocked */
	DPDK_LEVEE_100K, /* 100,000 sources blocked that send nothing */
	DPDK_LEVEE_HIT,	 /* every packet is of a blocked prefix: dropped */
	DPDK_GENERATE6,
	DPDK_LEVEE6,	/* the inspector on IPv6 */
	DPDK_HASH,	/* a counter on rte_hash, a look-up each packet */
	DPDK_HASH_BULK, /* the same, a look-up each burst: it prefetches */
	DPDK_LINE,	/* one random cache line a packet, all of a burst asked for first */
	DPDK_SUBJECTS
};

enum dpdk_ports {
	DPDK_RXONLY_LEVEE, /* mode = monitor */
	DPDK_RXONLY_TESTPMD,
	DPDK_FORWARD_LEVEE,   /* mode = wire */
	DPDK_FORWARD_TESTPMD, /* --forward-mode=macswap */
	DPDK_PORTS
};

struct dpdk_results {
	struct bench_samples ns[DPDK_SIZES][DPDK_SUBJECTS]; /* a packet, gross */
	struct bench_samples ports[DPDK_PORTS];
	uint64_t evicted[DPDK_SIZES];
	bool no_testpmd;
	int error;
	char text[400]; /* of the error */
};

extern const uint64_t dpdk_sources[DPDK_SIZES];

struct bench_run;

/** EAL is running. \return 0; -errno, and results->text says it */
int dpdk_measure_bursts(const struct bench_run *run, struct dpdk_results *results);
int dpdk_measure_ports(const struct bench_run *run, struct dpdk_results *results);

/** In the child: start EAL and measure. */
void dpdk_measure(const struct bench_run *run, struct dpdk_results *results);

int dpdk_fail(struct dpdk_results *results, int ret, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

#endif
