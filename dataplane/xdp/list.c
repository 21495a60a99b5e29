/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What ebpf/list.bpf.c prints, from the pinned maps: some kernels refuse iterators (a lock-down,
 * a policy of the LSM), and people must see what is blocked all the same. Reads only.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "dataplane/xdp/xdp_internal.h"

static void print_end(FILE *out, uint64_t expires_ns, uint64_t now_ns)
{
	if (expires_ns == LEVEE_NEVER)
		fputs(" never", out);
	else if (expires_ns <= now_ns)
		fputs(" expired", out);
	else
		fprintf(out, " %llus", (expires_ns - now_ns + LEVEE_NS_PER_S - 1) / LEVEE_NS_PER_S);
}

static const char *verdict_name(const struct levee_rule *rule, bool audit)
{
	if (rule->verdict == LEVEE_VERDICT_ALLOW)
		return "allow";
	if (audit)
		return "audit";
	return rule->verdict == LEVEE_VERDICT_LIMIT ? "limit" : "block";
}

static void list_rules(const struct mapset *maps, FILE *out)
{
	const struct levee_rule *rules = maps->area[MAP_RULES];
	const struct levee_hits *hits = maps->area[MAP_HITS];
	uint64_t now_ns = levee_xdp_boot_ns();

	fputs("# verdict prefix ends-in packets bytes\n", out);
	for (uint32_t i = 1; i < maps->geo.rules; i++) {
		struct levee_prefix prefix = { rules[i].hi, rules[i].lo, rules[i].family,
					       rules[i].length };
		uint64_t packets = 0, bytes = 0;
		char text[LEVEE_PREFIX_TEXT];

		if (rules[i].verdict == LEVEE_VERDICT_NONE)
			continue;
		for (uint32_t cpu = 0; cpu < maps->geo.cpus; cpu++) {
			packets += hits[(size_t)cpu * maps->geo.rules + i].packets;
			bytes += hits[(size_t)cpu * maps->geo.rules + i].bytes;
		}
		levee_prefix_format(&prefix, text);
		fprintf(out, "%s %s", verdict_name(&rules[i], maps->page->control.audit), text);
		if (!strchr(text, '/'))
			fprintf(out, "/%u", rules[i].length);
		print_end(out, rules[i].expires_ns, now_ns);
		fprintf(out, " %" PRIu64 " %" PRIu64 "\n", packets, bytes);
	}
}

struct list_ctx {
	FILE *out;
	uint8_t family;
	uint32_t cpu;
	uint32_t epoch;
};

static int list_source(void *ctx, const struct levee_prefix *source,
		       const struct levee_counts *counts)
{
	const struct list_ctx *l = ctx;
	char text[LEVEE_PREFIX_TEXT];

	if (source->family == l->family)
		fprintf(l->out, "%s %" PRIu64 " %" PRIu64 " %u %u\n",
			levee_prefix_format(source, text), counts->packets, counts->bytes, l->cpu,
			l->epoch);
	return ferror(l->out) ? -EIO : 0;
}

static int list_sources(const struct mapset *maps, uint8_t family, FILE *out)
{
	struct levee_rows rows = levee_mapset_rows(maps);
	const struct levee_control *c = rows.control;
	struct list_ctx ctx = { .out = out, .family = family };
	struct levee_sink sink = { .source = list_source, .ctx = &ctx };
	int ret = 0;

	fprintf(out, "# source packets bytes cpu epoch (open epoch: %u)\n",
		(unsigned int)(c->seq & 1));
	for (ctx.epoch = 0; ctx.epoch < LEVEE_EPOCHS && !ret; ctx.epoch++)
		for (ctx.cpu = 0; ctx.cpu < rows.geo.cpus && !ret; ctx.cpu++)
			ret = levee_rows_walk_cpu(&rows, ctx.epoch, ctx.cpu, &sink);
	return ret;
}

int levee_xdp_list(const char *pin, const char *what, FILE *out)
{
	struct mapset maps;
	int ret = levee_mapset_open_pinned(&maps, pin, LEVEE_MAPS);

	if (ret)
		return ret;
	if (!strcmp(what, "rules"))
		list_rules(&maps, out);
	else if (!strcmp(what, "sources4"))
		ret = list_sources(&maps, 4, out);
	else if (!strcmp(what, "sources6"))
		ret = list_sources(&maps, 6, out);
	else
		ret = -EINVAL;
	levee_mapset_close(&maps);
	return ret;
}
