/* SPDX-License-Identifier: BSD-2-Clause */
#include "control/controller.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "control/log.h"
#include "control/store/hits.h"

#define SOURCES_A_BREATH 1024 /* a millisecond of a machine that has other work, too */
#define DEFERRED_MANY	 32   /* instances of a fleet; from there on no event comes */
#define DEFERRED_SHARE	 16   /* at fewer packets than these */
#define NOT_BLOCKED_SAID 3    /* blocks without room that are named; the others are counted */

/* ---- making and unmaking ----------------------------------------------------------------- */

static struct levee_blocks_params blocks_params(const struct levee_controller_options *options)
{
	return (struct levee_blocks_params){ .bin_s = options->bin_s,
					     .window_s = options->window_s,
					     .release_unflagged = options->release_unflagged,
					     .repeat_memory_s = options->repeat_memory_s,
					     .repeat_factor = options->repeat_factor,
					     .max_block_s = options->max_block_s,
					     .flows = options->flows };
}

/* Hook of the bin, whose walks are worth a breath only where a save can be put off. */
static void breathe(void *ctx)
{
	struct levee_controller *c = ctx;

	if (c->breathe && c->busy)
		c->breathe(c->ctx);
}

int levee_controller_init(struct levee_controller *c, struct levee_dataplane *dp,
			  struct levee_store *store, const struct levee_controller_options *options)
{
	struct levee_blocks_params blocks = blocks_params(options);

	*c = (struct levee_controller){ .dp = dp, .store = store, .options = *options };
	c->options.trip.detect = options->detect;
	c->detector = levee_detector_find(options->detector ? options->detector : "zscore");
	if (!c->detector)
		return -EINVAL;
	c->window = levee_window_new(options->bin_s, options->window_s);
	c->bin = levee_bin_new(options->max_sources);
	c->blocks = levee_blocks_new(&blocks);
	if (c->bin)
		levee_bin_set_breathe(c->bin, breathe, c);
	if (options->count_distinct)
		c->census = levee_census_new();
	if (options->keep_good)
		c->good = levee_good_new(LEVEE_GOOD_MAX, LEVEE_GOOD_BINS);
	if (options->keep_good && !c->good) {
		levee_controller_clear(c);
		return -ENOMEM;
	}
	if (!c->window || !c->bin || !c->blocks || (options->count_distinct && !c->census)) {
		levee_controller_clear(c);
		return -ENOMEM;
	}
	return 0;
}

void levee_controller_clear(struct levee_controller *c)
{
	levee_window_free(&c->window);
	levee_bin_free(&c->bin);
	levee_blocks_free(&c->blocks);
	levee_census_free(&c->census);
	levee_prefixmap_clear(&c->flagged);
	levee_good_free(&c->good);
	free(c->near);
	c->near = NULL;
}

/* ---- the store, which may fail without anything else failing ----------------------------- */

/* Every change of a bin's close joins one transaction; the first to come begins it. */
static bool begin(struct levee_controller *c)
{
	if (!c->store)
		return false;
	if (!c->in_transaction)
		c->in_transaction = !levee_store_begin(c->store);
	if (!c->in_transaction)
		c->save_all = true;
	return c->in_transaction;
}

static void put_record(struct levee_controller *c, const struct levee_bin_record *record)
{
	if (begin(c))
		levee_store_put_bin(c->store, record, c->options.bin_s);
}

static void put_again(void *ctx, const struct levee_block *block)
{
	struct levee_controller *c = ctx;

	levee_store_put_block(c->store, block, c->options.boot_id);
}

static void put_offender_again(void *ctx, const struct levee_offender *offender)
{
	struct levee_controller *c = ctx;

	levee_store_put_offender(c->store, offender, c->options.boot_id);
}

/* After a failure: offer all that is in memory, so that nothing is missing in the file. */
static void put_everything(struct levee_controller *c)
{
	if (!begin(c))
		return;
	if (c->renamed)
		levee_store_clear_bins(c->store);
	for (size_t i = 0; i < levee_window_bins(c->window); i++)
		put_record(c, levee_window_bin(c->window, i));
	levee_blocks_walk(c->blocks, put_again, c);
	levee_offenders_walk(levee_blocks_offenders(c->blocks), put_offender_again, c);
	if (c->put_again)
		c->put_again(c->ctx);
}

void levee_controller_not_kept(struct levee_controller *c)
{
	c->save_all = true;
}

void levee_controller_breathe(struct levee_controller *c)
{
	if (!c->breathe || !c->busy || ++c->taken < SOURCES_A_BREATH)
		return;
	c->taken = 0;
	c->breathe(c->ctx);
}

void levee_controller_save(struct levee_controller *c)
{
	c->save_later = c->busy;
	if (c->busy)
		return;
	if (c->save_all)
		put_everything(c);
	if (begin(c)) {
		levee_store_account(c->store, &c->unsaved, c->options.maps_id, c->closed_seq);
		if (c->parts)
			levee_store_note_epoch(c->store, LEVEE_STORE_RUNNING, c->bin_id - 1);
		c->save_all = levee_store_commit(c->store) != 0;
		if (!c->save_all) {
			c->unsaved = (struct levee_account){ 0 };
			c->renamed = false;
		}
		if (!c->save_all && c->parts && !c->n_parts)
			levee_running_clear(c->parts);
		c->in_transaction = false;
	}
	levee_dataplane_release(c->dp);
}

