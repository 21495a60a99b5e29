/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The leader's work, in slices: wait for the nodes, have each bucket reduced, judge, write down.
 * Every write names the lease's token; who has lost the lease meanwhile writes nothing.
 */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/detect/trip.h"
#include "control/fleet/fleet_internal.h"

#define NS_PER_MS	1000000ULL
#define LOOK_MS		200 /* how often the nodes are looked at while some are awaited */
#define BUCKETS_A_SLICE 8   /* the engine does them in one go, and others wait */
#define CANDIDATES_MAX	(1U << 20)
#define FINDINGS_MAX	100000
#define FORGET_MS	600000 /* a node that was not seen for so long is no node any more */

/* ---- nodes ------------------------------------------------------------------------------- */

int levee_fleet_node_parse(struct levee_fleet_node *node, const char *name, const char *text)
{
	int together = 0;

	*node = (struct levee_fleet_node){ 0 };
	if (strlen(name) >= sizeof(node->name) ||
	    sscanf(text, "%" SCNu64 " %" SCNd64 " %" SCNd64 " %" SCNd64 " %d", &node->seen_ms,
		   &node->joined_s, &node->running_s, &node->done_s, &together) != 5)
		return -EINVAL;
	snprintf(node->name, sizeof(node->name), "%s", name);
	node->together = together == 1;
	return 0;
}

/* Instances come and go, and each has another name: those that are gone are taken out. */
static int forget_node(struct levee_fleet *f, const char *name, const char *text)
{
	const char *argv[] = { f->keys.nodes, name, text };
	redisReply *reply;
	int ret;

	levee_engine_eval(f->engine, LEVEE_SCRIPT_PRUNE, 1, 3, argv, NULL);
	ret = levee_engine_receive(f->engine, LEVEE_FLEET_ANSWER, &reply);
	if (!ret)
		freeReplyObject(reply);
	return ret;
}

static int take_node(struct levee_fleet *f, const char *name, const char *text)
{
	int64_t now_ms = (int64_t)levee_fleet_unix_ms() + f->clock_ms;
	struct levee_fleet_node *node = &f->nodes[f->n_nodes];

	if (levee_fleet_node_parse(node, name, text))
		return 0;
	if (now_ms - (int64_t)node->seen_ms > FORGET_MS)
		return forget_node(f, name, text);
	f->n_nodes++;
	return 0;
}

static int read_nodes(struct levee_fleet *f)
{
	const char *argv[] = { "HGETALL", f->keys.nodes };
	redisReply *reply;
	int ret = levee_engine_call(f->engine, LEVEE_FLEET_ANSWER, &reply, f->keys.nodes, 2, argv);

	if (ret)
		return ret;
	free(f->nodes);
	f->n_nodes = 0;
	f->nodes = calloc(reply->elements / 2 + 1, sizeof(*f->nodes));
	ret = f->nodes ? 0 : -ENOMEM;
	for (size_t i = 0; !ret && i + 1 < reply->elements && f->n_nodes < LEVEE_FLEET_NODES;
	     i += 2)
		if (reply->element[i]->type == REDIS_REPLY_STRING &&
		    reply->element[i + 1]->type == REDIS_REPLY_STRING)
			ret = take_node(f, reply->element[i]->str, reply->element[i + 1]->str);
	freeReplyObject(reply);
	return ret;
}

/* Is this node to be awaited for that bin? */
static bool is_expected(const struct levee_fleet *f, const struct levee_fleet_node *node,
			int64_t start_s)
{
	int64_t now_ms = (int64_t)levee_fleet_unix_ms() + f->clock_ms;
	int64_t gone_ms = 3000 * (int64_t)f->options.bin_s;

	if (gone_ms < LEVEE_FLEET_GONE_MS)
		gone_ms = LEVEE_FLEET_GONE_MS;
	return node->joined_s >= 0 && node->joined_s <= start_s &&
	       now_ms - (int64_t)node->seen_ms < gone_ms;
}

/* ---- one bin ----------------------------------------------------------------------------- */

static void end_collect(struct levee_fleet *f)
{
	levee_fleet_record_clear(&f->collect.record);
	free(f->collect.buckets);
	free(f->collect.held);
	f->collect = (struct levee_fleet_collect){ 0 };
}

static void begin_collect(struct levee_fleet *f, int64_t start_s, bool again, const char *seen)
{
	f->collect = (struct levee_fleet_collect){ .active = true,
						   .again = again,
						   .start_s = start_s,
						   .since_ns = levee_fleet_boot_ns() };
	snprintf(f->collect.seen, sizeof(f->collect.seen), "%s", seen);
	f->collect.record.bin.start_s = start_s;
	pthread_mutex_lock(&f->lock);
	f->collect.detect = f->detect;
	f->collect.detector = f->detector;
	pthread_mutex_unlock(&f->lock);
	f->collect.record.bin.min_packets = f->collect.detect.min_packets;
}

