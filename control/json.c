/* SPDX-License-Identifier: BSD-2-Clause */
#include "control/json.h"

#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

void levee_json_begin(struct levee_json *j, FILE *out)
{
	*j = (struct levee_json){ .out = out };
}

/* A list of ten thousand blocks is millions of bytes: the stream, which one thread has, is not locked. */
static void put_string(FILE *out, const char *s)
{
	size_t plain;

	putc_unlocked('"', out);
	for (; *s; s += plain) {
		for (plain = 0;
		     (unsigned char)s[plain] >= 0x20 && s[plain] != '"' && s[plain] != '\\';
		     plain++)
			;
		fwrite_unlocked(s, 1, plain, out);
		if (!s[plain])
			break;
		if (s[plain] == '"' || s[plain] == '\\')
			fprintf(out, "\\%c", s[plain]);
		else
			fprintf(out, "\\u%04x", (unsigned char)s[plain]);
		plain++;
	}
	putc_unlocked('"', out);
}

static void put_uint(FILE *out, uint64_t value)
{
	char text[20];
	size_t at = sizeof(text);

	do
		text[--at] = (char)('0' + value % 10);
	while ((value /= 10));
	fwrite_unlocked(text + at, 1, sizeof(text) - at, out);
}

static void put_name(struct levee_json *j, const char *name)
{
	if (j->has_members[j->depth])
		fputs_unlocked(", ", j->out);
	j->has_members[j->depth] = true;
	if (name) {
		put_string(j->out, name);
		fputs_unlocked(": ", j->out);
	}
}

static void open_level(struct levee_json *j, const char *name, bool is_array)
{
	put_name(j, name);
	assert(j->depth + 1 < LEVEE_JSON_DEPTH); /* our own code nests a few levels */
	j->depth++;
	j->is_array[j->depth] = is_array;
	j->has_members[j->depth] = false;
	putc_unlocked(is_array ? '[' : '{', j->out);
}

void levee_json_object(struct levee_json *j, const char *name)
{
	open_level(j, name, false);
}

void levee_json_array(struct levee_json *j, const char *name)
{
	open_level(j, name, true);
}

void levee_json_end(struct levee_json *j)
{
	putc_unlocked(j->is_array[j->depth] ? ']' : '}', j->out);
	j->depth--;
}

void levee_json_string(struct levee_json *j, const char *name, const char *value)
{
	put_name(j, name);
	put_string(j->out, value);
}

void levee_json_int(struct levee_json *j, const char *name, int64_t value)
{
	put_name(j, name);
	fprintf(j->out, "%" PRId64, value);
}

void levee_json_uint(struct levee_json *j, const char *name, uint64_t value)
{
	put_name(j, name);
	put_uint(j->out, value);
}

void levee_json_double(struct levee_json *j, const char *name, double value)
{
	char text[32] = "null"; /* JSON has no infinities */

	put_name(j, name);
	if (value >= 0 && value < 1e15 && value == (double)(uint64_t)value && !signbit(value)) {
		put_uint(j->out, (uint64_t)value); /* as %g would write it */
		return;
	}
	for (int digits = 15; isfinite(value) && digits <= 17; digits++) {
		snprintf(text, sizeof(text), "%.*g", digits, value);
		if (strtod(text, NULL) == value)
			break;
	}
	fputs_unlocked(text, j->out);
}

void levee_json_bool(struct levee_json *j, const char *name, bool value)
{
	put_name(j, name);
	fputs_unlocked(value ? "true" : "false", j->out);
}

void levee_json_finish(struct levee_json *j)
{
	putc('\n', j->out);
}
