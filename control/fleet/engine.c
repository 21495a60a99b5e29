/* SPDX-License-Identifier: BSD-2-Clause */
#include "control/fleet/engine.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SERVERS_MAX 512
#define SHA_TEXT    41

struct server {
	char host[256];
	char port[8];
	struct levee_link *link; /* NULL: not needed yet */
};

struct levee_engine {
	struct levee_link_params params; /* strings are the caller's */
	unsigned int n;
	struct server *servers; /* [0] is the one of the URL, if this is no cluster */
	uint16_t *owner;	/* of each slot; NULL: no cluster */
	char sha[LEVEE_SCRIPTS][SHA_TEXT];
	/* Whose replies are outstanding, oldest first: a ring that grows. */
	uint16_t *order;
	size_t head, waiting, room;
	int error;
	char why[LEVEE_LINK_WHY];
};

/* ---- what is said ------------------------------------------------------------------------ */

static const struct {
	const char *begin;
	int error;
	const char *remedy;
} meanings[] = {
	{ "WRONGPASS", -EACCES, "correct [fleet] url (user) and password_file" },
	{ "NOAUTH", -EACCES, "the engine wants a password: name it in [fleet] password_file" },
	{ "NOPERM", -EACCES, "the engine's user lacks a permission: see \"Fleet\" in the README" },
	{ "ERR AUTH", -EACCES, "the engine has no password: take [fleet] password_file out" },
	{ "ERR invalid password", -EACCES, "correct [fleet] password_file" },
	{ "READONLY", -EROFS, "this is a replica: name the primary in [fleet] url" },
	{ "OOM", -ENOSPC, "the engine is full: raise its maxmemory, or give it a larger node" },
	{ "MISCONF", -EROFS,
	  "the engine cannot write to its disk, and takes nothing until it can" },
	{ "LOADING", -EBUSY, "the engine is still loading its data" },
	{ "MASTERDOWN", -EBUSY, "the engine has lost its primary" },
	{ "CLUSTERDOWN", -EBUSY, "the cluster is failing over, or lacks a node" },
	{ "BUSY", -EBUSY, "somebody's script keeps the engine busy" },
	{ "TRYAGAIN", -ESTALE, "the cluster moves a slot" },
	{ "MOVED", -ESTALE, "the cluster has moved a slot" },
	{ "ASK", -ESTALE, "the cluster moves a slot" },
	{ "LEVEETWICE", -EEXIST,
	  "another instance has this name and lives: give each a [fleet] node of its own (who was "
	  "just restarted joins in 3 s)" },
	{ "NOSCRIPT", -ESTALE, "the engine was restarted" },
	{ "WRONGTYPE", -EEXIST,
	  "a key of that name is somebody else's: choose another [fleet] prefix" },
};

int levee_engine_explain(const char *error, char why[static LEVEE_LINK_WHY])
{
	const char *found;

	for (size_t i = 0; i < sizeof(meanings) / sizeof(meanings[0]); i++) {
		found = strstr(error, meanings[i].begin);
		/* At the start, or quoted by a script that it ended. */
		if (!found || (found != error && found[-1] != ' ' && found[-1] != '-'))
			continue;
		snprintf(why, LEVEE_LINK_WHY, "%.180s; %s", error, meanings[i].remedy);
		return meanings[i].error;
	}
	snprintf(why, LEVEE_LINK_WHY, "%.300s", error);
	return -EPROTO;
}

static int fail(struct levee_engine *engine, int error, const char *why)
{
	if (!engine->error) {
		engine->error = error;
		snprintf(engine->why, sizeof(engine->why), "%s", why);
	}
	return engine->error;
}

const char *levee_engine_why(const struct levee_engine *engine)
{
	return engine->why;
}

/* ---- slots ------------------------------------------------------------------------------- */

static uint16_t crc16(const char *data, size_t n)
{
	uint16_t crc = 0;

	for (size_t i = 0; i < n; i++) {
		crc ^= (uint16_t)((unsigned char)data[i] << 8);
		for (int bit = 0; bit < 8; bit++)
			crc = (uint16_t)(crc & 0x8000 ? crc << 1 ^ 0x1021 : crc << 1);
	}
	return crc;
}

