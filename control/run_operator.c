/* SPDX-License-Identifier: BSD-2-Clause */
/* What operators ask for: blocks, unblocks and allowed prefixes. They win, and outlive restarts. */
#include "control/run_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/store/operator.h"

/* A prefix wider than this is taken for a slip, unless force says that it is meant. */
#define WIDEST4 8
#define WIDEST6 24

/* ---- keeping it over restarts -------------------------------------------------------------- */

static void note_not_kept(struct levee_run *r, int ret)
{
	levee_controller_not_kept(&r->controller);
	levee_warning("what an operator said is in force, but cannot be stored: %s; it is tried "
		      "again with each bin, and ends with this process until then",
		      strerror(-ret));
}

void levee_run_store_entry(struct levee_run *r, const struct levee_operator_entry *entry)
{
	int ret = r->store ? levee_store_put_operator(r->store, entry, r->boot_id) : 0;

	if (ret)
		note_not_kept(r, ret);
}

void levee_run_forget_entry(struct levee_run *r, enum levee_operator_kind kind,
			    const struct levee_prefix *prefix)
{
	int ret = r->store ? levee_store_drop_operator(r->store, kind, prefix) : 0;

	if (ret)
		note_not_kept(r, ret);
}

/* Blocks that are gone leave their notes behind: a note without its block says nothing. */
static void take_note(struct levee_run *r, const struct levee_operator_entry *entry)
{
	const struct levee_block *block = levee_blocks_get(r->controller.blocks, &entry->prefix);
	struct levee_block noted;

	/* A drill that was killed before its block: the next one of this source may be real. */
	if (!block && entry->marks & LEVEE_BLOCK_DRILL)
		levee_run_forget_entry(r, LEVEE_OPERATOR_NOTE, &entry->prefix);
	if (!block)
		return;
	noted = *block;
	noted.marks = entry->marks;
	memcpy(noted.note, entry->note, sizeof(noted.note));
	levee_blocks_put(r->controller.blocks, &noted, NULL, NULL);
}

static int load_entry(void *ctx, const struct levee_operator_entry *entry)
{
	struct levee_run *r = ctx;

	switch (entry->kind) {
	case LEVEE_OPERATOR_EXEMPT:
		return levee_operator_put(&r->exemptions, entry);
	case LEVEE_OPERATOR_ALLOW:
		return levee_operator_put(&r->allowed, entry);
	default:
		take_note(r, entry);
		return 0;
	}
}

void levee_run_load_operator(struct levee_run *r, const struct levee_time *now)
{
	int ret;

	if (!r->store)
		return;
	ret = levee_store_open_operator(r->store);
	if (!ret)
		ret = levee_store_load_operator(r->store, r->boot_id, now, load_entry, r);
	if (ret)
		levee_warning("not all that operators said could be read: %s; look at `levee "
			      "blocks` and `levee allow list`",
			      strerror(-ret));
	if (r->allowed.n)
		levee_run_apply_allowlist(r);
}

/* ---- exemptions ---------------------------------------------------------------------------- */

bool levee_run_is_exempt(void *ctx, const struct levee_prefix *source)
{
	struct levee_run *r = ctx;
	struct levee_time now;

	if (!r->exemptions.n)
		return false;
	levee_dataplane_now(r->dp, &now);
	return levee_operator_covering(&r->exemptions, source, now.boot_ns) != NULL;
}

static void note_event(struct levee_run *r, const char *kind, const struct levee_prefix *prefix,
		       uint64_t end_unix_ns, const char *text)
{
	struct levee_board_entry entry = { .end_unix_ns = end_unix_ns };
	struct levee_time now;

	snprintf(entry.kind, sizeof(entry.kind), "%s", kind);
	levee_prefix_format(prefix, entry.subject);
	snprintf(entry.text, sizeof(entry.text), "%s", text);
	levee_board_event(r->board, &entry);
	levee_notice("%s: %s", entry.subject, text);
	levee_dataplane_now(r->dp, &now);
	if (r->store)
		levee_store_event(r->store, now.unix_ns, kind, entry.subject, text);
}