/* ---- draining ---------------------------------------------------------------------------- */

static int take_source(void *ctx, const struct levee_prefix *source,
		       const struct levee_counts *counts)
{
	struct levee_controller *c = ctx;
	int ret;

	levee_controller_breathe(c);
	if (c->part_open)
		levee_running_source(c->parts, source, counts);
	ret = counts->answered
		      ? levee_bin_add_answered(c->bin, source, counts->packets, counts->bytes)
		      : levee_bin_add(c->bin, source, counts->packets, counts->bytes);

	if (!ret && counts->syns && c->options.detect.min_syns)
		ret = levee_bin_add_syns(c->bin, source, counts->syns);
	if (ret && !c->lost++)
		levee_error("cannot keep the counts of a source: %s; the bin is short of it",
			    ret == -ERANGE ? "more than 2^48 packets of it, or 2^63 bytes of all, "
					     "in one bin; choose shorter bins"
					   : "no memory; lower [detect] max_sources or give the "
					     "process more");
	if (c->census)
		ret = levee_census_see(c->census, source, c->census_bin_s);
	/* The drain goes on: one source less is better than a bin less. */
	return c->census ? ret : 0;
}

/* An account that does not add up is a bug of ours, and worth an error each time it shows. */
static void check_account(const struct levee_account *a)
{
	uint64_t sum = 0;

	for (int i = 0; i < LEVEE_OUTCOMES; i++)
		sum += a->outcome[i];
	if (sum != a->received)
		levee_error("account does not add up: %llu packets received, %llu accounted for; "
			    "please report this",
			    (unsigned long long)a->received, (unsigned long long)sum);
}

static int take_drained(struct levee_controller *c, const struct levee_drained *drained)
{
	check_account(&drained->account);
	levee_account_add(&c->running, &drained->account);
	if (drained->seq)
		c->last_seq = drained->seq;
	return levee_bin_add_fold(c->bin, &drained->account.fold);
}

static int drain(struct levee_controller *c, int64_t next_bin_s, struct levee_drained *drained)
{
	struct levee_sink sink = { .source = take_source, .ctx = c };
	int ret;

	c->busy = true;
	ret = levee_dataplane_drain(c->dp, (uint64_t)next_bin_s * LEVEE_NS_PER_S, &sink, drained);
	c->busy = false;
	return ret ? ret : take_drained(c, drained);
}

int levee_controller_drain(struct levee_controller *c, int64_t next_bin_s)
{
	struct levee_drained drained;

	return drain(c, next_bin_s, &drained);
}

/* ---- what is drained before a bin's close ------------------------------------------------ */

/* Above it, and at several times what the bin itself takes, parts are made one again. */
#define PARTS_BYTES (32ULL << 20)

static void put_source(void *ctx, const struct levee_bin_entry *entry)
{
	struct levee_controller *c = ctx;
	struct levee_counts counts = { .packets = entry->packets,
				       .bytes = entry->bytes,
				       .answered = entry->answered };

	levee_running_source(c->parts, &entry->source, &counts);
}

static void put_syns(void *ctx, const struct levee_bin_entry *entry)
{
	struct levee_controller *c = ctx;
	struct levee_counts counts = { .syns = entry->syns };

	levee_running_source(c->parts, &entry->source, &counts);
}

static int end_part(struct levee_controller *c, int64_t bin_start_s,
		    const struct levee_account *account, const struct levee_fold *fold)
{
	struct levee_running_part part = { .bin_id = c->bin_id,
					   .bin_start_s = bin_start_s,
					   .seq = c->last_seq,
					   .account = *account,
					   .fold = *fold };

	snprintf(part.maps_id, sizeof(part.maps_id), "%s", c->options.maps_id);
	return levee_running_end(c->parts, &part);
}

/* The running bin in one part, which takes the place of all others. */
static int keep_whole(struct levee_controller *c, int64_t bin_start_s)
{
	struct levee_fold fold;
	int ret = levee_bin_fold(c->bin, &fold);

	if (ret)
		return ret;
	c->busy = true;
	levee_running_begin_whole(c->parts);
	levee_bin_walk(c->bin, 0, put_source, c);
	levee_bin_walk_measure(c->bin, LEVEE_SYNS, 0, put_syns, c);
	c->busy = false;
	ret = end_part(c, bin_start_s, &c->running, &fold);
	c->whole_bytes = levee_running_size(c->parts);
	return ret;
}

static void note_part(struct levee_controller *c, int ret)
{
	c->n_parts += !ret;
	if (ret && !c->parts_short)
		levee_warning("what was drained of the running bin cannot be kept beside the state "
			      "file: %s; if levee is killed before the bin's close, it is lost%s",
			      strerror(-ret),
			      ret == -ENOSPC ? "; make room on its file system" : "");
	c->parts_short = ret != 0;
}

static void begin_part(struct levee_controller *c)
{
	levee_running_begin(c->parts);
	c->part_open = true;
}