unsigned int levee_engine_slot(const char *key)
{
	const char *open = strchr(key, '{'), *close = open ? strchr(open + 1, '}') : NULL;

	if (close && close > open + 1)
		return crc16(open + 1, (size_t)(close - open - 1)) % LEVEE_SLOTS_OF_CLUSTER;
	return crc16(key, strlen(key)) % LEVEE_SLOTS_OF_CLUSTER;
}

static unsigned int server_of(const struct levee_engine *engine, const char *key)
{
	return engine->owner ? engine->owner[levee_engine_slot(key)] : 0;
}

/* ---- servers ----------------------------------------------------------------------------- */

static int open_server(const struct levee_engine *engine, const struct server *server,
		       struct levee_link **link, char why[static LEVEE_LINK_WHY])
{
	struct levee_link_params params = engine->params;
	char reason[LEVEE_LINK_WHY];
	int ret;

	params.host = server->host;
	params.port = server->port;
	ret = levee_link_open(link, &params, reason);
	if (ret == -EACCES)
		levee_engine_explain(reason, why);
	else if (ret)
		snprintf(why, LEVEE_LINK_WHY, "%.100s:%s: %.180s", server->host, server->port,
			 reason);
	return ret;
}

/* Every server that runs scripts is given all of them once. */
static int load_scripts(struct levee_engine *engine, struct levee_link *link)
{
	const char *argv[] = { "SCRIPT", "LOAD", NULL };
	redisReply *reply;
	int ret = 0;

	for (int i = 0; i < LEVEE_SCRIPTS && !ret; i++) {
		argv[2] = levee_scripts[i];
		ret = levee_link_call(link, engine->params.timeout_ms, &reply, 3, argv, NULL);
		if (ret) {
			fail(engine, ret, levee_link_why(link));
			break;
		}
		if (reply->type == REDIS_REPLY_ERROR) {
			char why[LEVEE_LINK_WHY];

			ret = levee_engine_explain(reply->str, why);
			fail(engine, ret, why);
		} else if (reply->type != REDIS_REPLY_STRING && reply->type != REDIS_REPLY_STATUS) {
			ret = fail(engine, -EPROTO, "SCRIPT LOAD has no answer");
		} else {
			snprintf(engine->sha[i], SHA_TEXT, "%s", reply->str);
		}
		freeReplyObject(reply);
	}
	return ret;
}

static struct levee_link *link_of(struct levee_engine *engine, unsigned int at)
{
	struct server *server = &engine->servers[at];
	char why[LEVEE_LINK_WHY];
	int ret;

	if (server->link || engine->error)
		return server->link;
	ret = open_server(engine, server, &server->link, why);
	if (ret)
		fail(engine, ret, why);
	else
		load_scripts(engine, server->link);
	return engine->error ? NULL : server->link;
}

static bool is_text(const redisReply *reply, size_t size)
{
	return reply->type == REDIS_REPLY_STRING && (size_t)reply->len < size;
}

/* \return its place; -1 if there is no room */
static int find_server(struct levee_engine *engine, const char *host, long long port)
{
	struct server wanted = { .link = NULL };
	void *more;

	snprintf(wanted.host, sizeof(wanted.host), "%s", host);
	snprintf(wanted.port, sizeof(wanted.port), "%u", (unsigned int)port & 0xffff);
	for (unsigned int i = 0; i < engine->n; i++)
		if (!strcmp(engine->servers[i].host, wanted.host) &&
		    !strcmp(engine->servers[i].port, wanted.port))
			return (int)i;
	if (engine->n == SERVERS_MAX)
		return -1;
	more = reallocarray(engine->servers, engine->n + 1, sizeof(*engine->servers));
	if (!more)
		return -1;
	engine->servers = more;
	engine->servers[engine->n] = wanted;
	return (int)engine->n++;
}

