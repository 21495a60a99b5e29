/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Random numbers that are the same on every machine: SplitMix64 (Steele, Lea, Flood: Fast
 * splittable pseudorandom number generators, OOPSLA 2014).
 */
#ifndef PKTGEN_RNG_H
#define PKTGEN_RNG_H

#include <math.h>
#include <stdint.h>

struct pktgen_rng {
	uint64_t state;
};

static inline uint64_t pktgen_mix(uint64_t x)
{
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
	return x ^ (x >> 31);
}

static inline uint64_t pktgen_random(struct pktgen_rng *rng)
{
	rng->state += 0x9e3779b97f4a7c15ULL;
	return pktgen_mix(rng->state);
}

/* A stream of its own for each (seed, stream). */
static inline void pktgen_rng_seed(struct pktgen_rng *rng, uint64_t seed, uint64_t stream)
{
	rng->state = pktgen_mix(seed + 0x632be59bd9b4e019ULL) ^ pktgen_mix(~stream);
}

/* Uniform in (0, 1]: its logarithm is finite. */
static inline double pktgen_uniform(struct pktgen_rng *rng)
{
	return ((double)(pktgen_random(rng) >> 11) + 1.0) * 0x1p-53;
}

/* Exponential with mean 1. */
static inline double pktgen_exponential(struct pktgen_rng *rng)
{
	return -log(pktgen_uniform(rng));
}

/* Standard normal (Box and Muller 1958); one of the pair is enough here. */
static inline double pktgen_normal(struct pktgen_rng *rng)
{
	double r = sqrt(-2.0 * log(pktgen_uniform(rng)));

	return r * cos(6.283185307179586 * pktgen_uniform(rng));
}

#endif
