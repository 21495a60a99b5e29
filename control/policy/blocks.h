/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The block table: the one truth of what is blocked, why, and until when. Pure: no I/O, no clock.
 *
 * Evaluations and operators change it; every change is told to the caller, who carries it to the
 * data path and the store. All ends are in boot time, so steps of the wall clock do not touch them.
 *
 * The life of a detected block:
 *
 *	begins   with a finding
 *	ends     `length` after the end of its source's last anomalous bin
 *	goes on  with each further anomalous bin. While a source is blocked its packets are not
 *		 counted but dropped, so a bin is anomalous, too, if what was dropped and counted
 *		 in it is above the threshold: levee_blocks_feed()
 *	hardens  a limited source is dropped from the bin on in which it sent more than the
 *		 threshold for dropping, what the limit kept back among it
 *	length   window * repeat_factor^n, at most max_block but never less than a window. n is the
 *		 number of blocks before, each of which began within repeat_memory of the end of the
 *		 one before it
 *
 * An operator's block ends when the operator said, and nothing here changes that.
 */
#ifndef LEVEE_BLOCKS_H
#define LEVEE_BLOCKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "control/detect/detector.h"
#include "control/policy/offenders.h"
#include "dataplane/dataplane.h"

enum levee_block_reason {
	LEVEE_BLOCK_ZSCORE = 1, /* detector zscore flagged the source */
	LEVEE_BLOCK_MANUAL = 2, /* an operator said so */
	LEVEE_BLOCK_ROBUST = 3, /* detector robust */
	LEVEE_BLOCK_TRIP = 4,	/* the fast path, within the bin */
};

/** What the data path does with a blocked source's packets. Stored: numbers stay. */
enum levee_block_kind {
	LEVEE_KIND_DROP = 0,  /* none passes */
	LEVEE_KIND_LIMIT = 1, /* as many as [block] limit_rate pass */
};

/* Words that an operator or a service gave, with their NUL. */
#define LEVEE_NOTE_TEXT 96

/* levee_block.marks */
#define LEVEE_BLOCK_DRILL 0x1 /* of a drill: no packet was ever sent */
#define LEVEE_BLOCK_PUSH  0x2 /* of a drill: network ACLs may have it, too */
#define LEVEE_BLOCK_LOCAL 0x4 /* by hand, on this instance alone: not its fleet's */

struct levee_block {
	struct levee_prefix prefix;
	enum levee_block_reason reason;
	enum levee_block_kind kind;
	uint32_t marks; /* LEVEE_BLOCK_DRILL, LEVEE_BLOCK_PUSH */
	uint64_t created_boot_ns;
	uint64_t created_unix_ns;
	uint64_t expires_boot_ns; /* LEVEE_NEVER: only by hand */
	uint64_t expires_unix_ns; /* the same instant, for people, and to survive a reboot */
	int64_t last_bin_s;	  /* last anomalous bin; 0 for manual blocks */
	double max_zscore;
	uint64_t max_packets;
	char note[LEVEE_NOTE_TEXT]; /* why, for manual blocks; may be empty */
	enum levee_measure measure; /* what was abnormal about it */
	uint64_t max_value;	    /* its largest bin, in the unit of the measure */
	/* Never seen with an established flow, only with UDP or TCP SYNs or the like: anybody may
	 * have put this address into packets. False where nobody looks (levee_blocks_params). */
	bool spoofable;
	uint32_t repeats; /* blocks of this source before, as far as they are remembered */
	bool flagged;	  /* by the latest evaluation */
	/* internal */
	bool fed;	      /* bin_packets hold for bin fed_bin_s, and wait to be judged */
	int64_t fed_bin_s;    /* start of the bin closed last */
	uint64_t bin_packets; /* of the source in it, dropped and counted */
	uint64_t hits;	      /* reading of the data path's counter at its end */
};

enum levee_block_change {
	LEVEE_BLOCK_ADDED,
	LEVEE_BLOCK_UPDATED, /* its end moved, or what it is known for */
	LEVEE_BLOCK_EXPIRED,
	LEVEE_BLOCK_RELEASED, /* no longer flagged, or lifted by hand */
	LEVEE_BLOCK_HARDENED, /* it only limited, and drops from now on */
};