/* One range of CLUSTER SLOTS: first, last, (host, port, ...) of the primary, replicas. */
static int take_range(struct levee_engine *engine, const redisReply *range)
{
	const redisReply *primary;
	const char *host;
	int at;

	if (range->type != REDIS_REPLY_ARRAY || range->elements < 3 ||
	    range->element[0]->type != REDIS_REPLY_INTEGER ||
	    range->element[1]->type != REDIS_REPLY_INTEGER)
		return -EPROTO;
	primary = range->element[2];
	if (primary->type != REDIS_REPLY_ARRAY || primary->elements < 2 ||
	    primary->element[1]->type != REDIS_REPLY_INTEGER)
		return -EPROTO;
	/* An empty or missing host is that of the server that was asked. */
	host = engine->params.host;
	if (is_text(primary->element[0], sizeof(engine->servers->host)) &&
	    primary->element[0]->len > 0)
		host = primary->element[0]->str;
	at = find_server(engine, host, primary->element[1]->integer);
	if (at < 0)
		return -ENOMEM;
	for (long long slot = range->element[0]->integer; slot <= range->element[1]->integer;
	     slot++)
		if (slot >= 0 && slot < LEVEE_SLOTS_OF_CLUSTER)
			engine->owner[slot] = (uint16_t)at;
	return 0;
}

static int take_map(struct levee_engine *engine, const redisReply *map)
{
	int ret = 0;

	engine->owner = calloc(LEVEE_SLOTS_OF_CLUSTER, sizeof(*engine->owner));
	if (!engine->owner)
		return -ENOMEM;
	for (unsigned int slot = 0; slot < LEVEE_SLOTS_OF_CLUSTER; slot++)
		engine->owner[slot] = UINT16_MAX;
	for (size_t i = 0; i < map->elements && !ret; i++)
		ret = take_range(engine, map->element[i]);
	for (unsigned int slot = 0; slot < LEVEE_SLOTS_OF_CLUSTER && !ret; slot++)
		if (engine->owner[slot] == UINT16_MAX)
			ret = fail(engine, -EBUSY, "some slots of the cluster have no server");
	return ret;
}

/* A single server answers with an error that it is no cluster. */
static int learn_slots(struct levee_engine *engine, struct levee_link *link)
{
	const char *argv[] = { "CLUSTER", "SLOTS" };
	redisReply *reply;
	int ret = levee_link_call(link, engine->params.timeout_ms, &reply, 2, argv, NULL);

	if (ret)
		return fail(engine, ret, levee_link_why(link));
	if (reply->type == REDIS_REPLY_ARRAY)
		ret = take_map(engine, reply);
	freeReplyObject(reply);
	return ret ? fail(engine, ret, "the map of the cluster makes no sense") : 0;
}

int levee_engine_open(struct levee_engine **out, const struct levee_link_params *params,
		      char why[static LEVEE_LINK_WHY])
{
	struct levee_engine *engine = calloc(1, sizeof(*engine));
	struct levee_link *link;
	int ret = -ENOMEM;

	*out = NULL;
	snprintf(why, LEVEE_LINK_WHY, "%s", strerror(ENOMEM));
	if (!engine)
		return -ENOMEM;
	engine->params = *params;
	if (find_server(engine, params->host, strtol(params->port, NULL, 10)) == 0) {
		link = link_of(engine, 0);
		ret = link ? learn_slots(engine, link) : engine->error;
	}
	if (ret) {
		if (engine->why[0])
			snprintf(why, LEVEE_LINK_WHY, "%s", engine->why);
		levee_engine_close(&engine);
		return ret;
	}
	why[0] = '\0';
	*out = engine;
	return 0;
}

void levee_engine_close(struct levee_engine **at)
{
	struct levee_engine *engine = *at;

	if (!engine)
		return;
	for (unsigned int i = 0; i < engine->n; i++)
		levee_link_close(&engine->servers[i].link);
	free(engine->servers);
	free(engine->owner);
	free(engine->order);
	free(engine);
	*at = NULL;
}

int levee_engine_dial(const struct levee_engine *engine, const char *key, struct levee_link **link,
		      char why[static LEVEE_LINK_WHY])
{
	return open_server(engine, &engine->servers[server_of(engine, key)], link, why);
}

unsigned int levee_engine_servers(const struct levee_engine *engine)
{
	return engine->n;
}

