/* SPDX-License-Identifier: BSD-2-Clause */
#include "control/policy/nacl_survey.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void levee_nacl_put_id(char to[static LEVEE_NACL_ID], const char *from)
{
	size_t len = from ? strnlen(from, LEVEE_NACL_ID - 1) : 0;

	memset(to, 0, LEVEE_NACL_ID);
	if (len)
		memcpy(to, from, len);
}

void levee_nacl_say(struct levee_nacl_step *step, enum levee_nacl_step_type type,
		    enum levee_nacl_why why, const char *acl, const char *subnet)
{
	memset(step, 0, sizeof(*step));
	step->type = type;
	step->why = why;
	step->writes = type <= LEVEE_NACL_STEP_SWITCH;
	levee_nacl_put_id(step->acl, acl);
	levee_nacl_put_id(step->subnet, subnet);
}

static bool same_id(const char *a, const char *b)
{
	return !strncmp(a, b, LEVEE_NACL_ID);
}

/* Is the survey at an end? */
static bool is_over(const struct levee_nacl_survey *survey)
{
	return survey->step.type != LEVEE_NACL_STEP_CONVERGED;
}

static void stop(struct levee_nacl_survey *survey, enum levee_nacl_why why, const char *acl,
		 const char *subnet)
{
	levee_nacl_say(&survey->step, LEVEE_NACL_STEP_STOP, why, acl, subnet);
}

/* What is missing may be missing from this read alone. */
static void miss(struct levee_nacl_survey *survey, enum levee_nacl_why why, const char *acl,
		 const char *subnet)
{
	bool settled = survey->world->quiet && !survey->world->n_recent;

	levee_nacl_say(&survey->step, settled ? LEVEE_NACL_STEP_STOP : LEVEE_NACL_STEP_REREAD, why,
		       acl, subnet);
}

static const struct levee_nacl *find_acl(const struct levee_nacl_world *world, const char *id)
{
	for (size_t i = 0; i < world->n_acls; i++)
		if (same_id(world->acls[i].id, id))
			return &world->acls[i];
	return NULL;
}

static void find_pair(struct levee_nacl_survey *survey)
{
	const char *ids[2] = { survey->setup->blue, survey->setup->green };

	if (same_id(ids[0], ids[1])) {
		stop(survey, LEVEE_NACL_SAME_PAIR, ids[0], NULL);
		return;
	}
	for (int i = 0; i < 2; i++) {
		survey->sides[i].acl = find_acl(survey->world, ids[i]);
		if (!survey->sides[i].acl) {
			miss(survey, LEVEE_NACL_ACL_UNSEEN, ids[i], NULL);
			return;
		}
	}
}

/* Where the read shows the subnet. \return how many times it does */
static int see_subnet(const struct levee_nacl_world *world, struct levee_nacl_place *place)
{
	int n = 0;

	for (size_t i = 0; i < world->n_acls; i++) {
		for (size_t j = 0; j < world->acls[i].n_associations; j++) {
			if (!same_id(world->acls[i].associations[j].subnet, place->subnet))
				continue;
			place->acl = &world->acls[i];
			place->association = world->acls[i].associations[j].id;
			n++;
		}
	}
	return n;
}

/* What the recent writes say of a subnet. */
struct journey {
	const struct levee_nacl_write *done;  /* the last switch that succeeded */
	const struct levee_nacl_write *after; /* the last one behind it that is in doubt */
	bool several;
};

static void trace_subnet(const struct levee_nacl_world *world, const char *subnet,
			 struct journey *journey)
{
	memset(journey, 0, sizeof(*journey));
	for (size_t i = 0; i < world->n_recent; i++) {
		const struct levee_nacl_write *write = &world->recent[i];

		if (write->step.type != LEVEE_NACL_STEP_SWITCH ||
		    !same_id(write->step.subnet, subnet))
			continue;
		journey->several = journey->done || journey->after;
		if (write->outcome == LEVEE_NACL_DONE) {
			journey->done = write;
			journey->after = NULL;
		} else {
			journey->after = write;
		}
	}
}

/* Is a switch without a clear answer still without one after this read? */
static bool is_open(const struct journey *journey, const struct levee_nacl_place *place, int seen)
{
	const struct levee_nacl_write *after = journey->after;

	if (!after)
		return false;
	if (seen != 1)
		return true;
	/* Refused, because the association was another already: until the read shows it. */
	if (after->outcome == LEVEE_NACL_REFUSED)
		return same_id(place->association, after->step.association);
	/* An ACL on which it was before may be what an old read shows. */
	return journey->several || !same_id(place->acl->id, after->step.acl);
}

