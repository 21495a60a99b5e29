/* SPDX-License-Identifier: BSD-2-Clause */
#include "control/store/running.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control/log.h"
#include "control/store/blob.h"

#define MAGIC	    "LVRUN1\n"
#define HEAD_BYTES  128
#define SUM_AT	    16 /* of the head; it covers what follows */
#define BOOT_AT	    64
#define BOOT_BYTES  40
#define MAPS_AT	    104
#define BUFFER	    65536
#define SOURCE_MAX  (1 + 1 + 16 + 3 * 10) /* bytes of one at most */
#define PART_MAX    (1ULL << 40)
#define IS_V6	    1U
#define IS_ANSWERED 2U
#define HAS_SYNS    4U

/* Account and fold are numbers of 64 bits and nothing else; they are stored in their order. */
#define ACCOUNT_WORDS (sizeof(struct levee_account) / 8)
#define FOLD_WORDS    (sizeof(struct levee_fold) / 8)
#define WORDS	      (ACCOUNT_WORDS + FOLD_WORDS)
_Static_assert(sizeof(struct levee_account) % 8 == 0, "an account is numbers of 64 bits");
_Static_assert(WORDS * 8 + SOURCE_MAX <= BUFFER, "what begins a part fits the buffer");

struct levee_running {
	char *path, *path_new;
	char boot_id[BOOT_BYTES];
	int fd;
	uint64_t size; /* of the parts that count */

	/* the part that is being written */
	int part_fd;	  /* fd, or that of a file that is to take its place; -1: none */
	uint64_t begin;	  /* where it begins in there */
	uint64_t written; /* bytes of it before those in the buffer */
	uint64_t n_sources;
	int failed;
	size_t used;
	uint8_t buffer[BUFFER];

	levee_store_report *report;
	void *ctx;
};

static void say(const struct levee_running *f, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static void say(const struct levee_running *f, const char *format, ...)
{
	char message[1024];
	va_list args;

	if (!f->report)
		return;
	va_start(args, format);
	vsnprintf(message, sizeof(message), format, args);
	va_end(args);
	levee_log_clean(message);
	f->report(f->ctx, message);
}

/* ---- opening ----------------------------------------------------------------------------- */

/* Nobody else may read who sends to us, and a link that somebody put there is not followed. */
static int open_file(const char *path, int flags)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | flags, 0640);
	struct stat st;

	if (fd < 0)
		return -errno;
	if (!fstat(fd, &st) && S_ISREG(st.st_mode))
		return fd;
	close(fd);
	return -EINVAL;
}

int levee_running_open(struct levee_running **out, const char *state_path, const char *boot_id,
		       levee_store_report *report, void *ctx)
{
	struct levee_running *f = calloc(1, sizeof(*f));
	struct stat st;
	int ret = -ENOMEM;

	*out = NULL;
	if (!f)
		return -ENOMEM;
	f->fd = f->part_fd = -1;
	f->report = report;
	f->ctx = ctx;
	snprintf(f->boot_id, sizeof(f->boot_id), "%s", boot_id);
	if (asprintf(&f->path, "%s.running", state_path) < 0)
		f->path = NULL;
	if (asprintf(&f->path_new, "%s.running.new", state_path) < 0)
		f->path_new = NULL;
	if (f->path && f->path_new)
		ret = f->fd = open_file(f->path, 0);
	if (ret >= 0 && fstat(f->fd, &st))
		ret = -errno;
	if (ret < 0) {
		say(f,
		    "%s: cannot open: %s; what is drained before a bin's close is not kept over a "
		    "restart",
		    f->path ? f->path : state_path, strerror(-ret));
		levee_running_close(&f);
		return ret;
	}
	unlink(f->path_new);
	f->size = (uint64_t)st.st_size;
	*out = f;
	return 0;
}

static void forget_part(struct levee_running *f)
{
	if (f->part_fd >= 0 && f->part_fd != f->fd) {
		close(f->part_fd);
		unlink(f->path_new);
	}
	f->part_fd = -1;
}

void levee_running_close(struct levee_running **running)
{
	struct levee_running *f = *running;

	*running = NULL;
	if (!f)
		return;
	forget_part(f);
	if (f->fd >= 0)
		close(f->fd);
	free(f->path);
	free(f->path_new);
	free(f);
}

/* ---- writing ----------------------------------------------------------------------------- */