int levee_controller_drain_part(struct levee_controller *c, int64_t bin_start_s)
{
	struct levee_drained drained;
	bool whole;
	int ret;

	if (!c->parts)
		return levee_controller_drain(c, bin_start_s);
	whole = c->parts_short || (levee_running_size(c->parts) > PARTS_BYTES &&
				   levee_running_size(c->parts) > 3 * c->whole_bytes);
	if (!whole)
		begin_part(c);
	ret = drain(c, bin_start_s, &drained);
	c->part_open = false;
	if (!ret)
		note_part(c, whole ? keep_whole(c, bin_start_s)
				   : end_part(c, bin_start_s, &drained.account,
					      &drained.account.fold));
	return ret;
}

int levee_controller_redrain(struct levee_controller *c, struct levee_drained *drained)
{
	struct levee_sink sink = { .source = take_source, .ctx = c };
	int ret;

	if (c->parts)
		begin_part(c);
	ret = c->dp->ops->redrain(c->dp, &sink, drained);
	c->part_open = false;
	if (!ret)
		ret = take_drained(c, drained);
	if (!ret && c->parts)
		note_part(c, end_part(c, (int64_t)(drained->bin_ns / LEVEE_NS_PER_S),
				      &drained->account, &drained->account.fold));
	return ret;
}

struct load_parts_ctx {
	struct levee_controller *c;
	uint64_t closed; /* the state file has bins up to this number */
	int64_t start_s;
};

static int load_part(void *ctx, const struct levee_running_part *part)
{
	struct load_parts_ctx *x = ctx;
	struct levee_controller *c = x->c;

	if (part->bin_id <= x->closed)
		return 1;
	/* Of a bin that was closed, and that the state file had no room for. */
	if (c->n_parts && part->bin_id != c->bin_id)
		levee_controller_close(c, x->start_s, 1);
	c->bin_id = part->bin_id;
	c->n_parts++;
	x->start_s = part->bin_start_s - part->bin_start_s % (int64_t)c->options.bin_s;
	levee_account_add(&c->running, &part->account);
	if (!strcmp(part->maps_id, c->options.maps_id))
		c->last_seq = c->kept_seq = part->seq;
	return levee_bin_add_fold(c->bin, &part->fold);
}

static int load_source(void *ctx, const struct levee_prefix *source,
		       const struct levee_counts *counts)
{
	struct load_parts_ctx *x = ctx;

	return take_source(x->c, source, counts);
}

int levee_controller_load_parts(struct levee_controller *c, int64_t *bin_start_s)
{
	struct load_parts_ctx ctx = { .c = c };
	struct levee_sink sink = { .source = load_source, .ctx = &ctx };
	int ret;

	if (!c->parts)
		return 0;
	ret = levee_store_last_epoch(c->store, LEVEE_STORE_RUNNING, &ctx.closed);
	if (ret)
		return ret;
	c->bin_id = ctx.closed + 1;
	ret = levee_running_load(c->parts, load_part, &sink);
	*bin_start_s = ctx.start_s;
	return ret < 0 ? ret : c->n_parts > 0;
}

bool levee_controller_keeps(const struct levee_controller *c, uint64_t seq)
{
	uint64_t stored = 0;

	if (c->store)
		levee_store_last_epoch(c->store, c->options.maps_id, &stored);
	return stored >= seq || c->kept_seq >= seq;
}

void levee_controller_release(struct levee_controller *c)
{
	levee_dataplane_release(c->dp);
}

void levee_controller_shift(struct levee_controller *c, int64_t by_s)
{
	levee_window_shift(c->window, by_s);
	c->renamed = true;
	c->save_all = true;
}

/* ---- closing a bin ----------------------------------------------------------------------- */

/* The record that the window now holds for a start; a push may have merged it. */
static const struct levee_bin_record *record_at(const struct levee_controller *c, int64_t start_s)
{
	for (size_t i = levee_window_bins(c->window); i-- > 0;) {
		const struct levee_bin_record *record = levee_window_bin(c->window, i);

		if (record->start_s == start_s)
			return record;
	}
	return NULL;
}

static int make_record(const struct levee_controller *c, const struct levee_bin *bin,
		       int64_t start_s, struct levee_bin_record *record)
{
	const struct levee_detect_params *detect = &c->options.detect;
	int ret = levee_bin_record_make(record, bin, start_s, detect->min_packets);

	if (ret)
		return ret;
	if (levee_detector_wants_histogram(c->detector->name))
		ret = levee_bin_record_add_histogram(record, bin);
	if (!ret && detect->min_bytes)
		ret = levee_bin_record_add_measure(record, bin, LEVEE_BYTES, detect->min_bytes);
	if (!ret && detect->min_syns)
		ret = levee_bin_record_add_measure(record, bin, LEVEE_SYNS, detect->min_syns);
	if (ret)
		levee_bin_record_clear(record);
	return ret;
}

static int push_bin(struct levee_controller *c, const struct levee_bin *bin, int64_t start_s,
		    uint32_t flags)
{
	struct levee_bin_record record;
	const struct levee_bin_record *kept;
	int ret;

	ret = make_record(c, bin, start_s, &record);
	if (ret)
		return ret;
	record.flags |= flags;
	ret = levee_window_push(c->window, &record);
	levee_bin_record_clear(&record);
	kept = ret ? NULL : record_at(c, start_s);
	if (kept)
		put_record(c, kept);
	return ret;
}

