/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The counting tables of one data path, and what a controller does with an epoch of them: size it,
 * read it, clear it. Whose memory it is, kernel maps or pages of this process, is all the same.
 *
 * Each table is rows of equal size, one for each CPU (or lcore) and epoch: row
 * levee_row_nr(cpu, epoch). Only that CPU writes there, and only while the epoch is open.
 */
#ifndef LEVEE_DATAPLANE_ROWS_H
#define LEVEE_DATAPLANE_ROWS_H

#include <stdint.h>

#include <levee/shared.h>

#include "dataplane/dataplane.h"

/** Where the tables are. All pointers are valid for as long as the struct is used. */
struct levee_rows {
	struct levee_geometry geo;
	struct levee_control *control;
	struct levee_row *rows;		 /* [geo.rows] */
	struct levee_bucket4 *sources4;	 /* [geo.rows << bits4] */
	struct levee_bucket6 *sources6;	 /* [geo.rows << bits6] */
	struct levee_evicted4 *evicted4; /* [geo.rows * log4] */
	struct levee_evicted6 *evicted6; /* [geo.rows * log6] */

	/* Called now and then while many buckets are read or cleared; NULL: nobody wants it. */
	void (*breathe)(void *ctx);
	void *ctx;
};

/**
 * Sizes for so many sources a CPU and epoch, rounded up to powers of two, and a new random key.
 * \param rules  allowed and blocked prefixes
 */
void levee_geometry_init(struct levee_geometry *geo, uint32_t cpus, uint64_t sources,
			 uint64_t sources6, uint8_t source6_length, uint64_t rules);

/**
 * Have no value of a map larger than `most` bytes, as the kernel at hand demands: a value is then a
 * row of a table, or a part of one. As made by levee_geometry_init() all rows are one.
 */
void levee_geometry_part(struct levee_geometry *geo, uint64_t most);

/**
 * Set up the control block of new, empty tables, of which one epoch is open.
 * \param seq  its number: 1, or one more than the last of the tables that these take the place of
 */
void levee_rows_begin(const struct levee_rows *rows, uint64_t seq, uint64_t now_boot_ns);

/** Both epochs in all the buckets that there are, as before anything is known of the sources. */
void levee_rows_use_all(const struct levee_rows *rows);

/**
 * Hand out one epoch, which nobody writes any more, and add up its account. With no sink only
 * the account, which may be of the open epoch, too.
 * \return 0; what the sink returned
 */
int levee_rows_walk(const struct levee_rows *rows, uint32_t epoch, const struct levee_sink *sink,
		    struct levee_account *account);

/** The sources of one CPU's row. \return as levee_rows_walk() */
int levee_rows_walk_cpu(const struct levee_rows *rows, uint32_t epoch, uint32_t cpu,
			const struct levee_sink *sink);

/**
 * What an epoch holds of one source, over all CPUs, its counts that wait and its logs included.
 * Of an open epoch packets that are being counted at this instant may be missing. Logs of more
 * than LEVEE_LOG_SEARCHED entries are left out: they say that tables are full.
 */
struct levee_counts levee_rows_count(const struct levee_rows *rows, uint32_t epoch,
				     const struct levee_prefix *source);

#define LEVEE_LOG_SEARCHED 65536

/**
 * Have an event raised before the packets of a source on one CPU that no event has told of are
 * more than share, those that still wait for their burst included. The step between events is a
 * power of two, between a quarter of the share and all of it. 0: no events.
 */
void levee_rows_set_share(const struct levee_rows *rows, uint64_t share);

/** Size the epoch that is about to open by what the running one has seen. */
void levee_rows_size_next(const struct levee_rows *rows, uint32_t running);

/** Clear an epoch that was drained. */
void levee_rows_clear(const struct levee_rows *rows, uint32_t epoch);

/** What an epoch is, without its account. */
void levee_rows_describe(const struct levee_rows *rows, uint64_t seq,
			 struct levee_drained *drained);

/** Change the scope under readers: no packet that is in both, old and new, is missed. */
void levee_scope_publish(struct levee_scope *scope, const struct levee_scope *next);

#endif
