/* SPDX-License-Identifier: BSD-2-Clause */
#include "control/api/write.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

void levee_write_null(struct levee_json *j, const char *name)
{
	levee_json_double(j, name, NAN);
}

void levee_write_time(struct levee_json *j, const char *name, uint64_t unix_ns)
{
	time_t t = (time_t)(unix_ns / LEVEE_NS_PER_S);
	char text[32];
	struct tm tm;

	if (!unix_ns || unix_ns == LEVEE_NEVER || !gmtime_r(&t, &tm) ||
	    !strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm))
		levee_write_null(j, name);
	else
		levee_json_string(j, name, text);
}

void levee_write_prefix(struct levee_json *j, const char *name, const struct levee_prefix *prefix)
{
	char text[LEVEE_PREFIX_TEXT];

	levee_json_string(j, name, levee_prefix_format(prefix, text));
}

void levee_write_account(struct levee_json *j, const char *name,
			 const struct levee_account *account)
{
	levee_json_object(j, name);
	levee_json_uint(j, "received", account->received);
	levee_json_uint(j, "counted", account->outcome[LEVEE_COUNTED]);
	levee_json_uint(j, "dropped", account->outcome[LEVEE_DROPPED]);
	levee_json_uint(j, "allowed", account->outcome[LEVEE_ALLOWED]);
	levee_json_uint(j, "out_of_scope", account->outcome[LEVEE_OUT_OF_SCOPE]);
	levee_json_uint(j, "unparsed", account->outcome[LEVEE_UNPARSED]);
	levee_json_uint(j, "would_drop", account->would_drop);
	levee_json_uint(j, "received_bytes", account->received_bytes);
	levee_json_uint(j, "dropped_bytes", account->dropped_bytes);
	levee_json_end(j);
}

const char *levee_block_word(const struct levee_block *block)
{
	if (block->marks & LEVEE_BLOCK_DRILL)
		return "drill";
	return block->reason == LEVEE_BLOCK_MANUAL ? "manual" : "detected";
}

const char *levee_allow_word(enum levee_allow_origin origin)
{
	static const char *const words[] = { [LEVEE_ALLOW_AUTOMATIC] = "automatic",
					     [LEVEE_ALLOW_CONFIG] = "configuration",
					     [LEVEE_ALLOW_FILE] = "file",
					     [LEVEE_ALLOW_OPERATOR] = "operator",
					     [LEVEE_ALLOW_SERVICE] = "service" };

	return words[origin];
}

const char *levee_verdict_word(const struct levee_snapshot *s, const struct levee_prefix *source)
{
	const struct levee_board_block *block;

	if (levee_snapshot_allowed(s, source))
		return "allowed";
	block = levee_snapshot_covering(s, source);
	if (block && !block->shadowed)
		return s->audit ? "would_block" : "blocked";
	return levee_snapshot_exempt(s, source) ? "exempt" : "passed";
}

static uint64_t seconds_left(const struct levee_snapshot *s, uint64_t end_boot_ns)
{
	return end_boot_ns > s->taken.boot_ns
		       ? (end_boot_ns - s->taken.boot_ns + LEVEE_NS_PER_S - 1) / LEVEE_NS_PER_S
		       : 0;
}

/* A boot time as wall time, by what both clocks said when the snapshot was taken. */
static uint64_t unix_of(const struct levee_snapshot *s, uint64_t boot_ns)
{
	return boot_ns && boot_ns <= s->taken.boot_ns
		       ? s->taken.unix_ns - (s->taken.boot_ns - boot_ns)
		       : 0;
}

