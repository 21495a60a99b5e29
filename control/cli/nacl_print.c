/* SPDX-License-Identifier: BSD-2-Clause */
#include "control/cli/nacl_print.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "control/json.h"

/* ---- making ---- */

static bool is_usable(const struct levee_nacl_look *look)
{
	return look->survey->step.type == LEVEE_NACL_STEP_CONVERGED;
}

static const struct levee_nacl *acl_of(const struct levee_nacl_look *look, const char *subnet)
{
	for (size_t i = 0; i < look->acls->n; i++) {
		const struct levee_nacl *acl = &look->acls->list[i];

		for (size_t j = 0; j < acl->n_associations; j++)
			if (!strcmp(acl->associations[j].subnet, subnet))
				return acl;
	}
	return NULL;
}

static bool has_entry(const struct levee_nacl *acl, const struct levee_nacl_entry *entry)
{
	for (size_t i = 0; i < acl->n_entries; i++)
		if (levee_nacl_equal(&acl->entries[i], entry))
			return true;
	return false;
}

static bool is_wanted(const struct levee_nacl_plan *plan, const struct levee_nacl_entry *entry)
{
	for (size_t i = 0; i < plan->n_rules; i++)
		if (levee_nacl_equal(&plan->rules[i], entry))
			return true;
	return false;
}

static void see_subnet(struct levee_nacl_view_subnet *to, const struct levee_nacl_look *look,
		       const char *subnet)
{
	const struct levee_nacl *acl = acl_of(look, subnet);
	const struct levee_nacl_plan *plan = look->plan;

	*to = (struct levee_nacl_view_subnet){ .id = subnet, .acl = acl ? acl->id : "" };
	if (!acl || !is_usable(look))
		return;
	for (size_t i = 0; i < plan->n_rules; i++)
		to->holds += has_entry(acl, &plan->rules[i]);
	for (size_t i = 0; acl->marked && i < acl->n_entries; i++)
		to->extra += levee_nacl_mark_claims(&acl->mark, &acl->entries[i]) &&
			     !is_wanted(plan, &acl->entries[i]);
}

static const struct levee_nacl_entry *in_place_at(const struct levee_nacl_survey *survey,
						  uint16_t number)
{
	for (size_t i = 0; i < survey->n_in_place; i++)
		if (survey->in_place[i].number == number)
			return &survey->in_place[i];
	return NULL;
}

static const struct levee_nacl_target *target_of(const struct levee_nacl_plan *plan,
						 uint16_t number)
{
	for (size_t i = 0; i < plan->n_targets; i++)
		if (plan->targets[i].number == number)
			return &plan->targets[i];
	return NULL;
}

static size_t count_holders(const struct levee_nacl_look *look,
			    const struct levee_nacl_entry *entry)
{
	size_t n = 0;

	for (size_t i = 0; i < look->setup->n_subnets; i++) {
		const struct levee_nacl *acl = acl_of(look, look->setup->subnets[i]);

		n += acl && has_entry(acl, entry);
	}
	return n;
}

static void add_wanted(struct levee_nacl_view *view, const struct levee_nacl_entry *wanted)
{
	const struct levee_nacl_look *look = view->look;
	const struct levee_nacl_entry *old = in_place_at(look->survey, wanted->number);
	struct levee_nacl_view_rule *rule = &view->rules[view->n_rules++];

	rule->change = !old			       ? LEVEE_NACL_ADD
		       : levee_nacl_equal(old, wanted) ? LEVEE_NACL_KEEP
						       : LEVEE_NACL_PUT;
	rule->wanted = *wanted;
	if (old)
		rule->old = *old;
	rule->target = target_of(look->plan, wanted->number);
	rule->holds = count_holders(look, wanted);
}

static bool has_number(const struct levee_nacl_plan *plan, uint16_t number)
{
	for (size_t i = 0; i < plan->n_rules; i++)
		if (plan->rules[i].number == number)
			return true;
	return false;
}