void levee_run_expire_operator(struct levee_run *r, const struct levee_time *now)
{
	struct levee_operator_entry gone;

	while (levee_operator_expire(&r->exemptions, now->boot_ns, &gone)) {
		levee_run_forget_entry(r, LEVEE_OPERATOR_EXEMPT, &gone.prefix);
		note_event(r, "exempt", &gone.prefix, 0,
			   "its exemption has ended: detection may block it again");
		r->view.changed = true;
	}
}

/* ---- ends ---------------------------------------------------------------------------------- */

/* One that was in the window when an unblock came has left it after this, the running bin too. */
static uint64_t spike_s(const struct levee_run *r)
{
	return r->config->detect.window + r->config->detect.bin;
}

static void find_end(uint64_t for_s, const struct levee_time *now, uint64_t *boot_ns,
		     uint64_t *unix_ns)
{
	if (for_s == LEVEE_FOR_EVER) {
		*boot_ns = *unix_ns = LEVEE_NEVER;
		return;
	}
	if (for_s > LEVEE_FOR_MAX_S)
		for_s = LEVEE_FOR_MAX_S;
	*boot_ns = now->boot_ns + for_s * LEVEE_NS_PER_S;
	*unix_ns = now->unix_ns + for_s * LEVEE_NS_PER_S;
}

static const char *until(uint64_t unix_ns, char text[static 48])
{
	char time[32];

	if (unix_ns == LEVEE_NEVER)
		snprintf(text, 48, "until it is taken back");
	else
		snprintf(text, 48, "until %s",
			 levee_run_format_time((int64_t)(unix_ns / LEVEE_NS_PER_S), time));
	return text;
}

static bool is_too_wide(const struct levee_prefix *prefix)
{
	return prefix->length < (prefix->family == 4 ? WIDEST4 : WIDEST6);
}

/* ---- block --------------------------------------------------------------------------------- */

static bool refuse_block(const struct levee_run *r, struct levee_request *request)
{
	struct levee_board_allowed allowed;
	char prefix[LEVEE_PREFIX_TEXT], by[LEVEE_PREFIX_TEXT];

	levee_prefix_format(&request->prefix, prefix);
	if (levee_run_find_allowed(r, &request->prefix, &allowed)) {
		levee_run_answer(request, -EPERM,
				 "%s is on the allow list (%s, %s), which wins over every block: "
				 "not blocked",
				 prefix, levee_prefix_format(&allowed.prefix, by),
				 levee_allow_origin_name(allowed.origin));
		return true;
	}
	if (is_too_wide(&request->prefix) && !request->force) {
		levee_run_answer(request, -E2BIG,
				 "%s is wider than /%d, which may cut everybody off, you included: "
				 "not blocked; --force (in the API: force) says that it is meant",
				 prefix, request->prefix.family == 4 ? WIDEST4 : WIDEST6);
		return true;
	}
	return false;
}

static void make_block(const struct levee_run *r, const struct levee_request *request,
		       const struct levee_time *now, struct levee_block *block)
{
	const struct levee_block *there = levee_blocks_get(r->controller.blocks, &request->prefix);
	uint64_t for_s = request->for_s == LEVEE_FOR_DEFAULT ? LEVEE_FOR_EVER : request->for_s;

	*block = (struct levee_block){ .created_boot_ns = now->boot_ns,
				       .created_unix_ns = now->unix_ns };
	if (there) /* what it is known for stays known */
		*block = *there;
	block->prefix = request->prefix;
	block->reason = request->reason ? request->reason : LEVEE_BLOCK_MANUAL;
	block->marks = request->local ? LEVEE_BLOCK_LOCAL : 0;
	find_end(for_s, now, &block->expires_boot_ns, &block->expires_unix_ns);
	if (!there || request->note[0])
		memcpy(block->note, request->note, sizeof(block->note));
}

