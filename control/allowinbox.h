/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Lists that services bring to the allow list: a box between the service's thread, which puts what
 * it has read, and the controller's, which takes what is newer than what it has.
 */
#ifndef LEVEE_ALLOWINBOX_H
#define LEVEE_ALLOWINBOX_H

#include <stdbool.h>

#include "control/allowlist.h"

enum levee_allow_slot {
	LEVEE_ALLOW_SLOT_VPC, /* CIDRs of the VPC */
	LEVEE_ALLOW_SLOT_S3,  /* the object of [allow] s3 */
	LEVEE_ALLOW_SLOTS,
};

struct levee_allow_inbox;

/** \return NULL if memory is short */
struct levee_allow_inbox *levee_allow_inbox_new(void);
void levee_allow_inbox_free(struct levee_allow_inbox **inbox); /* NULL inside is fine */

/** Put a list, which is taken over and left empty. Any thread. */
void levee_allow_inbox_put(struct levee_allow_inbox *inbox, enum levee_allow_slot slot,
			   struct levee_allowlist *list);

/**
 * Take a list that was put since the last time; the controller's thread alone.
 * \return false: there is none, *out is unchanged. true: *out has it, the old one is freed
 */
bool levee_allow_inbox_take(struct levee_allow_inbox *inbox, enum levee_allow_slot slot,
			    struct levee_allowlist *out);

/** Has any list ever been put there? */
bool levee_allow_inbox_has(struct levee_allow_inbox *inbox, enum levee_allow_slot slot);

#endif