static void locate(struct levee_nacl_survey *survey, struct levee_nacl_place *place)
{
	const struct levee_nacl_world *world = survey->world;
	int seen = see_subnet(world, place);
	const struct levee_nacl *target;
	struct journey journey;

	trace_subnet(world, place->subnet, &journey);
	if (is_open(&journey, place, seen)) {
		levee_nacl_say(&survey->step, LEVEE_NACL_STEP_REREAD, LEVEE_NACL_SUBNET_MOVING,
			       NULL, place->subnet);
		return;
	}
	target = journey.done && !journey.after ? find_acl(world, journey.done->step.acl) : NULL;
	if (target && (seen != 1 || place->acl != target)) {
		place->acl = target;
		/* In a rehearsal no id of EC2 is needed, but some. */
		place->association = world->rehearsal ? "" : NULL;
	} else if (seen != 1) {
		place->acl = NULL;
		miss(survey, LEVEE_NACL_SUBNET_UNSEEN, NULL, place->subnet);
	}
}

static int find_subnets(struct levee_nacl_survey *survey)
{
	const struct levee_nacl_setup *setup = survey->setup;

	survey->places = calloc(setup->n_subnets + 1, sizeof(*survey->places));
	if (!survey->places)
		return -ENOMEM;
	if (!setup->n_subnets)
		stop(survey, LEVEE_NACL_NO_SUBNETS, NULL, NULL);
	for (size_t i = 0; i < setup->n_subnets && !is_over(survey); i++) {
		survey->places[i].subnet = setup->subnets[i];
		locate(survey, &survey->places[i]);
	}
	return 0;
}

static void check_vpc(struct levee_nacl_survey *survey, const struct levee_nacl *acl)
{
	const struct levee_nacl *blue = survey->sides[0].acl;

	if (is_over(survey) || same_id(acl->vpc, blue->vpc))
		return;
	stop(survey, LEVEE_NACL_OTHER_VPC, acl->id, NULL);
	levee_nacl_put_id(survey->step.other_acl, blue->id);
}

static void check_vpcs(struct levee_nacl_survey *survey)
{
	check_vpc(survey, survey->sides[1].acl);
	for (size_t i = 0; i < survey->setup->n_subnets; i++)
		if (!is_over(survey))
			check_vpc(survey, survey->places[i].acl);
}

static bool is_protected(const struct levee_nacl_setup *setup, const char *subnet)
{
	for (size_t i = 0; i < setup->n_subnets; i++)
		if (same_id(setup->subnets[i], subnet))
			return true;
	return false;
}

static void find_users(struct levee_nacl_survey *survey, struct levee_nacl_side *side)
{
	for (size_t i = 0; i < survey->setup->n_subnets; i++)
		side->n_users += survey->places[i].acl == side->acl;
	for (size_t i = 0; i < side->acl->n_associations && !side->outsider; i++)
		if (!is_protected(survey->setup, side->acl->associations[i].subnet))
			side->outsider = side->acl->associations[i].subnet;
}

static struct levee_nacl_slot *find_slot(struct levee_nacl_side *side,
					 const struct levee_nacl_entry *entry)
{
	struct levee_nacl_slot *slot;

	for (size_t i = 0; i < side->n_slots; i++) {
		slot = &side->slots[i];
		if (slot->number == entry->number && slot->egress == entry->egress)
			return slot;
	}
	slot = &side->slots[side->n_slots++]; /* there is room: see find_slots() */
	slot->number = entry->number;
	slot->egress = entry->egress;
	return slot;
}

static bool same_state(bool a_there, const struct levee_nacl_entry *a, bool b_there,
		       const struct levee_nacl_entry *b)
{
	return a_there == b_there && (!a_there || levee_nacl_equal(a, b));
}

static void believe_done(struct levee_nacl_slot *slot, bool there,
			 const struct levee_nacl_entry *entry)
{
	slot->believed_there = there;
	slot->believed = *entry;
	slot->in_doubt = slot->refused = false;
}