static int by_number(const void *a, const void *b)
{
	const struct levee_nacl_view_rule *left = a, *right = b;
	uint16_t l = left->change == LEVEE_NACL_TAKE ? left->old.number : left->wanted.number;
	uint16_t r = right->change == LEVEE_NACL_TAKE ? right->old.number : right->wanted.number;

	return (l > r) - (l < r);
}

static int see_rules(struct levee_nacl_view *view)
{
	const struct levee_nacl_plan *plan = view->look->plan;
	const struct levee_nacl_survey *survey = view->look->survey;

	view->rules = calloc(plan->n_rules + survey->n_in_place + 1, sizeof(*view->rules));
	if (!view->rules)
		return -ENOMEM;
	for (size_t i = 0; i < plan->n_rules; i++)
		add_wanted(view, &plan->rules[i]);
	for (size_t i = 0; i < survey->n_in_place; i++)
		if (!has_number(plan, survey->in_place[i].number))
			view->rules[view->n_rules++] = (struct levee_nacl_view_rule){
				.change = LEVEE_NACL_TAKE, .old = survey->in_place[i]
			};
	qsort(view->rules, view->n_rules, sizeof(*view->rules), by_number);
	return 0;
}

static void see_steps(struct levee_nacl_view *view)
{
	const struct levee_nacl_look *look = view->look;
	const struct levee_nacl_step *last = look->n_steps ? &look->steps[look->n_steps - 1] : NULL;

	view->n_writes = look->pair_missing ? 2 : 0; /* or one: a half of a pair is rare */
	for (size_t i = 0; i < look->n_steps; i++)
		view->n_writes += look->steps[i].writes;
	if (last && last->type != LEVEE_NACL_STEP_CONVERGED && !view->obstacle)
		view->obstacle = levee_nacl_why_text(last->why);
	view->converged = last && !view->n_writes && !view->obstacle;
}

int levee_nacl_view_make(struct levee_nacl_view *view, const struct levee_nacl_look *look,
			 const struct levee_nacl_params *params, const char *obstacle)
{
	const struct levee_nacl_survey *survey = look->survey;

	*view = (struct levee_nacl_view){ .look = look,
					  .params = params,
					  .n_subnets = look->setup->n_subnets,
					  .obstacle = *obstacle ? obstacle : NULL };
	view->subnets = calloc(view->n_subnets + 1, sizeof(*view->subnets));
	if (!view->subnets)
		return -ENOMEM;
	for (size_t i = 0; i < view->n_subnets; i++)
		see_subnet(&view->subnets[i], look, look->setup->subnets[i]);
	if (!is_usable(look))
		return 0;
	view->room4 = levee_nacl_room(params, survey->operators, survey->n_operators, 4);
	view->room6 = levee_nacl_room(params, survey->operators, survey->n_operators, 6);
	see_steps(view);
	return see_rules(view);
}

void levee_nacl_view_clear(struct levee_nacl_view *view)
{
	free(view->rules);
	free(view->subnets);
	memset(view, 0, sizeof(*view));
}

/* ---- for people ---- */

const char *levee_nacl_side_name(const struct levee_nacl_look *look, const char *acl)
{
	if (!strcmp(acl, look->setup->blue))
		return "blue";
	return strcmp(acl, look->setup->green) ? "not Levee's" : "green";
}

static const char *plural(size_t n)
{
	return n == 1 ? "" : "s";
}

static void print_weight(const struct levee_nacl_target *target, FILE *out)
{
	if (isfinite(target->max_zscore))
		fprintf(out, "z %.2f, %" PRIu64 " packets", target->max_zscore,
			target->max_packets);
	else
		fputs("by hand", out);
	if (target->n_sources > 1)
		fprintf(out, ", %zu sources, %" PRIu64 " packets a bin", target->n_sources,
			target->flood_packets);
	if (target->spoofable)
		fputs("; spoofable: never seen with an established flow", out);
	if (target->n_good)
		fprintf(out, "; costs %" PRIu64 " packets a bin of %zu good source%s",
			target->good_packets, target->n_good, plural(target->n_good));
}