static const struct levee_fleet_record *find_record(const struct levee_fleet *f, int64_t start_s)
{
	for (size_t i = f->n_records; i-- > 0;)
		if (f->records[i].bin.start_s == start_s)
			return &f->records[i];
	return NULL;
}

static int add_fold(struct levee_moments *folded, uint64_t n, const char *sum, const char *sq)
{
	struct levee_moments m = { .n = n };

	if (levee_fleet_wide_parse(&m.sum, sum) || levee_fleet_wide_parse(&m.sq, sq))
		return -EPROTO;
	if (!n)
		return 0;
	return levee_moments_possible(&m) ? levee_moments_merge(folded, &m) : -EPROTO;
}

/* One field of bin:T: "NODE SOURCES PACKETS LANES N" and SUM SQ of each measure. */
static int take_done(struct levee_fleet *f, const char *text)
{
	struct levee_fleet_collect *c = &f->collect;
	struct levee_fleet_record *record = &c->record;
	char node[LEVEE_FLEET_NODE_TEXT], letters[LEVEE_LANES + 1];
	char sum[LEVEE_MEASURES][33], sq[LEVEE_MEASURES][33];
	uint64_t sources, packets, n;
	unsigned int lanes;
	int ret = 0;

	if (sscanf(text,
		   "%63s %" SCNu64 " %" SCNu64 " %5[a-z] %" SCNu64 " %32[0-9a-f] %32[0-9a-f] "
		   "%32[0-9a-f] %32[0-9a-f] %32[0-9a-f] %32[0-9a-f]",
		   node, &sources, &packets, letters, &n, sum[0], sq[0], sum[1], sq[1], sum[2],
		   sq[2]) != 11)
		return -EPROTO;
	lanes = levee_fleet_lanes_parse(letters);
	if (!lanes)
		return -EPROTO;
	c->lanes = record->n_nodes ? c->lanes & lanes : lanes;
	c->some_lanes |= lanes;
	if (!levee_fleet_name_in(record->nodes, record->n_nodes, node) &&
	    levee_fleet_name_add(&record->nodes, &record->n_nodes, node))
		return -ENOMEM;
	for (int m = 0; m < LEVEE_MEASURES && !ret; m++)
		ret = add_fold(&c->folded[m], n, sum[m], sq[m]);
	return ret;
}

/* Which nodes have sent all of the bin. Begins the record anew. */
static int read_done(struct levee_fleet *f)
{
	struct levee_fleet_collect *c = &f->collect;
	struct levee_bin_record blank = { .start_s = c->start_s,
					  .min_packets = c->detect.min_packets };
	char key[LEVEE_KEY_TEXT];
	const char *argv[] = { "HGETALL", key };
	redisReply *reply;
	int ret;

	levee_fleet_key_bin(&f->keys, c->start_s, key);
	ret = levee_engine_call(f->engine, LEVEE_FLEET_ANSWER, &reply, key, 2, argv);
	if (ret)
		return ret;
	levee_fleet_record_clear(&c->record);
	c->record.bin = blank;
	c->lanes = c->some_lanes = 0;
	memset(c->folded, 0, sizeof(c->folded));
	c->n_done = reply->elements / 2;
	for (size_t i = 1; i < reply->elements && !ret; i += 2)
		if (reply->element[i]->type == REDIS_REPLY_STRING)
			ret = take_done(f, reply->element[i]->str);
	freeReplyObject(reply);
	return ret;
}

/* Names of nodes that are expected and have not sent the bin. \return 0; -ENOMEM */
static int find_missing(struct levee_fleet *f)
{
	struct levee_fleet_record *r = &f->collect.record;

	for (size_t i = 0; i < f->n_nodes; i++) {
		const struct levee_fleet_node *node = &f->nodes[i];

		if (is_expected(f, node, f->collect.start_s) &&
		    !levee_fleet_name_in(r->nodes, r->n_nodes, node->name) &&
		    levee_fleet_name_add(&r->missing, &r->n_missing, node->name))
			return -ENOMEM;
	}
	return 0;
}

/* What came after the grace, or is missing for good, is marked against the record before. */
static int mark_late(struct levee_fleet *f, const struct levee_fleet_record *before)
{
	struct levee_fleet_record *r = &f->collect.record;

	for (size_t i = 0; i < r->n_nodes; i++)
		if ((!levee_fleet_name_in(before->nodes, before->n_nodes, r->nodes[i]) ||
		     levee_fleet_name_in(before->late, before->n_late, r->nodes[i])) &&
		    levee_fleet_name_add(&r->late, &r->n_late, r->nodes[i]))
			return -ENOMEM;
	for (size_t i = 0; i < before->n_missing; i++)
		if (!levee_fleet_name_in(r->nodes, r->n_nodes, before->missing[i]) &&
		    !levee_fleet_name_in(r->missing, r->n_missing, before->missing[i]) &&
		    levee_fleet_name_add(&r->missing, &r->n_missing, before->missing[i]))
			return -ENOMEM;
	return 0;
}

