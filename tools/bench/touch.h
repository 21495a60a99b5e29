/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What memory costs here, now: one load of a random cache line whose address depends on the load
 * before, in pages of 4 KB as the maps of a BPF program have them.
 */
#ifndef LEVEE_BENCH_TOUCH_H
#define LEVEE_BENCH_TOUCH_H

#include <stdint.h>

#include "tools/bench/measure.h"
#include "tools/bench/report.h"

#define BENCH_TOUCH_SIZES 5

struct bench_touch {
	uint64_t *line; /* one area; each size is a cycle through its beginning */
	struct bench_samples ns[BENCH_TOUCH_SIZES];
};

/** \return 0; -ENOMEM */
int bench_touch_init(struct bench_touch *touch);
void bench_touch_clear(struct bench_touch *touch);

/** Add one sample of each size. */
void bench_touch_run(struct bench_touch *touch);

void bench_touch_report(const struct bench_touch *touch, struct bench_report *report);

#endif