static double percent(uint64_t part, uint64_t whole)
{
	return whole ? 100.0 * (double)part / (double)whole : 0.0;
}

/* What the plan is worth, and what it costs. */
static void print_worth(const struct levee_nacl_view *view, FILE *out)
{
	const struct levee_nacl_plan *plan = view->look->plan;
	bool cover = view->params->strategy == LEVEE_NACL_COVER;

	fprintf(out,
		"strategy %s: %zu rule%s block %" PRIu64 " of %" PRIu64
		" flood packets a bin (%.1f %%) and touch %" PRIu64
		" good ones; as many rules about single sources block at most %" PRIu64
		" (%.1f %%)\n",
		cover ? "cover" : "mask", plan->n_rules, plural(plan->n_rules),
		plan->blocked_packets, plan->flood_packets,
		percent(plan->blocked_packets, plan->flood_packets), plan->good_packets,
		plan->single_packets, percent(plan->single_packets, plan->flood_packets));
	if (cover && !view->good_known)
		fputs("not everybody is known who is near to the blocks, so no rule is wider than "
		      "its source: see --good, and [nacl] strategy\n",
		      out);
	else if (cover && !plan->exact)
		fputs("there was too much good traffic between the sources to try everything: a "
		      "better set may exist\n",
		      out);
	if (view->n_spoofable)
		fprintf(out,
			"%zu block%s left out, never seen with an established flow ([nacl] "
			"push_spoofable = no)\n",
			view->n_spoofable, view->n_spoofable == 1 ? " is" : "s are");
	if (plan->spoofable_rules)
		fprintf(out,
			"%zu of the rules %s about sources never seen with an established flow%s\n",
			plan->spoofable_rules, plan->spoofable_rules == 1 ? "is" : "are",
			view->params->spoofable_last ? ", and would make room for any other source"
						     : "");
}

static void print_head(const struct levee_nacl_view *view, FILE *out)
{
	const struct levee_nacl_look *look = view->look;

	fprintf(out, "%s: %zu protected subnet%s, blue %s, green %s\n", look->vpc, view->n_subnets,
		plural(view->n_subnets), look->setup->blue, look->setup->green);
	fprintf(out, "blocks: %zu, from %s\n", view->n_sources, view->origin);
	fprintf(out, "allowed: %zu prefixes, and the VPC's CIDRs\n", view->n_allowed);
	if (view->params->action == LEVEE_NACL_ALLOW)
		fputs("audit: rules allow, so nothing is denied\n", out);
	if (!is_usable(look))
		return;
	fprintf(out,
		"room: %u IPv4 and %u IPv6 rules of a budget of %u each; your own rules (%zu "
		"in both directions) and the default deny are counted\n",
		view->room4, view->room6, view->params->budget, look->survey->n_operators);
	print_worth(view, out);
}

static void print_subnets(const struct levee_nacl_view *view, FILE *out)
{
	const size_t n = is_usable(view->look) ? view->look->plan->n_rules : 0;

	fputc('\n', out);
	for (size_t i = 0; i < view->n_subnets; i++) {
		const struct levee_nacl_view_subnet *s = &view->subnets[i];

		if (!*s->acl) {
			fprintf(out, "  %s  on no network ACL of this VPC\n", s->id);
			continue;
		}
		fprintf(out, "  %s  on %s (%s)", s->id, s->acl,
			levee_nacl_side_name(view->look, s->acl));
		if (is_usable(view->look))
			fprintf(out, ", has %zu of %zu rules", s->holds, n);
		if (s->extra)
			fprintf(out, " and %zu that %s to go", s->extra,
				s->extra == 1 ? "is" : "are");
		fputc('\n', out);
	}
}

