/* SPDX-License-Identifier: BSD-2-Clause */
/* What `levee run` logs of bins, verdicts and blocks. */
#include "control/run_internal.h"

#include <stdio.h>
#include <string.h>

void levee_run_say_warning(void *ctx, const char *message)
{
	(void)ctx;
	levee_warning("%s", message);
}

const char *levee_run_format_time(int64_t unix_s, char text[static 32])
{
	time_t t = (time_t)unix_s;
	struct tm tm;

	if (!gmtime_r(&t, &tm) || !strftime(text, 32, "%Y-%m-%dT%H:%M:%SZ", &tm))
		snprintf(text, 32, "%lld", (long long)unix_s);
	return text;
}

const char *levee_run_mode(const struct levee_config *config)
{
	return config->block.mode == LEVEE_MODE_AUDIT ? "audit" : "enforce";
}

static uint64_t minimum_of(const struct levee_config *config, enum levee_measure measure)
{
	return measure == LEVEE_BYTES  ? config->detect.min_bytes
	       : measure == LEVEE_SYNS ? config->detect.min_syns
				       : config->detect.min_packets;
}

static void log_finding(const struct levee_run *r, const struct levee_finding *f)
{
	char text[LEVEE_PREFIX_TEXT];

	levee_notice("flagged %s%s by %s%s: z = %.2f > %g and %llu %s > %llu in a bin of %llu s",
		     levee_prefix_format(&f->source, text),
		     f->marks & LEVEE_BLOCK_DRILL ? " (drill)" : "",
		     f->by == LEVEE_BY_ROBUST ? "robust" : "zscore", f->soft ? ", softly" : "",
		     f->max_zscore,
		     f->soft ? r->config->detect.soft_zscore : r->config->detect.min_zscore,
		     (unsigned long long)f->max_value, levee_measure_name(f->measure),
		     (unsigned long long)minimum_of(r->config, f->measure),
		     (unsigned long long)r->config->detect.bin);
}

/* The crossing, not every bin past it. */
static void log_masking(struct levee_run *r, const struct levee_evaluation *e)
{
	double z = r->config->detect.min_zscore;

	if (e->masked == r->masked)
		return;
	r->masked = e->masked;
	if (!e->masked) {
		levee_notice("no masking any more: %llu of %llu values are above %llu packets",
			     (unsigned long long)e->n_above, (unsigned long long)e->moments.n,
			     (unsigned long long)r->config->detect.min_packets);
		return;
	}
	levee_warning("masking: %llu of %llu values are above %llu packets, so many that their "
		      "Z-scores cannot all pass %g, and none if they are equal. %s",
		      (unsigned long long)e->n_above, (unsigned long long)e->moments.n,
		      (unsigned long long)r->config->detect.min_packets, z,
		      r->config->detect.detector == LEVEE_CHOOSE_ZSCORE
			      ? "Set [detect] detector = both, which then goes by the median; or "
				"raise min_packets if these are your clients"
			      : "The median decides meanwhile; raise [detect] min_packets if these "
				"are your clients");
}

static void log_findings(const struct levee_run *r, const struct levee_report *report)
{
	const struct levee_evaluation *e = report->evaluation;
	uint64_t said = 0;

	for (size_t i = 0; i < e->n_findings; i++) {
		if (!report->is_new[i])
			continue;
		if (said++ >= r->config->detect.limit)
			continue;
		log_finding(r, &e->findings[i]);
	}
	if (said > r->config->detect.limit)
		levee_notice("... and %llu more sources flagged ([detect] limit = %llu)",
			     (unsigned long long)(said - r->config->detect.limit),
			     (unsigned long long)r->config->detect.limit);
}

