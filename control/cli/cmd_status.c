/* SPDX-License-Identifier: BSD-2-Clause */
/* levee status, levee why */
#include "control/cli/cmd_live.h"

#include <string.h>

#include "control/cli/client.h"
#include "control/cli/print.h"
#include "dataplane/prefix.h"

const struct levee_option levee_client_options[] = { LEVEE_CLIENT_OPTIONS, { 0 } };

/* ---- status -------------------------------------------------------------------------------- */

static void print_problems(const json_t *status)
{
	const struct levee_colours *c = levee_colours();
	const json_t *problem;
	size_t i;

	json_array_foreach(json_object_get(status, "problems"), i, problem) printf(
		"%s! %s: %s%s (since %s)\n", levee_is(problem, "not_ready") ? c->red : c->yellow,
		levee_text(problem, "name"), levee_text(problem, "text"), c->off,
		levee_text(problem, "since"));
}

static void print_interfaces(const json_t *status)
{
	const json_t *name;
	size_t i;

	json_array_foreach(json_object_get(status, "interfaces"), i, name)
		printf("%s%s", i ? ", " : "", json_string_value(name));
}

static void print_account(const char *title, const json_t *account)
{
	static const char *const parts[] = { "counted", "dropped", "allowed", "out_of_scope",
					     "unparsed" };
	char text[32];

	printf("%-10s%s packets received", title,
	       levee_grouped(levee_real(account, "received"), text));
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		printf(" %s %s %s", i ? "+" : "=",
		       levee_grouped(levee_real(account, parts[i]), text),
		       i == 3 ? "out of scope" : parts[i]);
	if (levee_real(account, "would_drop") > 0)
		printf("; %s would have been dropped",
		       levee_grouped(levee_real(account, "would_drop"), text));
	putchar('\n');
}

static void print_losses(const json_t *lost)
{
	static const struct {
		const char *key, *words;
	} table[] = {
		{ "missed", "missed" },
		{ "no_buffer", "without a buffer" },
		{ "damaged", "damaged" },
		{ "refused", "refused by the other port" },
		{ "send_errors", "errors while sending" },
	};
	char text[32];

	if (!json_is_object(lost))
		return;
	printf("%-10s", "lost");
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		printf("%s%s %s", i ? ", " : "",
		       levee_grouped(levee_real(lost, table[i].key), text), table[i].words);
	printf(" (by the ports, in no account)\n");
}

static void print_end(const json_t *block, char out[static 32])
{
	char text[32];

	if (!levee_is(block, "in_force"))
		snprintf(out, 32, "not in force");
	else if (json_is_null(json_object_get(block, "seconds_left")))
		snprintf(out, 32, "by hand");
	else
		snprintf(out, 32, "in %.28s",
			 levee_duration_words(levee_whole(block, "seconds_left"), text));
}

/* One line a block. The columns are explained in README. */
static void print_block(const json_t *block, const char *indent, int width)
{
	const struct levee_colours *c = levee_colours();
	char rate[32], drops[32], dropped[32], end[32], reason[64], acl[32] = "";
	long long rule = levee_whole(json_object_get(json_object_get(block, "enforced"), "nacl"),
				     "rule");
	const char *kind = levee_text(block, "reason"), *by = levee_text(block, "by");

	if (!strcmp(levee_text(block, "kind"), "limit"))
		kind = "limited";
	snprintf(reason, sizeof(reason), strcmp(by, "manual") ? "%s (%s)" : "%s", kind, by);
	print_end(block, end);
	if (rule)
		snprintf(acl, sizeof(acl), ", ACL rule %lld", rule);
	printf("%s%s%-*s%s %-18s %8.2f %12s %10s %14s  %s%s%s%s\n", indent, c->bold, width,
	       levee_text(block, "prefix"), c->off, reason, levee_real(block, "max_zscore"),
	       levee_grouped(levee_real(block, "max_rate"), rate),
	       levee_grouped(levee_real(block, "drop_rate"), drops),
	       levee_grouped(levee_real(block, "dropped_packets"), dropped), end, acl,
	       levee_text(block, "note")[0] ? "  " : "", levee_text(block, "note"));
}

int levee_column_width(const json_t *array, const char *member, int least)
{
	int width = least;
	const json_t *object;
	size_t i;

	json_array_foreach(array, i, object)
	{
		size_t len = strlen(levee_text(object, member));

		if (len < LEVEE_PREFIX_TEXT && (int)len > width)
			width = (int)len;
	}
	return width;
}

