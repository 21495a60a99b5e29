/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/bench/measure.h"

#include <errno.h>
#include <sched.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static double clock_ns(clockid_t id)
{
	struct timespec t;

	clock_gettime(id, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

double bench_thread_ns(void)
{
	return clock_ns(CLOCK_THREAD_CPUTIME_ID);
}

double bench_wall_ns(void)
{
	return clock_ns(CLOCK_BOOTTIME);
}

static cpu_set_t at_first;

void bench_unpin(void)
{
	if (CPU_COUNT(&at_first))
		sched_setaffinity(0, sizeof(at_first), &at_first);
}

int bench_pin(unsigned int cpu)
{
	cpu_set_t set;

	if (!CPU_COUNT(&at_first))
		sched_getaffinity(0, sizeof(at_first), &at_first);

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	return sched_setaffinity(0, sizeof(set), &set) ? -errno : 0;
}

unsigned int bench_cpu(void)
{
	unsigned int last = 0;
	cpu_set_t set;

	if (sched_getaffinity(0, sizeof(set), &set))
		return 0;
	for (unsigned int cpu = 0; cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET(cpu, &set))
			last = cpu;
	return last;
}

#define LOOPS	   20
#define LOOP_TURNS 50000
/* Quiet means differ by a twentieth, and a neighbour makes them half as much again. */
#define LOUD 1.25

/* More that does not depend on each other than half a core could do at once. */
static double loop_ns(void)
{
	uint64_t a = 1, b = 2, c = 3, d = 4, e = 5, f = 6;
	double begin = bench_thread_ns();

	for (uint64_t i = 0; i < LOOP_TURNS; i++) {
		a += i ^ b;
		b += i;
		c ^= a >> 3;
		d += i | 1;
		e ^= d + i;
		f += e;
		__asm__ volatile("" : "+r"(a), "+r"(b), "+r"(c), "+r"(d), "+r"(e), "+r"(f));
	}
	return bench_thread_ns() - begin;
}

bool bench_is_quiet(void)
{
	static double best;
	double sum = 0;

	for (int i = 0; i < LOOPS; i++) {
		double ns = loop_ns();

		if (!best || ns < best)
			best = ns;
		sum += ns;
	}
	return sum <= LOOPS * LOUD * best;
}

void bench_add(struct bench_samples *samples, double value)
{
	if (samples->n < BENCH_SAMPLES_MAX)
		samples->value[samples->n++] = value;
}

static int compare(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

struct bench_figure bench_figure(const struct bench_samples *samples)
{
	struct bench_samples s = *samples;
	unsigned int half = s.n / 2;

	if (!s.n)
		return (struct bench_figure){ 0 };
	qsort(s.value, s.n, sizeof(s.value[0]), compare);
	return (struct bench_figure){
		.median = s.n % 2 ? s.value[half] : (s.value[half - 1] + s.value[half]) / 2,
		.low = s.value[0],
		.high = s.value[s.n - 1],
	};
}

struct bench_samples bench_difference(const struct bench_samples *a, const struct bench_samples *b)
{
	struct bench_samples out = { 0 };

	for (unsigned int i = 0; i < a->n && i < b->n; i++)
		bench_add(&out, a->value[i] - b->value[i]);
	return out;
}

struct bench_samples bench_ratio(const struct bench_samples *a, const struct bench_samples *b)
{
	struct bench_samples out = { 0 };

	for (unsigned int i = 0; i < a->n && i < b->n; i++)
		bench_add(&out, a->value[i] / b->value[i]);
	return out;
}

struct bench_samples bench_scale(const struct bench_samples *a, double factor)
{
	struct bench_samples out = { 0 };

	for (unsigned int i = 0; i < a->n; i++)
		bench_add(&out, a->value[i] * factor);
	return out;
}

void bench_progress(const char *format, ...)
{
	va_list args;

	fprintf(stderr, isatty(STDERR_FILENO) ? "\r\033[Kbench: " : "bench: ");
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fprintf(stderr, isatty(STDERR_FILENO) ? "" : "\n");
	fflush(stderr);
}

void bench_complain(const char *format, ...)
{
	va_list args;

	fprintf(stderr, isatty(STDERR_FILENO) ? "\r\033[Kbench: " : "bench: ");
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
}
