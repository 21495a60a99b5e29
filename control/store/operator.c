/* SPDX-License-Identifier: BSD-2-Clause */
#include "control/store/operator.h"

#include <errno.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>

static const char create[] = "CREATE TABLE IF NOT EXISTS operator ("
			     "  kind INTEGER NOT NULL," /* enum levee_operator_kind */
			     "  prefix TEXT NOT NULL,"
			     "  created_unix_ns INTEGER NOT NULL,"
			     "  expires_boot_ns INTEGER NOT NULL, expires_unix_ns INTEGER NOT NULL,"
			     "  boot_id TEXT NOT NULL,"
			     "  marks INTEGER NOT NULL,"
			     "  note TEXT NOT NULL,"
			     "  PRIMARY KEY (kind, prefix)) WITHOUT ROWID";

static const char put[] = "INSERT OR REPLACE INTO operator (kind, prefix, created_unix_ns,"
			  " expires_boot_ns, expires_unix_ns, boot_id, marks, note)"
			  " VALUES (?, ?, ?, ?, ?, ?, ?, ?)";

static const char drop[] = "DELETE FROM operator WHERE kind = ? AND prefix = ?";

static const char get[] = "SELECT kind, prefix, created_unix_ns, expires_boot_ns, expires_unix_ns,"
			  " boot_id, marks, note FROM operator";

/* \return -errno of what SQLite said last */
static int error_of(sqlite3 *db)
{
	return levee_store_errno(sqlite3_errcode(db), 0);
}

int levee_store_open_operator(struct levee_store *store)
{
	sqlite3 *db = levee_store_database(store);

	return sqlite3_exec(db, create, NULL, NULL, NULL) == SQLITE_OK ? 0 : error_of(db);
}

static sqlite3_stmt *prepare(sqlite3 *db, const char *sql)
{
	sqlite3_stmt *st = NULL;

	sqlite3_prepare_v2(db, sql, -1, &st, NULL);
	return st;
}

/* In a transaction a failure is one of all of it. */
static int finish(struct levee_store *store, sqlite3_stmt *st)
{
	int ret = st && sqlite3_step(st) == SQLITE_DONE ? 0 : error_of(levee_store_database(store));

	sqlite3_finalize(st);
	if (ret)
		levee_store_failed(store, ret);
	return ret;
}

int levee_store_put_operator(struct levee_store *store, const struct levee_operator_entry *entry,
			     const char *boot_id)
{
	sqlite3 *db = levee_store_database(store);
	sqlite3_stmt *st = prepare(db, put);
	char prefix[LEVEE_PREFIX_TEXT];

	levee_prefix_format(&entry->prefix, prefix);
	sqlite3_bind_int(st, 1, (int)entry->kind);
	sqlite3_bind_text(st, 2, prefix, -1, SQLITE_TRANSIENT);
	sqlite3_bind_int64(st, 3, (sqlite3_int64)entry->created_unix_ns);
	sqlite3_bind_int64(st, 4, (sqlite3_int64)entry->expires_boot_ns);
	sqlite3_bind_int64(st, 5, (sqlite3_int64)entry->expires_unix_ns);
	sqlite3_bind_text(st, 6, boot_id, -1, SQLITE_TRANSIENT);
	sqlite3_bind_int64(st, 7, entry->marks);
	sqlite3_bind_text(st, 8, entry->note, -1, SQLITE_TRANSIENT);
	return finish(store, st);
}

int levee_store_drop_operator(struct levee_store *store, enum levee_operator_kind kind,
			      const struct levee_prefix *prefix)
{
	sqlite3 *db = levee_store_database(store);
	sqlite3_stmt *st = prepare(db, drop);
	char text[LEVEE_PREFIX_TEXT];

	sqlite3_bind_int(st, 1, (int)kind);
	sqlite3_bind_text(st, 2, levee_prefix_format(prefix, text), -1, SQLITE_TRANSIENT);
	return finish(store, st);
}

int levee_store_clear_operator(struct levee_store *store)
{
	return finish(store, prepare(levee_store_database(store), "DELETE FROM operator"));
}

static const char *column_text(sqlite3_stmt *st, int at)
{
	const char *text = (const char *)sqlite3_column_text(st, at);

	return text ? text : "";
}

/* Boot times of another boot mean nothing here: what is left is what wall time says. */
static void move_to_this_boot(struct levee_operator_entry *entry, const struct levee_time *now)
{
	uint64_t length = 0, left = 0;

	if (entry->expires_boot_ns == LEVEE_NEVER)
		return;
	if (entry->expires_unix_ns > entry->created_unix_ns)
		length = entry->expires_unix_ns - entry->created_unix_ns;
	if (entry->expires_unix_ns > now->unix_ns)
		left = entry->expires_unix_ns - now->unix_ns;
	if (left > length) /* the clock starts in the past */
		left = length;
	entry->expires_boot_ns = now->boot_ns + left;
	entry->expires_unix_ns = now->unix_ns + left;
}

/* \return whether the row makes an entry that has not ended */
static bool read_row(sqlite3_stmt *st, const char *boot_id, const struct levee_time *now,
		     struct levee_operator_entry *entry)
{
	const char *prefix = column_text(st, 1);

	*entry = (struct levee_operator_entry){
		.kind = (enum levee_operator_kind)sqlite3_column_int(st, 0),
		.created_unix_ns = (uint64_t)sqlite3_column_int64(st, 2),
		.expires_boot_ns = (uint64_t)sqlite3_column_int64(st, 3),
		.expires_unix_ns = (uint64_t)sqlite3_column_int64(st, 4),
		.marks = (uint32_t)sqlite3_column_int64(st, 6),
	};
	snprintf(entry->note, sizeof(entry->note), "%s", column_text(st, 7));
	if (levee_prefix_parse(&entry->prefix, prefix, strlen(prefix), NULL) ||
	    entry->kind < LEVEE_OPERATOR_EXEMPT || entry->kind > LEVEE_OPERATOR_NOTE)
		return false;
	if (strcmp(column_text(st, 5), boot_id) != 0)
		move_to_this_boot(entry, now);
	return entry->expires_boot_ns > now->boot_ns;
}

int levee_store_load_operator(struct levee_store *store, const char *boot_id,
			      const struct levee_time *now,
			      int (*fn)(void *ctx, const struct levee_operator_entry *entry),
			      void *ctx)
{
	sqlite3 *db = levee_store_database(store);
	sqlite3_stmt *st = prepare(db, get);
	struct levee_operator_entry entry;
	int code = SQLITE_DONE, ret = st ? 0 : error_of(db);

	while (!ret && (code = sqlite3_step(st)) == SQLITE_ROW)
		if (read_row(st, boot_id, now, &entry))
			ret = fn(ctx, &entry);
	if (!ret && code != SQLITE_DONE)
		ret = error_of(db);
	sqlite3_finalize(st);
	return ret;
}
