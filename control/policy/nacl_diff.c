/* SPDX-License-Identifier: BSD-2-Clause */
#include "control/policy/nacl_diff.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* What one number of an ACL needs. */
enum need {
	NOTHING,   /* the read shows what is wanted */
	PATIENCE,  /* it was written, and the read does not show it yet */
	CERTAINTY, /* nobody knows what stands there */
	CREATE,
	REPLACE,
	DELETE,
};

struct wish {
	const struct levee_nacl_survey *survey;
	const struct levee_nacl_entry *rules; /* Levee's */
	size_t n_rules;
	struct levee_nacl_step *step;
};

/* An ACL against what is wanted of it. */
struct distance {
	size_t calls;	  /* that would make it what is wanted */
	size_t operators; /* of these, about rules that are not Levee's */
	size_t uncertain;
	size_t repeats; /* of the calls, those that may have been done already */
};

static bool same_place(const struct levee_nacl_entry *a, uint16_t number, bool egress)
{
	return a->number == number && a->egress == egress;
}

/* What is wanted under a number; NULL: nothing. */
static const struct levee_nacl_entry *wanted_at(const struct wish *wish, uint16_t number,
						bool egress)
{
	const struct levee_nacl_survey *survey = wish->survey;

	for (size_t i = 0; i < survey->n_operators; i++)
		if (same_place(&survey->operators[i], number, egress))
			return &survey->operators[i];
	for (size_t i = 0; i < wish->n_rules; i++)
		if (same_place(&wish->rules[i], number, egress))
			return &wish->rules[i];
	return NULL;
}

static bool is_as(bool there, const struct levee_nacl_entry *entry,
		  const struct levee_nacl_entry *wanted)
{
	return there == !!wanted && (!wanted || levee_nacl_equal(entry, wanted));
}

/* The call that leads from what is believed to what is wanted, which differ. */
static enum need call_for(const struct levee_nacl_slot *slot, const struct levee_nacl_entry *wanted)
{
	if (!wanted)
		return DELETE;
	if (!slot->believed_there)
		return CREATE;
	/* A rule of the other family is counted elsewhere: first there must be room for it. */
	return slot->believed.cidr.family == wanted->cidr.family ? REPLACE : DELETE;
}

static enum need need_of(const struct levee_nacl_slot *slot, const struct levee_nacl_entry *wanted)
{
	bool believed = is_as(slot->believed_there, &slot->believed, wanted);

	if (slot->refused)
		return CERTAINTY;
	if (slot->in_doubt) {
		bool maybe = is_as(slot->maybe_there, &slot->maybe, wanted);

		/* What may have been done already can be done again. */
		if (maybe && !believed)
			return call_for(slot, wanted);
		if (!maybe)
			return CERTAINTY;
	}
	if (!believed)
		return call_for(slot, wanted);
	return is_as(slot->seen_there, &slot->seen, wanted) ? NOTHING : PATIENCE;
}

static const struct levee_nacl_slot *slot_at(const struct levee_nacl_side *side,
					     const struct levee_nacl_entry *entry)
{
	for (size_t i = 0; i < side->n_slots; i++)
		if (same_place(entry, side->slots[i].number, side->slots[i].egress))
			return &side->slots[i];
	return NULL;
}

static void count_need(struct distance *distance, enum need need, bool levees)
{
	distance->uncertain += need == CERTAINTY;
	if (need < CREATE)
		return;
	distance->calls++;
	distance->operators += !levees;
}

static size_t count_absent(const struct levee_nacl_side *side,
			   const struct levee_nacl_entry *entries, size_t n)
{
	size_t absent = 0;

	for (size_t i = 0; i < n; i++)
		absent += !slot_at(side, &entries[i]);
	return absent;
}

static bool is_claimed(const struct levee_nacl_survey *survey, const struct levee_nacl_entry *entry)
{
	return levee_nacl_mark_claims(&survey->mark, entry);
}

/* Is what stands and what shall stand under a number Levee's alone? */
static bool is_levees(const struct wish *wish, const struct levee_nacl_side *side,
		      const struct levee_nacl_slot *slot, const struct levee_nacl_entry *wanted)
{
	return (!slot->believed_there || levee_nacl_is_levees(side, &slot->believed)) &&
	       (!wanted || is_claimed(wish->survey, wanted));
}

static void measure(const struct wish *wish, const struct levee_nacl_side *side,
		    struct distance *distance)
{
	size_t absent = count_absent(side, wish->survey->operators, wish->survey->n_operators);

