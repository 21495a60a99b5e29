/* SPDX-License-Identifier: BSD-2-Clause */
/* Bins to the engine, and entries of blocks both ways. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "control/fleet/fleet_internal.h"

#define PARTS_A_SLICE	4 /* so that others come to their turn at the engine in between */
#define ENTRIES_A_CALL	100
#define ORDERS_MAX	(1U << 20)
#define ENDED_KEPT_S	600ULL /* for clocks that differ */
#define NS_PER_MS	1000000ULL
#define SHARES_A_SECOND 20000. /* of all nodes */
#define SHARES_LEAST	20.    /* of one */

/* How long the engine keeps a bin's sources [s]: for nodes that come late. */
static unsigned int keep_s(const struct levee_fleet *f)
{
	return 2 * f->options.bin_s + 2 * f->options.grace_s + 60;
}

/* ---- bins -------------------------------------------------------------------------------- */

#define LISTS	  (LEVEE_FLEET_PER_SHARD * LEVEE_LANES) /* hashes of one shard */
#define PART_ARGS (1 + LISTS + 2 + LISTS + 2 * LEVEE_FLEET_PART_MAX)

/* The arguments of one part; all of them point into it or into constants. */
struct part {
	char keys[LISTS + 1][LEVEE_KEY_TEXT];
	char name[160], keep[16];
	char counts[LISTS][24];
	unsigned char field[LEVEE_FLEET_PART_MAX][LEVEE_FLEET_FIELD_MAX];
	char value[LEVEE_FLEET_PART_MAX][24];
	const char *argv[PART_ARGS];
	size_t lengths[PART_ARGS];
	int argc;
};

static void add_text(struct part *p, const char *text)
{
	p->lengths[p->argc] = strlen(text);
	p->argv[p->argc++] = text;
}

/* How many belong into the same hash. */
static size_t same_list(const struct levee_fleet_source *s, size_t n)
{
	size_t same = 1;

	while (same < n && s[same].bucket == s[0].bucket && s[same].lane == s[0].lane)
		same++;
	return same;
}

static void send_part(struct levee_fleet *f, struct part *p, size_t n)
{
	const struct levee_fleet_job *job = &f->job;
	const struct levee_fleet_source *s = &job->bin.values[job->at];
	unsigned int shard = s->bucket / LEVEE_FLEET_PER_SHARD;
	int lists = 0;

	p->argc = 0;
	levee_fleet_key_parts(&f->keys, job->bin.start_s, shard, p->keys[0]);
	add_text(p, p->keys[0]);
	for (size_t i = 0; i < n; i += same_list(&s[i], n - i)) {
		lists++;
		levee_fleet_key_bucket(&f->keys, job->bin.start_s, s[i].bucket, s[i].lane,
				       p->keys[lists]);
		add_text(p, p->keys[lists]);
	}
	snprintf(p->name, sizeof(p->name), "%s:%" PRIu64 ":%016" PRIx64, f->node, job->seq,
		 levee_fleet_part_sum(s, n));
	snprintf(p->keep, sizeof(p->keep), "%u", keep_s(f));
	add_text(p, p->name);
	add_text(p, p->keep);
	for (size_t i = 0, b = 0; i < n; b++) {
		size_t same = same_list(&s[i], n - i);

		snprintf(p->counts[b], sizeof(p->counts[b]), "%zu", same);
		add_text(p, p->counts[b]);
		for (; same; same--, i++) {
			p->argv[p->argc] = (const char *)p->field[i];
			p->lengths[p->argc++] = levee_fleet_field(&s[i].source, p->field[i]);
			snprintf(p->value[i], sizeof(p->value[i]), "%" PRIu64, s[i].value);
			add_text(p, p->value[i]);
		}
	}
	levee_engine_eval(f->engine, LEVEE_SCRIPT_ADD, lists + 1, p->argc, p->argv, p->lengths);
}

static int receive_number(struct levee_fleet *f, long long *number)
{
	redisReply *reply;
	int ret = levee_engine_receive(f->engine, LEVEE_FLEET_ANSWER, &reply);

	if (ret)
		return ret;
	ret = reply->type == REDIS_REPLY_INTEGER ? 0 : -EPROTO;
	*number = reply->integer;
	freeReplyObject(reply);
	return ret;
}

