/* SPDX-License-Identifier: BSD-2-Clause */
/* The drill that runs, or ran last: its steps with their times, its block, its end. */
#include "control/run_internal.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_RATE 2000 /* packets/s */
#define DEFAULT_S    300
#define BLOCKS_MAX   16

static void put_step(struct levee_run *r, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static void put_step(struct levee_run *r, const char *format, ...)
{
	struct levee_run_drill *d = &r->drill;
	struct levee_board_entry entry = { .kind = "drill", .drill = true };
	struct levee_time now;
	va_list args;

	levee_dataplane_now(r->dp, &now);
	levee_prefix_format(&d->drill.source, entry.subject);
	va_start(args, format);
	vsnprintf(entry.text, sizeof(entry.text), format, args);
	va_end(args);
	levee_notice("drill %s: %s", entry.subject, entry.text);
	pthread_mutex_lock(&d->lock);
	if (d->n_steps < LEVEE_DRILL_STEPS) {
		struct levee_drill_step *step = &d->steps[d->n_steps++];

		step->after_ns = now.boot_ns - d->begun_boot_ns;
		memcpy(step->text, entry.text, sizeof(step->text));
	}
	pthread_mutex_unlock(&d->lock);
	levee_board_event(r->board, &entry);
	if (r->store)
		levee_store_event(r->store, now.unix_ns, "drill", entry.subject, entry.text);
}

static void set_result(struct levee_run *r, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static void set_result(struct levee_run *r, const char *format, ...)
{
	struct levee_run_drill *d = &r->drill;
	va_list args;

	pthread_mutex_lock(&d->lock);
	va_start(args, format);
	vsnprintf(d->result, sizeof(d->result), format, args);
	va_end(args);
	d->is_running = false;
	pthread_mutex_unlock(&d->lock);
}

/* ---- what the API shows -------------------------------------------------------------------- */

static void write_status(void *ctx, struct levee_json *j)
{
	struct levee_run_drill *d = ctx;
	char prefix[LEVEE_PREFIX_TEXT];

	pthread_mutex_lock(&d->lock);
	levee_json_bool(j, "running", d->is_running);
	if (d->has_run) {
		levee_json_string(j, "source", levee_prefix_format(&d->drill.source, prefix));
		levee_json_uint(j, "rate", d->drill.rate);
		levee_json_uint(j, "for_s", d->for_s);
		levee_json_bool(j, "push", d->drill.push);
		levee_json_bool(j, "blocked", d->is_blocked);
		levee_json_array(j, "steps");
		for (size_t i = 0; i < d->n_steps; i++) {
			levee_json_object(j, NULL);
			levee_json_double(j, "after_s",
					  (double)(d->steps[i].after_ns / 1000000) / 1000);
			levee_json_string(j, "text", d->steps[i].text);
			levee_json_end(j);
		}
		levee_json_end(j);
		levee_json_string(j, "result", d->result);
	}
	pthread_mutex_unlock(&d->lock);
}

/* ---- from its begin to its end ------------------------------------------------------------- */

/* Now, in the time that bins go by. */
static uint64_t bin_now_ns(const struct levee_run *r)
{
	struct levee_time now;

	levee_dataplane_now(r->dp, &now);
	return levee_run_bin_time_ns(r, &now);
}

static bool refuse_drill(struct levee_run *r, struct levee_request *request)
{
	struct levee_board_allowed allowed;
	char prefix[LEVEE_PREFIX_TEXT];
	bool is_documentation = levee_drill_is_documentation(&request->prefix);

	levee_prefix_format(&request->prefix, prefix);
	if (r->drill.is_running)
		levee_run_answer(request, -EBUSY,
				 "a drill runs already; `levee drill --stop` ends it");
	else if (levee_run_find_allowed(r, &request->prefix, &allowed))
		levee_run_answer(request, -EPERM,
				 "%s is on the allow list: it would not be blocked", prefix);
	else if (levee_blocks_get(r->controller.blocks, &request->prefix))
		levee_run_answer(request, -EEXIST, "%s is blocked already", prefix);
	else if (request->push && !is_documentation)
		levee_run_answer(
			request, -EPERM,
			"%s is not of the documentation ranges (192.0.2.0/24, "
			"198.51.100.0/24, 203.0.113.0/24, 2001:db8::/32): a drill does not "
			"push it to network ACLs",
			prefix);
	else if (!is_documentation && !request->force)
		levee_run_answer(request, -EPERM,
				 "%s is not of the documentation ranges: its real packets would be "
				 "dropped; --force (in the API: force) says that it is meant",
				 prefix);
	else
		return false;
	return true;
}

void levee_run_mark_drill(struct levee_run *r)
{
	const struct levee_run_drill *d = &r->drill;
	struct levee_operator_entry mark = { .kind = LEVEE_OPERATOR_NOTE,
					     .prefix = d->drill.source,
					     .expires_boot_ns = LEVEE_NEVER,
					     .expires_unix_ns = LEVEE_NEVER,
					     .marks = LEVEE_BLOCK_DRILL |
						      (d->drill.push ? LEVEE_BLOCK_PUSH : 0),
					     .note = "drill" };

	if (d->is_running)
		levee_run_store_entry(r, &mark);
}

void levee_run_do_drill(struct levee_run *r, struct levee_request *request)
{
	static const struct levee_prefix usual = { .family = 4, .length = 32, .hi = 0xc6336407 };
	struct levee_run_drill *d = &r->drill;
	uint64_t for_s = request->for_s == LEVEE_FOR_DEFAULT ? DEFAULT_S : request->for_s;
	uint64_t now_ns = bin_now_ns(r);
	struct levee_time now;
	char prefix[LEVEE_PREFIX_TEXT];

	if (!request->prefix.family)
		request->prefix = usual; /* 198.51.100.7 */
	if (request->prefix.family == 6 && request->prefix.length > r->dp->source6_length) {
		request->prefix.length = r->dp->source6_length;
		levee_prefix_canon(&request->prefix);
	}
	if (refuse_drill(r, request))
		return;
	levee_dataplane_now(r->dp, &now);
	pthread_mutex_lock(&d->lock);
	d->drill = (struct levee_drill){ .source = request->prefix,
					 .rate = request->rate ? request->rate : DEFAULT_RATE,
					 .begin_ns = now_ns,
					 .end_ns = now_ns + for_s * LEVEE_NS_PER_S,
					 .push = request->push };
	d->for_s = for_s;
	d->begun_boot_ns = now.boot_ns;
	d->ends_boot_ns = now.boot_ns + for_s * LEVEE_NS_PER_S;
	d->is_running = d->has_run = true;
	d->is_blocked = d->was_judged = false;
	d->n_steps = 0;
	d->result[0] = '\0';
	pthread_mutex_unlock(&d->lock);
	levee_run_mark_drill(r);
	levee_controller_save(&r->controller); /* the mark is in the file before any block is */
	put_step(r, "begun: %llu packets/s in detection, for %llu s; no packet is sent",
		 (unsigned long long)d->drill.rate, (unsigned long long)for_s);
	request->changed = 1;
	request->end_unix_ns = now.unix_ns + for_s * LEVEE_NS_PER_S;
	levee_run_answer(request, 0, "drill: %llu packets/s of %s for %llu s, in detection alone",
			 (unsigned long long)d->drill.rate,
			 levee_prefix_format(&d->drill.source, prefix), (unsigned long long)for_s);
}

static void say_unblocked(struct levee_run *r)
{
	const struct levee_run_drill *d = &r->drill;
	const struct levee_evaluation *e = &r->view.evaluation;

	if (!d->was_judged)
		set_result(r, "NOT BLOCKED: no bin was closed while it lasted; make it last longer "
			      "than a bin");
	else
		set_result(
			r,
			"NOT BLOCKED: its largest bin of %llu packets has z = %.2f; above %g and "
			"above %llu packets are needed, among %llu values with mean %.2f and "
			"deviation %.2f",
			(unsigned long long)d->largest, d->zscore,
			r->controller.options.detect.min_zscore,
			(unsigned long long)r->controller.options.detect.min_packets,
			(unsigned long long)e->moments.n, e->mean, e->stddev);
}

static void end_drill(struct levee_run *r, const char *why)
{
	struct levee_run_drill *d = &r->drill;
	struct levee_time now;

	levee_dataplane_now(r->dp, &now);
	if (d->is_blocked)
		levee_controller_unblock(&r->controller, &d->drill.source, &now);
	put_step(r, "ended: %s%s", why, d->is_blocked ? "; its block is lifted" : "");
	if (d->is_blocked)
		set_result(r, "BLOCKED %.3f s after it began",
			   (double)(d->blocked_boot_ns - d->begun_boot_ns) / 1e9);
	else
		say_unblocked(r);
	levee_run_forget_entry(r, LEVEE_OPERATOR_NOTE, &d->drill.source);
	levee_controller_save(&r->controller);
	r->view.changed = true;
}

void levee_run_do_drill_end(struct levee_run *r, struct levee_request *request)
{
	if (!r->drill.is_running) {
		levee_run_answer(request, -ENOENT, "no drill runs");
		return;
	}
	end_drill(r, "it was stopped");
	request->changed = 1;
	levee_run_answer(request, 0, "the drill is over: %s", r->drill.result);
}

/* ---- what happens to it ---------------------------------------------------------------------- */

bool levee_run_drill_judge(void *ctx, const struct levee_evaluation *e,
			   struct levee_finding *finding)
{
	struct levee_run *r = ctx;
	struct levee_run_drill *d = &r->drill;
	const struct levee_controller_options *o = &r->controller.options;
	bool is_abnormal;

	if (!d->is_running)
		return false;
	is_abnormal = levee_drill_judge(&d->drill, e, &o->detect,
					levee_window_begin(r->controller.window, e->now_s),
					o->bin_s, &d->largest, &d->zscore, finding);
	if (!d->was_judged && d->largest)
		put_step(r, "evaluated: %llu packets in a bin, z = %.2f: %s",
			 (unsigned long long)d->largest, d->zscore,
			 is_abnormal ? "abnormal" : "not abnormal (yet)");
	else if (is_abnormal && !d->is_blocked)
		put_step(r, "verdict: abnormal, %llu packets in a bin, z = %.2f",
			 (unsigned long long)d->largest, d->zscore);
	d->was_judged |= d->largest > 0;
	return is_abnormal;
}

static void note_blocked(struct levee_run *r, const struct levee_time *now)
{
	struct levee_run_drill *d = &r->drill;
	const struct levee_block *block = levee_blocks_get(r->controller.blocks, &d->drill.source);
	struct levee_policy_info info;

	if (!block || d->is_blocked)
		return;
	pthread_mutex_lock(&d->lock);
	d->is_blocked = true;
	d->blocked_boot_ns = now->boot_ns;
	/* From here on it would be dropped, and counted no more. */
	if (d->drill.end_ns > bin_now_ns(r))
		d->drill.end_ns = bin_now_ns(r);
	pthread_mutex_unlock(&d->lock);
	if (levee_policy_get(levee_dataplane_policy(r->dp), &block->prefix, &info) || info.shadowed)
		put_step(r, "blocked, but NOT in the data path: see the log");
	else
		put_step(r, "blocked by detector %s, in force in the data path",
			 levee_block_reason_name(block->reason));
	put_step(r, "told to every follower of events");
	put_step(r, d->drill.push ? "network ACL: to be pushed; its steps are events of kind nacl"
				  : "network ACL: not pushed, as --push was not given");
}

/* The fast path: what a data path would say of a real source. */
static void try_trip(struct levee_run *r, const struct levee_time *now)
{
	struct levee_run_drill *d = &r->drill;
	uint64_t now_ns = levee_run_bin_time_ns(r, now);
	struct levee_time bin_now = { .boot_ns = now->boot_ns, .unix_ns = now_ns };
	int64_t start_s = (int64_t)(r->clock.start_ns / LEVEE_NS_PER_S);
	uint64_t packets = levee_drill_packets(&d->drill, start_s, r->controller.options.bin_s,
					       now_ns);
	uint32_t marks = LEVEE_BLOCK_DRILL | (d->drill.push ? LEVEE_BLOCK_PUSH : 0);

	if (levee_controller_trip_marked(&r->controller, &d->drill.source, packets, marks,
					 &bin_now) > 0)
		put_step(r, "fast path: %llu packets in the running bin are above %llu",
			 (unsigned long long)packets,
			 (unsigned long long)r->controller.trip.threshold);
}

void levee_run_drill_tick(struct levee_run *r, const struct levee_time *now)
{
	struct levee_run_drill *d = &r->drill;

	if (!d->is_running)
		return;
	if (!d->is_blocked && r->controller.trip.armed)
		try_trip(r, now);
	note_blocked(r, now);
	if (d->is_blocked && !levee_blocks_get(r->controller.blocks, &d->drill.source))
		end_drill(r, "somebody lifted its block");
	else if (now->boot_ns >= d->ends_boot_ns)
		end_drill(r, "its time is over");
}

/* ---- opening and closing ----------------------------------------------------------------------- */

static void collect_drills(void *ctx, const struct levee_block *block)
{
	struct levee_operator_list *found = ctx;
	struct levee_operator_entry entry = { .prefix = block->prefix };

	if (block->marks & LEVEE_BLOCK_DRILL && found->n < BLOCKS_MAX)
		levee_operator_put(found, &entry);
}

/* A drill ends with its daemon: what a process before left is lifted. */
static void lift_left_over(struct levee_run *r)
{
	struct levee_operator_list found = { 0 };
	struct levee_time now;

	levee_dataplane_now(r->dp, &now);
	levee_blocks_walk(r->controller.blocks, collect_drills, &found);
	for (size_t i = 0; i < found.n; i++) {
		levee_controller_unblock(&r->controller, &found.entries[i].prefix, &now);
		levee_run_forget_entry(r, LEVEE_OPERATOR_NOTE, &found.entries[i].prefix);
	}
	levee_operator_clear(&found);
}

void levee_run_open_drill(struct levee_run *r)
{
	struct levee_run_drill *d = &r->drill;

	pthread_mutex_init(&d->lock, NULL);
	d->service =
		(struct levee_board_service){ .name = "drill", .status = write_status, .ctx = d };
	lift_left_over(r);
	levee_board_register(r->board, &d->service);
}

void levee_run_close_drill(struct levee_run *r)
{
	if (r->board && r->drill.service.name)
		levee_board_withdraw(r->board, &r->drill.service);
}