static int push_parts(struct levee_controller *c, int64_t start_s, unsigned int parts)
{
	int64_t last_s = start_s + (int64_t)(parts - 1) * c->options.bin_s;
	int64_t at = start_s;
	struct levee_bin *part;
	int ret = 0;

	for (unsigned int i = 0; i < parts && !ret; i++, at += c->options.bin_s) {
		/* What no evaluation will look at any more need not be made. */
		if (at < levee_window_begin(c->window, last_s))
			continue;
		part = levee_bin_split(c->bin, parts, i);
		ret = part ? push_bin(c, part, at, LEVEE_BIN_ESTIMATED) : -ENOMEM;
		levee_bin_free(&part);
	}
	return ret;
}

static bool read_traffic(void *ctx, const struct levee_block *block,
			 struct levee_block_traffic *traffic)
{
	const struct levee_controller *c = ctx;
	struct levee_policy_info info;

	if (levee_policy_get(levee_dataplane_policy(c->dp), &block->prefix, &info))
		return false;
	traffic->counted = levee_bin_get(c->bin, &block->prefix);
	traffic->hits = info.packets;
	return true;
}

static void note_good(struct levee_controller *c, int64_t start_s)
{
	if (c->good && levee_good_close(c->good, c->bin, start_s,
					levee_window_begin(c->window, start_s + c->options.bin_s)))
		levee_warning("no memory to keep who is near to blocks: rules of network ACLs are "
			      "no wider than single sources meanwhile");
}

int levee_controller_close(struct levee_controller *c, int64_t start_s, unsigned int parts)
{
	int ret;

	c->busy = true;
	if (!c->options.release_unflagged)
		levee_blocks_feed(c->blocks, start_s, parts, read_traffic, c);

	c->closed = c->running;
	c->running = (struct levee_account){ 0 };
	levee_account_add(&c->unsaved, &c->closed);
	c->closed_seq = c->last_seq;
	c->bin_id++;
	c->n_parts = 0;
	c->whole_bytes = 0;
	c->parts_short = false;
	c->closed_sources = levee_bin_sources(c->bin);
	c->closed_folded = levee_bin_folded(c->bin);
	if (c->on_close)
		c->on_close(c->ctx, c->bin, start_s, parts);
	if (parts > 1) {
		levee_warning("the bin of %lld stands for %u: nobody closed them in time; each "
			      "source's packets are divided evenly",
			      (long long)start_s, parts);
		ret = push_parts(c, start_s, parts);
	} else {
		ret = push_bin(c, c->bin, start_s, 0);
	}
	note_good(c, start_s + (int64_t)(parts - 1) * c->options.bin_s);
	levee_bin_reset(c->bin);
	c->busy = false;
	if (c->lost)
		levee_error("%llu counts of the bin were lost, see above",
			    (unsigned long long)c->lost);
	c->lost_before += c->lost;
	c->lost = 0;
	return ret;
}

/* ---- verdicts ---------------------------------------------------------------------------- */

struct change_ctx {
	struct levee_controller *c;
	struct levee_time now;
};

/* A block that only limits, or one that did and drops now. */
static int apply_rate(struct levee_controller *c, const struct levee_block *block)
{
	struct levee_policy *policy = levee_dataplane_policy(c->dp);
	bool limits = block->kind == LEVEE_KIND_LIMIT && c->options.limit_pps;
	struct levee_policy_info info;
	int ret = levee_policy_get(policy, &block->prefix, &info);

	if (ret || (!limits && !info.rate_pps))
		return ret;
	return levee_policy_set_rate(policy, &block->prefix, limits ? c->options.limit_pps : 0,
				     limits ? c->options.limit_burst : 1);
}

static void apply_block(struct levee_controller *c, const struct levee_block *block,
			uint64_t now_ns)
{
	int ret = levee_policy_block(levee_dataplane_policy(c->dp), &block->prefix,
				     block->expires_boot_ns, now_ns);
	char text[LEVEE_PREFIX_TEXT];

	if (!ret)
		ret = apply_rate(c, block);
	if (ret && c->not_blocked++ < NOT_BLOCKED_SAID)
		levee_error("%s is not blocked: %s; it is tried again at each evaluation. Raise "
			    "[data_path] rules",
			    levee_prefix_format(&block->prefix, text),
			    ret == -ENOSPC ? "the policy table is full" : strerror(-ret));
}

static const char *change_name(enum levee_block_change change)
{
	switch (change) {
	case LEVEE_BLOCK_ADDED:
		return "blocked";
	case LEVEE_BLOCK_UPDATED:
		return "extended";
	case LEVEE_BLOCK_HARDENED:
		return "hardened";
	case LEVEE_BLOCK_EXPIRED:
		return "expired";
	default:
		return "released";
	}
}

