/* SPDX-License-Identifier: BSD-2-Clause */
#include "control/store/store.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "control/log.h"
#include "control/store/candidates.h"
#include "control/store/extras.h"

#define APPLICATION_ID 0x4c657665 /* "Leve": tells our file from another program's database */
#define BUSY_MS	       1000
#define NS_PER_S       1000000000ULL
#define EVENT_KEEP_S   (30LL * 24 * 3600)

/*
 * Unsigned 64-bit values are stored as SQLite's signed ones of the same bits: what is below 2^63
 * reads as it is, LEVEE_NEVER as -1. A 128-bit sum is two of them, upper half first.
 */
static const char schema_1[] =
	"CREATE TABLE bin ("
	"  start_s INTEGER PRIMARY KEY," /* unix time of its start */
	"  bin_s INTEGER NOT NULL,"
	"  n INTEGER NOT NULL,"
	"  sum_hi INTEGER NOT NULL, sum_lo INTEGER NOT NULL,"
	"  sq_hi INTEGER NOT NULL, sq_lo INTEGER NOT NULL,"
	"  min_packets INTEGER NOT NULL,"
	"  flags INTEGER NOT NULL,"
	"  candidates BLOB NOT NULL);" /* control/store/candidates.h */
	"CREATE TABLE block ("
	"  prefix TEXT PRIMARY KEY,"
	"  reason INTEGER NOT NULL,"
	"  created_boot_ns INTEGER NOT NULL, created_unix_ns INTEGER NOT NULL,"
	"  expires_boot_ns INTEGER NOT NULL, expires_unix_ns INTEGER NOT NULL,"
	"  last_bin_s INTEGER NOT NULL,"
	"  max_zscore REAL NOT NULL, max_packets INTEGER NOT NULL,"
	"  flagged INTEGER NOT NULL,"
	"  boot_id TEXT NOT NULL) WITHOUT ROWID;"
	"CREATE TABLE event ("
	"  id INTEGER PRIMARY KEY,"
	"  unix_ns INTEGER NOT NULL,"
	"  kind TEXT NOT NULL, subject TEXT NOT NULL, detail TEXT NOT NULL);"
	"CREATE INDEX event_by_time ON event (unix_ns);"
	"CREATE TABLE account ("
	"  name TEXT PRIMARY KEY,"
	"  value INTEGER NOT NULL) WITHOUT ROWID;"
	"CREATE TABLE epoch ("
	"  maps_id TEXT PRIMARY KEY,"
	"  seq INTEGER NOT NULL) WITHOUT ROWID;";

/* Who was blocked before; what else is known of a bin; and how a block is carried out. */
static const char schema_2[] =
	"ALTER TABLE bin ADD COLUMN histogram BLOB;" /* control/detect/histogram.h; NULL: none */
	"ALTER TABLE bin ADD COLUMN measures BLOB;"  /* bytes, SYNs; NULL: none */
	"ALTER TABLE block ADD COLUMN kind INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE block ADD COLUMN repeats INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE block ADD COLUMN measure INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE block ADD COLUMN max_value INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE block ADD COLUMN spoofable INTEGER NOT NULL DEFAULT 0;"
	"CREATE TABLE offender ("
	"  prefix TEXT PRIMARY KEY,"
	"  blocks INTEGER NOT NULL,"
	"  end_boot_ns INTEGER NOT NULL, end_unix_ns INTEGER NOT NULL,"
	"  boot_id TEXT NOT NULL) WITHOUT ROWID;"
	"CREATE INDEX offender_by_end ON offender (end_unix_ns);";

/* Who would pay for a rule about a prefix. */
static const char schema_3[] = "CREATE TABLE good ("
			       "  id INTEGER PRIMARY KEY CHECK (id = 1),"
			       "  unix_s INTEGER NOT NULL, known INTEGER NOT NULL,"
			       "  list BLOB NOT NULL);"; /* control/store/extras.h */

/* What turns each schema into the next one; a new file goes through all of them. */
static const char *const upgrades[] = { schema_1, schema_2, schema_3 };

#define SCHEMA_VERSION ((int)(sizeof(upgrades) / sizeof(upgrades[0])))

enum statement {
	BEGIN,
	COMMIT,
	ROLLBACK,
	PUT_BIN,
	PRUNE_BINS,
	PRUNE_EVENTS,
	PUT_BLOCK,
	DROP_BLOCK,
	ADD_EVENT,
	GET_ACCOUNT,
	PUT_ACCOUNT,
	GET_EPOCH,
	PUT_EPOCH,
	GET_BINS,
	GET_BLOCKS,
	PUT_OFFENDER,
	DROP_OFFENDER,
	PRUNE_OFFENDERS,
	BOUND_OFFENDERS,
	GET_OFFENDERS,
	PUT_GOOD,
	GET_GOOD,
	STATEMENTS,
};

