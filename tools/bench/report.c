/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/bench/report.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "control/json.h"

#include "levee_version.h"

/* ---- collecting -------------------------------------------------------------------------- */

void bench_report_init(struct bench_report *report, FILE *out)
{
	*report = (struct bench_report){ .out = out };
	bench_machine_describe(&report->machine);
}

void bench_report_clear(struct bench_report *report)
{
	for (size_t i = 0; i < report->n; i++)
		json_decref(report->rows[i].data);
	free(report->rows);
	report->rows = NULL;
	report->n = 0;
}

static struct bench_row *add_row(struct bench_report *report, enum bench_row_kind kind,
				 const char *key)
{
	static struct bench_row scratch;
	struct bench_row *rows, *row;

	rows = realloc(report->rows, (report->n + 1) * sizeof(*rows));
	if (!rows) {
		report->failed = true;
		return &scratch;
	}
	report->rows = rows;
	row = &rows[report->n++];
	*row = (struct bench_row){ .kind = kind };
	snprintf(row->key, sizeof(row->key), "%s", key);
	return row;
}

struct bench_row *bench_section(struct bench_report *report, const char *key, const char *title,
				const char *note)
{
	struct bench_row *row = add_row(report, BENCH_SECTION, key);

	snprintf(row->label, sizeof(row->label), "%s", title);
	snprintf(row->note, sizeof(row->note), "%s", note);
	return row;
}

struct bench_row *bench_report_figure(struct bench_report *report, const char *unit,
				      const struct bench_samples *samples, const char *key,
				      const char *label, ...)
{
	struct bench_row *row = add_row(report, BENCH_FIGURE, key);
	va_list args;

	snprintf(row->unit, sizeof(row->unit), "%s", unit);
	row->samples = *samples;
	va_start(args, label);
	vsnprintf(row->label, sizeof(row->label), label, args);
	va_end(args);
	return row;
}

struct bench_row *bench_answer(struct bench_report *report, const char *key, bool yes,
			       const char *question)
{
	struct bench_row *row = add_row(report, BENCH_ANSWER, key);

	row->yes = yes;
	snprintf(row->label, sizeof(row->label), "%s", question);
	return row;
}

struct bench_row *bench_remark(struct bench_report *report, const char *key, const char *text)
{
	struct bench_row *row = add_row(report, BENCH_REMARK, key);

	snprintf(row->note, sizeof(row->note), "%s", text);
	return row;
}

static struct bench_row *take_figure(struct bench_report *report, const json_t *o, const char *key,
				     const char *label)
{
	const json_t *samples = json_object_get(o, "samples");
	const json_t *most = json_object_get(o, "at_most"), *least = json_object_get(o, "at_least");
	const char *unit = json_string_value(json_object_get(o, "unit"));
	struct bench_samples s = { 0 };
	struct bench_row *row;

	if (!unit || !json_array_size(samples))
		return NULL;
	for (size_t i = 0; i < json_array_size(samples); i++)
		bench_add(&s, json_number_value(json_array_get(samples, i)));
	row = bench_report_figure(report, unit, &s, key, "%s", label);
	if (most || least)
		bench_limit(row, json_number_value(most ? most : least));
	row->least = least != NULL;
	return row;
}

static struct bench_row *take_row(struct bench_report *report, const json_t *o)
{
	const char *kind = json_string_value(json_object_get(o, "kind"));
	const char *key = json_string_value(json_object_get(o, "key"));
	const char *label = json_string_value(json_object_get(o, "label"));
	const char *title = json_string_value(json_object_get(o, "title"));

	if (!kind || !key)
		return NULL;
	if (!strcmp(kind, "section") && title)
		return bench_section(report, key, title, "");
	if (!strcmp(kind, "figure") && label)
		return take_figure(report, o, key, label);
	if (!strcmp(kind, "answer") && label)
		return bench_answer(report, key, json_is_true(json_object_get(o, "answer")), label);
	if (!strcmp(kind, "remark"))
		return bench_remark(report, key, "");
	if (!strcmp(kind, "line"))
		return add_row(report, BENCH_LINE, key);
	return NULL;
}

