/* SPDX-License-Identifier: BSD-2-Clause */
/* The controller's side of the fleet: bins and blocks out, orders in. Nothing here waits. */
#include "control/run_internal.h"

#include <stdlib.h>
#include <string.h>

#include "control/fleet/fleet.h"

#define NS_PER_MS	1000000ULL
#define SHARE_EVERY_NS	100000000ULL
#define SHARES_A_SECOND 5000

/* On the fleet's thread. */
static void say(void *ctx, bool problem, const char *message)
{
	struct levee_run *r = ctx;
	struct levee_board_entry entry = { .kind = "fleet" };

	if (!problem || !strncmp(message, "alone:", 6))
		levee_board_health(r->board, "fleet", false, problem ? message : NULL);
	levee_log(problem ? LEVEE_LOG_WARNING : LEVEE_LOG_NOTICE, "fleet: %s", message);
	snprintf(entry.text, sizeof(entry.text), "%s", message);
	levee_board_event(r->board, &entry);
}

static struct levee_board_service service(struct levee_run *r)
{
	return (struct levee_board_service){ .name = "fleet",
					     .status = levee_fleet_status,
					     .metrics = levee_fleet_metrics,
					     .ctx = r->fleet.fleet };
}

static void remember(void *ctx, const struct levee_offender *offender)
{
	struct levee_run *r = ctx;

	levee_fleet_remember(r->fleet.fleet, offender);
}

static void share_restored(void *ctx, const struct levee_block *block)
{
	struct levee_run *r = ctx;

	if (!(block->marks & (LEVEE_BLOCK_DRILL | LEVEE_BLOCK_LOCAL)))
		levee_fleet_block(r->fleet.fleet, block, 0);
}

/* A lift of before a restart, which the fleet may not have heard of. */
static void share_exemption(struct levee_run *r, const struct levee_operator_entry *e)
{
	if (e->marks & LEVEE_BLOCK_LOCAL)
		return;
	levee_fleet_lift(r->fleet.fleet, &e->prefix, e->created_unix_ns / NS_PER_MS,
			 e->expires_unix_ns == LEVEE_NEVER ? 0 : e->expires_unix_ns / NS_PER_MS);
}

static struct levee_blocks_params block_params(const struct levee_run *r)
{
	const struct levee_config *c = r->config;

	return (struct levee_blocks_params){
		.repeat_memory_s = (unsigned int)c->block.repeat_memory,
		.repeat_factor = c->block.repeat_factor,
		.max_block_s = c->block.max_block,
		.flows = r->controller.options.flows,
	};
}

int levee_run_open_fleet(struct levee_run *r)
{
	const struct levee_config *c = r->config;
	struct levee_fleet_options options = {
		.url = c->fleet.url,
		.ca_file = c->fleet.ca_file,
		.password_file = c->fleet.password_file,
		.prefix = c->fleet.prefix,
		.name = c->fleet.name,
		.node = c->fleet.node,
		.grace_s = (unsigned int)c->fleet.grace,
		.bin_s = (unsigned int)c->detect.bin,
		.window_s = (unsigned int)c->detect.window,
		.first_bin_s = (int64_t)(r->clock.start_ns / LEVEE_NS_PER_S),
		.detector = levee_config_detector(c),
		.detect = r->controller.options.detect,
		.fast = c->detect.fast,
		.warmup_bins = (unsigned int)c->detect.warmup_bins,
		.blocks = block_params(r),
		.say = say,
		.ctx = r,
	};
	struct levee_board_service s;
	int ret;

	if (!c->fleet.url[0])
		return 0;
	ret = levee_fleet_new(&r->fleet.fleet, &options);
	if (ret) {
		levee_error("cannot set up the fleet: %s", strerror(-ret));
		return ret;
	}
	levee_offenders_walk(levee_blocks_offenders(r->controller.blocks), remember, r);
	levee_blocks_walk(r->controller.blocks, share_restored, r);
	for (size_t i = 0; i < r->exemptions.n; i++)
		share_exemption(r, &r->exemptions.entries[i]);
	for (size_t i = 0; i < r->allowed.n; i++)
		levee_run_share_allow(r, &r->allowed.entries[i], true,
				      r->allowed.entries[i].created_unix_ns);
	s = service(r);
	r->fleet.registered = levee_board_register(r->board, &s) == 0;
	levee_board_health(r->board, "fleet", true,
			   "what the fleet blocks is not known yet: contact is being made");
	return 0;
}

int levee_run_start_fleet(struct levee_run *r)
{
	int ret;

	if (!r->fleet.fleet)
		return 0;
	ret = levee_fleet_start(r->fleet.fleet);
	if (!ret)
		ret = r->dp->ops->watch(r->dp, levee_fleet_fd(r->fleet.fleet));
	if (ret)
		levee_error("cannot start the fleet's thread: %s", strerror(-ret));
	return ret;
}

void levee_run_stop_fleet(struct levee_run *r)
{
	struct levee_board_service s = service(r);

	if (!r->fleet.fleet)
		return;
	if (r->fleet.registered)
		levee_board_withdraw(r->board, &s);
	r->fleet.registered = false;
	levee_fleet_stop(&r->fleet.fleet);
}

