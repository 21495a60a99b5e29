/* SPDX-License-Identifier: BSD-2-Clause */
/* What comes in: percent-encoding, query strings and bodies, against the tables of routes.c. */
#include "control/api/routes.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/log.h"

static int hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

int levee_api_decode(const char *text, size_t len, char *out, size_t size)
{
	size_t n = 0;

	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)text[i];

		if (c == '%') {
			if (i + 2 >= len || hex(text[i + 1]) < 0 || hex(text[i + 2]) < 0)
				return -EINVAL;
			c = (unsigned char)(hex(text[i + 1]) << 4 | hex(text[i + 2]));
			i += 2;
		}
		if (c < 0x20 || c == 0x7f || n + 1 >= size)
			return -EINVAL;
		out[n++] = (char)c;
	}
	out[n] = '\0';
	return 0;
}

static int complain(char *why, size_t size, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static int complain(char *why, size_t size, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(why, size, format, args);
	va_end(args);
	levee_log_clean(why);
	return -EINVAL;
}

static const struct levee_api_field *find(const struct levee_api_field *fields, const char *name)
{
	for (; fields && fields->name; fields++)
		if (!strcmp(fields->name, name))
			return fields;
	return NULL;
}

static int parse_uint(const struct levee_api_field *field, const char *text, uint64_t *out)
{
	size_t len = strlen(text);
	uint64_t n = 0;

	if (!len || strspn(text, "0123456789") != len)
		return -EINVAL;
	for (; *text; text++)
		if (__builtin_mul_overflow(n, 10U, &n) ||
		    __builtin_add_overflow(n, (uint64_t)(*text - '0'), &n))
			return -EINVAL;
	*out = n;
	return n < field->min || n > field->max ? -EINVAL : 0;
}

static int parse_choice(const struct levee_api_field *field, const char *text, uint64_t *out)
{
	for (*out = 0; field->choices[*out]; ++*out)
		if (!strcmp(field->choices[*out], text))
			return 0;
	return -EINVAL;
}

/* Printable UTF-8 of no more than max bytes. */
static int parse_text(const struct levee_api_field *field, const char *text, size_t len,
		      char out[static LEVEE_NOTE_TEXT])
{
	size_t step;

	if (len > field->max || len >= LEVEE_NOTE_TEXT)
		return -EINVAL;
	for (size_t i = 0; i < len; i += step) {
		step = levee_utf8_length(text + i, len - i);
		if (!step || (unsigned char)text[i] < 0x20 || text[i] == 0x7f)
			return -EINVAL;
		/* U+0080 to U+009F: control characters, too */
		if ((unsigned char)text[i] == 0xc2 && (unsigned char)text[i + 1] < 0xa0)
			return -EINVAL;
	}
	memcpy(out, text, len);
	out[len] = '\0';
	levee_log_clean(out);
	return 0;
}

static int explain(const struct levee_api_field *field, char *why, size_t size)
{
	switch (field->type) {
	case LEVEE_API_UINT:
		return complain(why, size, "%s: not a whole number from %" PRIu64 " to %" PRIu64,
				field->name, field->min, field->max);
	case LEVEE_API_BOOL:
		return complain(why, size, "%s: not true or false", field->name);
	case LEVEE_API_PREFIX:
		return complain(why, size,
				"%s: not an IPv4 or IPv6 address or prefix, such as 198.51.100.7 "
				"or 2001:db8::/32",
				field->name);
	case LEVEE_API_TEXT:
		return complain(why, size, "%s: not printable UTF-8 of at most %" PRIu64 " bytes",
				field->name, field->max);
	default:
		return complain(why, size, "%s: not one of the choices, the first of which is %s",
				field->name, field->choices[0]);
	}
}

static int parse_string(const struct levee_api_field *field, const char *text, size_t len,
			struct levee_api_value *value)
{
	switch (field->type) {
	case LEVEE_API_PREFIX:
		return levee_prefix_read(&value->prefix, text, len, NULL);
	case LEVEE_API_TEXT:
		return parse_text(field, text, len, value->text);
	case LEVEE_API_CHOICE:
		return parse_choice(field, text, &value->number);
	default:
		return -EINVAL;
	}
}

/* ---- query strings ----------------------------------------------------------------------- */

static int parse_from_query(const struct levee_api_field *field, const char *text,
			    struct levee_api_value *value)
{
	switch (field->type) {
	case LEVEE_API_UINT:
		return parse_uint(field, text, &value->number);
	case LEVEE_API_BOOL:
		value->number = !strcmp(text, "true");
		return value->number || !strcmp(text, "false") ? 0 : -EINVAL;
	default:
		return parse_string(field, text, strlen(text), value);
	}
}

static int parse_pair(const struct levee_api_field *fields, const char *pair, size_t len,
		      struct levee_api_value *values, char *why, size_t size)
{
	const char *eq = memchr(pair, '=', len);
	size_t name_len = eq ? (size_t)(eq - pair) : len;
	const struct levee_api_field *field;
	char name[64], text[512];

	if (levee_api_decode(pair, name_len, name, sizeof(name)) ||
	    (eq && levee_api_decode(eq + 1, len - name_len - 1, text, sizeof(text))))
		return complain(why, size, "the query is not well encoded, or too long");
	if (!eq)
		text[0] = '\0';
	field = find(fields, name);
	if (!field)
		return complain(why, size, "%s: there is no such parameter", name);
	if (values[field - fields].is_given)
		return complain(why, size, "%s: given twice", name);
	values[field - fields].is_given = true;
	return parse_from_query(field, text, &values[field - fields]) ? explain(field, why, size)
								      : 0;
}

static int check_required(const struct levee_api_field *fields,
			  const struct levee_api_value *values, char *why, size_t size)
{
	for (size_t i = 0; fields && fields[i].name; i++)
		if (fields[i].required && !values[i].is_given)
			return complain(why, size, "%s: missing", fields[i].name);
	return 0;
}

int levee_api_parse_query(const struct levee_api_field *fields, const char *query,
			  struct levee_api_value *values, char *why, size_t size)
{
	int ret = 0;

	while (query && *query && !ret) {
		size_t len = strcspn(query, "&");

		if (len)
			ret = parse_pair(fields, query, len, values, why, size);
		query += len + (query[len] == '&');
	}
	return ret ? ret : check_required(fields, values, why, size);
}

/* ---- bodies ------------------------------------------------------------------------------ */

static int parse_from_json(const struct levee_api_field *field, const json_t *json,
			   struct levee_api_value *value)
{
	switch (field->type) {
	case LEVEE_API_UINT:
		if (!json_is_integer(json) || json_integer_value(json) < 0)
			return -EINVAL;
		value->number = (uint64_t)json_integer_value(json);
		return value->number < field->min || value->number > field->max ? -EINVAL : 0;
	case LEVEE_API_BOOL:
		value->number = json_is_true(json);
		return json_is_boolean(json) ? 0 : -EINVAL;
	default:
		if (!json_is_string(json))
			return -EINVAL;
		return parse_string(field, json_string_value(json), json_string_length(json),
				    value);
	}
}

static int parse_members(const struct levee_api_field *fields, json_t *object,
			 struct levee_api_value *values, char *why, size_t size)
{
	const struct levee_api_field *field;
	const char *name;
	json_t *member;

	json_object_foreach(object, name, member)
	{
		field = find(fields, name);
		if (!field)
			return complain(why, size, "%.60s: there is no such member", name);
		values[field - fields].is_given = true;
		if (parse_from_json(field, member, &values[field - fields]))
			return explain(field, why, size);
	}
	return check_required(fields, values, why, size);
}

int levee_api_parse_body(const struct levee_api_field *fields, const void *body, size_t len,
			 struct levee_api_value *values, char *why, size_t size)
{
	json_error_t error;
	json_t *json;
	int ret;

	if (!len)
		return check_required(fields, values, why, size);
	json = json_loadb(body, len, JSON_REJECT_DUPLICATES, &error);
	if (!json)
		return complain(why, size, "the body is not JSON: %s", error.text);
	if (json_is_object(json))
		ret = parse_members(fields, json, values, why, size);
	else
		ret = complain(why, size, "the body is not a JSON object");
	json_decref(json);
	return ret;
}
