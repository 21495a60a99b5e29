/* SPDX-License-Identifier: BSD-2-Clause */
/* The commands themselves: each reads its options and calls what does the work. */
#include "control/cli/cmd_aws.h"
#include "control/cli/cmd_doctor.h"
#include "control/cli/cmd_fleet.h"
#include "control/cli/cmd_list.h"
#include "control/cli/cmd_live.h"
#include "control/cli/cmd_nacl.h"
#include "control/cli/command.h"
#include "control/cli/config_args.h"

#include <bpf/libbpf.h>
#include <errno.h>
#include <limits.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "control/allowlist.h"
#include "control/api/metrics.h"
#include "control/api/page.h"
#include "control/config.h"
#include "control/detect/detector.h"
#include "control/log.h"
#include "control/replay.h"
#include "control/run.h"
#include "dataplane/dpdk/dpdk.h"
#include "dataplane/xdp/xdp.h"

#include "levee_version.h"

/* ---- configuration, as several commands read it ------------------------------------------ */

static int set_config_option(void *ctx, int option, const char *value)
{
	return levee_config_args_set(ctx, option, value);
}

static int no_arguments(const struct levee_command *command, int argc, char **argv, int first)
{
	return first < argc ? levee_command_usage(command, "unexpected argument %s", argv[first])
			    : 0;
}

/* ---- run --------------------------------------------------------------------------------- */

static const struct levee_option run_options[] = { LEVEE_CONFIG_OPTIONS, { 0 } };

/* What a reload reads: the same file, and what --set said over it. */
static int read_again(void *ctx, struct levee_config *config, FILE *errors)
{
	return levee_config_args_read_to(config, ctx, errors);
}

static int run(const struct levee_command *command, int argc, char **argv)
{
	struct levee_config_args from = { 0 };
	struct levee_config config;
	int first, ret;

	ret = levee_command_parse(command, argc, argv, set_config_option, &from, &first);
	if (ret)
		return ret > 0 ? LEVEE_EXIT_OK : LEVEE_EXIT_USAGE;
	ret = no_arguments(command, argc, argv, first);
	if (ret)
		return ret;
	if (levee_config_args_read(&config, &from))
		return LEVEE_EXIT_ERROR;
	levee_log_set_level((enum levee_log_level)config.log.level);
	ret = levee_run(&config, &(struct levee_run_source){ .path = levee_config_args_path(&from),
							     .read = read_again,
							     .ctx = &from });
	levee_config_clear(&config);
	return ret ? LEVEE_EXIT_ERROR : LEVEE_EXIT_OK;
}

/* ---- replay ------------------------------------------------------------------------------ */

enum {
	REPLAY_FORMAT,
	REPLAY_BIN,
	REPLAY_WINDOW,
	REPLAY_MIN_ZSCORE,
	REPLAY_MIN_PACKETS,
	REPLAY_MIN_BYTES,
	REPLAY_MIN_SYNS,
	REPLAY_DETECTOR,
	REPLAY_LIMIT,
	REPLAY_EVALUATE,
	REPLAY_FAST,
	REPLAY_AUDIT,
	REPLAY_ALLOW,
	REPLAY_SOURCE6,
	REPLAY_MAX_SOURCES,
};

