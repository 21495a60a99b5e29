/* SPDX-License-Identifier: BSD-2-Clause */
#include "control/aws/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "control/log.h"

void levee_aws_error_clear(struct levee_aws_error *error)
{
	*error = (struct levee_aws_error){ 0 };
}

int levee_aws_error_set(struct levee_aws_error *error, int value, const char *code,
			const char *format, ...)
{
	char message[sizeof(error->message)];
	va_list args;

	/* By way of a copy, because an argument may be the old message. */
	va_start(args, format);
	vsnprintf(message, sizeof(message), format, args);
	va_end(args);
	if (code != error->code)
		snprintf(error->code, sizeof(error->code), "%s", code);
	snprintf(error->message, sizeof(error->message), "%s", message);
	levee_log_clean(error->code);
	levee_log_clean(error->message);
	return value;
}

int levee_aws_error_memory(struct levee_aws_error *error)
{
	return levee_aws_error_set(error, -ENOMEM, "OutOfMemory", "no memory left");
}