void levee_print_blocks(const json_t *blocks, const char *indent)
{
	int width = levee_column_width(blocks, "prefix", 20);
	const json_t *block;
	size_t i;

	if (!json_array_size(blocks))
		return;
	printf("%s%-*s %-18s %8s %12s %10s %14s  %s\n", indent, width, "SOURCE", "REASON", "Z",
	       "PACKETS/S", "DROPPED/S", "DROPPED", "ENDS");
	json_array_foreach(blocks, i, block) print_block(block, indent, width);
}

/* Whether a source has to wait for its bin's end. */
static void print_fast(const json_t *e)
{
	const json_t *fast = json_object_get(e, "fast");
	char text[32];

	if (levee_is(fast, "armed"))
		printf("%-10sa source with more than %s packets in the running bin is blocked at "
		       "once\n",
		       "fast path", levee_grouped(levee_real(fast, "threshold"), text));
	else if (levee_is(fast, "on"))
		printf("%-10snot yet: %lld of %lld bins are complete\n", "fast path",
		       levee_whole(fast, "bins"), levee_whole(fast, "warmup_bins"));
	else
		printf("%-10soff: sources are judged when their bin closes\n", "fast path");
}

static void print_median(const json_t *e)
{
	if (!json_is_null(json_object_get(e, "median")))
		printf("%-10smedian %.2f, MAD %.2f, threshold %.2f packets/bin\n", "",
		       levee_real(e, "median"), levee_real(e, "mad"),
		       levee_real(e, "robust_threshold"));
}

static void print_status(const json_t *s)
{
	const struct levee_colours *c = levee_colours();
	const json_t *account = json_object_get(s, "account"), *bin = json_object_get(s, "bin");
	const json_t *e = json_object_get(s, "evaluation"), *b = json_object_get(s, "blocks");
	bool ready = levee_is(s, "ready");
	char a[32], d[32];

	printf("levee %s on ", levee_text(s, "version"));
	print_interfaces(s);
	printf(", mode %s, up %s: %s%s%s\n", levee_text(s, "mode"),
	       levee_duration_words(levee_whole(s, "uptime_s"), a), ready ? c->green : c->red,
	       ready ? "protecting" : "NOT PROTECTING", c->off);
	print_problems(s);
	printf("%-10s%s packets/s received, %s packets/s dropped\n", "now",
	       levee_grouped(levee_real(account, "receive_rate"), a),
	       levee_grouped(levee_real(account, "drop_rate"), d));
	print_account("last bin", json_object_get(account, "last_bin"));
	print_account("in all", json_object_get(account, "since_start"));
	print_losses(json_object_get(account, "lost"));
	printf("%-10s%lld bins of %lld s, %s values: mean %.2f, deviation %.2f, threshold %.2f "
	       "packets/bin\n",
	       "window", levee_whole(bin, "in_window"), levee_whole(bin, "length_s"),
	       levee_grouped(levee_real(e, "values"), a), levee_real(e, "mean"),
	       levee_real(e, "stddev"), levee_real(e, "threshold"));
	print_median(e);
	print_fast(e);
	printf("%-10s%lld sources are flagged by %s (z > %g and more than %s packets in a bin); "
	       "%lld values are that large",
	       "verdict", levee_whole(e, "flagged"), levee_text(e, "detector"),
	       levee_real(e, "min_zscore"), levee_grouped(levee_real(e, "min_packets"), a),
	       levee_whole(e, "above_minimum"));
	if (levee_whole(e, "left_alone_allowed") + levee_whole(e, "left_alone_exempt") > 0)
		printf("; left alone: %lld allowed, %lld exempt",
		       levee_whole(e, "left_alone_allowed"), levee_whole(e, "left_alone_exempt"));
	printf("\n%-10s%lld: %lld detected, %lld by hand", "blocks", levee_whole(b, "total"),
	       levee_whole(b, "detected"), levee_whole(b, "manual"));
	if (levee_whole(b, "drill"))
		printf(", %lld of a drill", levee_whole(b, "drill"));
	if (levee_whole(b, "not_in_force"))
		printf("; %lld not in force", levee_whole(b, "not_in_force"));
	printf("; %lld prefixes are exempt, %lld allowed\n", levee_whole(s, "exemptions"),
	       levee_whole(s, "allowed"));
	levee_print_blocks(json_object_get(s, "top_blocks"), "  ");
	if (levee_whole(b, "total") > (long long)json_array_size(json_object_get(s, "top_blocks")))
		printf("  ... `levee blocks` lists all\n");
}

int levee_cmd_status(const struct levee_command *command, int argc, char **argv)
{
	struct levee_client client = { 0 };
	struct levee_reply reply;
	int ret = levee_client_parse(&client, command, argc, argv, 0, 0);

	if (ret >= 0)
		return ret;
	ret = levee_client_ask(&client, "GET", "/api/v1/status", NULL, &reply);
	if (ret)
		return ret;
	if (reply.status != 200 || !reply.json)
		ret = levee_client_complain(&client, &reply);
	else if (client.json)
		fputs(reply.text, stdout);
	else
		print_status(reply.json);
	if (!ret && !levee_is(reply.json, "ready"))
		ret = LEVEE_EXIT_ERROR;
	levee_reply_clear(&reply);
	return ret;
}