static const struct levee_option replay_options[] = {
	[REPLAY_FORMAT] = { "format", "text|json", "for people, or one JSON object an evaluation" },
	[REPLAY_BIN] = { "bin", "S", "length of a bin: 1 to 86400 s (default: 60)" },
	[REPLAY_WINDOW] = { "window", "S",
			    "rolling window: a multiple of the bin, 2 to 10080 bins "
			    "(default: 3600)" },
	[REPLAY_MIN_ZSCORE] = { "min-zscore", "X",
				"flag above so many standard deviations: 0.1 to "
				"1000 (default: 3.0)" },
	[REPLAY_MIN_PACKETS] = { "min-packets", "N",
				 "flag above so many packets a bin: 0 to 2^48 "
				 "(default: 12000)" },
	[REPLAY_MIN_BYTES] = { "min-bytes", "N",
			       "judge bytes, too, and flag above so many a bin (default: 0, off)" },
	[REPLAY_MIN_SYNS] = { "min-syns", "N", "the same for TCP SYNs (default: 0, off)" },
	[REPLAY_DETECTOR] = { "detector", "NAME",
			      "zscore, robust or both; what JSON then has beside it: median, mad, "
			      "robust_threshold, masked (default: zscore)" },
	[REPLAY_LIMIT] = { "limit", "N",
			   "sources named in one evaluation: 1 to 100000 (default: "
			   "40); all flagged ones are blocked" },
	[REPLAY_EVALUATE] = { "evaluate-every", "S",
			      "evaluate at multiples of S seconds, too: 1 s to "
			      "one bin (default: at bin boundaries only)" },
	[REPLAY_FAST] = { "fast", NULL,
			  "block within the bin, too, and let blocks live as `levee run` does by "
			  "default; each block is a line of its own" },
	[REPLAY_AUDIT] = { "audit", NULL,
			   "block nobody: packets of flagged sources go on being "
			   "counted" },
	[REPLAY_ALLOW] = { "allow", "FILE",
			   "prefixes, one a line, that are neither counted nor "
			   "flagged" },
	[REPLAY_SOURCE6] = { "source6-prefix", "BITS",
			     "IPv6 sources are prefixes of this length: 1 to "
			     "128 (default: 64)" },
	[REPLAY_MAX_SOURCES] = { "max-sources", "N",
				 "names kept in one bin: 1024 to 2^28 (default: "
				 "2^24)" },
	{ 0 }
};

struct replay_ctx {
	struct levee_replay_options options;
	const char *allow;
};

static int set_uint(unsigned int *to, int option, const char *value, uint64_t min, uint64_t max)
{
	uint64_t n;
	int ret = levee_parse_uint(replay_options[option].name, value, min, max, &n);

	if (!ret)
		*to = (unsigned int)n;
	return ret;
}

static int set_replay_option(void *ctx, int option, const char *value)
{
	struct replay_ctx *r = ctx;
	struct levee_replay_options *o = &r->options;
	const char *name = replay_options[option].name;
	unsigned int bits;

	switch (option) {
	case REPLAY_FORMAT:
		o->json = !strcmp(value, "json");
		if (o->json || !strcmp(value, "text"))
			return 0;
		fprintf(stderr, "levee: --format %s: not text or json\n", value);
		return -EINVAL;
	case REPLAY_BIN:
		return set_uint(&o->bin_s, option, value, 1, 86400);
	case REPLAY_WINDOW:
		return set_uint(&o->window_s, option, value, 2, 86400U * 10080U);
	case REPLAY_MIN_ZSCORE:
		return levee_parse_double(name, value, 0.1, 1000, &o->min_zscore);
	case REPLAY_MIN_PACKETS:
		return levee_parse_uint(name, value, 0, 1ULL << 48, &o->min_packets);
	case REPLAY_MIN_BYTES:
		return levee_parse_uint(name, value, 0, 1ULL << 48, &o->min_bytes);
	case REPLAY_MIN_SYNS:
		return levee_parse_uint(name, value, 0, 1ULL << 48, &o->min_syns);
	case REPLAY_DETECTOR:
		o->detector = value;
		if (levee_detector_find(value))
			return 0;
		fprintf(stderr, "levee: --detector %s: not one of " LEVEE_DETECTORS "\n", value);
		return -EINVAL;
	case REPLAY_LIMIT:
		return levee_parse_uint(name, value, 1, 100000, &o->limit);
	case REPLAY_EVALUATE:
		return set_uint(&o->evaluate_s, option, value, 1, 86400);
	case REPLAY_FAST:
		o->fast = true;
		return 0;
	case REPLAY_AUDIT:
		o->audit = true;
		return 0;
	case REPLAY_ALLOW:
		r->allow = value;
		return 0;
	case REPLAY_SOURCE6:
		if (set_uint(&bits, option, value, 1, 128))
			return -EINVAL;
		o->source6_length = (uint8_t)bits;
		return 0;
	default:
		return levee_parse_uint(name, value, 1024, 1ULL << 28, &o->max_sources);
	}
}

static int check_replay(const struct levee_command *command, const struct levee_replay_options *o)
{
	if (o->window_s % o->bin_s || o->window_s / o->bin_s < 2 || o->window_s / o->bin_s > 10080)
		return levee_command_usage(
			command, "--window %u is not a multiple of --bin %u, 2 to 10080 times",
			o->window_s, o->bin_s);
	if (o->evaluate_s > o->bin_s)
		return levee_command_usage(command, "--evaluate-every %u is longer than --bin %u",
					   o->evaluate_s, o->bin_s);
	return 0;
}

