/* SPDX-License-Identifier: BSD-2-Clause */
/* Bins to the engine, and entries of blocks both ways. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "control/fleet/fleet_internal.h"

#define PARTS_A_SLICE  8 /* so that events and the lease are looked at in between */
#define ENTRIES_A_CALL 100
#define ORDERS_MAX     (1U << 20)

/* How long the engine keeps a bin's sources [s]: for nodes that come late. */
static unsigned int keep_s(const struct levee_fleet *f)
{
	return 2 * f->options.bin_s + 2 * f->options.grace_s + 60;
}

/* ---- bins -------------------------------------------------------------------------------- */

/* The arguments of one part; all of them point into it or into constants. */
struct part {
	char keys[LEVEE_FLEET_PER_SHARD + 1][LEVEE_KEY_TEXT];
	char name[160], keep[16];
	char counts[LEVEE_FLEET_PER_SHARD][24];
	unsigned char field[LEVEE_FLEET_PART_MAX][LEVEE_FLEET_FIELD_MAX];
	char packets[LEVEE_FLEET_PART_MAX][24];
	const char *argv[1 + LEVEE_FLEET_PER_SHARD + 2 + LEVEE_FLEET_PER_SHARD +
			 2 * LEVEE_FLEET_PART_MAX];
	size_t lengths[1 + LEVEE_FLEET_PER_SHARD + 2 + LEVEE_FLEET_PER_SHARD +
		       2 * LEVEE_FLEET_PART_MAX];
	int argc;
};

static void add_text(struct part *p, const char *text)
{
	p->lengths[p->argc] = strlen(text);
	p->argv[p->argc++] = text;
}

static size_t same_bucket(const struct levee_fleet_source *s, size_t n)
{
	size_t same = 1;

	while (same < n && s[same].bucket == s[0].bucket)
		same++;
	return same;
}

static void send_part(struct levee_fleet *f, struct part *p, size_t n)
{
	const struct levee_fleet_job *job = &f->job;
	const struct levee_fleet_source *s = &job->bin.sources[job->at];
	unsigned int shard = s->bucket / LEVEE_FLEET_PER_SHARD;
	int buckets = 0;

	p->argc = 0;
	levee_fleet_key_parts(&f->keys, job->bin.start_s, shard, p->keys[0]);
	add_text(p, p->keys[0]);
	for (size_t i = 0; i < n; i += same_bucket(&s[i], n - i)) {
		buckets++;
		levee_fleet_key_bucket(&f->keys, job->bin.start_s, s[i].bucket, p->keys[buckets]);
		add_text(p, p->keys[buckets]);
	}
	snprintf(p->name, sizeof(p->name), "%s:%" PRIu64 ":%016" PRIx64, f->node, job->seq,
		 levee_fleet_part_sum(s, n));
	snprintf(p->keep, sizeof(p->keep), "%u", keep_s(f));
	add_text(p, p->name);
	add_text(p, p->keep);
	for (size_t i = 0, b = 0; i < n; b++) {
		size_t same = same_bucket(&s[i], n - i);

		snprintf(p->counts[b], sizeof(p->counts[b]), "%zu", same);
		add_text(p, p->counts[b]);
		for (; same; same--, i++) {
			p->argv[p->argc] = (const char *)p->field[i];
			p->lengths[p->argc++] = levee_fleet_field(&s[i].source, p->field[i]);
			snprintf(p->packets[i], sizeof(p->packets[i]), "%" PRIu64, s[i].packets);
			add_text(p, p->packets[i]);
		}
	}
	levee_engine_eval(f->engine, LEVEE_SCRIPT_ADD, buckets + 1, p->argc, p->argv, p->lengths);
}

