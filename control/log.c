/* SPDX-License-Identifier: BSD-2-Clause */
#include "control/log.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* One message with its prefix. Below PIPE_BUF, so lines of several writers do not mix. */
#define LINE_BYTES 2048

static const struct {
	const char *name;
	int priority; /* of syslog(3), which journald takes from "<N>" */
} levels[] = {
	[LEVEE_LOG_ERROR] = { "error", 3 },   [LEVEE_LOG_WARNING] = { "warning", 4 },
	[LEVEE_LOG_NOTICE] = { "notice", 5 }, [LEVEE_LOG_INFO] = { "info", 6 },
	[LEVEE_LOG_DEBUG] = { "debug", 7 },
};

#define N_LEVELS (sizeof(levels) / sizeof(levels[0]))

static _Atomic int least = LEVEE_LOG_INFO;

void levee_log_set_level(enum levee_log_level level)
{
	atomic_store_explicit(&least, (int)level, memory_order_relaxed);
}

bool levee_log_on(enum levee_log_level level)
{
	return (int)level <= atomic_load_explicit(&least, memory_order_relaxed);
}

const char *levee_log_level_name(enum levee_log_level level)
{
	return (size_t)level < N_LEVELS ? levels[level].name : "unknown";
}

int levee_log_level_parse(const char *name)
{
	for (size_t i = 0; i < N_LEVELS; i++)
		if (strcmp(name, levels[i].name) == 0)
			return (int)i;
	return -1;
}

size_t levee_utf8_length(const char *text, size_t n)
{
	/* Smallest code point that needs so many bytes: below it, the form is overlong. */
	static const unsigned long smallest[] = { 0, 0, 0x80, 0x800, 0x10000 };
	const unsigned char *s = (const unsigned char *)text;
	unsigned long code;
	size_t len;

	if (n == 0)
		return 0;
	if (s[0] < 0x80)
		return 1;
	if (s[0] >= 0xc2 && s[0] <= 0xdf)
		len = 2;
	else if ((s[0] & 0xf0) == 0xe0)
		len = 3;
	else if (s[0] >= 0xf0 && s[0] <= 0xf4)
		len = 4;
	else
		return 0;
	if (len > n)
		return 0;

	code = s[0] & (0x7fU >> len);
	for (size_t i = 1; i < len; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		code = code << 6 | (s[i] & 0x3f);
	}
	if (code < smallest[len] || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff))
		return 0;
	return len;
}

/* Would this character, well-formed and of `len` bytes, disturb a terminal or end a line? */
static bool is_control(const unsigned char *s, size_t len)
{
	if (len == 1)
		return s[0] < 0x20 || s[0] == 0x7f;
	if (len == 2) /* C1: U+0080 to U+009F */
		return s[0] == 0xc2 && s[1] < 0xa0;
	/* U+2028 and U+2029, line and paragraph separator; U+202A to U+202E turn text around */
	return len == 3 && s[0] == 0xe2 && s[1] == 0x80 && s[2] >= 0xa8 && s[2] <= 0xae;
}

void levee_log_clean(char *text)
{
	size_t n = strlen(text), len;

	for (size_t i = 0; i < n; i += len) {
		len = levee_utf8_length(text + i, n - i);
		if (len == 0) {
			len = 1;
			text[i] = '?';
		} else if (is_control((const unsigned char *)text + i, len)) {
			memset(text + i, '?', len);
		}
	}
}

/*
 * systemd says in JOURNAL_STREAM which device and inode it connected to the journal. Only if
 * stderr still is that one does journald read it: a redirected one gets lines for people.
 */
static bool journal_reads(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	unsigned long long device, inode;
	struct stat st;
	char *end;

	if (!stream || fstat(STDERR_FILENO, &st) < 0)
		return false;
	device = strtoull(stream, &end, 10);
	if (*end != ':')
		return false;
	inode = strtoull(end + 1, &end, 10);
	return *end == '\0' && device == (unsigned long long)st.st_dev &&
	       inode == (unsigned long long)st.st_ino;
}

/* \return bytes written to line, less than size */
static size_t write_prefix(char *line, size_t size, enum levee_log_level level)
{
	struct timespec now;
	struct tm tm;
	int n;

	if (journal_reads()) {
		n = snprintf(line, size, "<%d>", levels[level].priority);
		return (size_t)n;
	}
	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &tm);
	n = (int)strftime(line, size, "%Y-%m-%dT%H:%M:%S", &tm);
	n += snprintf(line + n, size - (size_t)n, ".%03ldZ %s: ", now.tv_nsec / 1000000,
		      levels[level].name);
	return (size_t)n;
}

/* What cannot be written is lost: there is nobody left to tell. */
static void write_all(const char *line, size_t n)
{
	while (n > 0) {
		ssize_t done = write(STDERR_FILENO, line, n);

		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			return;
		line += done;
		n -= (size_t)done;
	}
}

void levee_vlog(enum levee_log_level level, const char *format, va_list args)
{
	static const char more[] = "...";
	int saved = errno;
	char line[LINE_BYTES];
	size_t start, room;
	int n;

	if ((size_t)level >= N_LEVELS || !levee_log_on(level))
		return;
	start = write_prefix(line, sizeof(line), level);
	room = sizeof(line) - start - 1; /* for the end of the line */
	errno = saved;			 /* for %m */
	n = vsnprintf(line + start, room, format, args);
	if (n < 0) {
		snprintf(line + start, room, "(a message that could not be formatted)");
	} else if ((size_t)n >= room) {
		memcpy(line + start + room - sizeof(more), more, sizeof(more));
	}
	levee_log_clean(line + start);
	room = strlen(line);
	line[room] = '\n';
	write_all(line, room + 1);
	errno = saved;
}

void levee_log(enum levee_log_level level, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	levee_vlog(level, format, args);
	va_end(args);
}

/* Give back one message for each period that has passed since last_ns. */
static void refill(struct levee_log_limit *limit, uint64_t now_ns)
{
	uint64_t periods;

	if (limit->used == 0 || now_ns <= limit->last_ns)
		return;
	periods = limit->period_ns ? (now_ns - limit->last_ns) / limit->period_ns : limit->used;
	if (periods >= limit->used) {
		limit->used = 0;
		return;
	}
	limit->used -= (unsigned int)periods;
	limit->last_ns += periods * limit->period_ns;
}

bool levee_log_allowed(struct levee_log_limit *limit, enum levee_log_level level, uint64_t now_ns)
{
	unsigned int burst = limit->burst ? limit->burst : 1;

	if (!levee_log_on(level))
		return false;
	refill(limit, now_ns);
	if (limit->used >= burst) {
		if (limit->left_out < UINT32_MAX)
			limit->left_out++;
		return false;
	}
	if (limit->used == 0)
		limit->last_ns = now_ns;
	limit->used++;
	if (limit->left_out) {
		levee_log(level, "%u messages like the next one were left out", limit->left_out);
		limit->left_out = 0;
	}
	return true;
}