static int send_parts(struct levee_fleet *f)
{
	struct levee_fleet_job *job = &f->job;
	struct part *part = malloc(sizeof(*part));
	size_t at = job->at, sent = 0;
	long long late;
	int ret = part ? 0 : -ENOMEM;

	while (part && sent < PARTS_A_SLICE && job->at < job->bin.n) {
		size_t n = levee_fleet_bin_part(&job->bin, job->at);

		send_part(f, part, n);
		job->at += n;
		sent++;
	}
	for (; sent && !ret; sent--) {
		ret = receive_number(f, &late);
		if (!ret && late == 1)
			job->late = true;
	}
	free(part);
	if (ret)
		job->at = at; /* again, at the next contact: the engine knows what it has */
	return ret;
}

static void wide(char text[static 40], levee_u128 value)
{
	snprintf(text, 40, "%016" PRIx64 "%016" PRIx64, (uint64_t)(value >> 64), (uint64_t)value);
}

/* "NODE SOURCES PACKETS LANES N" and for each measure " SUM SQ" of what lost its name. */
static void format_done(const struct levee_fleet *f, char *text, size_t size)
{
	const struct levee_fleet_bin *bin = &f->job.bin;
	char lanes[LEVEE_LANES + 1], sum[40], sq[40];
	size_t used;

	used = (size_t)snprintf(text, size, "%s %" PRIu64 " %" PRIu64 " %s %" PRIu64, f->node,
				bin->sources, bin->packets,
				levee_fleet_lanes_format(bin->lanes, lanes),
				bin->folded[LEVEE_PACKETS].n);
	for (int m = 0; m < LEVEE_MEASURES; m++) {
		wide(sum, bin->folded[m].sum);
		wide(sq, bin->folded[m].sq);
		used += (size_t)snprintf(text + used, size - used, " %s %s", sum, sq);
	}
}

static int send_done(struct levee_fleet *f)
{
	const struct levee_fleet_job *job = &f->job;
	char bin[LEVEE_KEY_TEXT], start[24], keep[16], part[112], what[480];
	const char *argv[] = { bin, f->keys.dirty, f->keys.records, start, keep, part, what };
	long long answer;
	int ret;

	levee_fleet_key_bin(&f->keys, job->bin.start_s, bin);
	snprintf(start, sizeof(start), "%" PRId64, job->bin.start_s);
	snprintf(keep, sizeof(keep), "%u", keep_s(f) - 30);
	snprintf(part, sizeof(part), "%s:%" PRIu64, f->node, job->seq);
	format_done(f, what, sizeof(what));
	levee_engine_eval(f->engine, LEVEE_SCRIPT_DONE, 3, 7, argv, NULL);
	ret = receive_number(f, &answer);
	if (!ret && (answer == 1 || job->late))
		levee_fleet_say(f, false,
				"this node's bin of %" PRId64 " reached the fleet after its result "
				"was made; it is made again",
				job->bin.start_s);
	return ret;
}

/* The next bin that waits becomes the job. */
static bool take_job(struct levee_fleet *f)
{
	pthread_mutex_lock(&f->lock);
	if (!f->busy && f->queued) {
		f->job = f->queue[0];
		memmove(&f->queue[0], &f->queue[1], --f->queued * sizeof(f->queue[0]));
		f->busy = true;
	}
	pthread_mutex_unlock(&f->lock);
	return f->busy;
}

int levee_fleet_send_some(struct levee_fleet *f)
{
	int ret;

	if (!take_job(f))
		return 0;
	if (!f->job.sorted) {
		levee_fleet_bin_sort(&f->job.bin, &f->seed);
		f->job.sorted = true;
	}
	if (f->job.at < f->job.bin.n)
		return send_parts(f);
	ret = send_done(f);
	if (ret)
		return ret;
	if (f->job.bin.start_s > f->done_s)
		f->done_s = f->job.bin.start_s;
	levee_fleet_bin_clear(&f->job.bin);
	f->busy = false;
	pthread_mutex_lock(&f->lock);
	f->shown.bins_sent++;
	pthread_mutex_unlock(&f->lock);
	return 0;
}

/* ---- entries ----------------------------------------------------------------------------- */

int levee_fleet_entries_add(struct levee_fleet_entries *list, const struct levee_fleet_entry *entry)
{
	size_t room = list->room ? 2 * list->room : 64;
	void *more;

	if (list->n == list->room) {
		more = reallocarray(list->entry, room, sizeof(*list->entry));
		if (!more)
			return -ENOMEM;
		list->entry = more;
		list->room = room;
	}
	list->entry[list->n++] = *entry;
	return 0;
}

