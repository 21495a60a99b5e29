/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fleetload: N nodes of a fleet in one process, with bins of random sources, against a server that
 * is there already. Says whether each fleet-wide bin was complete and exact, how long it took, and
 * what it cost the server: commands, bytes, CPU, memory, and the longest time it was busy with one
 * command, by its clock (SLOWLOG, which has what else the machine did meanwhile in it) and in its own
 * CPU time (the largest bucket of all reduced once more, with nothing else going on). It is what the README's sizing stands on, and what the tests of clusters and TLS use.
 *
 * Nothing waits for the clock: a bin is sent when the one before it has its result.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "control/fleet/engine.h"
#include "control/fleet/fleet_internal.h"
#include "control/fleet/look.h"

#define NODES_MAX  256
#define WAIT_S	   120
#define CONTACT_S  60
#define SLOW_MS	   50 /* a command must not keep the server busy for longer */
#define REPEATS	   20 /* of one command, to tell what it costs */
#define LATE_BIN_S 10 /* bins before now at which the first one starts */

struct load {
	struct levee_fleet_options options;
	unsigned int nodes;
	unsigned int sources;
	unsigned int common; /* per cent of a node's sources that all nodes see */
	unsigned int bins;
	uint64_t random;

	struct levee_fleet *fleet[NODES_MAX];
	char node[NODES_MAX][16];
	struct levee_engine *engine;
	char *password;
	unsigned int bad;
	bool no_cost;  /* the user may not ask the server for it */
	uint64_t sent; /* commands of all nodes, in the bins */
};

/* Sums over all servers of the engine. */
struct cost {
	double commands, bytes_in, bytes_out, cpu_s, memory;
};

static double now_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static uint64_t next_random(struct load *l)
{
	l->random ^= l->random << 13;
	l->random ^= l->random >> 7;
	l->random ^= l->random << 17;
	return l->random;
}

static void say(void *ctx, bool problem, const char *message)
{
	(void)ctx;
	if (problem)
		fprintf(stderr, "fleetload: %s\n", message);
}

static void pause_ms(long ms)
{
	const struct timespec t = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };

	nanosleep(&t, NULL);
}

/* ---- the server -------------------------------------------------------------------------- */

static double info_of(const char *text, const char *name)
{
	const char *at = strstr(text, name);

	return at ? strtod(at + strlen(name), NULL) : 0;
}

static void add_cost(struct cost *cost, const char *info)
{
	cost->commands += info_of(info, "total_commands_processed:");
	cost->bytes_in += info_of(info, "total_net_input_bytes:");
	cost->bytes_out += info_of(info, "total_net_output_bytes:");
	cost->cpu_s += info_of(info, "used_cpu_sys:") + info_of(info, "used_cpu_user:");
	cost->memory += info_of(info, "used_memory_peak:");
}

/* Ask each server of a cluster once: by a key of each shard, since shards are all that is used. */
static int ask_all(struct load *l, int argc, const char *const *argv,
		   void (*take)(void *ctx, const redisReply *reply), void *ctx)
{
	redisReply *reply;
	int ret;

	for (unsigned int i = 0; i < levee_engine_servers(l->engine); i++) {
		levee_engine_send_to(l->engine, i, argc, argv);
		ret = levee_engine_receive(l->engine, 10000, &reply);
		if (ret) {
			fprintf(stderr, "fleetload: %s\n", levee_engine_why(l->engine));
			return ret;
		}
		take(ctx, reply);
		freeReplyObject(reply);
	}
	return 0;
}

static void take_info(void *ctx, const redisReply *reply)
{
	if (reply->type == REDIS_REPLY_STRING)
		add_cost(ctx, reply->str);
}

static int get_cost(struct load *l, struct cost *cost)
{
	const char *argv[] = { "INFO", "everything" };

	*cost = (struct cost){ 0 };
	return ask_all(l, 2, argv, take_info, cost);
}

static void take_nothing(void *ctx, const redisReply *reply)
{
	(void)ctx;
	(void)reply;
}

