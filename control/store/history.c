/* SPDX-License-Identifier: BSD-2-Clause */
#include "control/store/history.h"

#include <errno.h>
#include <sqlite3.h>
#include <string.h>

#define NS_PER_S      1000000000ULL
#define BUSY_MS	      50     /* a checkpoint is short; somebody waits for the answer */
#define LOOKED_AT_MAX 100000 /* rows that a filter by prefix may pass over */

static const char query[] = "SELECT unix_ns, kind, subject, detail FROM event"
			    " WHERE unix_ns >= ?1 AND unix_ns <= ?2 AND (?3 = '' OR kind = ?3)"
			    " ORDER BY unix_ns DESC, id DESC LIMIT ?4";

static const char *text(sqlite3_stmt *st, int at)
{
	const char *value = (const char *)sqlite3_column_text(st, at);

	return value ? value : "";
}

static bool is_within(const struct levee_prefix *within, const char *subject)
{
	struct levee_prefix prefix;

	return !within || (!levee_prefix_parse(&prefix, subject, strlen(subject), NULL) &&
			   levee_prefix_covers(within, &prefix));
}

static int64_t ns_of(uint64_t s)
{
	return s > INT64_MAX / NS_PER_S ? INT64_MAX : (int64_t)(s * NS_PER_S);
}

static int error_of(int code)
{
	switch (code & 0xff) {
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return -EBUSY;
	case SQLITE_CANTOPEN:
		return -ENOENT;
	case SQLITE_NOMEM:
		return -ENOMEM;
	default:
		return -EIO;
	}
}

static int walk(sqlite3_stmt *st, const struct levee_history_filter *filter,
		void (*fn)(void *ctx, const struct levee_history_row *row), void *ctx)
{
	uint64_t passed = 0;
	int code = SQLITE_DONE;

	while (passed < filter->limit && (code = sqlite3_step(st)) == SQLITE_ROW) {
		struct levee_history_row row = { .unix_ns = (uint64_t)sqlite3_column_int64(st, 0),
						 .kind = text(st, 1),
						 .subject = text(st, 2),
						 .detail = text(st, 3) };

		if (!is_within(filter->within, row.subject))
			continue;
		fn(ctx, &row);
		passed++;
	}
	return code == SQLITE_DONE || code == SQLITE_ROW ? 0 : error_of(code);
}

int levee_history_read(const char *path, const struct levee_history_filter *filter,
		       void (*fn)(void *ctx, const struct levee_history_row *row), void *ctx)
{
	uint64_t rows = filter->within ? LOOKED_AT_MAX : filter->limit;
	sqlite3_stmt *st = NULL;
	sqlite3 *db = NULL;
	int ret,
		code = sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX, NULL);

	if (code == SQLITE_OK) {
		sqlite3_busy_timeout(db, BUSY_MS);
		code = sqlite3_prepare_v2(db, query, -1, &st, NULL);
	}
	ret = code == SQLITE_OK ? 0 : error_of(code);
	if (!ret) {
		sqlite3_bind_int64(st, 1, ns_of(filter->since_s));
		sqlite3_bind_int64(st, 2, ns_of(filter->until_s));
		sqlite3_bind_text(st, 3, filter->kind ? filter->kind : "", -1, SQLITE_STATIC);
		sqlite3_bind_int64(st, 4, (int64_t)rows);
		ret = walk(st, filter, fn, ctx);
	}
	sqlite3_finalize(st);
	sqlite3_close(db);
	return ret;
}
