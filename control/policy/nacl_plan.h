/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The plan: which rules Levee wants in the network ACL. A pure function of what is blocked, what
 * is allowed, what the operator's own rules are, and which of Levee's rules stand already.
 *
 * Sources are grouped under a mask, the group with the highest Z-score comes first, and as many
 * groups get a rule as the budget has room for. The others stay blocked on the instances alone:
 * the plan names each, with the reason.
 *
 * Budget: EC2 counts rules per direction and per family, 20 by default and 40 at most, the default
 * deny included. An ACL with one rule of the operator (100, allow all) so has room for
 * 20 - 1 - 1 = 18. Assumed here, as FIELD section 3 has it: IPv4 and IPv6 rules share the numbers
 * but are counted apart. `together` is for accounts where that should turn out to be otherwise.
 * When EC2 refuses a rule (NetworkAclEntryLimitExceeded), plan again with a lower budget: the
 * plan keeps the highest Z-scores.
 *
 * Numbers: a deny works only before the operator's allow, so the reserved range has to lie below
 * the numbers of the operator's rules (1 to 99 by default, since EC2's own first rule is 100). An
 * operator's rule inside the range is the operator's: its number is not used. A deny never gets a
 * number above that of an operator's allow which shares an address with it; where none is left,
 * the reason is LEVEE_NACL_ORDER. A prefix that has a rule keeps its number, so that it is not
 * written again; a new one takes the number of a rule that leaves (one call instead of two), else
 * the lowest free one; a rule that leaves makes a gap.
 *
 * Strategy: the above is `mask`. `cover` chooses, for the same budget, the prefixes that block the
 * most flood packets and touch the fewest good ones, within max_collateral (nacl_cover.h). Good
 * sources are those that the counters of the last bins name and nobody blocks; while these are not
 * known, no rule is wider than the source that it is about. Under either strategy the plan says
 * what each rule blocks and what it costs, and what single addresses could block instead.
 *
 * Allow list: no rule has an address in common with an allowed prefix. Where a group has, its
 * sources stand for themselves, and those that are clear of the list are planned one by one.
 *
 * Made-up addresses: with `spoofable_last` a prefix of which every source is spoofable comes after
 * all others, whatever its Z-score or its flood: it gets of budget and numbers what these leave
 * over, and nobody has another rule, or none, because it is there. Under `cover` the set for the
 * others is chosen first, and what is left of rules and max_collateral goes to the best set for the
 * spoofable ones.
 *
 * Audit: rules are written as allow, as the solution that is taken over did. Such a rule would
 * open to the source what the operator's rules close to it, so one is planned only where the
 * operator's first rule about any address of the prefix allows all of it; else
 * LEVEE_NACL_WOULD_OPEN.
 */
#ifndef LEVEE_NACL_PLAN_H
#define LEVEE_NACL_PLAN_H

#include "control/policy/nacl.h"
#include "control/policy/nacl_cover.h"

#define LEVEE_NACL_BUDGET     20
#define LEVEE_NACL_BUDGET_MAX 40
#define LEVEE_NACL_FIRST      1
#define LEVEE_NACL_LAST	      99
#define LEVEE_NACL_MASK4      32
#define LEVEE_NACL_MASK6      64

enum levee_nacl_strategy {
	LEVEE_NACL_MASK,
	LEVEE_NACL_COVER,
};

/** What network ACLs get of sources whose addresses may be made up. */
enum levee_nacl_push_spoofable {
	LEVEE_NACL_PUSH_NONE,
	LEVEE_NACL_PUSH_LEFTOVER, /* what all others leave over of the budget */
	LEVEE_NACL_PUSH_ALL,	  /* as all others */
};

struct levee_nacl_params {
	unsigned int budget; /* ingress rules per family that EC2 grants, 1 to 40 */
	bool together;	     /* both families share one budget */
	uint8_t mask4;	     /* sources are grouped under prefixes of this length, 1 to 32 */
	uint8_t mask6;	     /* 1 to 128 */
	enum levee_nacl_action action; /* LEVEE_NACL_ALLOW: audit */
	struct levee_nacl_range range; /* within 1 to LEVEE_NACL_NUMBER_MAX */
	enum levee_nacl_strategy strategy;
	uint64_t max_collateral; /* cover: good packets a bin that all rules together may touch */
	bool spoofable_last;	 /* spoofable sources get what the others leave over */
};