static void take_slow(void *ctx, const redisReply *reply)
{
	double *worst = ctx;

	for (size_t i = 0; reply->type == REDIS_REPLY_ARRAY && i < reply->elements; i++) {
		const redisReply *entry = reply->element[i];

		if (entry->type == REDIS_REPLY_ARRAY && entry->elements > 2 &&
		    (double)entry->element[2]->integer > *worst)
			*worst = (double)entry->element[2]->integer;
	}
}

static int watch_slow(struct load *l)
{
	const char *limit[] = { "CONFIG", "SET", "slowlog-log-slower-than", "1000" };
	const char *len[] = { "CONFIG", "SET", "slowlog-max-len", "4096" };
	const char *reset[] = { "SLOWLOG", "RESET" };
	int ret = ask_all(l, 4, limit, take_nothing, NULL);

	if (!ret)
		ret = ask_all(l, 4, len, take_nothing, NULL);
	return ret ? ret : ask_all(l, 2, reset, take_nothing, NULL);
}

static int worst_command(struct load *l, double *us)
{
	const char *get[] = { "SLOWLOG", "GET", "4096" };

	*us = 0;
	return ask_all(l, 3, get, take_slow, us);
}

static double cpu_of(struct load *l)
{
	struct cost cost;

	return get_cost(l, &cost) ? 0 : cost.cpu_s;
}

/* \return its length; 0 if it cannot be asked for */
static size_t length_of(struct load *l, const char *key)
{
	const char *argv[] = { "HLEN", key };
	redisReply *reply;
	size_t n;

	if (levee_engine_call(l->engine, 10000, &reply, key, 2, argv))
		return 0;
	n = (size_t)reply->integer;
	freeReplyObject(reply);
	return n;
}

/* CPU time of reducing the largest bucket of a bin [ms], and how many sources it has. */
static double largest_reduce_ms(struct load *l, int64_t start_s, size_t *sources)
{
	char parts[LEVEE_KEY_TEXT], largest[LEVEE_KEY_TEXT] = "", key[LEVEE_KEY_TEXT];
	const char *argv[] = { parts, largest, largest, key, "12000", "600", "1", "0" };
	struct levee_fleet_keys keys;
	redisReply *reply;
	double before;

	levee_fleet_keys_init(&keys, l->options.prefix, l->options.name);
	*sources = 0;
	for (unsigned int b = 0; b < LEVEE_FLEET_BUCKETS; b++) {
		size_t n = length_of(
			l, levee_fleet_key_bucket(&keys, start_s, b, LEVEE_LANE_PACKETS, key));

		if (n <= *sources)
			continue;
		*sources = n;
		snprintf(largest, sizeof(largest), "%s", key);
		levee_fleet_key_parts(&keys, start_s, b / LEVEE_FLEET_PER_SHARD, parts);
		levee_fleet_key_bucket(&keys, start_s, b, LEVEE_LANE_ANSWERED, key);
	}
	if (!*sources)
		return 0;
	snprintf(key, sizeof(key), "%.*s:a", (int)strlen(largest) - 2, largest);
	before = cpu_of(l);
	for (int i = 0; i < REPEATS; i++) {
		levee_engine_eval(l->engine, LEVEE_SCRIPT_REDUCE, 4, 8, argv, NULL);
		if (levee_engine_receive(l->engine, 10000, &reply))
			return 0;
		freeReplyObject(reply);
	}
	return (cpu_of(l) - before) / REPEATS * 1000;
}

/* ---- nodes ------------------------------------------------------------------------------- */

static int start_nodes(struct load *l, int64_t first_s)
{
	double end = now_s() + CONTACT_S;
	unsigned int together;
	int ret;

	for (unsigned int i = 0; i < l->nodes; i++) {
		struct levee_fleet_options o = l->options;

		snprintf(l->node[i], sizeof(l->node[i]), "load-%u", i);
		o.node = l->node[i];
		o.first_bin_s = first_s;
		ret = levee_fleet_new(&l->fleet[i], &o);
		if (!ret)
			ret = levee_fleet_start(l->fleet[i]);
		if (ret)
			return ret;
	}
	do {
		together = 0;
		for (unsigned int i = 0; i < l->nodes; i++)
			together += levee_fleet_together(l->fleet[i]);
		pause_ms(20);
	} while (together < l->nodes && now_s() < end);
	if (together == l->nodes)
		return 0;
	fprintf(stderr, "fleetload: %u of %u nodes have no contact\n", l->nodes - together,
		l->nodes);
	return -ETIMEDOUT;
}

