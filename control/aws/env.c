/* SPDX-License-Identifier: BSD-2-Clause */
#include "control/aws/env.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

const char *levee_aws_env_get(const struct levee_aws_env *env, const char *name)
{
	const char *value = env->get(env->ctx, name);

	return value && *value ? value : NULL;
}

bool levee_aws_env_true(const struct levee_aws_env *env, const char *name)
{
	const char *value = levee_aws_env_get(env, name);

	return value && strcasecmp(value, "true") == 0;
}

int64_t levee_aws_env_now_s(const struct levee_aws_env *env)
{
	return env->now_ms(env->ctx) / 1000;
}

int levee_aws_cancel_init(struct levee_aws_cancel *cancel)
{
	atomic_init(&cancel->on, false);
	cancel->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return cancel->fd < 0 ? -errno : 0;
}

void levee_aws_cancel_throw(struct levee_aws_cancel *cancel)
{
	uint64_t one = 1;
	ssize_t n;

	atomic_store(&cancel->on, true);
	n = write(cancel->fd, &one, sizeof(one));
	(void)n; /* full means thrown already */
}

void levee_aws_cancel_free(struct levee_aws_cancel *cancel)
{
	if (cancel->fd >= 0)
		close(cancel->fd);
	cancel->fd = -1;
}

static const char *process_get(void *ctx, const char *name)
{
	(void)ctx;
	return getenv(name);
}

static int64_t process_now_ms(void *ctx)
{
	struct timespec now;

	(void)ctx;
	clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static bool process_cancelled(void *ctx)
{
	struct levee_aws_cancel *cancel = ctx;

	return atomic_load(&cancel->on);
}

int64_t levee_aws_boot_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_BOOTTIME, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int process_sleep_ms(void *ctx, uint32_t ms)
{
	struct levee_aws_cancel *cancel = ctx;
	struct pollfd wait = { .fd = cancel->fd, .events = POLLIN };
	int64_t left = ms, end = levee_aws_boot_ms() + ms;

	while (left > 0 && !process_cancelled(ctx)) {
		int n = poll(&wait, 1, left > 60000 ? 60000 : (int)left);

		if (n < 0 && errno != EINTR)
			return -errno;
		left = end - levee_aws_boot_ms();
	}
	return process_cancelled(ctx) ? -ECANCELED : 0;
}

static uint64_t process_random(void *ctx)
{
	uint64_t bits = 0;

	(void)ctx;
	if (getrandom(&bits, sizeof(bits), 0) != sizeof(bits))
		bits = (uint64_t)levee_aws_boot_ms() * 0x9e3779b97f4a7c15ULL;
	return bits;
}

struct levee_aws_env levee_aws_env_process(struct levee_aws_cancel *cancel)
{
	return (struct levee_aws_env){ .get = process_get,
				       .now_ms = process_now_ms,
				       .sleep_ms = process_sleep_ms,
				       .random = process_random,
				       .cancelled = process_cancelled,
				       .ctx = cancel };
}