static bool holds_all(const struct levee_fleet_record *now, const struct levee_fleet_record *before)
{
	for (size_t i = 0; i < before->n_nodes; i++)
		if (!levee_fleet_name_in(now->nodes, now->n_nodes, before->nodes[i]))
			return false;
	return true;
}

static int clear_mark(struct levee_fleet *f)
{
	char start[24];
	const char *argv[] = { "HDEL", f->keys.dirty, start };
	redisReply *reply;
	int ret;

	snprintf(start, sizeof(start), "%" PRId64, f->collect.start_s);
	ret = levee_engine_call(f->engine, LEVEE_FLEET_ANSWER, &reply, f->keys.dirty, 3, argv);
	if (!ret)
		freeReplyObject(reply);
	return ret;
}

static uint64_t minimum_of(const struct levee_detect_params *detect, enum levee_measure measure)
{
	return measure == LEVEE_PACKETS ? detect->min_packets
	       : measure == LEVEE_BYTES ? detect->min_bytes
					: detect->min_syns;
}

/* A measure that this node judges and another one does not send would be judged by a part of it. */
static bool is_judged(const struct levee_fleet_collect *c, enum levee_measure measure)
{
	return minimum_of(&c->detect, measure) && c->lanes & 1U << measure;
}

static void compare_lanes(struct levee_fleet *f)
{
	const struct levee_fleet_collect *c = &f->collect;
	bool lacks_bytes = c->detect.min_bytes && !is_judged(c, LEVEE_BYTES);
	bool lacks_syns = c->detect.min_syns && !is_judged(c, LEVEE_SYNS);

	if ((lacks_bytes || lacks_syns) && !f->told_lanes)
		levee_fleet_say(f, true,
				"not every node sends its %s, so the fleet does not judge %s: make "
				"[detect] %s the same on all nodes",
				lacks_bytes ? "bytes" : "SYNs",
				lacks_bytes && lacks_syns ? "bytes and SYNs" : "them",
				lacks_bytes && lacks_syns ? "min_bytes and min_syns"
				: lacks_bytes		  ? "min_bytes"
							  : "min_syns");
	f->told_lanes = lacks_bytes || lacks_syns;
}

/* Nobody is awaited any more. What lost its name is counted where it stands for its mean. */
static int begin_reduce(struct levee_fleet *f)
{
	struct levee_fleet_collect *c = &f->collect;
	struct levee_bin_record *bin = &c->record.bin;
	const struct levee_moments *folded = &c->folded[LEVEE_PACKETS];
	const char *detector = f->collect.detector;

	compare_lanes(f);
	for (enum levee_measure m = LEVEE_BYTES; m < LEVEE_MEASURES; m++) {
		if (!is_judged(c, m))
			continue;
		bin->measures[m] = calloc(1, sizeof(*bin->measures[m]));
		if (!bin->measures[m])
			return -ENOMEM;
		bin->measures[m]->minimum = minimum_of(&c->detect, m);
		bin->measures[m]->moments = c->folded[m];
	}
	if (detector && levee_detector_wants_histogram(detector)) {
		c->buckets = calloc(1, sizeof(*c->buckets));
		if (!c->buckets)
			return -ENOMEM;
		if (folded->n)
			levee_buckets_add(c->buckets, (uint64_t)(folded->sum / folded->n),
					  folded->n);
	}
	bin->moments = *folded;
	if (folded->n)
		bin->flags |= LEVEE_BIN_FOLDED;
	c->reducing = true;
	return 0;
}

/* Data that came late: is all of the bin still there, so that it can be made again? */
static int begin_again(struct levee_fleet *f)
{
	const struct levee_fleet_record *before = find_record(f, f->collect.start_s);
	int ret = read_done(f);

	if (ret)
		return ret;
	if (!before || !holds_all(&f->collect.record, before)) {
		levee_fleet_say(f, true,
				"data for the bin of %" PRId64 " came when its sources were gone "
				"from the engine; they are left out",
				f->collect.start_s);
		ret = clear_mark(f);
		end_collect(f);
		return ret;
	}
	ret = mark_late(f, before);
	return ret ? ret : begin_reduce(f);
}

/* \return 0; -errno. Sets `reducing` once nobody is awaited any more. */
static int look(struct levee_fleet *f)
{
	struct levee_fleet_collect *c = &f->collect;
	uint64_t now_ns = levee_fleet_boot_ns();
	bool over = now_ns - c->since_ns >= f->options.grace_s * 1000 * NS_PER_MS;
	int ret;

	if (c->again)
		return begin_again(f);
	if (c->looked_ns && now_ns - c->looked_ns < LOOK_MS * NS_PER_MS)
		return 0;
	c->looked_ns = now_ns;
	ret = read_nodes(f);
	if (!ret)
		ret = read_done(f);
	if (!ret)
		ret = find_missing(f);
	if (ret)
		return ret;
	if (!c->record.n_nodes && over) {
		f->reduced_s = c->start_s; /* nobody has anything of it */
		end_collect(f);
	} else if (c->record.n_nodes && (over || !c->record.n_missing)) {
		return begin_reduce(f);
	}
	return 0;
}

