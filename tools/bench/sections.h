/* SPDX-License-Identifier: BSD-2-Clause */
/* The parts of the bench. Each measures, and adds its rows to the report. */
#ifndef LEVEE_BENCH_SECTIONS_H
#define LEVEE_BENCH_SECTIONS_H

#include "tools/bench/report.h"
#include "tools/bench/touch.h"

#define BENCH_ROUNDS_MIN 3
#define BENCH_LOOP_S	 25.0 /* that the rounds of one loop may take, beyond the least number */

struct bench_run {
	struct bench_report report;
	struct bench_touch touch;
	unsigned int cpu;    /* that single-threaded parts stay on */
	unsigned int rounds; /* samples of each figure */
	const char *against; /* another build of bench.bpf.o, measured beside; NULL */
	const char *levee;   /* the programs, as files */
	const char *pktgen;
	const char *scenario; /* for the pcap file of the replay */
	const char *dir;      /* for files of a few hundred MB */
	bool quick;	      /* fewer rounds, shorter runs: to see that all works */
	double began_ns;      /* the loop that bench_again() bounds */
};

/**
 * Is there to be another round? Three at least; as many as wanted, unless the machine is so busy
 * that they take more than their time: then fewer, which the number of samples in the file shows.
 */
static inline bool bench_again(struct bench_run *run, unsigned int done, unsigned int wanted)
{
	if (done == 0)
		run->began_ns = bench_wall_ns();
	return done < wanted &&
	       (done < BENCH_ROUNDS_MIN || bench_wall_ns() - run->began_ns < BENCH_LOOP_S * 1e9);
}

/** ns a packet of the XDP program, for some numbers of sources. \return 0; -errno, said */
int bench_counting(struct bench_run *run);

/** The same for hits of block and allow lists, and for sources never seen before. */
int bench_verdicts(struct bench_run *run);

/** What looking at TCP headers costs, for SYNs and made-up addresses. */
int bench_measures(struct bench_run *run);

/** xdp-filter on the same packets. A machine without it gets a remark. */
int bench_filter(struct bench_run *run);

/** Closing and evaluating a bin of a million sources; the pressure path. */
int bench_closing(struct bench_run *run);
int bench_pressure(struct bench_run *run);

/** The DPDK inspector beside rte_hash, testpmd and what memory costs. Without DPDK: a remark. */
int bench_dpdk(struct bench_run *run);

/** `levee replay` on files made for it. */
int bench_replay(struct bench_run *run);

/** Every scenario through `levee replay` and live: what was found, when, and at what price. */
int bench_detection(struct bench_run *run);

/** How soon a source that crosses the threshold is dropped, and what those below it cost. */
int bench_fast(struct bench_run *run);

/** A TCP service while a flood rises, unprotected, behind nftables and behind Levee. */
int bench_service(struct bench_run *run);

#endif
