/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/support/xdp.h"

#include <errno.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "dataplane/xdp/xdp_internal.h"
#include "tests/support/frame.h"

/* Before the frame in its page, and behind it (net/bpf/test_run.c). */
#define HEADROOM 256
#define TAILROOM 320

static struct levee_xdp *of(const struct levee_xdp_fixture *f)
{
	return (struct levee_xdp *)f->dp;
}

static void on_say(void *ctx, enum levee_xdp_say level, const char *message)
{
	struct levee_xdp_fixture *f = ctx;

	(void)level;
	snprintf(f->said, sizeof(f->said), "%s", message);
}

/* ---- opening and closing ----------------------------------------------------------------- */

static int open_dp(struct levee_xdp_fixture *f)
{
	static const char *const interfaces[] = { "lo" };
	struct levee_xdp_options options = { .interfaces = interfaces,
					     .n_interfaces = 1,
					     .attach = LEVEE_XDP_GENERIC,
					     .pin = f->pin,
					     .tables = { .sources = f->sizes.sources,
							 .sources6 = f->sizes.sources6,
							 .rules = f->sizes.rules,
							 .source6_length =
								 f->sizes.source6_length },
					     .say = on_say,
					     .ctx = f };

	return levee_xdp_open(&f->dp, &options);
}

/* Counts are of the CPU that runs the program, and the scheduler must not choose another. */
static void stay_here(void)
{
	int cpu = sched_getcpu();

	assert_true(cpu >= 0 && levee_xdp_on_cpu((unsigned int)cpu));
}

static void empty(struct levee_xdp_fixture *f)
{
	static const struct levee_scope everything;
	struct levee_rows rows = levee_mapset_rows(&of(f)->maps);

	f->dp->ops->release(f->dp);
	if (!f->dp->policy) /* a test failed in between */
		levee_xdp_adopt_policy(f);
	levee_policy_clear(f->dp->policy);
	f->dp->ops->set_scope(f->dp, &everything);
	f->dp->ops->set_audit(f->dp, false);
	f->dp->ops->set_trip(f->dp, 0);
	levee_rows_use_all(&rows);
	for (uint32_t epoch = 0; epoch < LEVEE_EPOCHS; epoch++)
		levee_mapset_clear(of(f), epoch);
}

static struct levee_xdp_sizes fill_in(const struct levee_xdp_sizes *sizes)
{
	struct levee_xdp_sizes all = *sizes;

	if (!all.sources)
		all.sources = 4096;
	if (!all.sources6)
		all.sources6 = all.sources;
	if (!all.rules)
		all.rules = 1024;
	if (!all.source6_length)
		all.source6_length = 64;
	return all;
}

static bool is_sized(const struct levee_xdp_sizes *a, const struct levee_xdp_sizes *b)
{
	return a->sources == b->sources && a->sources6 == b->sources6 && a->rules == b->rules &&
	       a->source6_length == b->source6_length;
}

void levee_xdp_fixture_open(struct levee_xdp_fixture *f, const struct levee_xdp_sizes *sizes)
{
	struct levee_xdp_sizes all = fill_in(sizes);
	static unsigned int opened;
	int ret;

	if (f->dp && is_sized(&f->sizes, &all)) {
		empty(f);
		return;
	}
	levee_xdp_fixture_close(f);
	f->sizes = all;
	if (geteuid() != 0) {
		print_message("# skipped: running a BPF program needs root\n");
		skip();
	}
	stay_here();
	snprintf(f->pin, sizeof(f->pin), "/sys/fs/bpf/levee-test-%d-%u", getpid(), opened++);
	ret = open_dp(f);
	if (ret == -EPERM || ret == -ENOTSUP || ret == -ENOSYS) {
		print_message("# skipped: %s\n", f->said);
		skip();
	}
	if (ret)
		fail_msg("%s: %s", strerror(-ret), f->said);
}

void levee_xdp_fixture_close(struct levee_xdp_fixture *f)
{
	if (f->dp)
		levee_dataplane_close(&f->dp);
	if (f->pin[0] && !access(f->pin, F_OK))
		levee_xdp_detach(f->pin, false, on_say, f);
	free(f->hits);
	*f = (struct levee_xdp_fixture){ 0 };
}

void levee_xdp_fixture_pin(struct levee_xdp_fixture *f)
{
	assert_int_equal(levee_mapset_pin(of(f)), 0);
}

