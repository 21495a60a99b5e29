/* SPDX-License-Identifier: BSD-2-Clause */
/* Run a helper program and take what it writes: for credential_process. */
#ifndef LEVEE_AWS_PROCESS_H
#define LEVEE_AWS_PROCESS_H

#include <stdint.h>

#include "control/aws/env.h"
#include "control/aws/error.h"
#include "control/aws/text.h"

/**
 * Split a command line into words as a POSIX shell does with quotes and backslashes, without
 * anything else of a shell.
 * \param out  NULL-terminated; free with levee_aws_words_free()
 * \return 0; -EINVAL for no word, an open quote, or more than 64 words; -ENOMEM
 */
int levee_aws_words(const char *command, char ***out);
void levee_aws_words_free(char **words);

/**
 * Run a command without a shell, with nothing on its input, its error output thrown away (it may
 * hold secrets), in a process group of its own, which is killed at the end of the time or when
 * env->cancelled().
 * \param out  what it wrote, up to out->limit bytes
 * \return 0 if it ended with status 0; -errno with error set (code CredentialsFailed): -EINVAL,
 *         -ENOENT, -EACCES and so on if it cannot be run, -EIO for another status or a signal,
 *         -ETIMEDOUT, -EFBIG, -ECANCELED, -ENOMEM
 */
int levee_aws_run(const char *command, const struct levee_aws_env *env, uint32_t timeout_ms,
		  struct levee_aws_text *out, struct levee_aws_error *error);

#endif
