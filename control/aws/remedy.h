/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LEVEE_AWS_REMEDY_H
#define LEVEE_AWS_REMEDY_H

#include <stdbool.h>

#include "control/aws/error.h"

/** What an operator can do about an error, as a clause without a full stop; NULL: nobody knows. */
const char *levee_aws_remedy(const struct levee_aws_error *error);

/** Does AWS not accept who we are, whatever we ask for? */
bool levee_aws_is_refusal(const struct levee_aws_error *error);

/** Does the role lack the permission? */
bool levee_aws_is_denied(const struct levee_aws_error *error);

#endif