static void make_note(const struct levee_block *block, struct levee_operator_entry *entry)
{
	*entry = (struct levee_operator_entry){ .kind = LEVEE_OPERATOR_NOTE,
						.prefix = block->prefix,
						.created_unix_ns = block->created_unix_ns,
						.expires_boot_ns = block->expires_boot_ns,
						.expires_unix_ns = block->expires_unix_ns,
						.marks = block->marks };
	memcpy(entry->note, block->note, sizeof(entry->note));
}

static void store_note(struct levee_run *r, const struct levee_block *block)
{
	struct levee_operator_entry entry;

	make_note(block, &entry);
	if (entry.note[0] || entry.marks)
		levee_run_store_entry(r, &entry);
}

/* Exemptions within a prefix that is blocked by hand are taken back: the latest word counts. */
void levee_run_end_exemptions(struct levee_run *r, const struct levee_prefix *prefix,
			      bool local_too)
{
	struct levee_prefix gone;

	for (size_t i = r->exemptions.n; i-- > 0;) {
		gone = r->exemptions.entries[i].prefix;
		if (!levee_prefix_covers(prefix, &gone) ||
		    (!local_too && r->exemptions.entries[i].marks & LEVEE_BLOCK_LOCAL))
			continue;
		levee_operator_remove(&r->exemptions, &gone);
		levee_run_forget_entry(r, LEVEE_OPERATOR_EXEMPT, &gone);
	}
}

static void put_note_again(void *ctx, const struct levee_block *block)
{
	struct levee_run *r = ctx;
	struct levee_operator_entry entry;

	make_note(block, &entry);
	if (entry.note[0] || entry.marks)
		levee_store_put_operator(r->store, &entry, r->boot_id);
}

void levee_run_put_operator_again(void *ctx)
{
	struct levee_run *r = ctx;

	if (levee_store_clear_operator(r->store))
		return;
	for (size_t i = 0; i < r->exemptions.n; i++)
		levee_store_put_operator(r->store, &r->exemptions.entries[i], r->boot_id);
	for (size_t i = 0; i < r->allowed.n; i++)
		levee_store_put_operator(r->store, &r->allowed.entries[i], r->boot_id);
	levee_blocks_walk(r->controller.blocks, put_note_again, r);
	levee_run_mark_drill(r);
}

void levee_run_do_block(struct levee_run *r, struct levee_request *request)
{
	char prefix[LEVEE_PREFIX_TEXT], text[48];
	struct levee_block block;
	struct levee_time now;
	int ret;

	if (refuse_block(r, request))
		return;
	levee_dataplane_now(r->dp, &now);
	make_block(r, request, &now, &block);
	ret = levee_controller_block(&r->controller, &block, &now);
	levee_prefix_format(&request->prefix, prefix);
	if (ret) {
		levee_run_answer(request, ret, "%s cannot be blocked: %s", prefix,
				 ret == -ENOSPC
					 ? "the policy table is full; raise [data_path] rules"
					 : strerror(-ret));
		return;
	}
	levee_controller_save(&r->controller);
	levee_run_end_exemptions(r, &request->prefix, true);
	store_note(r, &block);
	request->changed = 1;
	request->end_unix_ns = block.expires_unix_ns;
	levee_run_answer(request, 0, "%s is %s %s", prefix,
			 r->config->block.mode == LEVEE_MODE_AUDIT
				 ? "on the block list (audit: nothing is dropped)"
				 : "blocked",
			 until(block.expires_unix_ns, text));
}

/* ---- unblock ------------------------------------------------------------------------------- */

struct unblocking {
	struct levee_run *r;
	const struct levee_request *request;
	struct levee_prefix *prefixes;
	size_t n;
};

static void collect(void *ctx, const struct levee_block *block)
{
	struct unblocking *u = ctx;

	if (u->request->all || levee_prefix_covers(&u->request->prefix, &block->prefix))
		u->prefixes[u->n++] = block->prefix;
}

