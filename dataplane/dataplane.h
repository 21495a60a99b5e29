/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * User space's side of a data path: where counts come from, and where blocks go.
 *
 * Back ends (xdp, dpdk, offline) are tables of functions behind one handle; the controller
 * holds the handle and never asks which one it has. One bin, end to end:
 *
 *	levee_dataplane_wait(dp, bin_end, &event)     packets are counted and dropped meanwhile
 *	levee_dataplane_drain(dp, sink, &account)     switch the epoch, fence, hand out the old one
 *	... statistics, verdicts, the transaction ...
 *	levee_dataplane_release(dp)                   what was drained is stored: clear it
 *	levee_policy_block(levee_dataplane_policy(dp), ...)
 *
 * Between drain and release the drained epoch stays as it is, so that a process killed there finds
 * it again. No function here is thread-safe; the data path itself runs on in the kernel, or on its
 * own lcores, at any time.
 */
#ifndef LEVEE_DATAPLANE_H
#define LEVEE_DATAPLANE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include <levee/shared.h>

#include "dataplane/policy.h"
#include "dataplane/prefix.h"

#define LEVEE_NS_PER_S 1000000000ULL

/** One instant on both clocks. A back end that reads a file gives the file's time for both. */
struct levee_time {
	uint64_t boot_ns; /* CLOCK_BOOTTIME: what blocks are timed by */
	uint64_t unix_ns; /* CLOCK_REALTIME: what bins are named by */
};

enum levee_dp_event_type {
	LEVEE_DP_DEADLINE, /* the time given to wait() has come */
	LEVEE_DP_PRESSURE, /* tables fill up: drain now, the bin goes on */
	LEVEE_DP_TRIP,	   /* a source has a further share of packets on one CPU: see set_trip() */
	LEVEE_DP_SIGNAL,   /* a descriptor given to levee_dataplane_watch() is readable */
	LEVEE_DP_END,	   /* offline: the input is used up; all before was delivered */
};

struct levee_dp_event {
	enum levee_dp_event_type type;
	int fd;			    /* LEVEE_DP_SIGNAL: which */
	struct levee_prefix source; /* LEVEE_DP_TRIP: whose count to look at */
	/*
	 * Offline, with LEVEE_DP_DEADLINE: time of the next record [unix ns], >= the deadline.
	 * Otherwise 0. Lets the controller step over bins in which the file holds nothing.
	 */
	uint64_t next_unix_ns;
};

/** The account of one drained epoch, summed over CPUs: received = the sum of outcome[]. */
struct levee_account {
	uint64_t received;
	uint64_t received_bytes;
	uint64_t outcome[LEVEE_OUTCOMES];
	uint64_t would_drop;
	uint64_t dropped_bytes;
	uint64_t reasons[LEVEE_UNPARSED_MAX];
	uint64_t port_unknown;
	uint64_t lost_events; /* trips and pressure that the ring buffer had no room for */
	uint64_t evicted;     /* values moved to the eviction logs, and merged again by the drain */
	struct levee_fold fold; /* values that the logs had no room for: no name, full weight */
};

/** Add `more` to `sum`, field by field. */
void levee_account_add(struct levee_account *sum, const struct levee_account *more);

/** What was counted of one source. */
struct levee_counts {
	uint64_t packets;
	uint64_t bytes;
	uint64_t syns; /* TCP segments with SYN and without ACK; 0 where nobody looks at flows */
	bool answered; /* a TCP segment with ACK and without SYN: not a source that is made up */
};

static inline struct levee_counts levee_counts_of(uint64_t packets, uint64_t tally)
{
	return (struct levee_counts){ .packets = packets,
				      .bytes = levee_tally_bytes(tally),
				      .syns = levee_tally_syns(tally),
				      .answered = tally & LEVEE_TALLY_ANSWERED };
}

/** sum += more. */
void levee_counts_add(struct levee_counts *sum, const struct levee_counts *more);

/** Takes the drained sources. A source may come several times (CPUs, log): the parts add up. */
struct levee_sink {
	/** \return 0; a negative errno stops the drain, which then returns it */
	int (*source)(void *ctx, const struct levee_prefix *source,
		      const struct levee_counts *counts);
	void *ctx;
};

/** What a drained epoch was. */
struct levee_drained {
	struct levee_account account;
	uint64_t seq;	    /* number of the epoch; tables that replace others count on */
	uint64_t opened_ns; /* CLOCK_BOOTTIME at which it began */
	uint64_t bin_ns;    /* start of the bin it was opened for [unix ns]; 0 if unknown */
};

/** The tables of a back end that counts for itself (xdp, dpdk). */
struct levee_table_options {
	uint64_t sources;	/* IPv4 slots per CPU (lcore) and epoch; rounded up to 2^n */
	uint64_t sources6;	/* IPv6 slots */
	uint64_t rules;		/* allowed and blocked prefixes */
	uint8_t source6_length; /* 1 to 128 */
	bool flows;		/* look at TCP headers: struct levee_counts has SYNs then */
};

