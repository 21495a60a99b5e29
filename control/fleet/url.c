/* SPDX-License-Identifier: BSD-2-Clause */
#include "control/fleet/url.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define DB_MAX 1023

static int refuse(const char **why, const char *reason)
{
	if (why)
		*why = reason;
	return -EINVAL;
}

/* A part of the text, of n bytes, as a string of its own. \return false if it is empty or long */
static bool take(char *out, size_t size, const char *text, size_t n)
{
	if (n == 0 || n >= size)
		return false;
	memcpy(out, text, n);
	out[n] = '\0';
	return true;
}

/* A plain decimal number without a sign. \return -1 if it is none, or above max */
static long number(const char *text, size_t n, long max)
{
	long value = 0;

	if (n == 0 || n > 6)
		return -1;
	for (size_t i = 0; i < n; i++) {
		if (!isdigit((unsigned char)text[i]))
			return -1;
		value = 10 * value + (text[i] - '0');
	}
	return value > max ? -1 : value;
}

static int parse_user(struct levee_fleet_url *url, const char **text, const char **why)
{
	size_t n = strcspn(*text, "/");
	const char *at = memchr(*text, '@', n);

	if (!at)
		return 0;
	if (memchr(*text, ':', (size_t)(at - *text)))
		return refuse(why, "a password does not belong into the URL: put it into the file "
				   "that [fleet] password_file names");
	if (!take(url->user, sizeof(url->user), *text, (size_t)(at - *text)))
		return refuse(why, "the user before @ is empty, or longer than 127 bytes");
	*text = at + 1;
	return 0;
}

static int parse_host(struct levee_fleet_url *url, const char **text, const char **why)
{
	const char *end;

	if (**text == '[') {
		end = strchr(*text, ']');
		if (!end ||
		    !take(url->host, sizeof(url->host), *text + 1, (size_t)(end - *text) - 1))
			return refuse(why, "an IPv6 address ends with ]");
		*text = end + 1;
		return 0;
	}
	end = *text + strcspn(*text, ":/");
	if (!take(url->host, sizeof(url->host), *text, (size_t)(end - *text)))
		return refuse(why, "no host, or one longer than 255 bytes");
	*text = end;
	return 0;
}

static int parse_port(struct levee_fleet_url *url, const char **text, const char **why)
{
	size_t n;

	if (**text != ':')
		return 0;
	n = strcspn(*text + 1, "/");
	if (number(*text + 1, n, 65535) <= 0)
		return refuse(why, "the port is not a number from 1 to 65535");
	take(url->port, sizeof(url->port), *text + 1, n);
	*text += 1 + n;
	return 0;
}

int levee_fleet_url_parse(struct levee_fleet_url *url, const char *text, const char **why)
{
	long db;
	int ret;

	*url = (struct levee_fleet_url){ .port = "6379" };
	if (strncmp(text, "redis://", 8) == 0)
		text += 8;
	else if (strncmp(text, "rediss://", 9) == 0)
		url->tls = true, text += 9;
	else
		return refuse(why, "does not begin with redis:// or rediss://");
	for (const char *p = text; *p; p++)
		if (!isgraph((unsigned char)*p) || strchr("?#%\"\\", *p))
			return refuse(why, "a character that an address cannot have");
	ret = parse_user(url, &text, why);
	if (!ret)
		ret = parse_host(url, &text, why);
	if (!ret)
		ret = parse_port(url, &text, why);
	if (ret)
		return ret;
	if (*text == '\0' || strcmp(text, "/") == 0)
		return 0;
	db = *text == '/' ? number(text + 1, strlen(text + 1), DB_MAX) : -1;
	if (db < 0)
		return refuse(why, "after the host only :PORT and /DB, a number, are accepted");
	url->db = (unsigned int)db;
	return 0;
}
