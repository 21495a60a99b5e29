/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * What a data path and its controller share besides the counting and policy tables: the control
 * block, the per-CPU account, the scope, and the events. BPF maps hold these structs for longer
 * than one process lives, so their layout is pinned, and LEVEE_LAYOUT names it.
 *
 * The way of a bin, and who writes what:
 *
 *	data path    reads control.seq once a packet; epoch = seq & 1 says where to count
 *	controller   seq++, then waits until no CPU can still hold the old value (the fence),
 *	             then reads row [old epoch] of every table: nobody writes there any more,
 *	             stores what it read, clears the row, and sets drained = seq
 *
 * Killed in between, the next controller finds drained < seq and takes up the row again.
 */
#ifndef LEVEE_SHARED_H
#define LEVEE_SHARED_H

#include <levee/compiler.h>
#include <levee/count.h>
#include <levee/packet.h>
#include <levee/policy.h>

/* Raised whenever a struct of a pinned map, or what is written into it, changes. */
#define LEVEE_LAYOUT 7

#define LEVEE_EPOCHS 2

/* The row of a CPU in an epoch; a table has as many. */
levee_inline __u32 levee_row_nr(__u32 cpu, __u32 epoch)
{
	return cpu * LEVEE_EPOCHS + epoch;
}

levee_inline __u32 levee_row_cpu(__u32 row_nr)
{
	return row_nr / LEVEE_EPOCHS;
}

levee_inline __u32 levee_row_epoch(__u32 row_nr)
{
	return row_nr % LEVEE_EPOCHS;
}

/* What one value of a table's map holds. */
enum levee_per_value {
	LEVEE_ROWS = 0, /* all rows */
	LEVEE_ROW = 1,
	LEVEE_PART = 2, /* 2^part buckets of a row */
};

/* Sizes, fixed when the maps are made. A row is one CPU's share of one epoch. */
struct levee_geometry {
	__u32 layout;	  /* LEVEE_LAYOUT */
	__u32 cpus;	  /* possible CPUs, or lcores */
	__u32 rows;	  /* of the account and of every table: LEVEE_EPOCHS * cpus */
	__u32 bits4;	  /* log2 of the IPv4 buckets in a row; 4 sources a bucket */
	__u32 bits6;	  /* log2 of the IPv6 buckets in a row */
	__u32 per_value4; /* enum levee_per_value */
	__u32 per_value6;
	__u32 part4; /* log2 of the buckets in a part; bits4 and bits6, if rows are whole */
	__u32 part6;
	__u32 mask4; /* of the bytes from the start of a part to its buckets */
	__u32 mask6;
	__u32 row_shift4; /* log2 of the bytes of a row's buckets */
	__u32 row_shift6;
	__u32 log4;	      /* entries of a row's IPv4 eviction log */
	__u32 log6;	      /* entries of a row's IPv6 eviction log */
	__u32 rule_bits;      /* log2 of the policy buckets; 8 slots a bucket */
	__u32 rules;	      /* rules there is room for; index 0 is never used */
	__u32 source6_length; /* bits of an IPv6 source, 1 to 128 */
	__u64 source6_hi;     /* and their masks */
	__u64 source6_lo;
	struct levee_hash_key key;
};

/* Which protocols and ports are watched. */
struct levee_scope {
	__u64 enabled;	       /* 0: every packet is in scope */
	__u64 whole[4];	       /* bit p: protocol p is in scope whatever its port */
	__u64 part[4];	       /* bit p: some port of protocol p (TCP, UDP) is in scope */
	__u64 tcp[65536 / 64]; /* bit p: TCP destination port p is in scope */
	__u64 udp[65536 / 64];
};

/*
 * Settings and state of one data path, written by the controller alone. The first cache line is
 * read by every packet; most of the rest is the controller's own memory that must outlive it.
 */
struct levee_control {
	__u64 seq;   /* number of the open epoch, seq & 1; maps that replace others count on */
	__u32 audit; /* 1: nothing is dropped, what would be is counted */
	__u32 _pad;
	__u32 bits4[LEVEE_EPOCHS]; /* log2 of the buckets in use in a row of the epoch: as many */
	__u32 bits6[LEVEE_EPOCHS]; /* as its sources need, so that few sources stay in cache */
	__u32 share_mask; /* packets of a source on one CPU that are an event, a power of two, less 1 */
	__u32 burst;	  /* counted packets that may wait; a power of two, 1 to LEVEE_BURST */
	__u64 _line[3];

	struct levee_geometry geo;
	__u64 drained;		       /* epochs with seq <= drained are empty or being filled */
	__u64 opened_ns[LEVEE_EPOCHS]; /* CLOCK_BOOTTIME at which the epoch was opened */
	__u64 bin_ns[LEVEE_EPOCHS];    /* start of the bin that it belongs to [unix ns] */
	__u64 taken;		       /* packets of the running bin drained before its close */
};

/* What is reached without a look-up: the .bss of the XDP program. */
struct levee_page {
	struct levee_control control;
	struct levee_scope scope;
	struct levee_front front;
};

/* What became of a packet. Every packet has exactly one outcome. */
enum levee_outcome {
	LEVEE_COUNTED = 0,
	LEVEE_DROPPED = 1,
	LEVEE_ALLOWED = 2,
	LEVEE_OUT_OF_SCOPE = 3, /* by [scope], or no IP packet at all (reasons[-LEVEE_NOT_IP]) */
	LEVEE_UNPARSED = 4,
	LEVEE_OUTCOMES = 5,
};