static void doubt(struct levee_nacl_slot *slot, bool there, const struct levee_nacl_entry *entry)
{
	slot->maybe_there = there;
	slot->maybe = *entry;
	/* What changes nothing is no matter for doubt, if there was none. */
	if (!same_state(slot->believed_there, &slot->believed, there, entry))
		slot->in_doubt = true;
}

/* Refused as there is a rule already, or none: the read knows it as well, or does not yet. */
static void heed_refusal(struct levee_nacl_slot *slot, const struct levee_nacl_write *write)
{
	if (slot->seen_there != (write->step.type == LEVEE_NACL_STEP_CREATE)) {
		slot->refused = true;
		return;
	}
	slot->believed_there = slot->seen_there;
	slot->believed = slot->seen;
	slot->in_doubt = slot->refused = false;
}

static void apply_write(struct levee_nacl_slot *slot, const struct levee_nacl_write *write)
{
	bool there = write->step.type != LEVEE_NACL_STEP_DELETE;

	switch (write->outcome) {
	case LEVEE_NACL_DONE:
		believe_done(slot, there, &write->step.entry);
		break;
	case LEVEE_NACL_UNSURE:
		doubt(slot, there, &write->step.entry);
		break;
	case LEVEE_NACL_REFUSED:
		heed_refusal(slot, write);
		break;
	}
}

/* In doubt it is not believed, so that it is written again: the second time changes nothing. */
static void apply_mark(struct levee_nacl_side *side, const struct levee_nacl_write *write)
{
	if (write->outcome != LEVEE_NACL_DONE)
		return;
	side->marked = true;
	side->mark = write->step.mark;
}

static void apply_writes(struct levee_nacl_survey *survey, struct levee_nacl_side *side)
{
	for (size_t i = 0; i < survey->world->n_recent; i++) {
		const struct levee_nacl_write *write = &survey->world->recent[i];

		if (!same_id(write->step.acl, side->acl->id))
			continue;
		if (write->step.type == LEVEE_NACL_STEP_MARK)
			apply_mark(side, write);
		else if (write->step.type != LEVEE_NACL_STEP_SWITCH)
			apply_write(find_slot(side, &write->step.entry), write);
	}
}

/* As if the read had shown what is believed. */
static void pretend_seen(struct levee_nacl_side *side)
{
	for (size_t i = 0; i < side->n_slots; i++) {
		side->slots[i].seen_there = side->slots[i].believed_there;
		side->slots[i].seen = side->slots[i].believed;
	}
}

static int find_slots(struct levee_nacl_survey *survey, struct levee_nacl_side *side)
{
	const struct levee_nacl *acl = side->acl;

	side->marked = acl->marked;
	side->mark = acl->mark;
	side->slots = calloc(acl->n_entries + survey->world->n_recent + 1, sizeof(*side->slots));
	if (!side->slots)
		return -ENOMEM;
	for (size_t i = 0; i < acl->n_entries; i++) {
		struct levee_nacl_slot *slot;

		if (levee_nacl_is_default(&acl->entries[i]))
			continue;
		slot = find_slot(side, &acl->entries[i]);
		slot->seen_there = slot->believed_there = true;
		slot->seen = slot->believed = acl->entries[i];
	}
	apply_writes(survey, side);
	if (survey->world->rehearsal)
		pretend_seen(side);
	return 0;
}

static bool is_in_force(const struct levee_nacl_survey *survey, const struct levee_nacl *acl)
{
	for (size_t i = 0; i < survey->setup->n_subnets; i++)
		if (survey->places[i].acl == acl)
			return true;
	return false;
}

static void stop_at_rule(struct levee_nacl_survey *survey, enum levee_nacl_why why,
			 const struct levee_nacl *acl, const struct levee_nacl *other,
			 const struct levee_nacl_entry *entry)
{
	stop(survey, why, acl->id, NULL);
	levee_nacl_put_id(survey->step.other_acl, other ? other->id : NULL);
	survey->step.entry = *entry;
}

static void gather(struct levee_nacl_survey *survey, const struct levee_nacl *acl,
		   const struct levee_nacl_entry *entry)
{
	for (size_t i = 0; i < survey->n_operators; i++) {
		const struct levee_nacl_entry *other = &survey->operators[i];

		if (other->number != entry->number || other->egress != entry->egress)
			continue;
		if (!levee_nacl_equal(other, entry))
			stop_at_rule(survey, LEVEE_NACL_SAME_NUMBER, acl, survey->owners[i], entry);
		return;
	}
	survey->owners[survey->n_operators] = acl;
	survey->operators[survey->n_operators++] = *entry;
}

