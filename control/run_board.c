/* SPDX-License-Identifier: BSD-2-Clause */
/* What the other threads see of `levee run`: snapshots, events, health. */
#include "control/run_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* While somebody reads, what the kernel counts is looked at this often. */
#define REFRESH_NS LEVEE_NS_PER_S

/* With fewer prefixes than this a look costs next to nothing: then it is always fresh. */
#define REFRESH_ALWAYS 10000

/* Rates are over this long at least. */
#define RATE_NS (LEVEE_NS_PER_S * 9 / 10)

/* ---- the largest sources of a bin --------------------------------------------------------- */

/* A heap with the least of the largest on top, so that most sources are one comparison. */
struct top {
	struct levee_board_source *heap;
	size_t n;
	struct levee_controller *controller;
};

static bool is_less(const struct levee_board_source *a, const struct levee_board_source *b)
{
	if (a->packets != b->packets)
		return a->packets < b->packets;
	return levee_prefix_compare(&a->prefix, &b->prefix) > 0;
}

static void sift_down(struct top *t)
{
	struct levee_board_source moved = t->heap[0];
	size_t at = 0, child;

	while ((child = 2 * at + 1) < t->n) {
		if (child + 1 < t->n && is_less(&t->heap[child + 1], &t->heap[child]))
			child++;
		if (!is_less(&t->heap[child], &moved))
			break;
		t->heap[at] = t->heap[child];
		at = child;
	}
	t->heap[at] = moved;
}

static void sift_up(struct top *t)
{
	struct levee_board_source moved = t->heap[t->n - 1];
	size_t at = t->n - 1;

	while (at > 0 && is_less(&moved, &t->heap[(at - 1) / 2])) {
		t->heap[at] = t->heap[(at - 1) / 2];
		at = (at - 1) / 2;
	}
	t->heap[at] = moved;
}

static void offer(void *ctx, const struct levee_bin_entry *entry)
{
	struct top *t = ctx;
	struct levee_board_source source = { .prefix = entry->source,
					     .packets = entry->packets,
					     .bytes = entry->bytes };

	levee_controller_breathe(t->controller);
	if (t->n < LEVEE_BOARD_TOP) {
		t->heap[t->n++] = source;
		sift_up(t);
	} else if (is_less(&t->heap[0], &source)) {
		t->heap[0] = source;
		sift_down(t);
	}
}

static int largest_first(const void *a, const void *b)
{
	return is_less(a, b) ? 1 : is_less(b, a) ? -1 : 0;
}

static void find_top(struct levee_run *r, const struct levee_bin *bin)
{
	struct levee_run_view *v = &r->view;
	struct top t = { .heap = v->top, .controller = &r->controller };

	if (!v->top)
		return;
	levee_bin_walk(bin, 0, offer, &t);
	qsort(t.heap, t.n, sizeof(*t.heap), largest_first);
	v->n_top = t.n;
}

/* ---- what is remembered between snapshots -------------------------------------------------- */

/* Accounts of closed bins, in a ring as long as the window. */
static struct levee_run_bin *find_bin(const struct levee_run_view *v, int64_t start_s)
{
	for (size_t i = 0; i < v->n_closed; i++)
		if (v->closed[i].start_s == start_s)
			return &v->closed[i];
	return NULL;
}

static void remember_bin(struct levee_run *r, int64_t start_s)
{
	struct levee_run_view *v = &r->view;
	struct levee_run_bin *at = v->closed ? find_bin(v, start_s) : NULL;

	if (!v->closed)
		return;
	if (!at) {
		at = &v->closed[v->next_closed];
		v->next_closed = (v->next_closed + 1) % v->room_closed;
		if (v->n_closed < v->room_closed)
			v->n_closed++;
		*at = (struct levee_run_bin){ .start_s = start_s };
	}
	levee_account_add(&at->account, &r->controller.closed);
	at->sources = r->controller.closed_sources;
	at->folded = r->controller.closed_folded;
}

void levee_run_on_close(void *ctx, const struct levee_bin *bin, int64_t start_s, unsigned int parts)
{
	struct levee_run *r = ctx;
	struct levee_run_view *v = &r->view;

	levee_run_share_bin(r, bin, start_s, parts);
	find_top(r, bin);
	levee_account_add(&v->total, &r->controller.closed);
	v->last_bin_s = start_s;
	v->bins_closed++;
	if (parts > 1)
		v->bins_late++;
	else
		remember_bin(r, start_s);
	v->changed = true;
}

