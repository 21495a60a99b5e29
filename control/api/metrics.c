/* SPDX-License-Identifier: BSD-2-Clause */
#include "control/api/metrics.h"

#include <inttypes.h>
#include <math.h>

#include "control/api/endpoints.h"
#include "control/api/write.h"
#include "levee_version.h"

#define WRITE(fn)                                                                              \
	static void write_##fn(FILE *out, const char *name, const struct levee_api_core *core, \
			       const struct levee_snapshot *s)

static void put_uint(FILE *out, const char *name, uint64_t value)
{
	fprintf(out, "%s %" PRIu64 "\n", name, value);
}

static void put_label(FILE *out, const char *name, const char *label, const char *word,
		      uint64_t value)
{
	fprintf(out, "%s{%s=\"%s\"} %" PRIu64 "\n", name, label, word, value);
}

static void put_double(FILE *out, const char *name, double value)
{
	fprintf(out, "%s %.17g\n", name, isfinite(value) ? value : 0);
}

/* Every metric that is one whole number, or one with decimals, of the snapshot. */
#define UINT(fn, expression)                     \
	WRITE(fn)                                \
	{                                        \
		(void)core;                      \
		put_uint(out, name, expression); \
	}
#define REAL(fn, expression)                       \
	WRITE(fn)                                  \
	{                                          \
		(void)core;                        \
		put_double(out, name, expression); \
	}

WRITE(build_info)
{
	(void)core;
	(void)s;
	fprintf(out, "%s{version=\"%s\"} 1\n", name, LEVEE_VERSION);
}

WRITE(packets)
{
	static const char *const outcomes[LEVEE_OUTCOMES] = {
		[LEVEE_COUNTED] = "counted",   [LEVEE_DROPPED] = "dropped",
		[LEVEE_ALLOWED] = "allowed",   [LEVEE_OUT_OF_SCOPE] = "out_of_scope",
		[LEVEE_UNPARSED] = "unparsed",
	};

	(void)core;
	for (int i = 0; i < LEVEE_OUTCOMES; i++)
		put_label(out, name, "outcome", outcomes[i], s->total.outcome[i]);
}

WRITE(lost)
{
	const struct levee_losses *l = &s->losses;

	(void)core;
	put_label(out, name, "reason", "missed", l->missed);
	put_label(out, name, "reason", "no_buffer", l->no_buffer);
	put_label(out, name, "reason", "damaged", l->damaged);
	put_label(out, name, "reason", "refused", l->refused);
	put_label(out, name, "reason", "send_errors", l->send_errors);
}

WRITE(blocks)
{
	size_t count[3] = { 0 };

	(void)core;
	for (size_t i = 0; i < s->n_blocks; i++) {
		const struct levee_block *b = &s->blocks[i].block;

		count[b->marks & LEVEE_BLOCK_DRILL ? 2 : b->reason == LEVEE_BLOCK_MANUAL]++;
	}
	for (int i = 0; levee_block_reasons[i]; i++)
		put_label(out, name, "reason", levee_block_reasons[i], count[i]);
}

/* What decided each detected block, those of a drill left out. */
WRITE(blocks_by)
{
	static const enum levee_block_reason reasons[] = { LEVEE_BLOCK_TRIP, LEVEE_BLOCK_ZSCORE,
							   LEVEE_BLOCK_ROBUST };
	size_t count[LEVEE_BLOCK_TRIP + 1] = { 0 };

	(void)core;
	for (size_t i = 0; i < s->n_blocks; i++)
		if (!(s->blocks[i].block.marks & LEVEE_BLOCK_DRILL))
			count[s->blocks[i].block.reason]++;
	for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++)
		put_label(out, name, "by", levee_block_reason_name(reasons[i]), count[reasons[i]]);
}

WRITE(blocks_limiting)
{
	size_t n = 0;

	(void)core;
	for (size_t i = 0; i < s->n_blocks; i++)
		n += s->blocks[i].block.kind == LEVEE_KIND_LIMIT;
	put_uint(out, name, n);
}

WRITE(blocks_spoofable)
{
	size_t n = 0;

	(void)core;
	for (size_t i = 0; i < s->n_blocks; i++)
		n += s->blocks[i].block.spoofable;
	put_uint(out, name, n);
}

WRITE(blocks_not_in_force)
{
	size_t n = 0;

	(void)core;
	for (size_t i = 0; i < s->n_blocks; i++)
		n += s->blocks[i].shadowed;
	put_uint(out, name, n);
}

WRITE(allowed)
{
	size_t count[LEVEE_ALLOW_SERVICE + 1] = { 0 };

	(void)core;
	for (size_t i = 0; i < s->n_allowed; i++)
		count[s->allowed[i].origin]++;
	for (int i = 0; i <= LEVEE_ALLOW_SERVICE; i++)
		put_label(out, name, "origin", levee_allow_word((enum levee_allow_origin)i),
			  count[i]);
}

