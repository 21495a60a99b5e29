/* SPDX-License-Identifier: BSD-2-Clause */
#include "control/run_internal.h"
#include "control/service/privilege.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "levee_version.h"

/* Both clocks are looked at this often, so that a step of the wall clock is seen early. */
#define LOOK_NS LEVEE_NS_PER_S

#define BOOT_ID "/proc/sys/kernel/random/boot_id"

/* ---- one turn ---------------------------------------------------------------------------- */

static int64_t bin_start_s(const struct levee_run *r)
{
	return (int64_t)(r->clock.start_ns / LEVEE_NS_PER_S);
}

void levee_run_complain_of_drain(struct levee_run *r, int ret, uint64_t now_ns)
{
	r->drain_failed = true;
	if (levee_log_allowed(&r->drain_limit, LEVEE_LOG_ERROR, now_ns))
		levee_error("counts could not be read: %s; packets and blocks in force are not "
			    "affected, and the next try is at the next bin",
			    strerror(-ret));
}

/* An interface that came back is attached to again, which takes a power that is laid down. */
static void check_links(struct levee_run *r)
{
	levee_privilege_raise();
	levee_run_check_path(r);
	levee_run_check_allowance(r);
	levee_privilege_lower();
}

static void close_bin(struct levee_run *r, struct levee_time *now)
{
	int64_t ended_s = bin_start_s(r);
	unsigned int parts = levee_binclock_next(&r->clock, now->boot_ns, now->unix_ns);
	struct levee_time bin_now = { .boot_ns = now->boot_ns, .unix_ns = r->clock.start_ns };
	int64_t skipped_s = bin_start_s(r) - ended_s -
			    (int64_t)parts * (int64_t)r->config->detect.bin;
	int ret;

	if (skipped_s > 0) {
		levee_controller_shift(&r->controller, skipped_s);
		ended_s += skipped_s;
	}
	if (r->clock.stepped_ns) {
		levee_warning("the wall clock stepped by %.3f s; bins go on, blocks are timed by "
			      "the boot clock and do not change",
			      (double)r->clock.stepped_ns / (double)LEVEE_NS_PER_S);
		r->clock.stepped_ns = 0;
	}
	check_links(r);
	levee_run_refresh_allowlist(r);
	ret = levee_controller_drain(&r->controller, bin_start_s(r));
	if (!ret)
		ret = levee_controller_close(&r->controller, ended_s, parts);
	r->drain_failed = false;
	if (ret)
		levee_run_complain_of_drain(r, ret, now->boot_ns);
	levee_run_ask_fleet(r);
	levee_run_breathe(r);
	levee_controller_evaluate(&r->controller, &bin_now);
	levee_run_breathe(r);
	levee_controller_save(&r->controller);
	levee_watch_clear(&r->watch);
}

uint64_t levee_run_bin_time_ns(const struct levee_run *r, const struct levee_time *now)
{
	return r->clock.start_ns +
	       (now->boot_ns - r->clock.opened_ns) % (r->config->detect.bin * LEVEE_NS_PER_S);
}

static void drain_early(struct levee_run *r, const struct levee_time *now)
{
	struct levee_time bin_now = { .boot_ns = now->boot_ns,
				      .unix_ns = levee_run_bin_time_ns(r, now) };
	int ret = levee_controller_drain_part(&r->controller, bin_start_s(r));

	if (ret)
		levee_run_complain_of_drain(r, ret, now->boot_ns);
	levee_controller_trip_all(&r->controller, &bin_now);
	levee_controller_release(&r->controller);
	if (r->controller.save_later)
		levee_controller_save(&r->controller);
}

static void evaluate_early(struct levee_run *r, const struct levee_time *now)
{
	uint64_t every_ns = r->config->detect.evaluate_every * LEVEE_NS_PER_S;
	struct levee_time bin_now = { .boot_ns = now->boot_ns,
				      .unix_ns = levee_run_bin_time_ns(r, now) };

	drain_early(r, now);
	levee_run_ask_fleet(r);
	levee_controller_evaluate(&r->controller, &bin_now);
	levee_controller_save(&r->controller);
	r->next_evaluation_ns += every_ns;
}

