/* SPDX-License-Identifier: BSD-2-Clause */
#include "dataplane/offline/offline_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#define LINE_BYTES  4096 /* longest line, without its end */
#define FIELDS	    4
#define PACKETS_MAX (1ULL << 48)
#define BYTES_MAX   ((1ULL << 63) - 1)
#define EXCERPT	    48 /* of a bad value, in messages */

struct field {
	const char *text;
	size_t len;
};

/* A value for people: short, and without what could disturb a terminal. */
static const char *excerpt(const struct field *f, char text[static EXCERPT + 4])
{
	size_t n = f->len < EXCERPT ? f->len : EXCERPT;

	for (size_t i = 0; i < n; i++)
		text[i] = f->text[i] >= ' ' && f->text[i] <= '~' ? f->text[i] : '?';
	memcpy(text + n, f->len > n ? "..." : "", f->len > n ? 4 : 1);
	return text;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

static void trim(struct field *f)
{
	while (f->len && is_blank(f->text[0])) {
		f->text++;
		f->len--;
	}
	while (f->len && is_blank(f->text[f->len - 1]))
		f->len--;
}

/* Split at commas into at most FIELDS fields. \return how many fields there are in all */
static size_t split(const struct field *line, struct field fields[static FIELDS])
{
	const char *at = line->text, *end = at + line->len;
	size_t n = 0;

	for (;;) {
		const char *comma = memchr(at, ',', (size_t)(end - at));
		const char *stop = comma ? comma : end;

		if (n < FIELDS) {
			fields[n] = (struct field){ at, (size_t)(stop - at) };
			trim(&fields[n]);
		}
		n++;
		if (!comma)
			return n;
		at = comma + 1;
	}
}

/* A plain decimal integer from 0 to max. */
static int parse_integer(const char *text, size_t len, uint64_t max, uint64_t *value)
{
	uint64_t v = 0;

	if (!len)
		return -EINVAL;
	for (size_t i = 0; i < len; i++) {
		unsigned int digit = (unsigned int)(unsigned char)text[i] - '0';

		if (digit > 9)
			return -EINVAL;
		if (__builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, digit, &v))
			v = UINT64_MAX; /* stays there, or overflows again */
	}
	if (v > max)
		return -ERANGE;
	*value = v;
	return 0;
}

/* Seconds with up to nine decimals, to the nanosecond; floating point would lose the last ones. */
static int parse_time(const struct field *f, uint64_t *unix_ns)
{
	const char *point = memchr(f->text, '.', f->len);
	size_t whole = point ? (size_t)(point - f->text) : f->len;
	size_t decimals = point ? f->len - whole - 1 : 0;
	uint64_t seconds, ns = 0;
	int ret;

	ret = parse_integer(f->text, whole, LEVEE_OFFLINE_TIME_END_S - 1, &seconds);
	if (ret)
		return ret;
	if (point) {
		if (decimals > 9 || parse_integer(point + 1, decimals, LEVEE_NS_PER_S - 1, &ns))
			return -EINVAL;
		for (; decimals < 9; decimals++)
			ns *= 10;
	}
	*unix_ns = seconds * LEVEE_NS_PER_S + ns;
	return 0;
}

static void bad_line(struct levee_offline *o, const char *what)
{
	levee_offline_defect(o, "%s:%" PRIu64 ": %s; the line is skipped", o->name, o->lines, what);
}

static int bad_value(struct levee_offline *o, const char *name, const struct field *value,
		     const char *what)
{
	char text[EXCERPT + 4];

	levee_offline_defect(o, "%s:%" PRIu64 ": %s \"%s\": %s; the line is skipped", o->name,
			     o->lines, name, excerpt(value, text), what);
	return -EINVAL;
}

static int read_source(struct levee_offline *o, const struct field *f, struct levee_record *r)
{
	const char *why = NULL;
	struct levee_prefix p;

	if (levee_prefix_read(&p, f->text, f->len, &why))
		return bad_value(o, "source", f, why);
	if (p.length != (p.family == 4 ? 32 : 128))
		return bad_value(o, "source", f, "one address is expected, not a prefix");
	r->hi = p.hi;
	r->lo = p.lo;
	r->family = p.family;
	return 0;
}

static int read_fields(struct levee_offline *o, const struct field *f, size_t n,
		       struct levee_record *r)
{
	int ret = parse_time(&f[0], &r->unix_ns);