static int receive_number(struct levee_fleet *f, long long *number)
{
	redisReply *reply;
	int ret = levee_engine_receive(f->engine, LEVEE_FLEET_ANSWER, &reply);

	if (ret)
		return ret;
	*number = reply->type == REDIS_REPLY_INTEGER ? reply->integer : -1;
	freeReplyObject(reply);
	return 0;
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

static int send_done(struct levee_fleet *f)
{
	const struct levee_fleet_job *job = &f->job;
	const struct levee_moments *folded = &job->bin.folded;
	char bin[LEVEE_KEY_TEXT], start[24], keep[16], part[112], sources[24], packets[24];
	char fold[3][40];
	const char *argv[] = { bin,	f->keys.dirty, f->keys.records, start,	 keep,	  part,
			       f->node, sources,       packets,		fold[0], fold[1], fold[2] };
	long long answer;
	int ret;

	levee_fleet_key_bin(&f->keys, job->bin.start_s, bin);
	snprintf(start, sizeof(start), "%" PRId64, job->bin.start_s);
	snprintf(keep, sizeof(keep), "%u", keep_s(f) - 30);
	snprintf(part, sizeof(part), "%s:%" PRIu64, f->node, job->seq);
	snprintf(sources, sizeof(sources), "%zu", job->bin.n);
	snprintf(packets, sizeof(packets), "%" PRIu64, job->bin.packets);
	snprintf(fold[0], sizeof(fold[0]), "%" PRIu64, folded->n);
	snprintf(fold[1], sizeof(fold[1]), "%016" PRIx64 "%016" PRIx64,
		 (uint64_t)(folded->sum >> 64), (uint64_t)folded->sum);
	snprintf(fold[2], sizeof(fold[2]), "%016" PRIx64 "%016" PRIx64,
		 (uint64_t)(folded->sq >> 64), (uint64_t)folded->sq);
	levee_engine_eval(f->engine, LEVEE_SCRIPT_DONE, 3, 12, argv, NULL);
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
static void compact_mirror(struct levee_fleet *f, uint64_t now_ms)
{
	struct levee_fleet_entries *m = &f->mirror;
	size_t kept = 0;

	levee_prefixmap_clear(&f->mirror_at);
	for (size_t i = 0; i < m->n; i++) {
		if (levee_fleet_entry_over(&m->entry[i], now_ms))
			continue;
		m->entry[kept] = m->entry[i];
		if (!levee_prefixmap_set(&f->mirror_at, &m->entry[kept].prefix, (uint32_t)kept))
			kept++;
	}
	m->n = kept;
}

int levee_fleet_merge(struct levee_fleet *f, const struct levee_fleet_entry *entry)
{
	uint64_t now_ms = levee_fleet_unix_ms();
	uint32_t *at = levee_prefixmap_get(&f->mirror_at, &entry->prefix);
	int ret;

	if (levee_fleet_entry_over(entry, now_ms))
		return 0;
	if (at) {
		if (!levee_fleet_entry_wins(entry, &f->mirror.entry[*at], now_ms))
			return 0;
		f->mirror.entry[*at] = *entry;
		return 1;
	}
	if (f->mirror.n == f->mirror.room)
		compact_mirror(f, now_ms);
	ret = levee_fleet_entries_add(&f->mirror, entry);
	if (!ret)
		ret = levee_prefixmap_set(&f->mirror_at, &entry->prefix,
					  (uint32_t)(f->mirror.n - 1));
	return ret ? ret : 1;
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
	} else if (levee_fleet_merge(f, &entry) > 0 && f->orders.n < ORDERS_MAX) {
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
	char prefix[ENTRIES_A_CALL][LEVEE_PREFIX_TEXT], (*text)[LEVEE_FLEET_ENTRY_TEXT];
	const char *argv[5 + 2 * ENTRIES_A_CALL] = { f->keys.lease, f->keys.blocks, f->keys.events,
						     claim, LEVEE_FLEET_EVENTS };
	long long taken = 0;
	int ret;

	text = malloc(ENTRIES_A_CALL * sizeof(*text));
	if (!text)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		argv[5 + 2 * i] = levee_prefix_format(&entries[i].prefix, prefix[i]);
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

int levee_fleet_exchange_all(struct levee_fleet *f)
{
	struct levee_fleet_entry *entries;
	uint64_t now_ms = levee_fleet_unix_ms();
	size_t kept = 0;
	ssize_t n;
	int ret = scan_blocks(f);

	if (ret)
		return ret;
	n = copy_entries(f, &f->mirror, &entries);
	for (ssize_t i = 0; i < n; i++)
		if (!levee_fleet_entry_over(&entries[i], now_ms))
			entries[kept++] = entries[i];
	ret = n < 0 ? (int)n : levee_fleet_publish_entries(f, "", entries, kept);
	free(entries);
	return ret < 0 ? ret : 0;
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

/* ---- the fast path ----------------------------------------------------------------------- */

/* The one who brought the sum over the threshold blocks it, for all. */
static int block_fast(struct levee_fleet *f, const struct levee_fleet_fast *fast, uint64_t sum)
{
	struct levee_fleet_entry e = { .prefix = fast->source,
				       .last_bin_s = fast->start_s,
				       .max_packets = sum,
				       .created_ms = levee_fleet_unix_ms() };
	int ret;

	e.expires_ms = (uint64_t)(fast->start_s + f->options.bin_s + f->options.window_s) * 1000;
	e.order_ms = e.expires_ms;
	snprintf(e.node, sizeof(e.node), "%s", f->node);
	ret = levee_fleet_publish_entries(f, "", &e, 1);
	return ret < 0 ? ret : 0;
}

static int send_share(struct levee_fleet *f, const struct levee_fleet_fast *fast)
{
	unsigned char field[LEVEE_FLEET_FIELD_MAX];
	char key[LEVEE_KEY_TEXT], packets[24], threshold[24], keep[16];
	const char *argv[] = { key, (const char *)field, f->node, packets, threshold, keep };
	size_t lengths[6];
	redisReply *reply;
	uint64_t sum = 0;
	bool first = false;
	int ret;

	levee_fleet_key_shares(&f->keys, fast->start_s, levee_fleet_bucket(&f->seed, &fast->source),
			       key);
	snprintf(packets, sizeof(packets), "%" PRIu64, fast->packets);
	snprintf(threshold, sizeof(threshold), "%" PRIu64, levee_fleet_threshold(f));
	snprintf(keep, sizeof(keep), "%u", 2 * f->options.bin_s + 10);
	for (int i = 0; i < 6; i++)
		lengths[i] = i == 1 ? levee_fleet_field(&fast->source, field) : strlen(argv[i]);
	levee_engine_eval(f->engine, LEVEE_SCRIPT_SHARE, 1, 6, argv, lengths);
	ret = levee_engine_receive(f->engine, LEVEE_FLEET_ANSWER, &reply);
	if (ret)
		return ret;
	if (is_array(reply, 2) && reply->element[0]->type == REDIS_REPLY_STRING) {
		sum = strtoull(reply->element[0]->str, NULL, 10);
		first = reply->element[1]->integer == 1;
	}
	freeReplyObject(reply);
	return first ? block_fast(f, fast, sum) : 0;
}

int levee_fleet_send_shares(struct levee_fleet *f)
{
	struct levee_fleet_fast fast[sizeof(f->fast) / sizeof(f->fast[0])];
	size_t n;
	int ret = 0;

	pthread_mutex_lock(&f->lock);
	n = f->n_fast;
	memcpy(fast, f->fast, n * sizeof(fast[0]));
	f->n_fast = 0;
	pthread_mutex_unlock(&f->lock);
	for (size_t i = 0; i < n && !ret && levee_fleet_threshold(f); i++)
		ret = send_share(f, &fast[i]);
	return ret;
}
