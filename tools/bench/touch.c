/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/bench/touch.h"

#include <errno.h>
#include <stddef.h>
#include <sys/mman.h>

#define LINE	  64
#define LINE_WORD (LINE / sizeof(uint64_t))
#define TOUCHES	  400000

static const size_t size_kb[BENCH_TOUCH_SIZES] = { 256, 1024, 4096, 16384, 65536 };

#define AREA (size_kb[BENCH_TOUCH_SIZES - 1] * 1024)

static uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

/* One cycle through n lines in random order (Sattolo, Inf. Process. Lett. 22(6), 1986). */
static void make_cycle(uint64_t *line, size_t n)
{
	uint64_t state = 88172645463325252ULL;

	for (size_t i = 0; i < n; i++)
		line[i * LINE_WORD] = i;
	for (size_t i = n - 1; i > 0; i--) {
		size_t k = next_random(&state) % i;
		uint64_t other = line[k * LINE_WORD];

		line[k * LINE_WORD] = line[i * LINE_WORD];
		line[i * LINE_WORD] = other;
	}
}

int bench_touch_init(struct bench_touch *touch)
{
	void *area = mmap(NULL, AREA, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	*touch = (struct bench_touch){ 0 };
	if (area == MAP_FAILED)
		return -ENOMEM;
	madvise(area, AREA, MADV_NOHUGEPAGE); /* a kernel without huge pages refuses: as well */
	touch->line = area;
	return 0;
}

void bench_touch_clear(struct bench_touch *touch)
{
	if (touch->line)
		munmap(touch->line, AREA);
	touch->line = NULL;
}

static uint64_t walk(const uint64_t *line, uint64_t at, unsigned int touches)
{
	for (unsigned int i = 0; i < touches; i++)
		at = line[at * LINE_WORD];
	return at;
}

void bench_touch_run(struct bench_touch *touch)
{
	for (int i = 0; i < BENCH_TOUCH_SIZES; i++) {
		size_t n = size_kb[i] * 1024 / LINE;
		volatile uint64_t at;
		double begin;

		/* Making the cycle touches every line, which is the warm-up. */
		make_cycle(touch->line, n);
		at = walk(touch->line, 0, TOUCHES / 4);
		begin = bench_thread_ns();
		at = walk(touch->line, at, TOUCHES);
		bench_add(&touch->ns[i], (bench_thread_ns() - begin) / TOUCHES);
	}
}

void bench_touch_report(const struct bench_touch *touch, struct bench_report *report)
{
	char key[64];

	bench_section(report, "memory", "Memory: one dependent load of a random cache line",
		      "pages of 4 KB, taken between the other measurements of this run: what "
		      "counting in tables of these sizes is made of");
	for (int i = 0; i < BENCH_TOUCH_SIZES; i++) {
		snprintf(key, sizeof(key), "memory.%zu_kb", size_kb[i]);
		if (size_kb[i] < 1024)
			bench_report_figure(report, "ns", &touch->ns[i], key, "%zu KB", size_kb[i]);
		else
			bench_report_figure(report, "ns", &touch->ns[i], key, "%zu MB",
					    size_kb[i] / 1024);
	}
}