	*distance = (struct distance){ .calls = absent, .operators = absent };
	distance->calls += count_absent(side, wish->rules, wish->n_rules);
	for (size_t i = 0; i < side->n_slots; i++) {
		const struct levee_nacl_slot *slot = &side->slots[i];
		const struct levee_nacl_entry *wanted = wanted_at(wish, slot->number, slot->egress);
		enum need need = need_of(slot, wanted);

		count_need(distance, need, is_levees(wish, side, slot, wanted));
		distance->repeats += need >= CREATE && slot->in_doubt;
		/* The other family's rule goes, and then the wanted one comes. */
		distance->calls += need == DELETE && wanted;
	}
}

static bool reread(const struct wish *wish, enum levee_nacl_why why, const char *acl,
		   const char *subnet)
{
	levee_nacl_say(wish->step, LEVEE_NACL_STEP_REREAD, why, acl, subnet);
	return true;
}

static bool stop(const struct wish *wish, enum levee_nacl_why why, const char *acl,
		 const char *subnet)
{
	levee_nacl_say(wish->step, LEVEE_NACL_STEP_STOP, why, acl, subnet);
	return true;
}

/* The functions below that return bool say whether they have found the step. */

static bool check_wanted(const struct wish *wish)
{
	for (size_t i = 0; i < wish->n_rules; i++) {
		const struct levee_nacl_entry *rule = &wish->rules[i];

		if (is_claimed(wish->survey, rule) && wanted_at(wish, rule->number, false) == rule)
			continue;
		stop(wish, LEVEE_NACL_OLD_PLAN, NULL, NULL);
		wish->step->entry = *rule;
		return true;
	}
	return false;
}

/* Before the first rule in an ACL, and when other numbers have become the operator's. */
static bool mark(const struct wish *wish, const struct levee_nacl_side *side)
{
	if (side->marked && levee_nacl_mark_equal(&side->mark, &wish->survey->mark))
		return false;
	levee_nacl_say(wish->step, LEVEE_NACL_STEP_MARK, LEVEE_NACL_WHY_NONE, side->acl->id, NULL);
	wish->step->mark = wish->survey->mark;
	return true;
}

static bool write_entry(const struct wish *wish, const struct levee_nacl_side *side, enum need need,
			const struct levee_nacl_entry *entry)
{
	enum levee_nacl_step_type type = need == CREATE	   ? LEVEE_NACL_STEP_CREATE
					 : need == REPLACE ? LEVEE_NACL_STEP_REPLACE
							   : LEVEE_NACL_STEP_DELETE;

	levee_nacl_say(wish->step, type, LEVEE_NACL_WHY_NONE, side->acl->id, NULL);
	wish->step->entry = *entry;
	return true;
}

static bool write_slot(const struct wish *wish, const struct levee_nacl_side *side, enum need which)
{
	for (size_t i = 0; i < side->n_slots; i++) {
		const struct levee_nacl_slot *slot = &side->slots[i];
		const struct levee_nacl_entry *wanted = wanted_at(wish, slot->number, slot->egress);

		if (need_of(slot, wanted) == which)
			return write_entry(wish, side, which,
					   which == DELETE ? &slot->believed : wanted);
	}
	return false;
}

static bool create_one(const struct wish *wish, const struct levee_nacl_side *side,
		       const struct levee_nacl_entry *entries, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const struct levee_nacl_slot *slot = slot_at(side, &entries[i]);

		if (!slot || need_of(slot, &entries[i]) == CREATE)
			return write_entry(wish, side, CREATE, &entries[i]);
	}
	return false;
}

/*
 * What goes, goes first, so that the ACL never has more rules than it had or shall have. The
 * operator's rules come before Levee's, so that a quota that is too small is found by these.
 */
static bool write_one(const struct wish *wish, const struct levee_nacl_side *side)
{
	struct distance distance;

	if (mark(wish, side) || write_slot(wish, side, DELETE))
		return true;
	measure(wish, side, &distance);
	if (distance.uncertain)
		return reread(wish, LEVEE_NACL_IN_DOUBT, side->acl->id, NULL);
	return write_slot(wish, side, REPLACE) ||
	       create_one(wish, side, wish->survey->operators, wish->survey->n_operators) ||
	       create_one(wish, side, wish->rules, wish->n_rules);
}

