/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The block table: the one truth of what is blocked, why, and until when. Pure: no I/O, no clock.
 *
 * Evaluations and operators change it; every change is told to the caller, who carries it to the
 * data path and the store. A detected block lasts one window from the end of its source's last
 * anomalous bin, in boot time, so steps of the wall clock do not touch it.
 */
#ifndef LEVEE_BLOCKS_H
#define LEVEE_BLOCKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "control/detect/detector.h"
#include "dataplane/dataplane.h"

enum levee_block_reason {
	LEVEE_BLOCK_ZSCORE = 1, /* a detector flagged the source */
	LEVEE_BLOCK_MANUAL = 2, /* an operator said so */
};

/* Words that an operator or a service gave, with their NUL. */
#define LEVEE_NOTE_TEXT 96

/* levee_block.marks */
#define LEVEE_BLOCK_DRILL 0x1 /* of a drill: no packet was ever sent */
#define LEVEE_BLOCK_PUSH  0x2 /* of a drill: network ACLs may have it, too */

struct levee_block {
	struct levee_prefix prefix;
	enum levee_block_reason reason;
	uint32_t marks; /* LEVEE_BLOCK_DRILL, LEVEE_BLOCK_PUSH */
	uint64_t created_boot_ns;
	uint64_t created_unix_ns;
	uint64_t expires_boot_ns; /* LEVEE_NEVER: only by hand */
	uint64_t expires_unix_ns; /* the same instant, for people, and to survive a reboot */
	int64_t last_bin_s;	  /* last anomalous bin; 0 for manual blocks */
	double max_zscore;
	uint64_t max_packets;
	bool flagged;		    /* by the latest evaluation */
	char note[LEVEE_NOTE_TEXT]; /* why, for manual blocks; may be empty */
};

enum levee_block_change {
	LEVEE_BLOCK_ADDED,
	LEVEE_BLOCK_UPDATED, /* its end moved, or what it is known for */
	LEVEE_BLOCK_EXPIRED,
	LEVEE_BLOCK_RELEASED, /* no longer flagged, or lifted by hand */
};

/**
 * Told of each change, after it; `block` is valid during the call only. Must not change the table.
 * NULL, where it is asked for: nobody wants to know.
 */
typedef void levee_block_fn(void *ctx, enum levee_block_change change,
			    const struct levee_block *block);

struct levee_blocks_params {
	unsigned int bin_s;
	unsigned int window_s;
	/* Lift a block as soon as an evaluation does not flag its source any more (parity with
	 * the solution that is taken over), instead of keeping it until it expires. */
	bool release_unflagged;
};

struct levee_blocks;

/** \return the caller frees it with levee_blocks_free(); NULL if memory is short */
struct levee_blocks *levee_blocks_new(const struct levee_blocks_params *params);
void levee_blocks_free(struct levee_blocks **blocks);

/**
 * Carry out an evaluation: add and update blocks for its findings, and release or expire others.
 * The end of a block moves only to a later one, and only when its last anomalous bin is another;
 * a finding whose block would already be over adds none. Of manual blocks only `flagged` changes,
 * and they expire.
 * \param now  the instant of the evaluation; now->unix_ns is in bin time (levee_binclock)
 * \return 0; -ENOMEM, with every finding before the failing one carried out
 */
int levee_blocks_judge(struct levee_blocks *blocks, const struct levee_evaluation *evaluation,
		       const struct levee_time *now, levee_block_fn *fn, void *ctx);

/** Remove what has expired at now. */
void levee_blocks_expire(struct levee_blocks *blocks, const struct levee_time *now,
			 levee_block_fn *fn, void *ctx);

/** Boot time of the next expiry; LEVEE_NEVER if there is none. */
uint64_t levee_blocks_next_expiry(const struct levee_blocks *blocks);

/** Put a block as it is (restored from the store, or by hand), replacing one of the same prefix. */
int levee_blocks_put(struct levee_blocks *blocks, const struct levee_block *block,
		     levee_block_fn *fn, void *ctx);

/** Lift a block. \return 0; -ENOENT */
int levee_blocks_remove(struct levee_blocks *blocks, const struct levee_prefix *prefix,
			levee_block_fn *fn, void *ctx);

/** \return the block, valid until the next change; NULL */
const struct levee_block *levee_blocks_get(const struct levee_blocks *blocks,
					   const struct levee_prefix *prefix);

size_t levee_blocks_count(const struct levee_blocks *blocks);

/** Call fn for every block, ordered by prefix. fn must not change the table. */
void levee_blocks_walk(const struct levee_blocks *blocks,
		       void (*fn)(void *ctx, const struct levee_block *block), void *ctx);

#endif
