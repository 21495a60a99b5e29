/* SPDX-License-Identifier: BSD-2-Clause */
/* levee events, levee history */
#include "control/cli/cmd_live.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "control/cli/client.h"
#include "control/cli/print.h"

#define SUBJECT_WIDTH 24 /* a /64; events that come later cannot be measured before */

/* ---- events -------------------------------------------------------------------------------- */

enum { EVENTS_FOLLOW = LEVEE_CLIENT_N_OPTIONS, EVENTS_KIND, EVENTS_LIMIT };

const struct levee_option levee_events_options[] = {
	LEVEE_CLIENT_OPTIONS,
	[EVENTS_FOLLOW] = { "follow", NULL, "go on with what comes, until interrupted" },
	[EVENTS_KIND] = { "kind", "WORD",
			  "only block, harden, lift, exempt, allow, bin, reload, drill, health, "
			  "nacl or fleet" },
	[EVENTS_LIMIT] = { "limit", "N",
			   "with --follow: end after so many; else the last so many "
			   "(default: 100)" },
	{ 0 },
};

static const char *const event_kinds[] = { "block",  "harden", "lift",	 "exempt", "allow", "bin",
					   "reload", "drill",  "health", "nacl",   "fleet", NULL };

struct event_args {
	bool follow, json;
	const char *kind;
	uint64_t limit;
	uint64_t printed;
};

static int set_events(void *ctx, int option, const char *value)
{
	struct event_args *a = ctx;

	switch (option + LEVEE_CLIENT_N_OPTIONS) {
	case EVENTS_FOLLOW:
		a->follow = true;
		return 0;
	case EVENTS_KIND:
		a->kind = value;
		return levee_parse_word("kind", value, event_kinds);
	default:
		return levee_parse_uint("limit", value, 1, 4096, &a->limit);
	}
}

static bool is_wanted(const struct event_args *a, const char *kind)
{
	return !a->kind || !strcmp(a->kind, kind);
}

static void print_event(const json_t *e)
{
	const struct levee_colours *c = levee_colours();
	const char *kind = levee_text(e, "kind");
	const char *colour = !strcmp(kind, "block") || !strcmp(kind, "harden") ? c->red
			     : !strcmp(kind, "health")			       ? c->yellow
			     : !strcmp(kind, "lift")			       ? c->green
									       : "";
	char packets[32], time[32];
	bool is_bin = !strcmp(kind, "bin"); /* its subject is the bin's end [unix s] */

	printf("%s %s%-7s%s %-*s %s%s", levee_text(e, "time"), colour, kind, *colour ? c->off : "",
	       SUBJECT_WIDTH,
	       is_bin ? levee_time_words(strtoll(levee_text(e, "subject"), NULL, 10), time)
		      : levee_text(e, "subject"),
	       levee_is(e, "drill") ? "(drill) " : "", levee_text(e, "text"));
	if (levee_real(e, "zscore") > 0)
		printf(" (z = %.2f, %s packets)", levee_real(e, "zscore"),
		       levee_grouped(levee_real(e, "packets"), packets));
	if (!strcmp(kind, "lift"))
		printf("; %s packets were dropped",
		       levee_grouped(levee_real(e, "dropped"), packets));
	if (levee_text(e, "until")[0])
		printf(" until %s", levee_text(e, "until"));
	putchar('\n');
	fflush(stdout);
}

static int on_event(void *ctx, const char *kind, const char *data)
{
	struct event_args *a = ctx;
	json_t *json;

	if (!strcmp(kind, "missed")) {
		fprintf(stderr, "levee: some events were missed: %s\n", data);
		return 0;
	}
	if (!is_wanted(a, kind))
		return 0;
	if (a->json) {
		printf("%s\n", data);
		fflush(stdout);
	} else {
		json = json_loads(data, 0, NULL);
		print_event(json);
		json_decref(json);
	}
	return a->limit && ++a->printed >= a->limit;
}