/* ---- reducing ---------------------------------------------------------------------------- */

/* A list that grows by doubling: its room is the next power of two, 64 at least. */
static int add_candidate(struct levee_candidate **list, size_t *n, const struct levee_candidate *c)
{
	void *more;

	if (*n == CANDIDATES_MAX)
		return -ERANGE;
	if (!*n || (*n >= 64 && !(*n & (*n - 1)))) {
		more = reallocarray(*list, *n ? 2 * *n : 64, sizeof(**list));
		if (!more)
			return -ENOMEM;
		*list = more;
	}
	(*list)[(*n)++] = *c;
	return 0;
}

/* Source, value, packets, answered. */
static int parse_candidate(struct levee_candidate *c, redisReply *const *item, unsigned int lane)
{
	uint64_t value;

	*c = (struct levee_candidate){ 0 };
	if (item[0]->type != REDIS_REPLY_STRING || item[1]->type != REDIS_REPLY_STRING ||
	    item[2]->type != REDIS_REPLY_STRING || item[3]->type != REDIS_REPLY_INTEGER ||
	    levee_fleet_field_parse(&c->source, item[0]->str, (size_t)item[0]->len))
		return -EPROTO;
	value = strtoull(item[1]->str, NULL, 10);
	c->packets = strtoull(item[2]->str, NULL, 10);
	if (value > LEVEE_VALUE_MAX)
		return -EPROTO;
	if (c->packets > LEVEE_VALUE_MAX)
		c->packets = LEVEE_VALUE_MAX;
	c->answered = item[3]->integer == 1;
	if (lane == LEVEE_LANE_BYTES)
		c->bytes = value;
	else if (lane == LEVEE_LANE_SYNS)
		c->syns = value;
	else
		c->packets = value;
	return 0;
}

static int take_candidate(struct levee_fleet_collect *c, redisReply *const *item)
{
	struct levee_bin_record *bin = &c->record.bin;
	struct levee_candidate candidate;
	int ret = parse_candidate(&candidate, item, c->lane);

	if (ret)
		return ret;
	if (c->lane == LEVEE_LANE_HELD)
		return add_candidate(&c->held, &c->n_held, &candidate);
	if (c->lane == LEVEE_LANE_PACKETS)
		return add_candidate(&bin->candidates, &bin->n_candidates, &candidate);
	return add_candidate(&bin->measures[c->lane]->candidates,
			     &bin->measures[c->lane]->n_candidates, &candidate);
}

/* Of one lane of one bucket. */
static int take_reduced(struct levee_fleet_collect *c, const redisReply *reply)
{
	struct levee_bin_record *bin = &c->record.bin;
	struct levee_moments nobody = { 0 }, *moments = &nobody;
	uint64_t capped = 0;
	const redisReply *found;
	int ret;

	if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 3 ||
	    reply->element[0]->type != REDIS_REPLY_STRING ||
	    reply->element[1]->type != REDIS_REPLY_ARRAY ||
	    reply->element[2]->type != REDIS_REPLY_STRING)
		return -EPROTO;
	if (c->lane == LEVEE_LANE_PACKETS)
		moments = &bin->moments;
	else if (c->lane != LEVEE_LANE_HELD)
		moments = &bin->measures[c->lane]->moments;
	ret = levee_fleet_reduced(moments, &capped, reply->element[0]->str);
	if (c->lane == LEVEE_LANE_PACKETS)
		c->record.capped += capped;
	found = reply->element[1];
	for (size_t i = 0; i + 3 < found->elements && !ret; i += 4)
		ret = take_candidate(c, &found->element[i]);
	if (!ret && c->buckets && c->lane == LEVEE_LANE_PACKETS)
		ret = levee_fleet_reduced_cells(c->buckets, reply->element[2]->str);
	return ret;
}

static bool is_reduced(const struct levee_fleet_collect *c, unsigned int lane)
{
	if (lane == LEVEE_LANE_HELD)
		return c->some_lanes & 1U << LEVEE_LANE_HELD;
	return lane == LEVEE_LANE_PACKETS ||
	       (lane < LEVEE_MEASURES && c->record.bin.measures[lane]);
}

