/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The truth: who sent how much in which bin. One CSV row for each source that sent in a bin,
 *
 *	bin_unix_s,population,source,packets,bytes,flooder
 *
 * written when the bin is over; sources as levee prints them. And, if asked, when each source sent
 * its first packet, and when it first had more than so many in one bin: a row each at the end,
 *
 *	source,population,flooder,first_unix_ns,crossed_unix_ns
 *
 * the last field empty if it never had. Spoofed sources, which send once, are not in it.
 */
#ifndef PKTGEN_TRUTH_H
#define PKTGEN_TRUTH_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "tools/pktgen/scenario.h"

struct pktgen_truth_params {
	FILE *csv;		   /* NULL: only totals; stays the caller's */
	unsigned int source6_bits; /* length of the prefix that counts as an IPv6 source */
	bool sum_spoofed;	   /* one row "*" a bin for spoofed sources, not one for each */
	FILE *times;		   /* NULL: not wanted; stays the caller's */
	uint64_t above;		   /* packets in a bin that a source crosses */
};

/* What a population sent in all. */
struct pktgen_total {
	uint64_t packets;
	uint64_t bytes;
	uint64_t sources; /* that sent at all; IPv6 ones as prefixes of source6_bits */
};

struct pktgen_truth;

/**
 * \param scenario  must outlive the truth
 * \param why       on -EINVAL: what cannot be told apart, and the remedy; static
 * \return 0; -ENOMEM; -EINVAL
 */
int pktgen_truth_new(struct pktgen_truth **out, const struct pktgen_scenario *scenario,
		     const struct pktgen_truth_params *params, const char **why);
void pktgen_truth_free(struct pktgen_truth **truth);

/**
 * Count one packet. Times may not go back past a bin: such a packet counts in the bin that is
 * open. Spoofed sources come in order, without gaps.
 * \return 0; -ENOMEM; -errno of the file
 */
int pktgen_truth_add(struct pktgen_truth *truth, uint64_t unix_ns, uint32_t population,
		     uint64_t source, uint32_t bytes);

/** Count n packets of `bytes` each from sources first, first + 1, ..., round after round. */
int pktgen_truth_add_round(struct pktgen_truth *truth, uint64_t unix_ns, uint32_t population,
			   uint64_t first, uint64_t n, uint32_t bytes);

/** Write the bin that is open, and the times. \return 0; -errno of a file */
int pktgen_truth_finish(struct pktgen_truth *truth);

/** Valid as long as the truth. */
const struct pktgen_total *pktgen_truth_total(const struct pktgen_truth *truth, size_t population);

#endif
