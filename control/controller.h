/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The controller: carries counts from the data path to the detector, and verdicts back.
 *
 * It decides nothing itself: what is abnormal is the detector's word (control/detect/), how long
 * a block lasts the block table's (control/policy/). `levee run` drives it by the clock,
 * `levee replay` by the times of a file; both go through the same functions:
 *
 *	levee_controller_drain_part(c, bin)    before the bin is over: what was counted joins it
 *	levee_controller_drain(c, bin)         the data path's open epoch joins the running bin
 *	levee_controller_close(c, bin, parts)  the running bin becomes a record in the window
 *	levee_controller_evaluate(c, &now)     Z-scores, verdicts, blocks, at once in the data path
 *	levee_controller_save(c)               one transaction; then the drained epoch is released
 */
#ifndef LEVEE_CONTROLLER_H
#define LEVEE_CONTROLLER_H

#include <stdbool.h>
#include <stdint.h>

#include "control/allowlist.h"
#include "control/detect/census.h"
#include "control/detect/detector.h"
#include "control/detect/trip.h"
#include "control/policy/blocks.h"
#include "control/policy/good.h"
#include "control/store/running.h"
#include "control/store/store.h"
#include "dataplane/dataplane.h"
#include "dataplane/prefixmap.h"

struct levee_controller_options {
	unsigned int bin_s;
	unsigned int window_s;
	struct levee_detect_params detect;
	size_t max_sources;
	bool release_unflagged; /* this and the next three: see struct levee_blocks_params */
	unsigned int repeat_memory_s;
	double repeat_factor;
	uint64_t max_block_s;
	bool flows;	      /* the data path looks at TCP headers */
	uint64_t limit_pps;   /* of blocks that only limit [packets/s]; 0: they drop */
	uint64_t limit_burst; /* [packets] */
	bool keep_good; /* who is near to blocks and not blocked: for [nacl] strategy = cover */
	struct levee_trip_params trip; /* its `detect` is taken from above */
	bool count_distinct;	       /* keep a census: sources in the window, exactly */
	const char *detector;	       /* name; NULL: zscore */
	const char *boot_id;	       /* of this boot; "" where boot time is the file's */
	const char *maps_id;	       /* of the data path's tables; "" if they do not outlive it */
};

/** What an evaluation found, for whoever prints or logs it. Valid during the call. */
struct levee_report {
	const struct levee_evaluation *evaluation;
	const bool *is_new; /* for each finding: was not flagged by the evaluation before */
	size_t sources;	    /* distinct in the window with a census; else those of the bin */
	size_t blocks;	    /* in force after the evaluation */
	size_t allowed;	    /* findings that the allow list covers: left alone */
	size_t exempt;	    /* findings that an operator exempted: left alone */
	const struct levee_account *account; /* of the bin that was closed last */
	size_t bin_sources;		     /* named sources of that bin */
	uint64_t bin_folded;		     /* values of that bin that lost their names */
};

struct levee_controller {
	struct levee_dataplane *dp; /* not owned */
	struct levee_store *store;  /* not owned; NULL: nothing is kept */
	/* Not owned; with a store only. NULL: what is drained before a bin's close is lost if the
	 * process is killed before it. Set before levee_controller_load_parts(). */
	struct levee_running *parts;
	struct levee_controller_options options;

	/** Told of the bin that closes before it is forgotten, of each evaluation, and of each
	 * change of a block. May be NULL. */
	void (*on_close)(void *ctx, const struct levee_bin *bin, int64_t start_s,
			 unsigned int parts);
	void (*on_report)(void *ctx, const struct levee_report *report);
	void (*on_block)(void *ctx, enum levee_block_change change, const struct levee_block *block,
			 const struct levee_policy_info *info);
	/** Has an operator exempted the source from detection? Asked of each finding. May be NULL. */
	bool (*is_exempt)(void *ctx, const struct levee_prefix *source);
	/** Told of the packets of a source in the running bin, whenever the data path asks whether
	 * they are too many. May be NULL. */
	void (*on_share)(void *ctx, const struct levee_prefix *source, uint64_t packets);
	/** After a failure of the store: put again what others keep in it, too; within the transaction
	 * that makes up for it. May be NULL. */
	void (*put_again)(void *ctx);
	/** A drill's finding, which joins those of the evaluation. \return false: none. May be NULL. */
	bool (*drill)(void *ctx, const struct levee_evaluation *evaluation,
		      struct levee_finding *finding);
	/**
	 * Called every thousand sources while a bin with many is worked on: blocks may be put and
	 * lifted, and levee_controller_save() is put off. May be NULL.
	 */
	void (*breathe)(void *ctx);
	void *ctx;

