/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The reconcile: given what stands and what is wanted, the next single step. The caller performs
 * it, remembers it, and asks again, until it hears that all has converged; first start, drift,
 * retry after a failure and reads that lag behind are the same code. Pure: no I/O, no clock.
 *
 * A push, end to end:
 *
 *	read all network ACLs of the VPC
 *	levee_nacl_survey_make(&survey, &setup, &world)    survey.step says if one can go on
 *	levee_nacl_plan_make(&plan, &params, &input)       with operators, in_place of the survey
 *	levee_nacl_next(&survey, plan.rules, plan.n_rules, &step)
 *	step.writes: check the lease, perform it, append it with its outcome to `recent`, drop what
 *	             is LEVEE_NACL_SETTLE_S older than the read, and survey again. The read may be
 *	             the same: what was written since is in `recent`
 *	REREAD:      wait, read again, survey again. Back off; it takes two minutes at most
 *
 * What keeps the subnets safe:
 *
 *  - A subnet is switched only to an ACL that was read back whole: all rules of the operator,
 *    both directions and families, and Levee's rules, with no write to it in doubt.
 *  - An ACL that a protected subnet is on is changed only if one call makes it what is wanted:
 *    one rule of Levee's more, one fewer, or one in the place of another under its number. EC2
 *    carries out such a call whole or not at all, and it touches no rule of the operator. So at
 *    every instant the ACL in force holds the operator's rules and a whole set of Levee's: the
 *    old or the new.
 *  - For every other change the idle ACL is completed, read back, and every subnet switched.
 *
 * Why not always the latter? The idle ACL lags behind by what was changed since the last switch,
 * so blue/green alone would write each change twice, and a single new source would cost its rule,
 * those of the last push, the wait for a read that shows them, and a switch for each subnet. Done
 * in place it costs one call and takes effect at once. The price: a push of several changes pays
 * for what the idle ACL missed meanwhile, at most one call a change; where a source came and went
 * between two switches, none.
 *
 * When both blue and green are in use (a process died between two switches), nothing can be
 * rebuilt, and the switch is finished first: to the one that holds all rules of the operator and
 * is nearest to what is wanted.
 *
 * Levee never touches an ACL other than blue and green, and never the idle one while a subnet that
 * is not protected uses it.
 */
#ifndef LEVEE_NACL_DIFF_H
#define LEVEE_NACL_DIFF_H

#include "control/policy/nacl_survey.h"

/**
 * \param survey  of now
 * \param wanted  Levee's rules, the most important first: they are written in this order. Of a
 *                plan made with this survey, or with an earlier one of the same push
 * \param step    filled; repeats survey->step if that cannot be worked with
 */
void levee_nacl_next(const struct levee_nacl_survey *survey, const struct levee_nacl_entry *wanted,
		     size_t n_wanted, struct levee_nacl_step *step);

/**
 * All steps that would be done, were every write to succeed and be visible at once: for people.
 * The last one does not write: CONVERGED, STOP or REREAD.
 * \param steps  the caller frees it; NULL after a failure
 * \return 0; -ENOMEM
 */
int levee_nacl_rehearse(const struct levee_nacl_setup *setup, const struct levee_nacl_world *world,
			const struct levee_nacl_entry *wanted, size_t n_wanted,
			struct levee_nacl_step **steps, size_t *n_steps);

#endif
