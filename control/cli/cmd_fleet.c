/* SPDX-License-Identifier: BSD-2-Clause */
#include "control/cli/cmd_fleet.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "control/cli/config_args.h"
#include "control/fleet/look.h"

#define LATE_MS 5000 /* a node that gives no sign of life for so long is named as such */

enum {
	OPTION_FORMAT = LEVEE_CONFIG_N_OPTIONS,
};

const struct levee_option levee_fleet_status_options[] = {
	LEVEE_CONFIG_OPTIONS,
	{ "format", "FORMAT", "text (default) or json" },
	{ 0 },
};

const struct levee_option levee_fleet_reset_options[] = {
	LEVEE_CONFIG_OPTIONS,
	{ "force", NULL, "even while instances live: each of them has to join again" },
	{ 0 },
};

struct status_args {
	struct levee_config_args from;
	bool json, force;
};

static int set_option(void *ctx, int option, const char *value)
{
	struct status_args *args = ctx;

	if (option < LEVEE_CONFIG_N_OPTIONS)
		return levee_config_args_set(&args->from, option, value);
	args->json = !strcmp(value, "json");
	if (args->json || !strcmp(value, "text"))
		return 0;
	fprintf(stderr, "levee: --format %s: not text or json\n", value);
	return -EINVAL;
}

static int set_reset_option(void *ctx, int option, const char *value)
{
	struct status_args *args = ctx;

	if (option < LEVEE_CONFIG_N_OPTIONS)
		return levee_config_args_set(&args->from, option, value);
	args->force = true;
	return 0;
}

static const char *format_time(int64_t unix_s, char text[static 32])
{
	time_t t = (time_t)unix_s;
	struct tm tm;

	if (unix_s < 0 || !gmtime_r(&t, &tm) || !strftime(text, 32, "%H:%M:%SZ", &tm))
		snprintf(text, 32, "-");
	return text;
}

static void print_names(const char *what, char *const *names, size_t n)
{
	if (!n)
		return;
	printf("  %s:", what);
	for (size_t i = 0; i < n; i++)
		printf(" %s", names[i]);
	printf("\n");
}

static void print_record(const struct levee_fleet_view *v)
{
	const struct levee_fleet_record *r = &v->record;
	char start[32];

	if (!v->has_record) {
		printf("no fleet-wide bin yet\n");
		return;
	}
	printf("last bin, of %s: %s, %zu nodes, %llu sources, %.0f packets\n",
	       format_time(r->bin.start_s, start), r->n_missing ? "incomplete" : "complete",
	       r->n_nodes, (unsigned long long)r->bin.moments.n, (double)r->bin.moments.sum);
	print_names("came late", r->late, r->n_late);
	print_names("missing", r->missing, r->n_missing);
	printf("window: %zu bins, mean = %.2f, stddev = %.2f, flagged %zu; fast path above %.0f "
	       "packets in a bin\n",
	       v->n_records, v->mean, v->stddev, v->findings, v->threshold);
}

static void print_text(const struct levee_fleet_view *v, const struct levee_config *config)
{
	char running[32], done[32];

	printf("fleet %s: %zu nodes, leader %s, %zu blocks and lifts; bins of %s s, window %s s, "
	       "%u server%s\n",
	       config->fleet.name, v->n_nodes, v->leader[0] ? v->leader : "none", v->blocks, v->bin,
	       v->window, v->servers, v->servers == 1 ? "" : "s");
	print_record(v);
	printf("%-24s %-10s %-10s %-10s %-9s %s\n", "NODE", "SEEN", "BIN", "LAST SENT", "DECIDES",
	       "VERSION");
	for (size_t i = 0; i < v->n_nodes; i++) {
		const struct levee_fleet_seen *n = &v->nodes[i];

		printf("%-24s %7.1f s%s %-10s %-10s %-9s %s\n", n->name, (double)n->ago_ms / 1000,
		       n->ago_ms > LATE_MS ? "!" : " ", format_time(n->running, running),
		       format_time(n->done, done), n->together ? "fleet" : "alone", n->version);
	}
}

static void json_names(struct levee_json *j, const char *name, char *const *names, size_t n)
{
	levee_json_array(j, name);
	for (size_t i = 0; i < n; i++)
		levee_json_string(j, NULL, names[i]);
	levee_json_end(j);
}

static void json_record(struct levee_json *j, const struct levee_fleet_view *v)
{
	const struct levee_fleet_record *r = &v->record;

	levee_json_object(j, "last_bin");
	levee_json_int(j, "start", r->bin.start_s);
	levee_json_bool(j, "complete", r->n_missing == 0);
	levee_json_uint(j, "sources", r->bin.moments.n);
	levee_json_double(j, "packets", (double)r->bin.moments.sum);
	json_names(j, "nodes", r->nodes, r->n_nodes);
	json_names(j, "late", r->late, r->n_late);
	json_names(j, "missing", r->missing, r->n_missing);
	levee_json_end(j);
}