static const struct {
	const char *what; /* "cannot ..." */
	const char *sql;
} statements[STATEMENTS] = {
	[BEGIN] = { "begin a transaction", "BEGIN IMMEDIATE" },
	[COMMIT] = { "commit the transaction", "COMMIT" },
	[ROLLBACK] = { "roll back the transaction", "ROLLBACK" },
	[PUT_BIN] = { "store a bin", "INSERT OR REPLACE INTO bin (start_s, bin_s, n, sum_hi,"
				     " sum_lo, sq_hi, sq_lo, min_packets, flags, candidates,"
				     " histogram, measures)"
				     " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)" },
	[PRUNE_BINS] = { "remove old bins", "DELETE FROM bin WHERE start_s < ?" },
	[PRUNE_EVENTS] = { "remove old events", "DELETE FROM event WHERE unix_ns < ?" },
	[PUT_BLOCK] = { "store a block",
			"INSERT OR REPLACE INTO block (prefix, reason, created_boot_ns,"
			" created_unix_ns, expires_boot_ns, expires_unix_ns, last_bin_s,"
			" max_zscore, max_packets, flagged, boot_id, kind, repeats,"
			" measure, max_value, spoofable)"
			" VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)" },
	[DROP_BLOCK] = { "remove a block", "DELETE FROM block WHERE prefix = ?" },
	[ADD_EVENT] = { "store an event", "INSERT INTO event (unix_ns, kind, subject, detail)"
					  " VALUES (?, ?, ?, ?)" },
	[GET_ACCOUNT] = { "read the account", "SELECT name, value FROM account" },
	[PUT_ACCOUNT] = { "store the account",
			  "INSERT OR REPLACE INTO account (name, value) VALUES (?, ?)" },
	[GET_EPOCH] = { "read the last epoch", "SELECT seq FROM epoch WHERE maps_id = ?" },
	[PUT_EPOCH] = { "store the epoch",
			"INSERT OR REPLACE INTO epoch (maps_id, seq) VALUES (?, ?)" },
	[GET_BINS] = { "read the bins",
		       "SELECT start_s, n, sum_hi, sum_lo, sq_hi, sq_lo, min_packets, flags,"
		       " candidates, histogram, measures FROM bin WHERE bin_s = ? AND start_s >= ? "
		       "AND start_s < ?"
		       " ORDER BY start_s" },
	[GET_BLOCKS] = { "read the blocks",
			 "SELECT prefix, reason, created_boot_ns, created_unix_ns,"
			 " expires_boot_ns, expires_unix_ns, last_bin_s, max_zscore, max_packets,"
			 " flagged, boot_id, kind, repeats, measure, max_value, spoofable"
			 " FROM block ORDER BY prefix" },
	[PUT_OFFENDER] = { "store an offender",
			   "INSERT OR REPLACE INTO offender (prefix, blocks, end_boot_ns,"
			   " end_unix_ns, boot_id) VALUES (?, ?, ?, ?, ?)" },
	[DROP_OFFENDER] = { "remove an offender", "DELETE FROM offender WHERE prefix = ?" },
	[PRUNE_OFFENDERS] = { "remove old offenders",
			      "DELETE FROM offender WHERE end_unix_ns < ?" },
	[BOUND_OFFENDERS] = { "remove the oldest offenders",
			      "DELETE FROM offender WHERE prefix IN (SELECT prefix FROM offender"
			      " ORDER BY end_unix_ns DESC LIMIT -1 OFFSET ?)" },
	[GET_OFFENDERS] = { "read the offenders",
			    "SELECT prefix, blocks, end_boot_ns, end_unix_ns, boot_id"
			    " FROM offender ORDER BY end_unix_ns" },
	[PUT_GOOD] = { "store good sources", "INSERT OR REPLACE INTO good (id, unix_s, known,"
					     " list) VALUES (1, ?, ?, ?)" },
	[GET_GOOD] = { "read good sources", "SELECT unix_s, known, list FROM good" },
};

struct levee_store {
	sqlite3 *db;
	sqlite3_stmt *statement[STATEMENTS];
	char *path;
	levee_store_report *report;
	void *ctx;
	bool moved; /* said already */
	bool reads_only;
	bool began; /* by levee_store_begin(), and neither committed nor rolled back */
	int failed; /* first failure since then: the transaction cannot be committed any more */
};

/* ---- saying what went wrong --------------------------------------------------------------- */

