/* SPDX-License-Identifier: BSD-2-Clause */
#include "control/cli/cmd_nacl.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "control/aws/nacl_config.h"
#include "control/aws/nacl_push.h"
#include "control/aws/retry.h"
#include "control/aws/session.h"
#include "control/cli/config_args.h"
#include "control/cli/nacl_input.h"
#include "control/cli/nacl_print.h"
#include "control/json.h"
#include "control/log.h"

#define WAIT_S 300

/* ---- options ----------------------------------------------------------------------------- */

enum {
	OPTION_BLOCKS = LEVEE_CONFIG_N_OPTIONS,
	OPTION_GOOD,
	OPTION_FORMAT,
	OPTION_JSON,
	OPTION_OWN, /* apply: wait; status: check */
};

#define NACL_OPTIONS                                                                           \
	LEVEE_CONFIG_OPTIONS,                                                                  \
		[OPTION_BLOCKS] = { "blocks", "FILE",                                          \
				    "lines PREFIX [ZSCORE [PACKETS]] in the place of "         \
				    "what the state file says is blocked" },                   \
		[OPTION_GOOD] = { "good", "FILE",                                              \
				  "lines PREFIX PACKETS, sources that are not to be touched, " \
				  "in the place of those that the state file knows" },         \
		[OPTION_FORMAT] = { "format", "text|json", "for people, or JSON" },            \
		[OPTION_JSON] = { "json", NULL, "the same as --format json" }

const struct levee_option levee_nacl_plan_options[] = { NACL_OPTIONS, { 0 } };
const struct levee_option levee_nacl_apply_options[] = {
	NACL_OPTIONS,
	[OPTION_OWN] = { "wait", "S", "give up after so many seconds: 1 to 86400 (default: 300)" },
	{ 0 }
};
const struct levee_option levee_nacl_status_options[] = {
	NACL_OPTIONS,
	[OPTION_OWN] = { "check", NULL, "exit code 1 if it is not what is wanted" },
	{ 0 }
};

struct nacl_args {
	struct levee_config_args from;
	const char *blocks;
	const char *good;
	bool json;
	bool check;
	uint64_t wait_s;
};

static int set_option(void *ctx, int option, const char *value)
{
	struct nacl_args *args = ctx;

	switch (option) {
	case OPTION_BLOCKS:
		args->blocks = value;
		return 0;
	case OPTION_GOOD:
		args->good = value;
		return 0;
	case OPTION_FORMAT:
		args->json = !strcmp(value, "json");
		if (args->json || !strcmp(value, "text"))
			return 0;
		fprintf(stderr, "levee: --format %s: not text or json\n", value);
		return -EINVAL;
	case OPTION_JSON:
		args->json = true;
		return 0;
	case OPTION_OWN:
		if (value)
			return levee_parse_uint("wait", value, 1, 86400, &args->wait_s);
		args->check = true;
		return 0;
	default:
		return levee_config_args_set(&args->from, option, value);
	}
}

/* ---- what the commands stand on ---------------------------------------------------------- */

struct work {
	struct levee_config config;
	bool has_config;
	struct levee_aws_cancel cancel;
	struct levee_aws_env env;
	struct levee_aws_session *session;
	struct levee_nacl_given given;
	char (*subnets)[LEVEE_NACL_ID];
	struct levee_nacl_journal *journal;
	struct levee_nacl_push_params params;
	struct levee_nacl_push *push;
	struct levee_nacl_push_input input;
};

static int fail(const struct levee_aws_error *error)
{
	fprintf(stderr, "levee: %s: %s\n", error->code, error->message);
	return LEVEE_EXIT_ERROR;
}

static int fail_plain(int ret)
{
	fprintf(stderr, "levee: %s\n", strerror(-ret));
	return LEVEE_EXIT_ERROR;
}