static void print_json(const struct levee_fleet_view *v, const struct levee_config *config)
{
	struct levee_json j;

	levee_json_begin(&j, stdout);
	levee_json_object(&j, NULL);
	levee_json_int(&j, "version", 1);
	levee_json_string(&j, "fleet", config->fleet.name);
	levee_json_string(&j, "leader", v->leader);
	levee_json_uint(&j, "token", v->token);
	levee_json_uint(&j, "bins", v->n_records);
	levee_json_uint(&j, "entries", v->blocks);
	levee_json_uint(&j, "allowed", v->allowed);
	levee_json_double(&j, "mean", v->mean);
	levee_json_double(&j, "stddev", v->stddev);
	levee_json_double(&j, "fast_threshold", v->threshold);
	levee_json_uint(&j, "flagged", v->findings);
	if (v->has_record)
		json_record(&j, v);
	levee_json_array(&j, "nodes");
	for (size_t i = 0; i < v->n_nodes; i++) {
		levee_json_object(&j, NULL);
		levee_json_string(&j, "name", v->nodes[i].name);
		levee_json_int(&j, "seen_ms_ago", v->nodes[i].ago_ms);
		levee_json_int(&j, "running_bin", v->nodes[i].running);
		levee_json_int(&j, "last_sent_bin", v->nodes[i].done);
		levee_json_bool(&j, "together", v->nodes[i].together);
		levee_json_string(&j, "levee", v->nodes[i].version);
		levee_json_end(&j);
	}
	levee_json_end(&j);
	levee_json_end(&j);
	levee_json_finish(&j);
}

static int show_view(const struct levee_config *config, const struct levee_fleet_options *options,
		     const struct status_args *args)
{
	struct levee_fleet_view view;
	char why[LEVEE_LOOK_WHY];

	if (levee_fleet_look(&view, options, why)) {
		fprintf(stderr, "levee: %s\n", why);
		return LEVEE_EXIT_ERROR;
	}
	if (args->json)
		print_json(&view, config);
	else
		print_text(&view, config);
	levee_fleet_view_clear(&view);
	return LEVEE_EXIT_OK;
}

static int reset(const struct levee_config *config, const struct levee_fleet_options *options,
		 const struct status_args *args)
{
	struct levee_fleet_was was;
	char why[LEVEE_LOOK_WHY];

	if (levee_fleet_reset(&was, options, args->force, why)) {
		fprintf(stderr, "levee: %s\n", why);
		return LEVEE_EXIT_ERROR;
	}
	printf("fleet %s: what was agreed on (schema %s, bins of %s s, window %s s) is forgotten, "
	       "and the bins of it; %zu blocks and lifts stay. The next instance that connects "
	       "agrees anew.\n",
	       config->fleet.name, was.schema, was.bin, was.window, was.blocks);
	return LEVEE_EXIT_OK;
}

static int with_fleet(const struct status_args *args,
		      int (*act)(const struct levee_config *config,
				 const struct levee_fleet_options *options,
				 const struct status_args *args))
{
	struct levee_config config;
	int ret = LEVEE_EXIT_ERROR;

	if (levee_config_args_read(&config, &args->from))
		return LEVEE_EXIT_ERROR;
	struct levee_fleet_options options = { .url = config.fleet.url,
					       .ca_file = config.fleet.ca_file,
					       .password_file = config.fleet.password_file,
					       .prefix = config.fleet.prefix,
					       .name = config.fleet.name };

	if (config.fleet.url[0])
		ret = act(&config, &options, args);
	else
		fprintf(stderr, "levee: %s: [fleet] url is empty: this instance is in no fleet\n",
			levee_config_args_path(&args->from));
	levee_config_clear(&config);
	return ret;
}

static int run(const struct levee_command *command, int argc, char **argv,
	       int (*take)(void *ctx, int option, const char *value),
	       int (*act)(const struct levee_config *config,
			  const struct levee_fleet_options *options,
			  const struct status_args *args))
{
	struct status_args args = { .json = false };
	int first;
	int ret = levee_command_parse(command, argc, argv, take, &args, &first);

	if (ret)
		return ret > 0 ? LEVEE_EXIT_OK : LEVEE_EXIT_USAGE;
	if (first < argc)
		return levee_command_usage(command, "%s: an argument too many", argv[first]);
	/* OpenSSL's writes to a closed connection are errors, not the end. */
	signal(SIGPIPE, SIG_IGN);
	return with_fleet(&args, act);
}

int levee_cmd_fleet_status(const struct levee_command *command, int argc, char **argv)
{
	return run(command, argc, argv, set_option, show_view);
}

int levee_cmd_fleet_reset(const struct levee_command *command, int argc, char **argv)
{
	return run(command, argc, argv, set_reset_option, reset);
}
