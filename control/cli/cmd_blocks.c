/* SPDX-License-Identifier: BSD-2-Clause */
/* levee blocks, block, unblock, exempt, allow */
#include "control/cli/cmd_live.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "control/cli/client.h"
#include "control/cli/print.h"
#include "dataplane/prefix.h"

/* ---- blocks -------------------------------------------------------------------------------- */

enum { BLOCKS_LIMIT = LEVEE_CLIENT_N_OPTIONS, BLOCKS_ORDER, BLOCKS_REASON };

const struct levee_option levee_blocks_options[] = {
	LEVEE_CLIENT_OPTIONS,
	[BLOCKS_LIMIT] = { "limit", "N", "print at most so many: 1 to 10000 (default: 1000)" },
	[BLOCKS_ORDER] = { "order", "WORD",
			   "prefix, drops, zscore or end: what comes first (default: drops)" },
	[BLOCKS_REASON] = { "reason", "WORD", "only those that are detected, manual or drill" },
	{ 0 },
};

struct list_args {
	uint64_t limit;
	const char *order, *reason;
};

static int set_blocks(void *ctx, int option, const char *value)
{
	static const char *const orders[] = { "prefix", "drops", "zscore", "end", NULL };
	static const char *const reasons[] = { "detected", "manual", "drill", NULL };
	struct list_args *a = ctx;

	switch (option + LEVEE_CLIENT_N_OPTIONS) {
	case BLOCKS_LIMIT:
		return levee_parse_uint("limit", value, 1, 10000, &a->limit);
	case BLOCKS_ORDER:
		a->order = value;
		return levee_parse_word("order", value, orders);
	default:
		a->reason = value;
		return levee_parse_word("reason", value, reasons);
	}
}

int levee_cmd_blocks(const struct levee_command *command, int argc, char **argv)
{
	struct list_args args = { .limit = 1000, .order = "drops" };
	struct levee_client client = { .set = set_blocks, .ctx = &args };
	int ret = levee_client_parse(&client, command, argc, argv, 0, 1);
	struct levee_reply reply;
	char path[256], prefix[64];
	long long matching;
	size_t printed;

	if (ret >= 0)
		return ret;
	snprintf(path, sizeof(path), "/api/v1/blocks?limit=%llu&order=%s%s%s",
		 (unsigned long long)args.limit, args.order, args.reason ? "&reason=" : "",
		 args.reason ? args.reason : "");
	if (client.n_args) {
		if (levee_client_prefix("blocks", client.args[0], prefix))
			return LEVEE_EXIT_USAGE;
		snprintf(path + strlen(path), sizeof(path) - strlen(path), "&within=%s", prefix);
	}
	ret = levee_client_get(&client, path, &reply);
	if (ret >= 0)
		return ret;
	matching = levee_whole(reply.json, "matching");
	printed = json_array_size(json_object_get(reply.json, "blocks"));
	if (matching)
		levee_print_blocks(json_object_get(reply.json, "blocks"), "");
	else
		printf("nothing is blocked\n");
	if (matching > (long long)printed)
		printf("... and %lld more; --limit shows up to 10000\n",
		       matching - (long long)printed);
	levee_reply_clear(&reply);
	return LEVEE_EXIT_OK;
}

/* ---- block --------------------------------------------------------------------------------- */

enum { BLOCK_FOR = LEVEE_CLIENT_N_OPTIONS, BLOCK_REASON, BLOCK_FORCE, BLOCK_LOCAL };

const struct levee_option levee_block_options[] = {
	LEVEE_CLIENT_OPTIONS,
	[BLOCK_FOR] = { "for", "TIME",
			"90s, 30m, 2h, 1d: how long (default: until it is unblocked)" },
	[BLOCK_REASON] = { "reason", "TEXT", "why, for whoever looks: up to 95 bytes" },
	[BLOCK_FORCE] = { "force", NULL,
			  "also what is wider than /8 (IPv6: /24), or holds your own address" },
	[BLOCK_LOCAL] = { "local", NULL, "on this instance alone, not in its fleet" },
	{ 0 },
};

struct change_args {
	uint64_t for_s;
	const char *note;
	bool force, all, local;
};

static int set_note(struct change_args *a, const char *value)
{
	a->note = value;
	if (strlen(value) <= 95)
		return 0;
	fprintf(stderr, "levee: --reason: longer than 95 bytes\n");
	return -EINVAL;
}

static int set_block(void *ctx, int option, const char *value)
{
	struct change_args *a = ctx;

	switch (option + LEVEE_CLIENT_N_OPTIONS) {
	case BLOCK_FOR:
		return levee_client_duration("for", value, &a->for_s);
	case BLOCK_REASON:
		return set_note(a, value);
	case BLOCK_LOCAL:
		a->local = true;
		return 0;
	default:
		a->force = true;
		return 0;
	}
}