/*
 * A source has a further share of packets on one CPU: is it over the threshold by now? The block
 * is in force when this returns. It is stored when all that tripped have been looked at, because a
 * transaction takes as long as the disk does; until then the kernel's own table remembers it.
 */
static void on_trip(struct levee_run *r, const struct levee_prefix *source)
{
	struct levee_counts counts;
	struct levee_time now;
	uint64_t packets;
	int ret;

	levee_dataplane_now(r->dp, &now);
	now.unix_ns = levee_run_bin_time_ns(r, &now);
	r->watch.every_ns = levee_run_share_every_ns(r);
	r->dp->ops->count(r->dp, source, &counts);
	ret = levee_controller_trip(&r->controller, source, counts.packets, &now);
	if (ret > 0)
		r->tripped = true;
	packets = counts.packets + levee_bin_get(r->controller.bin, source);
	/* One above it that is not blocked, an operator wants so. */
	if (!ret && r->controller.trip.armed && packets <= r->controller.trip.threshold)
		levee_watch_note(&r->watch, source, packets, r->controller.trip.threshold,
				 now.boot_ns);
	else
		levee_watch_forget(&r->watch, source);
}

/* Sources that an event has told of, at the time when they should have crossed. */
static void look_again(struct levee_run *r)
{
	struct levee_prefix source;
	struct levee_time now;

	levee_dataplane_now(r->dp, &now);
	while (levee_watch_due(&r->watch, now.boot_ns, &source))
		on_trip(r, &source);
}

static void save_tripped(struct levee_run *r)
{
	if (r->tripped)
		levee_controller_save(&r->controller);
	r->tripped = false;
}

void levee_run_schedule(struct levee_run *r)
{
	uint64_t every_ns = r->config->detect.evaluate_every * LEVEE_NS_PER_S;

	r->next_evaluation_ns = every_ns ? r->clock.opened_ns + every_ns : LEVEE_NEVER;
}

static void on_time(struct levee_run *r)
{
	struct levee_time now;

	levee_dataplane_now(r->dp, &now);
	if (levee_binclock_due(&r->clock, now.boot_ns, now.unix_ns)) {
		close_bin(r, &now);
		levee_run_schedule(r);
	} else if (now.boot_ns >= r->next_evaluation_ns) {
		evaluate_early(r, &now);
	}
	if (now.boot_ns >= levee_blocks_next_expiry(r->controller.blocks)) {
		levee_controller_expire(&r->controller, &now);
		levee_controller_save(&r->controller);
	}
	levee_run_expire_operator(r, &now);
}

static void on_signal(struct levee_run *r)
{
	struct signalfd_siginfo info;

	if (read(r->signal_fd, &info, sizeof(info)) != (ssize_t)sizeof(info))
		return;
	if (info.ssi_signo == SIGHUP) {
		levee_notify_reloading(&r->notify);
		levee_run_reload(r, NULL);
		levee_notify(&r->notify, "READY=1");
		return;
	}
	r->stop = true;
}

static uint64_t min_ns(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static int turn(struct levee_run *r)
{
	struct levee_dp_event event;
	struct levee_time now;
	uint64_t until_ns;
	int ret;

	levee_dataplane_now(r->dp, &now);
	until_ns = min_ns(r->clock.end_boot_ns, now.boot_ns + LOOK_NS);
	until_ns = min_ns(until_ns, r->next_evaluation_ns);
	until_ns = min_ns(until_ns, r->notify.next_ns);
	until_ns = min_ns(until_ns, levee_blocks_next_expiry(r->controller.blocks));
	until_ns = min_ns(until_ns, levee_watch_next(&r->watch));
	if (r->tripped)
		until_ns = now.boot_ns;
	ret = levee_dataplane_wait(r->dp, until_ns, &event);
	if (ret)
		return ret;
	if (event.type == LEVEE_DP_TRIP) {
		r->view.trip_events++;
		on_trip(r, &event.source);
	}
	look_again(r);
	if (event.type == LEVEE_DP_TRIP)
		return 0;
	save_tripped(r);
	if (event.type == LEVEE_DP_PRESSURE)
		drain_early(r, &now);
	else if (event.type == LEVEE_DP_SIGNAL && event.fd == r->signal_fd)
		on_signal(r);
	else if (event.type == LEVEE_DP_SIGNAL)
		levee_run_serve(r);
	levee_run_tend_path(r);
	levee_run_tend_aws(r);
	levee_run_tend_fleet(r);
	on_time(r);
	levee_dataplane_now(r->dp, &now);
	levee_run_drill_tick(r, &now);
	levee_run_publish(r, &now);
	levee_notify_alive(&r->notify, now.boot_ns);
	return 0;
}

/* ---- starting ---------------------------------------------------------------------------- */

static int open_signals(struct levee_run *r)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	r->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return r->signal_fd < 0 ? -errno : 0;
}

