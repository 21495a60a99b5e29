/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The event engine: every packet of a scenario, in order of time. No I/O, no clock, no globals;
 * the same scenario gives the same packets, byte for byte.
 *
 *	pktgen_gen_new(&gen, &scenario)
 *	while (pktgen_gen_next(gen, &packet))
 *		... packet.frame is good until the next call ...
 *	pktgen_gen_free(&gen)
 *
 * A population of Poisson sources is one Poisson process whose packets choose their source with
 * the alias method, and one of equal, evenly spaced sources is a round robin; so a packet costs
 * the same with ten sources and with ten million, and populations alone stand in the heap.
 */
#ifndef PKTGEN_GEN_H
#define PKTGEN_GEN_H

#include <stdbool.h>
#include <stdint.h>

#include "tools/pktgen/address.h"
#include "tools/pktgen/frame.h"
#include "tools/pktgen/scenario.h"

struct pktgen_packet {
	uint64_t time_ns; /* since the scenario's beginning; never decreases */
	uint64_t source;  /* 0 to sources - 1; spoofed: 0, 1, 2, ... without end */
	const uint8_t *frame;
	uint32_t length;     /* [bytes], without FCS */
	uint32_t population; /* index in the scenario */
};

struct pktgen_gen;

/** \param scenario  must outlive the generator. \return 0; -ENOMEM */
int pktgen_gen_new(struct pktgen_gen **out, const struct pktgen_scenario *scenario);
void pktgen_gen_free(struct pktgen_gen **gen);

/** \return false: the scenario is over */
bool pktgen_gen_next(struct pktgen_gen *gen, struct pktgen_packet *packet);

/** Where the sources of a population lie. */
void pktgen_plan_make(struct pktgen_plan *plan, const struct pktgen_scenario *scenario,
		      size_t population);

#endif