static void print_line(char sign, const struct levee_nacl_entry *entry,
		       const struct levee_nacl_target *target, FILE *out)
{
	char cidr[LEVEE_PREFIX_TEXT];

	fprintf(out, "%c %5u %s %-20s", sign, entry->number,
		entry->action == LEVEE_NACL_ALLOW ? "allow" : "deny",
		levee_nacl_cidr(&entry->cidr, cidr));
	if (target) {
		fputs("  ", out);
		print_weight(target, out);
	}
	fputc('\n', out);
}

static void print_rule(const struct levee_nacl_view_rule *rule, FILE *out)
{
	switch (rule->change) {
	case LEVEE_NACL_KEEP:
		print_line(' ', &rule->wanted, rule->target, out);
		break;
	case LEVEE_NACL_TAKE:
		print_line('-', &rule->old, NULL, out);
		break;
	case LEVEE_NACL_PUT:
		print_line('-', &rule->old, NULL, out);
		print_line('+', &rule->wanted, rule->target, out);
		break;
	case LEVEE_NACL_ADD:
		print_line('+', &rule->wanted, rule->target, out);
		break;
	}
}

static void print_diff(const struct levee_nacl_view *view, FILE *out)
{
	const struct levee_nacl *in_force = view->look->survey->in_force;

	fprintf(out, "\n--- %s\n+++ wanted\n",
		in_force ? in_force->id : "(no subnet is on blue or green yet)");
	for (size_t i = 0; i < view->n_rules; i++)
		print_rule(&view->rules[i], out);
	if (!view->n_rules)
		fputs("  no rules\n", out);
}

static void print_unblocked(const struct levee_nacl_view *view, FILE *out)
{
	const struct levee_nacl_plan *plan = view->look->plan;
	char cidr[LEVEE_PREFIX_TEXT];

	if (!plan->unblocked_sources)
		return;
	fprintf(out, "\nwithout a rule, blocked on the instances alone: %zu source%s\n",
		plan->unblocked_sources, plural(plan->unblocked_sources));
	for (size_t i = 0; i < plan->n_targets; i++) {
		const struct levee_nacl_target *target = &plan->targets[i];

		if (target->number)
			continue;
		fprintf(out, "        %-20s  ", levee_nacl_cidr(&target->prefix, cidr));
		print_weight(target, out);
		fprintf(out, "; %s\n", levee_nacl_fit_text(target->fit));
	}
}

static void print_steps(const struct levee_nacl_view *view, FILE *out)
{
	const struct levee_nacl_look *look = view->look;
	char text[LEVEE_PUSH_TEXT];
	size_t n = 0;

	if (!view->n_writes) {
		fputs("\nnothing to do: no call would write\n", out);
		return;
	}
	fprintf(out, "\ncalls that would write: %zu\n", view->n_writes);
	if (look->pair_missing)
		for (; n < 2; n++)
			fprintf(out, "%4zu CreateNetworkAcl %s\n", n + 1,
				n ? "levee-green" : "levee-blue");
	for (size_t i = 0; i < look->n_steps; i++)
		if (look->steps[i].writes)
			fprintf(out, "%4zu %s %s\n", ++n, levee_ec2_operation(look->steps[i].type),
				levee_nacl_step_text(&look->steps[i], text));
}

static void print_obstacle(const struct levee_nacl_view *view, FILE *out)
{
	if (view->obstacle)
		fprintf(out, "\nit stops there: %s\n", view->obstacle);
}

void levee_nacl_print_plan(const struct levee_nacl_view *view, FILE *out)
{
	print_head(view, out);
	print_subnets(view, out);
	if (is_usable(view->look)) {
		print_diff(view, out);
		print_unblocked(view, out);
		print_steps(view, out);
	}
	print_obstacle(view, out);
}

