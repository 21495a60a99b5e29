/* SPDX-License-Identifier: BSD-2-Clause */
/* Between client.c, which asks, and reply.c, which reads the answer. */
#ifndef LEVEE_AWS_CLIENT_INTERNAL_H
#define LEVEE_AWS_CLIENT_INTERNAL_H

#include "control/aws/client.h"

/**
 * Read an exchange's reply: parsed into `out`, or its error into out->error.
 * \param keys  that signed; what is quoted of AWS's message is cleared of them
 * \return 0; -EREMOTEIO; -EPROTO; -ENOMEM
 */
int levee_aws_read_reply(struct levee_aws_reply *out, struct levee_http_reply *http,
			 enum levee_aws_protocol protocol, const struct levee_aws_keys *keys);

#endif