/* Ended entries make no sense to anybody: make room. */
static void compact_mirror(struct levee_fleet_mirror *m, uint64_t now_ms)
{
	struct levee_fleet_entry *entry = m->list.entry;
	size_t kept = 0;

	levee_prefixmap_clear(&m->at);
	for (size_t i = 0; i < m->list.n; i++) {
		if (levee_fleet_entry_over(&entry[i], now_ms))
			continue;
		entry[kept] = entry[i];
		if (!levee_prefixmap_set(&m->at, &entry[kept].prefix, (uint32_t)kept))
			kept++;
	}
	m->list.n = kept;
}

int levee_fleet_merge(struct levee_fleet *f, const struct levee_fleet_entry *entry)
{
	struct levee_fleet_mirror *m = &f->mirror[entry->allow];
	uint64_t now_ms = levee_fleet_unix_ms();
	uint32_t *at = levee_prefixmap_get(&m->at, &entry->prefix);
	int ret;

	if (levee_fleet_entry_over(entry, now_ms))
		return 0;
	if (at) {
		if (!levee_fleet_entry_wins(entry, &m->list.entry[*at], now_ms))
			return 0;
		m->list.entry[*at] = *entry;
		return 1;
	}
	if (m->list.n == m->list.room)
		compact_mirror(m, now_ms);
	ret = levee_fleet_entries_add(&m->list, entry);
	if (!ret)
		ret = levee_prefixmap_set(&m->at, &entry->prefix, (uint32_t)(m->list.n - 1));
	return ret ? ret : 1;
}

struct levee_time levee_fleet_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (struct levee_time){ .boot_ns = levee_fleet_boot_ns(),
				    .unix_ns = (uint64_t)t.tv_sec * LEVEE_NS_PER_S +
					       (uint64_t)t.tv_nsec };
}

void levee_fleet_note_offence(struct levee_fleet *f, const struct levee_fleet_entry *e)
{
	struct levee_time now = levee_fleet_now();
	struct levee_offender offender = { .prefix = e->prefix,
					   .blocks = e->repeats + 1,
					   .end_unix_ns = e->expires_ms * NS_PER_MS };

	if (e->allow)
		return;
	if (e->lifted && e->manual)
		levee_offenders_forget(levee_blocks_offenders(f->blocks), &e->prefix);
	if (e->lifted || e->manual || !f->options.blocks.repeat_memory_s)
		return;
	offender.end_boot_ns = (int64_t)now.boot_ns + (int64_t)(offender.end_unix_ns - now.unix_ns);
	levee_offenders_note(levee_blocks_offenders(f->blocks), &offender);
}

/* Ended so long ago that it says nothing about a next block either. */
static bool is_forgotten(const struct levee_fleet *f, const struct levee_fleet_entry *e)
{
	uint64_t memory_ms = 1000ULL * f->options.blocks.repeat_memory_s;

	return e->expires_ms &&
	       e->expires_ms + memory_ms + 1000 * ENDED_KEPT_S < levee_fleet_unix_ms();
}

/* What the engine says of a prefix. If that is news, the controller is told. */
static void take_entry(struct levee_fleet *f, const redisReply *prefix, const redisReply *text)
{
	struct levee_fleet_entry entry;
	uint64_t one = 1;

	if (prefix->type != REDIS_REPLY_STRING || text->type != REDIS_REPLY_STRING)
		return;
	pthread_mutex_lock(&f->lock);
	if (levee_fleet_entry_parse(&entry, prefix->str, text->str)) {
		f->shown.refused++;
		pthread_mutex_unlock(&f->lock);
		return;
	}
	levee_fleet_note_offence(f, &entry);
	if (is_forgotten(f, &entry))
		levee_fleet_entries_add(&f->ended, &entry);
	if (levee_fleet_merge(f, &entry) > 0 && f->orders.n < ORDERS_MAX) {
		levee_fleet_entries_add(&f->orders, &entry);
		f->shown.orders++;
		if (write(f->order_fd, &one, sizeof(one)) < 0)
			f->shown.refused++; /* cannot be: an eventfd that is not full */
	}
	pthread_mutex_unlock(&f->lock);
}

