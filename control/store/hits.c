/* SPDX-License-Identifier: BSD-2-Clause */
#include "control/store/hits.h"

#include <errno.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

#include "control/store/blob.h"

static const char create[] = "CREATE TABLE IF NOT EXISTS hits ("
			     "  id INTEGER PRIMARY KEY CHECK (id = 1),"
			     "  boot_id TEXT NOT NULL,"
			     "  list BLOB NOT NULL)";

static const char put[] = "INSERT OR REPLACE INTO hits (id, boot_id, list) VALUES (1, ?, ?)";

static const char get[] = "SELECT boot_id, list FROM hits";

/*
 * A record is seven numbers of 64 bits: address (two), family and length, packets, bytes, times of
 * the first and the last hit. Behind the last one stands the sum of all bytes before.
 */
#define RECORD (7 * 8)
#define SUM    8

struct packing {
	uint8_t *at;
};

static void pack(void *ctx, const struct levee_policy_info *info)
{
	struct packing *p = ctx;
	const uint64_t fields[] = { info->prefix.hi,
				    info->prefix.lo,
				    (uint64_t)info->prefix.family << 8 | info->prefix.length,
				    info->packets,
				    info->bytes,
				    info->first_ns,
				    info->last_ns };

	_Static_assert(sizeof(fields) == RECORD, "one record");
	for (size_t i = 0; i < RECORD / 8; i++, p->at += 8)
		levee_put_le64(p->at, fields[i]);
}

static int write_list(sqlite3 *db, const char *boot_id, const uint8_t *list, size_t size)
{
	sqlite3_stmt *st = NULL;
	int code = sqlite3_exec(db, create, NULL, NULL, NULL);

	if (code == SQLITE_OK)
		code = sqlite3_prepare_v2(db, put, -1, &st, NULL);
	if (code == SQLITE_OK) {
		sqlite3_bind_text(st, 1, boot_id, -1, SQLITE_STATIC);
		sqlite3_bind_blob64(st, 2, list, size, SQLITE_STATIC);
		code = sqlite3_step(st);
	}
	sqlite3_finalize(st);
	return code == SQLITE_DONE ? 0 : levee_store_errno(code, 0);
}

int levee_store_put_hits(struct levee_store *store, const struct levee_policy *policy,
			 const char *boot_id)
{
	size_t size = levee_policy_blocks(policy) * RECORD;
	uint8_t *list = malloc(size + SUM);
	struct packing p = { list };
	int ret;

	if (!list)
		return -ENOMEM;
	levee_policy_walk(policy, pack, &p);
	levee_put_le64(list + size, levee_fnv(LEVEE_FNV_BEGIN, list, size));
	ret = write_list(levee_store_database(store), boot_id, list, size + SUM);
	if (ret)
		levee_store_failed(store, ret);
	free(list);
	return ret;
}

static int inherit(struct levee_policy *policy, const uint8_t *at, bool same_boot)
{
	uint64_t tag = levee_get_le64(at + 16);
	struct levee_prefix prefix = { .hi = levee_get_le64(at),
				       .lo = levee_get_le64(at + 8),
				       .family = (uint8_t)(tag >> 8),
				       .length = (uint8_t)tag };
	struct levee_hits hits = { .packets = levee_get_le64(at + 24),
				   .bytes = levee_get_le64(at + 32) };

	if (same_boot) {
		hits.first_ns = levee_get_le64(at + 40);
		hits.last_ns = levee_get_le64(at + 48);
	}
	return levee_policy_inherit(policy, &prefix, &hits);
}

static int read_list(struct levee_policy *policy, const uint8_t *list, size_t size, bool same_boot)
{
	int ret = 0;

	if (size < SUM || (size - SUM) % RECORD ||
	    levee_get_le64(list + size - SUM) != levee_fnv(LEVEE_FNV_BEGIN, list, size - SUM))
		return -EUCLEAN;
	for (size_t at = 0; at < size - SUM && !ret; at += RECORD)
		ret = inherit(policy, list + at, same_boot);
	return ret;
}

int levee_store_load_hits(struct levee_store *store, struct levee_policy *policy,
			  const char *boot_id)
{
	sqlite3 *db = levee_store_database(store);
	sqlite3_stmt *st = NULL;
	int code = sqlite3_exec(db, create, NULL, NULL, NULL), ret = 0;
	const char *boot;
	const void *list;

	if (code == SQLITE_OK)
		code = sqlite3_prepare_v2(db, get, -1, &st, NULL);
	if (code == SQLITE_OK)
		code = sqlite3_step(st);
	if (code == SQLITE_ROW) {
		boot = (const char *)sqlite3_column_text(st, 0);
		list = sqlite3_column_blob(st, 1);
		ret = list && boot ? read_list(policy, list, (size_t)sqlite3_column_bytes(st, 1),
					       !strcmp(boot, boot_id))
				   : -EUCLEAN;
	} else if (code != SQLITE_DONE) {
		ret = levee_store_errno(code, 0);
	}
	sqlite3_finalize(st);
	return ret;
}
