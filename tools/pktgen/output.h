/* SPDX-License-Identifier: BSD-2-Clause */
/* Where the packets go. Each output runs a scenario to its end, its bound, or a signal. */
#ifndef PKTGEN_OUTPUT_H
#define PKTGEN_OUTPUT_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

#include "tools/pktgen/gen.h"
#include "tools/pktgen/truth.h"

struct pktgen_run {
	const struct pktgen_scenario *scenario;
	struct pktgen_truth *truth;
	const volatile sig_atomic_t *stop; /* set by a signal */
	uint64_t max_packets;		   /* UINT64_MAX: no bound */
	double max_s;			   /* interface, live: of sending */

	uint64_t from_ns;	/* interface, pcap: of the scenario, where it begins */
	uint64_t start_unix_ns; /* pcap: time of the scenario's beginning */
	double speed;		/* interface: seconds of the scenario in one second */
	bool flood;		/* interface, kernel: as fast as it goes, whatever the times */
	double ramp_s;		/* interface, live, kernel: seconds to full speed */
	double rate;		/* live, kernel: packets/s; 0: live as fast as it goes */
	const char *eal;	/* dpdk: arguments of EAL, with blanks between */
	const char *proc;	/* kernel: its directory, that of a rehearsal perhaps */

	/* results */
	uint64_t packets;
	uint64_t retries;   /* the kernel had no room, and was asked again */
	uint64_t lag_ns;    /* the latest that a packet was behind its time */
	uint64_t not_taken; /* live: frames that the receiver did not take, counted in the truth */
	bool rehearsed;	    /* kernel: commands were written, nothing was sent */
	double seconds;	    /* that sending took */
	char error[320];    /* of a failure: a sentence */
};

/** \return 0 (the end, the bound or a signal); -errno, and run->error says it */
int pktgen_output_pcap(struct pktgen_run *run, const char *path);
int pktgen_output_interface(struct pktgen_run *run, const char *name);
int pktgen_output_live(struct pktgen_run *run, const char *name);
int pktgen_output_kernel(struct pktgen_run *run, const char *name);
int pktgen_output_dpdk(struct pktgen_run *run, const char *name);

/**
 * Packets that one device of the kernel's pktgen has sent, by what its file says.
 * \return 0; -EBADMSG if the text does not say it
 */
int pktgen_kernel_sent(const char *text, uint64_t *packets);

/** Write the sentence of a failure. \return ret */
int pktgen_fail(struct pktgen_run *run, int ret, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

#endif
