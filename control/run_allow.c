/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The allow list in force: automatic entries, those of the configuration, of the file, of the VPC
 * and of the object in S3.
 */
#include "control/run_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* What operators added, as a list. A merge sorts it: it is put into an empty one. */
static int list_by_hand(const struct levee_run *r, struct levee_allowlist *out)
{
	struct levee_allowlist unsorted = { .n = r->allowed.n };
	int ret;

	unsorted.list = calloc(r->allowed.n + 1, sizeof(*unsorted.list));
	if (!unsorted.list)
		return -ENOMEM;
	for (size_t i = 0; i < r->allowed.n; i++)
		unsorted.list[i] = r->allowed.entries[i].prefix;
	ret = levee_allowlist_merge(out, out, &unsorted);
	free(unsorted.list);
	return ret;
}

int levee_run_apply_allowlist(struct levee_run *r)
{
	struct levee_allowlist all = { 0 }, by_hand = { 0 };
	int ret = list_by_hand(r, &by_hand);

	if (!ret)
		ret = levee_allowlist_merge(&all, &r->automatic, &r->from_file);
	if (!ret)
		ret = levee_allowlist_merge(&all, &all, &by_hand);
	if (!ret)
		ret = levee_allowlist_merge(&all, &all, &r->aws.from_vpc);
	if (!ret)
		ret = levee_allowlist_merge(&all, &all, &r->aws.from_s3);
	if (!ret)
		ret = levee_policy_set_allowed(levee_dataplane_policy(r->dp), all.list, all.n);
	if (ret)
		levee_error("the allow list of %zu prefixes cannot be put in force: %s; the one "
			    "before stays. Raise [data_path] rules",
			    all.n, strerror(-ret));
	levee_allowlist_clear(&by_hand);
	levee_allowlist_clear(&all);
	r->view.changed = true;
	return ret;
}

/* Read the file if it has changed; whatever goes wrong, the last good list stays. */
static bool reread_allow_file(struct levee_run *r, bool always)
{
	const char *path = r->config->allow.file;
	struct stat st;
	int ret;

	if (!path[0])
		return false;
	if (stat(path, &st)) {
		if (!r->file_missing || always)
			levee_warning("allow list %s cannot be read: %s; the last good one, of %zu "
				      "prefixes, stays in force",
				      path, strerror(errno), r->from_file.n);
		r->file_missing = true;
		return false;
	}
	if (!always && !r->file_missing && st.st_ctim.tv_sec == r->file_ctime.tv_sec &&
	    st.st_ctim.tv_nsec == r->file_ctime.tv_nsec)
		return false;
	ret = levee_allowlist_read(&r->from_file, path, levee_run_say_warning, r);
	r->file_missing = ret != 0;
	if (ret)
		return false;
	r->file_ctime = st.st_ctim;
	levee_notice("allow list %s: %zu prefixes%s", path, r->from_file.n,
		     r->from_file.bad_lines ? ", bad lines left out" : "");
	return true;
}

/*
 * The automatic entries and those of the configuration.
 * \return 0; -errno if the interfaces could not be asked: *out then lacks their addresses
 */
static int gather_automatic(const struct levee_run *r, struct levee_allowlist *out)
{
	const struct levee_config *config = r->config;
	struct levee_allowlist fixed = { 0 };
	struct levee_allowlist given = { .n = config->allow.prefixes.n,
					 .list = config->allow.parsed };
	int ret, merged;

	ret = levee_run_own_prefixes(r, &fixed);
	merged = levee_allowlist_merge(out, &fixed, &given);
	levee_allowlist_clear(&fixed);
	return merged ? merged : ret;
}

static void warn_automatic(struct levee_run *r, int error)
{
	if (error && !r->automatic_failed)
		levee_warning("own addresses and gateways could not all be found: %s; those found "
			      "before stay allowed. [allow] prefixes can name them",
			      strerror(-error));
	r->automatic_failed = error != 0;
}

struct keep_ctx {
	struct levee_allowlist kept; /* with room for all */
	const struct levee_allowlist *automatic;
};

static void keep_allowed(void *ctx, const struct levee_prefix *prefix)
{
	struct keep_ctx *x = ctx;

	if (!levee_allowlist_covers(x->automatic, prefix))
		x->kept.list[x->kept.n++] = *prefix;
}

/* The last good list outlives the process that read it: it is in force in the kernel. */
static int keep_allowlist_in_force(struct levee_run *r)
{
	const struct levee_policy *policy = levee_dataplane_policy(r->dp);
	struct keep_ctx ctx = { .automatic = &r->automatic };
	int ret;

	ctx.kept.list = calloc(levee_policy_allowed(policy) + 1, sizeof(*ctx.kept.list));
	if (!ctx.kept.list)
		return -ENOMEM;
	levee_policy_walk_allowed(policy, keep_allowed, &ctx);
	ret = levee_allowlist_merge(&r->from_file, &r->from_file, &ctx.kept);
	levee_allowlist_clear(&ctx.kept);
	if (ret)
		return ret;
	if (!r->from_file.n) {
		levee_error(
			"no allow list was ever read from %s, so those on it might be blocked: "
			"not started. Make the file readable (it may be empty), or take [allow] "
			"file out of the configuration",
			r->config->allow.file);
		return -ENOENT;
	}
	levee_warning("%zu prefixes that the data path allows are kept until %s can be read",
		      r->from_file.n, r->config->allow.file);
	return 0;
}

int levee_run_open_allowlist(struct levee_run *r)
{
	int ret;

	warn_automatic(r, gather_automatic(r, &r->automatic));
	reread_allow_file(r, true);
	if (r->file_missing) {
		ret = keep_allowlist_in_force(r);
		if (ret)
			return ret;
	}
	return levee_run_apply_allowlist(r);
}