static void count_problems(const struct levee_api_core *core, uint64_t count[static 2])
{
	struct levee_board_problem problems[LEVEE_BOARD_PROBLEMS];
	size_t n = levee_board_problems(core->board, problems);

	for (size_t i = 0; i < n; i++)
		count[problems[i].not_ready]++;
}

WRITE(problems)
{
	uint64_t count[2] = { 0 };

	(void)s;
	count_problems(core, count);
	put_label(out, name, "severity", "degraded", count[0]);
	put_label(out, name, "severity", "not_ready", count[1]);
}

WRITE(ready)
{
	uint64_t count[2] = { 0 };

	(void)s;
	count_problems(core, count);
	put_uint(out, name, count[1] == 0);
}

WRITE(api_requests)
{
	static const char *const codes[] = { NULL, "1xx", "2xx", "3xx", "4xx", "5xx" };

	(void)s;
	for (int i = 1; i <= 5; i++)
		put_label(out, name, "code", codes[i],
			  core->counters ? core->counters->requests[i] : 0);
}

WRITE(api_connections)
{
	(void)s;
	put_uint(out, name, core->counters ? core->counters->connections : 0);
}

WRITE(api_followers)
{
	(void)s;
	put_uint(out, name, core->counters ? core->counters->followers : 0);
}

UINT(would_drop, s->total.would_drop)
UINT(received_bytes, s->total.received_bytes)
UINT(dropped_bytes, s->total.dropped_bytes)
UINT(folded, s->total.fold.n)
UINT(exemptions, s->n_exemptions)
UINT(rules_used, s->rules_used)
UINT(rules_room, s->rules_max)
UINT(sources, s->last_sources)
UINT(flagged, s->evaluation.n_findings)
UINT(flagged_allowed, s->findings_allowed)
UINT(flagged_exempt, s->findings_exempt)
UINT(values, s->evaluation.moments.n)
REAL(mean, s->evaluation.mean)
REAL(stddev, s->evaluation.stddev)
REAL(threshold, s->evaluation.threshold)
UINT(above_minimum, s->evaluation.n_above)
UINT(masked, s->evaluation.masked)
REAL(median, s->evaluation.median)
REAL(mad, s->evaluation.mad)
UINT(fast_on, s->fast)
UINT(fast_armed, s->trip.armed)
UINT(fast_threshold, s->trip.threshold)
UINT(fast_events, s->trip_events)
UINT(allowance_exceeded, s->allowance_exceeded_total)
UINT(lost_events, s->total.lost_events)
UINT(bins_closed, s->bins_closed)
UINT(bins_late, s->bins_late)
UINT(evaluations, s->evaluations)
REAL(evaluated, (double)s->evaluated.unix_ns / 1e9)
REAL(started, (double)s->started.unix_ns / 1e9)
UINT(bin_seconds, s->bin_s)
UINT(window_seconds, s->window_s)
UINT(audit, s->audit)

