/* SPDX-License-Identifier: BSD-2-Clause */
/* What the figures were measured on. */
#ifndef LEVEE_BENCH_MACHINE_H
#define LEVEE_BENCH_MACHINE_H

#define BENCH_CACHES_MAX 8

struct bench_machine {
	char date[32];			  /* ISO 8601, UTC */
	char cpu[128];			  /* model */
	char hypervisor[64];		  /* "" if there is none to be seen */
	unsigned int cpus;		  /* online */
	char cache[BENCH_CACHES_MAX][32]; /* "L1 data 32K", as the first CPU has them */
	unsigned int caches;
	char kernel[128];
	char compiler[128]; /* clang that compiled the BPF objects */
	char load[64];	    /* 1, 5 and 15 minutes; taken when described */
	char srso[128];	    /* kernel's word on returns, which each helper call pays for */
	char retpoline[160];
	unsigned long memory_mb;
};

/** Fill in what can be found out; the rest is "unknown" or empty. */
void bench_machine_describe(struct bench_machine *machine);

#endif
