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

/* What is in force in r->config goes to where it works. */
static void put_in_force(struct levee_run *r)
{
	const struct levee_config *config = r->config;
	struct levee_detect_params detect = r->controller.options.detect;
	struct levee_trip_params trip = { .on = config->detect.fast,
					  .warmup_bins = (unsigned int)config->detect.warmup_bins };

	levee_log_set_level((enum levee_log_level)config->log.level);
	detect.min_zscore = config->detect.min_zscore;
	detect.min_packets = config->detect.min_packets;
	detect.min_bytes = config->detect.min_bytes;
	detect.soft_zscore = config->detect.soft_zscore;
	levee_controller_set_limits(&r->controller, &detect, &trip,
				    (int64_t)(r->clock.start_ns / LEVEE_NS_PER_S));
	levee_run_limit_fleet(r);
	r->dp->ops->set_scope(r->dp, &config->scope.compiled);
	r->dp->ops->set_audit(r->dp, levee_run_audits(r));
	levee_run_schedule(r);
	if (!config->allow.file[0]) {
		levee_allowlist_clear(&r->from_file);
		r->file_missing = false;
	}
	levee_run_reread_allowlist(r);
	levee_run_refresh_allowlist(r);
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

static void take_over(struct levee_run *r, struct levee_config *next, struct levee_request *request)
{
	char changed[400], restart[400];
	size_t n = name_changes(r, next, true, changed, sizeof(changed));
	size_t n_restart = name_changes(r, next, false, restart, sizeof(restart));

	levee_config_swap_live(r->live_config, next);
	put_in_force(r);
	say_done(r, request, changed, n, restart, n_restart);
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
		if (ret)
			levee_config_clear(&next);
	}
	fclose(errors);
	while (size && why[size - 1] == '\n')
		why[--size] = '\0';
	if (ret) {
		refuse(r, request, why);
	} else {
		take_over(r, &next, request);
		levee_config_clear(&next);
	}
	free(why);
}