static void send_reduce(struct levee_fleet *f, unsigned int lane, unsigned int bucket)
{
	const struct levee_fleet_collect *c = &f->collect;
	char parts[LEVEE_KEY_TEXT], values[LEVEE_KEY_TEXT], packets[LEVEE_KEY_TEXT];
	char answered[LEVEE_KEY_TEXT], minimum[24], keep[16];
	const char *argv[] = { parts,	values,
			       packets, answered,
			       minimum, keep,
			       "0",	c->some_lanes & 1U << LEVEE_LANE_ANSWERED ? "1" : "0" };
	uint64_t least = c->detect.min_packets;

	if (lane == LEVEE_LANE_BYTES || lane == LEVEE_LANE_SYNS)
		least = c->record.bin.measures[lane]->minimum;
	snprintf(minimum, sizeof(minimum), "%" PRIu64, least);
	snprintf(keep, sizeof(keep), "%u", 2 * f->options.bin_s + 2 * f->options.grace_s + 60);
	if (c->buckets && lane == LEVEE_LANE_PACKETS)
		argv[6] = "1";
	levee_fleet_key_parts(&f->keys, c->start_s, bucket / LEVEE_FLEET_PER_SHARD, parts);
	levee_fleet_key_bucket(&f->keys, c->start_s, bucket, lane, values);
	levee_fleet_key_bucket(&f->keys, c->start_s, bucket, LEVEE_LANE_PACKETS, packets);
	levee_fleet_key_bucket(&f->keys, c->start_s, bucket, LEVEE_LANE_ANSWERED, answered);
	levee_engine_eval(f->engine, LEVEE_SCRIPT_REDUCE, 4, 8, argv, NULL);
}

/* The next buckets of the lane at hand; a lane that nobody needs is over at once. */
static int reduce_some(struct levee_fleet *f)
{
	struct levee_fleet_collect *c = &f->collect;
	unsigned int sent = 0;
	redisReply *reply;
	int ret = 0;

	for (; is_reduced(c, c->lane) && sent < BUCKETS_A_SLICE && c->bucket < LEVEE_FLEET_BUCKETS;
	     sent++, c->bucket++)
		send_reduce(f, c->lane, c->bucket);
	for (; sent; sent--) {
		int now = levee_engine_receive(f->engine, LEVEE_FLEET_ANSWER, &reply);

		if (now)
			return now;
		if (!ret)
			ret = take_reduced(c, reply);
		freeReplyObject(reply);
	}
	if (!is_reduced(c, c->lane) || c->bucket == LEVEE_FLEET_BUCKETS) {
		c->lane++;
		c->bucket = 0;
	}
	return ret;
}

static int by_source(const void *a, const void *b)
{
	const struct levee_candidate *left = a, *right = b;

	return levee_prefix_compare(&left->source, &right->source);
}

static void sort_candidates(struct levee_candidate *list, size_t n)
{
	if (n)
		qsort(list, n, sizeof(*list), by_source);
}

/* All lanes are there. A source without SYNs, or bytes, is a value of 0 there. \return 0; -ENOMEM */
static int complete_record(struct levee_fleet *f)
{
	struct levee_fleet_collect *c = &f->collect;
	struct levee_bin_record *bin = &c->record.bin;

	sort_candidates(bin->candidates, bin->n_candidates);
	sort_candidates(c->held, c->n_held);
	for (enum levee_measure m = LEVEE_BYTES; m < LEVEE_MEASURES; m++) {
		if (!bin->measures[m])
			continue;
		bin->measures[m]->moments.n = bin->moments.n;
		sort_candidates(bin->measures[m]->candidates, bin->measures[m]->n_candidates);
	}
	return c->buckets ? levee_buckets_pack(c->buckets, &bin->histogram) : 0;
}

/* ---- judging ----------------------------------------------------------------------------- */

static int copy_candidates(struct levee_candidate *const from, size_t n,
			   struct levee_candidate **to)
{
	*to = malloc((n + 1) * sizeof(**to));
	if (!*to)
		return -ENOMEM;
	if (n)
		memcpy(*to, from, n * sizeof(**to));
	return 0;
}

static int copy_measure(const struct levee_bin_measure *from, struct levee_bin_measure **to)
{
	if (!from)
		return 0;
	*to = malloc(sizeof(**to));
	if (!*to)
		return -ENOMEM;
	**to = *from;
	return copy_candidates(from->candidates, from->n_candidates, &(*to)->candidates);
}

/* \return 0; -ENOMEM: to be cleared all the same */
static int copy_bin(const struct levee_bin_record *from, struct levee_bin_record *to)
{
	int ret;

	*to = *from;
	to->histogram = (struct levee_histogram){ 0 };
	memset(to->measures, 0, sizeof(to->measures));
	ret = copy_candidates(from->candidates, from->n_candidates, &to->candidates);
	if (!ret)
		ret = levee_histogram_merge(&to->histogram, &from->histogram);
	for (int m = LEVEE_BYTES; m < LEVEE_MEASURES && !ret; m++)
		ret = copy_measure(from->measures[m], &to->measures[m]);
	return ret;
}

/* The window at now_s, of copies. \return the caller frees it; NULL */
static struct levee_window *make_window(const struct levee_fleet *f, int64_t now_s)
{
	struct levee_window *window = levee_window_new(f->options.bin_s, f->options.window_s);
	struct levee_bin_record copy;

	for (size_t i = 0; window && i < f->n_records; i++) {
		int ret = copy_bin(&f->records[i].bin, &copy);

		if (!ret)
			levee_window_push(window, &copy);
		levee_bin_record_clear(&copy);
		if (ret)
			levee_window_free(&window);
	}
	if (window)
		levee_window_advance(window, now_s);
	return window;
}

