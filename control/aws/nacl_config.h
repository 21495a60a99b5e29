/* SPDX-License-Identifier: BSD-2-Clause */
/* What the configuration says of network ACLs, as a push takes it. */
#ifndef LEVEE_AWS_NACL_CONFIG_H
#define LEVEE_AWS_NACL_CONFIG_H

#include "control/aws/imds.h"
#include "control/aws/nacl_push.h"
#include "control/config.h"
#include "control/policy/blocks.h"

#define LEVEE_NACL_PATH 192 /* room for the journal's path: that of the state file and a suffix */

/**
 * The protected subnets: [nacl] subnets, or [aws] subnets, or that of this instance.
 * \param list  the caller frees it
 * \return 0; -ENOENT, -errno with error set; -ENOMEM
 */
int levee_nacl_config_subnets(const struct levee_config *config, struct levee_imds *imds,
			      char (**list)[LEVEE_NACL_ID], size_t *n,
			      struct levee_aws_error *error);

/** Everything of params that [nacl], [aws] vpc and [block] mode say; the rest is left alone. */
void levee_nacl_config_params(const struct levee_config *config,
			      struct levee_nacl_push_params *params);

/** A block as a source of the plan. \return false if network ACLs are not to have it */
bool levee_nacl_source_of(struct levee_nacl_source *source, const struct levee_block *block,
			  bool push_spoofable);

/** Where writes are put down: beside the state file. \return NULL if no state is kept */
const char *levee_nacl_config_journal(const struct levee_config *config,
				      char path[static LEVEE_NACL_PATH]);

#endif
