/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What operators have said, on disk: a table of its own in the state file, one row an entry, each
 * written at once. See store.h for how boot times survive a reboot.
 */
#ifndef LEVEE_STORE_OPERATOR_H
#define LEVEE_STORE_OPERATOR_H

#include "control/policy/operator.h"
#include "control/store/store.h"

/** Make the table if it is not there. \return 0; -errno */
int levee_store_open_operator(struct levee_store *store);

/** \return 0; -errno: it holds until the process ends, and no longer */
int levee_store_put_operator(struct levee_store *store, const struct levee_operator_entry *entry,
			     const char *boot_id);
int levee_store_drop_operator(struct levee_store *store, enum levee_operator_kind kind,
			      const struct levee_prefix *prefix);

/** Remove every entry: the caller puts them all again. \return 0; -errno */
int levee_store_clear_operator(struct levee_store *store);

/** Pass every entry that has not ended to fn. \return 0; what fn returned; -errno */
int levee_store_load_operator(struct levee_store *store, const char *boot_id,
			      const struct levee_time *now,
			      int (*fn)(void *ctx, const struct levee_operator_entry *entry),
			      void *ctx);

#endif