/*
 * A counted packet that waits for its turn at the table. A source's bucket is a line of memory
 * that is rarely in cache, and a program that waits for it waits for each packet anew. So packets
 * are put down here first, and LEVEE_BURST of them at a time are counted: the lines of all are
 * asked for, one right after the other, and memory fetches them together. A packet whose source is
 * not in its first bucket is put down again, for its second.
 */
#define LEVEE_BURST 64

struct levee_waiting4 {
	__u64 tally;
	__u32 addr;
	__u32 at; /* bytes from the start of the row's table to a bucket of it, and less than one more */
};

struct levee_waiting6 {
	__u64 hi;
	__u64 lo;
	__u64 tally;
	__u32 at;
	__u32 _pad;
};

/*
 * One CPU's account of one epoch. The shifts are set before it is opened; all else is cleared when
 * it is drained.
 *
 * A counted packet is in outcome[LEVEE_COUNTED] or, if it was put down to wait, in put4 or put6:
 * one store for all. Every other is in `uncounted`, and in its outcome besides. Whoever drains a
 * row adds the packets that wait, from done to put, to what the table holds.
 */
struct levee_row {
	__u32 shift4; /* a source's hash, shifted right so far, is `at` of its bucket */
	__u32 shift6;
	__u64 put4; /* packets put down */
	__u64 put6;
	__u64 passed_bytes;
	__u64 outcome[LEVEE_OUTCOMES];
	__u64 uncounted;
	__u64 dropped_bytes;
	__u64 would_drop; /* in audit mode; such packets have another outcome besides */

	__u64 now_ns;	/* CLOCK_BOOTTIME as of now_tick */
	__u64 now_tick; /* kernel tick at which now_ns was read */
	__u64 done4; /* of put4, those in the table; the rest, less than a burst, is in waiting4 */
	__u64 done6;
	__u64 names4; /* slots taken in the table */
	__u64 names6;
	__u64 log4; /* entries asked for; what is above geometry.log4 was folded */
	__u64 log6;
	struct levee_fold fold; /* both families */

	__u64 reasons[LEVEE_UNPARSED_MAX]; /* by -(enum levee_unparsed); [0] unused */
	__u64 port_unknown; /* in scope by protocol alone: fragments, truncated headers */
	__u64 lost_events;  /* the ring buffer was full */
	__u64 _line[7];

	struct levee_waiting4 waiting4[LEVEE_BURST];
	struct levee_waiting6 waiting6[LEVEE_BURST];
};

_Static_assert(sizeof(struct levee_row) == 5 * LEVEE_CACHE_LINE + 48 * LEVEE_BURST,
	       "layout of a pinned map");
_Static_assert(__builtin_offsetof(struct levee_row, outcome) == 32, "layout of a pinned map");
_Static_assert(__builtin_offsetof(struct levee_row, waiting4) == 320, "layout of a pinned map");
_Static_assert(__builtin_offsetof(struct levee_control, geo) == 64, "layout of a pinned map");

enum levee_event_type {
	LEVEE_EVENT_PRESSURE = 1, /* a CPU's eviction log is half full: drain now */
	LEVEE_EVENT_TRIP = 2,	  /* a source has a further share of packets on this CPU */
};

struct levee_event {
	__u32 type;
	__u32 cpu;
	__u64 seq;     /* of the epoch it is about */
	__u64 hi;      /* TRIP: the source, as in struct levee_packet, masked */
	__u64 lo;      /* TRIP */
	__u64 at_ns;   /* CLOCK_BOOTTIME */
	__u32 packets; /* TRIP: of it in its slot on this CPU */
	__u32 family;  /* TRIP: 4 or 6 */
};

_Static_assert(sizeof(struct levee_event) == 48, "layout of a ring buffer record");

/* The share of a data path that raises no such events: a slot never holds as many. */
#define LEVEE_SHARE_OFF LEVEE_SLOT_FULL

/** The part of a packet's tally that its TCP header tells; pkt after levee_packet_flow(). */
levee_inline __u64 levee_flow_tally(const struct levee_packet *pkt)
{
	__u8 seen = pkt->tcp_flags & (LEVEE_TCP_SYN | LEVEE_TCP_ACK);

	if (seen == LEVEE_TCP_SYN)
		return LEVEE_TALLY_SYN;
	return seen == LEVEE_TCP_ACK ? LEVEE_TALLY_ANSWERED : 0;
}

/**
 * Is the packet in scope?
 * \param pkt  after levee_packet_flow()
 * \return 1; 0; 2 if it is in scope by its protocol alone, its port being unknown. A packet
 *         whose protocol is unknown (its chain of extension headers cannot be followed) is in
 *         scope: it has a source, and nothing else can be held against it.
 */
levee_inline int levee_scope_has(const struct levee_scope *s, const struct levee_packet *pkt)
{
	__u32 word, bit;

	if (!(pkt->flags & LEVEE_PKT_PROTO))
		return 2;
	word = (pkt->proto >> 6) & 3;
	bit = pkt->proto & 63;
	if ((s->whole[word] >> bit) & 1)
		return 1;
	if (!((s->part[word] >> bit) & 1))
		return 0;
	if (!(pkt->flags & LEVEE_PKT_PORT))
		return 2;
	word = (pkt->dst_port >> 6) & 1023;
	bit = pkt->dst_port & 63;
	if (pkt->proto == LEVEE_PROTO_TCP)
		return (int)((s->tcp[word] >> bit) & 1);
	return (int)((s->udp[word] >> bit) & 1);
}

#endif