void levee_run_ask_fleet(struct levee_run *r)
{
	struct levee_controller *c = &r->controller;

	if (!r->fleet.fleet)
		return;
	c->deferred = levee_fleet_together(r->fleet.fleet);
	c->deferred_threshold = levee_fleet_threshold(r->fleet.fleet);
	c->deferred_nodes = levee_fleet_nodes(r->fleet.fleet);
}

/* The fleet's threshold came after this node's bin had closed, or who decides has changed. */
static void rearm(struct levee_run *r)
{
	struct levee_controller *c = &r->controller;

	if (c->deferred == levee_fleet_together(r->fleet.fleet) &&
	    (!c->deferred || c->deferred_threshold == levee_fleet_threshold(r->fleet.fleet)))
		return;
	levee_run_ask_fleet(r);
	levee_controller_rearm(c, (int64_t)(r->clock.start_ns / LEVEE_NS_PER_S));
}

/* ---- orders ------------------------------------------------------------------------------ */

/* Said here for this instance alone: a block, or that there shall be none. */
static bool is_local(struct levee_run *r, const struct levee_prefix *prefix)
{
	const struct levee_block *have = levee_blocks_get(r->controller.blocks, prefix);
	const struct levee_operator_entry *lifted = levee_operator_get(&r->exemptions, prefix);

	return (have && have->marks & LEVEE_BLOCK_LOCAL) ||
	       (lifted && lifted->marks & LEVEE_BLOCK_LOCAL);
}

/* As said on another instance; what was said here for this one alone stays so. */
static void allow(struct levee_run *r, const struct levee_fleet_entry *order)
{
	const struct levee_operator_entry *there = levee_operator_get(&r->allowed, &order->prefix);

	if (!there || !(there->marks & LEVEE_BLOCK_LOCAL))
		levee_run_take_allow(r, &order->prefix, !order->lifted,
				     order->created_ms * NS_PER_MS, order->note);
}

/* What an operator of this instance has allowed or exempted here stays so here. */
static bool is_spared(struct levee_run *r, const struct levee_fleet_entry *order)
{
	return levee_policy_is_allowed(levee_dataplane_policy(r->dp), &order->prefix) ||
	       (!order->manual && levee_run_is_exempt(r, &order->prefix));
}

static bool is_news(const struct levee_block *have, const struct levee_block *block)
{
	return !have || have->expires_unix_ns != block->expires_unix_ns ||
	       have->kind != block->kind || have->spoofable != block->spoofable ||
	       (have->reason == LEVEE_BLOCK_MANUAL) != (block->reason == LEVEE_BLOCK_MANUAL);
}

static void put(struct levee_run *r, const struct levee_fleet_entry *order,
		const struct levee_time *now)
{
	const struct levee_block *have = levee_blocks_get(r->controller.blocks, &order->prefix);
	char prefix[LEVEE_PREFIX_TEXT];
	struct levee_block block;
	int ret;

	if (is_spared(r, order))
		return;
	levee_fleet_entry_to_block(order, &block, now);
	if (block.expires_boot_ns <= now->boot_ns)
		return;
	/* Network ACLs leave out what is exempt. */
	if (order->manual)
		levee_run_end_exemptions(r, &order->prefix, false);
	if (!is_news(have, &block))
		return;
	ret = levee_controller_block(&r->controller, &block, now);
	if (ret)
		levee_error(
			"%s, which the fleet blocks, is not blocked here: %s; raise [data_path] "
			"rules",
			levee_prefix_format(&order->prefix, prefix), strerror(-ret));
}

static void lift(struct levee_run *r, const struct levee_fleet_entry *order,
		 const struct levee_time *now)
{
	uint64_t now_ms = now->unix_ns / NS_PER_MS, for_s;
	char note[LEVEE_NOTE_TEXT];

	for_s = !order->expires_ms	     ? LEVEE_FOR_EVER
		: order->expires_ms > now_ms ? (order->expires_ms - now_ms + 999) / 1000
					     : 1;
	snprintf(note, sizeof(note), "by the fleet, on %.60s", order->node);
	levee_run_take_lift(r, &order->prefix, for_s, note);
}

static void be_ready(struct levee_run *r)
{
	r->fleet.ready = true;
	if (levee_fleet_together(r->fleet.fleet))
		levee_board_health(r->board, "fleet", false, NULL);
}

void levee_run_tend_fleet(struct levee_run *r)
{
	struct levee_fleet_entry order;
	struct levee_time now;
	bool any = false, settled;

	if (!r->fleet.fleet)
		return;
	settled = levee_fleet_settled(r->fleet.fleet);
	r->fleet.quiet = true;
	levee_dataplane_now(r->dp, &now);
	while (levee_fleet_take(r->fleet.fleet, &order)) {
		if (!order.allow && is_local(r, &order.prefix))
			continue;
		if (order.allow)
			allow(r, &order);
		else if (order.lifted)
			lift(r, &order, &now);
		else
			put(r, &order, &now);
		any = true;
	}
	r->fleet.quiet = false;
	rearm(r);
	if (any)
		levee_controller_save(&r->controller);
	/* Orders were taken after the look: all that were there at the first contact. */
	if (settled && !r->fleet.ready)
		be_ready(r);
}