void levee_engine_traffic(const struct levee_engine *engine, struct levee_link_traffic *sum)
{
	*sum = (struct levee_link_traffic){ 0 };
	for (unsigned int i = 0; i < engine->n; i++) {
		const struct levee_link_traffic *t;

		if (!engine->servers[i].link)
			continue;
		t = levee_link_traffic(engine->servers[i].link);
		sum->commands += t->commands;
		sum->bytes_in += t->bytes_in;
		sum->bytes_out += t->bytes_out;
	}
}

/* ---- commands ---------------------------------------------------------------------------- */

static bool note_order(struct levee_engine *engine, unsigned int at)
{
	if (engine->waiting == engine->room) {
		size_t room = engine->room ? 2 * engine->room : 256;
		uint16_t *more = malloc(room * sizeof(*more));

		if (!more)
			return false;
		for (size_t i = 0; i < engine->waiting; i++)
			more[i] = engine->order[(engine->head + i) % engine->room];
		free(engine->order);
		engine->order = more;
		engine->room = room;
		engine->head = 0;
	}
	engine->order[(engine->head + engine->waiting++) % engine->room] = (uint16_t)at;
	return true;
}

static void send_at(struct levee_engine *engine, unsigned int at, int argc, const char *const *argv,
		    const size_t *lengths)
{
	struct levee_link *link = link_of(engine, at);

	if (!link)
		return;
	if (!note_order(engine, at)) {
		fail(engine, -ENOMEM, strerror(ENOMEM));
		return;
	}
	levee_link_push(link, argc, argv, lengths);
}

void levee_engine_send(struct levee_engine *engine, const char *key, int argc,
		       const char *const *argv, const size_t *lengths)
{
	send_at(engine, server_of(engine, key), argc, argv, lengths);
}

void levee_engine_send_to(struct levee_engine *engine, unsigned int server, int argc,
			  const char *const *argv)
{
	send_at(engine, server, argc, argv, NULL);
}

void levee_engine_eval(struct levee_engine *engine, enum levee_script script, int n_keys, int argc,
		       const char *const *argv, const size_t *lengths)
{
	const char **all = calloc((size_t)argc + 3, sizeof(*all));
	size_t *sizes = calloc((size_t)argc + 3, sizeof(*sizes));
	char keys[16];

	snprintf(keys, sizeof(keys), "%d", n_keys);
	if (!all || !sizes || !link_of(engine, server_of(engine, argv[0]))) {
		fail(engine, -ENOMEM, strerror(ENOMEM));
	} else {
		all[0] = "EVALSHA";
		all[1] = engine->sha[script];
		all[2] = keys;
		for (int i = 0; i < 3; i++)
			sizes[i] = strlen(all[i]);
		for (int i = 0; i < argc; i++) {
			all[i + 3] = argv[i];
			sizes[i + 3] = lengths ? lengths[i] : strlen(argv[i]);
		}
		levee_engine_send(engine, argv[0], argc + 3, all, sizes);
	}
	free(all);
	free(sizes);
}

int levee_engine_receive(struct levee_engine *engine, int timeout_ms, redisReply **reply)
{
	char why[LEVEE_LINK_WHY];
	struct levee_link *link;
	int ret;

	*reply = NULL;
	if (engine->error)
		return engine->error;
	if (!engine->waiting)
		return -ENOENT;
	/* A full buffer of one server must not keep another's commands waiting. */
	for (unsigned int i = 0; i < engine->n && engine->n > 1; i++)
		if (engine->servers[i].link &&
		    levee_link_flush(engine->servers[i].link, timeout_ms))
			return fail(engine, -EPIPE, levee_link_why(engine->servers[i].link));
	link = engine->servers[engine->order[engine->head]].link;
	engine->head = (engine->head + 1) % engine->room;
	engine->waiting--;
	ret = levee_link_pop(link, timeout_ms, reply);
	if (ret)
		return fail(engine, ret, levee_link_why(link));
	if ((*reply)->type != REDIS_REPLY_ERROR)
		return 0;
	ret = levee_engine_explain((*reply)->str, why);
	freeReplyObject(*reply);
	*reply = NULL;
	return fail(engine, ret, why);
}

int levee_engine_call(struct levee_engine *engine, int timeout_ms, redisReply **reply,
		      const char *key, int argc, const char *const *argv)
{
	levee_engine_send(engine, key, argc, argv, NULL);
	return levee_engine_receive(engine, timeout_ms, reply);
}