static void say_plain(void *ctx, const char *message)
{
	(void)ctx;
	fprintf(stderr, "levee: %s\n", message);
}

static int replay(const struct levee_command *command, int argc, char **argv)
{
	struct replay_ctx r = { .options = { .bin_s = 60,
					     .window_s = 3600,
					     .min_zscore = 3.0,
					     .min_packets = 12000,
					     .detector = "zscore",
					     .limit = 40,
					     .max_sources = 1U << 24,
					     .source6_length = 64,
					     .out = stdout } };
	struct levee_allowlist allowed = { 0 };
	int first, ret;

	ret = levee_command_parse(command, argc, argv, set_replay_option, &r, &first);
	if (ret)
		return ret > 0 ? LEVEE_EXIT_OK : LEVEE_EXIT_USAGE;
	if (first + 1 != argc)
		return levee_command_usage(command,
					   first < argc ? "one FILE, please" : "no FILE given");
	ret = check_replay(command, &r.options);
	if (ret)
		return ret;
	if (r.allow && levee_allowlist_read(&allowed, r.allow, say_plain, NULL))
		return LEVEE_EXIT_ERROR;
	r.options.path = argv[first];
	r.options.allowed = allowed.list;
	r.options.n_allowed = allowed.n;
	r.options.progress = isatty(STDERR_FILENO);
	ret = levee_replay(&r.options);
	/* Verdicts of a list that is not whole are not to be trusted blindly. */
	if (!ret && allowed.bad_lines)
		ret = 1;
	levee_allowlist_clear(&allowed);
	return ret ? LEVEE_EXIT_ERROR : LEVEE_EXIT_OK;
}

/* ---- config ------------------------------------------------------------------------------ */

static const struct levee_option check_options[] = { LEVEE_CONFIG_OPTIONS, { 0 } };

static int config_check(const struct levee_command *command, int argc, char **argv)
{
	struct levee_config_args from = { 0 };
	struct levee_config config;
	int first, ret;

	ret = levee_command_parse(command, argc, argv, set_config_option, &from, &first);
	if (ret)
		return ret > 0 ? LEVEE_EXIT_OK : LEVEE_EXIT_USAGE;
	if (first < argc)
		from.path = argv[first++];
	ret = no_arguments(command, argc, argv, first);
	if (ret)
		return ret;
	if (levee_config_args_read(&config, &from))
		return LEVEE_EXIT_ERROR;
	printf("%s: good\n", levee_config_args_path(&from));
	levee_config_clear(&config);
	return LEVEE_EXIT_OK;
}

static const struct levee_option dump_options[] = {
	LEVEE_CONFIG_OPTIONS,
	{ "defaults", NULL, "every key at its default; no file is read" },
	{ "markdown", NULL, "the reference of all keys, as README has it" },
	{ "metrics", NULL, "the reference of all metrics of the API, as README has it" },
	{ 0 }
};

struct dump_ctx {
	struct levee_config_args from;
	bool defaults, markdown, metrics;
};

static int set_dump_option(void *ctx, int option, const char *value)
{
	struct dump_ctx *d = ctx;

	if (option < 2)
		return set_config_option(&d->from, option, value);
	*(option == 2 ? &d->defaults : option == 3 ? &d->markdown : &d->metrics) = true;
	return 0;
}

static int config_dump(const struct levee_command *command, int argc, char **argv)
{
	struct dump_ctx d = { 0 };
	struct levee_config config;
	int first, ret;

	ret = levee_command_parse(command, argc, argv, set_dump_option, &d, &first);
	if (ret)
		return ret > 0 ? LEVEE_EXIT_OK : LEVEE_EXIT_USAGE;
	if (first < argc)
		d.from.path = argv[first++];
	ret = no_arguments(command, argc, argv, first);
	if (ret)
		return ret;
	if (d.markdown || d.metrics) {
		if (d.markdown)
			levee_config_reference(stdout);
		else
			levee_metrics_reference(stdout);
		return LEVEE_EXIT_OK;
	}
	ret = d.defaults ? levee_config_init(&config) : levee_config_args_read(&config, &d.from);
	if (ret)
		return LEVEE_EXIT_ERROR;
	levee_config_dump(&config, stdout);
	levee_config_clear(&config);
	return LEVEE_EXIT_OK;
}