static uint64_t fast_threshold(const struct levee_fleet *f, const struct levee_window *window,
			       int64_t now_s)
{
	struct levee_trip_params params = { .detect = f->collect.detect, .cpus = 1 };
	struct levee_fleet *shared = (struct levee_fleet *)f; /* for its lock alone */
	struct levee_trip trip;

	pthread_mutex_lock(&shared->lock);
	params.on = f->fast_on;
	params.warmup_bins = f->warmup_bins;
	pthread_mutex_unlock(&shared->lock);
	return !levee_trip_make(&trip, &params, window, now_s) && trip.armed ? trip.threshold : 0;
}

/* The detector of a single instance over the fleet's window. */
static int evaluate(const struct levee_fleet *f, int64_t now_s, struct levee_evaluation *e,
		    uint64_t *threshold)
{
	const struct levee_detector *detector = f->collect.detector
							? levee_detector_find(f->collect.detector)
							: NULL;
	struct levee_window *window = make_window(f, now_s);
	int ret = -ENOMEM;

	if (!detector)
		detector = &levee_detector_zscore;
	if (window)
		ret = detector->evaluate(window, NULL, now_s, &f->collect.detect, e);
	if (!ret)
		*threshold = fast_threshold(f, window, now_s);
	levee_window_free(&window);
	return ret;
}

struct judging {
	struct levee_fleet *f;
	struct levee_fleet_entries entries;
	int ret;
};

static void note_change(void *ctx, enum levee_block_change change, const struct levee_block *block)
{
	struct judging *j = ctx;
	struct levee_fleet_entry entry;

	if (!levee_block_stands(change))
		return;
	levee_fleet_entry_from_block(&entry, block, j->f->node);
	if (levee_fleet_entries_add(&j->entries, &entry))
		j->ret = -ENOMEM;
}

/* What all nodes together dropped, let pass and counted of a blocked source. */
static bool read_held(void *ctx, const struct levee_block *block,
		      struct levee_block_traffic *traffic)
{
	const struct levee_fleet_collect *c = ctx;
	struct levee_candidate key = { .source = block->prefix }, *held = NULL;

	if (c->n_held)
		held = bsearch(&key, c->held, c->n_held, sizeof(*c->held), by_source);
	if (held)
		*traffic = (struct levee_block_traffic){ .counted = held->packets };
	return held != NULL;
}

/* The same block table as that of a single instance says what begins and what goes on. */
static int judge(struct levee_fleet *f, const struct levee_evaluation *e,
		 struct levee_fleet_entries *entries)
{
	struct levee_time now = levee_fleet_now();
	struct judging j = { .f = f };
	int ret = levee_fleet_blocks_take_all(f);

	if (ret)
		return ret;
	levee_blocks_feed(f->blocks, f->collect.start_s, 1, read_held, &f->collect);
	ret = levee_blocks_judge(f->blocks, e, &now, note_change, &j);
	*entries = j.entries;
	return ret ? ret : j.ret;
}

/* Of these, what the mirror does not have: the others would not win, so they need not travel. */
static size_t leave_known(struct levee_fleet *f, struct levee_fleet_entry *entries, size_t n)
{
	uint64_t now_ms = levee_fleet_unix_ms();
	size_t kept = 0;

	pthread_mutex_lock(&f->lock);
	for (size_t i = 0; i < n; i++) {
		const struct levee_fleet_mirror *m = &f->mirror[entries[i].allow];
		const uint32_t *at = levee_prefixmap_get(&m->at, &entries[i].prefix);

		if (levee_fleet_entry_wins(&entries[i], at ? &m->list.entry[*at] : NULL, now_ms))
			entries[kept++] = entries[i];
	}
	pthread_mutex_unlock(&f->lock);
	return kept;
}

static int publish_findings(struct levee_fleet *f, const char *claim,
			    const struct levee_evaluation *e)
{
	struct levee_fleet_entries entries = { 0 };
	int ret = judge(f, e, &entries);

	if (!ret) {
		entries.n = leave_known(f, entries.entry, entries.n);
		ret = levee_fleet_publish_entries(f, claim, entries.entry, entries.n);
	}
	free(entries.entry);
	return ret < 0 ? ret : 0;
}

/* ---- writing down ------------------------------------------------------------------------ */

static int put_record(struct levee_fleet *f, struct levee_fleet_record *record)
{
	size_t i;
	void *more;

	for (i = 0; i < f->n_records; i++) {
		if (f->records[i].bin.start_s == record->bin.start_s) {
			levee_fleet_record_clear(&f->records[i]);
			break;
		}
	}
	if (i == f->n_records) {
		more = reallocarray(f->records, f->n_records + 1, sizeof(*f->records));
		if (!more)
			return -ENOMEM;
		f->records = more;
		f->n_records++;
	}
	f->records[i] = *record;
	*record = (struct levee_fleet_record){ 0 };
	return 0;
}