void levee_xdp_fixture_reopen(struct levee_xdp_fixture *f)
{
	int ret;

	if (f->dp)
		levee_dataplane_close(&f->dp);
	ret = open_dp(f);
	if (ret)
		fail_msg("%s: %s", strerror(-ret), f->said);
}

bool levee_xdp_on_cpu(unsigned int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	return !sched_setaffinity(0, sizeof(set), &set);
}

/* ---- running ----------------------------------------------------------------------------- */

bool levee_xdp_has_frags(const struct levee_xdp_fixture *f)
{
	return of(f)->frags;
}

size_t levee_xdp_linear_bytes(void)
{
	return (size_t)sysconf(_SC_PAGESIZE) - HEADROOM - TAILROOM;
}

int levee_xdp_run_program(int fd, const void *frame, size_t len, uint32_t times, uint32_t *verdict)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = frame, .data_size_in = (uint32_t)len,
		    .repeat = (int)times);

	if (bpf_prog_test_run_opts(fd, &opts))
		return -errno;
	*verdict = opts.retval;
	return 0;
}

uint32_t levee_xdp_run_times(const struct levee_xdp_fixture *f, const void *frame, size_t len,
			     uint32_t times)
{
	uint32_t verdict = 0;
	int ret = levee_xdp_run_program(levee_xdp_program_fd(f->dp), frame, len, times, &verdict);

	if (ret)
		fail_msg("the kernel does not run a frame of %zu bytes: %s", len, strerror(-ret));
	return verdict;
}

uint32_t levee_xdp_run(const struct levee_xdp_fixture *f, const void *frame, size_t len)
{
	return levee_xdp_run_times(f, frame, len, 1);
}

uint32_t levee_xdp_send(const struct levee_xdp_fixture *f, uint8_t family, uint64_t hi, uint64_t lo,
			size_t len)
{
	struct levee_frame_spec spec = { .family = family, .hi = hi, .lo = lo, .proto = 255 };
	uint8_t frame[LEVEE_FRAME_MAX];
	size_t built;

	built = levee_frame_build(&spec, frame);
	if (len < 60)
		len = 60;
	assert_true(len <= sizeof(frame));
	if (len > built)
		memset(frame + built, 0, len - built);
	return levee_xdp_run(f, frame, len);
}

/* ---- looking at it ----------------------------------------------------------------------- */

void levee_xdp_account(const struct levee_xdp_fixture *f, struct levee_account *account)
{
	struct levee_drained open;

	f->dp->ops->peek(f->dp, &open);
	*account = open.account;
}

void levee_xdp_take(const struct levee_xdp_fixture *f, const struct levee_sink *sink,
		    struct levee_account *account)
{
	const struct levee_xdp *x = of(f);
	uint32_t epoch = (uint32_t)(x->maps.page->control.seq & 1);
	int ret;

	*account = (struct levee_account){ 0 };
	ret = levee_mapset_walk(x, &x->maps, epoch, sink, account);
	assert_int_equal(ret, 0);
	levee_mapset_clear(x, epoch);
}

void levee_xdp_memory(struct levee_xdp_fixture *f, struct levee_policy_memory *memory)
{
	const struct mapset *maps = &of(f)->maps;

	if (!f->hits) /* whoever asked before still holds it */
		f->hits = calloc(maps->geo.rules, sizeof(*f->hits));
	assert_non_null(f->hits);
	*memory = (struct levee_policy_memory){
		.front = &maps->page->front,
		.far4 = maps->area[MAP_FAR4],
		.far6 = maps->area[MAP_FAR6],
		.buckets = maps->area[MAP_POLICY],
		.rules = maps->area[MAP_RULES],
		.hits = f->hits,
		.rule_bits = maps->geo.rule_bits,
		.rule_count = maps->geo.rules,
		.cpus = 1,
		.source6_length = f->dp->source6_length,
		.key = maps->geo.key,
	};
}

void levee_xdp_adopt_policy(struct levee_xdp_fixture *f)
{
	struct levee_policy_memory memory;

	levee_xdp_memory(f, &memory);
	memory.hits = of(f)->maps.area[MAP_HITS];
	memory.cpus = of(f)->maps.geo.cpus;
	levee_policy_free(&f->dp->policy);
	assert_int_equal(levee_policy_new(&f->dp->policy, &memory), 0);
}

uint64_t levee_xdp_now_ns(void)
{
	return levee_xdp_boot_ns();
}
