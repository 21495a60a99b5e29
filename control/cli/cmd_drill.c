/* SPDX-License-Identifier: BSD-2-Clause */
/* levee drill, levee reload */
#include "control/cli/cmd_live.h"

#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "control/cli/client.h"

/* ---- reload -------------------------------------------------------------------------------- */

int levee_cmd_reload(const struct levee_command *command, int argc, char **argv)
{
	struct levee_client client = { 0 };
	int ret = levee_client_parse(&client, command, argc, argv, 0, 0);

	return ret >= 0 ? ret : levee_client_do(&client, "POST", "/api/v1/reload", NULL);
}

/* ---- drill --------------------------------------------------------------------------------- */

enum {
	DRILL_SOURCE = LEVEE_CLIENT_N_OPTIONS,
	DRILL_RATE,
	DRILL_DURATION,
	DRILL_PUSH,
	DRILL_FORCE,
	DRILL_STOP,
};

const struct levee_option levee_drill_options[] = {
	LEVEE_CLIENT_OPTIONS,
	[DRILL_SOURCE] = { "source", "ADDRESS",
			   "who the flood seems to come from (default: 198.51.100.7)" },
	[DRILL_RATE] = { "rate", "N", "packets/s: 1 to 10^9 (default: 2000)" },
	[DRILL_DURATION] = { "duration", "TIME", "90s, 5m, 1h: how long (default: 5m)" },
	[DRILL_PUSH] = { "push", NULL,
			 "network ACLs get it, too; only addresses of the documentation ranges" },
	[DRILL_FORCE] = { "force", NULL,
			  "also a source that is not of the documentation ranges: its real packets "
			  "are dropped meanwhile" },
	[DRILL_STOP] = { "stop", NULL, "end the drill that runs" },
	{ 0 },
};

struct drill_args {
	const char *source;
	uint64_t rate, for_s;
	bool push, force, stop;
};

static int set_drill(void *ctx, int option, const char *value)
{
	struct drill_args *a = ctx;

	switch (option + LEVEE_CLIENT_N_OPTIONS) {
	case DRILL_SOURCE:
		a->source = value;
		return 0;
	case DRILL_RATE:
		return levee_parse_uint("rate", value, 1, 1000000000, &a->rate);
	case DRILL_DURATION:
		return levee_client_duration("duration", value, &a->for_s);
	case DRILL_PUSH:
		a->push = true;
		return 0;
	case DRILL_FORCE:
		a->force = true;
		return 0;
	default:
		a->stop = true;
		return 0;
	}
}

static json_t *make_drill(const struct drill_args *a, const char *source)
{
	json_t *body = json_object();

	json_object_set_new(body, "source", json_string(source));
	json_object_set_new(body, "rate", json_integer((json_int_t)a->rate));
	json_object_set_new(body, "for_s", json_integer((json_int_t)a->for_s));
	json_object_set_new(body, "push", json_boolean(a->push));
	json_object_set_new(body, "force", json_boolean(a->force));
	return body;
}

static volatile sig_atomic_t interrupted;

static void on_interrupt(int number)
{
	(void)number;
	interrupted = 1;
}

/* New steps of the drill as they come. \return how many there are */
static size_t print_steps(const json_t *drill, size_t printed)
{
	const json_t *step;
	size_t i;

	json_array_foreach(json_object_get(drill, "steps"), i, step) if (i >= printed)
	{
		printf("%9.3f s  %s\n", levee_real(step, "after_s"), levee_text(step, "text"));
		fflush(stdout);
	}
	return i;
}

static int wait_for_end(const struct levee_client *client, size_t printed)
{
	struct levee_reply reply;
	const json_t *drill;
	bool is_over, passed;
	int ret;

	for (;;) {
		if (interrupted) {
			interrupted = 0;
			levee_client_do(client, "DELETE", "/api/v1/drill", NULL);
		}
		ret = levee_client_ask(client, "GET", "/api/v1/drill", NULL, &reply);
		if (ret)
			return ret;
		drill = json_object_get(reply.json, "drill");
		is_over = !levee_is(drill, "running");
		passed = levee_is(drill, "blocked");
		if (!client->json)
			printed = print_steps(drill, printed);
		if (is_over && client->json)
			fputs(reply.text, stdout);
		if (is_over && !client->json)
			printf("%s\n", levee_text(drill, "result"));
		levee_reply_clear(&reply);
		if (is_over)
			return passed ? LEVEE_EXIT_OK : LEVEE_EXIT_ERROR;
		usleep(250000);
	}
}

int levee_cmd_drill(const struct levee_command *command, int argc, char **argv)
{
	struct drill_args args = { .source = "198.51.100.7", .rate = 2000, .for_s = 300 };
	struct levee_client client = { .set = set_drill, .ctx = &args };
	int ret = levee_client_parse(&client, command, argc, argv, 0, 0);
	struct sigaction interrupt = { .sa_handler = on_interrupt };
	struct levee_reply reply;
	char source[64];
	json_t *body;

	if (ret >= 0)
		return ret;
	if (args.stop)
		return levee_client_do(&client, "DELETE", "/api/v1/drill", NULL);
	if (levee_client_prefix("drill", args.source, source))
		return LEVEE_EXIT_USAGE;
	body = make_drill(&args, source);
	ret = levee_client_ask(&client, "POST", "/api/v1/drill", body, &reply);
	json_decref(body);
	if (ret)
		return ret;
	if (reply.status != 200) {
		ret = levee_client_complain(&client, &reply);
		levee_reply_clear(&reply);
		return ret;
	}
	if (!client.json)
		printf("%s\n", levee_text(reply.json, "message"));
	levee_reply_clear(&reply);
	sigaction(SIGINT, &interrupt, NULL);
	sigaction(SIGTERM, &interrupt, NULL);
	return wait_for_end(&client, 0);
}