static void drop_old_records(struct levee_fleet *f, int64_t oldest_s)
{
	size_t kept = 0;

	for (size_t i = 0; i < f->n_records; i++) {
		if (f->records[i].bin.start_s < oldest_s)
			levee_fleet_record_clear(&f->records[i]);
		else
			f->records[kept++] = f->records[i];
	}
	f->n_records = kept;
}

struct eval_text {
	char start[24], threshold[24], n[24], mean[40], stddev[40], findings[24], nodes[24];
	char late[24], missing[24];
};

static int write_record(struct levee_fleet *f, const char *claim,
			const struct levee_fleet_record *record, const struct levee_evaluation *e,
			uint64_t threshold)
{
	char *text = levee_fleet_record_format(record), oldest[24], start[24], done[24];
	char bin[LEVEE_KEY_TEXT];
	struct eval_text v;
	const char *argv[] = { f->keys.lease,
			       f->keys.records,
			       f->keys.dirty,
			       f->keys.eval,
			       bin,
			       claim,
			       start,
			       text,
			       f->collect.seen,
			       oldest,
			       done,
			       "start",
			       v.start,
			       "threshold",
			       v.threshold,
			       "n",
			       v.n,
			       "mean",
			       v.mean,
			       "stddev",
			       v.stddev,
			       "findings",
			       v.findings,
			       "nodes",
			       v.nodes,
			       "late",
			       v.late,
			       "missing",
			       v.missing };
	int argc = sizeof(argv) / sizeof(argv[0]);
	redisReply *reply;
	int ret;

	if (!text)
		return -ENOMEM;
	levee_fleet_key_bin(&f->keys, record->bin.start_s, bin);
	snprintf(done, sizeof(done), "%zu", f->collect.n_done);
	snprintf(start, sizeof(start), "%" PRId64, record->bin.start_s);
	snprintf(oldest, sizeof(oldest), "%" PRId64,
		 f->reduced_s - (int64_t)f->options.window_s - (int64_t)f->options.bin_s);
	snprintf(v.start, sizeof(v.start), "%" PRId64, e->now_s - (int64_t)f->options.bin_s);
	snprintf(v.threshold, sizeof(v.threshold), "%" PRIu64, threshold);
	snprintf(v.n, sizeof(v.n), "%" PRIu64, e->moments.n);
	snprintf(v.mean, sizeof(v.mean), "%.17g", e->mean);
	snprintf(v.stddev, sizeof(v.stddev), "%.17g", e->stddev);
	snprintf(v.findings, sizeof(v.findings), "%zu", e->n_findings);
	snprintf(v.nodes, sizeof(v.nodes), "%zu", record->n_nodes);
	snprintf(v.late, sizeof(v.late), "%zu", record->n_late);
	snprintf(v.missing, sizeof(v.missing), "%zu", record->n_missing);
	/* A bin made again is not the newest: its evaluation is, its nodes are not. */
	if (f->collect.again)
		argc -= 6;
	levee_engine_eval(f->engine, LEVEE_SCRIPT_RECORD, 5, argc, argv, NULL);
	ret = levee_engine_receive(f->engine, LEVEE_FLEET_ANSWER, &reply);
	free(text);
	if (ret)
		return ret;
	ret = reply->type == REDIS_REPLY_INTEGER && reply->integer == 1 ? 0 : -EPERM;
	freeReplyObject(reply);
	return ret;
}

static void join_names(char *const *list, size_t n, char *text, size_t size)
{
	size_t used = 0;

	text[0] = '\0';
	for (size_t i = 0; i < n && used + 70 < size; i++)
		used += (size_t)snprintf(text + used, size - used, "%s%s", i ? ", " : "", list[i]);
}

static void say_record(struct levee_fleet *f, const struct levee_fleet_record *record)
{
	char names[256];

	if (record->n_missing && !f->collect.again) {
		join_names(record->missing, record->n_missing, names, sizeof(names));
		levee_fleet_say(f, true,
				"the fleet's bin of %" PRId64 " lacks %zu of %zu nodes: %s",
				record->bin.start_s, record->n_missing,
				record->n_nodes + record->n_missing, names);
	}
	if (record->n_late && f->collect.again) {
		join_names(record->late, record->n_late, names, sizeof(names));
		levee_fleet_say(f, false,
				"the fleet's bin of %" PRId64 " was made again with what came "
				"late from: %s",
				record->bin.start_s, names);
	}
	if (record->capped)
		levee_fleet_say(f, true,
				"%" PRIu64 " sources of the bin of %" PRId64 " have more than 2^48 "
				"packets and count as 2^48",
				record->capped, record->bin.start_s);
}