bool levee_nacl_is_levees(const struct levee_nacl_side *side, const struct levee_nacl_entry *entry)
{
	return side->marked && levee_nacl_mark_claims(&side->mark, entry);
}

static bool is_operators(const struct levee_nacl_side *side, bool there,
			 const struct levee_nacl_entry *entry)
{
	return there && !levee_nacl_is_levees(side, entry);
}

/* Of an ACL in force, too: the read before the switch may have been newer than this one. */
static bool is_operators_doubtful(const struct levee_nacl_side *side)
{
	for (size_t i = 0; i < side->n_slots; i++) {
		const struct levee_nacl_slot *slot = &side->slots[i];

		if ((slot->in_doubt || slot->refused) &&
		    (is_operators(side, slot->believed_there, &slot->believed) ||
		     is_operators(side, slot->maybe_there, &slot->maybe)))
			return true;
	}
	return false;
}

static void gather_side(struct levee_nacl_survey *survey, const struct levee_nacl_side *side)
{
	if (is_operators_doubtful(side)) {
		levee_nacl_say(&survey->step, LEVEE_NACL_STEP_REREAD, LEVEE_NACL_IN_DOUBT,
			       side->acl->id, NULL);
		return;
	}
	for (size_t i = 0; i < side->n_slots && !is_over(survey); i++)
		if (is_operators(side, side->slots[i].believed_there, &side->slots[i].believed))
			gather(survey, side->acl, &side->slots[i].believed);
}

static struct levee_nacl_side *side_of(struct levee_nacl_survey *survey,
				       const struct levee_nacl *acl)
{
	for (int i = 0; i < 2; i++)
		if (survey->sides[i].acl == acl)
			return &survey->sides[i];
	return NULL;
}

static void gather_acl(struct levee_nacl_survey *survey, const struct levee_nacl *acl)
{
	const struct levee_nacl_side *side = side_of(survey, acl);

	if (side) {
		gather_side(survey, side);
		return;
	}
	for (size_t i = 0; i < acl->n_entries && !is_over(survey); i++)
		if (!levee_nacl_is_default(&acl->entries[i]))
			gather(survey, acl, &acl->entries[i]);
}

static size_t most_rules(const struct levee_nacl_survey *survey)
{
	size_t n = survey->sides[0].n_slots + survey->sides[1].n_slots;

	for (size_t i = 0; i < survey->world->n_acls; i++)
		n += survey->world->acls[i].n_entries;
	return n;
}

static int gather_all(struct levee_nacl_survey *survey)
{
	size_t room = most_rules(survey) + 1;

	survey->operators = calloc(room, sizeof(*survey->operators));
	survey->owners = calloc(room, sizeof(*survey->owners));
	survey->in_place = calloc(room, sizeof(*survey->in_place));
	if (!survey->operators || !survey->owners || !survey->in_place)
		return -ENOMEM;
	for (size_t i = 0; i < survey->world->n_acls && !is_over(survey); i++)
		if (is_in_force(survey, &survey->world->acls[i]))
			gather_acl(survey, &survey->world->acls[i]);
	return 0;
}

/* A rule of the union, and whether the ACL in question lacks it. Taken out once proven idle. */
struct extra {
	struct levee_nacl_entry entry;
	const struct levee_nacl *owner;
	bool lacking;
};

static bool acl_has(struct levee_nacl_survey *survey, const struct levee_nacl *acl,
		    const struct levee_nacl_entry *entry)
{
	const struct levee_nacl_side *side = side_of(survey, acl);

	for (size_t i = 0; side && i < side->n_slots; i++)
		if (side->slots[i].believed_there &&
		    levee_nacl_equal(&side->slots[i].believed, entry))
			return true;
	for (size_t i = 0; !side && i < acl->n_entries; i++)
		if (levee_nacl_equal(&acl->entries[i], entry))
			return true;
	return false;
}