/** What is blocked: an address, or a prefix that stays as wide as it is. */
struct levee_nacl_source {
	struct levee_prefix prefix;
	double max_zscore; /* INFINITY for an operator's block: it then comes first */
	uint64_t max_packets;
	uint64_t flood_packets; /* what it sends now [packets/bin]; 0: max_packets */
	bool spoofable;		/* never seen with an established flow: it may be made up */
};

/** All arrays are read during the call only. */
struct levee_nacl_plan_input {
	const struct levee_nacl_source *sources;
	size_t n_sources;
	const struct levee_prefix *allowed;
	size_t n_allowed;
	const struct levee_nacl_entry *operators; /* levee_nacl_survey: operators */
	size_t n_operators;
	const struct levee_nacl_entry *in_place; /* levee_nacl_survey: in_place */
	size_t n_in_place;
	const struct levee_cover_source *good; /* packets a bin of those who are not blocked */
	size_t n_good;
	bool good_known; /* `good` names everybody that there was */
};

enum levee_nacl_fit {
	LEVEE_NACL_RULE,	/* has a rule */
	LEVEE_NACL_ALLOWED,	/* shares addresses with the allow list */
	LEVEE_NACL_BUDGET_OUT,	/* others have a higher Z-score, and the budget is used up */
	LEVEE_NACL_NUMBERS_OUT, /* no number of the reserved range is free */
	LEVEE_NACL_ORDER,	/* an operator's allow stands before all free numbers */
	LEVEE_NACL_WOULD_OPEN,	/* audit: an allow would open what the operator closed */
	LEVEE_NACL_TOO_WIDE,	/* every address there is */
};

/** A prefix with one rule, or with none. */
struct levee_nacl_target {
	struct levee_prefix prefix;
	double max_zscore;    /* the highest of its sources */
	uint64_t max_packets; /* the largest of its sources */
	size_t n_sources;
	uint64_t flood_packets; /* of its sources [packets/bin] */
	uint64_t good_packets;	/* that a rule costs: of good sources in it */
	size_t n_good;		/* so many of them */
	bool spoofable;		/* all of its sources are */
	uint16_t number;	/* of its rule; 0: it has none and is blocked locally only */
	enum levee_nacl_fit fit;
};

struct levee_nacl_plan {
	/* Highest Z-score first, then by prefix; with spoofable_last those that are spoofable
	 * behind all others, whose place their spoofable sources do not change. */
	struct levee_nacl_target *targets;
	size_t n_targets;
	size_t *target_of; /* of each source of the input, in its order: index of its target */
	size_t n_sources;
	struct levee_nacl_entry *rules; /* the wanted rules, in the order of targets */
	size_t n_rules;
	size_t spoofable_rules;	  /* of these, rules about spoofable sources alone */
	size_t unblocked_sources; /* sources without a rule */
	uint64_t flood_packets;	  /* of all sources [packets/bin] */
	uint64_t blocked_packets; /* of those with a rule */
	uint64_t good_packets;	  /* that the rules touch */
	uint64_t single_packets;  /* what as many rules about single sources could block at most */
	bool exact;		  /* cover: no better set exists (nacl_cover.h) */
};

/**
 * \param plan  filled; levee_nacl_plan_free() frees what it holds, after a failure too
 * \return 0; -ENOMEM; -EINVAL if a parameter or a prefix is out of its range
 */
int levee_nacl_plan_make(struct levee_nacl_plan *plan, const struct levee_nacl_params *params,
			 const struct levee_nacl_plan_input *input);

/** Accepts a plan that is all zero, and leaves it so. */
void levee_nacl_plan_free(struct levee_nacl_plan *plan);

/** Room for Levee's rules of a family (4 or 6) beside the operator's. Together: of either. */
unsigned int levee_nacl_room(const struct levee_nacl_params *params,
			     const struct levee_nacl_entry *operators, size_t n_operators,
			     uint8_t family);

/** One static clause for people: why a target has no rule ("the rule budget is used up"). */
const char *levee_nacl_fit_text(enum levee_nacl_fit fit);

#endif
