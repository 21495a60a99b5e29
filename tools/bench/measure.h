/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Measuring on a machine that is shared: one CPU, its time and not the wall's, several samples,
 * and what is reported is their median together with how far they lie apart.
 */
#ifndef LEVEE_BENCH_MEASURE_H
#define LEVEE_BENCH_MEASURE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define BENCH_SAMPLES_MAX 64

/** What was measured in each round. Sample i of two series is of the same round. */
struct bench_samples {
	unsigned int n;
	double value[BENCH_SAMPLES_MAX];
};

struct bench_figure {
	double median;
	double low;
	double high;
};

/** CPU time that this thread has used [ns]. */
double bench_thread_ns(void);

/** CLOCK_BOOTTIME [ns]. */
double bench_wall_ns(void);

/** Stay on one CPU. \return 0; -errno */
int bench_pin(unsigned int cpu);

/** Back to every CPU that the process began with, as bench_pin() saw it. */
void bench_unpin(void);

/** The CPU to measure on: the last that this process may use, interrupts liking the first. */
unsigned int bench_cpu(void);

/**
 * Has this CPU a core to itself? In a virtual machine the other thread of a core may be somebody
 * else's, and while it is busy all work takes half as long again, which nothing else tells. Takes a
 * millisecond: a loop that fills the core, against the fastest that it ever was in this process.
 */
bool bench_is_quiet(void);

/** Forgotten silently beyond BENCH_SAMPLES_MAX. */
void bench_add(struct bench_samples *samples, double value);

/** All zero if there are no samples. */
struct bench_figure bench_figure(const struct bench_samples *samples);

/* Round by round, as many as both have. */
struct bench_samples bench_difference(const struct bench_samples *a, const struct bench_samples *b);
struct bench_samples bench_ratio(const struct bench_samples *a, const struct bench_samples *b);
struct bench_samples bench_scale(const struct bench_samples *a, double factor);

/** Where the run stands, on standard error, for whoever waits. */
void bench_progress(const char *format, ...) __attribute__((format(printf, 1, 2)));

/** Say what went wrong, on standard error. */
void bench_complain(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
