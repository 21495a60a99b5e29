/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Stand-ins for what control/aws/ is handed: an environment in which waiting costs nothing, and an
 * HTTP client that answers from a list and writes down what it was asked.
 */
#ifndef LEVEE_TESTS_SUPPORT_AWS_H
#define LEVEE_TESTS_SUPPORT_AWS_H

#include <stddef.h>
#include <stdint.h>

#include "control/aws/env.h"
#include "control/aws/http.h"

#define FAKE_VARIABLES 32
#define FAKE_STEPS     64

struct fake_env {
	struct levee_aws_env env; /* its ctx is this struct: do not copy it */
	const char *names[FAKE_VARIABLES];
	const char *values[FAKE_VARIABLES];
	int64_t now_ms;		     /* sleeping moves it */
	uint64_t slept_ms;	     /* in all */
	uint32_t sleeps[FAKE_STEPS]; /* each */
	size_t n_sleeps;
	uint64_t random; /* what chance says, always */
	bool cancelled;
};

void fake_env_init(struct fake_env *fake);
void fake_env_set(struct fake_env *fake, const char *name, const char *value);

/* One answer; the list of them ends with one whose fields are all zero. */
struct canned {
	const char *expect; /* must be in "METHOD URL", if not NULL */
	int ret;	    /* 0, or -errno: no answer, code and message as given in body */
	int status;
	const char *head; /* header lines, each ending with \n */
	const char *body;
};

struct fake_http {
	struct levee_http http; /* its ctx is this struct: do not copy it */
	const struct canned *next;
	size_t n;			/* exchanges */
	char *requests[FAKE_STEPS];	/* "METHOD URL\nName: value\n...\n\nBODY" of each */
	struct levee_http_request last; /* timeouts and limits of the last one */
	void (*during)(void *ctx);	/* called in the midst of each exchange, if set */
	void *during_ctx;
};

void fake_http_init(struct fake_http *fake, const struct canned *answers);

/** Fails the test unless every answer was asked for; frees. */
void fake_http_done(struct fake_http *fake);

#endif