static int open_session(struct work *w)
{
	struct levee_aws_overrides overrides = levee_aws_overrides_of(&w->config);
	struct levee_aws_error error;
	int ret = levee_aws_cancel_init(&w->cancel);

	if (ret < 0)
		return fail_plain(ret);
	w->env = levee_aws_env_process(&w->cancel);
	ret = levee_aws_session_open(&w->session, &w->env, &overrides, NULL, &error);
	if (!ret)
		ret = levee_aws_session_region(w->session, &error);
	if (!ret)
		ret = levee_nacl_config_subnets(&w->config, w->session->imds, &w->subnets,
						&w->params.n_subnets, &error);
	return ret ? fail(&error) : 0;
}

static int open_journal(struct work *w, bool writes)
{
	char buffer[LEVEE_NACL_PATH];
	const char *path = levee_nacl_config_journal(&w->config, buffer);
	int ret = levee_nacl_journal_open(&w->journal, path, !writes, w->params.settle_ms);

	if (ret == -EWOULDBLOCK) {
		fprintf(stderr,
			"levee: another process writes to the network ACLs and has %s locked: a "
			"running `levee run` does so by itself, see `levee nacl status`\n",
			path);
		return LEVEE_EXIT_ERROR;
	}
	if (!ret || (!writes && ret != -ENOMEM)) /* to look, it can be done without */
		return ret ? fail_plain(levee_nacl_journal_open(&w->journal, NULL, true, 0)) : 0;
	fprintf(stderr,
		"levee: %s: %s; it holds the writes of the last minutes, and is made beside "
		"[state] file\n",
		path ? path : "journal", strerror(-ret));
	return LEVEE_EXIT_ERROR;
}

static int open_push(struct work *w, bool writes)
{
	int ret;

	levee_nacl_config_params(&w->config, &w->params);
	ret = open_journal(w, writes);
	if (ret)
		return ret;
	w->params.client = w->session->client;
	w->params.env = &w->env;
	w->params.journal = w->journal;
	w->params.subnets = (void *)w->subnets;
	ret = levee_nacl_push_new(&w->push, &w->params);
	return ret ? fail_plain(ret) : 0;
}

/* \return 0; an exit code, all said. finish() in both cases */
static int begin(struct work *w, const struct nacl_args *args, bool writes)
{
	const char *path = levee_config_args_path(&args->from);
	int ret;

	*w = (struct work){ .cancel = { .fd = -1 } };
	if (levee_config_args_read_if_any(&w->config, &args->from))
		return LEVEE_EXIT_ERROR;
	w->has_config = true;
	levee_log_set_level((enum levee_log_level)w->config.log.level);
	if (levee_config_check_nacl(&w->config, path, stderr) ||
	    levee_nacl_given_read(&w->given, &w->config, args->blocks, args->good))
		return LEVEE_EXIT_ERROR;
	w->input = (struct levee_nacl_push_input){ .sources = w->given.sources,
						   .n_sources = w->given.n_sources,
						   .allowed = w->given.allowed.list,
						   .n_allowed = w->given.allowed.n,
						   .good = w->given.good,
						   .n_good = w->given.n_good,
						   .good_known = w->given.good_known };
	ret = open_session(w);
	return ret ? ret : open_push(w, writes);
}

static void finish(struct work *w)
{
	levee_nacl_push_free(&w->push);
	levee_nacl_journal_close(&w->journal);
	free(w->subnets);
	levee_nacl_given_clear(&w->given);
	levee_aws_session_free(&w->session);
	levee_aws_cancel_free(&w->cancel);
	if (w->has_config)
		levee_config_clear(&w->config);
}

static int parse(const struct levee_command *command, int argc, char **argv, struct nacl_args *args)
{
	int first, ret = levee_command_parse(command, argc, argv, set_option, args, &first);

	if (ret)
		return ret;
	if (first == argc)
		return 0;
	levee_command_usage(command, "unexpected argument %s", argv[first]);
	return -EINVAL;
}

/* ---- plan and status --------------------------------------------------------------------- */