static json_t *make_body(const char *prefix, const struct change_args *a)
{
	json_t *body = json_object();

	json_object_set_new(body, "prefix", json_string(prefix));
	if (a->for_s)
		json_object_set_new(body, "for_s", json_integer((json_int_t)a->for_s));
	if (a->note)
		json_object_set_new(body, "note", json_string(a->note));
	if (a->force)
		json_object_set_new(body, "force", json_true());
	if (a->local)
		json_object_set_new(body, "local", json_true());
	return body;
}

/* Would the block hold the address that this very session comes from? sshd says which it is. */
static bool cuts_session_off(const char *text)
{
	const char *ssh = getenv("SSH_CONNECTION");
	struct levee_prefix prefix, own;
	size_t len;

	if (!ssh || !ssh[0])
		ssh = getenv("SSH_CLIENT");
	len = ssh ? strcspn(ssh, " ") : 0;
	if (!len || levee_prefix_read(&prefix, text, strlen(text), NULL) ||
	    levee_prefix_read(&own, ssh, len, NULL))
		return false;
	return levee_prefix_covers(&prefix, &own);
}

int levee_cmd_block(const struct levee_command *command, int argc, char **argv)
{
	struct change_args args = { 0 };
	struct levee_client client = { .set = set_block, .ctx = &args };
	int ret = levee_client_parse(&client, command, argc, argv, 1, 1);
	char prefix[64];
	json_t *body;

	if (ret >= 0)
		return ret;
	if (levee_client_prefix("block", client.args[0], prefix))
		return LEVEE_EXIT_USAGE;
	if (!args.force && cuts_session_off(prefix)) {
		fprintf(stderr,
			"levee: %s holds the address that this session comes from: not blocked; "
			"--force says that it is meant\n",
			prefix);
		return LEVEE_EXIT_ERROR;
	}
	body = make_body(prefix, &args);
	ret = levee_client_do(&client, "POST", "/api/v1/blocks", body);
	json_decref(body);
	return ret;
}

/* ---- unblock ------------------------------------------------------------------------------- */

enum { UNBLOCK_ALL = LEVEE_CLIENT_N_OPTIONS, UNBLOCK_FOR, UNBLOCK_LOCAL };

const struct levee_option levee_unblock_options[] = {
	LEVEE_CLIENT_OPTIONS,
	[UNBLOCK_ALL] = { "all", NULL, "every block there is" },
	[UNBLOCK_FOR] = { "for", "TIME",
			  "90s, 30m, 2h, 1d: how long no detector blocks it (default: one window "
			  "and one bin)" },
	[UNBLOCK_LOCAL] = { "local", NULL, "on this instance alone, not in its fleet" },
	{ 0 },
};

static int set_unblock(void *ctx, int option, const char *value)
{
	struct change_args *a = ctx;

	switch (option + LEVEE_CLIENT_N_OPTIONS) {
	case UNBLOCK_FOR:
		return levee_client_duration("for", value, &a->for_s);
	case UNBLOCK_LOCAL:
		a->local = true;
		return 0;
	default:
		a->all = true;
		return 0;
	}
}

__attribute__((format(printf, 3, 4))) static void add_to_query(char *path, size_t size,
							       const char *format, ...)
{
	size_t len = strlen(path);
	va_list args;

	if (len + 1 >= size)
		return;
	path[len] = strchr(path, '?') ? '&' : '?';
	va_start(args, format);
	vsnprintf(path + len + 1, size - len - 1, format, args);
	va_end(args);
}

int levee_cmd_unblock(const struct levee_command *command, int argc, char **argv)
{
	struct change_args args = { 0 };
	struct levee_client client = { .set = set_unblock, .ctx = &args };
	int ret = levee_client_parse(&client, command, argc, argv, 0, 1);
	char prefix[64] = "", path[192];

	if (ret >= 0)
		return ret;
	if (args.all == (client.n_args == 1))
		return levee_command_usage(command, "either a prefix or --all");
	if (!args.all && levee_client_prefix("unblock", client.args[0], prefix))
		return LEVEE_EXIT_USAGE;
	snprintf(path, sizeof(path), "/api/v1/blocks%s%s", args.all ? "" : "/", prefix);
	if (args.all)
		add_to_query(path, sizeof(path), "all=true");
	if (args.local)
		add_to_query(path, sizeof(path), "local=true");
	if (args.for_s)
		add_to_query(path, sizeof(path), "for_s=%llu", (unsigned long long)args.for_s);
	return levee_client_do(&client, "DELETE", path, NULL);
}

/* ---- lists --------------------------------------------------------------------------------- */

enum { LIST_LIMIT = LEVEE_CLIENT_N_OPTIONS };

const struct levee_option levee_prefixes_options[] = {
	LEVEE_CLIENT_OPTIONS,
	[LIST_LIMIT] = { "limit", "N", "print at most so many: 1 to 10000 (default: 10000)" },
	{ 0 },
};

static int set_list(void *ctx, int option, const char *value)
{
	struct list_args *a = ctx;

	(void)option;
	return levee_parse_uint("limit", value, 1, 10000, &a->limit);
}

