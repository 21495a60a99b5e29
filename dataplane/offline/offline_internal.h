/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the parts of the offline back end share. One record, end to end:
 *
 *	input.c    bytes of a file or pipe, the first of which can be looked at beforehand
 *	csv.c      \ a record out of bytes: its time, and either a source with its counts
 *	pcap.c     / or a frame; what cannot be read is a defect, and is skipped
 *	offline.c  holds the next record back until wait() reaches it, asks the policy, counts
 *	sources.c  the table of sources of the running epoch
 */
#ifndef LEVEE_OFFLINE_INTERNAL_H
#define LEVEE_OFFLINE_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "dataplane/offline/offline.h"

/* Defects that are reported one by one; those after them are only counted. */
#define LEVEE_OFFLINE_REPORTS 10

struct levee_offline;

/* ---- input.c ----------------------------------------------------------------------------- */

struct levee_input {
	int fd;	     /* -1: none */
	int error;   /* errno of a failed read(), which also ends the input */
	bool at_end; /* read() has nothing more; buffer[at..end) may */
	uint8_t *buffer;
	size_t at, end; /* what was read and not yet used */
	uint64_t taken; /* bytes read from fd */
	uint64_t size;	/* of a regular file; 0 for what has no size */
};

/** Open a path, "-" being standard input. \return 0; -errno, and *in is closed */
int levee_input_open(struct levee_input *in, const char *path);

/** Read on: move what is unused to the front, and append. \return 0, at_end or more in buffer */
void levee_input_fill(struct levee_input *in);

/** Look at the first n bytes (n small) without using them. \return how many there are */
size_t levee_input_peek(struct levee_input *in, size_t n);

/** As a stdio stream for libpcap; reads what is left of the input. NULL: no memory. */
FILE *levee_input_stream(struct levee_input *in);

/** Accepts one that was never opened, if fd is -1. */
void levee_input_close(struct levee_input *in);

/* ---- csv.c, pcap.c ----------------------------------------------------------------------- */

struct levee_record {
	uint64_t unix_ns;
	uint64_t packets; /* 1 for a frame */
	uint64_t bytes;
	uint64_t number; /* line, or packet in the file, counted from 1; for messages */

	const uint8_t *frame; /* NULL: a CSV record; else valid until the next one is read */
	uint32_t captured;    /* bytes of the frame that are there */

	uint64_t hi, lo; /* CSV: the source, IPv6 not masked */
	uint8_t family;
};

struct levee_format {
	const char *unit; /* of a record, for messages: "line" or "packet" */
	uint64_t late_ns; /* how much out of order a record may be, and still be counted */

	/** Prepare to read offline->input. \return 0; -errno, and it was reported */
	int (*open)(struct levee_offline *offline);
	/** \return 1 and *record filled; 0 at the end of the input */
	int (*next)(struct levee_offline *offline, struct levee_record *record);
	void (*close)(struct levee_offline *offline);
};

extern const struct levee_format levee_format_csv;
extern const struct levee_format levee_format_pcap;

/* ---- sources.c --------------------------------------------------------------------------- */

struct levee_source {
	uint64_t hi, lo;
	struct levee_counts counts;
	uint8_t family;
};

/* Values under way into the table, so that the memory they go to is asked for in good time. */
#define LEVEE_SOURCES_WAITING 16

/*
 * Sources in the order in which they came, and an index by hash. A cell of the index belongs to
 * one round; so clearing is beginning another round, however large a flood has made the table.
 */
struct levee_sources {
	struct levee_source *list;
	uint32_t n, room;
	struct levee_sources_cell {
		uint32_t round;
		uint32_t at; /* in list */
	} * cells;
	uint32_t bits; /* log2 of the number of cells; at most half of them are used */
	uint32_t round;
	struct levee_hash_key key;

	struct levee_sources_waiting {
		struct levee_source value; /* of 0 packets: none */
		uint64_t hash;
	} waiting[LEVEE_SOURCES_WAITING];
	uint32_t turn;		/* of the next value to come */
	struct levee_fold fold; /* values for which there was no memory */
};

/** \return 0; -ENOMEM */
int levee_sources_init(struct levee_sources *s, const struct levee_hash_key *key);

/** Add up; value has packets. It is in list, or in fold, after levee_sources_settle(). */
void levee_sources_add(struct levee_sources *s, const struct levee_source *value);
void levee_sources_settle(struct levee_sources *s);

/** What there is of a source, with key->hi, lo and family; all 0 if nothing. Settles. */
struct levee_counts levee_sources_count(struct levee_sources *s, const struct levee_source *key);

/** Forget all sources, and the fold. */
void levee_sources_clear(struct levee_sources *s);
void levee_sources_free(struct levee_sources *s);

/* ---- offline.c --------------------------------------------------------------------------- */

struct levee_csv;

struct levee_offline {
	struct levee_dataplane dp;
	void (*report)(void *ctx, const char *message);
	void *report_ctx;
	const char *name; /* path as messages call it; owned */

	struct levee_input input;
	const struct levee_format *format;
	uint64_t lines; /* CSV: lines read */
	bool csv_begun; /* CSV: a heading can no longer follow */
	struct pcap *pcap;
	uint64_t packets; /* pcap: packets read */

	struct levee_record next; /* read and not yet delivered, if have_next */
	bool have_next;
	bool cut; /* a first part of `next` was delivered, and it is what is left */
	bool ended;
	uint64_t delivered_ns; /* time of the last record delivered, or of the first one */
	uint64_t reached_ns;   /* the last deadline that was reached */
	uint64_t records;
	uint64_t errors;
	uint64_t late;

	struct levee_policy_memory memory;
	struct levee_scope scope;
	bool audit;
	uint64_t mask6_hi, mask6_lo;

	uint64_t share; /* packets of a source between two events; 0: there are none */
	bool tripped;	/* `trip` is to be told of */
	struct levee_prefix trip;

	struct levee_sources sources;
	struct levee_account account;
	uint64_t seq, opened_ns, bin_ns;
	bool drained; /* and not yet released */
};

/** Tell whoever asked for it. */
void levee_offline_tell(struct levee_offline *offline, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/** Count a defect of the input; tell of the first ones. */
void levee_offline_defect(struct levee_offline *offline, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

#endif