static bool is_settled(const struct levee_nacl_side *side)
{
	for (size_t i = 0; i < side->n_slots; i++) {
		const struct levee_nacl_slot *slot = &side->slots[i];

		if (slot->in_doubt || slot->refused ||
		    !is_as(slot->seen_there, &slot->seen,
			   slot->believed_there ? &slot->believed : NULL))
			return false;
	}
	return true;
}

/* Put one subnet of those on `from` (NULL: on any) onto the side. */
static bool switch_one(const struct wish *wish, const struct levee_nacl_side *side,
		       const struct levee_nacl *from)
{
	const struct levee_nacl_survey *survey = wish->survey;

	for (size_t i = 0; i < survey->setup->n_subnets; i++) {
		const struct levee_nacl_place *place = &survey->places[i];

		if (place->acl == side->acl || (from && place->acl != from))
			continue;
		if (!place->association)
			return reread(wish, LEVEE_NACL_SUBNET_MOVING, NULL, place->subnet);
		if (!is_settled(side))
			return reread(wish, LEVEE_NACL_NOT_VISIBLE, side->acl->id, NULL);
		levee_nacl_say(wish->step, LEVEE_NACL_STEP_SWITCH, LEVEE_NACL_WHY_NONE,
			       side->acl->id, place->subnet);
		levee_nacl_put_id(wish->step->association, place->association);
		levee_nacl_put_id(wish->step->other_acl, place->acl->id);
		return true;
	}
	return false;
}

/* A subnet whose switch the read does not show yet; NULL: none. */
static const char *find_unseen(const struct wish *wish)
{
	const struct levee_nacl_survey *survey = wish->survey;

	for (size_t i = 0; i < survey->setup->n_subnets; i++)
		if (!survey->places[i].association)
			return survey->places[i].subnet;
	return NULL;
}

/* The side is what is wanted: put all subnets there, and say so once the read shows it. */
static bool settle_on(const struct wish *wish, const struct levee_nacl_side *side)
{
	const char *unseen;

	if (switch_one(wish, side, NULL))
		return true;
	if (!is_settled(side))
		return reread(wish, LEVEE_NACL_NOT_VISIBLE, side->acl->id, NULL);
	unseen = find_unseen(wish);
	if (unseen)
		return reread(wish, LEVEE_NACL_SUBNET_MOVING, NULL, unseen);
	levee_nacl_say(wish->step, LEVEE_NACL_STEP_CONVERGED, LEVEE_NACL_WHY_NONE, side->acl->id,
		       NULL);
	return true;
}

/* Has `side` all rules that are the operator's in `other`? */
static bool holds_rules_of(const struct levee_nacl_side *side, const struct levee_nacl_side *other)
{
	for (size_t i = 0; i < other->n_slots; i++) {
		const struct levee_nacl_slot *theirs = &other->slots[i], *ours;

		if (!theirs->believed_there || levee_nacl_is_levees(other, &theirs->believed))
			continue;
		ours = slot_at(side, &theirs->believed);
		if (!ours || !is_as(ours->believed_there, &ours->believed, &theirs->believed))
			return false;
	}
	return true;
}

/* How far it is to finish on this side; the nearer one is chosen. */
static size_t cost_to_finish(const struct wish *wish, const struct levee_nacl_side *side,
			     const struct levee_nacl_side *other)
{
	struct distance distance;

	if (!holds_rules_of(side, other))
		return SIZE_MAX;
	measure(wish, side, &distance);
	return distance.calls + distance.uncertain;
}

/* Both are in use, so neither can be rebuilt: first all on one. */
static bool finish_switch(const struct wish *wish)
{
	const struct levee_nacl_side *blue = &wish->survey->sides[0], *green = blue + 1;
	size_t to_blue, to_green;
	bool on_green;

	if (!blue->n_users || !green->n_users)
		return false;
	to_blue = cost_to_finish(wish, blue, green);
	to_green = cost_to_finish(wish, green, blue);
	if (to_blue == SIZE_MAX && to_green == SIZE_MAX) {
		stop(wish, LEVEE_NACL_PAIR_DIFFERS, blue->acl->id, NULL);
		levee_nacl_put_id(wish->step->other_acl, green->acl->id);
		return true;
	}
	on_green = to_blue == to_green ? green->n_users > blue->n_users : to_green < to_blue;
	return on_green ? switch_one(wish, green, blue->acl) : switch_one(wish, blue, green->acl);
}

