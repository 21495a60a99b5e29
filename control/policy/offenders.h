/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Who was blocked before: how often, and when the last block ended. Repeat offenders are blocked
 * for longer (control/policy/blocks.h). Pure: no I/O, no clock.
 *
 * Bounded: when it is full, those whose block ended longest ago are forgotten, a quarter at once.
 */
#ifndef LEVEE_OFFENDERS_H
#define LEVEE_OFFENDERS_H

#include <stddef.h>
#include <stdint.h>

#include "dataplane/prefix.h"

#define LEVEE_OFFENDERS_MAX 262144 /* 48 bytes each, and 56 to 112 of an index */

struct levee_offender {
	struct levee_prefix prefix;
	uint32_t blocks;      /* so far, each within the memory of the one before */
	int64_t end_boot_ns;  /* of the last one; may lie before this boot, then it is negative */
	uint64_t end_unix_ns; /* the same instant, to survive a reboot */
};

struct levee_offenders;

/** \param max  offenders kept, 4 at least. \return levee_offenders_free() frees it; NULL */
struct levee_offenders *levee_offenders_new(size_t max);
void levee_offenders_free(struct levee_offenders **offenders);

/**
 * Blocks of this prefix so far; 0 if the last one ended more than memory_ns before now.
 * \param now_boot_ns  CLOCK_BOOTTIME
 */
uint32_t levee_offenders_recall(const struct levee_offenders *offenders,
				const struct levee_prefix *prefix, uint64_t now_boot_ns,
				uint64_t memory_ns);

/** Note, in place of what was known of the same prefix. \return 0; -ENOMEM, unchanged */
int levee_offenders_note(struct levee_offenders *offenders, const struct levee_offender *offender);

/** Forget one: its block was a mistake. */
void levee_offenders_forget(struct levee_offenders *offenders, const struct levee_prefix *prefix);

/** Forget all whose last block ended more than memory_ns before now. */
void levee_offenders_prune(struct levee_offenders *offenders, uint64_t now_boot_ns,
			   uint64_t memory_ns);

/** Call fn for every one, in no order. fn must not change the table. */
void levee_offenders_walk(const struct levee_offenders *offenders,
			  void (*fn)(void *ctx, const struct levee_offender *offender), void *ctx);

size_t levee_offenders_count(const struct levee_offenders *offenders);

#endif
