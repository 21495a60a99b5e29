/* SPDX-License-Identifier: BSD-2-Clause */
#include "control/cli/cmd_list.h"

#include <errno.h>
#include <string.h>

#include "dataplane/xdp/xdp.h"

const struct levee_option levee_list_options[] = {
	{ "pin", "DIR", "where it is pinned (default: " LEVEE_XDP_PIN ")" }, { 0 }
};

static int set_option(void *ctx, int option, const char *value)
{
	const char **pin = ctx;

	(void)option;
	*pin = value;
	return 0;
}

static int explain(const char *pin, int error)
{
	fprintf(stderr, "levee: cannot list what is in %s: %s%s\n", pin, strerror(-error),
		error == -ENOENT   ? "; nothing is pinned there: --pin names another directory"
		: error == -EPERM  ? "; root is needed"
		: error == -EACCES ? "; root is needed"
		: error == -EPROTO ? "; it is of another version of levee: use that one's `list`"
				   : "");
	return LEVEE_EXIT_ERROR;
}

int levee_cmd_list(const struct levee_command *command, int argc, char **argv)
{
	static const char *const lists[] = { "rules", "sources4", "sources6" };
	const char *pin = LEVEE_XDP_PIN;
	int first, ret;

	ret = levee_command_parse(command, argc, argv, set_option, &pin, &first);
	if (ret)
		return ret > 0 ? LEVEE_EXIT_OK : LEVEE_EXIT_USAGE;
	if (first != argc - 1)
		return levee_command_usage(command, "one list is to be named: %s",
					   command->arguments);
	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
		if (strcmp(argv[first], lists[i]))
			continue;
		ret = levee_xdp_list(pin, lists[i], stdout);
		return ret ? explain(pin, ret) : LEVEE_EXIT_OK;
	}
	return levee_command_usage(command, "there is no list %s, only %s", argv[first],
				   command->arguments);
}
