/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Network ACLs as EC2 holds them, and what may be said of their rules without asking anybody.
 * Pure: no I/O, no clock.
 *
 * The parts, in the order in which a push uses them:
 *
 *	nacl.h         the model: what was read from EC2
 *	nacl_survey.h  what stands: which ACL is in force where, which rules are the operator's
 *	nacl_plan.h    which rules Levee wants
 *	nacl_diff.h    the next single step from the one to the other
 *
 * Whose is a rule? EC2 keeps no name for one. So Levee marks blue and green with a tag before it
 * writes a rule there. In an ACL without the tag every rule is the operator's. In one with it, an
 * ingress rule for all protocols about less than the whole address space, under a number of the
 * range that the tag names, is Levee's, except for the single numbers that it names, too: rules of
 * the operator of that form which were there before. Every rule that is not Levee's is the operator's: Levee
 * carries it from ACL to ACL, under its number, and never changes it.
 */
#ifndef LEVEE_NACL_H
#define LEVEE_NACL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dataplane/prefix.h"

#define LEVEE_NACL_ID	      40    /* room for an id of EC2 with its NUL; they have up to 26 */
#define LEVEE_NACL_NUMBER_MAX 32766 /* above are the default denies, which nobody can change */
#define LEVEE_NACL_ALL	      (-1)  /* protocol, ICMP type or code: any */

/* Numbers that fit into the 256 characters of a tag's value. */
#define LEVEE_NACL_MARK_MAX  40
#define LEVEE_NACL_MARK_TEXT 256

/* How long a read may still miss a write [s] (FIELD section 3). */
#define LEVEE_NACL_SETTLE_S 120

enum levee_nacl_action {
	LEVEE_NACL_DENY,
	LEVEE_NACL_ALLOW,
};

/** A rule. Numbers are unique in an ACL per direction, over both families. */
struct levee_nacl_entry {
	struct levee_prefix cidr; /* of the other side: source of ingress, destination of egress */
	uint16_t number;
	bool egress;
	enum levee_nacl_action action;
	int16_t protocol;    /* IANA number, or LEVEE_NACL_ALL */
	int16_t icmp_type;   /* protocols 1 and 58; otherwise 0 */
	int16_t icmp_code;   /* likewise */
	uint16_t port_first; /* protocols 6 and 17; otherwise 0 */
	uint16_t port_last;  /* likewise */
};

struct levee_nacl_association {
	char id[LEVEE_NACL_ID];
	char subnet[LEVEE_NACL_ID];
};

/** Rule numbers reserved for Levee, both ends included. */
struct levee_nacl_range {
	uint16_t first;
	uint16_t last;
};

/**
 * The tag: the range that was reserved when Levee began to write there, and the numbers in it
 * that hold rules of the operator.
 */
struct levee_nacl_mark {
	struct levee_nacl_range range;
	uint16_t numbers[LEVEE_NACL_MARK_MAX]; /* ascending */
	size_t n;
};

/** One network ACL, as it was read. The arrays belong to whoever read it. */
struct levee_nacl {
	char id[LEVEE_NACL_ID];
	char vpc[LEVEE_NACL_ID];
	bool marked; /* has the tag */
	struct levee_nacl_mark mark;
	const struct levee_nacl_entry *entries; /* canonical: levee_nacl_canon(); in any order */
	size_t n_entries;
	const struct levee_nacl_association *associations;
	size_t n_associations;
};

/** Zero what does not matter for the protocol and clear the CIDR's host bits, as EC2 does. */
void levee_nacl_canon(struct levee_nacl_entry *entry);

/** Are two canonical rules the same in everything? */
bool levee_nacl_equal(const struct levee_nacl_entry *a, const struct levee_nacl_entry *b);

/** Is this a deny that EC2 puts behind all rules and that cannot be changed? */
bool levee_nacl_is_default(const struct levee_nacl_entry *entry);

/** Has the rule the form and the number of one of Levee's? Whether it is one, the mark says. */
bool levee_nacl_is_reserved(const struct levee_nacl_entry *entry, struct levee_nacl_range range);

/** Do two prefixes have an address in common? */
bool levee_nacl_prefixes_touch(const struct levee_prefix *a, const struct levee_prefix *b);

/** May a packet match both? Says yes rather than no when in doubt. */
bool levee_nacl_overlaps(const struct levee_nacl_entry *a, const struct levee_nacl_entry *b);

/** Does `outer` match all that `inner` matches? Says no rather than yes when in doubt. */
bool levee_nacl_covers(const struct levee_nacl_entry *outer, const struct levee_nacl_entry *inner);

bool levee_nacl_mark_has(const struct levee_nacl_mark *mark, uint16_t number);
bool levee_nacl_mark_equal(const struct levee_nacl_mark *a, const struct levee_nacl_mark *b);

/** Is it one of Levee's, in an ACL with this mark? */
bool levee_nacl_mark_claims(const struct levee_nacl_mark *mark,
			    const struct levee_nacl_entry *entry);

/** The tag's value: the range, then the numbers ("1-99", "1-99:10:50"). \return text */
const char *levee_nacl_mark_write(const struct levee_nacl_mark *mark,
				  char text[static LEVEE_NACL_MARK_TEXT]);

/**
 * \return 0; -EINVAL if somebody changed the tag to what Levee never writes: leave the ACL alone,
 *         for its rules cannot be told apart any more
 */
int levee_nacl_mark_read(struct levee_nacl_mark *mark, const char *text);

/** Order of a listing: ingress first, then by number. For qsort. */
int levee_nacl_by_number(const void *a, const void *b);

#endif