/* Packets of a source: light ones mostly, and some that are candidates. */
static uint64_t packets_of(struct load *l)
{
	return next_random(l) % 200 ? 1 + next_random(l) % 100 : 5000 + next_random(l) % 100000;
}

/* Each node's sources of a bin; `whole` gets all of them. */
static int send_bin(struct load *l, int64_t start_s, uint64_t seq, struct levee_bin *whole)
{
	for (unsigned int i = 0; i < l->nodes; i++) {
		struct levee_bin *bin = levee_bin_new(1U << 27);
		int ret = bin ? 0 : -ENOMEM;

		for (uint32_t s = 0; s < l->sources && !ret; s++) {
			bool common = (uint64_t)s * 100 < (uint64_t)l->sources * l->common;
			struct levee_prefix p = { 0x01000000 + (common ? s : s + i * l->sources), 0,
						  4, 32 };
			uint64_t packets = packets_of(l);

			ret = levee_bin_add(bin, &p, packets, 0);
			if (!ret)
				ret = levee_bin_add(whole, &p, packets, 0);
		}
		if (!ret)
			levee_fleet_bin(l->fleet[i], bin, start_s, seq, NULL, 0);
		levee_bin_free(&bin);
		if (ret)
			return ret;
	}
	return 0;
}

static bool is_exact(const struct levee_fleet_record *got, const struct levee_bin_record *truth)
{
	return got->bin.moments.n == truth->moments.n &&
	       got->bin.moments.sum == truth->moments.sum &&
	       got->bin.moments.sq == truth->moments.sq &&
	       got->bin.n_candidates == truth->n_candidates;
}

/* \return seconds until the record was there; < 0: it never was */
static double wait_for_record(struct load *l, int64_t start_s, struct levee_fleet_view *view)
{
	double begin = now_s();
	char why[LEVEE_LOOK_WHY];

	while (now_s() < begin + WAIT_S) {
		if (!levee_fleet_look(view, &l->options, why)) {
			if (view->has_record && view->record.bin.start_s == start_s)
				return now_s() - begin;
			levee_fleet_view_clear(view);
		}
		pause_ms(50);
	}
	return -1;
}

/* Bins that leaders have finished, and what the last one took; it is said after its record. */
static uint64_t finished(struct load *l, uint64_t *ms)
{
	uint64_t n = 0;

	for (unsigned int i = 0; i < l->nodes; i++) {
		pthread_mutex_lock(&l->fleet[i]->lock);
		n += l->fleet[i]->shown.reduced;
		if (l->fleet[i]->shown.reduced)
			*ms = l->fleet[i]->shown.reduce_ms;
		pthread_mutex_unlock(&l->fleet[i]->lock);
	}
	return n;
}

/* Commands that all nodes have sent, as of their last beat. */
static uint64_t commands_sent(struct load *l)
{
	uint64_t n = 0;

	pause_ms(2 * LEVEE_LEASE_BEAT_MS);
	for (unsigned int i = 0; i < l->nodes; i++) {
		pthread_mutex_lock(&l->fleet[i]->lock);
		n += l->fleet[i]->shown.traffic.commands;
		pthread_mutex_unlock(&l->fleet[i]->lock);
	}
	return n;
}

/* Seconds that the leader took to have the bin reduced and judged. */
static double reducing_s(struct load *l, uint64_t bins)
{
	double end = now_s() + 10;
	uint64_t ms = 0;

	while (finished(l, &ms) < bins && now_s() < end)
		pause_ms(10);
	return (double)ms / 1000;
}