	/*
	 * Set by who decides on the sum of many instances. While `deferred` is true findings of this
	 * instance's own window are left alone, and the fast path goes by their threshold (0: it is
	 * off) for the packets of this instance, and asks often enough for their sum.
	 */
	bool deferred;
	uint64_t deferred_threshold; /* [packets/bin], of all instances together */
	unsigned int deferred_nodes; /* that share it, 1 at least */

	/* The fast path's threshold for the running bin: made at restore and each evaluation. */
	struct levee_trip trip;

	/* As of the latest evaluation: those that a rule near a block could touch. */
	struct levee_cover_source *near;
	size_t n_near;
	bool near_known; /* nobody is missing */

	/* internal */
	struct levee_good *good;
	const struct levee_detector *detector;
	struct levee_window *window;
	struct levee_bin *bin;
	struct levee_blocks *blocks;
	struct levee_census *census;
	struct levee_prefixmap flagged; /* by the latest evaluation */
	int64_t census_bin_s;
	struct levee_account running; /* of the running bin, as far as drained */
	struct levee_account closed;  /* of the bin closed last */
	struct levee_account unsaved; /* of closed bins, not yet in the store */
	size_t closed_sources;
	uint64_t closed_folded;
	uint64_t last_seq;   /* epoch that was drained last */
	uint64_t closed_seq; /* the last of a closed bin */
	uint64_t kept_seq;   /* the last in parts that a process before left */
	uint64_t bin_id;     /* number of the running bin, see control/store/running.h */
	uint64_t n_parts;    /* of the running bin, kept */
	uint64_t whole_bytes;
	bool part_open;	  /* sources go to the part as well */
	bool parts_short; /* something of the running bin is in no part */
	bool in_transaction;
	bool busy;	       /* with a bin: nothing is committed, and no epoch released */
	bool save_later;       /* somebody wanted to, meanwhile */
	unsigned int taken;    /* sources, since the last breath */
	uint64_t hits_kept_ns; /* boot time at which drop counters were stored */
	bool save_all; /* a transaction failed, or bins were renamed: offer everything again */
	bool renamed;  /* bins in the store have old names */
	uint64_t lost; /* counts of the bin that memory was short for, or too large; said */
	uint64_t lost_before; /* in closed bins */
	size_t not_blocked;   /* blocks that found no room at this evaluation; the first are said */
};

/** \return 0; -ENOMEM; -EINVAL (no such detector). levee_controller_clear() frees it. */
int levee_controller_init(struct levee_controller *c, struct levee_dataplane *dp,
			  struct levee_store *store,
			  const struct levee_controller_options *options);
void levee_controller_clear(struct levee_controller *c);

/** Bring back window and blocks from the store, and adopt blocks that only the kernel knows. */
int levee_controller_restore(struct levee_controller *c, const struct levee_time *now,
			     int64_t bin_start_s);

/**
 * Drain the data path into the running bin and open the next epoch for the bin at next_bin_s.
 * The drained epoch is kept until levee_controller_save().
 */
int levee_controller_drain(struct levee_controller *c, int64_t next_bin_s);

/**
 * The same before the bin is over. What was drained is kept as a part of it, and may be released
 * at once.
 */
int levee_controller_drain_part(struct levee_controller *c, int64_t bin_start_s);

/**
 * Take up an epoch that a process before this one left drained, as a part of the running bin.
 * \return 0; -ENOENT: none
 */
