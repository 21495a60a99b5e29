/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Waiting until every program that was running has ended. The kernel does it in a system call that
 * takes from one to tens of milliseconds, so a thread of its own makes that call, and nothing else:
 * whoever needs a fence asks for its number, and goes on with other work until it is passed.
 *
 *	wanted	 the fence that was asked for last
 *	begun	 the one whose call was made last: what is asked for now is the next one
 *	passed	 the last whose call has returned
 */
#include "dataplane/xdp/xdp_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct levee_fence {
	int map_fd;   /* not owned */
	int inner_fd; /* what is put into it again and again */
	int event_fd; /* readable when a fence is passed */
	pthread_mutex_t lock;
	pthread_cond_t more_wanted;
	pthread_cond_t more_passed;
	uint64_t wanted, begun, passed;
	int error; /* of the latest call that failed, not yet said */
	bool stop;
	bool has_thread;
	pthread_t thread;
};

int levee_fence_new(struct levee_fence **out, int map_fd)
{
	struct levee_fence *f = calloc(1, sizeof(*f));
	int ret;

	*out = NULL;
	if (!f)
		return -ENOMEM;
	f->map_fd = map_fd;
	f->inner_fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "fence_inner", 4, 4, 1, NULL);
	ret = f->inner_fd < 0 ? -errno : 0;
	f->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (!ret && f->event_fd < 0)
		ret = -errno;
	pthread_mutex_init(&f->lock, NULL);
	pthread_cond_init(&f->more_wanted, NULL);
	pthread_cond_init(&f->more_passed, NULL);
	*out = f;
	if (ret)
		levee_fence_free(out);
	return ret;
}

void levee_fence_free(struct levee_fence **fence)
{
	struct levee_fence *f = *fence;

	*fence = NULL;
	if (!f)
		return;
	if (f->has_thread) {
		pthread_mutex_lock(&f->lock);
		f->stop = true;
		pthread_cond_signal(&f->more_wanted);
		pthread_mutex_unlock(&f->lock);
		pthread_join(f->thread, NULL);
	}
	pthread_cond_destroy(&f->more_passed);
	pthread_cond_destroy(&f->more_wanted);
	pthread_mutex_destroy(&f->lock);
	if (f->inner_fd >= 0)
		close(f->inner_fd);
	if (f->event_fd >= 0)
		close(f->event_fd);
	free(f);
}

/* The lock is held, but for the call: see ebpf/maps.bpf.h for what it waits for. */
static void pass_next(struct levee_fence *f)
{
	uint64_t nr = ++f->begun;
	uint32_t zero = 0;
	int ret;

	pthread_mutex_unlock(&f->lock);
	ret = bpf_map_update_elem(f->map_fd, &zero, &f->inner_fd, BPF_ANY) ? -errno : 0;
	pthread_mutex_lock(&f->lock);
	if (ret)
		f->error = ret;
	f->passed = nr;
	pthread_cond_broadcast(&f->more_passed);
	eventfd_write(f->event_fd, 1);
}

static void *pass_fences(void *arg)
{
	struct levee_fence *f = arg;

	pthread_mutex_lock(&f->lock);
	while (!f->stop) {
		if (f->wanted > f->begun)
			pass_next(f);
		else
			pthread_cond_wait(&f->more_wanted, &f->lock);
	}
	pthread_mutex_unlock(&f->lock);
	return NULL;
}

int levee_fence_run(struct levee_fence *f)
{
	int ret = f->has_thread ? 0 : -pthread_create(&f->thread, NULL, pass_fences, f);

	f->has_thread = !ret;
	return ret;
}

uint64_t levee_fence_start(struct levee_fence *f)
{
	uint64_t nr;

	pthread_mutex_lock(&f->lock);
	nr = f->wanted = f->begun + 1;
	pthread_cond_signal(&f->more_wanted);
	pthread_mutex_unlock(&f->lock);
	return nr;
}

bool levee_fence_passed(struct levee_fence *f, uint64_t nr)
{
	bool passed;

	pthread_mutex_lock(&f->lock);
	passed = f->passed >= nr;
	pthread_mutex_unlock(&f->lock);
	return passed;
}

int levee_fence_wait(struct levee_fence *f, uint64_t nr)
{
	int ret;

	pthread_mutex_lock(&f->lock);
	while (f->passed < nr) {
		if (f->has_thread)
			pthread_cond_wait(&f->more_passed, &f->lock);
		else
			pass_next(f);
	}
	ret = f->error;
	f->error = 0;
	pthread_mutex_unlock(&f->lock);
	return ret;
}

int levee_fence_fd(const struct levee_fence *f)
{
	return f->has_thread ? f->event_fd : -1;
}
