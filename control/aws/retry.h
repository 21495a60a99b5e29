/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * When a call is tried again, and after how long: the "standard" mode of the official SDKs. Pure:
 * chance comes in.
 */
#ifndef LEVEE_AWS_RETRY_H
#define LEVEE_AWS_RETRY_H

#include <stdbool.h>
#include <stdint.h>

#include "control/aws/error.h"

#define LEVEE_AWS_QUOTA		 500 /* tokens that a client starts with, and has at most */
#define LEVEE_AWS_BACKOFF_MAX_MS 20000

/* What kind of failure it was. */
enum levee_aws_verdict {
	LEVEE_AWS_FINAL,     /* trying again would change nothing */
	LEVEE_AWS_TRANSIENT, /* 500, 502, 503, 504, and codes that say so; 5 tokens, base 50 ms */
	LEVEE_AWS_NO_ANSWER, /* no connection or no whole answer; 10 tokens, base 50 ms */
	LEVEE_AWS_THROTTLED, /* too many requests; 5 tokens, base 1 s */
	LEVEE_AWS_CLOCK,     /* the signature's time may be the reason: see the Date header */
	LEVEE_AWS_EXPIRED,   /* the keys are no longer, or not yet, good */
};

/** \param ret  0, or what the exchange returned; error->status and code if it is 0 */
enum levee_aws_verdict levee_aws_judge(int ret, const struct levee_aws_error *error);

/**
 * Wait before attempt number `attempt` + 1: a random share of min(base * 2^(attempt - 1), 20 s).
 * \param attempt  the one that failed, from 1
 * \param chance   64 random bits
 * \param after_ms what the reply asked for (x-amz-retry-after), 0 if nothing; believed up to 5 s
 *                 more than the random wait
 */
uint32_t levee_aws_backoff_ms(enum levee_aws_verdict verdict, unsigned int attempt, uint64_t chance,
			      uint32_t after_ms);

/* Retries are bought with tokens, so that an outage does not become a storm. */
struct levee_aws_quota {
	unsigned int tokens;
};

/** Take a retry's price. \return the price; 0 if there is not enough left: do not retry */
unsigned int levee_aws_quota_take(struct levee_aws_quota *quota, enum levee_aws_verdict verdict);

/** A success gives back the price of the retry that led to it, or one token if none did. */
void levee_aws_quota_give(struct levee_aws_quota *quota, unsigned int price);

#endif
