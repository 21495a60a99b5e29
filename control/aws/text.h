/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A growing piece of text with a ceiling named at birth and an error that sticks, for requests,
 * replies and whatever else may hold a secret: memory is wiped before it is given back, the old
 * copy too when the text grows.
 *
 * Add without looking, ask once at the end: levee_aws_text_error().
 */
#ifndef LEVEE_AWS_TEXT_H
#define LEVEE_AWS_TEXT_H

#include <stddef.h>

struct levee_aws_text {
	char *bytes;  /* NULL until something is added; then always followed by a NUL */
	size_t n;     /* bytes in use, the NUL not counted */
	size_t size;  /* bytes allocated */
	size_t limit; /* most bytes that n may reach */
	int error;    /* 0; -EFBIG above the limit; -ENOMEM. Once set, nothing more is added */
};

/** Empty text that may grow to `limit` bytes. Allocates nothing. */
void levee_aws_text_init(struct levee_aws_text *text, size_t limit);

void levee_aws_text_add(struct levee_aws_text *text, const void *bytes, size_t n);
void levee_aws_text_puts(struct levee_aws_text *text, const char *string);
void levee_aws_text_putc(struct levee_aws_text *text, char c);
void levee_aws_text_printf(struct levee_aws_text *text, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/**
 * Add n bytes in the percent-encoding of RFC 3986 as AWS signs it: unreserved characters stand
 * for themselves, everything else is %XX in upper case. `keep` names further characters that
 * stand for themselves ("/" in a path, "" in a query).
 */
void levee_aws_text_encode(struct levee_aws_text *text, const void *bytes, size_t n,
			   const char *keep);

/** The text as a string, "" if there is none. Valid until the text changes. */
const char *levee_aws_text_string(const struct levee_aws_text *text);

/** 0, or the first error. */
int levee_aws_text_error(const struct levee_aws_text *text);

/** Empty again and without error, wiped, the memory kept. */
void levee_aws_text_clear(struct levee_aws_text *text);

/** Wipe and free. Happy with zeroed text. */
void levee_aws_text_free(struct levee_aws_text *text);

/** Wipe a string and free it; NULL is fine. */
void levee_aws_wipe_string(char *string);

#endif