/* Who decided and why, for whoever reads the history on the next morning. */
static void put_decision(const struct levee_block *block, char *out, size_t size)
{
	const char *drill = block->marks & LEVEE_BLOCK_DRILL ? "drill: " : "";
	char repeats[48] = "";

	if (block->repeats)
		snprintf(repeats, sizeof(repeats), ", blocked %u times before", block->repeats);
	if (block->reason == LEVEE_BLOCK_MANUAL)
		snprintf(out, size, "%sby hand%s%s", drill, block->note[0] ? ": " : "",
			 block->note);
	else
		snprintf(out, size, "%s%s by %s for its %s: z = %.2f, %llu packets in a bin%s",
			 drill, block->kind == LEVEE_KIND_LIMIT ? "limited" : "dropped",
			 levee_block_reason_name(block->reason), levee_measure_name(block->measure),
			 block->max_zscore, (unsigned long long)block->max_packets, repeats);
}

static void note_event(struct levee_controller *c, enum levee_block_change change,
		       const struct levee_block *block, uint64_t dropped, uint64_t unix_ns)
{
	char prefix[LEVEE_PREFIX_TEXT], detail[384];
	size_t len;

	if (change == LEVEE_BLOCK_UPDATED)
		return;
	put_decision(block, detail, sizeof(detail));
	len = strlen(detail);
	if (change != LEVEE_BLOCK_ADDED)
		snprintf(detail + len, sizeof(detail) - len, "; %llu packets were dropped",
			 (unsigned long long)dropped);
	levee_store_event(c->store, unix_ns, change_name(change),
			  levee_prefix_format(&block->prefix, prefix), detail);
}

static void drop_block(struct levee_controller *c, enum levee_block_change change,
		       const struct levee_block *block)
{
	struct levee_offender offence = levee_block_offence(block);

	levee_store_drop_block(c->store, &block->prefix);
	if (!c->options.repeat_memory_s)
		return;
	if (change == LEVEE_BLOCK_RELEASED)
		levee_store_drop_offender(c->store, &block->prefix);
	else if (block->reason != LEVEE_BLOCK_MANUAL)
		levee_store_put_offender(c->store, &offence, c->options.boot_id);
}

/* The data path first, then everything that may take time or fail. */
static void on_change(void *ctx, enum levee_block_change change, const struct levee_block *block)
{
	struct change_ctx *x = ctx;
	struct levee_controller *c = x->c;
	struct levee_policy *policy = levee_dataplane_policy(c->dp);
	struct levee_policy_info info = { .prefix = block->prefix };
	bool in_force = levee_block_stands(change);

	if (in_force)
		apply_block(c, block, x->now.boot_ns);
	levee_policy_get(policy, &block->prefix, &info);
	if (!in_force)
		levee_policy_unblock(policy, &block->prefix);

	if (begin(c)) {
		if (in_force)
			levee_store_put_block(c->store, block, c->options.boot_id);
		else
			drop_block(c, change, block);
		note_event(c, change, block, info.packets, x->now.unix_ns);
	}
	if (c->on_block)
		c->on_block(c->ctx, change, block, &info);
}

static bool is_exempt(const struct levee_controller *c, const struct levee_prefix *source)
{
	return c->is_exempt && c->is_exempt(c->ctx, source);
}

/* Findings that the allow list or an operator covers are left alone; the others keep their order. */
static void leave_alone(const struct levee_controller *c, struct levee_evaluation *e,
			size_t *allowed, size_t *exempt)
{
	const struct levee_policy *policy = levee_dataplane_policy(c->dp);
	size_t kept = 0;

	*allowed = *exempt = 0;
	for (size_t i = 0; i < e->n_findings; i++) {
		if (levee_policy_is_allowed(policy, &e->findings[i].source))
			++*allowed;
		else if (is_exempt(c, &e->findings[i].source))
			++*exempt;
		else
			e->findings[kept++] = e->findings[i];
	}
	e->n_findings = kept;
}

/* Which findings the evaluation before did not have. A restart knows them by their blocks. */
static void note_flagged(struct levee_controller *c, const struct levee_evaluation *e, bool *is_new)
{
	struct levee_prefixmap now = { 0 };

	for (size_t i = 0; i < e->n_findings; i++) {
		is_new[i] = !levee_prefixmap_get(&c->flagged, &e->findings[i].source);
		levee_prefixmap_set(&now, &e->findings[i].source, 1);
	}
	levee_prefixmap_clear(&c->flagged);
	c->flagged = now;
}

static void retry_block(void *ctx, const struct levee_block *block)
{
	struct change_ctx *x = ctx;
	struct levee_policy_info info;

	/* Shadowed: by the allow list, or for want of room once the list no longer covered it. */
	if (levee_policy_get(levee_dataplane_policy(x->c->dp), &block->prefix, &info) ||
	    info.shadowed)
		apply_block(x->c, block, x->now.boot_ns);
}

static void report(struct levee_controller *c, const struct levee_evaluation *e, const bool *is_new,
		   size_t allowed, size_t exempt, size_t sources)
{
	struct levee_report r = { .evaluation = e,
				  .is_new = is_new,
				  .sources = sources,
				  .blocks = levee_blocks_count(c->blocks),
				  .allowed = allowed,
				  .exempt = exempt,
				  .account = &c->closed,
				  .bin_sources = c->closed_sources,
				  .bin_folded = c->closed_folded };

	if (c->on_report)
		c->on_report(c->ctx, &r);
}

