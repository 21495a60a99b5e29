/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Addresses and prefixes as numbers, and their text form. A source is a prefix, too: an IPv4
 * address (/32) or an IPv6 prefix of the configured length (/64 by default).
 */
#ifndef LEVEE_PREFIX_H
#define LEVEE_PREFIX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Longest text: 45 characters of address, "/128", NUL. */
#define LEVEE_PREFIX_TEXT 52

/**
 * A prefix. Compared and hashed field by field, host bits always zero.
 *
 * IPv4: hi is the address's number (198.51.100.7 = 0xc6336407), lo is 0, length 0 to 32.
 * IPv6: the address's number is hi * 2^64 + lo, length 0 to 128.
 */
struct levee_prefix {
	uint64_t hi;
	uint64_t lo;
	uint8_t family; /* 4 or 6 */
	uint8_t length; /* bits */
};

/** Set the host bits of *p to zero. */
void levee_prefix_canon(struct levee_prefix *p);

/**
 * Parse "198.51.100.7", "10.0.0.0/8", "2001:db8::1", "2001:db8::/32". No host names, no zone.
 * Host bits are cleared: "10.1.2.3/8" is 10.0.0.0/8.
 * \param text  need not be NUL-terminated; \param len its length [bytes]
 * \param why   on failure, set to a static sentence that says what is wrong; may be NULL
 * \return 0; -EINVAL
 */
int levee_prefix_parse(struct levee_prefix *p, const char *text, size_t len, const char **why);

/**
 * The same of what people and programs write: an IPv4-mapped address (::ffff:198.51.100.7, RFC 4291
 * section 2.5.5.2), which dual-stack servers log and which never is on the wire, is that IPv4 one.
 */
int levee_prefix_read(struct levee_prefix *p, const char *text, size_t len, const char **why);

/**
 * Canonical text (RFC 5952 for IPv6). A length of 32 (IPv4) or 128 (IPv6) is left out.
 * \return text
 */
const char *levee_prefix_format(const struct levee_prefix *p, char text[static LEVEE_PREFIX_TEXT]);

/** Total order: IPv4 before IPv6, then by number, then shorter first. <0, 0, >0 as for qsort. */
int levee_prefix_compare(const struct levee_prefix *a, const struct levee_prefix *b);

/** Does `outer` contain all of `inner`? A prefix contains itself; families never mix. */
bool levee_prefix_covers(const struct levee_prefix *outer, const struct levee_prefix *inner);

/** Hash for tables in user space that no packet can fill. Not keyed. */
uint64_t levee_prefix_hash(const struct levee_prefix *p);

#endif
