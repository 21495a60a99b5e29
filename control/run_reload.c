/* SPDX-License-Identifier: BSD-2-Clause */
/* SIGHUP and `levee reload`: configuration and lists are read again while everything goes on. */
#include "control/run_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Each line of a text as a message of its own. */
static void log_lines(const char *text)
{
	while (*text) {
		size_t len = strcspn(text, "\n");

		if (len)
			levee_error("%.*s", (int)len, text);
		text += len + (text[len] == '\n');
	}
}

static void refuse(struct levee_run *r, struct levee_request *request, const char *why)
{
	struct levee_board_entry entry = { .kind = "reload" };

	snprintf(entry.subject, sizeof(entry.subject), "%s", r->source->path);
	snprintf(entry.text, sizeof(entry.text),
		 "refused: the new configuration has defects; the old one stays in force");
	levee_board_event(r->board, &entry);
	levee_board_health(r->board, "configuration", false,
			   "the configuration file has defects and was not put in force; `levee "
			   "config check` names them");
	log_lines(why);
	levee_error("the new configuration is refused; the old one stays in force");
	if (request)
		levee_run_answer(request, -EINVAL,
				 "refused, the old configuration stays in force: %s", why);
}

/* A list that is new to us must be readable: there is no last good state of it. */
static int check_new_list(const struct levee_run *r, const struct levee_config *next, FILE *errors)
{
	struct levee_allowlist list = { 0 };
	int ret;

	if (!next->allow.file[0] || !strcmp(next->allow.file, r->config->allow.file))
		return 0;
	ret = levee_allowlist_read(&list, next->allow.file, levee_run_say_warning, NULL);
	levee_allowlist_clear(&list);
	if (ret)
		fprintf(errors, "[allow] file = %s: cannot be read: %s\n", next->allow.file,
			strerror(-ret));
	return ret;
}

/* Keys that have changed and are not live, as "[detect] bin, [api] socket". */
static size_t name_changes(const struct levee_run *r, const struct levee_config *next, bool live,
			   char *out, size_t size)
{
	const struct levee_config_key *keys;
	size_t n, changed = 0, len = 0;

	keys = levee_config_keys(&n);
	out[0] = '\0';
	for (size_t i = 0; i < n; i++) {
		if (keys[i].live != live || levee_config_same(r->config, next, &keys[i]))
			continue;
		if (len < size)
			len += (size_t)snprintf(out + len, size - len, "%s[%s] %s",
						changed ? ", " : "", keys[i].section, keys[i].name);
		changed++;
	}
	return changed;
}

/* What a reload finds changed, beyond what is simply read anew. */
struct changes {
	bool aws;   /* what its services run by */
	bool lists; /* that come from AWS */
	bool s3;    /* another object */
};

/* Keys of other sections that the services of AWS look at. */
static bool is_for_aws(const struct levee_config_key *key)
{
	return !strcmp(key->section, "aws") || !strcmp(key->section, "nacl") ||
	       (!strcmp(key->section, "allow") && !strncmp(key->name, "s3", 2)) ||
	       (!strcmp(key->section, "block") && !strcmp(key->name, "mode")) ||
	       (!strcmp(key->section, "detect") && !strcmp(key->name, "limit"));
}

static struct changes find_changes(const struct levee_run *r, const struct levee_config *next)
{
	const struct levee_config_key *keys;
	struct changes found = { 0 };
	size_t n;

	keys = levee_config_keys(&n);
	for (size_t i = 0; i < n; i++) {
		if (!keys[i].live || !is_for_aws(&keys[i]) ||
		    levee_config_same(r->config, next, &keys[i]))
			continue;
		found.aws = true;
		found.s3 |= !strcmp(keys[i].section, "allow") && !strcmp(keys[i].name, "s3");
		found.lists |= !strcmp(keys[i].section, "allow") ||
			       !strncmp(keys[i].name, "vpc", 3);
	}
	found.aws &= r->config->aws.enabled || next->aws.enabled;
	return found;
}