static void say(const struct levee_store *store, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static void say(const struct levee_store *store, const char *format, ...)
{
	char message[1024];
	va_list args;

	if (!store->report)
		return;
	va_start(args, format);
	vsnprintf(message, sizeof(message), format, args);
	va_end(args);
	levee_log_clean(message);
	store->report(store->ctx, message);
}

static const char *remedy(int ret)
{
	switch (-ret) {
	case ENOSPC:
		return "make room on its file system";
	case EROFS:
		return "mount its file system writable, or set [state] file to another place";
	case EACCES:
	case EPERM:
		return "give levee's user the right to write the file and its directory, or set "
		       "[state] file to another place";
	case ENOENT:
	case ENOTDIR:
	case EISDIR:
		return "set [state] file to a file in a directory that exists";
	case EBUSY:
		return "another process holds it: end a second levee, or the tool that reads it";
	case EUCLEAN:
		return "restart levee, which moves the damaged file aside and begins a new one";
	case ENOMEM:
		return "free some memory";
	default:
		return "look for errors of the disk in the kernel's log, or set [state] file to "
		       "another place";
	}
}

/* errno of a failed read or write; what means "no more room" in three ways is ENOSPC. */
static int io_error(int error)
{
	switch (error) {
	case ENOSPC:
	case EDQUOT:
	case EFBIG:
		return -ENOSPC;
	case 0:
		return -EIO;
	default:
		return -error;
	}
}

int levee_store_errno(int code, int error)
{
	switch (code & 0xff) {
	case SQLITE_FULL:
		return -ENOSPC;
	case SQLITE_READONLY:
		return -EROFS;
	case SQLITE_PERM:
	case SQLITE_AUTH:
		return -EACCES;
	case SQLITE_CANTOPEN:
		return error ? io_error(error) : -EACCES;
	case SQLITE_IOERR:
		return io_error(error);
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return -EBUSY;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		return -EUCLEAN;
	case SQLITE_NOMEM:
		return -ENOMEM;
	case SQLITE_TOOBIG:
		return -EFBIG;
	default:
		return -EIO;
	}
}

/*
 * The errno of what SQLite said last, not reported. Callers set errno to 0 before they call SQLite:
 * it does not keep the errno of a write that failed in COMMIT, as for a quota that is used up.
 */
static int last_error(const struct levee_store *store)
{
	int error = errno;

	if (!store->db)
		return -ENOMEM;
	if (sqlite3_system_errno(store->db) != 0)
		error = sqlite3_system_errno(store->db);
	return levee_store_errno(sqlite3_extended_errcode(store->db), error);
}

/* Report what SQLite said last. \return its errno, negative */
static int fail(const struct levee_store *store, const char *what)
{
	int ret = last_error(store);

	say(store, "%s: cannot %s: %s; %s", store->path, what,
	    store->db ? sqlite3_errmsg(store->db) : strerror(ENOMEM), remedy(ret));
	return ret;
}

/* ---- statements --------------------------------------------------------------------------- */

static int step(sqlite3_stmt *st)
{
	errno = 0;
	return sqlite3_step(st);
}

/* Run a prepared statement that gives no rows, and make it ready for the next time. */
static int run(struct levee_store *store, enum statement which)
{
	sqlite3_stmt *st = store->statement[which];
	int ret = 0;

	if (step(st) != SQLITE_DONE)
		ret = fail(store, statements[which].what);
	sqlite3_reset(st);
	sqlite3_clear_bindings(st);
	return ret;
}

/*
 * After one failure in a transaction all that follows fails, too: SQLite may have rolled back by
 * itself, and what came then would be stored alone.
 */
static int run_write(struct levee_store *store, enum statement which)
{
	int ret;

	if (store->failed) {
		sqlite3_clear_bindings(store->statement[which]);
		return store->failed;
	}
	ret = run(store, which);
	if (ret < 0 && store->began)
		store->failed = ret;
	return ret;
}

/* A column's value is bound without a copy: it must live until the statement has run. */
static void bind_text(sqlite3_stmt *st, int at, const char *text)
{
	sqlite3_bind_text(st, at, text, -1, SQLITE_STATIC);
}

static void bind_u64(sqlite3_stmt *st, int at, uint64_t value)
{
	sqlite3_bind_int64(st, at, (sqlite3_int64)value);
}

static uint64_t column_u64(sqlite3_stmt *st, int at)
{
	return (uint64_t)sqlite3_column_int64(st, at);
}

static const char *column_text(sqlite3_stmt *st, int at)
{
	const char *text = (const char *)sqlite3_column_text(st, at);

	return text ? text : "";
}

/* ---- opening ------------------------------------------------------------------------------ */

/* Make the directory of the file, one level: what is above it is the administrator's. */
static int make_directory(const struct levee_store *store)
{
	const char *slash = strrchr(store->path, '/');
	char *directory;
	int ret = 0;

	if (!slash || slash == store->path)
		return 0;
	directory = strndup(store->path, (size_t)(slash - store->path));
	if (!directory)
		return -ENOMEM;
	if (mkdir(directory, 0750) < 0 && errno != EEXIST) {
		ret = -errno;
		say(store, "%s: cannot make the directory: %s; %s", directory, strerror(-ret),
		    remedy(ret));
	}
	free(directory);
	return ret;
}

/* SQLite would make the file readable for everybody; its -wal and -shm take the mode of this. */
static int make_file(const struct levee_store *store)
{
	int fd = open(store->path, O_RDWR | O_CREAT | O_CLOEXEC | O_NONBLOCK, 0640);
	struct stat st;
	int ret;

	if (fd < 0) {
		ret = -errno;
	} else {
		ret = fstat(fd, &st) < 0 ? -errno : 0;
		if (ret == 0 && !S_ISREG(st.st_mode))
			ret = -EINVAL;
		close(fd);
	}
	if (ret < 0)
		say(store, "%s: cannot open: %s; %s", store->path,
		    ret == -EINVAL ? "not a regular file" : strerror(-ret), remedy(ret));
	return ret;
}

/* Run SQL without parameters. Not reported. \return 0; -errno */
static int execute(struct levee_store *store, const char *sql)
{
	errno = 0;
	return sqlite3_exec(store->db, sql, NULL, NULL, NULL) == SQLITE_OK ? 0 : last_error(store);
}

/* The first column of the first row. Not reported. \return 0; -errno */
static int ask(struct levee_store *store, const char *sql, sqlite3_int64 *number, char *text,
	       size_t size)
{
	sqlite3_stmt *st = NULL;
	int ret = 0;

	errno = 0;
	if (sqlite3_prepare_v2(store->db, sql, -1, &st, NULL) != SQLITE_OK ||
	    sqlite3_step(st) != SQLITE_ROW)
		ret = last_error(store);
	if (ret == 0 && number)
		*number = sqlite3_column_int64(st, 0);
	if (ret == 0 && text)
		snprintf(text, size, "%s", column_text(st, 0));
	sqlite3_finalize(st);
	return ret;
}

static int open_database(struct levee_store *store)
{
	static const char settings[] =
		"PRAGMA trusted_schema = OFF;"
		"PRAGMA cell_size_check = ON;"
		"PRAGMA journal_mode = WAL;"
		/* In WAL mode a commit outlives the process at once, the machine from the next
		 * checkpoint on; no write waits for the disk in between. */
		"PRAGMA synchronous = NORMAL;"
		"PRAGMA journal_size_limit = 4194304;";
	const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX;

	errno = 0;
	if (sqlite3_open_v2(store->path, &store->db, flags, NULL) != SQLITE_OK)
		return last_error(store);
	sqlite3_extended_result_codes(store->db, 1);
	sqlite3_busy_timeout(store->db, BUSY_MS);
	return execute(store, settings);
}

static int open_to_read(struct levee_store *store)
{
	const int flags = SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX;
	sqlite3_int64 tables = 0;
	int ret;

	errno = 0;
	if (sqlite3_open_v2(store->path, &store->db, flags, NULL) != SQLITE_OK)
		return last_error(store);
	sqlite3_extended_result_codes(store->db, 1);
	sqlite3_busy_timeout(store->db, BUSY_MS);
	ret = ask(store, "SELECT count(*) FROM sqlite_master", &tables, NULL, 0);
	if (ret == 0 && tables == 0)
		ret = -EUCLEAN; /* nothing of ours, and nothing is made here */
	return ret;
}

/* \return 0; -EUCLEAN, reported, if a page of the file is not as it should be; -errno */
static int check_database(struct levee_store *store)
{
	char verdict[256];
	int ret = ask(store, "PRAGMA quick_check(1)", NULL, verdict, sizeof(verdict));

	if (ret == 0 && strcmp(verdict, "ok") != 0) {
		say(store, "%s: damaged: %s", store->path, verdict);
		ret = -EUCLEAN;
	}
	return ret;
}

static int upgrade_from(struct levee_store *store, sqlite3_int64 version)
{
	char pragmas[96];
	int ret = 0;

	for (; ret == 0 && version < SCHEMA_VERSION; version++)
		ret = execute(store, upgrades[version]);
	snprintf(pragmas, sizeof(pragmas), "PRAGMA application_id = %d; PRAGMA user_version = %d",
		 APPLICATION_ID, SCHEMA_VERSION);
	return ret < 0 ? ret : execute(store, pragmas);
}

/*
 * Make a new file's tables, or those that an older levee did not know. Two processes that do so at
 * once: the second finds it done.
 */
static int make_schema(struct levee_store *store)
{
	sqlite3_int64 version = 0;
	int ret = execute(store, "BEGIN IMMEDIATE");

	if (ret < 0)
		return ret;
	ret = ask(store, "PRAGMA user_version", &version, NULL, 0);
	if (ret == 0 && version >= 0 && version < SCHEMA_VERSION)
		ret = upgrade_from(store, version);
	if (ret == 0)
		ret = execute(store, "COMMIT");
	if (ret < 0)
		execute(store, "ROLLBACK");
	return ret;
}

/* \return 0; -ENOTSUP or -EEXIST, reported, if the file is not for this program; -errno */
static int check_schema(struct levee_store *store)
{
	sqlite3_int64 version = 0, application = 0, tables = 0;
	int ret = ask(store, "PRAGMA user_version", &version, NULL, 0);

	if (ret == 0)
		ret = ask(store, "PRAGMA application_id", &application, NULL, 0);
	if (ret == 0)
		ret = ask(store, "SELECT count(*) FROM sqlite_master", &tables, NULL, 0);
	if (ret < 0)
		return ret;
	if (version == 0 && application == 0 && tables == 0)
		return make_schema(store);
	if (application != APPLICATION_ID) {
		say(store,
		    "%s: a database of another program; set [state] file to another place, or "
		    "remove it",
		    store->path);
		return -EEXIST;
	}
	if (version > 0 && version < SCHEMA_VERSION && store->reads_only) {
		say(store, "%s: of an older levee; `levee run` brings it up to date", store->path);
		return -ENOTSUP;
	}
	if (version > 0 && version < SCHEMA_VERSION) {
		/* An older levee's tables that are not there cannot be added to: as good as damaged. */
		ret = make_schema(store);
		return ret == -EIO ? -EUCLEAN : ret;
	}
	if (version != SCHEMA_VERSION) {
		say(store,
		    "%s: schema %lld, but this levee knows %d; install the newer levee again, or "
		    "move the file away (window and blocks then begin anew)",
		    store->path, (long long)version, SCHEMA_VERSION);
		return -ENOTSUP;
	}
	return 0;
}

static int prepare(struct levee_store *store)
{
	errno = 0;
	for (int i = 0; i < STATEMENTS; i++)
		if (sqlite3_prepare_v3(store->db, statements[i].sql, -1, SQLITE_PREPARE_PERSISTENT,
				       &store->statement[i], NULL) != SQLITE_OK)
			/* The schema says it is ours, and is not: as good as damaged. */
			return sqlite3_errcode(store->db) == SQLITE_ERROR ? -EUCLEAN
									  : last_error(store);
	return 0;
}

static void close_database(struct levee_store *store)
{
	for (int i = 0; i < STATEMENTS; i++) {
		sqlite3_finalize(store->statement[i]);
		store->statement[i] = NULL;
	}
	sqlite3_close(store->db);
	store->db = NULL;
}

/* \return 0; -EUCLEAN if the file is damaged; -errno. Reported, all but -EUCLEAN. */
static int open_any(struct levee_store *store)
{
	int ret;

	if (store->reads_only)
		return open_to_read(store);
	ret = make_file(store);
	if (ret == 0)
		ret = open_database(store);
	if (ret == 0)
		ret = check_database(store);
	return ret;
}

static int open_and_check(struct levee_store *store)
{
	int ret = open_any(store);

	if (ret == 0)
		ret = check_schema(store);
	if (ret == 0)
		ret = prepare(store);
	/* What failed before SQLite has been said. */
	if (ret < 0 && store->db && ret != -EUCLEAN && ret != -ENOTSUP && ret != -EEXIST)
		say(store, "%s: cannot open: %s; %s", store->path, sqlite3_errmsg(store->db),
		    remedy(ret));
	if (ret < 0)
		close_database(store);
	return ret;
}

static int rename_with_suffix(const char *from, const char *to, const char *suffix)
{
	char *old = NULL, *new = NULL;
	int ret = -ENOMEM;

	if (asprintf(&old, "%s%s", from, suffix) < 0)
		old = NULL;
	if (asprintf(&new, "%s%s", to, suffix) < 0)
		new = NULL;
	if (old && new)
		ret = rename(old, new) < 0 ? -errno : 0;
	free(old);
	free(new);
	return ret;
}

/* The write-ahead log goes with its file: someone may want to save what is in both. */
static int move_aside(struct levee_store *store)
{
	char *aside = NULL;
	int ret;

	if (asprintf(&aside, "%s.damaged-%lld", store->path, (long long)time(NULL)) < 0)
		return -ENOMEM;
	ret = rename_with_suffix(store->path, aside, "");
	if (ret == 0) {
		rename_with_suffix(store->path, aside, "-wal");
		rename_with_suffix(store->path, aside, "-shm");
		say(store,
		    "%s: the file is damaged or no database; it is kept as %s, and a new one is "
		    "begun: window and blocks of before are not known any more",
		    store->path, aside);
	} else {
		say(store, "%s: the file is damaged, and cannot be moved to %s: %s; %s",
		    store->path, aside, strerror(-ret), remedy(ret));
	}
	free(aside);
	return ret;
}

int levee_store_open(struct levee_store **out, const char *path, levee_store_report *report,
		     void *ctx)
{
	struct levee_store *store = calloc(1, sizeof(*store));
	int ret = -ENOMEM;

	*out = NULL;
	if (!store)
		return -ENOMEM;
	store->report = report;
	store->ctx = ctx;
	store->path = strdup(path);
	if (store->path)
		ret = make_directory(store);
	if (ret == 0)
		ret = open_and_check(store);
	if (ret == -EUCLEAN) {
		ret = move_aside(store);
		if (ret == 0)
			ret = open_and_check(store);
	}
	if (ret < 0)
		levee_store_close(&store);
	*out = store;
	return ret;
}

void levee_store_failed(struct levee_store *store, int ret)
{
	if (store->began && !store->failed)
		store->failed = ret;
}

struct sqlite3 *levee_store_database(const struct levee_store *store)
{
	return store->db;
}

int levee_store_open_to_read(struct levee_store **out, const char *path, levee_store_report *report,
			     void *ctx)
{
	struct levee_store *store = calloc(1, sizeof(*store));
	int ret;

	*out = NULL;
	if (!store)
		return -ENOMEM;
	store->report = report;
	store->ctx = ctx;
	store->reads_only = true;
	store->path = strdup(path);
	ret = store->path ? open_and_check(store) : -ENOMEM;
	if (ret == -EUCLEAN)
		say(store, "%s: it is damaged, or no state file of levee", path);
	if (ret < 0)
		levee_store_close(&store);
	*out = store;
	return ret;
}

void levee_store_close(struct levee_store **store)
{
	if (!*store)
		return;
	if ((*store)->began)
		levee_store_rollback(*store);
	close_database(*store);
	free((*store)->path);
	free(*store);
	*store = NULL;
}

/* ---- transactions ------------------------------------------------------------------------- */

/* Everything goes on working then, and is lost with the process. */
static void check_moved(struct levee_store *store)
{
	int moved = 0;

	if (sqlite3_file_control(store->db, "main", SQLITE_FCNTL_HAS_MOVED, &moved) != SQLITE_OK)
		return;
	if (moved && !store->moved)
		say(store,
		    "%s: removed or replaced while in use: a restart would not find what is "
		    "stored now; restart levee to begin a new file",
		    store->path);
	store->moved = moved != 0;
}

int levee_store_begin(struct levee_store *store)
{
	int ret;

	if (store->began)
		return -EALREADY;
	check_moved(store);
	ret = run(store, BEGIN);
	store->failed = 0;
	store->began = ret == 0;
	return ret;
}

int levee_store_commit(struct levee_store *store)
{
	int ret = store->failed;

	if (!store->began)
		return -EINVAL;
	if (ret == 0)
		ret = run(store, COMMIT);
	if (ret < 0) {
		levee_store_rollback(store);
		return ret;
	}
	store->began = false;
	return 0;
}

void levee_store_rollback(struct levee_store *store)
{
	/* SQLite has done it already after some failures, a full disk among them. */
	if (store->began && !sqlite3_get_autocommit(store->db))
		run(store, ROLLBACK);
	store->began = false;
	store->failed = 0;
}

/* ---- bins --------------------------------------------------------------------------------- */

/** What of a bin is stored as blobs. */
struct blobs {
	uint8_t *data[3]; /* candidates, histogram, measures; NULL: none */
	size_t size[3];
};

static void free_blobs(struct blobs *blobs)
{
	for (int i = 0; i < 3; i++)
		free(blobs->data[i]);
}

static int pack(const struct levee_bin_record *record, unsigned int bin_s, struct blobs *blobs)
{
	int ret;

	*blobs = (struct blobs){ 0 };
	blobs->data[0] = levee_candidates_pack(record, bin_s, &blobs->size[0]);
	ret = blobs->data[0] ? 0 : -ENOMEM;
	if (ret == 0)
		ret = levee_histogram_pack(record, &blobs->data[1], &blobs->size[1]);
	if (ret == 0)
		ret = levee_measures_pack(record, &blobs->data[2], &blobs->size[2]);
	return ret;
}

int levee_store_put_bin(struct levee_store *store, const struct levee_bin_record *record,
			unsigned int bin_s)
{
	sqlite3_stmt *st = store->statement[PUT_BIN];
	struct blobs blobs;
	int ret = pack(record, bin_s, &blobs);

	if (ret < 0) {
		free_blobs(&blobs);
		say(store, "%s: cannot store a bin: %s; %s", store->path, strerror(-ret),
		    remedy(ret));
		if (store->began && !store->failed)
			store->failed = ret;
		return ret;
	}
	sqlite3_bind_int64(st, 1, record->start_s);
	sqlite3_bind_int64(st, 2, bin_s);
	bind_u64(st, 3, record->moments.n);
	bind_u64(st, 4, (uint64_t)(record->moments.sum >> 64));
	bind_u64(st, 5, (uint64_t)record->moments.sum);
	bind_u64(st, 6, (uint64_t)(record->moments.sq >> 64));
	bind_u64(st, 7, (uint64_t)record->moments.sq);
	bind_u64(st, 8, record->min_packets);
	sqlite3_bind_int64(st, 9, record->flags);
	for (int i = 0; i < 3; i++)
		sqlite3_bind_blob64(st, 10 + i, blobs.data[i], blobs.size[i], SQLITE_STATIC);
	ret = run_write(store, PUT_BIN);
	free_blobs(&blobs);
	return ret;
}

int levee_store_prune(struct levee_store *store, int64_t begin_s)
{
	int64_t events_s = begin_s - EVENT_KEEP_S;
	int ret;

	sqlite3_bind_int64(store->statement[PRUNE_BINS], 1, begin_s);
	ret = run_write(store, PRUNE_BINS);
	if (ret < 0 || events_s <= 0)
		return ret;
	sqlite3_bind_int64(store->statement[PRUNE_EVENTS], 1, events_s * (int64_t)NS_PER_S);
	return run_write(store, PRUNE_EVENTS);
}

int levee_store_clear_bins(struct levee_store *store)
{
	sqlite3_bind_int64(store->statement[PRUNE_BINS], 1, INT64_MAX);
	return run_write(store, PRUNE_BINS);
}

static levee_u128 column_u128(sqlite3_stmt *st, int at)
{
	return (levee_u128)column_u64(st, at) << 64 | column_u64(st, at + 1);
}

/* What is damaged is reported and left out; the bin stands without it. \return 0; -ENOMEM */
static int read_extras(struct levee_store *store, sqlite3_stmt *st, struct levee_bin_record *record)
{
	const void *blob = sqlite3_column_blob(st, 9);
	int histogram, measures;

	histogram = levee_histogram_unpack(record, blob, (size_t)sqlite3_column_bytes(st, 9));
	blob = sqlite3_column_blob(st, 10);
	measures = levee_measures_unpack(record, blob, (size_t)sqlite3_column_bytes(st, 10));
	if (histogram == -EUCLEAN || measures == -EUCLEAN)
		say(store,
		    "%s: the %s of the bin that starts at %" PRId64 " is damaged and left out",
		    store->path, histogram == -EUCLEAN ? "histogram" : "record of bytes and SYNs",
		    record->start_s);
	if (histogram == -ENOMEM || measures == -ENOMEM) {
		levee_bin_record_clear(record);
		return -ENOMEM;
	}
	return 0;
}

/* \return 0 and *record, which owns its candidates; -EUCLEAN, reported; -ENOMEM */
static int read_bin(struct levee_store *store, sqlite3_stmt *st, unsigned int bin_s,
		    struct levee_bin_record *record)
{
	const char *why = NULL;
	int ret;

	*record = (struct levee_bin_record){
		.start_s = sqlite3_column_int64(st, 0),
		.moments = { .n = column_u64(st, 1),
			     .sum = column_u128(st, 2),
			     .sq = column_u128(st, 4) },
		.min_packets = column_u64(st, 6),
		.flags = (uint32_t)sqlite3_column_int64(st, 7),
	};
	/* The blob before its size: SQLite's order for both to be of the same value. */
	const void *blob = sqlite3_column_blob(st, 8);

	ret = levee_candidates_unpack(record, bin_s, blob, (size_t)sqlite3_column_bytes(st, 8),
				      &why);
	if (ret == -EUCLEAN)
		say(store, "%s: the bin that starts at %" PRId64 " is damaged (%s) and left out",
		    store->path, record->start_s, why);
	return ret == 0 ? read_extras(store, st, record) : ret;
}

int levee_store_load_bins(struct levee_store *store, unsigned int bin_s, int64_t begin_s,
			  int64_t end_s, int (*fn)(void *ctx, struct levee_bin_record *record),
			  void *ctx)
{
	sqlite3_stmt *st = store->statement[GET_BINS];
	struct levee_bin_record record;
	int code, ret = 0;

	sqlite3_bind_int64(st, 1, bin_s);
	sqlite3_bind_int64(st, 2, begin_s);
	sqlite3_bind_int64(st, 3, end_s);
	while (ret == 0 && (code = step(st)) != SQLITE_DONE) {
		if (code != SQLITE_ROW) {
			ret = fail(store, statements[GET_BINS].what);
			break;
		}
		ret = read_bin(store, st, bin_s, &record);
		if (ret == -EUCLEAN) {
			ret = 0;
			continue;
		}
		if (ret < 0)
			break;
		ret = fn(ctx, &record);
		if (ret != 0)
			levee_bin_record_clear(&record);
	}
	sqlite3_reset(st);
	return ret;
}

/* ---- blocks ------------------------------------------------------------------------------- */

int levee_store_put_block(struct levee_store *store, const struct levee_block *block,
			  const char *boot_id)
{
	sqlite3_stmt *st = store->statement[PUT_BLOCK];
	char prefix[LEVEE_PREFIX_TEXT];

	bind_text(st, 1, levee_prefix_format(&block->prefix, prefix));
	sqlite3_bind_int(st, 2, (int)block->reason);
	bind_u64(st, 3, block->created_boot_ns);
	bind_u64(st, 4, block->created_unix_ns);
	bind_u64(st, 5, block->expires_boot_ns);
	bind_u64(st, 6, block->expires_unix_ns);
	sqlite3_bind_int64(st, 7, block->last_bin_s);
	sqlite3_bind_double(st, 8, block->max_zscore);
	bind_u64(st, 9, block->max_packets);
	sqlite3_bind_int(st, 10, block->flagged);
	bind_text(st, 11, boot_id);
	sqlite3_bind_int(st, 12, (int)block->kind);
	sqlite3_bind_int64(st, 13, block->repeats);
	sqlite3_bind_int(st, 14, (int)block->measure);
	bind_u64(st, 15, block->max_value);
	sqlite3_bind_int(st, 16, block->spoofable);
	return run_write(store, PUT_BLOCK);
}

int levee_store_drop_block(struct levee_store *store, const struct levee_prefix *prefix)
{
	char text[LEVEE_PREFIX_TEXT];

	bind_text(store->statement[DROP_BLOCK], 1, levee_prefix_format(prefix, text));
	return run_write(store, DROP_BLOCK);
}

/* \return 0; -EUCLEAN, reported, if the row makes no block */
static int read_block(struct levee_store *store, sqlite3_stmt *st, struct levee_block *block)
{
	const char *prefix = column_text(st, 0);

	*block = (struct levee_block){
		.reason = (enum levee_block_reason)sqlite3_column_int(st, 1),
		.created_boot_ns = column_u64(st, 2),
		.created_unix_ns = column_u64(st, 3),
		.expires_boot_ns = column_u64(st, 4),
		.expires_unix_ns = column_u64(st, 5),
		.last_bin_s = sqlite3_column_int64(st, 6),
		.max_zscore = sqlite3_column_double(st, 7),
		.max_packets = column_u64(st, 8),
		.flagged = sqlite3_column_int(st, 9) != 0,
		.kind = (enum levee_block_kind)sqlite3_column_int(st, 11),
		.repeats = (uint32_t)sqlite3_column_int64(st, 12),
		.measure = (enum levee_measure)sqlite3_column_int(st, 13),
		.max_value = column_u64(st, 14),
		.spoofable = sqlite3_column_int(st, 15) != 0,
	};
	if (levee_prefix_parse(&block->prefix, prefix, strlen(prefix), NULL) < 0 ||
	    block->reason < LEVEE_BLOCK_ZSCORE || block->reason > LEVEE_BLOCK_TRIP ||
	    block->kind > LEVEE_KIND_LIMIT || block->measure >= LEVEE_MEASURES) {
		say(store, "%s: the block of \"%.60s\" is damaged and left out", store->path,
		    prefix);
		return -EUCLEAN;
	}
	return 0;
}

static uint64_t minus_or_zero(uint64_t a, uint64_t b)
{
	return a > b ? a - b : 0;
}

/*
 * Boot times of another boot mean nothing here: what is left is what wall time says, but no more
 * than the block's whole length, in case the clock starts in the past.
 */
static void move_to_this_boot(struct levee_block *block, const struct levee_time *now)
{
	uint64_t age = minus_or_zero(now->unix_ns, block->created_unix_ns);
	uint64_t length = minus_or_zero(block->expires_unix_ns, block->created_unix_ns);
	uint64_t left = minus_or_zero(block->expires_unix_ns, now->unix_ns);

	block->created_boot_ns = minus_or_zero(now->boot_ns, age);
	if (block->expires_boot_ns == LEVEE_NEVER)
		return;
	if (left > length)
		left = length;
	block->expires_boot_ns = now->boot_ns + left;
	block->expires_unix_ns = now->unix_ns + left;
}

/* A block that ended while nobody was there to lift it. */
static void end_block(struct levee_store *store, const struct levee_block *block,
		      const char *boot_id)
{
	struct levee_offender offender = levee_block_offence(block);

	levee_store_drop_block(store, &block->prefix);
	if (block->reason != LEVEE_BLOCK_MANUAL)
		levee_store_put_offender(store, &offender, boot_id);
}

int levee_store_load_blocks(struct levee_store *store, const char *boot_id,
			    const struct levee_time *now,
			    int (*fn)(void *ctx, const struct levee_block *block), void *ctx)
{
	sqlite3_stmt *st = store->statement[GET_BLOCKS];
	struct levee_block block;
	int code, ret = 0;

	while (ret == 0 && (code = step(st)) != SQLITE_DONE) {
		if (code != SQLITE_ROW) {
			ret = fail(store, statements[GET_BLOCKS].what);
			break;
		}
		if (read_block(store, st, &block) < 0)
			continue;
		if (strcmp(column_text(st, 10), boot_id) != 0)
			move_to_this_boot(&block, now);
		if (block.expires_boot_ns > now->boot_ns)
			ret = fn(ctx, &block);
		else
			end_block(store, &block, boot_id);
	}
	sqlite3_reset(st);
	return ret;
}

/* ---- offenders ---------------------------------------------------------------------------- */

int levee_store_put_offender(struct levee_store *store, const struct levee_offender *offender,
			     const char *boot_id)
{
	sqlite3_stmt *st = store->statement[PUT_OFFENDER];
	char prefix[LEVEE_PREFIX_TEXT];

	bind_text(st, 1, levee_prefix_format(&offender->prefix, prefix));
	sqlite3_bind_int64(st, 2, offender->blocks);
	sqlite3_bind_int64(st, 3, offender->end_boot_ns);
	bind_u64(st, 4, offender->end_unix_ns);
	bind_text(st, 5, boot_id);
	return run_write(store, PUT_OFFENDER);
}

int levee_store_drop_offender(struct levee_store *store, const struct levee_prefix *prefix)
{
	char text[LEVEE_PREFIX_TEXT];

	bind_text(store->statement[DROP_OFFENDER], 1, levee_prefix_format(prefix, text));
	return run_write(store, DROP_OFFENDER);
}

int levee_store_prune_offenders(struct levee_store *store, uint64_t before_unix_ns)
{
	int ret;

	bind_u64(store->statement[PRUNE_OFFENDERS], 1, before_unix_ns);
	ret = run_write(store, PRUNE_OFFENDERS);
	if (ret < 0)
		return ret;
	sqlite3_bind_int64(store->statement[BOUND_OFFENDERS], 1, LEVEE_OFFENDERS_MAX);
	return run_write(store, BOUND_OFFENDERS);
}

/* \return 0; -EUCLEAN, reported, if the row makes no offender */
static int read_offender(struct levee_store *store, sqlite3_stmt *st,
			 struct levee_offender *offender)
{
	const char *prefix = column_text(st, 0);

	*offender = (struct levee_offender){
		.blocks = (uint32_t)sqlite3_column_int64(st, 1),
		.end_boot_ns = sqlite3_column_int64(st, 2),
		.end_unix_ns = column_u64(st, 3),
	};
	if (levee_prefix_parse(&offender->prefix, prefix, strlen(prefix), NULL) < 0) {
		say(store, "%s: the offender \"%.60s\" is damaged and left out", store->path,
		    prefix);
		return -EUCLEAN;
	}
	return 0;
}

/* The end of another boot's block in this boot's time: before it began, as a rule. */
static int64_t this_boot(uint64_t end_unix_ns, const struct levee_time *now)
{
	__int128 end_ns = (__int128)now->boot_ns + end_unix_ns - now->unix_ns;

	return end_ns > INT64_MAX ? INT64_MAX : (int64_t)end_ns;
}

int levee_store_load_offenders(struct levee_store *store, const char *boot_id,
			       const struct levee_time *now,
			       int (*fn)(void *ctx, const struct levee_offender *offender),
			       void *ctx)
{
	sqlite3_stmt *st = store->statement[GET_OFFENDERS];
	struct levee_offender offender;
	int code, ret = 0;

	while (ret == 0 && (code = step(st)) != SQLITE_DONE) {
		if (code != SQLITE_ROW) {
			ret = fail(store, statements[GET_OFFENDERS].what);
			break;
		}
		if (read_offender(store, st, &offender) < 0)
			continue;
		if (strcmp(column_text(st, 4), boot_id) != 0)
			offender.end_boot_ns = this_boot(offender.end_unix_ns, now);
		ret = fn(ctx, &offender);
	}
	sqlite3_reset(st);
	return ret;
}

/* ---- good sources -------------------------------------------------------------------------- */

int levee_store_put_good(struct levee_store *store, const struct levee_cover_source *list, size_t n,
			 int64_t unix_s, bool known)
{
	sqlite3_stmt *st = store->statement[PUT_GOOD];
	size_t size;
	uint8_t *blob = levee_good_pack(list, n, unix_s, &size);
	int ret;

	if (!blob)
		return -ENOMEM;
	sqlite3_bind_int64(st, 1, unix_s);
	sqlite3_bind_int(st, 2, known);
	sqlite3_bind_blob64(st, 3, blob, size, SQLITE_STATIC);
	ret = run_write(store, PUT_GOOD);
	free(blob);
	return ret;
}

int levee_store_get_good(struct levee_store *store, struct levee_cover_source **list, size_t *n,
			 int64_t *unix_s, bool *known)
{
	sqlite3_stmt *st = store->statement[GET_GOOD];
	int code = step(st), ret = 0;
	const void *blob;

	*list = NULL;
	*n = 0;
	*unix_s = 0;
	*known = false;
	if (code == SQLITE_ROW) {
		*unix_s = sqlite3_column_int64(st, 0);
		blob = sqlite3_column_blob(st, 2);
		ret = levee_good_unpack(blob, (size_t)sqlite3_column_bytes(st, 2), *unix_s, list,
					n);
		*known = ret == 0 && sqlite3_column_int(st, 1) != 0;
	} else if (code != SQLITE_DONE) {
		ret = fail(store, statements[GET_GOOD].what);
	}
	sqlite3_reset(st);
	if (ret == -EUCLEAN) {
		*n = 0;
		say(store, "%s: the list of good sources is damaged and left out", store->path);
		ret = 0;
	}
	return ret;
}

/* ---- events ------------------------------------------------------------------------------- */

int levee_store_event(struct levee_store *store, uint64_t unix_ns, const char *kind,
		      const char *subject, const char *detail)
{
	sqlite3_stmt *st = store->statement[ADD_EVENT];

	bind_u64(st, 1, unix_ns);
	bind_text(st, 2, kind);
	bind_text(st, 3, subject ? subject : "");
	bind_text(st, 4, detail ? detail : "");
	return run_write(store, ADD_EVENT);
}

/* ---- the account -------------------------------------------------------------------------- */

#define FIELD(name, member)                                  \
	{                                                    \
		name, offsetof(struct levee_account, member) \
	}

/* Every field of the account, which are 64 bits each. */
static const struct {
	const char *name;
	size_t offset;
} fields[] = {
	FIELD("received", received),
	FIELD("received_bytes", received_bytes),
	FIELD("counted", outcome[LEVEE_COUNTED]),
	FIELD("dropped", outcome[LEVEE_DROPPED]),
	FIELD("allowed", outcome[LEVEE_ALLOWED]),
	FIELD("out_of_scope", outcome[LEVEE_OUT_OF_SCOPE]),
	FIELD("unparsed", outcome[LEVEE_UNPARSED]),
	FIELD("would_drop", would_drop),
	FIELD("dropped_bytes", dropped_bytes),
	FIELD("reason_0", reasons[0]),
	FIELD("not_ip", reasons[-LEVEE_NOT_IP]),
	FIELD("bad_ethernet", reasons[-LEVEE_BAD_ETHERNET]),
	FIELD("bad_vlan", reasons[-LEVEE_BAD_VLAN]),
	FIELD("bad_ipv4", reasons[-LEVEE_BAD_IPV4]),
	FIELD("bad_ipv6", reasons[-LEVEE_BAD_IPV6]),
	FIELD("port_unknown", port_unknown),
	FIELD("lost_events", lost_events),
	FIELD("evicted", evicted),
	FIELD("folded", fold.n),
	FIELD("folded_packets", fold.packets),
	FIELD("folded_bytes", fold.bytes),
	FIELD("folded_squares_lo", fold.sq_lo),
	FIELD("folded_squares_hi", fold.sq_hi),
};

#define N_FIELDS (sizeof(fields) / sizeof(fields[0]))

_Static_assert(sizeof(struct levee_account) == N_FIELDS * sizeof(uint64_t),
	       "every field of the account is in the table");

static uint64_t *account_field(struct levee_account *account, size_t i)
{
	return (uint64_t *)(void *)((char *)account + fields[i].offset);
}

int levee_store_get_account(struct levee_store *store, struct levee_account *account)
{
	sqlite3_stmt *st = store->statement[GET_ACCOUNT];
	int code, ret = 0;

	memset(account, 0, sizeof(*account));
	while ((code = step(st)) == SQLITE_ROW) {
		const char *name = column_text(st, 0);

		for (size_t i = 0; i < N_FIELDS; i++)
			if (strcmp(name, fields[i].name) == 0)
				*account_field(account, i) = column_u64(st, 1);
	}
	if (code != SQLITE_DONE)
		ret = fail(store, statements[GET_ACCOUNT].what);
	sqlite3_reset(st);
	return ret;
}

static int put_account(struct levee_store *store, struct levee_account *account)
{
	sqlite3_stmt *st = store->statement[PUT_ACCOUNT];
	int ret = 0;

	for (size_t i = 0; ret == 0 && i < N_FIELDS; i++) {
		bind_text(st, 1, fields[i].name);
		bind_u64(st, 2, *account_field(account, i));
		ret = run_write(store, PUT_ACCOUNT);
	}
	return ret;
}

int levee_store_note_epoch(struct levee_store *store, const char *name, uint64_t seq)
{
	bind_text(store->statement[PUT_EPOCH], 1, name);
	bind_u64(store->statement[PUT_EPOCH], 2, seq);
	return run_write(store, PUT_EPOCH);
}

static int add_account(struct levee_store *store, const struct levee_account *account,
		       const char *maps_id, uint64_t seq)
{
	struct levee_account sum;
	int ret;

	if (store->failed)
		return store->failed;
	ret = levee_store_get_account(store, &sum);
	if (ret < 0) {
		store->failed = ret;
		return ret;
	}
	levee_account_add(&sum, account);
	ret = put_account(store, &sum);
	if (ret == 0 && *maps_id != '\0')
		ret = levee_store_note_epoch(store, maps_id, seq);
	return ret;
}

int levee_store_account(struct levee_store *store, const struct levee_account *account,
			const char *maps_id, uint64_t seq)
{
	int ret;

	if (store->began)
		return add_account(store, account, maps_id, seq);
	/* Many rows that belong together: a transaction of its own. */
	ret = levee_store_begin(store);
	if (ret < 0)
		return ret;
	ret = add_account(store, account, maps_id, seq);
	if (ret == 0)
		return levee_store_commit(store);
	levee_store_rollback(store);
	return ret;
}

int levee_store_last_epoch(struct levee_store *store, const char *maps_id, uint64_t *seq)
{
	sqlite3_stmt *st = store->statement[GET_EPOCH];
	int code, ret = 0;

	*seq = 0;
	bind_text(st, 1, maps_id);
	code = step(st);
	if (code == SQLITE_ROW)
		*seq = column_u64(st, 0);
	else if (code != SQLITE_DONE)
		ret = fail(store, statements[GET_EPOCH].what);
	sqlite3_reset(st);
	sqlite3_clear_bindings(st);
	return ret;
}
