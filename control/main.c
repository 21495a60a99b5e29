/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "control/cli/command.h"

int main(int argc, char **argv)
{
	int code = levee_command_main(argc, argv);

	/* What was to be printed may have met a full disk. */
	if (!code && (fflush(stdout) || ferror(stdout))) {
		fprintf(stderr, "levee: cannot write the output: %s\n", strerror(errno));
		code = LEVEE_EXIT_ERROR;
	}
	return code;
}