static int one_bin(struct load *l, int64_t start_s, uint64_t seq)
{
	struct levee_bin *whole = levee_bin_new(1U << 27);
	struct levee_fleet_view view = { 0 };
	struct levee_bin_record truth = { 0 };
	double took;
	int ret = whole ? send_bin(l, start_s, seq, whole) : -ENOMEM;

	if (!ret)
		ret = levee_bin_record_make(&truth, whole, start_s, l->options.detect.min_packets);
	if (ret) {
		fprintf(stderr, "fleetload: %s\n", strerror(-ret));
	} else {
		took = wait_for_record(l, start_s, &view);
		if (took < 0 || !is_exact(&view.record, &truth) || view.record.n_missing)
			l->bad++;
		printf("bin %" PRIu64 ": %" PRIu64 " sources of %zu nodes, %s, %s, %.2f s after "
		       "the last node had closed it, of this %.2f s reduced and judged\n",
		       seq, truth.moments.n, view.record.n_nodes,
		       took < 0		       ? "NO RESULT"
		       : view.record.n_missing ? "INCOMPLETE"
					       : "complete",
		       is_exact(&view.record, &truth) ? "exact" : "NOT EXACT", took,
		       reducing_s(l, seq));
		fflush(stdout);
	}
	levee_fleet_view_clear(&view);
	levee_bin_record_clear(&truth);
	levee_bin_free(&whole);
	return ret;
}

/* ---- the table --------------------------------------------------------------------------- */

static void report(struct load *l, const struct cost *a, const struct cost *b, double us,
		   double seconds, int64_t last_s)
{
	double bins = l->bins, node_bins = bins * l->nodes;
	double commands = b->commands - a->commands, in = b->bytes_in - a->bytes_in;
	double out = b->bytes_out - a->bytes_out, cpu = b->cpu_s - a->cpu_s;
	size_t sources;
	double reduce_ms = largest_reduce_ms(l, last_s, &sources);

	printf("\n%u nodes, %u sources each (%u %% of them common), %u bins in %.1f s, %u "
	       "server%s\n",
	       l->nodes, l->sources, l->common, l->bins, seconds, levee_engine_servers(l->engine),
	       levee_engine_servers(l->engine) == 1 ? "" : "s");
	printf("  a bin           %12.0f commands %12.2f MB in %10.2f MB out %8.3f s of CPU; with "
	       "those "
	       "inside of scripts %.0f commands\n",
	       (double)l->sent / bins, in / bins / 1e6, out / bins / 1e6, cpu / bins,
	       commands / bins);
	printf("  a node and bin  %12.1f commands %12.3f MB in %10.3f MB out %8.4f s of CPU\n",
	       (double)l->sent / node_bins, in / node_bins / 1e6, out / node_bins / 1e6,
	       cpu / node_bins);
	printf("  a source        %12s          %12.1f B in  %10.1f B out  %8.2f us of CPU\n", "",
	       in / node_bins / l->sources, out / node_bins / l->sources,
	       cpu / node_bins / l->sources * 1e6);
	printf("  memory at most  %12.1f MB\n", b->memory / 1e6);
	printf("  longest command %12.1f ms by its clock; reducing the largest bucket, of %zu "
	       "sources, "
	       "takes %.1f ms of its CPU\n",
	       us / 1000, sources, reduce_ms);
	if (reduce_ms > SLOW_MS)
		fprintf(stderr, "fleetload: a command takes more than %d ms\n", SLOW_MS);
	l->bad += reduce_ms > SLOW_MS;
	printf("  1000 nodes, extrapolated: %.0f commands, %.1f MB in, %.1f s of CPU a bin\n",
	       (double)l->sent / node_bins * 1000, in / node_bins * 1000 / 1e6,
	       cpu / node_bins * 1000);
}

static int run(struct load *l)
{
	int64_t start_s = (int64_t)time(NULL) / l->options.bin_s * l->options.bin_s -
			  LATE_BIN_S * (int64_t)l->options.bin_s;
	struct cost before = { 0 }, after = { 0 };
	double us = 0, began;
	int ret = start_nodes(l, start_s);

	if (!ret && !l->no_cost)
		ret = watch_slow(l);
	if (!ret && !l->no_cost)
		ret = get_cost(l, &before);
	l->sent = ret ? 0 : commands_sent(l);
	began = now_s();
	for (unsigned int i = 0; i < l->bins && !ret; i++)
		ret = one_bin(l, start_s + (int64_t)i * l->options.bin_s, i + 1);
	l->sent = ret ? 0 : commands_sent(l) - l->sent;
	if (!ret && !l->no_cost)
		ret = get_cost(l, &after);
	if (!ret && !l->no_cost)
		ret = worst_command(l, &us);
	if (!ret && !l->no_cost)
		report(l, &before, &after, us, now_s() - began,
		       start_s + (int64_t)(l->bins - 1) * l->options.bin_s);
	for (unsigned int i = 0; i < l->nodes; i++)
		levee_fleet_stop(&l->fleet[i]);
	return ret;
}