static void print_holders(const struct levee_nacl_view *view, FILE *out)
{
	fputc('\n', out);
	for (size_t i = 0; i < view->n_rules; i++) {
		const struct levee_nacl_view_rule *rule = &view->rules[i];
		bool take = rule->change == LEVEE_NACL_TAKE;
		const struct levee_nacl_entry *entry = take ? &rule->old : &rule->wanted;
		char cidr[LEVEE_PREFIX_TEXT];

		fprintf(out, "  %5u %s %-20s  ", entry->number,
			entry->action == LEVEE_NACL_ALLOW ? "allow" : "deny",
			levee_nacl_cidr(&entry->cidr, cidr));
		if (take)
			fputs("is there, and has to go\n", out);
		else
			fprintf(out, "on %zu of %zu subnets%s\n", rule->holds, view->n_subnets,
				rule->target && rule->target->spoofable ? "  (spoofable)" : "");
	}
}

void levee_nacl_print_status(const struct levee_nacl_view *view, FILE *out)
{
	print_head(view, out);
	print_subnets(view, out);
	if (is_usable(view->look)) {
		print_holders(view, out);
		print_unblocked(view, out);
		if (view->converged)
			fputs("\nwhat AWS holds is what is wanted\n", out);
		else
			fprintf(out,
				"\nwhat AWS holds is not what is wanted: %zu calls would write "
				"(`levee nacl plan` lists them)\n",
				view->n_writes);
	}
	print_obstacle(view, out);
}

/* ---- for programs ---- */

static const char *const change_names[] = {
	[LEVEE_NACL_KEEP] = "keep",
	[LEVEE_NACL_ADD] = "add",
	[LEVEE_NACL_PUT] = "replace",
	[LEVEE_NACL_TAKE] = "remove",
};

static const char *action_name(enum levee_nacl_action action)
{
	return action == LEVEE_NACL_ALLOW ? "allow" : "deny";
}

static void json_prefix(struct levee_json *j, const char *name, const struct levee_prefix *prefix)
{
	char text[LEVEE_PREFIX_TEXT];

	levee_json_string(j, name, levee_nacl_cidr(prefix, text));
}

static void json_weight(struct levee_json *j, const struct levee_nacl_target *target)
{
	levee_json_bool(j, "manual", !isfinite(target->max_zscore));
	levee_json_double(j, "max_zscore", target->max_zscore);
	levee_json_uint(j, "max_packets", target->max_packets);
	levee_json_uint(j, "sources", target->n_sources);
	levee_json_uint(j, "flood_packets", target->flood_packets);
	levee_json_uint(j, "good_packets", target->good_packets);
	levee_json_uint(j, "good_sources", target->n_good);
	levee_json_bool(j, "spoofable", target->spoofable);
}

static void json_rule(struct levee_json *j, const struct levee_nacl_view_rule *rule)
{
	bool take = rule->change == LEVEE_NACL_TAKE;
	const struct levee_nacl_entry *entry = take ? &rule->old : &rule->wanted;

	levee_json_object(j, NULL);
	levee_json_string(j, "change", change_names[rule->change]);
	levee_json_uint(j, "number", entry->number);
	levee_json_string(j, "action", action_name(entry->action));
	json_prefix(j, "prefix", &entry->cidr);
	if (rule->change == LEVEE_NACL_PUT)
		json_prefix(j, "old_prefix", &rule->old.cidr);
	if (rule->target)
		json_weight(j, rule->target);
	if (!take)
		levee_json_uint(j, "on_subnets", rule->holds);
	levee_json_end(j);
}

static void json_subnets(struct levee_json *j, const struct levee_nacl_view *view)
{
	levee_json_array(j, "subnets");
	for (size_t i = 0; i < view->n_subnets; i++) {
		const struct levee_nacl_view_subnet *s = &view->subnets[i];

		levee_json_object(j, NULL);
		levee_json_string(j, "id", s->id);
		levee_json_string(j, "acl", s->acl);
		levee_json_string(j, "side", levee_nacl_side_name(view->look, s->acl));
		levee_json_uint(j, "has", s->holds);
		levee_json_uint(j, "extra", s->extra);
		levee_json_end(j);
	}
	levee_json_end(j);
}