static void keep_evaluation(struct levee_run_view *v, const struct levee_report *report)
{
	const struct levee_evaluation *e = report->evaluation;
	struct levee_finding *copy = calloc(e->n_findings + 1, sizeof(*copy));

	if (!copy)
		return;
	if (e->n_findings)
		memcpy(copy, e->findings, e->n_findings * sizeof(*copy));
	levee_evaluation_clear(&v->evaluation);
	v->evaluation = *e;
	v->evaluation.findings = copy;
	v->findings_allowed = report->allowed;
	v->findings_exempt = report->exempt;
	v->evaluations++;
}

static void note_bin(struct levee_run *r, const struct levee_report *report)
{
	const struct levee_evaluation *e = report->evaluation;
	struct levee_board_entry entry = { .kind = "bin",
					   .packets = report->account->received,
					   .dropped = report->account->outcome[LEVEE_DROPPED] };

	snprintf(entry.subject, sizeof(entry.subject), "%" PRId64, e->now_s);
	snprintf(entry.text, sizeof(entry.text),
		 "evaluated: %zu flagged, %zu blocks, threshold %.2f packets/bin", e->n_findings,
		 report->blocks, e->threshold);
	levee_board_event(r->board, &entry);
}

void levee_run_on_report(void *ctx, const struct levee_report *report)
{
	struct levee_run *r = ctx;

	levee_run_log_report(r, report);
	keep_evaluation(&r->view, report);
	levee_dataplane_now(r->dp, &r->view.evaluated);
	if (r->board)
		note_bin(r, report);
	r->view.changed = true;
}

static const char *reason_name(const struct levee_block *block)
{
	return block->reason == LEVEE_BLOCK_MANUAL ? "by hand"
						   : levee_block_reason_name(block->reason);
}

static const char *block_event(enum levee_block_change change)
{
	if (change == LEVEE_BLOCK_HARDENED)
		return "harden";
	return levee_block_stands(change) ? "block" : "lift";
}

static void put_words(const struct levee_block *block, enum levee_block_change change, char *out,
		      size_t size)
{
	const char *done = change == LEVEE_BLOCK_HARDENED    ? "was limited, is dropped now"
			   : block->kind == LEVEE_KIND_LIMIT ? "limited"
							     : "blocked";

	if (!levee_block_stands(change))
		snprintf(out, size, "lifted: %s",
			 change == LEVEE_BLOCK_EXPIRED ? "its block has expired" : "released");
	else
		snprintf(out, size, "%s: %s%s%s%s%s", done, reason_name(block),
			 block->measure ? ", for its " : "",
			 block->measure ? levee_measure_name(block->measure) : "",
			 block->note[0] ? ": " : "", block->note);
}

static void note_block(struct levee_run *r, enum levee_block_change change,
		       const struct levee_block *block, const struct levee_policy_info *info)
{
	struct levee_board_entry entry = {
		.zscore = block->max_zscore,
		.packets = block->max_packets,
		.dropped = info->packets,
		.end_unix_ns = levee_block_stands(change) ? block->expires_unix_ns : 0,
		.drill = block->marks & LEVEE_BLOCK_DRILL,
	};

	snprintf(entry.kind, sizeof(entry.kind), "%s", block_event(change));
	levee_prefix_format(&block->prefix, entry.subject);
	put_words(block, change, entry.text, sizeof(entry.text));
	levee_board_event(r->board, &entry);
}

void levee_run_on_block(void *ctx, enum levee_block_change change, const struct levee_block *block,
			const struct levee_policy_info *info)
{
	struct levee_run *r = ctx;

	levee_run_log_block(r, change, block, info);
	levee_run_share_block(r, change, block);
	/* An update at every evaluation is no news. */
	if (r->board && change != LEVEE_BLOCK_UPDATED)
		note_block(r, change, block, info);
	r->view.changed = true;
}

/* ---- the snapshot ------------------------------------------------------------------------ */

static void copy_record(const struct levee_run *r, const struct levee_bin_record *record,
			struct levee_board_bin *out)
{
	const struct levee_run_bin *closed = find_bin(&r->view, record->start_s);

	*out = (struct levee_board_bin){ .start_s = record->start_s,
					 .moments = record->moments,
					 .candidates = record->n_candidates,
					 .flags = record->flags };
	for (size_t i = 0; i < record->n_candidates; i++)
		if (record->candidates[i].packets > out->largest)
			out->largest = record->candidates[i].packets;
	if (!closed)
		return;
	out->has_account = true;
	out->account = closed->account;
	out->sources = closed->sources;
	out->folded = closed->folded;
}