static int publish_call(struct levee_fleet *f, const char *claim,
			const struct levee_fleet_entry *entries, size_t n)
{
	char key[ENTRIES_A_CALL][LEVEE_FLEET_KEY_TEXT], (*text)[LEVEE_FLEET_ENTRY_TEXT];
	const char *argv[5 + 2 * ENTRIES_A_CALL] = { f->keys.lease, f->keys.blocks, f->keys.events,
						     claim, LEVEE_FLEET_EVENTS };
	long long taken = 0;
	int ret;

	text = malloc(ENTRIES_A_CALL * sizeof(*text));
	if (!text)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		argv[5 + 2 * i] = levee_fleet_entry_key(&entries[i], key[i]);
		argv[6 + 2 * i] = levee_fleet_entry_format(&entries[i], text[i]);
	}
	levee_engine_eval(f->engine, LEVEE_SCRIPT_PUBLISH, 3, 5 + 2 * (int)n, argv, NULL);
	ret = receive_number(f, &taken);
	free(text);
	if (ret)
		return ret;
	return taken < 0 ? -EPERM : (int)taken;
}

int levee_fleet_publish_entries(struct levee_fleet *f, const char *claim,
				const struct levee_fleet_entry *entries, size_t n)
{
	int ret, taken = 0;

	for (size_t i = 0; i < n; i += ENTRIES_A_CALL) {
		ret = publish_call(f, claim, entries + i,
				   n - i < ENTRIES_A_CALL ? n - i : ENTRIES_A_CALL);
		if (ret < 0)
			return ret;
		taken += ret;
	}
	pthread_mutex_lock(&f->lock);
	f->shown.published += (uint64_t)taken;
	pthread_mutex_unlock(&f->lock);
	return taken;
}

/* A copy of a shared list. \return its length; -ENOMEM */
static ssize_t copy_entries(struct levee_fleet *f, const struct levee_fleet_entries *list,
			    struct levee_fleet_entry **out)
{
	size_t n;

	pthread_mutex_lock(&f->lock);
	n = list->n;
	*out = malloc((n + 1) * sizeof(**out));
	if (*out && n)
		memcpy(*out, list->entry, n * sizeof(**out));
	pthread_mutex_unlock(&f->lock);
	return *out ? (ssize_t)n : -ENOMEM;
}

int levee_fleet_publish(struct levee_fleet *f)
{
	struct levee_fleet_entry *entries;
	ssize_t n = copy_entries(f, &f->fresh, &entries);
	int ret;

	if (n <= 0) {
		free(entries);
		return (int)n;
	}
	ret = levee_fleet_publish_entries(f, "", entries, (size_t)n);
	free(entries);
	if (ret < 0)
		return ret;
	pthread_mutex_lock(&f->lock);
	f->fresh.n -= (size_t)n;
	if (f->fresh.n)
		memmove(f->fresh.entry, f->fresh.entry + n, f->fresh.n * sizeof(*f->fresh.entry));
	pthread_mutex_unlock(&f->lock);
	return 0;
}

static int scan_blocks(struct levee_fleet *f)
{
	char cursor[32] = "0";
	const char *argv[] = { "HSCAN", f->keys.blocks, cursor, "COUNT", "500" };
	redisReply *reply;
	int ret;

	do {
		ret = levee_engine_call(f->engine, LEVEE_FLEET_ANSWER, &reply, f->keys.blocks, 5,
					argv);
		if (ret)
			return ret;
		if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 2 ||
		    reply->element[0]->type != REDIS_REPLY_STRING ||
		    reply->element[1]->type != REDIS_REPLY_ARRAY) {
			freeReplyObject(reply);
			return -EPROTO;
		}
		snprintf(cursor, sizeof(cursor), "%s", reply->element[0]->str);
		for (size_t i = 0; i + 1 < reply->element[1]->elements; i += 2)
			take_entry(f, reply->element[1]->element[i],
				   reply->element[1]->element[i + 1]);
		freeReplyObject(reply);
	} while (strcmp(cursor, "0") != 0);
	return 0;
}

/* Entries that ended long ago, as they were found: one that has changed meanwhile stays. */
static int prune_call(struct levee_fleet *f, const struct levee_fleet_entry *entries, size_t n)
{
	char key[ENTRIES_A_CALL][LEVEE_FLEET_KEY_TEXT], (*text)[LEVEE_FLEET_ENTRY_TEXT];
	const char *argv[1 + 2 * ENTRIES_A_CALL] = { f->keys.blocks };
	long long gone;
	int ret;

	text = malloc(ENTRIES_A_CALL * sizeof(*text));
	if (!text)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		argv[1 + 2 * i] = levee_fleet_entry_key(&entries[i], key[i]);
		argv[2 + 2 * i] = levee_fleet_entry_format(&entries[i], text[i]);
	}
	levee_engine_eval(f->engine, LEVEE_SCRIPT_PRUNE, 1, 1 + 2 * (int)n, argv, NULL);
	ret = receive_number(f, &gone);
	free(text);
	return ret;
}

