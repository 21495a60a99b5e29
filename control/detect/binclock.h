/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The bin clock: which bin is running, and when it ends. Pure: both clocks come in as arguments.
 *
 * Bins are named by wall time and aligned to the epoch, bin = floor(t / len) * len, but they run
 * on boot time, so that a step of the wall clock loses none and makes none too long:
 *
 * - no bin lasts longer than its length of boot time;
 * - bins follow each other by name, each at least one length after the one before;
 * - after a step forwards the running bin ends when wall time says so, which is at once if that
 *   is past its end, and the clock takes up the new wall time;
 * - after a step backwards bins keep counting on from the name they had, until wall time has
 *   caught up or the process restarts: `offset_s` tells by how much they run ahead.
 */
#ifndef LEVEE_BINCLOCK_H
#define LEVEE_BINCLOCK_H

#include <stdbool.h>
#include <stdint.h>

struct levee_binclock {
	uint64_t len_ns;      /* length of a bin */
	uint64_t start_ns;    /* name of the running bin: its start [unix ns] */
	uint64_t opened_ns;   /* boot time at which it was opened */
	uint64_t end_boot_ns; /* boot time at which it ends */
	int64_t ahead_ns;     /* names run ahead of wall time by this; 0 unless it stepped back */
	int64_t stepped_ns;   /* the last step that was seen, signed; 0: none */
};

/** Begin in the bin that holds unix_ns. \param len_ns  1 s to 86400 s */
void levee_binclock_start(struct levee_binclock *clock, uint64_t len_ns, uint64_t boot_ns,
			  uint64_t unix_ns);

/**
 * Look at both clocks (at least once a second of waiting, so that steps are seen early).
 * \return true if the running bin has ended: close it, then call levee_binclock_next()
 */
bool levee_binclock_due(struct levee_binclock *clock, uint64_t boot_ns, uint64_t unix_ns);

/**
 * Open the next bin.
 * \return how many bins the one that ended stands for: 1, or more if nobody looked for longer
 */
unsigned int levee_binclock_next(struct levee_binclock *clock, uint64_t boot_ns, uint64_t unix_ns);

#endif