/*
 * The threshold of many instances; each asks as often as if all of them were its CPUs, but not at
 * every few packets of everybody, where there are hundreds of instances.
 */
static void defer_trip(struct levee_controller *c)
{
	unsigned int nodes = c->deferred_nodes ? c->deferred_nodes : 1;

	c->trip.armed = c->deferred_threshold > 0;
	c->trip.threshold = c->deferred_threshold;
	c->trip.share = levee_trip_share(c->deferred_threshold / nodes, c->options.trip.cpus,
					 c->options.trip.lag);
	if (nodes > DEFERRED_MANY && c->trip.share < DEFERRED_SHARE)
		c->trip.share = DEFERRED_SHARE;
}

/* Without a threshold nobody trips: the bin's close decides, as it does without the fast path. */
static void make_trip(struct levee_controller *c, int64_t now_s)
{
	int64_t running_s = now_s - now_s % (int64_t)c->options.bin_s;
	int ret = 0;

	if (c->options.trip.on)
		ret = levee_trip_make(&c->trip, &c->options.trip, c->window, running_s);
	if (c->options.trip.on && c->deferred)
		defer_trip(c);
	if (ret)
		levee_error("no threshold for the fast path: %s", strerror(-ret));
	c->dp->ops->set_trip(c->dp, c->trip.armed ? c->trip.share : 0);
}

static void find_near(struct levee_controller *c, int64_t now_s)
{
	if (!c->good)
		return;
	free(c->near);
	c->near_known = !levee_good_list(c->good, c->blocks, &c->near, &c->n_near) &&
			levee_good_known(c->good);
	if (begin(c))
		levee_store_put_good(c->store, c->near, c->n_near, now_s, c->near_known);
}

/* A rate that has changed goes to the blocks that only limit. */
static void limit_again(void *ctx, const struct levee_block *block)
{
	if (block->kind == LEVEE_KIND_LIMIT)
		apply_rate(ctx, block);
}

/* Who is near to blocks was not looked at until now: it is known after as many bins as at a start. */
static int keep_good(struct levee_controller *c, bool keep)
{
	if (!keep) {
		levee_good_free(&c->good);
		free(c->near);
		c->near = NULL;
		c->n_near = 0;
		c->near_known = false;
	} else if (!c->good) {
		c->good = levee_good_new(LEVEE_GOOD_MAX, LEVEE_GOOD_BINS);
	}
	return keep && !c->good ? -ENOMEM : 0;
}

int levee_controller_change(struct levee_controller *c,
			    const struct levee_controller_options *options, int64_t bin_start_s)
{
	const struct levee_controller_options before = c->options;
	const struct levee_detector *detector =
		levee_detector_find(options->detector ? options->detector : "zscore");
	struct levee_blocks_params blocks = blocks_params(options);
	int ret = detector ? keep_good(c, options->keep_good) : -EINVAL;

	if (ret)
		return ret;
	c->options = *options;
	c->options.trip.detect = options->detect;
	c->detector = detector;
	levee_bin_set_max(c->bin, options->max_sources);
	levee_blocks_set_params(c->blocks, &blocks);
	if (options->limit_pps != before.limit_pps || options->limit_burst != before.limit_burst)
		levee_blocks_walk(c->blocks, limit_again, c);
	if (!options->trip.on)
		c->trip.armed = false;
	make_trip(c, bin_start_s);
	return 0;
}

void levee_controller_rearm(struct levee_controller *c, int64_t bin_start_s)
{
	make_trip(c, bin_start_s);
}

/* How old the stored drop counters may be, for a data path whose own are lost with a crash. */
#define HITS_NS (60 * LEVEE_NS_PER_S)

void levee_controller_keep_hits(struct levee_controller *c, uint64_t now_boot_ns)
{
	if (!begin(c))
		return;
	c->hits_kept_ns = now_boot_ns;
	levee_store_put_hits(c->store, levee_dataplane_policy(c->dp), c->options.boot_id);
}

static void prune(struct levee_controller *c, const struct levee_time *now)
{
	uint64_t memory_ns = c->options.repeat_memory_s * LEVEE_NS_PER_S;

	if (!begin(c))
		return;
	if (now->boot_ns - c->hits_kept_ns >= HITS_NS)
		levee_controller_keep_hits(c, now->boot_ns);
	levee_store_prune(c->store,
			  levee_window_begin(c->window, (int64_t)(now->unix_ns / LEVEE_NS_PER_S)));
	if (now->unix_ns > memory_ns)
		levee_store_prune_offenders(c->store, now->unix_ns - memory_ns);
}

/* A drill goes the way of every other finding from here on. Its place is behind the real ones. */
static void add_drill(struct levee_controller *c, struct levee_evaluation *e)
{
	struct levee_finding finding, *more;

	if (!c->drill || !c->drill(c->ctx, e, &finding))
		return;
	more = reallocarray(e->findings, e->n_findings + 1, sizeof(*more));
	if (!more)
		return;
	e->findings = more;
	e->findings[e->n_findings++] = finding;
}