int bench_report_take(struct bench_report *report, const char *line)
{
	json_t *o = json_loads(line, 0, NULL);
	const char *note = json_string_value(json_object_get(o, "note"));
	struct bench_row *row = take_row(report, o);

	if (row && note)
		bench_note(row, "%s", note);
	if (row)
		row->data = json_incref(json_object_get(o, "data"));
	json_decref(o);
	return row ? 0 : -EBADMSG;
}

void bench_limit(struct bench_row *row, double at_most)
{
	row->has_limit = true;
	row->limit = at_most;
}

void bench_note(struct bench_row *row, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(row->note, sizeof(row->note), format, args);
	va_end(args);
}

static bool is_met(const struct bench_row *row)
{
	double median = bench_figure(&row->samples).median;

	return row->least ? median >= row->limit : median <= row->limit;
}

/* ---- the table --------------------------------------------------------------------------- */

/* Three significant digits are more than the spread allows; large numbers in whole. */
static int decimals(double value)
{
	value = fabs(value);
	if (value >= 100)
		return 0;
	return value >= 10 ? 1 : 2;
}

static void print_figure(const struct bench_row *row, FILE *out)
{
	struct bench_figure f = bench_figure(&row->samples);
	int digits = decimals(f.median);
	char range[48];

	snprintf(range, sizeof(range), "%.*f .. %.*f", digits, f.low, digits, f.high);
	fprintf(out, "  %-58s %9.*f  %-21s %-10s", row->label, digits, f.median, range, row->unit);
	if (row->has_limit)
		fprintf(out, " %s (%s %g)", is_met(row) ? "met" : "NOT MET",
			row->least ? "at least" : "at most", row->limit);
	if (row->note[0])
		fprintf(out, "%s %s", row->has_limit ? ";" : "", row->note);
	fputc('\n', out);
}

static void print_row(const struct bench_row *row, FILE *out)
{
	switch (row->kind) {
	case BENCH_SECTION:
		fprintf(out, "\n%s\n", row->label);
		if (row->note[0])
			fprintf(out, "  (%s)\n", row->note);
		break;
	case BENCH_FIGURE:
		print_figure(row, out);
		break;
	case BENCH_ANSWER:
		fprintf(out, "  %s: %s%s%s\n", row->label, row->yes ? "yes" : "NO",
			row->note[0] ? "; " : "", row->note);
		break;
	case BENCH_REMARK:
	case BENCH_LINE:
		fprintf(out, "  %s\n", row->note);
		break;
	}
}

static void print_machine(const struct bench_machine *m, FILE *out)
{
	fprintf(out, "Levee bench, %s\n", m->date);
	fprintf(out, "  %s; %u CPUs online, %lu MB; %s%s", m->cpu, m->cpus, m->memory_mb,
		m->hypervisor, m->hypervisor[0] ? "; " : "");
	for (unsigned int i = 0; i < m->caches; i++)
		fprintf(out, "%s%s", i ? ", " : "", m->cache[i]);
	fprintf(out, "\n  kernel %s; BPF by %s\n", m->kernel, m->compiler);
	fprintf(out, "  returns: %s; indirect calls: %.60s\n", m->srso, m->retpoline);
	fprintf(out, "  load average %s at the start\n", m->load);
	fprintf(out, "  Each figure: median of interleaved rounds, and their range.\n");
}

void bench_report_print(struct bench_report *report)
{
	if (!report->has_heading)
		print_machine(&report->machine, report->out);
	report->has_heading = true;
	for (; report->printed < report->n; report->printed++)
		print_row(&report->rows[report->printed], report->out);
	fflush(report->out);
}

/* ---- the file ---------------------------------------------------------------------------- */

static void write_machine(struct levee_json *j, const struct bench_machine *m)
{
	levee_json_object(j, "machine");
	levee_json_string(j, "cpu", m->cpu);
	levee_json_string(j, "hypervisor", m->hypervisor);
	levee_json_uint(j, "cpus", m->cpus);
	levee_json_uint(j, "memory_mb", m->memory_mb);
	levee_json_array(j, "caches");
	for (unsigned int i = 0; i < m->caches; i++)
		levee_json_string(j, NULL, m->cache[i]);
	levee_json_end(j);
	levee_json_string(j, "kernel", m->kernel);
	levee_json_string(j, "bpf_compiler", m->compiler);
	levee_json_string(j, "spec_rstack_overflow", m->srso);
	levee_json_string(j, "spectre_v2", m->retpoline);
	levee_json_string(j, "load_average", m->load);
	levee_json_end(j);
}