static int exempt(struct levee_run *r, const struct levee_prefix *prefix,
		  const struct levee_request *request, const struct levee_time *now)
{
	struct levee_operator_entry entry = { .kind = LEVEE_OPERATOR_EXEMPT,
					      .prefix = *prefix,
					      .created_unix_ns = now->unix_ns,
					      .marks = request->local ? LEVEE_BLOCK_LOCAL : 0 };
	int ret;

	find_end(request->for_s == LEVEE_FOR_DEFAULT ? spike_s(r) : request->for_s, now,
		 &entry.expires_boot_ns, &entry.expires_unix_ns);
	memcpy(entry.note, request->note, sizeof(entry.note));
	ret = levee_operator_put(&r->exemptions, &entry);
	if (!ret)
		levee_run_store_entry(r, &entry);
	return ret;
}

/* The kernel first; the exemption must be there before the next verdict, which comes after. */
static void lift(struct levee_run *r, const struct levee_prefix *prefix,
		 struct levee_request *request, const struct levee_time *now)
{
	const struct levee_block *block = levee_blocks_get(r->controller.blocks, prefix);
	bool was_drill = block && block->marks & LEVEE_BLOCK_DRILL;
	const struct levee_operator_entry *entry;
	int ret = levee_controller_unblock(&r->controller, prefix, now);

	if (ret)
		return;
	request->changed++;
	levee_run_forget_entry(r, LEVEE_OPERATOR_NOTE, prefix);
	if (!was_drill && exempt(r, prefix, request, now))
		levee_warning("an exemption found no room: the same spike may be blocked again");
	entry = levee_operator_get(&r->exemptions, prefix);
	if (entry && !request->local)
		levee_run_share_lift(r, prefix, entry->expires_unix_ns);
}

static void say_nothing_to_unblock(const struct levee_run *r, struct levee_request *request)
{
	char prefix[LEVEE_PREFIX_TEXT], by[LEVEE_PREFIX_TEXT];
	struct levee_prefix outer = request->prefix;

	if (request->all) {
		levee_run_answer(request, 0, "nothing is blocked");
		return;
	}
	levee_prefix_format(&request->prefix, prefix);
	for (int length = request->prefix.length - 1; length >= 0; length--) {
		outer.length = (uint8_t)length;
		levee_prefix_canon(&outer);
		if (!levee_blocks_get(r->controller.blocks, &outer))
			continue;
		levee_run_answer(request, -EBUSY,
				 "%s is blocked as part of %s: unblock that, or put %s on the "
				 "allow list",
				 prefix, levee_prefix_format(&outer, by), prefix);
		return;
	}
	levee_run_answer(request, -ENOENT, "%s is not blocked", prefix);
}

static void say_unblocked(const struct levee_run *r, struct levee_request *request,
			  const struct levee_prefix *first)
{
	const struct levee_operator_entry *e = levee_operator_get(&r->exemptions, first);
	char prefix[LEVEE_PREFIX_TEXT], text[48];

	request->end_unix_ns = e ? e->expires_unix_ns : 0;
	if (request->changed == 1)
		levee_run_answer(request, 0, "%s is unblocked%s%s",
				 levee_prefix_format(first, prefix),
				 e ? ", and no detector blocks it " : "",
				 e ? until(e->expires_unix_ns, text) : "");
	else
		levee_run_answer(request, 0, "%zu blocks are lifted%s%s", request->changed,
				 e ? ", and no detector blocks their sources " : "",
				 e ? until(e->expires_unix_ns, text) : "");
}

void levee_run_do_unblock(struct levee_run *r, struct levee_request *request)
{
	struct unblocking u = { .r = r, .request = request };
	struct levee_time now;

	u.prefixes = calloc(levee_blocks_count(r->controller.blocks) + 1, sizeof(*u.prefixes));
	if (!u.prefixes) {
		levee_run_answer(request, -ENOMEM, "no memory");
		return;
	}
	/* One prefix is found at once; a look at every block takes its time when they are many. */
	if (!request->all && levee_blocks_get(r->controller.blocks, &request->prefix))
		u.prefixes[u.n++] = request->prefix;
	else
		levee_blocks_walk(r->controller.blocks, collect, &u);
	levee_dataplane_now(r->dp, &now);
	/* What is written about each takes its time: their packets pass before. */
	for (size_t i = 0; i < u.n && u.n > 1; i++)
		levee_policy_block(levee_dataplane_policy(r->dp), &u.prefixes[i], 0, now.boot_ns);
	for (size_t i = 0; i < u.n; i++)
		lift(r, &u.prefixes[i], request, &now);
	levee_controller_save(&r->controller);
	if (u.n)
		say_unblocked(r, request, &u.prefixes[0]);
	else
		say_nothing_to_unblock(r, request);
	free(u.prefixes);
}