/* ---- why ----------------------------------------------------------------------------------- */

/* \param source  what was asked for: one address of an IPv6 source may have a block of its own */
static void print_verdict(const json_t *s, const char *source)
{
	const char *verdict = levee_text(s, "verdict");
	const json_t *allowed = json_object_get(s, "allowed");
	const json_t *exempt = json_object_get(s, "exemption");
	const struct levee_colours *c = levee_colours();

	if (!strcmp(verdict, "allowed"))
		printf("%s is %sallowed%s: %s is on the allow list (%s), which wins over every "
		       "block. Its packets pass, and are not counted.\n",
		       source, c->green, c->off, levee_text(allowed, "prefix"),
		       levee_text(allowed, "origin"));
	else if (!strcmp(verdict, "blocked"))
		printf("%s is %sblocked%s.\n", source, c->red, c->off);
	else if (!strcmp(verdict, "would_block"))
		printf("%s would be blocked, but mode is audit: its packets pass.\n", source);
	else if (!strcmp(verdict, "exempt"))
		printf("%s %spasses%s: an operator unblocked %s at %s, and no detector blocks it "
		       "%s%s.\n",
		       source, c->green, c->off, levee_text(exempt, "prefix"),
		       levee_text(exempt, "since"),
		       levee_text(exempt, "until")[0] ? "until " : "until that is taken back",
		       levee_text(exempt, "until"));
	else
		printf("%s %spasses%s.\n", source, c->green, c->off);
	if (strcmp(source, levee_text(s, "source")))
		printf("It is counted and judged as part of %s.\n", levee_text(s, "source"));
}

/* Which path decided. */
static const char *decider_words(const json_t *block)
{
	const char *by = levee_text(block, "by");

	if (!strcmp(by, "fast"))
		return "the fast path, within the bin,";
	return !strcmp(by, "robust") ? "detector robust" : "detector zscore";
}

static void print_block_words(const json_t *s)
{
	const json_t *b = json_object_get(s, "block");
	const char *until = levee_text(b, "until");
	bool is_other = strcmp(levee_text(b, "measure"), "packets") != 0;
	char packets[32], rate[32], left[32], value[64];

	if (!json_is_object(b))
		return;
	snprintf(value, sizeof(value), ", %s", levee_grouped(levee_real(b, "max_value"), left));
	printf("\nThe block is of %s", levee_text(b, "prefix"));
	if (!strcmp(levee_text(b, "reason"), "manual"))
		printf(", by hand at %s", levee_text(b, "since"));
	else
		printf(", by %s at %s%s", decider_words(b), levee_text(b, "since"),
		       levee_is(b, "drill") ? ", for a drill" : "");
	if (levee_text(b, "note")[0])
		printf(": \"%s\"", levee_text(b, "note"));
	printf(".\n");
	if (levee_whole(b, "max_packets"))
		printf("Its largest bin held %s packets (%s packets/s), z = %.4f%s%s%s.\n",
		       levee_grouped(levee_real(b, "max_packets"), packets),
		       levee_grouped(levee_real(b, "max_rate"), rate), levee_real(b, "max_zscore"),
		       is_other ? " of its " : "", is_other ? levee_text(b, "measure") : "",
		       is_other ? value : "");
	if (!strcmp(levee_text(b, "kind"), "limit"))
		printf("It is limited, not dropped: [block] limit_rate packets/s of it pass.\n");
	if (levee_whole(b, "repeats"))
		printf("It was blocked %lld times before, so this block is longer ([block] "
		       "repeat_factor).\n",
		       levee_whole(b, "repeats"));
	if (levee_is(b, "spoofable"))
		printf("It was never seen with an established TCP flow: its address may be made "
		       "up.\n");
	if (until[0])
		printf("It ends at %s, in %s%s.\n", until,
		       levee_duration_words(levee_whole(b, "seconds_left"), left),
		       strcmp(levee_text(b, "reason"), "manual") ? ", unless the flood goes on"
								 : "");
	else
		printf("It ends when somebody ends it: levee unblock %s\n",
		       levee_text(b, "prefix"));
}