/* Between two steps of an evaluation, each of which takes a while where blocks are many. */
static void take_breath(struct levee_controller *c)
{
	c->busy = true;
	breathe(c);
	c->busy = false;
}

int levee_controller_evaluate(struct levee_controller *c, const struct levee_time *now)
{
	int64_t now_s = (int64_t)(now->unix_ns / LEVEE_NS_PER_S);
	struct change_ctx ctx = { .c = c, .now = *now };
	struct levee_evaluation e;
	size_t allowed, exempt, sources;
	bool *is_new;
	int ret;

	levee_window_advance(c->window, now_s);
	c->busy = true;
	ret = c->detector->evaluate(c->window, levee_bin_sources(c->bin) ? c->bin : NULL, now_s,
				    &c->options.detect, &e);
	c->busy = false;
	if (ret) {
		levee_error("no evaluation: %s; blocks in force stay", strerror(-ret));
		return ret;
	}
	leave_alone(c, &e, &allowed, &exempt);
	if (c->deferred)
		e.n_findings = 0;
	add_drill(c, &e);
	is_new = calloc(e.n_findings + 1, sizeof(*is_new));
	if (!is_new) {
		levee_evaluation_clear(&e);
		return -ENOMEM;
	}
	note_flagged(c, &e, is_new);
	levee_blocks_defer(c->blocks, c->deferred);
	ret = levee_blocks_judge(c->blocks, &e, now, on_change, &ctx);
	if (ret)
		levee_error("not every verdict could be carried out: %s", strerror(-ret));
	take_breath(c);
	c->not_blocked = 0; /* those just judged that found no room are tried once more */
	levee_blocks_walk(c->blocks, retry_block, &ctx);
	if (c->not_blocked > NOT_BLOCKED_SAID)
		levee_error("%zu sources of %zu are not blocked, the above among them",
			    c->not_blocked, levee_blocks_count(c->blocks));
	take_breath(c);
	levee_policy_tidy(levee_dataplane_policy(c->dp));
	take_breath(c);
	sources = c->census ? levee_census_count(c->census, levee_window_begin(c->window, now_s))
			    : c->closed_sources;
	make_trip(c, now_s);
	find_near(c, now_s);
	prune(c, now);
	report(c, &e, is_new, allowed, exempt, sources);
	free(is_new);
	levee_evaluation_clear(&e);
	return ret;
}

static int64_t running_bin_s(const struct levee_controller *c, const struct levee_time *now)
{
	int64_t now_s = (int64_t)(now->unix_ns / LEVEE_NS_PER_S);

	return now_s - now_s % (int64_t)c->options.bin_s;
}

static bool has_answered(const struct levee_controller *c, const struct levee_prefix *source)
{
	struct levee_bin_entry entry;
	struct levee_counts open;

	if (!c->options.flows)
		return false;
	c->dp->ops->count(c->dp, source, &open);
	return levee_bin_find(c->bin, source, &entry), entry.answered || open.answered;
}

int levee_controller_trip_marked(struct levee_controller *c, const struct levee_prefix *source,
				 uint64_t packets, uint32_t marks, const struct levee_time *now)
{
	struct change_ctx ctx = { .c = c, .now = *now };
	const struct levee_block *there;
	struct levee_finding finding;
	int ret;

	if (__builtin_add_overflow(packets, levee_bin_get(c->bin, source), &packets))
		packets = UINT64_MAX;
	if (c->on_share)
		c->on_share(c->ctx, source, packets);
	if (!levee_trip_decide(&c->trip, source, packets, running_bin_s(c, now), &finding))
		return 0;
	there = levee_blocks_get(c->blocks, source);
	/* One that is only limited is dropped from now on. */
	if ((there && (there->kind == LEVEE_KIND_DROP || there->reason == LEVEE_BLOCK_MANUAL)) ||
	    levee_policy_is_allowed(levee_dataplane_policy(c->dp), source) || is_exempt(c, source))
		return 0;
	finding.answered = has_answered(c, source);
	finding.marks = marks;
	ret = levee_blocks_add(c->blocks, &finding, now, on_change, &ctx);
	if (ret)
		levee_error("a source over the threshold is not blocked: %s; it is judged again "
			    "when its bin closes",
			    strerror(-ret));
	return ret ? ret : levee_blocks_get(c->blocks, source) != NULL;
}

int levee_controller_trip(struct levee_controller *c, const struct levee_prefix *source,
			  uint64_t packets, const struct levee_time *now)
{
	return levee_controller_trip_marked(c, source, packets, 0, now);
}

struct trip_ctx {
	struct levee_controller *c;
	const struct levee_time *now;
};

static void trip_entry(void *ctx, const struct levee_bin_entry *entry)
{
	struct trip_ctx *x = ctx;

	levee_controller_trip(x->c, &entry->source, 0, x->now);
}

void levee_controller_trip_all(struct levee_controller *c, const struct levee_time *now)
{
	struct trip_ctx ctx = { c, now };

	if (c->trip.armed)
		levee_bin_walk(c->bin, c->trip.threshold, trip_entry, &ctx);
}