static int prune_ended(struct levee_fleet *f)
{
	size_t n = f->ended.n;
	int ret = 0;

	for (size_t i = 0; i < n && !ret && f->leading; i += ENTRIES_A_CALL)
		ret = prune_call(f, f->ended.entry + i,
				 n - i < ENTRIES_A_CALL ? n - i : ENTRIES_A_CALL);
	return ret;
}

static int send_mirror(struct levee_fleet *f, const struct levee_fleet_mirror *m)
{
	struct levee_fleet_entry *entries;
	uint64_t now_ms = levee_fleet_unix_ms();
	ssize_t n = copy_entries(f, &m->list, &entries);
	size_t kept = 0;
	int ret;

	for (ssize_t i = 0; i < n; i++)
		if (!levee_fleet_entry_over(&entries[i], now_ms))
			entries[kept++] = entries[i];
	ret = n < 0 ? (int)n : levee_fleet_publish_entries(f, "", entries, kept);
	free(entries);
	return ret < 0 ? ret : 0;
}

int levee_fleet_exchange_all(struct levee_fleet *f)
{
	int ret;

	f->ended.n = 0;
	ret = scan_blocks(f);
	if (!ret)
		ret = prune_ended(f);
	for (int allow = 0; allow < 2 && !ret; allow++)
		ret = send_mirror(f, &f->mirror[allow]);
	return ret;
}

/* ---- the stream -------------------------------------------------------------------------- */

static void ask_events(struct levee_fleet *f)
{
	const char *argv[] = { "XREAD", "BLOCK",   "5000",	   "COUNT",
			       "500",	"STREAMS", f->keys.events, f->last_event };

	levee_link_push(f->events, 8, argv, NULL);
}

/* From now on; what was before is read as a whole after this. */
int levee_fleet_listen(struct levee_fleet *f)
{
	const char *argv[] = { "XREVRANGE", f->keys.events, "+", "-", "COUNT", "1" };
	char why[LEVEE_LINK_WHY];
	redisReply *reply;
	int ret = levee_engine_call(f->engine, LEVEE_FLEET_ANSWER, &reply, f->keys.events, 6, argv);

	if (ret)
		return ret;
	snprintf(f->last_event, sizeof(f->last_event), "0-0");
	if (reply->type == REDIS_REPLY_ARRAY && reply->elements == 1 &&
	    reply->element[0]->type == REDIS_REPLY_ARRAY && reply->element[0]->elements == 2 &&
	    reply->element[0]->element[0]->type == REDIS_REPLY_STRING)
		snprintf(f->last_event, sizeof(f->last_event), "%s",
			 reply->element[0]->element[0]->str);
	freeReplyObject(reply);
	ret = levee_engine_dial(f->engine, f->keys.events, &f->events, why);
	if (ret)
		return ret;
	ask_events(f);
	return levee_link_flush(f->events, LEVEE_FLEET_ANSWER);
}

static bool is_array(const redisReply *reply, size_t at_least)
{
	return reply->type == REDIS_REPLY_ARRAY && reply->elements >= at_least;
}

/* [[stream, [[id, [prefix, entry, ...]], ...]]] */
static void take_events(struct levee_fleet *f, const redisReply *reply)
{
	const redisReply *list;

	if (!is_array(reply, 1) || !is_array(reply->element[0], 2) ||
	    !is_array(reply->element[0]->element[1], 1))
		return;
	list = reply->element[0]->element[1];
	for (size_t i = 0; i < list->elements; i++) {
		const redisReply *event = list->element[i];

		if (!is_array(event, 2) || event->element[0]->type != REDIS_REPLY_STRING)
			continue;
		snprintf(f->last_event, sizeof(f->last_event), "%s", event->element[0]->str);
		for (size_t k = 0;
		     is_array(event->element[1], 2) && k + 1 < event->element[1]->elements; k += 2)
			take_entry(f, event->element[1]->element[k],
				   event->element[1]->element[k + 1]);
	}
}