/* Does the list, which is in order, mean the same without its rule at `place`? */
static bool is_idle(const struct extra *rules, size_t n, size_t place)
{
	const struct levee_nacl_entry *rule = &rules[place].entry;

	for (size_t i = 0; i < place; i++)
		if (levee_nacl_covers(&rules[i].entry, rule))
			return true;
	for (size_t i = place + 1; i < n; i++) {
		if (!levee_nacl_overlaps(&rules[i].entry, rule))
			continue;
		if (rules[i].entry.action != rule->action)
			return false;
		if (levee_nacl_covers(&rules[i].entry, rule))
			return true;
	}
	return rule->action == LEVEE_NACL_DENY; /* as the default does */
}

static bool take_out_idle(struct extra *rules, size_t *n)
{
	for (size_t i = 0; i < *n; i++) {
		if (!rules[i].lacking || !is_idle(rules, *n, i))
			continue;
		memmove(&rules[i], &rules[i + 1], (*n - i - 1) * sizeof(*rules));
		(*n)--;
		return true;
	}
	return false;
}

/*
 * One rule at a time is taken out, for two may each be idle only because of the other.
 * \return NULL if all that the ACL lacks could go; else one that could not
 */
static const struct extra *find_meaningful(struct extra *rules, size_t n)
{
	while (take_out_idle(rules, &n))
		continue;
	for (size_t i = 0; i < n; i++)
		if (rules[i].lacking)
			return &rules[i];
	return NULL;
}

static int by_extra(const void *a, const void *b)
{
	const struct extra *left = a, *right = b;

	return levee_nacl_by_number(&left->entry, &right->entry);
}

static void check_meaning(struct levee_nacl_survey *survey, const struct levee_nacl *acl,
			  struct extra *rules)
{
	size_t n = survey->n_operators;
	const struct extra *stuck;

	for (size_t i = 0; i < n; i++) {
		rules[i].entry = survey->operators[i];
		rules[i].owner = survey->owners[i];
		rules[i].lacking = !acl_has(survey, acl, &rules[i].entry);
	}
	qsort(rules, n, sizeof(*rules), by_extra);
	stuck = find_meaningful(rules, n);
	if (stuck)
		stop_at_rule(survey, LEVEE_NACL_OTHER_MEANING, acl, stuck->owner, &stuck->entry);
}

static int check_meanings(struct levee_nacl_survey *survey)
{
	struct extra *rules;

	if (survey->setup->merge)
		return 0;
	rules = calloc(survey->n_operators + 1, sizeof(*rules));
	if (!rules)
		return -ENOMEM;
	for (size_t i = 0; i < survey->world->n_acls && !is_over(survey); i++)
		if (is_in_force(survey, &survey->world->acls[i]))
			check_meaning(survey, &survey->world->acls[i], rules);
	free(rules);
	return 0;
}

static void add_number(struct levee_nacl_mark *mark, uint16_t number)
{
	size_t i = mark->n++;

	for (; i && mark->numbers[i - 1] > number; i--)
		mark->numbers[i] = mark->numbers[i - 1];
	mark->numbers[i] = number;
}

/* What a mark has to say so that the operator's rules are not taken for Levee's. */
static void find_mark(struct levee_nacl_survey *survey)
{
	survey->mark.range = survey->setup->range;
	for (size_t i = 0; i < survey->n_operators; i++) {
		const struct levee_nacl_entry *entry = &survey->operators[i];

		if (!levee_nacl_is_reserved(entry, survey->setup->range))
			continue;
		if (survey->mark.n == LEVEE_NACL_MARK_MAX) {
			stop_at_rule(survey, LEVEE_NACL_TOO_MANY, survey->owners[i], NULL, entry);
			return;
		}
		add_number(&survey->mark, entry->number);
	}
}

/* The one that more subnets are on, blue if there is no difference. */
static void find_in_place(struct levee_nacl_survey *survey)
{
	bool green = survey->sides[1].n_users > survey->sides[0].n_users;
	const struct levee_nacl_side *side = &survey->sides[green];

	if (side->n_users)
		survey->in_force = side->acl;
	for (size_t i = 0; i < side->n_slots; i++)
		if (side->slots[i].believed_there &&
		    levee_nacl_is_levees(side, &side->slots[i].believed))
			survey->in_place[survey->n_in_place++] = side->slots[i].believed;
}