void levee_run_take_lift(struct levee_run *r, const struct levee_prefix *prefix, uint64_t for_s,
			 const char *note)
{
	struct levee_request request = { .type = LEVEE_REQUEST_UNBLOCK,
					 .prefix = *prefix,
					 .for_s = for_s };
	struct levee_time now;

	snprintf(request.note, sizeof(request.note), "%s", note);
	levee_dataplane_now(r->dp, &now);
	if (levee_blocks_get(r->controller.blocks, prefix))
		levee_run_do_unblock(r, &request);
	else if (exempt(r, prefix, &request, &now))
		levee_warning("an exemption of the fleet found no room");
	r->view.changed = true;
	levee_request_clear(&request);
}

void levee_run_do_exempt_end(struct levee_run *r, struct levee_request *request)
{
	const struct levee_operator_entry *there = levee_operator_get(&r->exemptions,
								      &request->prefix);
	bool was_local = there && there->marks & LEVEE_BLOCK_LOCAL;
	char prefix[LEVEE_PREFIX_TEXT];
	struct levee_time now;

	levee_prefix_format(&request->prefix, prefix);
	if (levee_operator_remove(&r->exemptions, &request->prefix)) {
		levee_run_answer(request, -ENOENT, "%s has no exemption", prefix);
		return;
	}
	levee_run_forget_entry(r, LEVEE_OPERATOR_EXEMPT, &request->prefix);
	note_event(r, "exempt", &request->prefix, 0, "its exemption was taken back");
	/* In a fleet: a later word, which ends at once. */
	levee_dataplane_now(r->dp, &now);
	if (!request->local && !was_local)
		levee_run_share_lift(r, &request->prefix, now.unix_ns + LEVEE_NS_PER_S);
	request->changed = 1;
	levee_run_answer(request, 0, "%s may be blocked by detection again", prefix);
}

/* ---- the allow list ------------------------------------------------------------------------ */

static int put_allowed(struct levee_run *r, const struct levee_operator_entry *entry,
		       const char *text)
{
	int ret = levee_operator_put(&r->allowed, entry);

	if (!ret)
		ret = levee_run_apply_allowlist(r);
	if (ret) {
		levee_operator_remove(&r->allowed, &entry->prefix);
		return ret;
	}
	levee_run_store_entry(r, entry);
	note_event(r, "allow", &entry->prefix, 0, text);
	return 0;
}

/* \return 0; -ENOENT */
static int drop_allowed(struct levee_run *r, const struct levee_prefix *prefix, const char *text)
{
	if (levee_operator_remove(&r->allowed, prefix))
		return -ENOENT;
	levee_run_forget_entry(r, LEVEE_OPERATOR_ALLOW, prefix);
	levee_run_apply_allowlist(r);
	note_event(r, "allow", prefix, 0, text);
	return 0;
}

void levee_run_take_allow(struct levee_run *r, const struct levee_prefix *prefix, bool on_list,
			  uint64_t said_unix_ns, const char *note)
{
	struct levee_operator_entry entry = { .kind = LEVEE_OPERATOR_ALLOW,
					      .prefix = *prefix,
					      .created_unix_ns = said_unix_ns,
					      .expires_boot_ns = LEVEE_NEVER,
					      .expires_unix_ns = LEVEE_NEVER };
	char text[LEVEE_PREFIX_TEXT];
	int ret = 0;

	snprintf(entry.note, sizeof(entry.note), "%s", note);
	if (!on_list)
		drop_allowed(r, prefix, "an operator of the fleet took it off the allow list");
	else if (!levee_operator_get(&r->allowed, prefix))
		ret = put_allowed(r, &entry, "an operator of the fleet put it on the allow list");
	if (ret)
		levee_error("%s, which the fleet allows, cannot be allowed here: %s; raise "
			    "[data_path] rules",
			    levee_prefix_format(prefix, text), strerror(-ret));
}