static void print_numbers(const json_t *s)
{
	const json_t *e = json_object_get(s, "evaluation"), *bin;
	const json_t *last = json_object_get(s, "last_bin");
	char text[32], time[32];
	size_t i;

	printf("\nThe latest evaluation, over %s values (one source in one bin of %lld s each):\n",
	       levee_grouped(levee_real(e, "values"), text), levee_whole(s, "bin_s"));
	printf("  mean       %.4f packets/bin\n", levee_real(e, "mean"));
	printf("  deviation  %.4f packets/bin\n", levee_real(e, "stddev"));
	printf("  threshold  %.4f packets/bin = %g * deviation + mean, and more than %s\n",
	       levee_real(e, "threshold"), levee_real(e, "min_zscore"),
	       levee_grouped(levee_real(e, "min_packets"), text));
	if (!json_is_null(json_object_get(e, "median")))
		printf("  median     %.4f packets/bin\n  MAD        %.4f packets/bin\n"
		       "  robust     %.4f packets/bin = median + %g * MAD / 0.6745\n",
		       levee_real(e, "median"), levee_real(e, "mad"),
		       levee_real(e, "robust_threshold"), levee_real(e, "min_zscore"));
	if (levee_is(json_object_get(e, "fast"), "armed"))
		printf("  fast path  %s packets in the running bin, of the complete bins\n",
		       levee_grouped(levee_real(json_object_get(e, "fast"), "threshold"), text));
	if (levee_is(e, "masked"))
		printf("  masking    %lld values are above %s packets: too many for all their "
		       "Z-scores to pass %g\n",
		       levee_whole(e, "above_minimum"),
		       levee_grouped(levee_real(e, "min_packets"), text),
		       levee_real(e, "min_zscore"));
	if (!json_array_size(json_object_get(s, "bins")))
		printf("In no bin of the window did it send more than %s packets.\n",
		       levee_grouped(levee_real(e, "min_packets"), text));
	else
		printf("Its bins with more than %s packets:\n",
		       levee_grouped(levee_real(e, "min_packets"), text));
	json_array_foreach(json_object_get(s, "bins"), i, bin)
		printf("  %s  %12s packets  z = %.4f%s\n", levee_unix_words(bin, "start", time),
		       levee_grouped(levee_real(bin, "packets"), text), levee_real(bin, "zscore"),
		       levee_is(bin, "abnormal") ? "  abnormal" : "");
	if (json_is_integer(json_object_get(last, "packets")))
		printf("In the last bin, of %s, it sent %s packets that were counted, z = "
		       "%.4f.\n",
		       levee_unix_words(last, "start", time),
		       levee_grouped(levee_real(last, "packets"), text),
		       levee_real(last, "zscore"));
	else if (levee_whole(last, "at_most"))
		printf("In the last bin it sent no more than %s packets that were counted.\n",
		       levee_grouped(levee_real(last, "at_most"), text));
	else
		printf("In the last bin none of its packets were counted.\n");
}

static void print_enforcement(const json_t *s)
{
	const json_t *e = json_object_get(s, "enforced"), *b = json_object_get(s, "block");
	const json_t *acl = json_object_get(e, "nacl");
	char packets[32], bytes[32], rate[32];

	if (!json_is_object(b))
		return;
	printf("\nWhere:\n  kernel map   %s: %s packets, %s%s, %s packets/s at present\n",
	       levee_is(e, "kernel")  ? "dropped here"
	       : levee_is(e, "audit") ? "would be dropped (audit)"
				      : "not in force",
	       levee_grouped(levee_real(b, "dropped_packets"), packets),
	       levee_bytes_words(levee_real(b, "dropped_bytes"), bytes),
	       levee_is(e, "audit") ? " passed" : "",
	       levee_grouped(levee_real(b, "drop_rate"), rate));
	if (!json_is_object(acl))
		printf("  network ACL  not in use\n");
	else if (levee_whole(acl, "rule"))
		printf("  network ACL  rule %lld of %s: %s %s\n", levee_whole(acl, "rule"),
		       levee_text(acl, "acl"), levee_text(acl, "action"),
		       levee_text(acl, "prefix"));
	else
		printf("  network ACL  no rule; `levee nacl status` says what has one\n");
}

int levee_cmd_why(const struct levee_command *command, int argc, char **argv)
{
	struct levee_client client = { 0 };
	char prefix[64], path[128];
	struct levee_reply reply;
	int ret = levee_client_parse(&client, command, argc, argv, 1, 1);

	if (ret >= 0)
		return ret;
	if (levee_client_prefix("why", client.args[0], prefix))
		return LEVEE_EXIT_USAGE;
	snprintf(path, sizeof(path), "/api/v1/sources/%s", prefix);
	ret = levee_client_get(&client, path, &reply);
	if (ret >= 0)
		return ret;
	print_verdict(reply.json, prefix);
	print_block_words(reply.json);
	print_numbers(reply.json);
	print_enforcement(reply.json);
	levee_reply_clear(&reply);
	return LEVEE_EXIT_OK;
}
