/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the AWS client needs of its process: variables, the time, waiting, chance. Handed in, so
 * that tests neither wait nor change the real environment.
 */
#ifndef LEVEE_AWS_ENV_H
#define LEVEE_AWS_ENV_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct levee_aws_env {
	/* Value of an environment variable; NULL if it is not set. */
	const char *(*get)(void *ctx, const char *name);
	/* Wall clock, because signatures and expiry are in UTC [ms since the epoch]. */
	int64_t (*now_ms)(void *ctx);
	/* Wait. 0; -ECANCELED as soon as, or if already, cancelled. */
	int (*sleep_ms)(void *ctx, uint32_t ms);
	/* 64 random bits, for jitter and names, not for keys. */
	uint64_t (*random)(void *ctx);
	/* Has the whole of AWS's work been called off? */
	bool (*cancelled)(void *ctx);
	void *ctx;
};

/** A variable that is set and not empty, or NULL: AWS's tools take an empty one for none. */
const char *levee_aws_env_get(const struct levee_aws_env *env, const char *name);

/** Is it "true" (any case)? */
bool levee_aws_env_true(const struct levee_aws_env *env, const char *name);

int64_t levee_aws_env_now_s(const struct levee_aws_env *env);

/** Boot time [ms]: for spans. */
int64_t levee_aws_boot_ms(void);

/** A switch that any thread, or a signal handler, may throw once; waits end at once. */
struct levee_aws_cancel {
	int fd; /* readable once thrown */
	atomic_bool on;
};

/** \return 0; -errno if there is no file descriptor left */
int levee_aws_cancel_init(struct levee_aws_cancel *cancel);
void levee_aws_cancel_throw(struct levee_aws_cancel *cancel);
void levee_aws_cancel_free(struct levee_aws_cancel *cancel);

/** The real process. `cancel` must outlive what uses it. */
struct levee_aws_env levee_aws_env_process(struct levee_aws_cancel *cancel);

#endif
