/* SPDX-License-Identifier: BSD-2-Clause */
#include "control/fleet/look.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#include "control/fleet/fleet_internal.h"

struct looking {
	struct levee_fleet f; /* for its options, URL and keys alone */
	struct levee_engine *engine;
	char *password;
	struct levee_fleet_view *view;
};

static int call(struct looking *l, redisReply **reply, int argc, const char *const *argv)
{
	return levee_engine_call(l->engine, LEVEE_FLEET_ANSWER, reply, argv[1], argc, argv);
}

static const char *text_of(const redisReply *reply)
{
	return reply->type == REDIS_REPLY_STRING ? reply->str : "";
}

static int look_at_agreement(struct looking *l)
{
	const char *argv[] = { "HMGET", l->f.keys.meta, "schema", "bin", "window" };
	struct levee_fleet_view *v = l->view;
	redisReply *reply;
	int ret = call(l, &reply, 5, argv);

	if (ret)
		return ret;
	if (reply->elements == 3) {
		snprintf(v->schema, sizeof(v->schema), "%s", text_of(reply->element[0]));
		snprintf(v->bin, sizeof(v->bin), "%s", text_of(reply->element[1]));
		snprintf(v->window, sizeof(v->window), "%s", text_of(reply->element[2]));
	}
	freeReplyObject(reply);
	return v->schema[0] ? 0 : -ENOENT;
}

static int engine_ms(struct looking *l, int64_t *ms)
{
	const char *argv[] = { "TIME" };
	redisReply *reply;
	int ret = levee_engine_call(l->engine, LEVEE_FLEET_ANSWER, &reply, l->f.keys.nodes, 1,
				    argv);

	if (ret)
		return ret;
	if (reply->elements == 2)
		*ms = strtoll(text_of(reply->element[0]), NULL, 10) * 1000 +
		      strtoll(text_of(reply->element[1]), NULL, 10) / 1000;
	freeReplyObject(reply);
	return 0;
}

static int by_name(const void *a, const void *b)
{
	const struct levee_fleet_seen *left = a, *right = b;

	return strcmp(left->name, right->name);
}

static void take_node(struct levee_fleet_view *v, const char *name, const char *text,
		      int64_t now_ms)
{
	struct levee_fleet_seen *seen = &v->nodes[v->n_nodes];
	struct levee_fleet_node node;
	const char *version = text;

	if (levee_fleet_node_parse(&node, name, text))
		return;
	for (int i = 0; i < 5 && version; i++) {
		version = strchr(version, ' ');
		version = version ? version + 1 : NULL;
	}
	*seen = (struct levee_fleet_seen){ .ago_ms = now_ms - (int64_t)node.seen_ms,
					   .running = node.running_s,
					   .done = node.done_s,
					   .together = node.together };
	snprintf(seen->name, sizeof(seen->name), "%s", node.name);
	snprintf(seen->version, sizeof(seen->version), "%.*s",
		 version ? (int)strcspn(version, " ") : 0, version ? version : "");
	v->n_nodes++;
}

static int look_at_nodes(struct looking *l)
{
	const char *argv[] = { "HGETALL", l->f.keys.nodes };
	struct levee_fleet_view *v = l->view;
	int64_t now_ms = 0;
	redisReply *reply;
	int ret = engine_ms(l, &now_ms);

	if (!ret)
		ret = call(l, &reply, 2, argv);
	if (ret)
		return ret;
	v->nodes = calloc(reply->elements / 2 + 1, sizeof(*v->nodes));
	for (size_t i = 0; v->nodes && i + 1 < reply->elements; i += 2)
		take_node(v, text_of(reply->element[i]), text_of(reply->element[i + 1]), now_ms);
	freeReplyObject(reply);
	if (!v->nodes)
		return -ENOMEM;
	qsort(v->nodes, v->n_nodes, sizeof(*v->nodes), by_name);
	return 0;
}

static int look_at_leader(struct looking *l)
{
	const char *argv[] = { "GET", l->f.keys.lease };
	struct levee_lease lease;
	redisReply *reply;
	int ret = call(l, &reply, 2, argv);

	if (ret)
		return ret;
	levee_lease_init(&lease, "");
	levee_lease_answer(&lease, 0, 0, text_of(reply), false);
	snprintf(l->view->leader, sizeof(l->view->leader), "%s", lease.holder);
	l->view->token = lease.holder_token;
	freeReplyObject(reply);
	return 0;
}

