/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What was drained of the running bin before its close, kept in a file beside the state file so
 * that a process that is killed leaves it to the next one.
 *
 * The data path holds what it has counted until it is told that it is kept elsewhere. At a bin's
 * close that is the state file's transaction. Under table pressure, and with evaluate_every, the
 * bin is not over yet: what was drained becomes one part in this file, and with the close the
 * parts are done with.
 *
 *	levee_running_begin(f)                    the data path is drained:
 *	  levee_running_source(f, source, counts)     each source that it gives
 *	levee_running_end(f, &part)               from here on the part outlives the process
 *	...
 *	levee_running_clear(f)                    the bin is in the state file
 *
 * No write waits for the disk. What outlives the process is all that is needed: with the machine
 * the data path's own counts are gone, too, and parts of another boot are passed over.
 *
 * A part, in little-endian order. Its head is written last: without it there is no part.
 *
 *	0	8	"LVRUN1\n\0"
 *	8	8	bytes of the part, head and all
 *	16	8	FNV-1a of the rest of the head
 *	24	8	number of the bin
 *	32	8	its start [unix s]
 *	40	8	epoch of the data path
 *	48	8	sources
 *	56	8	words of account and fold
 *	64	40	boot id, NUL-padded
 *	104	24	id of the data path's tables, NUL-padded
 *	128		account and fold, 8 bytes a number
 *			sources: flags (1: IPv6, 2: answered, 4: SYNs follow), IPv4: address (4);
 *			IPv6: length (1), upper half (8), lower half (8, if the length is over 64);
 *			packets, bytes, SYNs, each 7 bits a byte, lowest first
 */
#ifndef LEVEE_STORE_RUNNING_H
#define LEVEE_STORE_RUNNING_H

#include <stdint.h>

#include "control/store/store.h"
#include "dataplane/dataplane.h"

struct levee_running;

struct levee_running_part {
	uint64_t bin_id; /* numbers bins in the order of their closes; never the same again */
	int64_t bin_start_s;
	uint64_t seq; /* last epoch that is in it, of the tables named maps_id */
	char maps_id[24];
	struct levee_account account;
	struct levee_fold fold; /* values without a name */
};

/**
 * \param state_path  of the state file; this one is beside it, named STATE.running
 * \param boot_id     of this boot
 * \return 0; -errno, reported
 */
int levee_running_open(struct levee_running **out, const char *state_path, const char *boot_id,
		       levee_store_report *report, void *ctx);
void levee_running_close(struct levee_running **running);

/**
 * Pass every part of this boot, oldest first: its head to fn, then, unless that returned something
 * above 0, its sources to sink. To be called before anything is written. From a damaged or
 * unfinished part on the file is cut off, and damage is reported.
 * \return 0; what fn or the sink returned below 0; -ENOMEM
 */
int levee_running_load(struct levee_running *running,
		       int (*fn)(void *ctx, const struct levee_running_part *part),
		       const struct levee_sink *sink);

/** A part begins; one that was begun and not ended is forgotten. */
void levee_running_begin(struct levee_running *running);

/**
 * The same, of a part that takes the place of all before it, at once with its end. For a file that
 * has grown too large, or that a write failed in.
 */
void levee_running_begin_whole(struct levee_running *running);

/** Add a source. A failure is kept, and told by levee_running_end(). */
void levee_running_source(struct levee_running *running, const struct levee_prefix *source,
			  const struct levee_counts *counts);

/** \return 0: the part is kept; -errno: the file is as it was before it */
int levee_running_end(struct levee_running *running, const struct levee_running_part *part);

/** Bytes of all parts. */
uint64_t levee_running_size(const struct levee_running *running);

/** Forget all parts. */
void levee_running_clear(struct levee_running *running);

#endif
