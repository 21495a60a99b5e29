/* SPDX-License-Identifier: BSD-2-Clause */
#include "dataplane/prefix.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <levee/policy.h>

void levee_prefix_canon(struct levee_prefix *p)
{
	if (p->family == 4) {
		p->hi &= levee_mask4(p->length);
		p->lo = 0;
		return;
	}
	p->hi &= levee_mask6_hi(p->length);
	p->lo &= levee_mask6_lo(p->length);
}

/*
 * Four decimal numbers. Stricter than inet_aton(), to which 010 is eight and 1.2.3 is 1.2.0.3: a
 * list of addresses must not depend on who reads it.
 */
static const char *parse_ipv4(struct levee_prefix *p, const char *text, const char *end)
{
	uint32_t addr = 0;

	for (int i = 0; i < 4; i++) {
		const char *first = text;
		uint32_t number = 0;

		for (; text < end && *text >= '0' && *text <= '9'; text++) {
			if (text - first == 3)
				return "a number of the IPv4 address has more than three digits";
			number = number * 10 + (uint32_t)(*text - '0');
		}
		if (text == first)
			return "not an IPv4 address: expected four numbers with dots between";
		if (*first == '0' && text - first > 1)
			return "a number of the IPv4 address begins with 0: is it octal?";
		if (number > 255)
			return "a number of the IPv4 address is above 255";
		addr = addr << 8 | number;
		if (i < 3) {
			if (text == end || *text != '.')
				return "not an IPv4 address: expected four numbers with dots "
				       "between";
			text++;
		}
	}
	if (text != end)
		return "something follows the IPv4 address";
	p->hi = addr;
	p->family = 4;
	p->length = 32;
	return NULL;
}

static const char *parse_ipv6(struct levee_prefix *p, const char *text, const char *end)
{
	char copy[INET6_ADDRSTRLEN];
	size_t len = (size_t)(end - text);
	uint8_t raw[16];

	if (memchr(text, '%', len))
		return "a zone (what follows %) has no meaning for a source";
	if (len >= sizeof(copy))
		return "too long for an IPv6 address";
	if (memchr(text, '\0', len))
		return "not an IPv6 address";
	memcpy(copy, text, len);
	copy[len] = '\0';
	if (inet_pton(AF_INET6, copy, raw) != 1)
		return "not an IPv6 address";
	p->hi = levee_be64(levee_load64(raw));
	p->lo = levee_be64(levee_load64(raw + 8));
	p->family = 6;
	p->length = 128;
	return NULL;
}

static const char *parse_length(struct levee_prefix *p, const char *text, const char *end)
{
	const char *first = text;
	unsigned int length = 0, most = p->family == 4 ? 32 : 128;

	for (; text < end && *text >= '0' && *text <= '9' && text - first < 4; text++)
		length = length * 10 + (unsigned int)(*text - '0');
	if (text == first || text != end || (*first == '0' && end - first > 1))
		return "the prefix length after / must be a plain number";
	if (length > most)
		return p->family == 4 ? "the prefix length of an IPv4 address is 0 to 32"
				      : "the prefix length of an IPv6 address is 0 to 128";
	p->length = (uint8_t)length;
	return NULL;
}

static const char *parse(struct levee_prefix *p, const char *text, size_t len)
{
	const char *end = text + len, *slash, *wrong;

	if (!len)
		return "an address is missing";
	slash = memchr(text, '/', len);
	if (!slash)
		slash = end;
	if (memchr(text, ':', (size_t)(slash - text)))
		wrong = parse_ipv6(p, text, slash);
	else
		wrong = parse_ipv4(p, text, slash);
	if (!wrong && slash < end)
		wrong = parse_length(p, slash + 1, end);
	return wrong;
}

int levee_prefix_parse(struct levee_prefix *p, const char *text, size_t len, const char **why)
{
	struct levee_prefix parsed = { 0 };
	const char *wrong = parse(&parsed, text, len);

	if (wrong) {
		if (why)
			*why = wrong;
		return -EINVAL;
	}
	levee_prefix_canon(&parsed);
	*p = parsed;
	return 0;
}

int levee_prefix_read(struct levee_prefix *p, const char *text, size_t len, const char **why)
{
	int ret = levee_prefix_parse(p, text, len, why);

	if (!ret && p->family == 6 && p->length >= 96 && !p->hi && p->lo >> 32 == 0xffff)
		*p = (struct levee_prefix){ .hi = p->lo & 0xffffffff,
					    .family = 4,
					    .length = (uint8_t)(p->length - 96) };
	return ret;
}

const char *levee_prefix_format(const struct levee_prefix *p, char text[static LEVEE_PREFIX_TEXT])
{
	bool v4 = p->family == 4;
	uint64_t raw[2] = { levee_be64(p->hi), levee_be64(p->lo) };
	uint32_t raw4 = levee_be32((uint32_t)p->hi);
	size_t len;

	/* Cannot fail: the family is one of the two, and the room is enough for either. */
	if (!inet_ntop(v4 ? AF_INET : AF_INET6, v4 ? (void *)&raw4 : (void *)raw, text,
		       LEVEE_PREFIX_TEXT))
		text[0] = '\0';
	if (p->length == (v4 ? 32 : 128))
		return text;
	len = strlen(text);
	snprintf(text + len, LEVEE_PREFIX_TEXT - len, "/%u", p->length);
	return text;
}

int levee_prefix_compare(const struct levee_prefix *a, const struct levee_prefix *b)
{
	if (a->family != b->family)
		return a->family < b->family ? -1 : 1;
	if (a->hi != b->hi)
		return a->hi < b->hi ? -1 : 1;
	if (a->lo != b->lo)
		return a->lo < b->lo ? -1 : 1;
	return (a->length > b->length) - (a->length < b->length);
}

bool levee_prefix_covers(const struct levee_prefix *outer, const struct levee_prefix *inner)
{
	struct levee_prefix shortened = *inner;

	if (outer->family != inner->family || outer->length > inner->length)
		return false;
	shortened.length = outer->length;
	levee_prefix_canon(&shortened);
	return shortened.hi == outer->hi && shortened.lo == outer->lo;
}

/* Two rounds of multiply and fold; each input bit reaches the low bits, which tables index by. */
uint64_t levee_prefix_hash(const struct levee_prefix *p)
{
	uint64_t h = p->hi * 0x9e3779b97f4a7c15ULL;

	h ^= h >> 32;
	h = (h + p->lo + ((uint64_t)p->family << 56) + p->length) * 0xd6e8feb86659fd93ULL;
	h ^= h >> 32;
	h *= 0xd6e8feb86659fd93ULL;
	return h ^ (h >> 32);
}