static void write_figure(struct levee_json *j, const struct bench_row *row)
{
	struct bench_figure f = bench_figure(&row->samples);

	levee_json_string(j, "unit", row->unit);
	levee_json_double(j, "median", f.median);
	levee_json_double(j, "low", f.low);
	levee_json_double(j, "high", f.high);
	levee_json_array(j, "samples");
	for (unsigned int i = 0; i < row->samples.n; i++)
		levee_json_double(j, NULL, row->samples.value[i]);
	levee_json_end(j);
	if (row->has_limit) {
		levee_json_double(j, row->least ? "at_least" : "at_most", row->limit);
		levee_json_bool(j, "met", is_met(row));
	}
}

/* NOLINTNEXTLINE(misc-no-recursion): as deep as what our own programs print */
static void write_value(struct levee_json *j, const char *name, json_t *v)
{
	const char *key;
	json_t *item;
	size_t i;

	if (json_is_object(v)) {
		levee_json_object(j, name);
		json_object_foreach(v, key, item) write_value(j, key, item);
		levee_json_end(j);
	} else if (json_is_array(v)) {
		levee_json_array(j, name);
		json_array_foreach(v, i, item) write_value(j, NULL, item);
		levee_json_end(j);
	} else if (json_is_string(v)) {
		levee_json_string(j, name, json_string_value(v));
	} else if (json_is_integer(v)) {
		levee_json_int(j, name, json_integer_value(v));
	} else if (json_is_boolean(v)) {
		levee_json_bool(j, name, json_is_true(v));
	} else { /* null, which levee_json_double() makes of what is no number */
		levee_json_double(j, name, json_is_real(v) ? json_real_value(v) : NAN);
	}
}

static void write_row(struct levee_json *j, const struct bench_row *row)
{
	levee_json_object(j, NULL);
	levee_json_string(j, "key", row->key);
	levee_json_string(j, "label", row->label);
	if (row->kind == BENCH_FIGURE)
		write_figure(j, row);
	if (row->kind == BENCH_ANSWER)
		levee_json_bool(j, "answer", row->yes);
	if (row->note[0])
		levee_json_string(j, "note", row->note);
	if (row->data)
		write_value(j, "data", row->data);
	levee_json_end(j);
}

/* Rows before the first section, of which there are none, would have no place. */
static void write_sections(struct levee_json *j, const struct bench_report *report)
{
	bool open = false;

	levee_json_array(j, "sections");
	for (size_t i = 0; i < report->n; i++) {
		const struct bench_row *row = &report->rows[i];

		if (row->kind != BENCH_SECTION) {
			write_row(j, row);
			continue;
		}
		if (open) {
			levee_json_end(j);
			levee_json_end(j);
		}
		open = true;
		levee_json_object(j, NULL);
		levee_json_string(j, "key", row->key);
		levee_json_string(j, "title", row->label);
		levee_json_string(j, "note", row->note);
		levee_json_array(j, "rows");
	}
	if (open) {
		levee_json_end(j);
		levee_json_end(j);
	}
	levee_json_end(j);
}

int bench_report_write_json(const struct bench_report *report, const char *path)
{
	struct levee_json j;
	FILE *out;
	int ret;

	if (report->failed)
		return -ENOMEM;
	out = fopen(path, "we");
	if (!out)
		return -errno;
	levee_json_begin(&j, out);
	levee_json_object(&j, NULL);
	levee_json_uint(&j, "version", BENCH_VERSION);
	levee_json_string(&j, "levee", LEVEE_VERSION);
	levee_json_string(&j, "date", report->machine.date);
	write_machine(&j, &report->machine);
	write_sections(&j, report);
	levee_json_end(&j);
	levee_json_finish(&j);
	ret = ferror(out) ? -EIO : 0;
	if (fclose(out) && !ret)
		ret = -errno;
	return ret;
}