/* ---- the command line -------------------------------------------------------------------- */

static const char usage[] =
	"usage: fleetload --url redis://HOST:PORT [--nodes N] [--sources N] [--common PERCENT]\n"
	"                 [--bins N] [--name NAME] [--password-file FILE] [--ca-file FILE]\n"
	"                 [--no-cost]\n"
	"N nodes, a fleet of their own unless NAME is given, with bins of random sources;\n"
	"exit code 0 if each fleet-wide bin was complete and exact. With --no-cost the\n"
	"server is not asked for commands, bytes and CPU, which needs rights.\n";

static unsigned int number(const char *text, unsigned int max)
{
	char *end;
	unsigned long value = strtoul(text, &end, 10);

	if (*end || end == text || value > max) {
		fprintf(stderr, "fleetload: %s: not a number up to %u\n", text, max);
		exit(2);
	}
	return (unsigned int)value;
}

static void parse(struct load *l, int argc, char **argv)
{
	static const struct option options[] = {
		{ "url", 1, NULL, 'u' },
		{ "nodes", 1, NULL, 'n' },
		{ "sources", 1, NULL, 's' },
		{ "common", 1, NULL, 'c' },
		{ "bins", 1, NULL, 'b' },
		{ "name", 1, NULL, 'N' },
		{ "password-file", 1, NULL, 'p' },
		{ "ca-file", 1, NULL, 'C' },
		{ "no-cost", 0, NULL, 'x' },
		{ "help", 0, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (c) {
		case 'u':
			l->options.url = optarg;
			break;
		case 'n':
			l->nodes = number(optarg, NODES_MAX);
			break;
		case 's':
			l->sources = number(optarg, 10000000);
			break;
		case 'c':
			l->common = number(optarg, 100);
			break;
		case 'b':
			l->bins = number(optarg, 1000);
			break;
		case 'N':
			l->options.name = optarg;
			break;
		case 'p':
			l->options.password_file = optarg;
			break;
		case 'C':
			l->options.ca_file = optarg;
			break;
		case 'x':
			l->no_cost = true;
			break;
		case 'h':
			printf("%s", usage);
			exit(0);
		default:
			fprintf(stderr, "%s", usage);
			exit(2);
		}
	}
	if (!l->options.url || !l->nodes || !l->sources || !l->bins || optind < argc) {
		fprintf(stderr, "%s", usage);
		exit(2);
	}
}

int main(int argc, char **argv)
{
	static struct load l = { .options = { .ca_file = "",
					      .password_file = "",
					      .prefix = "levee",
					      .node = "",
					      .grace_s = 60,
					      .bin_s = 60,
					      .window_s = 3600,
					      .detect = { .min_zscore = 3.0, .min_packets = 12000 },
					      .say = say },
				 .nodes = 3,
				 .sources = 1000,
				 .common = 20,
				 .bins = 3,
				 .random = 20261125 };
	struct levee_fleet *one;
	char why[LEVEE_LINK_WHY];
	char name[32];
	int ret;

	/* A fleet of its own: what a run before left behind belongs to other bins. */
	snprintf(name, sizeof(name), "load-%lx-%x", (unsigned long)time(NULL),
		 (unsigned int)getpid());
	l.options.name = name;
	signal(SIGPIPE, SIG_IGN);
	parse(&l, argc, argv);
	/* For its address and password alone: it is never started. */
	ret = levee_fleet_new(&one, &l.options);
	if (!ret)
		ret = levee_fleet_open_engine(one, &l.engine, &l.password, why);
	if (ret)
		fprintf(stderr, "fleetload: %s\n", one ? why : strerror(-ret));
	else
		ret = run(&l);
	levee_engine_close(&l.engine);
	levee_fleet_stop(&one);
	free(l.password);
	return ret || l.bad ? 1 : 0;
}
