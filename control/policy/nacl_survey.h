/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The survey: what a read of the network ACLs and the memory of the latest writes say together.
 * Which ACL is each protected subnet on, which rules are the operator's, which are Levee's, and
 * what may be otherwise than it looks. Pure: no I/O, no clock.
 *
 * Reads may lag behind writes by LEVEE_NACL_SETTLE_S. So the caller remembers its writes, and
 * hands in those that were answered (or given up) less than that long before the read *began*.
 * A write that succeeded is believed although the read does not show it yet; what it shows is
 * asked for only where something depends on it: before a subnet is switched, and at the end.
 *
 * A process that has just started, or a node that has just become leader, may not know what was
 * written before it. It says so (`quiet` is false) until its read began LEVEE_NACL_SETTLE_S after
 * its start, and is told to wait; or it keeps its writes on disk, each put down as
 * LEVEE_NACL_UNSURE before it is sent, and needs not wait.
 *
 * Operator's rules of several ACLs. Every protected subnet gets the same ACL in the end, so where
 * subnets stand on ACLs with different rules of the operator, all of them are carried over - but
 * only if that changes the meaning of no ACL: the same number must not stand for different rules,
 * and each rule that an ACL did not have must be without effect in it (behind a rule that covers
 * it, or before one that does the same). Otherwise the survey stops and names both ACLs: to open a
 * subnet, or to cut it off, is not for Levee to decide. `merge` is the operator's word that each
 * subnet may have the rules of the others; numbers must be clear even then.
 *
 * Known limit: an operator's edit of an ACL in the two minutes before its subnets are switched
 * away from it may be missed, for no read need show it.
 */
#ifndef LEVEE_NACL_SURVEY_H
#define LEVEE_NACL_SURVEY_H

#include "control/policy/nacl.h"

struct levee_nacl_setup {
	char blue[LEVEE_NACL_ID];
	char green[LEVEE_NACL_ID];
	const char (*subnets)[LEVEE_NACL_ID]; /* protected */
	size_t n_subnets;
	struct levee_nacl_range range;
	bool merge;
};

enum levee_nacl_step_type {
	/* Calls that write. What they need is in the step's fields. */
	LEVEE_NACL_STEP_MARK,	 /* CreateTags: acl, mark */
	LEVEE_NACL_STEP_CREATE,	 /* CreateNetworkAclEntry: acl, entry */
	LEVEE_NACL_STEP_REPLACE, /* ReplaceNetworkAclEntry: acl, entry */
	LEVEE_NACL_STEP_DELETE,	 /* DeleteNetworkAclEntry: acl, number and egress of entry */
	LEVEE_NACL_STEP_SWITCH,	 /* ReplaceNetworkAclAssociation: association, acl */
	/* Nothing to call. */
	LEVEE_NACL_STEP_REREAD,	   /* read all anew, in a while: why says what is waited for */
	LEVEE_NACL_STEP_CONVERGED, /* what AWS holds was read back, and is what is wanted */
	LEVEE_NACL_STEP_STOP,	   /* only the operator can help: why, and what it is about */
};

enum levee_nacl_why {
	LEVEE_NACL_WHY_NONE,
	/* REREAD */
	LEVEE_NACL_NOT_QUIET,	  /* somebody may have written what this read does not show */
	LEVEE_NACL_NOT_VISIBLE,	  /* acl: rules were written that the read does not show yet */
	LEVEE_NACL_IN_DOUBT,	  /* acl: a write went wrong; whether it took effect is open */
	LEVEE_NACL_SUBNET_MOVING, /* subnet: its switch is not visible yet, or in doubt */
	LEVEE_NACL_SUBNET_UNSEEN, /* subnet: on no ACL that was read, or on two (STOP, too) */
	LEVEE_NACL_ACL_UNSEEN,	  /* acl: was not among those read (STOP, too) */
	/* STOP */
	LEVEE_NACL_NO_SUBNETS, /* none is protected */
	LEVEE_NACL_SAME_PAIR,  /* acl: is both blue and green */
	LEVEE_NACL_OTHER_VPC,  /* acl: is not in the VPC of other_acl */
	LEVEE_NACL_TOO_MANY, /* more than LEVEE_NACL_MARK_MAX rules of the operator look like Levee's */
	LEVEE_NACL_SAME_NUMBER,	  /* acl, other_acl, entry: a number stands for two rules */
	LEVEE_NACL_OTHER_MEANING, /* acl, other_acl, entry: acl does not have this rule of
				     * other_acl, and would mean something else with it */
	LEVEE_NACL_PAIR_DIFFERS,  /* acl, other_acl: blue and green are both in force, and each
				     * lacks rules of the operator that the other has */
	LEVEE_NACL_OUTSIDER,	  /* acl, subnet: to be rebuilt, but in use by this subnet */
	LEVEE_NACL_OLD_PLAN,	  /* entry: no rule for this survey: plan again, at once */
};