static int look_at_evaluation(struct looking *l, char newest[static 24])
{
	const char *argv[] = { "HMGET",	 l->f.keys.eval, "start",   "mean",
			       "stddev", "threshold",	 "findings" };
	struct levee_fleet_view *v = l->view;
	redisReply *reply;
	int ret = call(l, &reply, 7, argv);

	if (ret)
		return ret;
	newest[0] = '\0';
	if (reply->elements == 5) {
		snprintf(newest, 24, "%s", text_of(reply->element[0]));
		v->mean = strtod(text_of(reply->element[1]), NULL);
		v->stddev = strtod(text_of(reply->element[2]), NULL);
		v->threshold = strtod(text_of(reply->element[3]), NULL);
		v->findings = strtoull(text_of(reply->element[4]), NULL, 10);
	}
	freeReplyObject(reply);
	return 0;
}

static int look_at_record(struct looking *l)
{
	char newest[24];
	const char *argv[] = { "HGET", l->f.keys.records, newest };
	struct levee_fleet_view *v = l->view;
	redisReply *reply;
	int ret = look_at_evaluation(l, newest);

	if (ret || !newest[0])
		return ret;
	ret = call(l, &reply, 3, argv);
	if (ret)
		return ret;
	v->has_record = !levee_fleet_record_parse(&v->record, text_of(reply));
	freeReplyObject(reply);
	return 0;
}

static int count(struct looking *l, const char *key, size_t *n)
{
	const char *argv[] = { "HLEN", key };
	redisReply *reply;
	int ret = call(l, &reply, 2, argv);

	if (ret)
		return ret;
	*n = (size_t)reply->integer;
	freeReplyObject(reply);
	return 0;
}

/* Entries that hold; the engine keeps ended ones for as long as repeat offenders are remembered. */
static void count_entries(struct levee_fleet_view *v, const redisReply *list)
{
	uint64_t now_ms = levee_fleet_unix_ms();
	struct levee_fleet_entry entry;

	for (size_t i = 0; i + 1 < list->elements; i += 2)
		if (!levee_fleet_entry_parse(&entry, text_of(list->element[i]),
					     text_of(list->element[i + 1])) &&
		    !levee_fleet_entry_over(&entry, now_ms)) {
			v->blocks += !entry.allow;
			v->allowed += entry.allow && !entry.lifted;
		}
}

static int look_at_blocks(struct looking *l)
{
	char cursor[32] = "0";
	const char *argv[] = { "HSCAN", l->f.keys.blocks, cursor, "COUNT", "500" };
	redisReply *reply;
	int ret;

	do {
		ret = call(l, &reply, 5, argv);
		if (ret)
			return ret;
		if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 2) {
			freeReplyObject(reply);
			return -EPROTO;
		}
		snprintf(cursor, sizeof(cursor), "%s", text_of(reply->element[0]));
		count_entries(l->view, reply->element[1]);
		freeReplyObject(reply);
	} while (cursor[0] && strcmp(cursor, "0") != 0);
	return 0;
}

static int look(struct looking *l)
{
	int ret = look_at_agreement(l);

	if (!ret)
		ret = look_at_nodes(l);
	if (!ret)
		ret = look_at_leader(l);
	if (!ret)
		ret = look_at_record(l);
	if (!ret)
		ret = count(l, l->f.keys.records, &l->view->n_records);
	if (!ret)
		ret = look_at_blocks(l);
	l->view->servers = levee_engine_servers(l->engine);
	return ret;
}