/** Is there a block after the change? */
static inline bool levee_block_stands(enum levee_block_change change)
{
	return change != LEVEE_BLOCK_EXPIRED && change != LEVEE_BLOCK_RELEASED;
}

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
	/* Somebody looks at TCP headers, so that a source that never answered is spoofable. */
	bool flows;
	unsigned int repeat_memory_s; /* 0: every block is a first one */
	double repeat_factor;	      /* 1 to 1000; below 1 is taken as 1 */
	uint64_t max_block_s;	      /* longest length; less than window_s is taken as window_s */
};

struct levee_blocks;

/** "zscore", "robust", "fast", "manual": what made the block, in one word for every interface. */
const char *levee_block_reason_name(enum levee_block_reason reason);

/** Its largest bin, in the unit of its measure; one that a fleet told of has packets alone. */
static inline uint64_t levee_block_value(const struct levee_block *block)
{
	return block->measure == LEVEE_PACKETS ? block->max_packets : block->max_value;
}

/** "drop" or "limit" */
const char *levee_block_kind_name(enum levee_block_kind kind);

/** \return the caller frees it with levee_blocks_free(); NULL if memory is short */
struct levee_blocks *levee_blocks_new(const struct levee_blocks_params *params);
void levee_blocks_free(struct levee_blocks **blocks);

/**
 * Other parameters from now on. Ends that are set stay until a further anomalous bin moves them.
 * \param params  bin_s and window_s have to be the same
 */
void levee_blocks_set_params(struct levee_blocks *blocks, const struct levee_blocks_params *params);

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

/**
 * Carry out one finding between two evaluations: the fast path's. Nothing is released or expired.
 * \return 0; -ENOMEM
 */
int levee_blocks_add(struct levee_blocks *blocks, const struct levee_finding *finding,
		     const struct levee_time *now, levee_block_fn *fn, void *ctx);

/**
 * While others decide (a fleet), judge() neither extends nor releases what is there, and leaves
 * `flagged` as it is; findings that it is given it carries out all the same.
 */
void levee_blocks_defer(struct levee_blocks *blocks, bool deferred);

/** What a blocked source sent: `counted` in the bin, and `hits` since its rule was made. */
struct levee_block_traffic {
	uint64_t counted; /* packets */
	uint64_t hits;	  /* packets: dropped, limited, or in audit mode let pass */
};

/**
 * A bin was closed: note what each detected block's source sent in it. The next judge() extends
 * the blocks of those that went on, and hardens limits of those that flood. The counter is compared
 * with its reading at the bin before.
 * \param start_s, parts  the bin; it stands for so many bins from start_s on, 1 as a rule
 * \param read            fills *traffic; false: not known
 */
void levee_blocks_feed(struct levee_blocks *blocks, int64_t start_s, unsigned int parts,
		       bool (*read)(void *ctx, const struct levee_block *block,
				    struct levee_block_traffic *traffic),
		       void *ctx);

/** Remove what has expired at now. */
void levee_blocks_expire(struct levee_blocks *blocks, const struct levee_time *now,
			 levee_block_fn *fn, void *ctx);

/** Boot time of the next expiry; LEVEE_NEVER if there is none. */
uint64_t levee_blocks_next_expiry(const struct levee_blocks *blocks);

/**
 * Put a block as it is (restored from the store, or by hand), replacing one of the same prefix.
 * `hits` is the counter's reading from which on its packets are new. A detected one is remembered
 * as an offence.
 */
int levee_blocks_put(struct levee_blocks *blocks, const struct levee_block *block,
		     levee_block_fn *fn, void *ctx);

/** Lift a block, and forget the offence: it was a mistake. \return 0; -ENOENT */
int levee_blocks_remove(struct levee_blocks *blocks, const struct levee_prefix *prefix,
			levee_block_fn *fn, void *ctx);

/** \return the block, valid until the next change; NULL */
const struct levee_block *levee_blocks_get(const struct levee_blocks *blocks,
					   const struct levee_prefix *prefix);

size_t levee_blocks_count(const struct levee_blocks *blocks);

/** A block as an offence, for the store. */
struct levee_offender levee_block_offence(const struct levee_block *block);

/** Those who were blocked before: filled from the store, and by every detected block. */
struct levee_offenders *levee_blocks_offenders(struct levee_blocks *blocks);

/** Call fn for every block, ordered by prefix. fn must not change the table. */
void levee_blocks_walk(const struct levee_blocks *blocks,
		       void (*fn)(void *ctx, const struct levee_block *block), void *ctx);

#endif