static int read_boot_id(char *boot_id, size_t size)
{
	FILE *f = fopen(BOOT_ID, "re");
	size_t n;

	if (!f)
		return -errno;
	n = fread(boot_id, 1, size - 1, f);
	fclose(f);
	boot_id[n] = '\0';
	boot_id[strcspn(boot_id, "\n")] = '\0';
	return n ? 0 : -EIO;
}

struct levee_controller_options levee_run_options(const struct levee_run *r)
{
	const struct levee_config *config = r->config;

	return (struct levee_controller_options){
		.bin_s = (unsigned int)config->detect.bin,
		.window_s = (unsigned int)config->detect.window,
		.detect = { .min_zscore = config->detect.min_zscore,
			    .min_packets = config->detect.min_packets,
			    .min_bytes = config->detect.min_bytes,
			    .min_syns = config->detect.min_syns,
			    .soft_zscore = config->detect.soft_zscore },
		.detector = levee_config_detector(config),
		.repeat_memory_s = (unsigned int)config->block.repeat_memory,
		.repeat_factor = config->block.repeat_factor,
		.max_block_s = config->block.max_block,
		.flows = levee_run_wants_flows(config),
		.keep_good = config->nacl.enabled && config->nacl.strategy == LEVEE_NACL_COVER,
		.limit_pps = config->block.limit_rate,
		.limit_burst = config->block.limit_burst,
		.trip = { .on = config->detect.fast,
			  .warmup_bins = (unsigned int)config->detect.warmup_bins,
			  .cpus = levee_run_cpus(r) },
		.max_sources = config->detect.max_sources,
		.boot_id = r->boot_id,
		.maps_id = levee_run_maps_id(r),
	};
}

static int open_controller(struct levee_run *r)
{
	struct levee_controller_options options = levee_run_options(r);
	int ret = levee_controller_init(&r->controller, r->dp, r->store, &options);

	r->controller.parts = r->parts;
	r->controller.on_close = levee_run_on_close;
	r->controller.on_report = levee_run_on_report;
	r->controller.on_block = levee_run_on_block;
	r->controller.is_exempt = levee_run_is_exempt;
	r->controller.on_share = levee_run_on_share;
	r->controller.drill = levee_run_drill_judge;
	r->controller.breathe = levee_run_breathe;
	r->controller.put_again = levee_run_put_operator_again;
	r->controller.ctx = r;
	return ret;
}

static void say_started(struct levee_run *r)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	if (out) {
		r->dp->ops->describe(r->dp, out);
		fclose(out);
	}
	levee_notice("levee " LEVEE_VERSION " on %s%s; mode %s, bins of %llu s, window %llu s, "
		     "%zu bins and %zu blocks taken over, %zu prefixes allowed",
		     text ? text : "?", levee_run_resumed(r) ? " (taken over)" : "",
		     levee_run_mode(r->config), (unsigned long long)r->config->detect.bin,
		     (unsigned long long)r->config->detect.window,
		     levee_window_bins(r->controller.window),
		     levee_blocks_count(r->controller.blocks),
		     levee_policy_allowed(levee_dataplane_policy(r->dp)));
	free(text);
}