static void json_unblocked(struct levee_json *j, const struct levee_nacl_plan *plan)
{
	levee_json_array(j, "without_rule");
	for (size_t i = 0; i < plan->n_targets; i++) {
		if (plan->targets[i].number)
			continue;
		levee_json_object(j, NULL);
		json_prefix(j, "prefix", &plan->targets[i].prefix);
		json_weight(j, &plan->targets[i]);
		levee_json_string(j, "reason", levee_nacl_fit_text(plan->targets[i].fit));
		levee_json_end(j);
	}
	levee_json_end(j);
}

static void json_steps(struct levee_json *j, const struct levee_nacl_view *view)
{
	char text[LEVEE_PUSH_TEXT];

	levee_json_array(j, "steps");
	for (size_t i = 0; i < view->look->n_steps; i++) {
		const struct levee_nacl_step *step = &view->look->steps[i];

		if (!step->writes)
			continue;
		levee_json_object(j, NULL);
		levee_json_string(j, "operation", levee_ec2_operation(step->type));
		levee_json_string(j, "acl", step->acl);
		if (*step->subnet)
			levee_json_string(j, "subnet", step->subnet);
		levee_json_string(j, "text", levee_nacl_step_text(step, text));
		levee_json_end(j);
	}
	levee_json_end(j);
}

static void json_work(struct levee_json *j, const struct levee_nacl_view *view)
{
	const struct levee_nacl *in_force = view->look->survey->in_force;

	levee_json_string(j, "in_force", in_force ? in_force->id : "");
	levee_json_uint(j, "room4", view->room4);
	levee_json_uint(j, "room6", view->room6);
	levee_json_uint(j, "wanted", view->look->plan->n_rules);
	levee_json_uint(j, "sources_without_rule", view->look->plan->unblocked_sources);
	levee_json_string(j, "strategy",
			  view->params->strategy == LEVEE_NACL_COVER ? "cover" : "mask");
	levee_json_uint(j, "flood_packets", view->look->plan->flood_packets);
	levee_json_uint(j, "blocked_packets", view->look->plan->blocked_packets);
	levee_json_uint(j, "good_packets", view->look->plan->good_packets);
	levee_json_uint(j, "single_packets", view->look->plan->single_packets);
	levee_json_bool(j, "good_known", view->good_known);
	levee_json_bool(j, "exact", view->look->plan->exact);
	levee_json_uint(j, "spoofable_left_out", view->n_spoofable);
	levee_json_uint(j, "spoofable_rules", view->look->plan->spoofable_rules);
	levee_json_uint(j, "writes", view->n_writes);
	levee_json_array(j, "rules");
	for (size_t i = 0; i < view->n_rules; i++)
		json_rule(j, &view->rules[i]);
	levee_json_end(j);
	json_unblocked(j, view->look->plan);
	json_steps(j, view);
}

void levee_nacl_print_json(const struct levee_nacl_view *view, const char *command, FILE *out)
{
	const struct levee_nacl_look *look = view->look;
	struct levee_json j;

	levee_json_begin(&j, out);
	levee_json_object(&j, NULL);
	levee_json_uint(&j, "schema", LEVEE_NACL_SCHEMA);
	levee_json_string(&j, "command", command);
	levee_json_string(&j, "vpc", look->vpc);
	levee_json_string(&j, "blue", look->setup->blue);
	levee_json_string(&j, "green", look->setup->green);
	levee_json_bool(&j, "pair_missing", look->pair_missing);
	levee_json_string(&j, "blocks_from", view->origin);
	levee_json_uint(&j, "blocks", view->n_sources);
	levee_json_uint(&j, "allowed", view->n_allowed);
	levee_json_string(&j, "action", action_name(view->params->action));
	levee_json_uint(&j, "budget", view->params->budget);
	levee_json_bool(&j, "converged", view->converged);
	levee_json_string(&j, "obstacle", view->obstacle ? view->obstacle : "");
	json_subnets(&j, view);
	if (is_usable(look))
		json_work(&j, view);
	levee_json_end(&j);
	levee_json_finish(&j);
}