int levee_cmd_events(const struct levee_command *command, int argc, char **argv)
{
	struct event_args args = { 0 };
	struct levee_client client = { .set = set_events, .ctx = &args };
	int ret = levee_client_parse(&client, command, argc, argv, 0, 0);
	struct levee_reply reply;
	const json_t *events, *e;
	size_t i, wanted = 0, skip;

	if (ret >= 0)
		return ret;
	args.json = client.json;
	if (args.follow)
		return levee_client_follow(&client, "/api/v1/events?follow=true", on_event, &args);
	ret = levee_client_get(&client, "/api/v1/events?limit=4096", &reply);
	if (ret >= 0)
		return ret;
	events = json_object_get(reply.json, "events");
	json_array_foreach(events, i, e) wanted += is_wanted(&args, levee_text(e, "kind"));
	skip = args.limit ? args.limit : 100;
	skip = wanted > skip ? wanted - skip : 0;
	json_array_foreach(events, i, e)
	{
		if (!is_wanted(&args, levee_text(e, "kind")))
			continue;
		if (skip)
			skip--;
		else
			print_event(e);
	}
	levee_reply_clear(&reply);
	return LEVEE_EXIT_OK;
}

/* ---- history ------------------------------------------------------------------------------- */

enum { HISTORY_SINCE = LEVEE_CLIENT_N_OPTIONS, HISTORY_KIND, HISTORY_LIMIT };

const struct levee_option levee_history_options[] = {
	LEVEE_CLIENT_OPTIONS,
	[HISTORY_SINCE] = { "since", "TIME", "30m, 2h, 1d: look back so far (default: 30d)" },
	[HISTORY_KIND] = { "kind", "WORD",
			   "only blocked, hardened, expired, released, exempt, allow or drill" },
	[HISTORY_LIMIT] = { "limit", "N", "print at most so many: 1 to 10000 (default: 100)" },
	{ 0 },
};

static const char *const history_kinds[] = { "blocked", "hardened", "expired", "released",
					     "exempt",	"allow",    "drill",   NULL };

struct history_args {
	uint64_t since_s, limit;
	const char *kind;
};

static int set_history(void *ctx, int option, const char *value)
{
	struct history_args *a = ctx;

	switch (option + LEVEE_CLIENT_N_OPTIONS) {
	case HISTORY_SINCE:
		return levee_client_duration("since", value, &a->since_s);
	case HISTORY_KIND:
		a->kind = value;
		return levee_parse_word("kind", value, history_kinds);
	default:
		return levee_parse_uint("limit", value, 1, 10000, &a->limit);
	}
}

int levee_cmd_history(const struct levee_command *command, int argc, char **argv)
{
	struct history_args args = { .limit = 100 };
	struct levee_client client = { .set = set_history, .ctx = &args };
	int ret = levee_client_parse(&client, command, argc, argv, 0, 1);
	struct levee_reply reply;
	char path[256], prefix[64];
	const json_t *rows, *row;
	size_t i;
	int width;

	if (ret >= 0)
		return ret;
	snprintf(path, sizeof(path), "/api/v1/history?limit=%llu", (unsigned long long)args.limit);
	if (args.since_s && args.since_s < (uint64_t)time(NULL))
		snprintf(path + strlen(path), sizeof(path) - strlen(path), "&since=%llu",
			 (unsigned long long)((uint64_t)time(NULL) - args.since_s));
	if (args.kind)
		snprintf(path + strlen(path), sizeof(path) - strlen(path), "&kind=%s", args.kind);
	if (client.n_args) {
		if (levee_client_prefix("history", client.args[0], prefix))
			return LEVEE_EXIT_USAGE;
		snprintf(path + strlen(path), sizeof(path) - strlen(path), "&within=%s", prefix);
	}
	ret = levee_client_get(&client, path, &reply);
	if (ret >= 0)
		return ret;
	rows = json_object_get(reply.json, "history");
	width = levee_column_width(rows, "subject", SUBJECT_WIDTH);
	if (!json_array_size(rows))
		printf("nothing of that kind has happened\n");
	json_array_foreach(rows, i, row)
		printf("%s %-9s %-*s %s\n", levee_text(row, "time"), levee_text(row, "kind"), width,
		       levee_text(row, "subject"), levee_text(row, "text"));
	levee_reply_clear(&reply);
	return LEVEE_EXIT_OK;
}