int levee_fleet_hear(struct levee_fleet *f)
{
	char why[LEVEE_LINK_WHY];
	redisReply *reply;
	int ret;

	for (;;) {
		ret = levee_link_pop(f->events, 0, &reply);
		if (ret == -EAGAIN)
			return 0;
		if (ret)
			return ret;
		if (reply->type == REDIS_REPLY_ERROR)
			ret = levee_engine_explain(reply->str, why);
		else
			take_events(f, reply);
		freeReplyObject(reply);
		if (ret)
			return ret;
		ask_events(f);
		ret = levee_link_flush(f->events, LEVEE_FLEET_ANSWER);
		if (ret)
			return ret;
	}
}

/* ---- the life of blocks ------------------------------------------------------------------ */

static void put_entry(struct levee_fleet *f, const struct levee_fleet_entry *e,
		      const struct levee_time *now)
{
	const struct levee_block *there = levee_blocks_get(f->blocks, &e->prefix);
	struct levee_block block;

	if (levee_fleet_entry_over(e, now->unix_ns / NS_PER_MS))
		return;
	if (e->lifted) {
		if (there)
			levee_blocks_remove(f->blocks, &e->prefix, NULL, NULL);
		return;
	}
	levee_fleet_entry_to_block(e, &block, now);
	if (!there || there->expires_unix_ns != block.expires_unix_ns ||
	    there->reason != block.reason || there->kind != block.kind)
		levee_blocks_put(f->blocks, &block, NULL, NULL);
}

void levee_fleet_blocks_take(struct levee_fleet *f, const struct levee_prefix *prefix)
{
	struct levee_time now = levee_fleet_now();
	struct levee_fleet_entry entry;
	const uint32_t *at;
	bool has;

	pthread_mutex_lock(&f->lock);
	at = levee_prefixmap_get(&f->mirror[0].at, prefix);
	has = at != NULL;
	if (has)
		entry = f->mirror[0].list.entry[*at];
	pthread_mutex_unlock(&f->lock);
	levee_blocks_expire(f->blocks, &now, NULL, NULL);
	if (has)
		put_entry(f, &entry, &now);
}

int levee_fleet_blocks_take_all(struct levee_fleet *f)
{
	struct levee_time now = levee_fleet_now();
	struct levee_fleet_entry *entries;
	ssize_t n = copy_entries(f, &f->mirror[0].list, &entries);

	if (n < 0)
		return (int)n;
	levee_blocks_expire(f->blocks, &now, NULL, NULL);
	for (ssize_t i = 0; i < n; i++)
		put_entry(f, &entries[i], &now);
	free(entries);
	return 0;
}

/* ---- the fast path ----------------------------------------------------------------------- */

static double zscore_of(struct levee_fleet *f, uint64_t packets)
{
	double mean, stddev;

	pthread_mutex_lock(&f->lock);
	mean = f->shown.mean;
	stddev = f->shown.stddev;
	pthread_mutex_unlock(&f->lock);
	return stddev > 0 ? ((double)packets - mean) / stddev : 0;
}

struct deciding {
	struct levee_fleet *f;
	int ret;
};

static void publish_block(void *ctx, enum levee_block_change change,
			  const struct levee_block *block)
{
	struct deciding *d = ctx;
	struct levee_fleet_entry entry;

	if (!levee_block_stands(change))
		return;
	levee_fleet_entry_from_block(&entry, block, d->f->node);
	d->ret = levee_fleet_publish_entries(d->f, "", &entry, 1);
}

/* The one who brought the sum over the threshold blocks it, for all. */
static int block_fast(struct levee_fleet *f, const struct levee_fleet_fast *fast, uint64_t sum)
{
	struct levee_finding finding = { .source = fast->source,
					 .by = LEVEE_BY_TRIP,
					 .max_zscore = zscore_of(f, sum),
					 .max_value = sum,
					 .max_packets = sum,
					 .last_bin_s = fast->start_s,
					 .last_packets = sum };
	struct levee_time now = levee_fleet_now();
	struct deciding d = { .f = f };

	levee_fleet_blocks_take(f, &fast->source);
	levee_blocks_add(f->blocks, &finding, &now, publish_block, &d);
	return d.ret < 0 ? d.ret : 0;
}

/* A share on its way, and what came of it. */
struct sharing {
	struct levee_fleet_fast fast;
	uint64_t sum;
	bool first;
};