/** One thing to do. Names that do not matter are empty strings. */
struct levee_nacl_step {
	enum levee_nacl_step_type type;
	enum levee_nacl_why why;
	bool writes; /* changes AWS: check the lease (fencing token) before it */
	char acl[LEVEE_NACL_ID];
	char other_acl[LEVEE_NACL_ID]; /* SWITCH: the ACL that the subnet leaves */
	char subnet[LEVEE_NACL_ID];
	char association[LEVEE_NACL_ID];
	struct levee_nacl_entry entry;
	struct levee_nacl_mark mark;
};

/** How a step that writes went. One that EC2 certainly did not carry out is not remembered. */
enum levee_nacl_outcome {
	LEVEE_NACL_DONE,   /* success; or NotFound on DELETE, which then is not there either way */
	LEVEE_NACL_UNSURE, /* no answer, or one (500) that does not say */
	/*
	 * EC2 knew better than the read: NetworkAclEntryAlreadyExists,
	 * InvalidNetworkAclEntry.NotFound on REPLACE, InvalidAssociationID.NotFound.
	 */
	LEVEE_NACL_REFUSED,
};

struct levee_nacl_write {
	struct levee_nacl_step step;
	enum levee_nacl_outcome outcome;
};

/** What is known. Arrays are borrowed and must outlive the survey. */
struct levee_nacl_world {
	const struct levee_nacl *acls; /* read: all of the VPC */
	size_t n_acls;
	const struct levee_nacl_write *recent; /* oldest first */
	size_t n_recent;
	bool quiet;
	/* Believe that all writes are visible: to list what would be done, with each step put
	 * into `recent` as DONE. Not for work. */
	bool rehearsal;
};

/** One number of one direction of blue or green. */
struct levee_nacl_slot {
	uint16_t number;
	bool egress;
	bool seen_there, believed_there, maybe_there;
	struct levee_nacl_entry seen;	  /* by the read */
	struct levee_nacl_entry believed; /* after the writes that succeeded */
	struct levee_nacl_entry maybe;	  /* after one that may have, if in_doubt */
	bool written;			  /* some recent write is about it */
	bool in_doubt;
	bool refused; /* the read shows what EC2 says is not so */
};

/** Blue or green. */
struct levee_nacl_side {
	const struct levee_nacl *acl;
	bool marked;
	struct levee_nacl_mark mark;
	size_t n_users;	      /* protected subnets that are on it */
	const char *outsider; /* a subnet on it that is not protected; NULL */
	struct levee_nacl_slot *slots;
	size_t n_slots;
};

/** A protected subnet. */
struct levee_nacl_place {
	const char *subnet;
	const struct levee_nacl *acl; /* believed */
	const char *association;      /* id to switch by; NULL: not known until the next read */
};

struct levee_nacl_survey {
	/* LEVEE_NACL_STEP_CONVERGED: it can be worked with. STOP, REREAD: why not; what is below
	 * may then be empty. */
	struct levee_nacl_step step;
	struct levee_nacl_entry *operators; /* all rules to carry over, both directions */
	size_t n_operators;
	struct levee_nacl_entry *in_place; /* Levee's rules that stand: the plan keeps these */
	size_t n_in_place;
	const struct levee_nacl *in_force; /* whose rules these are; NULL: none yet */

	/* For levee_nacl_next(). */
	const struct levee_nacl_setup *setup;
	const struct levee_nacl_world *world;
	struct levee_nacl_mark mark;	  /* those of operators[] that look like Levee's */
	struct levee_nacl_side sides[2];  /* blue, green */
	struct levee_nacl_place *places;  /* one a protected subnet */
	const struct levee_nacl **owners; /* of each of operators[]: the ACL that it was found in */
};

/**
 * \param survey  filled; levee_nacl_survey_free() frees what it holds, after a failure too
 * \return 0, with the verdict in survey->step; -ENOMEM
 */
int levee_nacl_survey_make(struct levee_nacl_survey *survey, const struct levee_nacl_setup *setup,
			   const struct levee_nacl_world *world);

/** Accepts a survey that is all zero, and leaves it so. */
void levee_nacl_survey_free(struct levee_nacl_survey *survey);

/** Is a rule of blue or green one of Levee's? */
bool levee_nacl_is_levees(const struct levee_nacl_side *side, const struct levee_nacl_entry *entry);

/** One static sentence for people: what is wrong and what to do. Its subjects are in the step. */
const char *levee_nacl_why_text(enum levee_nacl_why why);

/** Fill a step. NULL stands for an empty name. For nacl_diff.c, too. */
void levee_nacl_say(struct levee_nacl_step *step, enum levee_nacl_step_type type,
		    enum levee_nacl_why why, const char *acl, const char *subnet);

/** Copy an id, cut to its room. NULL is the empty one. */
void levee_nacl_put_id(char to[static LEVEE_NACL_ID], const char *from);

#endif