int levee_controller_block(struct levee_controller *c, const struct levee_block *block,
			   const struct levee_time *now)
{
	struct change_ctx ctx = { .c = c, .now = *now };
	struct levee_policy *policy = levee_dataplane_policy(c->dp);
	int ret;

	/* Asked of the data path first: what finds no room there is not to be on record. */
	ret = levee_policy_block(policy, &block->prefix, block->expires_boot_ns, now->boot_ns);
	if (ret)
		return ret;
	ret = levee_blocks_put(c->blocks, block, on_change, &ctx);
	if (ret && !levee_blocks_get(c->blocks, &block->prefix))
		levee_policy_unblock(policy, &block->prefix);
	return ret;
}

int levee_controller_unblock(struct levee_controller *c, const struct levee_prefix *prefix,
			     const struct levee_time *now)
{
	struct change_ctx ctx = { .c = c, .now = *now };

	return levee_blocks_remove(c->blocks, prefix, on_change, &ctx);
}

void levee_controller_expire(struct levee_controller *c, const struct levee_time *now)
{
	struct change_ctx ctx = { .c = c, .now = *now };

	levee_blocks_expire(c->blocks, now, on_change, &ctx);
}

/* ---- taking up what a process before left ------------------------------------------------ */

static int load_record(void *ctx, struct levee_bin_record *record)
{
	struct levee_controller *c = ctx;
	int ret = levee_window_push(c->window, record);

	levee_bin_record_clear(record);
	if (ret)
		levee_warning("a stored bin does not fit the window and is left out: %s",
			      strerror(-ret));
	return 0;
}

struct load_ctx {
	struct levee_controller *c;
	const struct levee_time *now;
};

static int load_block(void *ctx, const struct levee_block *block)
{
	struct load_ctx *x = ctx;
	struct levee_policy_info info;
	struct levee_block copy = *block;
	int ret;

	apply_block(x->c, block, x->now->boot_ns);
	if (!levee_policy_get(levee_dataplane_policy(x->c->dp), &block->prefix, &info))
		copy.hits = info.packets;
	ret = levee_blocks_put(x->c->blocks, &copy, NULL, NULL);
	if (ret)
		return ret;
	return block->flagged ? levee_prefixmap_set(&x->c->flagged, &block->prefix, 1) : 0;
}

static int load_offender(void *ctx, const struct levee_offender *offender)
{
	struct load_ctx *x = ctx;

	return levee_offenders_note(levee_blocks_offenders(x->c->blocks), offender);
}

/* Good sources of before, near to blocks of before. */
static int load_good(struct levee_controller *c)
{
	struct levee_cover_source *list;
	int64_t unix_s;
	bool known;
	size_t n;
	int ret = levee_store_get_good(c->store, &list, &n, &unix_s, &known);

	for (size_t i = 0; i < n && !ret; i++)
		ret = levee_good_put(c->good, &list[i], unix_s);
	free(list);
	return ret == -ENOSPC ? 0 : ret;
}

/* Blocks that the kernel enforces and no store knows: kept until they end by themselves. */
static void adopt_block(void *ctx, const struct levee_policy_info *info)
{
	struct load_ctx *x = ctx;
	struct levee_block block = { .prefix = info->prefix,
				     .reason = LEVEE_BLOCK_ZSCORE,
				     .created_boot_ns = info->created_ns,
				     .expires_boot_ns = info->expires_ns,
				     .hits = info->packets };

	if (levee_blocks_get(x->c->blocks, &info->prefix) || info->expires_ns <= x->now->boot_ns)
		return;
	block.created_unix_ns = x->now->unix_ns - (x->now->boot_ns - info->created_ns);
	block.expires_unix_ns = info->expires_ns == LEVEE_NEVER
					? LEVEE_NEVER
					: x->now->unix_ns + (info->expires_ns - x->now->boot_ns);
	levee_blocks_put(x->c->blocks, &block, NULL, NULL);
}

int levee_controller_restore(struct levee_controller *c, const struct levee_time *now,
			     int64_t bin_start_s)
{
	struct load_ctx ctx = { .c = c, .now = now };
	struct levee_policy *policy = levee_dataplane_policy(c->dp);
	int ret = 0;

	if (c->store && levee_store_load_hits(c->store, policy, c->options.boot_id))
		levee_warning("what each block has dropped so far could not be read from the state "
			      "file; those that the data path does not know begin anew");
	if (c->store) {
		ret = levee_store_load_bins(c->store, c->options.bin_s,
					    levee_window_begin(c->window, bin_start_s),
					    bin_start_s + c->options.bin_s, load_record, c);
		if (!ret)
			ret = levee_store_load_blocks(c->store, c->options.boot_id, now, load_block,
						      &ctx);
		if (!ret && c->options.repeat_memory_s)
			ret = levee_store_load_offenders(c->store, c->options.boot_id, now,
							 load_offender, &ctx);
	}
	if (!ret && c->store && c->good)
		ret = load_good(c);
	if (!ret && c->store)
		ret = levee_store_last_epoch(c->store, c->options.maps_id, &c->closed_seq);
	make_trip(c, bin_start_s);
	levee_policy_walk(policy, adopt_block, &ctx);
	levee_policy_drop_expired(policy, now->boot_ns);
	levee_policy_inherit_end(policy);
	levee_policy_tidy(policy);
	return ret;
}
