/* SPDX-License-Identifier: BSD-2-Clause */
/* What is blocked and what is allowed, for `levee nacl` without a daemon. */
#ifndef LEVEE_CLI_NACL_INPUT_H
#define LEVEE_CLI_NACL_INPUT_H

#include "control/allowlist.h"
#include "control/aws/nacl_push.h"
#include "control/config.h"

struct levee_nacl_given {
	struct levee_nacl_source *sources;
	size_t n_sources;
	struct levee_allowlist allowed;
	struct levee_cover_source *good; /* not blocked, and not to be touched by a rule */
	size_t n_good;
	bool good_known;
	bool push_spoofable; /* [nacl] push_spoofable is not no */
	size_t n_spoofable;  /* left out: blocked on the instance alone */
	char origin[320]; /* where the sources are from: "the state file /var/lib/levee/state.db" */
};

/**
 * \param file  lines "PREFIX [ZSCORE [PACKETS]]", # comments, in the place of the state file;
 *              NULL: the state file
 * \param good  lines "PREFIX PACKETS" of good sources; NULL: those of the state file. With blocks
 *              out of a file and no state file there are none, and it is known that there are none
 * \return 0; -errno, said on standard error. levee_nacl_given_clear() in both cases
 */
int levee_nacl_given_read(struct levee_nacl_given *given, const struct levee_config *config,
			  const char *file, const char *good);

void levee_nacl_given_clear(struct levee_nacl_given *given);

#endif
