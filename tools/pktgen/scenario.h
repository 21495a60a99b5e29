/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A scenario: who sends how much, when, and what it looks like. Read from an INI file with a
 * section [scenario] for what all share and one section for each population of sources.
 */
#ifndef PKTGEN_SCENARIO_H
#define PKTGEN_SCENARIO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "dataplane/prefix.h"

#define PKTGEN_NAME_MAX	       32
#define PKTGEN_POPULATIONS_MAX 64
#define PKTGEN_SOURCES_MAX     16000000
#define PKTGEN_SIZE_MIN	       60 /* [bytes], Ethernet header included, FCS not */
#define PKTGEN_SIZE_MAX	       9014

enum pktgen_distribution {
	PKTGEN_CONSTANT,  /* every source at `rate`, evenly spaced */
	PKTGEN_POISSON,	  /* every source at `rate`, exponential gaps */
	PKTGEN_ZIPF,	  /* the k-th source in proportion to k^-a, `rate` the mean; Poisson */
	PKTGEN_LOGNORMAL, /* each source at rate * exp(normal(a, b)); Poisson */
};

enum pktgen_shape {
	PKTGEN_STEADY,
	PKTGEN_RAMP,	/* from 0 to `rate` in a seconds (0: in the whole duration) */
	PKTGEN_BURSTS,	/* `rate` for a seconds, nothing for b seconds, and again */
	PKTGEN_DIURNAL, /* rate * (1 - 0.9 cos(2 pi t / a)) */
};

enum pktgen_protocol { PKTGEN_TCP, PKTGEN_UDP, PKTGEN_ICMP, PKTGEN_PROTOCOLS };

struct pktgen_population {
	char name[PKTGEN_NAME_MAX];
	unsigned int line; /* of its section in the file */
	unsigned int set;  /* bit i: key i of the table was given */

	struct levee_prefix prefix;
	uint64_t sources;
	unsigned int step; /* each source is a prefix of this many bits; 0: not yet decided */
	bool spread;
	bool spoofed;
	bool rotate;
	bool flooder;

	double rate; /* [packets/s], of a source; of the population if spoofed */
	enum pktgen_distribution distribution;
	double distribution_a, distribution_b;
	double start_s, duration_s; /* duration 0: to the end */
	enum pktgen_shape shape;
	double shape_a, shape_b;

	double weight[PKTGEN_PROTOCOLS]; /* sum 1 */
	uint16_t port;
	uint16_t source_port; /* 0: random */
	uint8_t tcp_flags;
	unsigned int size; /* [bytes]; 0: imix */
	unsigned int vlans;
	uint16_t vlan[2];
	double fragments, options, extensions; /* shares, 0 to 1 */
	struct levee_prefix destination;       /* family 0: the scenario's */
	bool own_mac;			       /* destination_mac is not the scenario's */
	uint8_t destination_mac[6];
	uint8_t source_mac[6];
};

struct pktgen_scenario {
	char name[PKTGEN_NAME_MAX];
	double duration_s;
	uint64_t seed;
	unsigned int bin_s;
	struct levee_prefix destination4, destination6;
	uint8_t destination_mac[6];
	uint8_t source_mac[6];
	size_t n;
	struct pktgen_population *population;
};

/**
 * Read a scenario. Every defect is a line "FILE:LINE: [section] key = value: what is wrong;
 * accepted: ..." in `errors`, all of the file is looked at.
 * \param s  empty or cleared before; pktgen_scenario_clear() frees it, also after a failure
 * \param overrides  "section.key=value", applied in order after the file; n of them
 * \return 0; -EINVAL; -errno if the file cannot be read, which is said, too
 */
int pktgen_scenario_read(struct pktgen_scenario *s, const char *path, const char *const *overrides,
			 size_t n, FILE *errors);
void pktgen_scenario_clear(struct pktgen_scenario *s);

/** Mean packets that a population will send. */
double pktgen_population_expected(const struct pktgen_scenario *s,
				  const struct pktgen_population *p);

/** Seconds after its start at which a population ends. */
double pktgen_population_length(const struct pktgen_scenario *s, const struct pktgen_population *p);

/** Operational time: seconds at full rate that are worth t seconds of the shape; and back. */
double pktgen_shape_elapsed(const struct pktgen_population *p, double length_s, double t);
double pktgen_shape_inverse(const struct pktgen_population *p, double length_s, double s);

/** Write what can stand in a scenario file, from the table that the parser uses. */
void pktgen_scenario_reference(FILE *out);

/** A key in words, for whoever writes a reference in another form. */
struct pktgen_key_text {
	const char *name;
	const char *value; /* default; NULL: must be given */
	const char *range;
	const char *help;
};

/** Call each() for every key of [scenario], or of a population's section, in their order. */
void pktgen_scenario_walk_keys(bool population,
			       void (*each)(void *ctx, const struct pktgen_key_text *key),
			       void *ctx);

#endif
