/* SPDX-License-Identifier: BSD-2-Clause */
#include "control/cli/cmd_doctor.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "control/cli/config_args.h"
#include "control/doctor/doctor.h"
#include "control/log.h"

#define MAX_INTERFACES 64

enum {
	DOCTOR_INTERFACE = LEVEE_CONFIG_N_OPTIONS,
	DOCTOR_NO_AWS,
	DOCTOR_JSON,
};

const struct levee_option levee_doctor_options[] = {
	LEVEE_CONFIG_OPTIONS,
	[DOCTOR_INTERFACE] = { "interface", "NAME",
			       "look at this interface instead of those of the configuration; may "
			       "be repeated" },
	[DOCTOR_NO_AWS] = { "no-aws", NULL, "leave AWS out" },
	[DOCTOR_JSON] = { "json", NULL, "one JSON object instead of lines" },
	{ 0 },
};

struct doctor_args {
	struct levee_config_args from;
	const char *interfaces[MAX_INTERFACES];
	size_t n_interfaces;
	bool no_aws, json;
};

static int set_doctor_option(void *ctx, int option, const char *value)
{
	struct doctor_args *args = ctx;

	switch (option) {
	case DOCTOR_INTERFACE:
		if (args->n_interfaces == MAX_INTERFACES) {
			fprintf(stderr, "levee: --interface: more than %d\n", MAX_INTERFACES);
			return -EINVAL;
		}
		args->interfaces[args->n_interfaces++] = value;
		return 0;
	case DOCTOR_NO_AWS:
		args->no_aws = true;
		return 0;
	case DOCTOR_JSON:
		args->json = true;
		return 0;
	default:
		return levee_config_args_set(&args->from, option, value);
	}
}

static void check_interfaces(struct levee_checkup *c, const struct doctor_args *args,
			     const struct levee_config *config)
{
	const char *const *names = args->interfaces;
	struct levee_nic_facts facts;
	size_t n = args->n_interfaces;

	if (!n) {
		names = (const char *const *)config->data_path.interfaces.word;
		n = config->data_path.interfaces.n;
	}
	if (!n)
		levee_checkup_add(c, "interfaces", LEVEE_CHECK_FAIL,
				  "set [data_path] interfaces = ens5, those that face the load "
				  "balancer; or look at one with --interface ens5",
				  "none is configured");
	for (size_t i = 0; i < n; i++) {
		levee_doctor_gather_nic(&facts, names[i], config);
		levee_doctor_judge_nic(c, &facts);
	}
}

static void check_all(struct levee_checkup *c, const struct doctor_args *args,
		      const struct levee_config *config)
{
	struct levee_host_facts host;
	struct levee_traffic_facts traffic;
	const char *path = levee_config_args_path(&args->from);

	if (access(path, F_OK) == 0)
		levee_checkup_add(c, "configuration", LEVEE_CHECK_OK, NULL, "%s", path);
	else
		levee_checkup_add(c, "configuration", LEVEE_CHECK_WARN,
				  "levee config dump --defaults writes one to start from",
				  "there is no %s: everything is at its default", path);
	levee_doctor_gather_host(&host, config);
	levee_doctor_judge_host(c, &host);
	levee_doctor_state(c, config);
	check_interfaces(c, args, config);
	levee_doctor_gather_traffic(&traffic, config);
	levee_doctor_judge_traffic(c, &traffic);
	if (args->no_aws)
		levee_checkup_add(c, "AWS", LEVEE_CHECK_SKIP, NULL, "left out by --no-aws");
	else
		levee_doctor_aws(c, config);
}

int levee_cmd_doctor(const struct levee_command *command, int argc, char **argv)
{
	struct doctor_args args = { 0 };
	struct levee_checkup checkup = { 0 };
	struct levee_config config;
	int first, ret;

	ret = levee_command_parse(command, argc, argv, set_doctor_option, &args, &first);
	if (ret)
		return ret > 0 ? LEVEE_EXIT_OK : LEVEE_EXIT_USAGE;
	if (first < argc)
		return levee_command_usage(command, "unexpected argument %s", argv[first]);
	if (levee_config_args_read_if_any(&config, &args.from))
		return LEVEE_EXIT_ERROR;
	levee_log_set_level(LEVEE_LOG_ERROR); /* each problem is a line of its own here */
	check_all(&checkup, &args, &config);
	if (args.json)
		levee_checkup_print_json(&checkup, stdout);
	else
		levee_checkup_print(&checkup, stdout);
	ret = levee_checkup_count(&checkup, LEVEE_CHECK_FAIL) || checkup.out_of_memory
		      ? LEVEE_EXIT_ERROR
		      : LEVEE_EXIT_OK;
	levee_checkup_clear(&checkup);
	levee_config_clear(&config);
	return ret;
}