/* Complete the side, which no protected subnet is on, and put all subnets there. */
static bool build(const struct wish *wish, const struct levee_nacl_side *side)
{
	struct distance distance;

	measure(wish, side, &distance);
	if (side->outsider && (distance.calls || distance.uncertain))
		return stop(wish, LEVEE_NACL_OUTSIDER, side->acl->id, side->outsider);
	return write_one(wish, side) || settle_on(wish, side);
}

static bool is_same_range(const struct wish *wish, const struct levee_nacl_side *side)
{
	struct levee_nacl_range now = wish->survey->mark.range, then = side->mark.range;

	/* Where nothing is marked, nothing is Levee's. */
	return !side->marked || (now.first == then.first && now.last == then.last);
}

/* The protected subnets that are on the pair are on this side. */
static bool work_on(const struct wish *wish, const struct levee_nacl_side *active,
		    const struct levee_nacl_side *idle)
{
	struct distance distance;

	measure(wish, active, &distance);
	if (distance.uncertain || (distance.calls > 1 && distance.repeats))
		return reread(wish, LEVEE_NACL_IN_DOUBT, active->acl->id, NULL);
	if (!distance.calls)
		return settle_on(wish, active);
	if (distance.calls == 1 && !distance.operators && is_same_range(wish, active))
		return write_one(wish, active);
	return build(wish, idle);
}

/* No protected subnet is on the pair: the side that is nearer to what is wanted will do. */
static bool begin(const struct wish *wish)
{
	const struct levee_nacl_side *blue = &wish->survey->sides[0], *green = blue + 1;
	struct distance to_blue, to_green;

	measure(wish, blue, &to_blue);
	measure(wish, green, &to_green);
	if (!blue->outsider != !green->outsider)
		return build(wish, blue->outsider ? green : blue);
	return build(wish, to_green.calls < to_blue.calls ? green : blue);
}

void levee_nacl_next(const struct levee_nacl_survey *survey, const struct levee_nacl_entry *wanted,
		     size_t n_wanted, struct levee_nacl_step *step)
{
	const struct levee_nacl_side *blue = &survey->sides[0], *green = blue + 1;
	struct wish wish = { survey, wanted, n_wanted, step };

	*step = survey->step;
	if (step->type != LEVEE_NACL_STEP_CONVERGED || check_wanted(&wish))
		return;
	if (finish_switch(&wish))
		return;
	else if (blue->n_users)
		work_on(&wish, blue, green);
	else if (green->n_users)
		work_on(&wish, green, blue);
	else
		begin(&wish);
}

static int rehearse_one(const struct levee_nacl_setup *setup, const struct levee_nacl_world *world,
			const struct levee_nacl_entry *wanted, size_t n_wanted,
			struct levee_nacl_step *step)
{
	struct levee_nacl_survey survey;
	int ret = levee_nacl_survey_make(&survey, setup, world);

	if (!ret)
		levee_nacl_next(&survey, wanted, n_wanted, step);
	levee_nacl_survey_free(&survey);
	return ret;
}

/* Every number of both ACLs, three calls each at most, and every subnet twice. */
static size_t most_steps(const struct levee_nacl_setup *setup, const struct levee_nacl_world *world,
			 size_t n_wanted)
{
	size_t n = n_wanted;

	for (size_t i = 0; i < world->n_acls; i++)
		n += world->acls[i].n_entries;
	return 6 * n + 2 * setup->n_subnets + 8;
}

int levee_nacl_rehearse(const struct levee_nacl_setup *setup, const struct levee_nacl_world *world,
			const struct levee_nacl_entry *wanted, size_t n_wanted,
			struct levee_nacl_step **steps, size_t *n_steps)
{
	size_t most = most_steps(setup, world, n_wanted), n = 0;
	struct levee_nacl_write *writes = calloc(world->n_recent + most, sizeof(*writes));
	struct levee_nacl_step *list = calloc(most, sizeof(*list));
	struct levee_nacl_world pretended = *world;
	int ret = writes && list ? 0 : -ENOMEM;

	pretended.quiet = pretended.rehearsal = true;
	pretended.recent = writes;
	if (!ret && world->n_recent)
		memcpy(writes, world->recent, world->n_recent * sizeof(*writes));
	while (!ret && n < most) {
		struct levee_nacl_step *step = &list[n++];

		ret = rehearse_one(setup, &pretended, wanted, n_wanted, step);
		if (ret || !step->writes)
			break;
		writes[pretended.n_recent++].step = *step;
	}
	free(writes);
	if (ret)
		free(list);
	*steps = ret ? NULL : list;
	*n_steps = ret ? 0 : n;
	return ret;
}