/**
 * Packets that the ports of a back end lost, before they could be counted or after they had
 * passed: none of them is in an account. Since it was started.
 */
struct levee_losses {
	bool known;	    /* the back end has ports of its own (dpdk) */
	uint64_t missed;    /* no room to receive them in: the workers are too slow */
	uint64_t no_buffer; /* no memory to receive them into */
	uint64_t damaged;   /* received with an error */
	uint64_t refused;   /* wire: the other port did not take them, tried again and again */
	/* Wire: sending failed, as the ports say. Some (af_packet) mean packets that are too large
	 * for them; others (af_xdp) tries that found a queue full, and were made again. */
	uint64_t send_errors;
};

struct levee_dataplane;

struct levee_dataplane_ops {
	const char *name;

	/** The clocks of this data path. */
	void (*now)(struct levee_dataplane *dp, struct levee_time *now);

	/**
	 * Let packets be handled until `until` (boot_ns counts, for offline both are equal), or
	 * until something else happens.
	 * \return 0 and *event filled; -errno if the data path is lost (say so and go on: fail open)
	 */
	int (*wait)(struct levee_dataplane *dp, uint64_t until_boot_ns,
		    struct levee_dp_event *event);

	/** Have wait() also return when fd is readable. \return 0; -ENOTSUP (offline); -errno */
	int (*watch)(struct levee_dataplane *dp, int fd);

	/**
	 * Open the next epoch for the bin that starts at bin_ns, and hand out the one before it.
	 * Offline, a record from before bin_ns is out of order from then on.
	 * \return 0; -EBUSY before release(); -errno
	 */
	int (*drain)(struct levee_dataplane *dp, uint64_t bin_ns, const struct levee_sink *sink,
		     struct levee_drained *drained);

	/** Number of the epoch that redrain() hands out next; 0: there is none. */
	uint64_t (*left)(struct levee_dataplane *dp);

	/**
	 * Hand out an epoch that a process before this one had drained and not released, or that
	 * is in tables which others have taken the place of.
	 * \return 0; -ENOENT if there is none
	 */
	int (*redrain)(struct levee_dataplane *dp, const struct levee_sink *sink,
		       struct levee_drained *drained);

	/** Clear the drained epoch. */
	void (*release)(struct levee_dataplane *dp);

	/** The open epoch as it stands, without disturbing it: its account so far, and its bin. */
	void (*peek)(struct levee_dataplane *dp, struct levee_drained *open);

	/**
	 * What the open epoch holds of one source so far, added up over all CPUs. Packets that
	 * are being counted at this instant may be missing.
	 */
	void (*count)(struct levee_dataplane *dp, const struct levee_prefix *source,
		      struct levee_counts *sum);

	/**
	 * Have LEVEE_DP_TRIP raised before the packets of a source that one CPU has received in
	 * the open epoch, and no event has told of, are more than `share`. 0: never.
	 */
	void (*set_trip)(struct levee_dataplane *dp, uint64_t share);

	void (*set_audit)(struct levee_dataplane *dp, bool audit);
	void (*set_scope)(struct levee_dataplane *dp, const struct levee_scope *scope);

	/** One line for people: where it is attached, and how. */
	void (*describe)(struct levee_dataplane *dp, FILE *out);

	/** Free user space's side. A data path in the kernel stays attached and in force. */
	void (*close)(struct levee_dataplane *dp);
};

/** Embedded as first member by each back end. */
struct levee_dataplane {
	const struct levee_dataplane_ops *ops;
	struct levee_policy *policy;
	uint8_t source6_length; /* bits of an IPv6 source */

	/*
	 * Set by the owner, NULL if it has nothing else to do. breathe() is called now and then in
	 * the middle of drain() and release(), await() until fd is readable. Both may call the
	 * policy's functions, and no others of the data path.
	 */
	void (*breathe)(void *ctx);
	void (*await)(void *ctx, int fd);
	void *ctx;
};

static inline void levee_dataplane_now(struct levee_dataplane *dp, struct levee_time *now)
{
	dp->ops->now(dp, now);
}

static inline int levee_dataplane_wait(struct levee_dataplane *dp, uint64_t until_boot_ns,
				       struct levee_dp_event *event)
{
	return dp->ops->wait(dp, until_boot_ns, event);
}

static inline int levee_dataplane_drain(struct levee_dataplane *dp, uint64_t bin_ns,
					const struct levee_sink *sink,
					struct levee_drained *drained)
{
	return dp->ops->drain(dp, bin_ns, sink, drained);
}

static inline void levee_dataplane_release(struct levee_dataplane *dp)
{
	dp->ops->release(dp);
}

/** Where blocks and allowed prefixes go. Owned by the data path. */
static inline struct levee_policy *levee_dataplane_policy(struct levee_dataplane *dp)
{
	return dp->policy;
}

/** Close and forget. Accepts NULL inside. */
void levee_dataplane_close(struct levee_dataplane **dp);

#endif
