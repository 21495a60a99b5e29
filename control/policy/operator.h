/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What operators have said besides their blocks: exemptions (an unblock that stays: no detector
 * blocks what is in the prefix until it ends), and prefixes of their own on the allow list. Pure.
 */
#ifndef LEVEE_OPERATOR_H
#define LEVEE_OPERATOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "control/policy/blocks.h"
#include "dataplane/prefixmap.h"

/** Of either kind. More are refused: somebody asks in a loop. */
#define LEVEE_OPERATOR_MAX 262144

enum levee_operator_kind {
	LEVEE_OPERATOR_EXEMPT = 1,
	LEVEE_OPERATOR_ALLOW = 2,
	LEVEE_OPERATOR_NOTE = 3, /* of a block, in the store alone */
};

struct levee_operator_entry {
	enum levee_operator_kind kind;
	struct levee_prefix prefix;
	uint64_t created_unix_ns;
	uint64_t expires_boot_ns; /* LEVEE_NEVER: only by hand */
	uint64_t expires_unix_ns;
	uint32_t marks; /* of a note's block */
	char note[LEVEE_NOTE_TEXT];
};

/** One kind of them; all zero is an empty list. */
struct levee_operator_list {
	struct levee_operator_entry *entries; /* in no order */
	size_t n, capacity;
	struct levee_prefixmap places; /* prefix -> position */
	uint64_t next_boot_ns;	       /* earliest end; LEVEE_NEVER or 0 if there is none */
};

void levee_operator_clear(struct levee_operator_list *list);

/** Add, or replace what is said of the same prefix. \return 0; -ENOSPC; -ENOMEM */
int levee_operator_put(struct levee_operator_list *list, const struct levee_operator_entry *entry);

/** \return 0; -ENOENT */
int levee_operator_remove(struct levee_operator_list *list, const struct levee_prefix *prefix);

/** What is said of exactly this prefix; what covers it and has not ended at now. NULL: nothing. */
const struct levee_operator_entry *levee_operator_get(const struct levee_operator_list *list,
						      const struct levee_prefix *prefix);
const struct levee_operator_entry *levee_operator_covering(const struct levee_operator_list *list,
							   const struct levee_prefix *prefix,
							   uint64_t now_boot_ns);

/** Take out one that has ended at now. \return true and *gone, false: there is none (any more) */
bool levee_operator_expire(struct levee_operator_list *list, uint64_t now_boot_ns,
			   struct levee_operator_entry *gone);

/** Boot time of the next end; LEVEE_NEVER if there is none. */
uint64_t levee_operator_next_expiry(const struct levee_operator_list *list);

#endif