/* The bin is reduced: judge the window, and write all of it down. */
static int finish(struct levee_fleet *f)
{
	struct levee_fleet_collect *c = &f->collect;
	int64_t start_s = c->start_s, now_s;
	const struct levee_fleet_record *record;
	struct levee_evaluation e = { 0 };
	uint64_t threshold = 0;
	char claim[96];
	int ret;

	pthread_mutex_lock(&f->lock);
	levee_lease_claim(&f->lease, claim, sizeof(claim));
	pthread_mutex_unlock(&f->lock);
	ret = complete_record(f);
	if (ret)
		return ret;
	say_record(f, &c->record);
	ret = put_record(f, &c->record);
	if (ret)
		return ret;
	if (start_s > f->reduced_s)
		f->reduced_s = start_s;
	now_s = f->reduced_s + f->options.bin_s;
	drop_old_records(f, now_s - (int64_t)f->options.window_s);
	ret = evaluate(f, now_s, &e, &threshold);
	if (ret)
		return ret;
	record = find_record(f, start_s);
	ret = claim[0] && record ? write_record(f, claim, record, &e, threshold) : -EPERM;
	if (!ret && e.n_findings <= FINDINGS_MAX)
		ret = publish_findings(f, claim, &e);
	if (!ret) {
		pthread_mutex_lock(&f->lock);
		f->shown.reduced++;
		f->shown.reduce_ms = (levee_fleet_boot_ns() - c->reducing_ns) / NS_PER_MS;
		pthread_mutex_unlock(&f->lock);
	}
	levee_evaluation_clear(&e);
	end_collect(f);
	return ret;
}

/* ---- leading ----------------------------------------------------------------------------- */

static int load_records(struct levee_fleet *f)
{
	const char *argv[] = { "HGETALL", f->keys.records };
	struct levee_fleet_record record;
	redisReply *reply;
	int ret = levee_engine_call(f->engine, LEVEE_FLEET_ANSWER, &reply, f->keys.records, 2,
				    argv);

	if (ret)
		return ret;
	f->reduced_s = -1;
	for (size_t i = 1; i < reply->elements && !ret; i += 2) {
		if (reply->element[i]->type != REDIS_REPLY_STRING ||
		    levee_fleet_record_parse(&record, reply->element[i]->str))
			continue;
		if (record.bin.start_s > f->reduced_s)
			f->reduced_s = record.bin.start_s;
		ret = put_record(f, &record);
		levee_fleet_record_clear(&record);
	}
	freeReplyObject(reply);
	return ret;
}

void levee_fleet_lead_end(struct levee_fleet *f)
{
	end_collect(f);
	for (size_t i = 0; i < f->n_records; i++)
		levee_fleet_record_clear(&f->records[i]);
	free(f->records);
	f->records = NULL;
	f->n_records = 0;
	f->leading = false;
}

static int begin_lead(struct levee_fleet *f)
{
	int ret = load_records(f);

	if (ret)
		return ret;
	f->leading = true;
	f->next_full_ns = 0; /* what is long over is the leader's to take out */
	levee_fleet_say(f, false,
			"this node leads the fleet (token %" PRIu64 "), %zu bins taken up",
			f->lease.token, f->n_records);
	return 0;
}

/* The next bin after the last one done that has closed here; none is older than a few. */
static void choose_bin(struct levee_fleet *f, const redisReply *dirty)
{
	int64_t bin_s = f->options.bin_s, running_s, next_s;

	pthread_mutex_lock(&f->lock);
	running_s = f->running_s;
	pthread_mutex_unlock(&f->lock);
	next_s = f->reduced_s < 0 ? f->joined_s : f->reduced_s + bin_s;
	if (next_s < running_s - 5 * bin_s)
		next_s = running_s - 5 * bin_s;
	if (next_s < running_s) {
		begin_collect(f, next_s, false, "");
		return;
	}
	for (size_t i = 0; dirty && dirty->type == REDIS_REPLY_ARRAY && i + 1 < dirty->elements;
	     i += 2)
		if (dirty->element[i]->type == REDIS_REPLY_STRING &&
		    dirty->element[i + 1]->type == REDIS_REPLY_STRING) {
			begin_collect(f, strtoll(dirty->element[i]->str, NULL, 10), true,
				      dirty->element[i + 1]->str);
			return;
		}
}

int levee_fleet_lead(struct levee_fleet *f, const redisReply *dirty)
{
	struct levee_fleet_collect *c = &f->collect;
	int ret = 0;

	if (!levee_lease_held(&f->lease, levee_fleet_boot_ns())) {
		if (f->leading)
			levee_fleet_lead_end(f);
		return 0;
	}
	if (!f->leading)
		ret = begin_lead(f);
	if (!ret && !c->active)
		choose_bin(f, dirty);
	if (!ret && c->active && !c->reducing)
		ret = look(f);
	if (!ret && c->active && c->reducing) {
		if (!c->reducing_ns)
			c->reducing_ns = levee_fleet_boot_ns();
		ret = reduce_some(f);
		if (!ret && c->lane == LEVEE_LANES)
			ret = finish(f);
	}
	if (ret == -EPERM) {
		levee_fleet_say(f, true,
				"another node has taken the lead; what this one was about "
				"to write was refused");
		levee_fleet_lead_end(f);
		pthread_mutex_lock(&f->lock);
		levee_lease_drop(&f->lease);
		pthread_mutex_unlock(&f->lock);
		ret = 0;
	}
	return ret;
}