/* Two daemons in one file would each delete what the other keeps. The lock dies with us. */
static int lock_state(struct levee_run *r)
{
	const char *path = r->config->state.file;
	int ret;

	r->state_lock_fd = open(path, O_RDONLY | O_CLOEXEC);
	if (r->state_lock_fd >= 0 && !flock(r->state_lock_fd, LOCK_EX | LOCK_NB))
		return 0;
	ret = -errno;
	if (ret == -EWOULDBLOCK)
		levee_error("another levee runs with [state] file = %s; stop it first, or give "
			    "this one a file of its own",
			    path);
	else
		levee_error("%s: cannot be locked: %s; set [state] file to a file on a local disk",
			    path, strerror(-ret));
	return ret;
}

/*
 * The time that bins are named by. The process before named the open epoch, and boot time tells
 * what its names would have come to; a wall clock that is elsewhere stepped meanwhile. The bin
 * clock then takes up the old names and sees the step itself, as it does in a running process, so
 * that the stored window is not lost. An epoch is opened up to a bin after the start of its bin.
 */
static uint64_t bin_names_now_ns(const struct levee_run *r, const struct levee_time *now)
{
	uint64_t slack_ns = 2 * r->config->detect.bin * LEVEE_NS_PER_S;
	struct levee_drained open;
	uint64_t names_ns;

	r->dp->ops->peek(r->dp, &open);
	if (!open.bin_ns || open.opened_ns > now->boot_ns)
		return now->unix_ns;
	names_ns = open.bin_ns + (now->boot_ns - open.opened_ns);
	if (names_ns > now->unix_ns || names_ns + slack_ns < now->unix_ns)
		return names_ns;
	return now->unix_ns;
}

/* Those that talk to the outside; their threads have no capability. */
static int start_services(void *ctx)
{
	struct levee_run *r = ctx;
	int ret = levee_run_start_aws(r);

	if (!ret)
		ret = levee_run_start_fleet(r);
	if (!ret)
		levee_run_open_api(r);
	return ret;
}

/*
 * In this order: nothing is attached before the allow list and the stored blocks are in the
 * policy, so the first packet already meets both; and nothing is taken up that was counted before
 * this process while the program of the one before may still count there.
 */
static int start(struct levee_run *r)
{
	struct levee_time now;
	int ret;

	if (r->config->state.file[0]) {
		ret = levee_store_open(&r->store, r->config->state.file, levee_run_say_warning, r);
		if (ret) {
			levee_error("not started without the state file %s: see above; with "
				    "[state] file left empty nothing is kept over a restart",
				    r->config->state.file);
			return ret;
		}
		ret = lock_state(r);
		if (ret)
			return ret;
		levee_running_open(&r->parts, r->config->state.file, r->boot_id,
				   levee_run_say_warning, r);
	}
	ret = levee_run_open_path(r);
	if (ret)
		return ret;
	ret = levee_run_open_board(r);
	if (ret) {
		levee_error("cannot set up the board: %s", strerror(-ret));
		return ret;
	}
	ret = open_controller(r);
	if (ret) {
		levee_error("cannot set up the controller: %s", strerror(-ret));
		return ret;
	}
	ret = levee_run_open_aws(r);
	if (ret)
		return ret;
	ret = levee_run_open_allowlist(r);
	if (ret)
		return ret;
	r->dp->ops->set_scope(r->dp, &r->config->scope.compiled);
	levee_run_apply_mode(r);

	levee_dataplane_now(r->dp, &now);
	levee_binclock_start(&r->clock, r->config->detect.bin * LEVEE_NS_PER_S, now.boot_ns,
			     bin_names_now_ns(r, &now));
	levee_run_schedule(r);
	if (levee_controller_restore(&r->controller, &now, bin_start_s(r)))
		levee_warning("not all of the state could be read; see above");
	levee_run_load_operator(r, &now);
	ret = levee_run_open_fleet(r);
	if (ret)
		return ret;
	levee_run_open_drill(r);

	ret = levee_run_start_path(r);
	if (ret)
		return ret;
	levee_run_resume(r, &now);
	ret = r->dp->ops->watch(r->dp, r->signal_fd);
	if (!ret)
		ret = r->dp->ops->watch(r->dp, levee_board_fd(r->board));
	if (ret)
		return ret;
	ret = levee_privilege_reduce();
	if (ret)
		levee_warning("capabilities that are not needed any more could not be given up: %s",
			      strerror(-ret));
	ret = levee_run_settle_path(r);
	if (ret)
		levee_warning("no thread waits for running programs: %s; at the end of a bin an "
			      "unblock may take tens of milliseconds",
			      strerror(-ret));
	ret = levee_privilege_run(start_services, r);
	if (ret)
		return ret;
	say_started(r);
	levee_notify(&r->notify, "READY=1\nSTATUS=Attached; %zu blocks taken over",
		     levee_blocks_count(r->controller.blocks));
	return 0;
}