static void send_share(struct levee_fleet *f, const struct levee_fleet_fast *fast)
{
	unsigned char field[LEVEE_FLEET_FIELD_MAX];
	char key[LEVEE_KEY_TEXT], packets[24], threshold[24], keep[16];
	const char *argv[] = { key, (const char *)field, f->node, packets, threshold, keep };
	size_t lengths[6];

	levee_fleet_key_shares(&f->keys, fast->start_s, levee_fleet_bucket(&f->seed, &fast->source),
			       key);
	snprintf(packets, sizeof(packets), "%" PRIu64, fast->packets);
	snprintf(threshold, sizeof(threshold), "%" PRIu64, levee_fleet_threshold(f));
	snprintf(keep, sizeof(keep), "%u", 2 * f->options.bin_s + 10);
	for (int i = 0; i < 6; i++)
		lengths[i] = i == 1 ? levee_fleet_field(&fast->source, field) : strlen(argv[i]);
	levee_engine_eval(f->engine, LEVEE_SCRIPT_SHARE, 1, 6, argv, lengths);
}

static int receive_share(struct levee_fleet *f, struct sharing *s)
{
	redisReply *reply;
	int ret = levee_engine_receive(f->engine, LEVEE_FLEET_ANSWER, &reply);

	if (ret)
		return ret;
	if (is_array(reply, 2) && reply->element[0]->type == REDIS_REPLY_STRING) {
		s->sum = strtoull(reply->element[0]->str, NULL, 10);
		s->first = reply->element[1]->integer == 1;
	}
	freeReplyObject(reply);
	return 0;
}

/* So many a second that all nodes together leave the engine to its other work. */
static double shares_rate(const struct levee_fleet *f)
{
	double rate = SHARES_A_SECOND / (f->shown.nodes ? f->shown.nodes : 1);

	return rate > SHARES_LEAST ? rate : SHARES_LEAST;
}

uint64_t levee_fleet_shares_from(const struct levee_fleet *f)
{
	double lacks = 1 - f->shares_left;
	uint64_t from_ns = f->shares_ns;

	if (lacks <= 0)
		return 0;
	from_ns += (uint64_t)(lacks / shares_rate(f) * LEVEE_NS_PER_S);
	return levee_fleet_boot_ns() < from_ns ? from_ns : 0;
}

static size_t allow_shares(struct levee_fleet *f)
{
	uint64_t now_ns = levee_fleet_boot_ns();

	f->shares_left += shares_rate(f) * (double)(now_ns - f->shares_ns) / LEVEE_NS_PER_S;
	if (f->shares_left > LEVEE_FLEET_SHARES)
		f->shares_left = LEVEE_FLEET_SHARES;
	f->shares_ns = now_ns;
	return f->shares_left > 0 ? (size_t)f->shares_left : 0;
}

static int by_packets(const void *a, const void *b)
{
	const struct levee_fleet_fast *x = a, *y = b;

	return (x->packets < y->packets) - (x->packets > y->packets);
}

/* The largest of those that wait. \return how many */
static size_t take_shares(struct levee_fleet *f, struct sharing s[static LEVEE_FLEET_SHARES])
{
	size_t most, n;

	pthread_mutex_lock(&f->lock);
	most = f->n_fast ? allow_shares(f) : 0;
	n = f->n_fast < most ? f->n_fast : most;
	if (n < f->n_fast)
		qsort(f->fast, f->n_fast, sizeof(f->fast[0]), by_packets);
	for (size_t i = 0; i < n; i++)
		s[i] = (struct sharing){ .fast = f->fast[i] };
	f->n_fast -= n;
	memmove(f->fast, f->fast + n, f->n_fast * sizeof(f->fast[0]));
	f->shares_left -= (double)n;
	pthread_mutex_unlock(&f->lock);
	return n;
}

int levee_fleet_send_shares(struct levee_fleet *f)
{
	struct sharing s[LEVEE_FLEET_SHARES];
	size_t n = take_shares(f, s);
	int ret = 0;

	if (!levee_fleet_threshold(f))
		return 0;
	for (size_t i = 0; i < n; i++)
		send_share(f, &s[i].fast);
	for (size_t i = 0; i < n && !ret; i++)
		ret = receive_share(f, &s[i]);
	for (size_t i = 0; i < n && !ret; i++)
		if (s[i].first)
			ret = block_fast(f, &s[i].fast, s[i].sum);
	return ret;
}
