/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The writer of the policy table (layout: include/levee/policy.h), and its reader in user space.
 *
 * A back end supplies memory, which for XDP is the memory of kernel maps, and a fence; all else is
 * the same for every back end. One thread writes; data paths read at any time without a lock.
 *
 *	levee_policy_new(&policy, &memory)          adopts the rules that the memory holds
 *	levee_policy_set_allowed(policy, list, n)   the whole allow list, each time it changes
 *	levee_policy_block(policy, &prefix, until)  adds, or moves the end of what is there
 *	levee_policy_unblock(policy, &prefix)
 *	levee_policy_free(&policy)                  the rules stay in force in the memory
 */
#ifndef LEVEE_DATAPLANE_POLICY_H
#define LEVEE_DATAPLANE_POLICY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <levee/policy.h>

#include "dataplane/prefix.h"

struct levee_policy;

/** Where the table lives. All pointers are valid for as long as the policy is. */
struct levee_policy_memory {
	struct levee_front *front;
	__u64 *far4;			     /* [LEVEE_FAR_WORDS] */
	__u64 *far6;			     /* [LEVEE_FAR_WORDS] */
	struct levee_policy_bucket *buckets; /* [1 << rule_bits] */
	struct levee_rule *rules;	     /* [rule_count]; rules[0] is never used */
	struct levee_hits *hits;	     /* [cpus][rule_count] */
	uint32_t rule_bits;
	uint32_t rule_count; /* 2 to LEVEE_RULES_MAX */
	uint32_t cpus;
	uint8_t source6_length; /* bits of an IPv6 source: its blocks are to come */
	struct levee_hash_key key;

	/**
	 * Begin to wait until no reader can hold anything that it read before the call, and give
	 * that a number, which only grows. NULL: no readers.
	 */
	uint64_t (*fence_start)(void *ctx);
	/** Return once that is so. */
	void (*fence_wait)(void *ctx, uint64_t nr);
	void *ctx;
};

/**
 * Take over the table in `memory`, empty or filled by a process before.
 * \param out  the caller frees it with levee_policy_free(); set to NULL on failure
 * \return 0; -ENOMEM; -EUCLEAN if the memory contradicts itself (the caller starts afresh)
 */
int levee_policy_new(struct levee_policy **out, const struct levee_policy_memory *memory);

/** Free the writer's own memory; the table is left as it is. Accepts NULL inside. */
void levee_policy_free(struct levee_policy **policy);

/** Remove every rule, and take every bit and counter back to zero. */
void levee_policy_clear(struct levee_policy *policy);

/**
 * Replace the allow list. Blocks that it now covers leave the table, and return to it with the
 * list that no longer covers them: each change leaves every allowed address allowed throughout.
 * A block for which the table then has no room stays out until levee_policy_block() puts it in.
 * \param list  n canonical prefixes in any order; copies are made
 * \return 0; -ENOSPC (no room for all: the old list stays in force); -ENOMEM (the same)
 */
int levee_policy_set_allowed(struct levee_policy *policy, const struct levee_prefix *list,
			     size_t n);

/** Take out bits of the bitmaps that no rule needs any more; cheap if there are none. */
void levee_policy_tidy(struct levee_policy *policy);

/** Is the whole prefix on the allow list? */
bool levee_policy_is_allowed(const struct levee_policy *policy, const struct levee_prefix *prefix);

/**
 * Block a prefix, or move the end of its block, earlier or later.
 * A block that the allow list covers is remembered and kept out of the table.
 * \param expires_ns  CLOCK_BOOTTIME; LEVEE_NEVER for no end
 * \param now_ns      CLOCK_BOOTTIME, noted as the rule's creation if it is new
 * \return 0; -ENOSPC if the table is full (nothing changed); -ENOMEM
 */
int levee_policy_block(struct levee_policy *policy, const struct levee_prefix *prefix,
		       uint64_t expires_ns, uint64_t now_ns);