/*
 * What was counted of the running bin goes beside the state file, where also a build that cannot read
 * these maps finds it. If that fails it stays where it is, drained and not released.
 */
static void keep_running_bin(struct levee_run *r)
{
	struct levee_controller *c = &r->controller;
	struct levee_time now;
	int ret;

	levee_dataplane_now(r->dp, &now);
	levee_controller_keep_hits(c, now.boot_ns);
	if (!c->parts) {
		levee_controller_save(c);
		return;
	}
	ret = levee_controller_drain_part(c, bin_start_s(r));
	levee_dataplane_now(r->dp, &now);
	if (ret)
		levee_run_complain_of_drain(r, ret, now.boot_ns);
	else if (!c->parts_short)
		levee_controller_save(c);
}

int levee_run(struct levee_config *config, const struct levee_run_source *source)
{
	struct levee_run r = { .config = config,
			       .live_config = config,
			       .source = source,
			       .state_lock_fd = -1,
			       .signal_fd = -1,
			       .notify = { .fd = -1, .next_ns = UINT64_MAX },
			       .drain_limit = { .period_ns = 60 * LEVEE_NS_PER_S, .burst = 3 } };
	int ret;

	if (config->data_path.type == LEVEE_PATH_XDP && !config->data_path.interfaces.n) {
		levee_error(
			"%s: [data_path] interfaces is empty: name the interfaces that face the "
			"load balancer, for example `interfaces = ens5`",
			source->path);
		return -EINVAL;
	}
	ret = levee_notify_open(&r.notify);
	if (ret)
		levee_warning("NOTIFY_SOCKET cannot be reached: %s; the service manager will not "
			      "hear that levee is ready",
			      strerror(-ret));
	ret = read_boot_id(r.boot_id, sizeof(r.boot_id));
	if (ret) {
		levee_error("cannot read " BOOT_ID ": %s; mount proc on /proc", strerror(-ret));
		return ret;
	}
	ret = open_signals(&r);
	if (ret) {
		levee_error("cannot receive signals: %s", strerror(-ret));
		return ret;
	}
	ret = start(&r);
	while (!ret && !r.stop)
		ret = turn(&r);
	levee_notify(&r.notify, "STOPPING=1");
	if (r.stop)
		keep_running_bin(&r);
	if (r.stop)
		levee_notice("stopped; %s", levee_run_stopped(&r));
	else if (r.dp && ret)
		levee_error("stopped: %s", strerror(-ret));
	levee_run_stop_aws(&r); /* it asks the fleet who leads */
	levee_run_stop_fleet(&r);
	levee_run_close_drill(&r);
	levee_run_close_board(&r);
	levee_controller_clear(&r.controller);
	levee_run_close_aws(&r);
	levee_allowlist_clear(&r.automatic);
	levee_allowlist_clear(&r.from_file);
	levee_operator_clear(&r.exemptions);
	levee_operator_clear(&r.allowed);
	levee_running_close(&r.parts);
	levee_store_close(&r.store);
	levee_dataplane_close(&r.dp);
	levee_notify_close(&r.notify);
	if (r.state_lock_fd >= 0)
		close(r.state_lock_fd);
	if (r.signal_fd >= 0)
		close(r.signal_fd);
	return ret;
}
