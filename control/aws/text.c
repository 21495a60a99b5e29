/* SPDX-License-Identifier: BSD-2-Clause */
#include "control/aws/text.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#define FIRST_BYTES 256

void levee_aws_text_init(struct levee_aws_text *text, size_t limit)
{
	*text = (struct levee_aws_text){ .limit = limit };
}

/* Not realloc(): what it leaves behind when it moves a block is not wiped. */
static bool grow(struct levee_aws_text *text, size_t need)
{
	size_t size = text->size ? text->size : FIRST_BYTES;
	char *bytes;

	while (size < need)
		size *= 2;
	bytes = malloc(size);
	if (!bytes) {
		text->error = -ENOMEM;
		return false;
	}
	if (text->bytes) {
		memcpy(bytes, text->bytes, text->n + 1);
		OPENSSL_cleanse(text->bytes, text->size);
		free(text->bytes);
	}
	text->bytes = bytes;
	text->size = size;
	return true;
}

/* Is there room for n bytes more, and the NUL? */
static bool reserve(struct levee_aws_text *text, size_t n)
{
	if (text->error)
		return false;
	if (n > text->limit - text->n) {
		text->error = -EFBIG;
		return false;
	}
	return text->n + n + 1 <= text->size || grow(text, text->n + n + 1);
}

void levee_aws_text_add(struct levee_aws_text *text, const void *bytes, size_t n)
{
	if (!reserve(text, n))
		return;
	if (n)
		memcpy(text->bytes + text->n, bytes, n);
	text->n += n;
	text->bytes[text->n] = '\0';
}

void levee_aws_text_puts(struct levee_aws_text *text, const char *string)
{
	levee_aws_text_add(text, string, strlen(string));
}

void levee_aws_text_putc(struct levee_aws_text *text, char c)
{
	levee_aws_text_add(text, &c, 1);
}

void levee_aws_text_printf(struct levee_aws_text *text, const char *format, ...)
{
	va_list args, again;
	int n;

	va_start(args, format);
	va_copy(again, args);
	n = vsnprintf(NULL, 0, format, args);
	va_end(args);
	if (n < 0)
		text->error = text->error ? text->error : -EINVAL;
	else if (reserve(text, (size_t)n)) {
		vsnprintf(text->bytes + text->n, (size_t)n + 1, format, again);
		text->n += (size_t)n;
	}
	va_end(again);
}

static bool unreserved(unsigned char c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
	       c == '-' || c == '.' || c == '_' || c == '~';
}

void levee_aws_text_encode(struct levee_aws_text *text, const void *bytes, size_t n,
			   const char *keep)
{
	static const char digits[] = "0123456789ABCDEF";
	const unsigned char *c = bytes;

	for (size_t i = 0; i < n; i++) {
		if (unreserved(c[i]) || (c[i] != '\0' && strchr(keep, c[i]))) {
			levee_aws_text_putc(text, (char)c[i]);
		} else {
			char code[3] = { '%', digits[c[i] >> 4], digits[c[i] & 15] };

			levee_aws_text_add(text, code, sizeof(code));
		}
	}
}

const char *levee_aws_text_string(const struct levee_aws_text *text)
{
	return text->bytes ? text->bytes : "";
}

int levee_aws_text_error(const struct levee_aws_text *text)
{
	return text->error;
}

void levee_aws_text_clear(struct levee_aws_text *text)
{
	if (text->bytes)
		OPENSSL_cleanse(text->bytes, text->size);
	text->n = 0;
	text->error = 0;
}

void levee_aws_text_free(struct levee_aws_text *text)
{
	levee_aws_text_clear(text);
	free(text->bytes);
	levee_aws_text_init(text, text->limit);
}

void levee_aws_wipe_string(char *string)
{
	if (string)
		OPENSSL_cleanse(string, strlen(string));
	free(string);
}
