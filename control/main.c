/* SPDX-License-Identifier: BSD-2-Clause */
#include "control/cli/command.h"

int main(int argc, char **argv)
{
	return levee_command_main(argc, argv);
}