static bool same_list(const struct levee_allowlist *a, const struct levee_allowlist *b)
{
	if (a->n != b->n)
		return false;
	for (size_t i = 0; i < a->n; i++)
		if (levee_prefix_compare(&a->list[i], &b->list[i]))
			return false;
	return true;
}

void levee_run_refresh_allowlist(struct levee_run *r)
{
	struct levee_allowlist now = { 0 }, old;
	int error = gather_automatic(r, &now);
	bool changed = !error && !same_list(&now, &r->automatic);

	warn_automatic(r, error);
	if (changed) {
		old = r->automatic;
		r->automatic = now;
		now = old;
	}
	levee_allowlist_clear(&now);
	if (reread_allow_file(r, false) || changed)
		levee_run_apply_allowlist(r);
}

void levee_run_reread_allowlist(struct levee_run *r)
{
	reread_allow_file(r, true);
	levee_run_apply_allowlist(r);
	if (!r->aws.changing)			      /* else it is about to look, anyway */
		levee_aws_agent_reread(r->aws.agent); /* its answer comes later */
}

const char *levee_allow_origin_name(enum levee_allow_origin origin)
{
	static const char *const names[] = { [LEVEE_ALLOW_AUTOMATIC] = "automatic",
					     [LEVEE_ALLOW_CONFIG] = "configuration",
					     [LEVEE_ALLOW_FILE] = "file",
					     [LEVEE_ALLOW_OPERATOR] = "operator",
					     [LEVEE_ALLOW_SERVICE] = "service" };

	return names[origin];
}

/* Of the prefixes that cover it, one that is closest to whoever asks: its own list first. */
static bool find_in(const struct levee_prefix *list, size_t n, const struct levee_prefix *prefix,
		    enum levee_allow_origin origin, struct levee_board_allowed *found)
{
	for (size_t i = 0; i < n; i++) {
		if (!levee_prefix_covers(&list[i], prefix))
			continue;
		*found = (struct levee_board_allowed){ .prefix = list[i], .origin = origin };
		return true;
	}
	return false;
}

bool levee_run_find_allowed(const struct levee_run *r, const struct levee_prefix *prefix,
			    struct levee_board_allowed *found)
{
	const struct levee_config *config = r->config;
	const struct levee_operator_entry *by_hand = levee_operator_covering(&r->allowed, prefix,
									     0);

	if (by_hand) {
		*found = (struct levee_board_allowed){ .prefix = by_hand->prefix,
						       .origin = LEVEE_ALLOW_OPERATOR };
		return true;
	}
	return find_in(r->from_file.list, r->from_file.n, prefix, LEVEE_ALLOW_FILE, found) ||
	       find_in(config->allow.parsed, config->allow.prefixes.n, prefix, LEVEE_ALLOW_CONFIG,
		       found) ||
	       find_in(r->automatic.list, r->automatic.n, prefix, LEVEE_ALLOW_AUTOMATIC, found);
}

static int by_prefix(const void *a, const void *b)
{
	const struct levee_board_allowed *left = a, *right = b;
	int order = levee_prefix_compare(&left->prefix, &right->prefix);

	return order ? order : (int)right->origin - (int)left->origin;
}

static void add_allowed(struct levee_snapshot *s, const struct levee_prefix *prefix,
			enum levee_allow_origin origin)
{
	s->allowed[s->n_allowed++] = (struct levee_board_allowed){ .prefix = *prefix,
								   .origin = origin };
}

/* The automatic list holds those of the configuration, too: they are named by their own origin. */
static void drop_repeated(struct levee_snapshot *s)
{
	size_t kept = 0;

	for (size_t i = 0; i < s->n_allowed; i++) {
		if (s->allowed[i].origin == LEVEE_ALLOW_AUTOMATIC && kept > 0 &&
		    s->allowed[kept - 1].origin == LEVEE_ALLOW_CONFIG &&
		    !levee_prefix_compare(&s->allowed[kept - 1].prefix, &s->allowed[i].prefix))
			continue;
		s->allowed[kept++] = s->allowed[i];
	}
	s->n_allowed = kept;
}

int levee_run_copy_allowlist(const struct levee_run *r, struct levee_snapshot *s)
{
	const struct levee_config *config = r->config;
	size_t n = r->automatic.n + r->from_file.n + r->allowed.n + config->allow.prefixes.n +
		   r->aws.from_vpc.n + r->aws.from_s3.n;

	s->allowed = calloc(n + 1, sizeof(*s->allowed));
	if (!s->allowed)
		return -ENOMEM;
	for (size_t i = 0; i < r->automatic.n; i++)
		add_allowed(s, &r->automatic.list[i], LEVEE_ALLOW_AUTOMATIC);
	for (size_t i = 0; i < config->allow.prefixes.n; i++)
		add_allowed(s, &config->allow.parsed[i], LEVEE_ALLOW_CONFIG);
	for (size_t i = 0; i < r->from_file.n; i++)
		add_allowed(s, &r->from_file.list[i], LEVEE_ALLOW_FILE);
	for (size_t i = 0; i < r->allowed.n; i++)
		add_allowed(s, &r->allowed.entries[i].prefix, LEVEE_ALLOW_OPERATOR);
	for (size_t i = 0; i < r->aws.from_vpc.n; i++)
		add_allowed(s, &r->aws.from_vpc.list[i], LEVEE_ALLOW_SERVICE);
	for (size_t i = 0; i < r->aws.from_s3.n; i++)
		add_allowed(s, &r->aws.from_s3.list[i], LEVEE_ALLOW_SERVICE);
	qsort(s->allowed, s->n_allowed, sizeof(*s->allowed), by_prefix);
	drop_repeated(s);
	return 0;
}