static int copy_bins(const struct levee_run *r, struct levee_snapshot *s)
{
	size_t n = levee_window_bins(r->controller.window);

	s->bins = calloc(n + 1, sizeof(*s->bins));
	if (!s->bins)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		copy_record(r, levee_window_bin(r->controller.window, i), &s->bins[i]);
	s->n_bins = n;
	return 0;
}

struct copying {
	const struct levee_policy *policy;
	struct levee_snapshot *s;
};

static void copy_block(void *ctx, const struct levee_block *block)
{
	struct copying *x = ctx;
	struct levee_board_block *out = &x->s->blocks[x->s->n_blocks++];
	struct levee_policy_info info = { .shadowed = true }; /* unless it is found */

	levee_policy_get(x->policy, &block->prefix, &info);
	*out = (struct levee_board_block){ .block = *block,
					   .packets = info.packets,
					   .bytes = info.bytes,
					   .first_boot_ns = info.first_ns,
					   .last_boot_ns = info.last_ns,
					   .shadowed = info.shadowed };
}

static int copy_blocks(const struct levee_run *r, struct levee_snapshot *s)
{
	struct copying x = { levee_dataplane_policy(r->dp), s };

	s->blocks = calloc(levee_blocks_count(r->controller.blocks) + 1, sizeof(*s->blocks));
	if (!s->blocks)
		return -ENOMEM;
	levee_blocks_walk(r->controller.blocks, copy_block, &x);
	return 0;
}

static int by_prefix(const void *a, const void *b)
{
	const struct levee_board_exemption *left = a, *right = b;

	return levee_prefix_compare(&left->prefix, &right->prefix);
}

static int copy_exemptions(const struct levee_run *r, struct levee_snapshot *s)
{
	const struct levee_operator_list *list = &r->exemptions;

	s->exemptions = calloc(list->n + 1, sizeof(*s->exemptions));
	if (!s->exemptions)
		return -ENOMEM;
	for (size_t i = 0; i < list->n; i++) {
		const struct levee_operator_entry *e = &list->entries[i];
		struct levee_board_exemption *out = &s->exemptions[s->n_exemptions++];

		*out = (struct levee_board_exemption){ .prefix = e->prefix,
						       .created_unix_ns = e->created_unix_ns,
						       .expires_boot_ns = e->expires_boot_ns,
						       .expires_unix_ns = e->expires_unix_ns };
		memcpy(out->note, e->note, sizeof(out->note));
	}
	if (list->n)
		qsort(s->exemptions, list->n, sizeof(*s->exemptions), by_prefix);
	return 0;
}

static int copy_findings(const struct levee_run_view *v, struct levee_snapshot *s)
{
	size_t n = v->evaluation.n_findings;

	s->evaluation = v->evaluation;
	s->evaluation.findings = calloc(n + 1, sizeof(*s->evaluation.findings));
	if (!s->evaluation.findings)
		return -ENOMEM;
	if (n)
		memcpy(s->evaluation.findings, v->evaluation.findings,
		       n * sizeof(*s->evaluation.findings));
	s->evaluated = v->evaluated;
	s->findings_allowed = v->findings_allowed;
	s->findings_exempt = v->findings_exempt;
	s->evaluations = v->evaluations;
	return 0;
}

static int copy_top(const struct levee_run_view *v, struct levee_snapshot *s)
{
	s->top = calloc(v->n_top + 1, sizeof(*s->top));
	if (!s->top)
		return -ENOMEM;
	if (v->n_top)
		memcpy(s->top, v->top, v->n_top * sizeof(*s->top));
	s->n_top = v->n_top;
	return 0;
}

static int copy_near(const struct levee_controller *c, struct levee_snapshot *s)
{
	s->trip = c->trip;
	s->near_known = c->near_known;
	s->near = calloc(c->n_near + 1, sizeof(*s->near));
	if (!s->near)
		return -ENOMEM;
	if (c->n_near)
		memcpy(s->near, c->near, c->n_near * sizeof(*s->near));
	s->n_near = c->n_near;
	return 0;
}

static void copy_accounts(struct levee_run *r, struct levee_snapshot *s)
{
	const struct levee_run_view *v = &r->view;
	struct levee_drained open = { 0 };

	r->dp->ops->peek(r->dp, &open);
	s->running = r->controller.running;
	levee_account_add(&s->running, &open.account);
	s->total = v->total;
	levee_account_add(&s->total, &s->running);
	s->last_bin_s = v->last_bin_s;
	s->last_bin = r->controller.closed;
	s->last_sources = r->controller.closed_sources;
	s->last_folded = r->controller.closed_folded;
	s->bins_closed = v->bins_closed;
	s->bins_late = v->bins_late;
	levee_run_losses(r, &s->losses);
	s->trip_events = v->trip_events;
}