/* clang-format off */
const struct levee_metric levee_metrics[] = {
	{ "levee_build_info", "gauge", "1, with the version as a label.", write_build_info },
	{ "levee_start_time_seconds", "gauge", "When the process started [unix s].", write_started },
	{ "levee_ready", "gauge", "1 while protection works, 0 while something that it needs is wrong.", write_ready },
	{ "levee_problems", "gauge", "Problems that `levee status` lists, by severity.", write_problems },
	{ "levee_audit_mode", "gauge", "1 if nothing is dropped and what would be is counted.", write_audit },
	{ "levee_packets_total", "counter", "Packets received, by what became of them; together they are all packets.", write_packets },
	{ "levee_port_lost_packets_total", "counter", "Packets that the ports of a DPDK data path lost, by reason; in no account. With XDP always 0: its ports are the kernel's.", write_lost },
	{ "levee_received_bytes_total", "counter", "Bytes received.", write_received_bytes },
	{ "levee_dropped_bytes_total", "counter", "Bytes dropped.", write_dropped_bytes },
	{ "levee_would_drop_packets_total", "counter", "Packets of blocked sources that audit mode let pass.", write_would_drop },
	{ "levee_folded_values_total", "counter", "Values of sources that lost their names for want of room.", write_folded },
	{ "levee_blocks", "gauge", "Blocks, by what made them.", write_blocks },
	{ "levee_detected_blocks", "gauge", "Detected blocks, by what decided: fast (within the bin), zscore or robust (at its end).", write_blocks_by },
	{ "levee_limiting_blocks", "gauge", "Blocks that let a rate pass instead of dropping all.", write_blocks_limiting },
	{ "levee_spoofable_blocks", "gauge", "Blocks of sources that were never seen with an established flow.", write_blocks_spoofable },
	{ "levee_blocks_not_in_force", "gauge", "Blocks that the allow list covers, or that found no room.", write_blocks_not_in_force },
	{ "levee_exemptions", "gauge", "Prefixes that an operator unblocked and no detector blocks.", write_exemptions },
	{ "levee_allowed_prefixes", "gauge", "Prefixes on the allow list, by where they come from.", write_allowed },
	{ "levee_rules_used", "gauge", "Blocked and allowed prefixes in the policy table.", write_rules_used },
	{ "levee_rules_room", "gauge", "Prefixes that the policy table has room for.", write_rules_room },
	{ "levee_sources", "gauge", "Sources with a name in the bin closed last.", write_sources },
	{ "levee_flagged_sources", "gauge", "Sources that the latest evaluation found abnormal.", write_flagged },
	{ "levee_flagged_allowed_sources", "gauge", "Abnormal sources left alone because they are on the allow list.", write_flagged_allowed },
	{ "levee_flagged_exempt_sources", "gauge", "Abnormal sources left alone because an operator unblocked them.", write_flagged_exempt },
	{ "levee_window_values", "gauge", "Values (one source in one bin each) in the window.", write_values },
	{ "levee_mean_packets", "gauge", "Mean of the window's values [packets/bin].", write_mean },
	{ "levee_stddev_packets", "gauge", "Population standard deviation of the window's values [packets/bin].", write_stddev },
	{ "levee_threshold_packets", "gauge", "min_zscore * stddev + mean [packets/bin].", write_threshold },
	{ "levee_above_minimum_values", "gauge", "Values of the window above min_packets.", write_above_minimum },
	{ "levee_masked", "gauge", "1 if so many values are above min_packets that their Z-scores cannot all pass min_zscore.", write_masked },
	{ "levee_median_packets", "gauge", "Median of the window's values, for detectors robust and both [packets/bin].", write_median },
	{ "levee_mad_packets", "gauge", "Their median absolute deviation [packets/bin].", write_mad },
	{ "levee_fast_on", "gauge", "1 if the fast path is switched on.", write_fast_on },
	{ "levee_fast_armed", "gauge", "1 if sources are blocked within the bin: on, and enough bins are complete.", write_fast_armed },
	{ "levee_fast_threshold_packets", "gauge", "Packets in the running bin above which a source is blocked at once.", write_fast_threshold },
	{ "levee_fast_events_total", "counter", "Events of the data path: a source passed a share of the threshold on a CPU.", write_fast_events },
	{ "levee_lost_events_total", "counter", "Events of the data path that its ring buffer had no room for.", write_lost_events },
	{ "levee_allowance_exceeded_packets_total", "counter", "Packets that the platform dropped above the instance's allowance, before Levee saw them.", write_allowance_exceeded },
	{ "levee_bin_seconds", "gauge", "Length of a bin.", write_bin_seconds },
	{ "levee_window_seconds", "gauge", "Length of the window.", write_window_seconds },
	{ "levee_bins_closed_total", "counter", "Bins closed by this process.", write_bins_closed },
	{ "levee_bins_late_total", "counter", "Of these, bins that stand for several because nobody closed them in time.", write_bins_late },
	{ "levee_evaluations_total", "counter", "Evaluations of the window.", write_evaluations },
	{ "levee_last_evaluation_time_seconds", "gauge", "When the window was evaluated last [unix s].", write_evaluated },
	{ "levee_api_requests_total", "counter", "Requests to the API, by class of status.", write_api_requests },
	{ "levee_api_connections", "gauge", "Connections to the API now.", write_api_connections },
	{ "levee_api_followers", "gauge", "Event streams that are open now.", write_api_followers },
	{ NULL, NULL, NULL, NULL }
};
/* clang-format on */

void levee_metrics_write(FILE *out, const struct levee_api_core *core,
			 const struct levee_snapshot *s)
{
	for (const struct levee_metric *m = levee_metrics; m->name; m++) {
		fprintf(out, "# HELP %s %s\n# TYPE %s %s\n", m->name, m->help, m->name, m->type);
		m->write(out, m->name, core, s);
	}
	levee_board_service_metrics(core->board, out);
}

void levee_metrics_reference(FILE *out)
{
	fputs("| metric | type | meaning |\n|---|---|---|\n", out);
	for (const struct levee_metric *m = levee_metrics; m->name; m++)
		fprintf(out, "| `%s` | %s | %s |\n", m->name, m->type, m->help);
}

void levee_get_metrics(struct levee_api_call *call)
{
	levee_metrics_write(call->out, call->core, call->snapshot);
}