void levee_begin_block(struct levee_json *j, const char *name, const struct levee_snapshot *s,
		       const struct levee_board_block *block)
{
	const struct levee_block *b = &block->block;

	levee_json_object(j, name);
	levee_write_prefix(j, "prefix", &b->prefix);
	levee_json_string(j, "reason", levee_block_word(b));
	levee_json_string(j, "by", levee_block_reason_name(b->reason));
	levee_json_string(j, "note", b->note);
	levee_write_time(j, "since", b->created_unix_ns);
	levee_write_time(j, "until", b->expires_unix_ns);
	if (b->expires_boot_ns == LEVEE_NEVER)
		levee_write_null(j, "seconds_left");
	else
		levee_json_uint(j, "seconds_left", seconds_left(s, b->expires_boot_ns));
	levee_json_double(j, "max_zscore", b->max_zscore);
	levee_json_uint(j, "max_packets", b->max_packets);
	levee_json_double(j, "max_rate", (double)b->max_packets / (double)s->bin_s);
	levee_write_time(j, "last_anomalous_bin", (uint64_t)b->last_bin_s * LEVEE_NS_PER_S);
	levee_json_bool(j, "flagged", b->flagged);
	levee_json_bool(j, "drill", b->marks & LEVEE_BLOCK_DRILL);
	levee_json_uint(j, "repeats", b->repeats);
	levee_json_string(j, "kind", levee_block_kind_name(b->kind));
	levee_json_string(j, "measure", levee_measure_name(b->measure));
	levee_json_uint(j, "max_value", levee_block_value(b));
	levee_json_bool(j, "spoofable", b->spoofable);
	levee_json_bool(j, "in_force", !block->shadowed);
	levee_json_uint(j, "dropped_packets", block->packets);
	levee_json_uint(j, "dropped_bytes", block->bytes);
	levee_json_double(j, "drop_rate", block->drop_rate);
	levee_write_time(j, "last_drop", unix_of(s, block->last_boot_ns));
}

void levee_write_exemption(struct levee_json *j, const char *name,
			   const struct levee_board_exemption *exemption)
{
	levee_json_object(j, name);
	levee_write_prefix(j, "prefix", &exemption->prefix);
	levee_write_time(j, "since", exemption->created_unix_ns);
	levee_write_time(j, "until", exemption->expires_unix_ns);
	levee_json_string(j, "note", exemption->note);
	levee_json_end(j);
}

static void write_fast(struct levee_json *j, const struct levee_snapshot *s)
{
	levee_json_object(j, "fast");
	levee_json_bool(j, "on", s->fast);
	levee_json_bool(j, "armed", s->trip.armed);
	levee_json_uint(j, "threshold", s->trip.threshold);
	levee_json_uint(j, "bins", s->trip.bins);
	levee_json_uint(j, "warmup_bins", s->warmup_bins);
	levee_json_end(j);
}

void levee_write_evaluation(struct levee_json *j, const char *name, const struct levee_snapshot *s)
{
	const struct levee_evaluation *e = &s->evaluation;

	levee_json_object(j, name);
	levee_json_int(j, "window_end", e->now_s);
	levee_json_uint(j, "values", e->moments.n);
	levee_json_double(j, "mean", e->mean);
	levee_json_double(j, "stddev", e->stddev);
	levee_json_double(j, "threshold", e->threshold);
	levee_json_double(j, "min_zscore", s->detect.min_zscore);
	levee_json_uint(j, "min_packets", s->detect.min_packets);
	levee_json_string(j, "detector", s->detector);
	levee_json_uint(j, "above_minimum", e->n_above);
	levee_json_bool(j, "masked", e->masked);
	if (e->has_robust) {
		levee_json_double(j, "median", e->median);
		levee_json_double(j, "mad", e->mad);
		levee_json_double(j, "robust_threshold", e->robust_threshold);
	} else {
		levee_write_null(j, "median");
		levee_write_null(j, "mad");
		levee_write_null(j, "robust_threshold");
	}
	write_fast(j, s);
	levee_json_uint(j, "flagged", e->n_findings);
	levee_json_uint(j, "left_alone_allowed", s->findings_allowed);
	levee_json_uint(j, "left_alone_exempt", s->findings_exempt);
	levee_json_end(j);
}