static int show(struct work *w, const struct nacl_args *args, const char *name)
{
	struct levee_nacl_look look;
	struct levee_nacl_view view;
	struct levee_nacl_turn turn;
	bool status = !strcmp(name, "status"), good;
	int ret = levee_nacl_push_look(w->push, &w->input, &look, &turn);

	if (ret) {
		fprintf(stderr, "levee: %s\n", turn.text);
		return LEVEE_EXIT_ERROR;
	}
	ret = levee_nacl_view_make(&view, &look, &w->params.plan, turn.text);
	view.origin = w->given.origin;
	view.n_sources = w->given.n_sources;
	view.n_allowed = w->given.allowed.n;
	view.n_good = w->given.n_good;
	view.good_known = w->given.good_known;
	view.n_spoofable = w->given.n_spoofable;
	if (ret)
		fail_plain(ret);
	else if (args->json)
		levee_nacl_print_json(&view, name, stdout);
	else if (status)
		levee_nacl_print_status(&view, stdout);
	else
		levee_nacl_print_plan(&view, stdout);
	good = !ret && !view.obstacle && (view.converged || !args->check);
	levee_nacl_view_clear(&view);
	free(look.steps);
	return good ? LEVEE_EXIT_OK : LEVEE_EXIT_ERROR;
}

static int look(const struct levee_command *command, int argc, char **argv, const char *name)
{
	struct nacl_args args = { 0 };
	struct work w;
	int ret = parse(command, argc, argv, &args);

	if (ret)
		return ret > 0 ? LEVEE_EXIT_OK : LEVEE_EXIT_USAGE;
	ret = begin(&w, &args, false);
	if (!ret)
		ret = show(&w, &args, name);
	finish(&w);
	return ret;
}

int levee_cmd_nacl_plan(const struct levee_command *command, int argc, char **argv)
{
	return look(command, argc, argv, "plan");
}

int levee_cmd_nacl_status(const struct levee_command *command, int argc, char **argv)
{
	return look(command, argc, argv, "status");
}

/* ---- apply ------------------------------------------------------------------------------- */

/* What is waited for is said once, and only if it takes time. */
static void say_wait(const struct levee_nacl_turn *turn, char said[static LEVEE_PUSH_TEXT])
{
	if (!turn->wait_ms || !strcmp(turn->text, said))
		return;
	printf("%s\n", turn->text);
	snprintf(said, LEVEE_PUSH_TEXT, "%s", turn->text);
}

static void say_turn(const struct levee_nacl_turn *turn, char said[static LEVEE_PUSH_TEXT])
{
	char text[LEVEE_PUSH_TEXT];

	if (turn->wrote && turn->step.writes)
		printf("%s %s\n", levee_ec2_operation(turn->step.type),
		       levee_nacl_step_text(&turn->step, text));
	else if (turn->verdict == LEVEE_PUSH_WAIT)
		say_wait(turn, said);
	else if (turn->verdict == LEVEE_PUSH_AGAIN && *turn->text)
		printf("%s\n", turn->text);
}

/* Is it in vain to try again? What the client has tried several times, at the very first. */
static bool is_hopeless(const struct work *w, const struct levee_nacl_turn *turn)
{
	const struct levee_nacl_push_counts *counts = levee_nacl_push_counts(w->push);

	return turn->verdict == LEVEE_PUSH_WAIT && *turn->error.code &&
	       levee_aws_judge(0, &turn->error) != LEVEE_AWS_THROTTLED &&
	       counts->reads + counts->writes <= counts->failures;
}

/* \return whether it converged; if not, turn->text says why */
static bool push_all(struct work *w, const struct nacl_args *args, struct levee_nacl_turn *turn)
{
	int64_t end_ms = levee_nacl_boot_ms() + (int64_t)args->wait_s * 1000;
	char said[LEVEE_PUSH_TEXT] = "", text[LEVEE_PUSH_TEXT];

	do {
		levee_nacl_push_turn(w->push, &w->input, turn);
		if (is_hopeless(w, turn))
			return false;
		if (!args->json)
			say_turn(turn, said);
		if (turn->verdict == LEVEE_PUSH_WAIT && turn->wait_ms) {
			if (levee_nacl_boot_ms() + turn->wait_ms >= end_ms) {
				snprintf(text, sizeof(text), "%s", turn->text);
				snprintf(turn->text, sizeof(turn->text),
					 "given up after %u s (--wait): %.680s",
					 (unsigned int)args->wait_s, text);
				return false;
			}
			w->env.sleep_ms(w->env.ctx, turn->wait_ms);
		}
	} while (turn->verdict == LEVEE_PUSH_AGAIN || turn->verdict == LEVEE_PUSH_WAIT);
	return turn->verdict == LEVEE_PUSH_CONVERGED;
}