void levee_run_do_allow_add(struct levee_run *r, struct levee_request *request)
{
	const struct levee_operator_entry *there = levee_operator_get(&r->allowed,
								      &request->prefix);
	struct levee_operator_entry entry = { .kind = LEVEE_OPERATOR_ALLOW,
					      .prefix = request->prefix,
					      .marks = request->local ? LEVEE_BLOCK_LOCAL : 0,
					      .expires_boot_ns = LEVEE_NEVER,
					      .expires_unix_ns = LEVEE_NEVER };
	char prefix[LEVEE_PREFIX_TEXT];
	struct levee_time now;
	int ret;

	levee_prefix_format(&request->prefix, prefix);
	if (is_too_wide(&request->prefix) && !request->force) {
		levee_run_answer(request, -E2BIG,
				 "%s is wider than /%d, and nothing in it would be protected from: "
				 "not allowed; force says that it is meant",
				 prefix, request->prefix.family == 4 ? WIDEST4 : WIDEST6);
		return;
	}
	/* What is so here alone may become so in the whole fleet. */
	if (there && (request->local || !(there->marks & LEVEE_BLOCK_LOCAL))) {
		levee_run_answer(request, 0, "%s is on the allow list already", prefix);
		return;
	}
	levee_dataplane_now(r->dp, &now);
	entry.created_unix_ns = now.unix_ns;
	memcpy(entry.note, request->note, sizeof(entry.note));
	ret = put_allowed(r, &entry, "an operator put it on the allow list");
	if (ret) {
		levee_run_answer(request, ret, "%s cannot be allowed: %s", prefix,
				 ret == -ENOSPC
					 ? "the policy table is full; raise [data_path] rules"
					 : strerror(-ret));
		return;
	}
	levee_run_share_allow(r, &entry, true, now.unix_ns);
	request->changed = 1;
	levee_run_answer(request, 0, "%s is allowed until it is taken off the list", prefix);
}

void levee_run_do_allow_remove(struct levee_run *r, struct levee_request *request)
{
	const struct levee_operator_entry *there = levee_operator_get(&r->allowed,
								      &request->prefix);
	struct levee_operator_entry was = { 0 };
	char prefix[LEVEE_PREFIX_TEXT], by[LEVEE_PREFIX_TEXT];
	struct levee_board_allowed allowed;
	struct levee_time now;

	if (there)
		was = *there;
	levee_prefix_format(&request->prefix, prefix);
	if (!drop_allowed(r, &request->prefix, "an operator took it off the allow list")) {
		levee_dataplane_now(r->dp, &now);
		levee_run_share_allow(r, &was, false, now.unix_ns);
		request->changed = 1;
		levee_run_answer(request, 0, "%s is off the allow list", prefix);
		return;
	}
	if (levee_run_find_allowed(r, &request->prefix, &allowed))
		levee_run_answer(request, -EPERM,
				 "%s is allowed by %s (%s), which is not to be changed here: %s",
				 prefix, levee_prefix_format(&allowed.prefix, by),
				 levee_allow_origin_name(allowed.origin),
				 allowed.origin == LEVEE_ALLOW_FILE ? "edit [allow] file"
				 : allowed.origin == LEVEE_ALLOW_CONFIG
					 ? "edit [allow] prefixes, then `levee reload`"
				 : allowed.origin == LEVEE_ALLOW_OPERATOR
					 ? "remove that prefix as a whole"
					 : "it is always allowed");
	else
		levee_run_answer(request, -ENOENT, "%s is not on the allow list", prefix);
}