static void copy_settings(const struct levee_run *r, struct levee_snapshot *s)
{
	const struct levee_policy *policy = levee_dataplane_policy(r->dp);

	s->started = r->view.started;
	s->bin_s = r->controller.options.bin_s;
	s->window_s = r->controller.options.window_s;
	s->detect = r->controller.options.detect;
	s->detector = r->controller.detector->name;
	s->fast = r->controller.options.trip.on;
	s->warmup_bins = r->controller.options.trip.warmup_bins;
	s->audit = levee_run_audits(r);
	s->source6_length = r->dp->source6_length;
	s->bin_start_s = (int64_t)(r->clock.start_ns / LEVEE_NS_PER_S);
	s->bin_end_boot_ns = r->clock.end_boot_ns;
	s->rules_used = levee_policy_blocks(policy) + levee_policy_allowed(policy);
	s->rules_max = r->config->data_path.rules;
	s->allowance_exceeded = r->allowance.exceeded;
	s->allowance_exceeded_total = r->allowance.total;
}

static struct levee_snapshot *take_snapshot(struct levee_run *r)
{
	struct levee_snapshot *s = levee_snapshot_new();
	const struct levee_snapshot *put = s;
	int ret;

	if (!s)
		return NULL;
	levee_dataplane_now(r->dp, &s->taken);
	copy_settings(r, s);
	copy_accounts(r, s);
	ret = copy_bins(r, s);
	ret = ret ? ret : copy_blocks(r, s);
	ret = ret ? ret : levee_run_copy_allowlist(r, s);
	ret = ret ? ret : copy_exemptions(r, s);
	ret = ret ? ret : copy_findings(&r->view, s);
	ret = ret ? ret : copy_top(&r->view, s);
	ret = ret ? ret : copy_near(&r->controller, s);
	if (!ret)
		return s;
	levee_snapshot_put(&put);
	return NULL;
}

static void set_health(const struct levee_run *r, const char *name, bool is_wrong, bool not_ready,
		       const char *text)
{
	levee_board_health(r->board, name, not_ready, is_wrong ? text : NULL);
}

static void check_health(const struct levee_run *r, const struct levee_snapshot *s)
{
	const struct levee_controller *c = &r->controller;

	set_health(r, "state", c->store && c->save_all, false,
		   "the state file cannot be written; everything is kept in memory and stored once "
		   "it can be; see the log for the cause");
	set_health(r, "allow-file", r->file_missing, false,
		   "[allow] file cannot be read; its last good list stays in force");
	set_health(r, "own-addresses", r->automatic_failed, false,
		   "own addresses and gateways could not all be found; [allow] prefixes can name "
		   "them");
	set_health(
		r, "counts", r->drain_failed, true,
		"the data path's counts cannot be read: nothing is detected, and blocks in force "
		"stay until they end");
	set_health(
		r, "masking", s->evaluation.masked, false,
		strcmp(s->detector, "zscore")
			? "so many values are above [detect] min_packets that their Z-scores "
			  "cannot "
			  "all pass min_zscore: the median decides meanwhile; raise min_packets if "
			  "these are your clients"
			: "so many values are above [detect] min_packets that their Z-scores "
			  "cannot "
			  "all pass min_zscore; set [detect] detector = both, or raise min_packets "
			  "if "
			  "these are your clients");
	set_health(r, "rules", s->rules_max && s->rules_used >= s->rules_max - s->rules_max / 10,
		   false, "the policy table is nine tenths full; raise [data_path] rules");
	set_health(r, "sources", s->last_folded > 0, false,
		   "sources lost their names for want of room; raise [data_path] sources or "
		   "[detect] max_sources");
}

static double rate(uint64_t now, uint64_t then, double seconds)
{
	return now > then && seconds > 0.05 ? (double)(now - then) / seconds : 0;
}

/*
 * Rates since the snapshot before. One that was taken just now says too little: what it found goes
 * on, and its readings stay those that the next one is compared with.
 */
