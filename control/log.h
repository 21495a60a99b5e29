/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Logging to standard error, one line a message. Under systemd each line begins with the
 * priority that journald understands ("<4>"), elsewhere with the time and the level's name.
 */
#ifndef LEVEE_LOG_H
#define LEVEE_LOG_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum levee_log_level {
	LEVEE_LOG_ERROR,   /* something an operator must act upon */
	LEVEE_LOG_WARNING, /* protection is less than it should be, or soon will be */
	LEVEE_LOG_NOTICE,  /* a block, a release, a start, a stop */
	LEVEE_LOG_INFO,	   /* every bin */
	LEVEE_LOG_DEBUG,
};

/** Least important level that is written. Default: LEVEE_LOG_INFO. */
void levee_log_set_level(enum levee_log_level level);
bool levee_log_on(enum levee_log_level level);

/** Name of a level, and back: -1 if there is none of that name. */
const char *levee_log_level_name(enum levee_log_level level);
int levee_log_level_parse(const char *name);

/** Write one message. Control characters in it are replaced, so a message is always one line. */
void levee_log(enum levee_log_level level, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
void levee_vlog(enum levee_log_level level, const char *format, va_list args)
	__attribute__((format(printf, 2, 0)));

#define levee_error(...)   levee_log(LEVEE_LOG_ERROR, __VA_ARGS__)
#define levee_warning(...) levee_log(LEVEE_LOG_WARNING, __VA_ARGS__)
#define levee_notice(...)  levee_log(LEVEE_LOG_NOTICE, __VA_ARGS__)
#define levee_info(...)	   levee_log(LEVEE_LOG_INFO, __VA_ARGS__)
#define levee_debug(...)   levee_log(LEVEE_LOG_DEBUG, __VA_ARGS__)

/**
 * Length of the UTF-8 character at the start of n bytes: 1 to 4. 0 if there is none (RFC 3629:
 * cut short, overlong, a surrogate, above U+10FFFF). NUL and control characters have length 1 or 2.
 */
size_t levee_utf8_length(const char *text, size_t n);

/** Replace what is no printable UTF-8 (control characters, C1 and line separators included) by '?'. */
void levee_log_clean(char *text);

/**
 * A limit on one kind of message: `burst` of them, then one a `period_ns`; how many were left
 * out is said with the next. Static storage, zero but for the first two fields.
 */
struct levee_log_limit {
	uint64_t period_ns;
	unsigned int burst;
	uint64_t last_ns;
	unsigned int used;
	unsigned int left_out;
};

/**
 * May a message of this kind be written at now_ns (boot time)? Writes the "left out" line.
 * A level that is off is never allowed, and uses nothing up.
 */
bool levee_log_allowed(struct levee_log_limit *limit, enum levee_log_level level, uint64_t now_ns);

#endif
