/* SPDX-License-Identifier: BSD-2-Clause */
#include "control/policy/nacl.h"

#include <errno.h>

enum {
	ICMP = 1,
	TCP = 6,
	UDP = 17,
	ICMP6 = 58,
};

static bool has_ports(int protocol)
{
	return protocol == TCP || protocol == UDP;
}

static bool has_types(int protocol)
{
	return protocol == ICMP || protocol == ICMP6;
}

void levee_nacl_canon(struct levee_nacl_entry *entry)
{
	levee_prefix_canon(&entry->cidr);
	if (!has_ports(entry->protocol))
		entry->port_first = entry->port_last = 0;
	if (!has_types(entry->protocol))
		entry->icmp_type = entry->icmp_code = 0;
	/* A code without a type says nothing. */
	else if (entry->icmp_type == LEVEE_NACL_ALL)
		entry->icmp_code = LEVEE_NACL_ALL;
}

bool levee_nacl_equal(const struct levee_nacl_entry *a, const struct levee_nacl_entry *b)
{
	return a->number == b->number && a->egress == b->egress && a->action == b->action &&
	       a->protocol == b->protocol && a->icmp_type == b->icmp_type &&
	       a->icmp_code == b->icmp_code && a->port_first == b->port_first &&
	       a->port_last == b->port_last && !levee_prefix_compare(&a->cidr, &b->cidr);
}

bool levee_nacl_is_default(const struct levee_nacl_entry *entry)
{
	return entry->number > LEVEE_NACL_NUMBER_MAX;
}

bool levee_nacl_is_reserved(const struct levee_nacl_entry *entry, struct levee_nacl_range range)
{
	return !entry->egress && entry->protocol == LEVEE_NACL_ALL && entry->cidr.length &&
	       entry->number >= range.first && entry->number <= range.last;
}

bool levee_nacl_prefixes_touch(const struct levee_prefix *a, const struct levee_prefix *b)
{
	return levee_prefix_covers(a, b) || levee_prefix_covers(b, a);
}

static bool same_side(const struct levee_nacl_entry *a, const struct levee_nacl_entry *b)
{
	return a->egress == b->egress && a->cidr.family == b->cidr.family;
}

static bool either(int a, int b)
{
	return a == LEVEE_NACL_ALL || b == LEVEE_NACL_ALL || a == b;
}

bool levee_nacl_overlaps(const struct levee_nacl_entry *a, const struct levee_nacl_entry *b)
{
	if (!same_side(a, b) || !levee_nacl_prefixes_touch(&a->cidr, &b->cidr) ||
	    !either(a->protocol, b->protocol))
		return false;
	if (a->protocol != b->protocol)
		return true;
	if (has_ports(a->protocol))
		return a->port_first <= b->port_last && b->port_first <= a->port_last;
	if (has_types(a->protocol))
		return either(a->icmp_type, b->icmp_type) && either(a->icmp_code, b->icmp_code);
	return true;
}

static bool includes(int outer, int inner)
{
	return outer == LEVEE_NACL_ALL || outer == inner;
}

bool levee_nacl_covers(const struct levee_nacl_entry *outer, const struct levee_nacl_entry *inner)
{
	if (!same_side(outer, inner) || !levee_prefix_covers(&outer->cidr, &inner->cidr) ||
	    !includes(outer->protocol, inner->protocol))
		return false;
	if (outer->protocol == LEVEE_NACL_ALL)
		return true;
	if (has_ports(outer->protocol))
		return outer->port_first <= inner->port_first &&
		       outer->port_last >= inner->port_last;
	if (has_types(outer->protocol))
		return includes(outer->icmp_type, inner->icmp_type) &&
		       includes(outer->icmp_code, inner->icmp_code);
	return true;
}

int levee_nacl_by_number(const void *a, const void *b)
{
	const struct levee_nacl_entry *left = a, *right = b;

	if (left->egress != right->egress)
		return left->egress ? 1 : -1;
	return (left->number > right->number) - (left->number < right->number);
}

bool levee_nacl_mark_has(const struct levee_nacl_mark *mark, uint16_t number)
{
	for (size_t i = 0; i < mark->n; i++)
		if (mark->numbers[i] == number)
			return true;
	return false;
}

bool levee_nacl_mark_equal(const struct levee_nacl_mark *a, const struct levee_nacl_mark *b)
{
	if (a->n != b->n || a->range.first != b->range.first || a->range.last != b->range.last)
		return false;
	for (size_t i = 0; i < a->n; i++)
		if (a->numbers[i] != b->numbers[i])
			return false;
	return true;
}

bool levee_nacl_mark_claims(const struct levee_nacl_mark *mark,
			    const struct levee_nacl_entry *entry)
{
	return levee_nacl_is_reserved(entry, mark->range) &&
	       !levee_nacl_mark_has(mark, entry->number);
}

static char *put_number(char *to, unsigned int number)
{
	if (number >= 10)
		to = put_number(to, number / 10);
	*to = (char)('0' + number % 10);
	return to + 1;
}

const char *levee_nacl_mark_write(const struct levee_nacl_mark *mark,
				  char text[static LEVEE_NACL_MARK_TEXT])
{
	char *end = text;

	_Static_assert((LEVEE_NACL_MARK_MAX + 2) * 6 <= LEVEE_NACL_MARK_TEXT, "room for all");
	end = put_number(end, mark->range.first);
	*end++ = '-';
	end = put_number(end, mark->range.last);
	for (size_t i = 0; i < mark->n; i++) {
		*end++ = ':';
		end = put_number(end, mark->numbers[i]);
	}
	*end = '\0';
	return text;
}

static const char *take_number(const char *text, uint16_t *number)
{
	unsigned int value = 0;

	*number = 0;
	if (*text < '1' || *text > '9')
		return NULL;
	for (; *text >= '0' && *text <= '9'; text++) {
		value = value * 10 + (unsigned int)(*text - '0');
		if (value > LEVEE_NACL_NUMBER_MAX)
			return NULL;
	}
	*number = (uint16_t)value;
	return text;
}

static const char *take_range(const char *text, struct levee_nacl_range *range)
{
	text = take_number(text, &range->first);
	if (!text || *text++ != '-')
		return NULL;
	text = take_number(text, &range->last);
	return text && range->first <= range->last ? text : NULL;
}

int levee_nacl_mark_read(struct levee_nacl_mark *mark, const char *text)
{
	uint16_t last = 0;

	mark->n = 0;
	text = take_range(text, &mark->range);
	while (text && *text == ':' && mark->n < LEVEE_NACL_MARK_MAX) {
		uint16_t *number = &mark->numbers[mark->n++];

		text = take_number(text + 1, number);
		if (*number <= last)
			return -EINVAL;
		last = *number;
	}
	return text && !*text ? 0 : -EINVAL;
}