/* ---- what happens here ------------------------------------------------------------------- */

struct holding {
	struct levee_fleet_held *held;
	size_t n;
};

/* As levee_blocks_feed() has just noted it. */
static void hold(void *ctx, const struct levee_block *block)
{
	struct holding *h = ctx;

	if (block->fed && block->reason != LEVEE_BLOCK_MANUAL && block->bin_packets)
		h->held[h->n++] = (struct levee_fleet_held){ block->prefix, block->bin_packets };
}

static void share_parts(struct levee_run *r, const struct levee_bin *bin, int64_t start_s,
			unsigned int parts, const struct holding *h)
{
	struct levee_bin *part;

	/* The fleet keeps few bins of the past: older ones are not missed. */
	for (unsigned int i = parts > 4 ? parts - 4 : 0; i < parts; i++) {
		part = levee_bin_split(bin, parts, i);
		if (part)
			levee_fleet_bin(r->fleet.fleet, part,
					start_s + (int64_t)i * r->controller.options.bin_s,
					r->controller.last_seq, h->held, h->n);
		levee_bin_free(&part);
	}
}

void levee_run_share_bin(struct levee_run *r, const struct levee_bin *bin, int64_t start_s,
			 unsigned int parts)
{
	struct holding h = { 0 };

	if (!r->fleet.fleet)
		return;
	/* Without memory for it the block of who goes on ends in time, and begins anew. */
	h.held = calloc(levee_blocks_count(r->controller.blocks) + 1, sizeof(*h.held));
	if (h.held)
		levee_blocks_walk(r->controller.blocks, hold, &h);
	if (parts <= 1)
		levee_fleet_bin(r->fleet.fleet, bin, start_s, r->controller.last_seq, h.held, h.n);
	else
		share_parts(r, bin, start_s, parts, &h);
	free(h.held);
}

void levee_run_share_block(struct levee_run *r, enum levee_block_change change,
			   const struct levee_block *block)
{
	struct levee_time now;

	if (!r->fleet.fleet || r->fleet.quiet ||
	    block->marks & (LEVEE_BLOCK_DRILL | LEVEE_BLOCK_LOCAL))
		return;
	/* A block that was there may be put anew by hand: the later command wins. */
	levee_dataplane_now(r->dp, &now);
	if (levee_block_stands(change))
		levee_fleet_block(r->fleet.fleet, block, now.unix_ns / NS_PER_MS);
}

void levee_run_share_allow(struct levee_run *r, const struct levee_operator_entry *e, bool on_list,
			   uint64_t said_unix_ns)
{
	if (r->fleet.fleet && !r->fleet.quiet && !(e->marks & LEVEE_BLOCK_LOCAL))
		levee_fleet_allow(r->fleet.fleet, &e->prefix, on_list, said_unix_ns / NS_PER_MS,
				  e->note);
}

void levee_run_share_lift(struct levee_run *r, const struct levee_prefix *prefix,
			  uint64_t expires_unix_ns)
{
	struct levee_time now;

	if (!r->fleet.fleet || r->fleet.quiet)
		return;
	levee_dataplane_now(r->dp, &now);
	levee_fleet_lift(r->fleet.fleet, prefix, now.unix_ns / NS_PER_MS,
			 expires_unix_ns == LEVEE_NEVER ? 0 : expires_unix_ns / NS_PER_MS);
}

/*
 * A source that sends little to each of many instances is told of to the fleet as time goes on, not
 * only at its next share, so that it is blocked within a second of when the sum crosses the
 * threshold, however slowly that goes. The server gets so many of these from all instances.
 */
uint64_t levee_run_share_every_ns(const struct levee_run *r)
{
	uint64_t every_ns;

	if (!r->fleet.fleet || !r->controller.deferred)
		return 0;
	every_ns = (uint64_t)r->controller.deferred_nodes * r->watch.n * LEVEE_NS_PER_S /
		   SHARES_A_SECOND;
	return every_ns > SHARE_EVERY_NS ? every_ns : SHARE_EVERY_NS;
}

void levee_run_on_share(void *ctx, const struct levee_prefix *source, uint64_t packets)
{
	struct levee_run *r = ctx;

	if (r->fleet.fleet && r->controller.deferred &&
	    !levee_watch_knows(&r->watch, source, packets))
		levee_fleet_share(r->fleet.fleet, source, packets,
				  (int64_t)(r->clock.start_ns / LEVEE_NS_PER_S));
}

void levee_run_limit_fleet(struct levee_run *r)
{
	const struct levee_config *c = r->config;
	struct levee_blocks_params blocks = block_params(r);

	if (!r->fleet.fleet)
		return;
	levee_fleet_set_limits(r->fleet.fleet, levee_config_detector(c),
			       &r->controller.options.detect, c->detect.fast,
			       (unsigned int)c->detect.warmup_bins);
	levee_fleet_set_verdicts(r->fleet.fleet, levee_config_detector(c), &blocks);
}