static int write_at(int fd, const uint8_t *data, size_t size, uint64_t at)
{
	while (size) {
		ssize_t n = pwrite(fd, data, size, (off_t)at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n ? -errno : -EIO;
		data += n;
		size -= (size_t)n;
		at += (uint64_t)n;
	}
	return 0;
}

static void flush(struct levee_running *f)
{
	if (!f->failed)
		f->failed = write_at(f->part_fd, f->buffer, f->used, f->begin + f->written);
	f->written += f->used;
	f->used = 0;
}

static void begin_part(struct levee_running *f, uint64_t begin)
{
	f->begin = begin;
	f->written = HEAD_BYTES + WORDS * 8; /* they follow with the end */
	f->n_sources = 0;
	f->failed = 0;
	f->used = 0;
}

void levee_running_begin(struct levee_running *f)
{
	forget_part(f);
	f->part_fd = f->fd;
	begin_part(f, f->size);
}

void levee_running_begin_whole(struct levee_running *f)
{
	int fd;

	forget_part(f);
	fd = open_file(f->path_new, O_TRUNC);
	f->part_fd = fd < 0 ? -1 : fd;
	begin_part(f, 0);
	if (fd < 0)
		f->failed = fd;
}

static uint8_t *put_number(uint8_t *at, uint64_t value)
{
	while (value >= 0x80) {
		*at++ = (uint8_t)(value | 0x80);
		value >>= 7;
	}
	*at++ = (uint8_t)value;
	return at;
}

static uint8_t *put_le(uint8_t *at, uint64_t value, unsigned int bytes)
{
	for (unsigned int i = 0; i < bytes; i++)
		*at++ = (uint8_t)(value >> (8 * i));
	return at;
}

void levee_running_source(struct levee_running *f, const struct levee_prefix *source,
			  const struct levee_counts *counts)
{
	unsigned int flags = (source->family == 6 ? IS_V6 : 0) |
			     (counts->answered ? IS_ANSWERED : 0) | (counts->syns ? HAS_SYNS : 0);
	uint8_t *at;

	if (f->used + SOURCE_MAX > sizeof(f->buffer))
		flush(f);
	at = f->buffer + f->used;
	*at++ = (uint8_t)flags;
	if (flags & IS_V6) {
		*at++ = source->length;
		at = put_le(at, source->hi, 8);
		if (source->length > 64)
			at = put_le(at, source->lo, 8);
	} else {
		at = put_le(at, source->hi, 4);
	}
	at = put_number(at, counts->packets);
	at = put_number(at, counts->bytes);
	if (flags & HAS_SYNS)
		at = put_number(at, counts->syns);
	f->used = (size_t)(at - f->buffer);
	f->n_sources++;
}

static void put_words(uint8_t *at, const struct levee_running_part *part)
{
	uint64_t words[WORDS];

	memcpy(words, &part->account, sizeof(part->account));
	memcpy(words + ACCOUNT_WORDS, &part->fold, sizeof(part->fold));
	for (size_t i = 0; i < WORDS; i++)
		levee_put_le64(at + 8 * i, words[i]);
}

static void put_head(const struct levee_running *f, uint8_t head[static HEAD_BYTES],
		     const struct levee_running_part *part)
{
	memset(head, 0, HEAD_BYTES);
	memcpy(head, MAGIC, sizeof(MAGIC));
	levee_put_le64(head + 8, f->written);
	levee_put_le64(head + 24, part->bin_id);
	levee_put_le64(head + 32, (uint64_t)part->bin_start_s);
	levee_put_le64(head + 40, part->seq);
	levee_put_le64(head + 48, f->n_sources);
	levee_put_le64(head + 56, WORDS);
	memcpy(head + BOOT_AT, f->boot_id, BOOT_BYTES);
	memcpy(head + MAPS_AT, part->maps_id, HEAD_BYTES - MAPS_AT);
	levee_put_le64(head + SUM_AT,
		       levee_fnv(LEVEE_FNV_BEGIN, head + SUM_AT + 8, HEAD_BYTES - SUM_AT - 8));
}

/* Made shorter, or not: what is behind its size has no head that counts. */
static void cut(struct levee_running *f, uint64_t size)
{
	f->size = size;
	if (ftruncate(f->fd, (off_t)size))
		say(f, "%s: cannot be cut to %llu bytes: %s", f->path, (unsigned long long)size,
		    strerror(errno));
}

/* The new file takes the place of the old one. */
static int take_place(struct levee_running *f)
{
	if (rename(f->path_new, f->path))
		return -errno;
	close(f->fd);
	f->fd = f->part_fd;
	return 0;
}

int levee_running_end(struct levee_running *f, const struct levee_running_part *part)
{
	uint8_t head[HEAD_BYTES + WORDS * 8];

	flush(f);
	put_words(head + HEAD_BYTES, part);
	put_head(f, head, part);
	if (!f->failed)
		f->failed = write_at(f->part_fd, head + HEAD_BYTES, WORDS * 8,
				     f->begin + HEAD_BYTES);
	if (!f->failed)
		f->failed = write_at(f->part_fd, head, HEAD_BYTES, f->begin);
	if (!f->failed && f->part_fd != f->fd)
		f->failed = take_place(f);
	if (f->failed) {
		if (f->part_fd == f->fd)
			cut(f, f->begin);
		forget_part(f);
		return f->failed;
	}
	f->size = f->begin + f->written;
	f->part_fd = -1;
	return 0;
}

uint64_t levee_running_size(const struct levee_running *f)
{
	return f->size;
}

void levee_running_clear(struct levee_running *f)
{
	if (f->size)
		cut(f, 0);
}

/* ---- reading ----------------------------------------------------------------------------- */

/* The bytes of one part, from a file that may be anything. */
struct reader {
	const struct levee_running *f;
	uint64_t at, end; /* in the file, of what is not yet in the buffer */
	const uint8_t *next, *limit;
	uint8_t buffer[BUFFER];
};

static void refill(struct reader *in)
{
	size_t left = (size_t)(in->limit - in->next), want;
	ssize_t n;

	memmove(in->buffer, in->next, left);
	want = sizeof(in->buffer) - left;
	if (want > in->end - in->at)
		want = (size_t)(in->end - in->at);
	n = want ? pread(in->f->fd, in->buffer + left, want, (off_t)in->at) : 0;
	in->next = in->buffer;
	in->limit = in->buffer + left + (n > 0 ? n : 0);
	in->at += n > 0 ? (uint64_t)n : 0;
}

static bool get_number(const uint8_t **at, const uint8_t *limit, uint64_t *value)
{
	*value = 0;
	for (unsigned int shift = 0; shift < 64 && *at < limit; shift += 7) {
		uint8_t byte = *(*at)++;

		if (shift == 63 && byte > 1)
			return false;
		*value |= (uint64_t)(byte & 0x7f) << shift;
		if (!(byte & 0x80))
			return true;
	}
	return false;
}

static uint64_t get_le(const uint8_t *at, unsigned int bytes)
{
	uint64_t value = 0;

	for (unsigned int i = 0; i < bytes; i++)
		value |= (uint64_t)at[i] << (8 * i);
	return value;
}

static bool get_address(struct reader *in, bool is_v6, struct levee_prefix *source)
{
	size_t left = (size_t)(in->limit - in->next);
	struct levee_prefix canon;
	unsigned int bytes;

	if (!is_v6) {
		if (left < 4)
			return false;
		*source = (struct levee_prefix){ .hi = get_le(in->next, 4),
						 .family = 4,
						 .length = 32 };
		in->next += 4;
		return true;
	}
	if (left < 1)
		return false;
	*source = (struct levee_prefix){ .family = 6, .length = *in->next++ };
	bytes = source->length > 64 ? 16 : 8;
	if (source->length > 128 || left < 1 + bytes)
		return false;
	source->hi = get_le(in->next, 8);
	source->lo = bytes > 8 ? get_le(in->next + 8, 8) : 0;
	in->next += bytes;
	canon = *source;
	levee_prefix_canon(&canon);
	return !levee_prefix_compare(&canon, source);
}

static bool get_source(struct reader *in, struct levee_prefix *source, struct levee_counts *counts)
{
	unsigned int flags;

	if (in->limit - in->next < SOURCE_MAX)
		refill(in);
	if (in->next == in->limit)
		return false;
	flags = *in->next++;
	*counts = (struct levee_counts){ .answered = flags & IS_ANSWERED };
	return flags <= (IS_V6 | IS_ANSWERED | HAS_SYNS) &&
	       get_address(in, flags & IS_V6, source) &&
	       get_number(&in->next, in->limit, &counts->packets) &&
	       get_number(&in->next, in->limit, &counts->bytes) &&
	       (!(flags & HAS_SYNS) || get_number(&in->next, in->limit, &counts->syns));
}

static bool is_whole(const struct levee_running *f, const uint8_t head[static HEAD_BYTES],
		     uint64_t begin)
{
	uint64_t bytes = levee_get_le64(head + 8);

	return !memcmp(head, MAGIC, sizeof(MAGIC)) && levee_get_le64(head + 56) == WORDS &&
	       bytes >= HEAD_BYTES + WORDS * 8 && bytes <= f->size - begin &&
	       levee_get_le64(head + SUM_AT) ==
		       levee_fnv(LEVEE_FNV_BEGIN, head + SUM_AT + 8, HEAD_BYTES - SUM_AT - 8);
}

static void get_part(const uint8_t *head, struct levee_running_part *part)
{
	uint64_t words[WORDS] = { 0 };

	*part = (struct levee_running_part){ .bin_id = levee_get_le64(head + 24),
					     .bin_start_s = (int64_t)levee_get_le64(head + 32),
					     .seq = levee_get_le64(head + 40) };
	memcpy(part->maps_id, head + MAPS_AT, sizeof(part->maps_id));
	part->maps_id[sizeof(part->maps_id) - 1] = '\0';
	for (size_t i = 0; i < WORDS; i++)
		words[i] = levee_get_le64(head + HEAD_BYTES + 8 * i);
	memcpy(&part->account, words, sizeof(part->account));
	memcpy(&part->fold, words + ACCOUNT_WORDS, sizeof(part->fold));
}

/* Every source is looked at before the first is handed out: a part counts whole or not at all. */
static int read_sources(struct reader *in, uint64_t begin, uint64_t bytes, uint64_t n,
			const struct levee_sink *sink)
{
	struct levee_prefix source;
	struct levee_counts counts;
	int ret = 0;

	in->at = begin + HEAD_BYTES + WORDS * 8;
	in->end = begin + bytes;
	in->next = in->limit = in->buffer;
	for (uint64_t i = 0; i < n && !ret; i++) {
		if (!get_source(in, &source, &counts))
			return -EUCLEAN;
		if (sink)
			ret = sink->source(sink->ctx, &source, &counts);
	}
	return ret ? ret : in->next != in->limit || in->at != in->end ? -EUCLEAN : 0;
}

static int load_part(struct levee_running *f, struct reader *in, uint64_t *begin,
		     int (*fn)(void *ctx, const struct levee_running_part *part),
		     const struct levee_sink *sink)
{
	uint8_t head[HEAD_BYTES + WORDS * 8];
	struct levee_running_part part;
	uint64_t bytes, n;
	int ret;

	if (pread(f->fd, head, sizeof(head), (off_t)*begin) != (ssize_t)sizeof(head) ||
	    !is_whole(f, head, *begin))
		return -EUCLEAN;
	bytes = levee_get_le64(head + 8);
	n = levee_get_le64(head + 48);
	if (memcmp(head + BOOT_AT, f->boot_id, BOOT_BYTES) != 0) {
		*begin += bytes;
		return 0;
	}
	ret = read_sources(in, *begin, bytes, n, NULL);
	if (ret)
		return ret;
	get_part(head, &part);
	ret = fn(sink->ctx, &part);
	if (!ret)
		ret = read_sources(in, *begin, bytes, n, sink);
	*begin += bytes;
	return ret < 0 ? ret : 0;
}

int levee_running_load(struct levee_running *f,
		       int (*fn)(void *ctx, const struct levee_running_part *part),
		       const struct levee_sink *sink)
{
	struct reader *in = malloc(sizeof(*in));
	uint8_t head[8] = { 0 };
	uint64_t begin = 0;
	int ret = in ? 0 : -ENOMEM;

	if (in)
		in->f = f;
	while (!ret && begin < f->size)
		ret = load_part(f, in, &begin, fn, sink);
	free(in);
	if (ret != -EUCLEAN)
		return ret;
	/* A part without its head is one that a process was killed in: it is still elsewhere. */
	if (pread(f->fd, head, sizeof(head), (off_t)begin) > 0 && levee_get_le64(head))
		say(f,
		    "%s: damaged from byte %llu on: what was drained of the running bin is short",
		    f->path, (unsigned long long)begin);
	cut(f, begin);
	return 0;
}
