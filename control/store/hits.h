/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What each block has dropped so far, for data paths whose own counters end: tables of another
 * layout, a reboot, `levee detach`. In the store's file, in a table of its own.
 */
#ifndef LEVEE_STORE_HITS_H
#define LEVEE_STORE_HITS_H

#include "control/store/store.h"
#include "dataplane/policy.h"

/**
 * Put the counters of every block of the policy, in place of those of before. Joins the running
 * transaction, if there is one.
 * \return 0; -errno: those of before stay
 */
int levee_store_put_hits(struct levee_store *store, const struct levee_policy *policy,
			 const char *boot_id);

/**
 * Let the policy's blocks that are made from now on begin with these: levee_policy_inherit(). Times
 * of another boot are left out. \return 0; -EUCLEAN if what is stored is damaged; -errno
 */
int levee_store_load_hits(struct levee_store *store, struct levee_policy *policy,
			  const char *boot_id);

#endif