static void find_rates(struct levee_run *r, struct levee_snapshot *s)
{
	const struct levee_snapshot *before = r->view.before;
	uint64_t ns = before ? s->taken.boot_ns - before->taken.boot_ns : 0;
	double seconds = (double)ns / (double)LEVEE_NS_PER_S;

	if (!before)
		return;
	s->receive_rate = rate(s->total.received, before->total.received, seconds);
	s->drop_rate = rate(s->total.outcome[LEVEE_DROPPED], before->total.outcome[LEVEE_DROPPED],
			    seconds);
	for (size_t i = 0, j = 0; i < s->n_blocks && j < before->n_blocks;) {
		struct levee_board_block *now = &s->blocks[i];
		const struct levee_board_block *then = &before->blocks[j];
		int order = levee_prefix_compare(&now->block.prefix, &then->block.prefix);

		if (!order && now->packets >= then->packets)
			now->drop_rate = rate(now->packets, then->packets, seconds);
		i += order <= 0;
		j += order >= 0;
	}
}

static void keep_for_rates(struct levee_run *r, const struct levee_snapshot *s)
{
	if (r->view.before && s->taken.boot_ns - r->view.before->taken.boot_ns < RATE_NS)
		return;
	levee_snapshot_put(&r->view.before);
	r->view.before = levee_snapshot_get(s);
}

static void publish(struct levee_run *r)
{
	struct levee_snapshot *s = take_snapshot(r);

	if (!s)
		return; /* short of memory: the one before stays, and its time shows */
	find_rates(r, s);
	keep_for_rates(r, s);
	check_health(r, s);
	r->view.published_ns = s->taken.boot_ns;
	r->view.changed = false;
	levee_board_publish(r->board, s);
}

static bool is_stale(const struct levee_run *r, const struct levee_time *now)
{
	const struct levee_policy *policy = levee_dataplane_policy(r->dp);

	if (now->boot_ns < r->view.published_ns + REFRESH_NS)
		return false;
	return levee_policy_blocks(policy) + levee_policy_allowed(policy) < REFRESH_ALWAYS ||
	       levee_board_was_read(r->board);
}

void levee_run_publish(struct levee_run *r, const struct levee_time *now)
{
	if (!r->board)
		return;
	if (!r->view.changed && !is_stale(r, now))
		return;
	publish(r);
}

/* ---- requests ---------------------------------------------------------------------------- */

static void after_requests(void *ctx)
{
	publish(ctx);
}

void levee_run_breathe(void *ctx)
{
	struct levee_run *r = ctx;

	if (r->board && levee_board_has_requests(r->board))
		levee_board_serve_urgent(r->board, levee_run_execute, r);
}

void levee_run_await(void *ctx, int fd)
{
	struct levee_run *r = ctx;

	levee_board_await(r->board, fd, levee_run_execute, r);
}

void levee_run_serve(struct levee_run *r)
{
	levee_board_serve(r->board, levee_run_execute, after_requests, r);
}

/* ---- opening and closing ------------------------------------------------------------------ */

int levee_run_open_board(struct levee_run *r)
{
	struct levee_run_view *v = &r->view;
	int ret;

	levee_dataplane_now(r->dp, &v->started);
	ret = levee_board_new(&r->board, v->started.unix_ns);
	if (ret)
		return ret;
	/* Two more than the window: the running bin, and one that is about to leave. */
	v->room_closed = r->config->detect.window / r->config->detect.bin + 2;
	v->closed = calloc(v->room_closed, sizeof(*v->closed));
	v->top = calloc(LEVEE_BOARD_TOP, sizeof(*v->top));
	return v->closed && v->top ? 0 : -ENOMEM;
}

static void say_api(void *ctx, bool is_error, const char *message)
{
	(void)ctx;
	levee_log(is_error ? LEVEE_LOG_ERROR : LEVEE_LOG_WARNING, "%s", message);
}

/* What cannot be served is said; what protects goes on without it. */
void levee_run_open_api(struct levee_run *r)
{
	struct levee_api_options options = { .board = r->board,
					     .config = r->config,
					     .say = say_api };

	publish(r);
	if (!levee_api_open(&r->api, &options))
		return;
	levee_error("there is no API: `levee status` and the page do not work; see above");
	levee_board_health(r->board, "api", false, "the API does not serve; see the log");
}

void levee_run_close_board(struct levee_run *r)
{
	struct levee_run_view *v = &r->view;

	if (r->board)
		levee_board_close(r->board);
	levee_api_close(&r->api);
	levee_snapshot_put(&v->before);
	levee_board_free(&r->board);
	levee_evaluation_clear(&v->evaluation);
	free(v->closed);
	free(v->top);
}