/* ---- detach ------------------------------------------------------------------------------ */

static const struct levee_option detach_options[] = {
	{ "pin", "DIR", "where it is pinned (default: " LEVEE_XDP_PIN ")" },
	{ "force", NULL, "also while a daemon runs, which then counts nothing any more" },
	{ 0 }
};

struct detach_ctx {
	const char *pin;
	bool force;
};

static int set_detach_option(void *ctx, int option, const char *value)
{
	struct detach_ctx *d = ctx;

	if (option == 0)
		d->pin = value;
	else
		d->force = true;
	return 0;
}

static void say_detach(void *ctx, enum levee_xdp_say level, const char *message)
{
	(void)ctx;
	fprintf(level == LEVEE_XDP_ERROR ? stderr : stdout, "levee: %s\n", message);
}

static int detach(const struct levee_command *command, int argc, char **argv)
{
	struct detach_ctx d = { .pin = LEVEE_XDP_PIN };
	int first, ret;

	ret = levee_command_parse(command, argc, argv, set_detach_option, &d, &first);
	if (ret)
		return ret > 0 ? LEVEE_EXIT_OK : LEVEE_EXIT_USAGE;
	ret = no_arguments(command, argc, argv, first);
	if (ret)
		return ret;
	return levee_xdp_detach(d.pin, d.force, say_detach, NULL) ? LEVEE_EXIT_ERROR
								  : LEVEE_EXIT_OK;
}

/* ---- version ----------------------------------------------------------------------------- */

static const struct levee_option no_options[] = { { 0 } };

static int set_nothing(void *ctx, int option, const char *value)
{
	(void)ctx;
	(void)option;
	(void)value;
	return 0;
}

static int version(const struct levee_command *command, int argc, char **argv)
{
	int first, ret;

	ret = levee_command_parse(command, argc, argv, set_nothing, NULL, &first);
	if (ret)
		return ret > 0 ? LEVEE_EXIT_OK : LEVEE_EXIT_USAGE;
	ret = no_arguments(command, argc, argv, first);
	if (ret)
		return ret;
	printf("levee %s\n", LEVEE_VERSION);
	if (levee_dpdk_version())
		printf("data paths: xdp, dpdk (DPDK %s), offline\n", levee_dpdk_version());
	else
		printf("data paths: xdp, offline (DPDK is not built in)\n");
	if (levee_page_missing())
		printf("page: not built in (%s)\n", levee_page_missing());
	else
		printf("page: built in (%s)\n", levee_page_libraries());
	printf("map layout: %d\n", LEVEE_LAYOUT);
	printf("libraries: libbpf %s, SQLite %s\n", libbpf_version_string() + 1,
	       sqlite3_libversion());
	return LEVEE_EXIT_OK;
}