/**
 * Make a block a limit: so many packets a second pass and are counted, a burst of them at once,
 * and what is above is dropped. Over all CPUs together.
 * \param pps    up to 10^9; 0: a block again
 * \param burst  1 to 2^32 - 1 packets
 * \return 0; -ENOENT if there is no block of the prefix; -EINVAL
 */
int levee_policy_set_rate(struct levee_policy *policy, const struct levee_prefix *prefix,
			  uint64_t pps, uint64_t burst);

/** Lift a block. \return 0; -ENOENT if there was none */
int levee_policy_unblock(struct levee_policy *policy, const struct levee_prefix *prefix);

/** sum += more; the earliest first hit, the latest last one. */
void levee_hits_add(struct levee_hits *sum, const struct levee_hits *more);

/**
 * Have a block of the prefix, if it is put before levee_policy_inherit_end(), begin with what was
 * counted of it elsewhere. To be used before there are readers. Who says so first is believed, and
 * blocks that are there already keep what they have.
 * \return 0; -EINVAL if there can be no such prefix; -ENOMEM
 */
int levee_policy_inherit(struct levee_policy *policy, const struct levee_prefix *prefix,
			 const struct levee_hits *hits);
void levee_policy_inherit_end(struct levee_policy *policy);

/**
 * Add what was counted of a block elsewhere, beside readers that count.
 * \param cpu  whose counters take it: the one that this runs on, where one instruction that adds is
 *             not interrupted by the kernel's program. Elsewhere packets of that instant may be lost
 * \return 0; -ENOENT
 */
int levee_policy_add_hits(struct levee_policy *policy, const struct levee_prefix *prefix,
			  const struct levee_hits *more, uint32_t cpu);

/** Lift every block whose end has come: rules that a process left, and nobody else remembers. */
void levee_policy_drop_expired(struct levee_policy *policy, uint64_t now_ns);

/** What is known of one block. */
struct levee_policy_info {
	struct levee_prefix prefix;
	uint64_t expires_ns; /* CLOCK_BOOTTIME */
	uint64_t created_ns; /* CLOCK_BOOTTIME */
	uint64_t rate_pps;   /* of a limit: what passes [packets/s]; 0: a block */
	uint64_t burst;	     /* of a limit [packets] */
	bool shadowed;	     /* not in the table: covered by the allow list, or no room since */
	/* summed over CPUs since the rule was made */
	uint64_t packets;
	uint64_t bytes;
	uint64_t first_ns; /* 0: never hit */
	uint64_t last_ns;
};

/** \return 0 and *info filled; -ENOENT */
int levee_policy_get(const struct levee_policy *policy, const struct levee_prefix *prefix,
		     struct levee_policy_info *info);

/** Call fn for every block, in no order. fn must not change the policy. */
void levee_policy_walk(const struct levee_policy *policy,
		       void (*fn)(void *ctx, const struct levee_policy_info *info), void *ctx);

/** Call fn for every allowed prefix, in no order. fn must not change the policy. */
void levee_policy_walk_allowed(const struct levee_policy *policy,
			       void (*fn)(void *ctx, const struct levee_prefix *prefix), void *ctx);

/** Blocks (shadowed ones included), and allowed prefixes. */
size_t levee_policy_blocks(const struct levee_policy *policy);
size_t levee_policy_allowed(const struct levee_policy *policy);

/**
 * Ask memory for what a look-up of this address reads, without waiting for it.
 * \return false if no rule can match, so that no look-up is needed
 */
bool levee_policy_ask(const struct levee_policy_memory *memory, uint8_t family, uint64_t hi,
		      uint64_t lo);

/**
 * The verdict on one address: what the data paths in user space ask, and what XDP must agree with.
 * Counts a hit of so many packets and bytes, on `cpu`, if it is a block, or above a limit, which
 * is a block as well. LEVEE_VERDICT_LIMIT: within it.
 * \param hi, lo  as in struct levee_packet, not masked
 */
enum levee_verdict levee_policy_lookup(const struct levee_policy_memory *memory, uint8_t family,
				       uint64_t hi, uint64_t lo, uint64_t packets, uint64_t bytes,
				       uint64_t now_ns, uint32_t cpu);

#endif