static int get_list(const struct levee_command *command, int argc, char **argv, const char *path,
		    struct levee_client *client, struct levee_reply *reply)
{
	struct list_args args = { .limit = 10000 };
	int ret;
	char full[128];

	*client = (struct levee_client){ .set = set_list, .ctx = &args };
	ret = levee_client_parse(client, command, argc, argv, 0, 0);
	if (ret >= 0)
		return ret;
	snprintf(full, sizeof(full), "%s?limit=%llu", path, (unsigned long long)args.limit);
	return levee_client_get(client, full, reply);
}

static void say_more(const struct levee_reply *reply, const char *list)
{
	long long more = levee_whole(reply->json, "total") -
			 (long long)json_array_size(json_object_get(reply->json, list));

	if (more > 0)
		printf("... and %lld more\n", more);
}

int levee_cmd_exempt_list(const struct levee_command *command, int argc, char **argv)
{
	struct levee_client client;
	struct levee_reply reply;
	const json_t *e;
	size_t i;
	int ret = get_list(command, argc, argv, "/api/v1/exemptions", &client, &reply);

	if (ret >= 0)
		return ret;
	if (!levee_whole(reply.json, "total"))
		printf("nothing is exempt\n");
	json_array_foreach(json_object_get(reply.json, "exemptions"), i, e) printf(
		"%-24s since %s, %s%s%s%s\n", levee_text(e, "prefix"), levee_text(e, "since"),
		levee_text(e, "until")[0] ? "until " : "until it is taken back",
		levee_text(e, "until"), levee_text(e, "note")[0] ? "  " : "",
		levee_text(e, "note"));
	say_more(&reply, "exemptions");
	levee_reply_clear(&reply);
	return LEVEE_EXIT_OK;
}

static int remove_from(const struct levee_command *command, int argc, char **argv, const char *name,
		       const char *path)
{
	struct levee_client client = { 0 };
	int ret = levee_client_parse(&client, command, argc, argv, 1, 1);
	char prefix[64], full[128];

	if (ret >= 0)
		return ret;
	if (levee_client_prefix(name, client.args[0], prefix))
		return LEVEE_EXIT_USAGE;
	snprintf(full, sizeof(full), "%s%s", path, prefix);
	return levee_client_do(&client, "DELETE", full, NULL);
}

int levee_cmd_exempt_remove(const struct levee_command *command, int argc, char **argv)
{
	return remove_from(command, argc, argv, "exempt remove", "/api/v1/exemptions/");
}

int levee_cmd_allow_remove(const struct levee_command *command, int argc, char **argv)
{
	return remove_from(command, argc, argv, "allow remove", "/api/v1/allow/");
}

int levee_cmd_allow_list(const struct levee_command *command, int argc, char **argv)
{
	struct levee_client client;
	struct levee_reply reply;
	const json_t *a;
	size_t i;
	int ret = get_list(command, argc, argv, "/api/v1/allow", &client, &reply);

	if (ret >= 0)
		return ret;
	json_array_foreach(json_object_get(reply.json, "allowed"), i, a)
		printf("%-44s %s\n", levee_text(a, "prefix"), levee_text(a, "origin"));
	say_more(&reply, "allowed");
	levee_reply_clear(&reply);
	return LEVEE_EXIT_OK;
}

enum { ALLOW_REASON = LEVEE_CLIENT_N_OPTIONS, ALLOW_FORCE, ALLOW_LOCAL };

const struct levee_option levee_allow_options[] = {
	LEVEE_CLIENT_OPTIONS,
	[ALLOW_REASON] = { "reason", "TEXT", "why, for whoever looks: up to 95 bytes" },
	[ALLOW_FORCE] = { "force", NULL, "also what is wider than /8 (IPv6: /24)" },
	[ALLOW_LOCAL] = { "local", NULL, "on this instance alone, not in its fleet" },
	{ 0 },
};

static int set_allow(void *ctx, int option, const char *value)
{
	struct change_args *a = ctx;

	if (option + LEVEE_CLIENT_N_OPTIONS == ALLOW_REASON)
		return set_note(a, value);
	if (option + LEVEE_CLIENT_N_OPTIONS == ALLOW_LOCAL)
		a->local = true;
	else
		a->force = true;
	return 0;
}

int levee_cmd_allow_add(const struct levee_command *command, int argc, char **argv)
{
	struct change_args args = { 0 };
	struct levee_client client = { .set = set_allow, .ctx = &args };
	int ret = levee_client_parse(&client, command, argc, argv, 1, 1);
	char prefix[64];
	json_t *body;

	if (ret >= 0)
		return ret;
	if (levee_client_prefix("allow add", client.args[0], prefix))
		return LEVEE_EXIT_USAGE;
	body = make_body(prefix, &args);
	ret = levee_client_do(&client, "POST", "/api/v1/allow", body);
	json_decref(body);
	return ret;
}