static int look(struct levee_nacl_survey *survey)
{
	int ret;

	find_pair(survey);
	if (is_over(survey))
		return 0;
	ret = find_subnets(survey);
	if (ret || is_over(survey))
		return ret;
	check_vpcs(survey);
	for (int i = 0; i < 2 && !is_over(survey); i++) {
		find_users(survey, &survey->sides[i]);
		ret = find_slots(survey, &survey->sides[i]);
		if (ret)
			return ret;
	}
	if (is_over(survey))
		return 0;
	ret = gather_all(survey);
	if (!ret && !is_over(survey))
		ret = check_meanings(survey);
	if (!ret && !is_over(survey))
		find_mark(survey);
	if (!ret && !is_over(survey))
		find_in_place(survey);
	return ret;
}

/* What was read may be old: neither to be worked with, nor to be complained about. */
static void hold_back(struct levee_nacl_survey *survey)
{
	enum levee_nacl_why why = survey->step.why;

	if (!is_over(survey) || why == LEVEE_NACL_SAME_NUMBER || why == LEVEE_NACL_OTHER_MEANING ||
	    why == LEVEE_NACL_TOO_MANY)
		levee_nacl_say(&survey->step, LEVEE_NACL_STEP_REREAD, LEVEE_NACL_NOT_QUIET, NULL,
			       NULL);
}

int levee_nacl_survey_make(struct levee_nacl_survey *survey, const struct levee_nacl_setup *setup,
			   const struct levee_nacl_world *world)
{
	int ret;

	memset(survey, 0, sizeof(*survey));
	survey->setup = setup;
	survey->world = world;
	levee_nacl_say(&survey->step, LEVEE_NACL_STEP_CONVERGED, LEVEE_NACL_WHY_NONE, NULL, NULL);
	ret = look(survey);
	if (!world->quiet)
		hold_back(survey);
	return ret;
}

void levee_nacl_survey_free(struct levee_nacl_survey *survey)
{
	free(survey->operators);
	free(survey->owners);
	free(survey->in_place);
	free(survey->places);
	for (int i = 0; i < 2; i++)
		free(survey->sides[i].slots);
	memset(survey, 0, sizeof(*survey));
}

static const char *const texts[] = {
	[LEVEE_NACL_WHY_NONE] = "nothing is wrong",
	[LEVEE_NACL_NOT_QUIET] = "another process may have written to the network ACLs a moment "
				 "ago: wait until every read shows it",
	[LEVEE_NACL_NOT_VISIBLE] = "rules that were written are not visible yet: read again",
	[LEVEE_NACL_IN_DOUBT] = "a write had no clear answer: read until it is clear whether it "
				"took effect",
	[LEVEE_NACL_SUBNET_MOVING] = "the switch of the subnet is not visible yet: read again",
	[LEVEE_NACL_SUBNET_UNSEEN] = "no network ACL, or more than one, is shown for the subnet: "
				     "check the subnet's id and its VPC in [nacl] subnets",
	[LEVEE_NACL_ACL_UNSEEN] = "the network ACL was not found: check its id, region and VPC in "
				  "[nacl] blue and green",
	[LEVEE_NACL_NO_SUBNETS] = "no subnet is protected: name them in [nacl] subnets",
	[LEVEE_NACL_SAME_PAIR] = "[nacl] blue and green are the same network ACL: name two",
	[LEVEE_NACL_OTHER_VPC] = "the network ACLs are of different VPCs: blue, green and the "
				 "subnets must be of one",
	[LEVEE_NACL_TOO_MANY] = "too many rules of yours have numbers of the range that is "
				"reserved for Levee: give them others, or move the range",
	[LEVEE_NACL_SAME_NUMBER] = "subnets stand on two network ACLs that have different rules "
				   "under one number: make them equal, or give one of the rules "
				   "another number",
	[LEVEE_NACL_OTHER_MEANING] = "subnets stand on two network ACLs with different rules, and "
				     "one would allow or deny something else with the rules of "
				     "the other: make them equal, or say merge",
	[LEVEE_NACL_PAIR_DIFFERS] = "blue and green are both in use, and each lacks rules that "
				    "the other has: make them equal, or put all subnets on one",
	[LEVEE_NACL_OUTSIDER] = "the network ACL has to be rebuilt, but a subnet that is not "
				"protected uses it: protect the subnet, or give it another ACL",
	[LEVEE_NACL_OLD_PLAN] = "the plan does not fit the rules that were read: plan again",
};

const char *levee_nacl_why_text(enum levee_nacl_why why)
{
	size_t n = sizeof(texts) / sizeof(*texts);

	return (size_t)why < n && texts[why] ? texts[why] : "unknown reason";
}