static void put_in_force(struct levee_run *r, const struct changes *changes)
{
	const struct levee_config *config = r->config;

	levee_log_set_level((enum levee_log_level)config->log.level);
	r->dp->ops->set_scope(r->dp, &config->scope.compiled);
	if (changes->lists)
		levee_run_change_lists(r, changes->s3);
	levee_run_apply_mode(r);
	levee_run_schedule(r);
	levee_run_limit_fleet(r);
	if (!config->allow.file[0]) {
		levee_allowlist_clear(&r->from_file);
		r->file_missing = false;
	}
	levee_run_reread_allowlist(r);
	levee_run_refresh_allowlist(r);
	if (changes->aws && levee_run_change_aws(r))
		levee_error("aws: no thread or memory to put the new configuration in force; the "
			    "one before stays for AWS, and another reload tries again");
	if (r->api)
		levee_api_set_config(r->api, config);
	r->view.changed = true;
}

static void say_done(struct levee_run *r, struct levee_request *request, const char *changed,
		     size_t n, const char *restart, size_t n_restart)
{
	struct levee_board_entry entry = { .kind = "reload" };
	char text[LEVEE_REQUEST_TEXT - 128];

	snprintf(text, sizeof(text), "%s%s%s%s%s", n ? "in force now: " : "nothing has changed",
		 changed, n_restart ? "; a restart is needed for: " : "", restart,
		 "; lists were read again");
	snprintf(entry.subject, sizeof(entry.subject), "%s", r->source->path);
	snprintf(entry.text, sizeof(entry.text), "%.250s", text);
	levee_board_event(r->board, &entry);
	levee_board_health(r->board, "configuration", false, NULL);
	if (n_restart)
		levee_board_health(r->board, "restart", false,
				   "the configuration file has changes that need a restart; `levee "
				   "reload` names them");
	else
		levee_board_health(r->board, "restart", false, NULL);
	levee_notice("reload: %s", text);
	if (!request)
		return;
	request->changed = n;
	levee_run_answer(request, 0, "%s", text);
}

/* Keys that are live and keys that wait for a restart must go together as well. */
static int check_mixed(struct levee_run *r, FILE *errors)
{
	int ret = levee_config_validate(r->live_config, r->source->path, errors);

	if (ret)
		fprintf(errors,
			"this is so until a restart puts the other keys in force: change what "
			"needs a restart later, or restart now\n");
	return ret;
}

/*
 * What may fail comes first, while the old configuration can still come back.
 * \return 0; -errno, said: nothing has changed
 */
static int try_change(struct levee_run *r, FILE *errors)
{
	struct levee_controller_options options = levee_run_options(r);
	bool flows = r->controller.options.flows;
	int ret = check_mixed(r, errors);

	if (ret)
		return ret;
	ret = levee_run_set_flows(r, options.flows);
	if (ret) {
		fprintf(errors,
			"[detect] min_syns and [nacl] push_spoofable other than yes need a program "
			"that looks at TCP headers, and it cannot take the place of the one in "
			"force: %s; a restart may do it\n",
			strerror(-ret));
		return ret;
	}
	ret = levee_controller_change(&r->controller, &options,
				      (int64_t)(r->clock.start_ns / LEVEE_NS_PER_S));
	if (ret) {
		fprintf(errors, "the new limits cannot be put in force: %s\n", strerror(-ret));
		levee_run_set_flows(r, flows);
	}
	return ret;
}

static int take_over(struct levee_run *r, struct levee_config *next, struct levee_request *request,
		     FILE *errors)
{
	struct changes changes = find_changes(r, next);
	char changed[1200], restart[600];
	size_t n = name_changes(r, next, true, changed, sizeof(changed));
	size_t n_restart = name_changes(r, next, false, restart, sizeof(restart));
	int ret;

	levee_config_swap_live(r->live_config, next);
	ret = try_change(r, errors);
	if (ret) {
		levee_config_swap_live(r->live_config, next);
		return ret;
	}
	put_in_force(r, &changes);
	say_done(r, request, changed, n, restart, n_restart);
	return 0;
}

void levee_run_reload(struct levee_run *r, struct levee_request *request)
{
	struct levee_config next;
	char *why = NULL;
	size_t size;
	FILE *errors = open_memstream(&why, &size);
	int ret;

	if (!errors) {
		if (request)
			levee_run_answer(request, -ENOMEM, "no memory");
		return;
	}
	ret = r->source->read(r->source->ctx, &next, errors);
	if (!ret) {
		ret = check_new_list(r, &next, errors);
		if (!ret)
			ret = take_over(r, &next, request, errors);
		levee_config_clear(&next);
	}
	fclose(errors);
	while (size && why[size - 1] == '\n')
		why[--size] = '\0';
	if (ret)
		refuse(r, request, why);
	free(why);
}