	if (ret == -ERANGE)
		return bad_value(o, "time", &f[0],
				 "above 9223372035, the year 2262; seconds since 1970 are "
				 "expected, not milliseconds");
	if (ret)
		return bad_value(o, "time", &f[0],
				 "seconds since 1970 are expected, with up to nine decimals, as in "
				 "1700000000.25");
	ret = read_source(o, &f[1], r);
	if (ret)
		return ret;
	if (parse_integer(f[2].text, f[2].len, PACKETS_MAX, &r->packets))
		return bad_value(o, "packets", &f[2],
				 "an integer from 0 to 281474976710656 is expected");
	r->bytes = 0;
	if (n == FIELDS && parse_integer(f[3].text, f[3].len, BYTES_MAX, &r->bytes))
		return bad_value(o, "bytes", &f[3],
				 "an integer from 0 to 9223372036854775807 is expected");
	if (!r->packets && r->bytes)
		return bad_value(o, "bytes", &f[3], "no packets, so there can be no bytes");
	return 0;
}

static bool field_is(const struct field *f, const char *word)
{
	return f->len == strlen(word) && !memcmp(f->text, word, f->len);
}

static bool is_heading(const struct field *f, size_t n)
{
	return (n == 3 || n == 4) && field_is(&f[0], "time_unix_s") && field_is(&f[1], "source") &&
	       field_is(&f[2], "packets") && (n == 3 || field_is(&f[3], "bytes"));
}

/* \return 1 and *record filled; 0: nothing in this line, or nothing good */
static int read_line(struct levee_offline *o, const struct field *whole,
		     struct levee_record *record)
{
	struct field line = *whole, fields[FIELDS];
	bool first = !o->csv_begun;
	size_t n;

	trim(&line);
	if (!line.len || line.text[0] == '#')
		return 0;
	o->csv_begun = true;
	n = split(&line, fields);
	if (first && is_heading(fields, n))
		return 0;
	if (n != 3 && n != 4) {
		char what[96];

		snprintf(what, sizeof(what), "%zu field%s where 3 or 4 are expected: %s", n,
			 n == 1 ? "" : "s", "time_unix_s,source,packets[,bytes]");
		bad_line(o, what);
		return 0;
	}
	record->frame = NULL;
	record->number = o->lines;
	return !read_fields(o, fields, n, record);
}

/* What is left of a line that is longer than any good one. */
static void skip_line(struct levee_input *in)
{
	for (;;) {
		char *at = (char *)in->buffer + in->at;
		char *end = memchr(at, '\n', in->end - in->at);

		if (end) {
			in->at += (size_t)(end - at) + 1;
			return;
		}
		in->at = in->end;
		levee_input_fill(in);
		if (in->at == in->end)
			return;
	}
}

/* \return 1 and *line, valid until the next call; 0 at the end */
static int next_line(struct levee_offline *o, struct field *line)
{
	struct levee_input *in = &o->input;

	for (;;) {
		size_t have = in->end - in->at;
		size_t most = have < LINE_BYTES + 1 ? have : LINE_BYTES + 1;
		const char *at = (char *)in->buffer + in->at;
		const char *end = memchr(at, '\n', most);

		if (!end && most > LINE_BYTES) {
			o->lines++;
			o->csv_begun = true;
			bad_line(o, "longer than 4096 bytes");
			skip_line(in);
			continue;
		}
		if (!end && !in->at_end) {
			levee_input_fill(in);
			continue;
		}
		if (!end && !have)
			return 0;
		o->lines++;
		*line = (struct field){ at, end ? (size_t)(end - at) : have };
		in->at += line->len + (end ? 1 : 0);
		return 1;
	}
}

static int csv_read(struct levee_offline *o, struct levee_record *record)
{
	struct field line;

	while (next_line(o, &line))
		if (read_line(o, &line, record))
			return 1;
	if (o->input.error)
		levee_offline_defect(o, "%s: reading failed behind line %" PRIu64 ": %s", o->name,
				     o->lines, strerror(o->input.error));
	return 0;
}

static int csv_begin(struct levee_offline *o)
{
	struct levee_input *in = &o->input;

	/* The byte order mark that spreadsheets put before UTF-8. */
	if (levee_input_peek(in, 3) == 3 && !memcmp(in->buffer + in->at, "\xef\xbb\xbf", 3))
		in->at += 3;
	return 0;
}

static void csv_end(struct levee_offline *o)
{
	(void)o;
}

const struct levee_format levee_format_csv = {
	.unit = "line",
	.late_ns = 0,
	.open = csv_begin,
	.next = csv_read,
	.close = csv_end,
};
