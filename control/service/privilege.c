/* SPDX-License-Identifier: BSD-2-Clause */
#include "control/service/privilege.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/capability.h>
#include <sys/prctl.h>
#include <unistd.h>

static const cap_value_t bpf_only[] = { CAP_BPF };
static const cap_value_t for_later[] = { CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON };
#define N_FOR_LATER 3

/* Set those of `wanted` that the thread has as permitted. */
static int add(cap_t to, cap_t now, cap_flag_t flag, const cap_value_t *wanted, int n)
{
	cap_flag_value_t has;

	for (int i = 0; i < n; i++) {
		if (cap_get_flag(now, wanted[i], CAP_PERMITTED, &has))
			return -errno;
		if (has == CAP_SET && cap_set_flag(to, flag, 1, &wanted[i], CAP_SET))
			return -errno;
	}
	return 0;
}

/*
 * This thread's permitted and effective sets become what it has of these; nothing is left to
 * inherit, which empties the ambient set as well.
 */
static int set_thread(const cap_value_t *permitted, int n_permitted, const cap_value_t *effective,
		      int n_effective)
{
	cap_t now = cap_get_proc(), to = cap_init();
	int ret = now && to ? 0 : -ENOMEM;

	if (!ret)
		ret = add(to, now, CAP_PERMITTED, permitted, n_permitted);
	if (!ret)
		ret = add(to, now, CAP_EFFECTIVE, effective, n_effective);
	if (!ret && cap_set_proc(to))
		ret = -errno;
	if (now)
		cap_free(now);
	if (to)
		cap_free(to);
	return ret;
}

static bool is_root(void)
{
	return geteuid() == 0;
}

int levee_privilege_reduce(void)
{
	if (is_root())
		return 0;
	/* Also where nothing was ambient: no program that we start gains anything. */
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return -errno;
	return set_thread(for_later, N_FOR_LATER, bpf_only, 1);
}

int levee_privilege_raise(void)
{
	return is_root() ? 0 : set_thread(for_later, N_FOR_LATER, for_later, N_FOR_LATER);
}

int levee_privilege_lower(void)
{
	return is_root() ? 0 : set_thread(for_later, N_FOR_LATER, bpf_only, 1);
}

struct errand {
	int (*start)(void *ctx);
	void *ctx;
	int keep; /* of bpf_only */
	int ret;
};

static void *run_errand(void *arg)
{
	struct errand *e = arg;

	e->ret = set_thread(bpf_only, e->keep, bpf_only, e->keep);
	if (!e->ret)
		e->ret = e->start(e->ctx);
	return NULL;
}

static int run_with(int keep, int (*start)(void *ctx), void *ctx)
{
	struct errand errand = { .start = start, .ctx = ctx, .keep = keep };
	pthread_t thread;
	int ret;

	if (is_root())
		return start(ctx);
	ret = -pthread_create(&thread, NULL, run_errand, &errand);
	if (ret)
		return ret;
	pthread_join(thread, NULL);
	return errand.ret;
}

int levee_privilege_run(int (*start)(void *ctx), void *ctx)
{
	return run_with(0, start, ctx);
}

int levee_privilege_run_bpf(int (*start)(void *ctx), void *ctx)
{
	return run_with(1, start, ctx);
}
