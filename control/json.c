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

static void put_string(FILE *out, const char *s)
{
	putc('"', out);
	for (; *s; s++) {
		unsigned char c = (unsigned char)*s;

		if (c == '"' || c == '\\')
			fprintf(out, "\\%c", c);
		else if (c < 0x20)
			fprintf(out, "\\u%04x", c);
		else
			putc(c, out);
	}
	putc('"', out);
}

static void put_name(struct levee_json *j, const char *name)
{
	if (j->has_members[j->depth])
		fputs(", ", j->out);
	j->has_members[j->depth] = true;
	if (name) {
		put_string(j->out, name);
		fputs(": ", j->out);
	}
}

static void open_level(struct levee_json *j, const char *name, bool is_array)
{
	put_name(j, name);
	assert(j->depth + 1 < LEVEE_JSON_DEPTH); /* our own code nests a few levels */
	j->depth++;
	j->is_array[j->depth] = is_array;
	j->has_members[j->depth] = false;
	putc(is_array ? '[' : '{', j->out);
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
	putc(j->is_array[j->depth] ? ']' : '}', j->out);
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
	fprintf(j->out, "%" PRIu64, value);
}

void levee_json_double(struct levee_json *j, const char *name, double value)
{
	char text[32] = "null"; /* JSON has no infinities */

	put_name(j, name);
	for (int digits = 15; isfinite(value) && digits <= 17; digits++) {
		snprintf(text, sizeof(text), "%.*g", digits, value);
		if (strtod(text, NULL) == value)
			break;
	}
	fputs(text, j->out);
}

void levee_json_bool(struct levee_json *j, const char *name, bool value)
{
	put_name(j, name);
	fputs(value ? "true" : "false", j->out);
}

void levee_json_finish(struct levee_json *j)
{
	putc('\n', j->out);
}