static int do_reset(struct looking *l, bool force, struct levee_fleet_was *was)
{
	char live[16];
	const char *argv[] = { l->f.keys.meta,	 l->f.keys.nodes, l->f.keys.records,
			       l->f.keys.dirty,	 l->f.keys.eval,  live,
			       force ? "1" : "0" };
	redisReply *reply;
	int ret;

	snprintf(live, sizeof(live), "%d", LEVEE_FLEET_GONE_MS);
	levee_engine_eval(l->engine, LEVEE_SCRIPT_RESET, 5, 7, argv, NULL);
	ret = levee_engine_receive(l->engine, LEVEE_FLEET_ANSWER, &reply);
	if (ret)
		return ret;
	ret = -EPROTO;
	if (reply->type == REDIS_REPLY_ARRAY && reply->elements == 5) {
		was->live = (size_t)reply->element[0]->integer;
		snprintf(was->schema, sizeof(was->schema), "%s", text_of(reply->element[2]));
		snprintf(was->bin, sizeof(was->bin), "%s", text_of(reply->element[3]));
		snprintf(was->window, sizeof(was->window), "%s", text_of(reply->element[4]));
		ret = !was->schema[0] ? -ENOENT : reply->element[1]->integer == 1 ? 0 : -EBUSY;
	}
	freeReplyObject(reply);
	return ret;
}

static int open_look(struct looking **out, const struct levee_fleet_options *options,
		     char why[static LEVEE_LOOK_WHY])
{
	struct looking *l = calloc(1, sizeof(*l));
	const char *reason = NULL;
	char text[LEVEE_LINK_WHY] = "";
	int ret;

	*out = l;
	snprintf(why, LEVEE_LOOK_WHY, "%s", strerror(ENOMEM));
	if (!l)
		return -ENOMEM;
	l->f.options = *options;
	ret = levee_fleet_url_parse(&l->f.url, options->url, &reason);
	if (ret) {
		snprintf(why, LEVEE_LOOK_WHY, "[fleet] url = %.100s: %s", options->url, reason);
		return ret;
	}
	levee_fleet_keys_init(&l->f.keys, options->prefix, options->name);
	ret = levee_fleet_open_engine(&l->f, &l->engine, &l->password, text);
	snprintf(why, LEVEE_LOOK_WHY, "%s", text[0] ? text : strerror(-ret));
	return ret;
}

static void say_why(const struct looking *l, int ret, char why[static LEVEE_LOOK_WHY])
{
	if (ret == -ENOENT)
		snprintf(why, LEVEE_LOOK_WHY, "no fleet %s on %s:%s: no instance has joined yet",
			 l->f.options.name, l->f.url.host, l->f.url.port);
	else
		snprintf(why, LEVEE_LOOK_WHY, "%s",
			 levee_engine_why(l->engine)[0] ? levee_engine_why(l->engine)
							: strerror(-ret));
}

static void close_look(struct looking *l)
{
	if (!l)
		return;
	levee_engine_close(&l->engine);
	if (l->password)
		OPENSSL_cleanse(l->password, strlen(l->password));
	free(l->password);
	free(l);
}

int levee_fleet_look(struct levee_fleet_view *view, const struct levee_fleet_options *options,
		     char why[static LEVEE_LOOK_WHY])
{
	struct looking *l;
	int ret = open_look(&l, options, why);

	*view = (struct levee_fleet_view){ 0 };
	if (!ret) {
		l->view = view;
		ret = look(l);
		if (ret)
			say_why(l, ret, why);
	}
	close_look(l);
	if (ret)
		levee_fleet_view_clear(view);
	return ret;
}

int levee_fleet_reset(struct levee_fleet_was *was, const struct levee_fleet_options *options,
		      bool force, char why[static LEVEE_LOOK_WHY])
{
	struct levee_fleet_view view = { 0 };
	struct looking *l;
	int ret = open_look(&l, options, why);

	*was = (struct levee_fleet_was){ 0 };
	if (!ret) {
		l->view = &view;
		ret = do_reset(l, force, was);
		if (!ret)
			ret = look_at_blocks(l);
		was->blocks = view.blocks;
		if (ret == -EBUSY)
			snprintf(why, LEVEE_LOOK_WHY,
				 "%zu instances of fleet %s live, with schema %s, bins of %s s and "
				 "a window of %s s: end them first; nothing was changed",
				 was->live, options->name, was->schema, was->bin, was->window);
		else if (ret)
			say_why(l, ret, why);
	}
	close_look(l);
	return ret;
}

void levee_fleet_view_clear(struct levee_fleet_view *view)
{
	free(view->nodes);
	levee_fleet_record_clear(&view->record);
	*view = (struct levee_fleet_view){ 0 };
}
