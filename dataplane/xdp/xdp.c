/* SPDX-License-Identifier: BSD-2-Clause */
#include "dataplane/xdp/xdp_internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include <linux/magic.h>

#include "ebpf/levee.skel.h"
#include "ebpf/list.skel.h"

static struct levee_xdp *of(struct levee_dataplane *dp)
{
	return (struct levee_xdp *)dp;
}

/* ---- saying ------------------------------------------------------------------------------ */

void levee_xdp_say(const struct levee_xdp *x, enum levee_xdp_say level, const char *format, ...)
{
	char message[LEVEE_SAY_MAX];
	va_list args;

	va_start(args, format);
	vsnprintf(message, sizeof(message), format, args);
	va_end(args);
	if (x->say)
		x->say(x->say_ctx, level, message);
}

/* libbpf has one print function for the whole process; the last complaint is the one that counts. */
static char complaint[256];

/* Of the verifier's log the last line but its statistics, which says what it does not like. */
static void note_verdict(const char *format, va_list args)
{
	char *log = NULL, *line, *rest;

	if (vasprintf(&log, format, args) < 0)
		return;
	for (line = strtok_r(log, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
		if (!strstr(line, "PROG LOAD LOG") && strncmp(line, "processed ", 10) != 0)
			snprintf(complaint, sizeof(complaint), "%s", line);
	free(log);
}

static int on_libbpf(enum libbpf_print_level level, const char *format, va_list args)
{
	static const char mark[] = "Kernel error message: ";
	char text[sizeof(complaint)];
	char *at;

	if (level > LIBBPF_WARN)
		return 0;
	if (strstr(format, "BEGIN PROG LOAD LOG")) {
		note_verdict(format, args);
		return 0;
	}
	vsnprintf(text, sizeof(text), format, args);
	text[strcspn(text, "\n")] = '\0';
	at = strstr(text, mark);
	if (at)
		snprintf(complaint, sizeof(complaint), "%s", at + sizeof(mark) - 1);
	else if (!complaint[0])
		snprintf(complaint, sizeof(complaint), "%s", text);
	return 0;
}

const char *levee_xdp_kernel_says(void)
{
	return complaint;
}

void levee_xdp_forget_complaint(void)
{
	complaint[0] = '\0';
}

/* ---- clocks and waiting ------------------------------------------------------------------ */

static uint64_t clock_ns(clockid_t id)
{
	struct timespec t;

	clock_gettime(id, &t);
	return (uint64_t)t.tv_sec * LEVEE_NS_PER_S + (uint64_t)t.tv_nsec;
}

uint64_t levee_xdp_boot_ns(void)
{
	return clock_ns(CLOCK_BOOTTIME);
}

static void xdp_now(struct levee_dataplane *dp, struct levee_time *now)
{
	(void)dp;
	now->boot_ns = clock_ns(CLOCK_BOOTTIME);
	now->unix_ns = clock_ns(CLOCK_REALTIME);
}

static bool is_waiting(const struct levee_xdp *x, const struct levee_prefix *source)
{
	for (unsigned int i = x->n_told; i < x->n_tripped; i++)
		if (!levee_prefix_compare(&x->tripped[i], source))
			return true;
	return false;
}

/* A source that finds no place is told of at its next share. */
static void note_trip(struct levee_xdp *x, const struct levee_event *e)
{
	struct levee_prefix source = { .hi = e->hi,
				       .lo = e->lo,
				       .family = e->family == 4 ? 4 : 6,
				       .length = e->family == 4 ? 32 : x->dp.source6_length };

	if (x->n_tripped < TRIPS && !is_waiting(x, &source))
		x->tripped[x->n_tripped++] = source;
}

static int on_event(void *ctx, void *data, size_t size)
{
	struct levee_xdp *x = ctx;
	const struct levee_event *e = data;

	if (size < sizeof(*e) || e->seq != levee_read_once(x->maps.page->control.seq))
		return 0;
	if (e->type == LEVEE_EVENT_PRESSURE)
		x->pressure = true;
	else if (e->type == LEVEE_EVENT_TRIP)
		note_trip(x, e);
	return 0;
}

/* \return true if something that the ring buffer said is left to be told */
static bool tell_event(struct levee_xdp *x, struct levee_dp_event *event)
{
	if (x->pressure) {
		x->pressure = false;
		event->type = LEVEE_DP_PRESSURE;
		return true;
	}
	if (x->n_told < x->n_tripped) {
		event->type = LEVEE_DP_TRIP;
		event->source = x->tripped[x->n_told++];
		return true;
	}
	x->n_told = x->n_tripped = 0;
	return false;
}

static int arm(const struct levee_xdp *x, uint64_t until_boot_ns)
{
	/* Zero would disarm it; 1 ns after boot is past, too. */
	uint64_t at = until_boot_ns ? until_boot_ns : 1;
	struct itimerspec when = { .it_value = { .tv_sec = (time_t)(at / LEVEE_NS_PER_S),
						 .tv_nsec = (long)(at % LEVEE_NS_PER_S) } };

	return timerfd_settime(x->timer_fd, TFD_TIMER_ABSTIME, &when, NULL) ? -errno : 0;
}

static int xdp_wait(struct levee_dataplane *dp, uint64_t until_boot_ns,
		    struct levee_dp_event *event)
{
	struct levee_xdp *x = of(dp);
	struct epoll_event ready;
	uint64_t ticks;
	int n, ret;

	*event = (struct levee_dp_event){ 0 };
	if (tell_event(x, event))
		return 0;
	ret = arm(x, until_boot_ns);
	if (ret)
		return ret;
	for (;;) {
		n = epoll_wait(x->epoll_fd, &ready, 1, -1);
		if (n < 0 && errno != EINTR)
			return -errno;
		if (n <= 0)
			continue;
		*event = (struct levee_dp_event){ .type = LEVEE_DP_SIGNAL, .fd = ready.data.fd };
		if (ready.data.fd == x->timer_fd) {
			/* Only empties it; a spurious wake-up finds nothing there. */
			if (read(x->timer_fd, &ticks, sizeof(ticks)) < 0 && errno == EAGAIN)
				continue;
			event->type = LEVEE_DP_DEADLINE;
			return 0;
		}
		if (x->ring && ready.data.fd == ring_buffer__epoll_fd(x->ring)) {
			ring_buffer__consume(x->ring);
			if (!tell_event(x, event))
				continue;
			return 0;
		}
		return 0;
	}
}

static int watch_fd(const struct levee_xdp *x, int fd)
{
	struct epoll_event e = { .events = EPOLLIN, .data.fd = fd };

	return epoll_ctl(x->epoll_fd, EPOLL_CTL_ADD, fd, &e) ? -errno : 0;
}

static int xdp_watch(struct levee_dataplane *dp, int fd)
{
	return watch_fd(of(dp), fd);
}

/* ---- epochs ------------------------------------------------------------------------------ */

static uint64_t start_fence(void *ctx)
{
	return levee_fence_start(((struct levee_xdp *)ctx)->fence);
}

static void wait_fence(void *ctx, uint64_t nr)
{
	struct levee_xdp *x = ctx;
	int ret = levee_fence_wait(x->fence, nr);

	if (ret)
		levee_xdp_say(x, LEVEE_XDP_WARNING,
			      "the kernel did not wait for running programs: %s; counts of this "
			      "bin may be short by packets in flight",
			      strerror(-ret));
}

/* The owner has other work meanwhile. */
static void fence(struct levee_xdp *x)
{
	uint64_t nr = start_fence(x);
	int fd = levee_fence_fd(x->fence);
	eventfd_t unused;

	while (fd >= 0 && x->dp.await && !levee_fence_passed(x->fence, nr)) {
		x->dp.await(x->dp.ctx, fd);
		(void)eventfd_read(fd, &unused);
	}
	wait_fence(x, nr);
}

static void fill_drained(const struct mapset *maps, uint64_t seq, struct levee_drained *drained)
{
	struct levee_rows rows = levee_mapset_rows(maps);

	levee_rows_describe(&rows, seq, drained);
}

static int xdp_drain(struct levee_dataplane *dp, uint64_t bin_ns, const struct levee_sink *sink,
		     struct levee_drained *drained)
{
	struct levee_xdp *x = of(dp);
	struct levee_control *c = &x->maps.page->control;
	uint64_t seq = c->seq;

	if (x->unreleased)
		return -EBUSY;
	levee_mapset_size_next(&x->maps, (uint32_t)(seq & 1));
	c->opened_ns[(seq + 1) & 1] = levee_xdp_boot_ns();
	c->bin_ns[(seq + 1) & 1] = bin_ns;
	__atomic_store_n(&c->seq, seq + 1, __ATOMIC_RELEASE);
	x->unreleased = true;
	fence(x);
	fill_drained(&x->maps, seq, drained);
	return levee_mapset_walk(x, &x->maps, (uint32_t)(seq & 1), sink, &drained->account);
}

/* Of maps of another geometry, left by the process before: one of both epochs, in their order. */
static uint64_t left_before(const struct levee_xdp *x)
{
	const struct levee_control *c = &x->before.page->control;

	return c->drained + 1 < c->seq ? c->seq - 1 : c->seq;
}

/* Maps that others took the place of have nothing more to say. */
static void forget_drained(struct levee_xdp *x)
{
	const struct levee_control *c = &x->before.page->control;

	if (c->drained < c->seq)
		return;
	levee_mapset_close(&x->before);
	levee_mapset_unpin(x->pin, LEVEE_ASIDE);
	x->has_before = x->is_aside = false;
}

static uint64_t xdp_left(struct levee_dataplane *dp)
{
	const struct levee_xdp *x = of(dp);
	const struct levee_control *c = &x->maps.page->control;

	if (x->has_before)
		return left_before(x);
	return c->drained + 1 < c->seq ? c->seq - 1 : 0;
}

static int xdp_redrain(struct levee_dataplane *dp, const struct levee_sink *sink,
		       struct levee_drained *drained)
{
	struct levee_xdp *x = of(dp);
	uint64_t seq = xdp_left(dp);
	int ret;

	if (x->unreleased)
		return -EBUSY;
	if (x->has_before) {
		fill_drained(&x->before, seq, drained);
		ret = levee_mapset_walk(x, &x->before, (uint32_t)(seq & 1), sink,
					&drained->account);
		x->unreleased = !ret;
		return ret;
	}
	if (!seq)
		return -ENOENT;
	x->unreleased = true;
	fence(x); /* the process before may have died right after it switched */
	fill_drained(&x->maps, seq, drained);
	return levee_mapset_walk(x, &x->maps, (uint32_t)(seq & 1), sink, &drained->account);
}

static void xdp_release(struct levee_dataplane *dp)
{
	struct levee_xdp *x = of(dp);
	struct levee_control *c = &x->maps.page->control;

	if (!x->unreleased)
		return;
	x->unreleased = false;
	if (x->has_before) {
		x->before.page->control.drained = left_before(x);
		forget_drained(x);
		return;
	}
	levee_mapset_clear(x, (uint32_t)((c->seq - 1) & 1));
	__atomic_store_n(&c->drained, c->seq - 1, __ATOMIC_RELEASE);
}

static void xdp_peek(struct levee_dataplane *dp, struct levee_drained *open)
{
	struct levee_xdp *x = of(dp);
	uint64_t seq = x->maps.page->control.seq;

	fill_drained(&x->maps, seq, open);
	levee_mapset_walk(x, &x->maps, (uint32_t)(seq & 1), NULL, &open->account);
}

/* ---- settings ---------------------------------------------------------------------------- */

static void xdp_count(struct levee_dataplane *dp, const struct levee_prefix *source,
		      struct levee_counts *sum)
{
	struct levee_rows rows = levee_mapset_rows(&of(dp)->maps);

	*sum = levee_rows_count(&rows, (uint32_t)(rows.control->seq & 1), source);
}

static void xdp_set_trip(struct levee_dataplane *dp, uint64_t share)
{
	struct levee_rows rows = levee_mapset_rows(&of(dp)->maps);

	levee_rows_set_share(&rows, share);
}

static void xdp_set_audit(struct levee_dataplane *dp, bool audit)
{
	levee_write_once(of(dp)->maps.page->control.audit, audit);
}

static void xdp_set_scope(struct levee_dataplane *dp, const struct levee_scope *scope)
{
	levee_scope_publish(&of(dp)->maps.page->scope, scope);
}

static void xdp_describe(struct levee_dataplane *dp, FILE *out)
{
	const struct levee_xdp *x = of(dp);

	for (size_t i = 0; i < x->n_links; i++)
		fprintf(out, "%s%s %s", i ? ", " : "", x->links[i].name,
			x->links[i].native ? "native" : "generic");
	fprintf(out, "; %u CPUs, room for %u IPv4 and %u IPv6 sources each, %u rules",
		x->maps.geo.cpus, LEVEE_SLOTS << x->maps.geo.bits4,
		LEVEE_SLOTS << x->maps.geo.bits6, x->maps.geo.rules - 1);
}

/* ---- closing ----------------------------------------------------------------------------- */

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static void xdp_close(struct levee_dataplane *dp)
{
	struct levee_xdp *x = of(dp);

	if (x->other) {
		pthread_join(x->loader, NULL);
		levee_bpf__destroy(x->other->skel);
		free(x->other);
	}
	levee_policy_free(&x->dp.policy);
	levee_relic_free(&x->relic);
	levee_fence_free(&x->fence);
	levee_links_close(x);
	ring_buffer__free(x->ring);
	list_bpf__destroy(x->list);
	levee_bpf__destroy(x->skel);
	levee_mapset_close(&x->maps);
	levee_mapset_close(&x->before);
	close_fd(&x->timer_fd);
	close_fd(&x->epoll_fd);
	if (x->lock_fd >= 0)
		rmdir(x->pin); /* stays if it holds anything, as it does once started */
	close_fd(&x->lock_fd);
	free(x);
}

static const struct levee_dataplane_ops xdp_ops = {
	.name = "xdp",
	.now = xdp_now,
	.wait = xdp_wait,
	.watch = xdp_watch,
	.drain = xdp_drain,
	.left = xdp_left,
	.redrain = xdp_redrain,
	.release = xdp_release,
	.peek = xdp_peek,
	.count = xdp_count,
	.set_trip = xdp_set_trip,
	.set_audit = xdp_set_audit,
	.set_scope = xdp_set_scope,
	.describe = xdp_describe,
	.close = xdp_close,
};

/* ---- opening ----------------------------------------------------------------------------- */

static bool is_bpffs(const char *path)
{
	struct statfs fs;

	return !statfs(path, &fs) && (unsigned long)fs.f_type == BPF_FS_MAGIC;
}

/* The nearest directory above the pins that is there must be on a BPF file system. */
static int check_pin_dir(const struct levee_xdp *x)
{
	char parent[PATH_MAX];
	char *slash;

	snprintf(parent, sizeof(parent), "%s", x->pin);
	slash = strrchr(parent, '/');
	if (!slash || slash == parent) {
		levee_xdp_say(x, LEVEE_XDP_ERROR,
			      "[data_path] pin = %s is not a path below a BPF file system", x->pin);
		return -EINVAL;
	}
	*slash = '\0';
	if (is_bpffs(x->pin) || is_bpffs(parent))
		return 0;
	levee_xdp_say(x, LEVEE_XDP_ERROR,
		      "%s is not on a BPF file system; mount one with `mount -t bpf bpf "
		      "/sys/fs/bpf` (systemd does by itself), or change [data_path] pin. "
		      "`ip netns exec` hides it: use `nsenter --net=/run/netns/NAME` instead",
		      parent);
	return -ENOTSUP;
}

/* One daemon a directory: its lock dies with it. */
static int lock_pin_dir(struct levee_xdp *x)
{
	int ret;

	if (mkdir(x->pin, 0700) && errno != EEXIST) {
		ret = -errno;
		levee_xdp_say(x, LEVEE_XDP_ERROR, "cannot make %s: %s; root is needed", x->pin,
			      strerror(-ret));
		return ret;
	}
	x->lock_fd = open(x->pin, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (x->lock_fd < 0) {
		ret = -errno;
		levee_xdp_say(x, LEVEE_XDP_ERROR, "cannot open %s: %s", x->pin, strerror(-ret));
		return ret;
	}
	if (flock(x->lock_fd, LOCK_EX | LOCK_NB)) {
		close_fd(&x->lock_fd);
		levee_xdp_say(x, LEVEE_XDP_ERROR,
			      "another levee runs with [data_path] pin = %s; stop it first, or "
			      "give this one a directory of its own",
			      x->pin);
		return -EBUSY;
	}
	return 0;
}

static void name_maps(struct levee_xdp *x)
{
	const struct levee_hash_key *key = &x->maps.geo.key;

	/* The hash key is random for each set of maps, and secret: its own hash names it. */
	snprintf(x->maps_id, sizeof(x->maps_id), "%016llx",
		 (unsigned long long)levee_hash6(key, key->mul_1 >> 7, key->mul_2 >> 9));
}

/* Of a process that was killed while it took the place of others: these are still to be drained. */
static void open_aside(struct levee_xdp *x)
{
	int ret = levee_mapset_open_pinned(&x->before, x->pin, LEVEE_ASIDE);

	x->has_before = x->is_aside = !ret;
	if (x->has_before)
		forget_drained(x);
	else if (ret != -ENOENT)
		levee_mapset_unpin(x->pin, LEVEE_ASIDE); /* of another version: nobody reads them */
}

/*
 * Pinned maps of the same sizes are taken over; of other sizes, they are drained and replaced. Not
 * while older ones still wait for that: only one set of maps can.
 */
static bool is_to_stay(struct levee_xdp *x, const struct levee_geometry *wanted)
{
	if (levee_mapset_fits(&x->maps, wanted))
		return true;
	if (!x->is_aside || x->maps.geo.source6_length != wanted->source6_length)
		return false;
	levee_xdp_say(
		x, LEVEE_XDP_NOTICE,
		"a start that changed the tables' sizes was killed, and older maps are still to be "
		"read: the sizes of those pinned in %s stay until the next start",
		x->pin);
	return true;
}

static int open_maps(struct levee_xdp *x, const struct levee_xdp_options *options)
{
	struct levee_geometry wanted;
	int ret = libbpf_num_possible_cpus();

	if (ret <= 0) {
		levee_xdp_say(x, LEVEE_XDP_ERROR,
			      "cannot tell how many CPUs there are from "
			      "/sys/devices/system/cpu/possible: mount sysfs on /sys");
		return ret ? ret : -EIO;
	}
	levee_geometry_from(&wanted, options);
	ret = levee_mapset_open_pinned(&x->maps, x->pin, LEVEE_MAPS);
	open_aside(x);
	if (!ret && is_to_stay(x, &wanted)) {
		x->resumed = true;
		return levee_mapset_load(x);
	}
	if (!ret) {
		levee_xdp_say(x, LEVEE_XDP_NOTICE,
			      "sizes changed: new maps take the place of those pinned in %s",
			      x->pin);
		levee_mapset_close(&x->before);
		x->before = x->maps;
		x->has_before = true;
		x->is_aside = false;
	} else if (ret != -ENOENT) {
		levee_xdp_say(x, LEVEE_XDP_WARNING,
			      "maps pinned in %s are of another version or damaged (%s): new ones "
			      "take their place; what they counted since a daemon stopped is lost, "
			      "and all else comes from the state file",
			      x->pin, strerror(-ret));
	}
	if ((ret != -ENOENT || x->is_aside) &&
	    levee_relic_open(&x->relic, x->pin, x->is_aside ? LEVEE_ASIDE : LEVEE_MAPS))
		levee_xdp_say(x, LEVEE_XDP_NOTICE,
			      "what each block has dropped so far is known from the state file "
			      "alone: the maps pinned in %s cannot be read",
			      x->pin);
	return levee_mapset_create(x, options);
}

/* What a kernel without it complains of, and since which Linux it is there. */
static const struct {
	const char *complaint;
	const char *feature;
} features[] = {
	{ "map 'events'", "ring buffers of BPF, Linux 5.8" },
	{ "map 'fence'", "arrays of BPF maps, Linux 4.12" },
	{ "unknown func", "a helper function of BPF, Linux 5.15" },
	{ "not found in kernel", "a kernel function for BPF programs, Linux 5.15" },
	{ "probe_loading", "BPF, CONFIG_BPF_SYSCALL" },
};

static const char *missing_feature(void)
{
	for (size_t i = 0; i < sizeof(features) / sizeof(features[0]); i++)
		if (strstr(complaint, features[i].complaint))
			return features[i].feature;
	return NULL;
}

static int explain_load(const struct levee_xdp *x, int ret)
{
	const char *feature = missing_feature();
	const char *colon = complaint[0] ? ": " : "";

	if (ret == -EPERM)
		levee_xdp_say(
			x, LEVEE_XDP_ERROR,
			"the kernel does not let this user load BPF programs: run as root, or "
			"with CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON");
	else if (ret == -ENOSYS)
		levee_xdp_say(x, LEVEE_XDP_ERROR,
			      "this kernel has no BPF (%s); Linux 5.15 or later with "
			      "CONFIG_BPF_SYSCALL is needed",
			      strerror(-ret));
	else if (ret == -ENOMEM || (ret == -E2BIG && strstr(complaint, "map '")))
		levee_xdp_say(x, LEVEE_XDP_ERROR,
			      "no memory for the maps (%s): lower [data_path] sources, sources6 or "
			      "rules, or raise RLIMIT_MEMLOCK (LimitMEMLOCK=infinity)",
			      strerror(-ret));
	else if (ret == -E2BIG && !complaint[0]) /* nobody asked the kernel */
		levee_xdp_say(
			x, LEVEE_XDP_ERROR,
			"tables for so many sources on %u possible CPUs have more entries than a "
			"BPF map can, 2^32: lower [data_path] sources or sources6",
			x->maps.geo.cpus);
	else if (ret == -E2BIG)
		levee_xdp_say(x, LEVEE_XDP_ERROR,
			      "this kernel's verifier gives up on the XDP program%s%s; use another "
			      "kernel, 5.15 or later, and please report which one this is (uname "
			      "-r)",
			      colon, complaint);
	else if (ret == -EMFILE || ret == -ENFILE)
		levee_xdp_say(
			x, LEVEE_XDP_ERROR,
			"no file descriptors for the maps (%s): raise the limit of open files "
			"(ulimit -n, LimitNOFILE) to 256 or more",
			strerror(-ret));
	else
		levee_xdp_say(x, LEVEE_XDP_ERROR,
			      "the kernel refuses the XDP program: %s%s%s%s%s; Linux 5.15 or later "
			      "with CONFIG_BPF_SYSCALL is needed",
			      strerror(-ret), colon, complaint, feature ? "; it lacks " : "",
			      feature ? feature : "");
	return ret;
}

static int open_policy(struct levee_xdp *x)
{
	struct levee_policy_memory memory = {
		.front = &x->maps.page->front,
		.far4 = x->maps.area[MAP_FAR4],
		.far6 = x->maps.area[MAP_FAR6],
		.buckets = x->maps.area[MAP_POLICY],
		.rules = x->maps.area[MAP_RULES],
		.hits = x->maps.area[MAP_HITS],
		.rule_bits = x->maps.geo.rule_bits,
		.rule_count = x->maps.geo.rules,
		.cpus = x->maps.geo.cpus,
		.source6_length = x->dp.source6_length,
		.key = x->maps.geo.key,
		.fence_start = start_fence,
		.fence_wait = wait_fence,
		.ctx = x,
	};

	int ret = levee_fence_new(&x->fence, x->maps.fd[MAP_FENCE]);

	if (!ret)
		ret = levee_policy_new(&x->dp.policy, &memory);
	if (!ret && x->relic)
		levee_relic_begin(x->relic, x->dp.policy);
	return ret;
}

static int open_events(struct levee_xdp *x)
{
	int ret;

	x->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	x->timer_fd = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK);
	if (x->epoll_fd < 0 || x->timer_fd < 0)
		return -errno;
	x->ring = ring_buffer__new(x->maps.fd[MAP_EVENTS], on_event, x, NULL);
	if (!x->ring)
		return -errno;
	ret = watch_fd(x, x->timer_fd);
	return ret ? ret : watch_fd(x, ring_buffer__epoll_fd(x->ring));
}

static int open_all(struct levee_xdp *x, const struct levee_xdp_options *options)
{
	int ret;

	if (geteuid() != 0)
		levee_xdp_say(x, LEVEE_XDP_NOTICE,
			      "not running as root: this works only with "
			      "CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON");
	ret = levee_links_open(x, options);
	if (ret)
		return ret;
	ret = check_pin_dir(x);
	if (ret)
		return ret;
	ret = lock_pin_dir(x);
	if (ret)
		return ret;
	levee_xdp_forget_complaint();
	ret = open_maps(x, options);
	if (ret)
		return libbpf_num_possible_cpus() > 0 ? explain_load(x, ret) : ret;
	name_maps(x);
	ret = open_policy(x);
	if (!ret)
		ret = open_events(x);
	if (ret)
		levee_xdp_say(x, LEVEE_XDP_ERROR, "cannot set up the data path: %s",
			      strerror(-ret));
	return ret;
}

int levee_xdp_open(struct levee_dataplane **out, const struct levee_xdp_options *options)
{
	struct levee_xdp *x = calloc(1, sizeof(*x));
	struct levee_dataplane *dp;
	int ret;

	*out = NULL;
	if (!x)
		return -ENOMEM;
	x->dp.ops = &xdp_ops;
	x->dp.source6_length = options->tables.source6_length;
	x->flows = x->wants_flows = options->tables.flows;
	x->lock_fd = x->epoll_fd = x->timer_fd = x->prog_fd = -1;
	levee_mapset_init(&x->maps);
	levee_mapset_init(&x->before);
	x->attach = options->attach;
	x->say = options->say;
	x->say_ctx = options->ctx;
	snprintf(x->pin, sizeof(x->pin), "%s", options->pin);
	libbpf_set_print(on_libbpf);

	ret = open_all(x, options);
	dp = &x->dp;
	if (ret) {
		levee_dataplane_close(&dp);
		return ret;
	}
	*out = dp;
	return 0;
}

/* ---- starting ---------------------------------------------------------------------------- */

static int pin_program(const struct levee_xdp *x)
{
	char path[PATH_MAX + 32];

	snprintf(path, sizeof(path), "%s/program", x->pin);
	unlink(path);
	return bpf_obj_pin(x->prog_fd, path) ? -errno : 0;
}

static const struct {
	const char *name;
	enum map_nr map; /* whose elements it goes through, see ebpf/list.bpf.c */
} list_table[] = {
	{ "sources4", MAP_FAR4 },
	{ "sources6", MAP_FAR4 },
	{ "rules", MAP_RULES },
};

static int pin_list(const struct levee_xdp *x, struct bpf_program *program, enum map_nr map,
		    const char *name)
{
	union bpf_iter_link_info info = { .map.map_fd = (uint32_t)x->maps.fd[map] };
	LIBBPF_OPTS(bpf_iter_attach_opts, opts, .link_info = &info, .link_info_len = sizeof(info));
	char path[PATH_MAX + 32];
	struct bpf_link *link;
	int ret;

	snprintf(path, sizeof(path), "%s/%s", x->pin, name);
	unlink(path);
	link = bpf_program__attach_iter(program, &opts);
	if (!link)
		return -errno;
	ret = bpf_link__pin(link, path);
	bpf_link__destroy(link);
	return ret;
}

static int load_lists(struct levee_xdp *x)
{
	int ret;

	x->list = list_bpf__open();
	if (!x->list)
		return -errno;
	memcpy((void *)&x->list->rodata->geo, &x->maps.geo, sizeof(x->maps.geo));
	ret = levee_mapset_reuse(x->list->obj, &x->maps);
	return ret ? ret : list_bpf__load(x->list);
}

/* For people who `cat`: the data path does not need it, so a kernel without it is no error. */
static void pin_lists(struct levee_xdp *x)
{
	int ret = load_lists(x);

	if (!ret)
		ret = pin_list(x, x->list->progs.list_sources4, list_table[0].map,
			       list_table[0].name);
	if (!ret)
		ret = pin_list(x, x->list->progs.list_sources6, list_table[1].map,
			       list_table[1].name);
	if (!ret)
		ret = pin_list(x, x->list->progs.list_rules, list_table[2].map, list_table[2].name);
	if (ret)
		levee_xdp_say(x, LEVEE_XDP_WARNING,
			      "no lists to `cat` in %s: %s%s%s; `levee list` and `bpftool map "
			      "dump` still work",
			      x->pin, strerror(-ret), complaint[0] ? ": " : "", complaint);
}

/* New maps take the place of the old, under the same names. */
static int pin_maps(struct levee_xdp *x)
{
	int ret;

	if (x->resumed)
		return 0;
	ret = levee_mapset_pin(x);
	if (ret)
		levee_xdp_say(
			x, LEVEE_XDP_ERROR,
			"cannot pin the maps in %s: %s; the user needs the right to write to this "
			"BPF "
			"file system, and the kernel CONFIG_BPF_SYSCALL (Linux 5.15 or later)",
			x->pin, strerror(-ret));
	return ret;
}

static void remove_pins(const char *pin);

int levee_xdp_start(struct levee_dataplane *dp)
{
	struct levee_xdp *x = of(dp);
	int ret;

	ret = pin_maps(x);
	if (!ret)
		ret = levee_links_start(x);
	if (ret) {
		if (!x->resumed && !x->has_before)
			remove_pins(x->pin);
		return ret;
	}
	if (x->has_before || x->relic)
		fence(x); /* nobody counts in the old maps any more */
	if (x->relic)
		levee_relic_end(x->relic, x->dp.policy);
	levee_relic_free(&x->relic);
	levee_xdp_forget_complaint();
	ret = pin_program(x);
	if (ret)
		levee_xdp_say(x, LEVEE_XDP_WARNING, "cannot pin the program in %s: %s", x->pin,
			      strerror(-ret));
	pin_lists(x);
	return 0;
}

/* ---- another program ------------------------------------------------------------------------ */

static void *load_other(void *arg)
{
	struct levee_xdp *other = arg;

	other->loaded = levee_mapset_load(other);
	atomic_store(&other->is_loaded, true);
	return NULL;
}

/* The verifier takes seconds, so it works on a thread of its own, for a twin of what is in force. */
static int begin_load(struct levee_xdp *x)
{
	struct levee_xdp *other = calloc(1, sizeof(*other));
	int ret;

	if (!other)
		return -ENOMEM;
	other->maps = x->maps;
	other->flows = x->wants_flows;
	other->say = x->say;
	other->say_ctx = x->say_ctx;
	other->prog_fd = -1;
	atomic_init(&other->is_loaded, false);
	levee_xdp_forget_complaint();
	ret = -pthread_create(&x->loader, NULL, load_other, other);
	if (ret)
		free(other);
	else
		x->other = other;
	return ret;
}

/* \return 0, and the other is in force; -errno, and it is gone */
static int install(struct levee_xdp *x, struct levee_xdp *other)
{
	struct levee_bpf *before = x->skel;
	int before_fd = x->prog_fd, ret;

	x->prog_fd = other->prog_fd;
	ret = levee_links_replace(x, before_fd);
	if (ret) {
		x->prog_fd = before_fd;
		levee_bpf__destroy(other->skel);
		return ret;
	}
	x->skel = other->skel;
	x->frags = other->frags;
	x->flows = other->flows;
	fence(x); /* the packets that the one before has begun are counted */
	levee_bpf__destroy(before);
	if (pin_program(x))
		levee_xdp_say(x, LEVEE_XDP_WARNING, "cannot pin the new program in %s", x->pin);
	return 0;
}

static void end_load(struct levee_xdp *x)
{
	struct levee_xdp *other = x->other;
	int ret;

	pthread_join(x->loader, NULL);
	x->other = NULL;
	ret = other->loaded;
	if (!ret && other->flows != x->wants_flows)
		levee_bpf__destroy(other->skel); /* said otherwise meanwhile */
	else if (!ret)
		ret = install(x, other);
	if (ret) {
		x->wants_flows = x->flows;
		levee_xdp_say(x, LEVEE_XDP_ERROR,
			      "TCP headers are looked at only after a restart, because another "
			      "program cannot take the place of the one in force: %s%s%s",
			      strerror(-ret), complaint[0] ? ": " : "", complaint);
	} else if (x->flows == x->wants_flows) {
		levee_xdp_say(x, LEVEE_XDP_NOTICE, "TCP headers are %s from now on",
			      x->flows ? "looked at" : "not looked at");
	}
	free(other);
}

int levee_xdp_set_flows(struct levee_dataplane *dp, bool flows)
{
	struct levee_xdp *x = of(dp);
	int ret;

	x->wants_flows = flows;
	if (x->other || x->flows == flows)
		return 0;
	ret = begin_load(x);
	if (ret)
		x->wants_flows = x->flows;
	return ret;
}

bool levee_xdp_is_due(const struct levee_dataplane *dp)
{
	const struct levee_xdp *x = (const struct levee_xdp *)dp;

	return x->other && atomic_load(&x->other->is_loaded);
}

void levee_xdp_tend(struct levee_dataplane *dp)
{
	struct levee_xdp *x = of(dp);

	if (!levee_xdp_is_due(dp))
		return;
	end_load(x);
	if (x->flows != x->wants_flows && begin_load(x))
		x->wants_flows = x->flows;
}

int levee_xdp_run_fences(struct levee_dataplane *dp)
{
	return levee_fence_run(of(dp)->fence);
}

void levee_xdp_check(struct levee_dataplane *dp)
{
	levee_links_check(of(dp));
}

const char *levee_xdp_maps_id(const struct levee_dataplane *dp)
{
	return ((const struct levee_xdp *)dp)->maps_id;
}

bool levee_xdp_resumed(const struct levee_dataplane *dp)
{
	return ((const struct levee_xdp *)dp)->resumed;
}

int levee_xdp_program_fd(const struct levee_dataplane *dp)
{
	return ((const struct levee_xdp *)dp)->prog_fd;
}

/* ---- taking it off ----------------------------------------------------------------------- */

static int remove_dir(const char *pin, const char *name, unsigned int *removed)
{
	char path[PATH_MAX + 300];
	struct dirent *e;
	DIR *dir;

	snprintf(path, sizeof(path), "%s/%s", pin, name);
	dir = opendir(path);
	if (!dir)
		return -errno;
	while ((e = readdir(dir))) {
		if (e->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/%s/%s", pin, name, e->d_name);
		if (!unlink(path))
			(*removed)++;
	}
	closedir(dir);
	snprintf(path, sizeof(path), "%s/%s", pin, name);
	return rmdir(path) ? -errno : 0;
}

/* A daemon that runs holds its links open, so taking the pins away would detach nothing. */
static unsigned int detach_links(const char *pin)
{
	char path[PATH_MAX + 300];
	unsigned int detached = 0;
	struct dirent *e;
	DIR *dir;
	int fd;

	snprintf(path, sizeof(path), "%s/links", pin);
	dir = opendir(path);
	if (!dir)
		return 0;
	while ((e = readdir(dir))) {
		if (e->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/links/%s", pin, e->d_name);
		fd = bpf_obj_get(path);
		if (fd < 0)
			continue;
		detached += bpf_link_detach(fd) == 0;
		close(fd);
	}
	closedir(dir);
	return detached;
}

static void remove_pins(const char *pin)
{
	static const char *const files[] = { "program", "sources4", "sources6", "rules" };
	char path[PATH_MAX + 32];
	unsigned int removed = 0;

	remove_dir(pin, "links", &removed);
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", pin, files[i]);
		unlink(path);
	}
	remove_dir(pin, LEVEE_MAPS, &removed);
	remove_dir(pin, LEVEE_ASIDE, &removed);
	rmdir(pin);
}

int levee_xdp_detach(const char *pin, bool force,
		     void (*say)(void *ctx, enum levee_xdp_say level, const char *message),
		     void *ctx)
{
	struct levee_xdp speaker = { .say = say, .say_ctx = ctx };
	unsigned int links;
	int fd, ret;

	fd = open(pin, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0) {
		ret = -errno;
		levee_xdp_say(&speaker, LEVEE_XDP_ERROR, "nothing is pinned in %s: %s", pin,
			      strerror(-ret));
		return ret;
	}
	if (!is_bpffs(pin)) {
		close(fd);
		levee_xdp_say(&speaker, LEVEE_XDP_ERROR,
			      "%s is not on a BPF file system: left alone", pin);
		return -ENOTSUP;
	}
	if (flock(fd, LOCK_EX | LOCK_NB) && !force) {
		close(fd);
		levee_xdp_say(
			&speaker, LEVEE_XDP_ERROR,
			"a levee runs with %s; stop it first, or use --force (packets pass at "
			"once, and the daemon goes blind)",
			pin);
		return -EBUSY;
	}
	links = detach_links(pin);
	remove_pins(pin);
	close(fd);
	levee_xdp_say(&speaker, LEVEE_XDP_NOTICE,
		      "detached from %u interface%s; nothing is left in %s", links,
		      links == 1 ? "" : "s", pin);
	return 0;
}