void levee_run_log_report(struct levee_run *r, const struct levee_report *report)
{
	const struct levee_evaluation *e = report->evaluation;
	const struct levee_account *a = report->account;
	char text[32];

	log_masking(r, e);
	log_findings(r, report);
	levee_info("bin to %s: %zu sources; received %llu = counted %llu + dropped %llu + allowed "
		   "%llu + out of scope %llu + unparsed %llu; would drop %llu; window n = %llu, "
		   "mean = %.2f, stddev = %.2f, threshold = %.2f; flagged %zu, blocks %zu",
		   levee_run_format_time(e->now_s, text), report->sources,
		   (unsigned long long)a->received, (unsigned long long)a->outcome[LEVEE_COUNTED],
		   (unsigned long long)a->outcome[LEVEE_DROPPED],
		   (unsigned long long)a->outcome[LEVEE_ALLOWED],
		   (unsigned long long)a->outcome[LEVEE_OUT_OF_SCOPE],
		   (unsigned long long)a->outcome[LEVEE_UNPARSED],
		   (unsigned long long)a->would_drop, (unsigned long long)e->moments.n, e->mean,
		   e->stddev, e->threshold, e->n_findings, report->blocks);
	levee_notify(&r->notify,
		     "STATUS=Bin to %s: %zu sources, %zu blocks, %llu packets received, %llu "
		     "dropped",
		     text, report->sources, report->blocks, (unsigned long long)a->received,
		     (unsigned long long)a->outcome[LEVEE_DROPPED]);
	if (report->bin_folded)
		levee_warning("%llu values of the bin lost their names for want of room (their "
			      "packets count in mean and deviation); raise [data_path] sources or "
			      "[detect] max_sources",
			      (unsigned long long)report->bin_folded);
}

void levee_run_log_block(const struct levee_run *r, enum levee_block_change change,
			 const struct levee_block *block, const struct levee_policy_info *info)
{
	char prefix[LEVEE_PREFIX_TEXT], until[32], before[48] = "";

	levee_prefix_format(&block->prefix, prefix);
	if (block->marks & LEVEE_BLOCK_DRILL)
		snprintf(before, sizeof(before), "; drill");
	else if (block->repeats)
		snprintf(before, sizeof(before), "; blocked %u times before", block->repeats);
	switch (change) {
	case LEVEE_BLOCK_ADDED:
		levee_notice("%s %s until %s (by %s: z = %.2f, %llu %s)%s%s%s",
			     block->kind == LEVEE_KIND_LIMIT ? "limit" : "block", prefix,
			     levee_run_format_time(
				     (int64_t)(block->expires_unix_ns / LEVEE_NS_PER_S), until),
			     levee_block_reason_name(block->reason), block->max_zscore,
			     (unsigned long long)levee_block_value(block),
			     levee_measure_name(block->measure), before,
			     block->spoofable ? "; its address may be made up" : "",
			     r->config->block.mode == LEVEE_MODE_AUDIT
				     ? "; audit: nothing is dropped"
				     : "");
		break;
	case LEVEE_BLOCK_HARDENED:
		levee_notice("drop %s, which was limited, until %s (by %s: z = %.2f, %llu %s)",
			     prefix,
			     levee_run_format_time(
				     (int64_t)(block->expires_unix_ns / LEVEE_NS_PER_S), until),
			     levee_block_reason_name(block->reason), block->max_zscore,
			     (unsigned long long)levee_block_value(block),
			     levee_measure_name(block->measure));
		break;
	case LEVEE_BLOCK_UPDATED:
		levee_debug("block %s goes on until %s", prefix,
			    levee_run_format_time(
				    (int64_t)(block->expires_unix_ns / LEVEE_NS_PER_S), until));
		break;
	default:
		levee_notice("lift %s: %s; %llu packets were %s", prefix,
			     change == LEVEE_BLOCK_EXPIRED ? "its block has expired"
							   : "it was released",
			     (unsigned long long)info->packets,
			     r->config->block.mode == LEVEE_MODE_AUDIT ? "not dropped (audit)"
								       : "dropped");
	}
}

void levee_run_check_allowance(struct levee_run *r)
{
	const struct levee_words *names = &r->config->data_path.interfaces;
	bool before = r->exceeded;
	uint64_t value;

	levee_allowance_begin(&r->allowance);
	for (size_t i = 0; i < names->n && i < LEVEE_ALLOWANCE_MAX; i++)
		if (!levee_ethtool_stat(names->word[i], LEVEE_ALLOWANCE_STAT, &value))
			levee_allowance_note(&r->allowance, i, value);
	r->exceeded = r->allowance.exceeded > 0;
	if (r->exceeded && !before)
		levee_warning("the platform dropped %llu packets in this bin, above the instance's "
			      "allowance (" LEVEE_ALLOWANCE_STAT "): good ones among them, and "
			      "before Levee saw any. Network ACLs stop a flood before that "
			      "([nacl] enabled); a larger instance has a larger allowance",
			      (unsigned long long)r->allowance.exceeded);
	else if (before && !r->exceeded)
		levee_notice("the platform drops nothing above the allowance any more");
}
