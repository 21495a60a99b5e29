/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A plain, slow policy to compare the real one with: lists, searched from front to end, prefixes
 * compared bit by bit. And the random changes and addresses that tests drive both with.
 */
#ifndef LEVEE_TESTS_POLICYMODEL_H
#define LEVEE_TESTS_POLICYMODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dataplane/policy.h"

#define MODEL_MAX 4096

struct model_block {
	struct levee_prefix prefix;
	uint64_t expires_ns;
	bool shadowed;
	uint64_t packets; /* hits since it was last put in force */
	uint64_t bytes;
};

struct policy_model {
	struct levee_prefix allowed[MODEL_MAX];
	size_t n_allowed;
	struct model_block blocks[MODEL_MAX];
	size_t n_blocks;
	uint64_t random; /* state of the generator */
};

struct model_address {
	uint8_t family;
	uint64_t hi;
	uint64_t lo;
};

uint32_t model_random(struct policy_model *m);

/** Is the address in the prefix? Bit by bit. */
bool model_contains(const struct levee_prefix *prefix, const struct model_address *a);

/** What levee_policy_*() of the same name do. */
void model_set_allowed(struct policy_model *m, const struct levee_prefix *list, size_t n);
void model_block(struct policy_model *m, const struct levee_prefix *prefix, uint64_t expires_ns);
bool model_unblock(struct policy_model *m, const struct levee_prefix *prefix);
void model_drop_expired(struct policy_model *m, uint64_t now_ns);
struct model_block *model_find(struct policy_model *m, const struct levee_prefix *prefix);

/**
 * Allowed wins over everything, then the longest block that is in force.
 * \param by  set to the block that decided, NULL if none; may be NULL
 */
enum levee_verdict model_verdict(struct policy_model *m, const struct model_address *a,
				 uint64_t now_ns, struct model_block **by);

/**
 * Any prefix; often a neighbour, a part, or the surroundings of one that the model holds, so that
 * allow list and blocks nest both ways.
 */
struct levee_prefix model_random_prefix(struct policy_model *m);

/** An address at the edge of a prefix that the model holds, in it, next to it, or any. */
struct model_address model_random_address(struct policy_model *m);

/**
 * One random change to both, which must give the same result: block with an end that is over, far
 * or never, extend, shorten, unblock, replace the allow list, lift what is over, tidy.
 * \param now_ns  what is over is over at this time by at least an hour, what is not lasts an hour
 */
void model_step(struct policy_model *m, struct levee_policy *policy, uint64_t now_ns);

/** Both hold the same blocks, with the same ends, drops and shadows, and as many allowed. */
void model_assert_same(struct policy_model *m, const struct levee_policy *policy);

#endif
