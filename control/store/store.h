/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * State on disk (SQLite, one file): closed bins, blocks, events, the account. A restart resumes
 * the window and the blocks from it.
 *
 * Everything that one bin's close changes is one transaction. The store never blocks what must
 * go on: a write that fails (disk full, read-only) is reported, the caller keeps what it has in
 * memory and offers it again with the next bin.
 *
 *	levee_store_open(&store, path, report)
 *	levee_store_load_bins, _load_blocks      of the process before
 *	levee_store_begin(store)
 *	  levee_store_put_bin / put_block / drop_block / event / account
 *	levee_store_commit(store)                or levee_store_rollback(store)
 */
#ifndef LEVEE_STORE_H
#define LEVEE_STORE_H

#include <stdint.h>

#include "control/detect/window.h"
#include "control/policy/blocks.h"
#include "control/policy/nacl_cover.h"
#include "dataplane/dataplane.h"

struct levee_store;
struct sqlite3;

/** Told of problems in whole sentences. */
typedef void levee_store_report(void *ctx, const char *message);

/**
 * Open or create the file and its directory (mode 0750, file 0640). A file that SQLite calls
 * damaged, or that is no database, is moved aside to PATH.damaged-UNIXTIME, reported, and a new
 * one is begun: at night, protection comes first. A file of a newer schema is refused.
 * \return 0; -errno, reported
 */
int levee_store_open(struct levee_store **out, const char *path, levee_store_report *report,
		     void *ctx);
void levee_store_close(struct levee_store **store);

/** A write of such a table has failed: as one of the store's own, if a transaction was begun. */
void levee_store_failed(struct levee_store *store, int ret);

/** \param code  SQLite's, which may be an extended one; \param error  errno beneath it, or 0. \return -errno */
int levee_store_errno(int code, int error);

/** SQLite's handle, for tables of other files in control/store/. For the store's own thread. */
struct sqlite3 *levee_store_database(const struct levee_store *store);

/**
 * Open a file that is there to look at it, also while a daemon writes to it. Nothing is made,
 * moved or repaired.
 * \return 0; -errno, reported
 */
int levee_store_open_to_read(struct levee_store **out, const char *path, levee_store_report *report,
			     void *ctx);

/**
 * All writes until commit are one transaction. Once one of them has failed, the others and the
 * commit fail with the same error, unreported, and nothing of the transaction is kept. A write
 * outside of one is a transaction by itself.
 * \return 0; -errno, reported; -EALREADY if one was begun, -EINVAL if none was
 */
int levee_store_begin(struct levee_store *store);
int levee_store_commit(struct levee_store *store);
void levee_store_rollback(struct levee_store *store);

/**
 * Put a closed bin; one of the same start is replaced.
 * \param bin_s  length of the bin [s]; load() passes over bins of another length
 */
int levee_store_put_bin(struct levee_store *store, const struct levee_bin_record *record,
			unsigned int bin_s);

/** Remove bins that start before begin_s, and events older than 30 days before it. */
int levee_store_prune(struct levee_store *store, int64_t begin_s);

/** Remove every bin: the caller puts them all again, under other names. */
int levee_store_clear_bins(struct levee_store *store);

int levee_store_put_block(struct levee_store *store, const struct levee_block *block,
			  const char *boot_id);
int levee_store_drop_block(struct levee_store *store, const struct levee_prefix *prefix);

/** Who was blocked before: put when a block ends, dropped when it was lifted as a mistake. */
int levee_store_put_offender(struct levee_store *store, const struct levee_offender *offender,
			     const char *boot_id);
int levee_store_drop_offender(struct levee_store *store, const struct levee_prefix *prefix);

/** Remove those whose block ended before then, and the oldest above LEVEE_OFFENDERS_MAX. */
int levee_store_prune_offenders(struct levee_store *store, uint64_t before_unix_ns);

/**
 * Good sources near blocks, in place of those of before: for `levee nacl plan`, and a restart.
 * \param known  nobody is missing
 */
int levee_store_put_good(struct levee_store *store, const struct levee_cover_source *list, size_t n,
			 int64_t unix_s, bool known);

/**
 * \param list  the caller frees it; NULL and n = 0 if nothing was ever put, or it is damaged
 * \return 0; -errno, reported
 */
int levee_store_get_good(struct levee_store *store, struct levee_cover_source **list, size_t *n,
			 int64_t *unix_s, bool *known);

/** Note an event for the history. \param kind  "blocked", "expired", "started", ... */
int levee_store_event(struct levee_store *store, uint64_t unix_ns, const char *kind,
		      const char *subject, const char *detail);

/**
 * Add to the cumulative account, and note the epoch it comes from.
 * \param maps_id  names the set of kernel maps whose epochs `seq` counts; "" if there is none
 */
int levee_store_account(struct levee_store *store, const struct levee_account *account,
			const char *maps_id, uint64_t seq);

/** Note that a number is passed; \param name  of maps, or LEVEE_STORE_RUNNING */
int levee_store_note_epoch(struct levee_store *store, const char *name, uint64_t seq);

/** In the place of maps: bins up to this number are closed (control/store/running.h). */
#define LEVEE_STORE_RUNNING "running"

/** The last epoch noted for these maps; 0 if none. */
int levee_store_last_epoch(struct levee_store *store, const char *maps_id, uint64_t *seq);

/** The cumulative account. */
int levee_store_get_account(struct levee_store *store, struct levee_account *account);

/**
 * Pass every bin of length bin_s that starts in [begin_s, end_s) to fn, earliest first. A damaged
 * one is reported and left out. fn takes over the record's content if it returns 0; anything
 * else ends the loading and is returned, and the record is freed here.
 */
int levee_store_load_bins(struct levee_store *store, unsigned int bin_s, int64_t begin_s,
			  int64_t end_s, int (*fn)(void *ctx, struct levee_bin_record *record),
			  void *ctx);

/**
 * Pass every block to fn. Boot times hold only for the boot they were written in: with another
 * boot_id they are computed anew from the unix times and `now`, so that a block lasts as long as
 * it would have; none is longer than it was made. Expired ones are not passed: they become
 * offenders, to be loaded after this.
 */
int levee_store_load_blocks(struct levee_store *store, const char *boot_id,
			    const struct levee_time *now,
			    int (*fn)(void *ctx, const struct levee_block *block), void *ctx);

/** Pass every offender to fn, whose block ended earliest first. Boot times as above. */
int levee_store_load_offenders(struct levee_store *store, const char *boot_id,
			       const struct levee_time *now,
			       int (*fn)(void *ctx, const struct levee_offender *offender),
			       void *ctx);

#endif