static const char *plural(uint64_t n)
{
	return n == 1 ? "" : "s";
}

static void print_done(const struct work *w)
{
	const struct levee_nacl_push_counts *counts = levee_nacl_push_counts(w->push);
	const struct levee_nacl_plan *plan = levee_nacl_push_plan(w->push);
	char cidr[LEVEE_PREFIX_TEXT];

	printf("in force and read back on %zu subnet%s: %s with %zu rule%s; %llu call%s wrote; "
	       "blocks are from %s\n",
	       w->params.n_subnets, plural(w->params.n_subnets), levee_nacl_push_in_force(w->push),
	       plan->n_rules, plural(plan->n_rules), (unsigned long long)counts->writes,
	       plural(counts->writes), w->given.origin);
	if (plan->unblocked_sources)
		printf("without a rule, blocked on the instances alone: %zu\n",
		       plan->unblocked_sources);
	for (size_t i = 0; i < plan->n_targets; i++)
		if (!plan->targets[i].number)
			printf("  %s: %s\n", levee_nacl_cidr(&plan->targets[i].prefix, cidr),
			       levee_nacl_fit_text(plan->targets[i].fit));
}

static void print_json(const struct work *w, bool done, const struct levee_nacl_turn *turn)
{
	const struct levee_nacl_push_counts *counts = levee_nacl_push_counts(w->push);
	const struct levee_nacl_plan *plan = levee_nacl_push_plan(w->push);
	struct levee_json j;

	levee_json_begin(&j, stdout);
	levee_json_object(&j, NULL);
	levee_json_uint(&j, "schema", LEVEE_NACL_SCHEMA);
	levee_json_string(&j, "command", "apply");
	levee_json_bool(&j, "converged", done);
	levee_json_string(&j, "text", done ? "" : turn->text);
	levee_json_string(&j, "error", turn->error.code);
	levee_json_string(&j, "blocks_from", w->given.origin);
	levee_json_uint(&j, "blocks", w->given.n_sources);
	levee_json_string(&j, "in_force", levee_nacl_push_in_force(w->push));
	levee_json_uint(&j, "wanted", plan ? plan->n_rules : 0);
	levee_json_uint(&j, "sources_without_rule", plan ? plan->unblocked_sources : 0);
	levee_json_uint(&j, "budget_granted", levee_nacl_push_learned_budget(w->push));
	levee_json_uint(&j, "reads", counts->reads);
	levee_json_uint(&j, "writes", counts->writes);
	levee_json_uint(&j, "switches", counts->switches);
	levee_json_uint(&j, "failures", counts->failures);
	levee_json_uint(&j, "throttled", counts->throttled);
	levee_json_end(&j);
	levee_json_finish(&j);
}

static int apply(struct work *w, const struct nacl_args *args)
{
	struct levee_nacl_turn turn;
	bool done;

	setvbuf(stdout, NULL, _IOLBF, 0);
	done = push_all(w, args, &turn);
	if (args->json)
		print_json(w, done, &turn);
	else if (done)
		print_done(w);
	if (levee_nacl_journal_error(w->journal))
		fprintf(stderr,
			"levee: the journal beside [state] file could not be written: %s; the next "
			"run waits until every read shows what this one wrote\n",
			strerror(-levee_nacl_journal_error(w->journal)));
	if (!done)
		fprintf(stderr, "levee: %s\n", turn.text);
	return done ? LEVEE_EXIT_OK : LEVEE_EXIT_ERROR;
}

int levee_cmd_nacl_apply(const struct levee_command *command, int argc, char **argv)
{
	struct nacl_args args = { .wait_s = WAIT_S };
	struct work w;
	int ret = parse(command, argc, argv, &args);

	if (ret)
		return ret > 0 ? LEVEE_EXIT_OK : LEVEE_EXIT_USAGE;
	ret = begin(&w, &args, true);
	if (!ret)
		ret = apply(&w, &args);
	finish(&w);
	return ret;
}