int levee_controller_redrain(struct levee_controller *c, struct levee_drained *drained);

/**
 * Take up the parts that a process before this one kept; after levee_controller_restore(). Those of
 * bins before the running one are closed.
 * \return 1 and the start of the bin that the last are of; 0 if there are none; -errno, said
 */
int levee_controller_load_parts(struct levee_controller *c, int64_t *bin_start_s);

/** Has the store, or a part, what was counted up to this epoch? Then it is only to be cleared. */
bool levee_controller_keeps(const struct levee_controller *c, uint64_t seq);

/** What was drained is kept elsewhere: clear it. */
void levee_controller_release(struct levee_controller *c);

/**
 * Close the running bin under the name start_s. With parts > 1 it stands for that many bins, the
 * first of which starts at start_s. One of them may be the bin that is running now: what it holds
 * then is stored at once, and joined by the rest at its own close.
 */
int levee_controller_close(struct levee_controller *c, int64_t start_s, unsigned int parts);

/**
 * The wall clock stepped forwards, over by_s seconds of names that no bin will have: rename the
 * bins of the window, so that none of them grows older by it. \param by_s  a multiple of the bin
 */
void levee_controller_shift(struct levee_controller *c, int64_t by_s);

/**
 * Other options from now on: limits, detector, blocks' lengths, the fast path's threshold of the
 * running bin. Bins that were closed before keep the candidates of their own limits, and blocks
 * their ends.
 * \param options  bin_s, window_s, release_unflagged, count_distinct, boot_id and maps_id have to
 *                 be the same
 * \return 0; otherwise nothing has changed: -EINVAL (no such detector), -ENOMEM
 */
int levee_controller_change(struct levee_controller *c,
			    const struct levee_controller_options *options, int64_t bin_start_s);

/** Who decides, or their threshold, has changed (deferred, ...): the fast path goes by it now. */
void levee_controller_rearm(struct levee_controller *c, int64_t bin_start_s);

/** Judge the window at `now` (unix_ns in bin time), and carry the verdicts out. */
int levee_controller_evaluate(struct levee_controller *c, const struct levee_time *now);

/**
 * The fast path: a data path says that a source passed a share of the threshold. If its packets in
 * the running bin are too many over all CPUs, it is blocked at once.
 * \param packets  of the source in the open epoch, summed over CPUs; what was drained of the bin
 *                 before is added here
 * \param now      unix_ns in bin time
 * \return 1 if it is blocked by this; 0 if not; -errno
 */
int levee_controller_trip(struct levee_controller *c, const struct levee_prefix *source,
			  uint64_t packets, const struct levee_time *now);

/** The same of a drill, with packets that nobody sent; the block gets the marks. */
int levee_controller_trip_marked(struct levee_controller *c, const struct levee_prefix *source,
				 uint64_t packets, uint32_t marks, const struct levee_time *now);

/**
 * After a drain in mid-bin, with which every CPU's counts begin anew: the same for every source
 * of the running bin.
 */
void levee_controller_trip_all(struct levee_controller *c, const struct levee_time *now);

/** Put a block by hand, or by a service: at once in the data path. \return 0; -ENOSPC; -ENOMEM */
int levee_controller_block(struct levee_controller *c, const struct levee_block *block,
			   const struct levee_time *now);

/** Lift a block by hand. \return 0; -ENOENT */
int levee_controller_unblock(struct levee_controller *c, const struct levee_prefix *prefix,
			     const struct levee_time *now);

/** Lift what has expired. */
void levee_controller_expire(struct levee_controller *c, const struct levee_time *now);

/** What blocks have dropped goes to the store with the next save. Done once a minute anyway. */
void levee_controller_keep_hits(struct levee_controller *c, uint64_t now_boot_ns);

/** Something that others keep in the store could not be: see put_again. */
void levee_controller_not_kept(struct levee_controller *c);

/** For who walks over the sources in on_close(), once a source: see `breathe`. */
void levee_controller_breathe(struct levee_controller *c);

/** Store what has changed, then release the drained epoch. */
void levee_controller_save(struct levee_controller *c);

#endif
