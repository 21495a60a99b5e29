/* SPDX-License-Identifier: BSD-2-Clause */
#include "control/policy/nacl.h"

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
