/* SPDX-License-Identifier: BSD-2-Clause */
#include "control/aws/isotime.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <time.h>

static bool two_digits(const char *s, int *out)
{
	if (!isdigit((unsigned char)s[0]) || !isdigit((unsigned char)s[1]))
		return false;
	*out = (s[0] - '0') * 10 + (s[1] - '0');
	return true;
}

/* "Z", "", "+02:00" or "-0330" */
static int parse_offset(const char *s, int *out_s)
{
	int hours, minutes, sign = *s == '-' ? -1 : 1;

	*out_s = 0;
	if (*s == 'Z')
		s++;
	if (!*s)
		return 0;
	if ((*s != '+' && *s != '-') || !two_digits(s + 1, &hours))
		return -EINVAL;
	s += s[3] == ':' ? 4 : 3;
	if (!two_digits(s, &minutes) || s[2] || hours > 23 || minutes > 59)
		return -EINVAL;
	*out_s = sign * (hours * 3600 + minutes * 60);
	return 0;
}

int levee_aws_time_parse(const char *text, int64_t *out_s)
{
	struct tm tm = { 0 };
	const char *rest = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);
	int offset_s;

	if (!rest)
		return -EINVAL;
	if (*rest == '.') {
		rest++;
		if (!isdigit((unsigned char)*rest))
			return -EINVAL;
		while (isdigit((unsigned char)*rest))
			rest++;
	}
	if (parse_offset(rest, &offset_s) < 0)
		return -EINVAL;
	*out_s = (int64_t)timegm(&tm) - offset_s;
	return 0;
}