const struct levee_command levee_commands[] = {
	{ "run", "", "count, detect and drop on this instance",
	  "Attaches to the configured interfaces, or takes over what an earlier run left "
	  "attached,\n"
	  "closes a bin each minute, and drops abnormal sources in the kernel. Stays in the\n"
	  "foreground and logs to standard error. SIGHUP reads configuration and lists again; "
	  "SIGTERM\n"
	  "ends it, and the kernel goes on counting and dropping until blocks expire by "
	  "themselves.",
	  run_options, run },
	{ "replay", "FILE", "verdicts on traffic from a file",
	  "Feeds a pcap, a pcapng, or CSV lines time_unix_s,source,packets[,bytes] through the "
	  "same\n"
	  "classifier, detector and block table; \"-\" is standard input. Times are the file's. "
	  "An\n"
	  "evaluation is printed at every bin boundary that follows a bin with traffic. A flagged\n"
	  "source is not counted until it is no longer flagged, unless --audit is given.\n"
	  "Exit code 1 if the file had defects: each is said, and all else was worked.",
	  replay_options, replay },
	{ "nacl plan", "", "what would be written to the network ACLs, as a diff",
	  "Reads the network ACLs and prints which rules would come and go, what stays without a\n"
	  "rule and why, and each call that would be made, in order. Nothing is changed. Blocks "
	  "are\n"
	  "those of the state file, which a running daemon keeps up to date.",
	  levee_nacl_plan_options, levee_cmd_nacl_plan },
	{ "nacl apply", "", "write the blocks to the network ACLs, once, and read them back",
	  "Does what `levee nacl plan` shows, one call at a time, and prints each. A failure at "
	  "any\n"
	  "call leaves a working network ACL on every subnet; the next run goes on from there. "
	  "While\n"
	  "`levee run` does this by itself the command is refused.",
	  levee_nacl_apply_options, levee_cmd_nacl_apply },
	{ "nacl status", "", "what the network ACLs hold, read back, against what is wanted",
	  "Reads the network ACLs and prints for each protected subnet and each rule whether it "
	  "is\n"
	  "in force there. Nothing is changed.",
	  levee_nacl_status_options, levee_cmd_nacl_status },
	{ "config check", "[FILE]", "read a configuration and say what is wrong with it",
	  "Prints every defect with file, line and the accepted values.", check_options,
	  config_check },
	{ "config dump", "[FILE]", "print the configuration in force",
	  "Prints every key with its value, unit, range and meaning, as a file that reads back.",
	  dump_options, config_dump },
	{ "list", "rules|sources4|sources6", "print what stands in the kernel, daemon or not",
	  "The same as `cat` of the list of that name below the pin directory, for kernels that\n"
	  "refuse the iterators behind it. rules: allowed and blocked prefixes, what ends when, "
	  "and\n"
	  "drops. sources4, sources6: sources of the running bin, per CPU.",
	  levee_list_options, levee_cmd_list },
	{ "fleet status", "", "who is in the fleet, who leads, and how complete its last bin is",
	  "Asks the engine that [fleet] url names, no daemon. SEEN is the time since a node's "
	  "last\n"
	  "sign of life (! if it is late), BIN the bin it is counting, LAST SENT the last one "
	  "that\n"
	  "has reached the fleet whole. A node that is alone decides by itself for the time being.",
	  levee_fleet_status_options, levee_cmd_fleet_status },
	{ "fleet reset", "", "forget what the fleet agreed on, when nobody lives by it any more",
	  "For a Levee with another schema, and for another bin or window, once all instances are\n"
	  "changed: the engine forgets schema, bin, window and the bins that were counted by them. "
	  "The\n"
	  "next instance that connects agrees anew. Blocks and lifts stay, and no other key is "
	  "touched.\n"
	  "Refused while an instance was seen in the last 15 seconds.",
	  levee_fleet_reset_options, levee_cmd_fleet_reset },
	{ "detach", "", "take the program off all interfaces, and its maps out of the kernel",
	  "The way back: packets pass as if Levee had never been there. State on disk is kept, "
	  "and\n"
	  "the next `levee run` attaches anew with the blocks that have not expired by then.",
	  detach_options, detach },
	{ "aws whoami", "", "who AWS takes this instance for, and where its credentials are from",
	  "Looks for credentials in the order of the AWS CLI, asks STS whose they are, and prints\n"
	  "account, role, the provider that answered, region and endpoint. Never a secret.",
	  levee_whoami_options, levee_cmd_whoami },
	{ "aws dashboard", "",
	  "put the CloudWatch dashboard: six graphs and the grid of blocked sources",
	  "Makes or replaces a dashboard of the metrics and records that [aws] metrics and "
	  "log_group\n"
	  "send: traffic allowed and rejected, sources, anomalous networks and sources blocked and "
	  "not\n"
	  "blocked, statistics with the threshold, and the blocked sources of each hour.",
	  levee_dashboard_options, levee_cmd_dashboard },
	{ "doctor", "", "check everything that has to be right, and say what to do where it is not",
	  "Looks at kernel, capabilities, BPF file system, memory, clock, interfaces (driver, "
	  "MTU,\n"
	  "channels, other programs, allowances), the addresses that traffic comes from, and, "
	  "with\n"
	  "[aws] enabled, at credentials, permissions (DryRun), network ACLs, subnets, topic, log\n"
	  "group, allow list and target groups. Changes nothing; needs neither a daemon nor AWS.\n"
	  "Exit code 1 if anything fails.",
	  levee_doctor_options, levee_cmd_doctor },
	{ "status", "", "what is going on: packets, verdicts, blocks, problems",
	  "Asks the running daemon. Exit code 1 if protection does not work at present, 3 if no\n"
	  "daemon can be reached. The columns: PACKETS/S is the rate in the bin that tripped,\n"
	  "DROPPED/S the rate that is dropped at present, DROPPED packets since the block began.",
	  levee_client_options, levee_cmd_status },
	{ "top", "", "sources and blocks, live on the whole screen",
	  "The largest sources of the last bin and all that is blocked, looked at each second. "
	  "Keys\n"
	  "sort, filter, block, unblock and allow; each change asks first. Without a terminal the\n"
	  "table is printed once.",
	  levee_client_options, levee_cmd_top },
	{ "why", "ADDRESS", "why a source is blocked or passes, with the detector's numbers",
	  "Its bins in the window, mean, deviation and threshold, the decision, when it ends, and\n"
	  "where it is enforced. All packets of an IPv6 /64 (by default) are one source.",
	  levee_client_options, levee_cmd_why },
	{ "blocks", "[PREFIX]", "list what is blocked",
	  "All blocks, or those within the prefix, with what made them and what they dropped.",
	  levee_blocks_options, levee_cmd_blocks },
	{ "block", "PREFIX", "block an address or prefix by hand",
	  "Takes effect at once, wins over detection, and outlives restarts. What is on the allow\n"
	  "list is refused, and so is a prefix that holds the address of this SSH session.",
	  levee_block_options, levee_cmd_block },
	{ "unblock", "[PREFIX]", "lift a block, and keep it lifted",
	  "Lifts the block of this prefix, or all blocks within it, or with --all every block, at\n"
	  "once. The spike that made it is still in the window, so no detector blocks the prefix\n"
	  "until it has left; see `levee exempt list`.",
	  levee_unblock_options, levee_cmd_unblock },
	{ "exempt list", "", "list what was unblocked and is exempt from detection",
	  "Each with its end. Exempt sources are counted and judged, but not blocked.",
	  levee_prefixes_options, levee_cmd_exempt_list },
	{ "exempt remove", "PREFIX", "let detection block it again",
	  "Takes an exemption back before its end.", levee_client_options,
	  levee_cmd_exempt_remove },
	{ "allow list", "", "list what is never blocked, and why it is on the list",
	  "Origins: automatic (own addresses, gateways, metadata), configuration, file, operator\n"
	  "(`levee allow add`), service.",
	  levee_prefixes_options, levee_cmd_allow_list },
	{ "allow add", "PREFIX", "never block an address or prefix",
	  "Takes effect at once, wins over every block, and outlives restarts. In a fleet it holds "
	  "for\n"
	  "all instances, as `levee allow remove` does.",
	  levee_allow_options, levee_cmd_allow_add },
	{ "allow remove", "PREFIX", "take back what `levee allow add` said",
	  "The lists of configuration and file are changed there.", levee_client_options,
	  levee_cmd_allow_remove },
	{ "events", "", "what has happened, and what happens",
	  "The last events of the running daemon; with --follow also those that come. --json "
	  "prints\n"
	  "one object a line with --follow.",
	  levee_events_options, levee_cmd_events },
	{ "history", "[PREFIX]", "what has happened in the last 30 days, newest first",
	  "From the state file, so restarts do not matter.", levee_history_options,
	  levee_cmd_history },
	{ "drill", "", "a synthetic flood, to see that protection works",
	  "A flood is injected into detection: no packet is sent. It is marked as a drill "
	  "everywhere,\n"
	  "goes the whole way of a real one, ends by itself, and never touches the statistics "
	  "that\n"
	  "real sources are judged by. Prints each step with its time. Exit code 1 if the source "
	  "was\n"
	  "not blocked. Interrupting it ends the drill.",
	  levee_drill_options, levee_cmd_drill },
	{ "reload", "", "read configuration and lists again",
	  "As SIGHUP does. A configuration with a defect is refused whole, and the old one stays "
	  "in\n"
	  "force. Keys that need a restart are named and keep their value.",
	  levee_client_options, levee_cmd_reload },
	{ "completion", "SHELL", "print a completion script for bash, zsh or fish",
	  "For example: levee completion bash > /usr/share/bash-completion/completions/levee",
	  levee_completion_options, levee_cmd_completion },
	{ "version", "", "version, and what is built in",
	  "Prints the version, the data paths that are "
	  "built in, and the libraries in use.",
	  no_options, version },
	{ 0 }
};
