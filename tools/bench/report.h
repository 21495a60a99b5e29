/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The results: one list of rows, two printers. The table is for people and is printed as sections
 * end; the JSON file, at the end, holds every sample.
 */
#ifndef LEVEE_BENCH_REPORT_H
#define LEVEE_BENCH_REPORT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "tools/bench/machine.h"
#include "tools/bench/measure.h"

#define BENCH_VERSION 1 /* of the JSON file; raised when a key changes its meaning */

enum bench_row_kind {
	BENCH_SECTION, /* label is its title, note says how it was measured */
	BENCH_FIGURE,
	BENCH_ANSWER, /* a question, and the answer yes or no */
	BENCH_REMARK, /* why something is missing, for instance */
	BENCH_LINE,   /* a line of a table that its section lays out, note; with data */
};

struct bench_row {
	enum bench_row_kind kind;
	char key[64]; /* for machines: words with dots */
	char label[96];
	char unit[24]; /* "ns", "ratio", "records/s" ... */
	struct bench_samples samples;
	bool has_limit;
	double limit; /* the figure should be at most this, or at least, if `least` */
	bool least;
	bool yes;
	char note[256];
	json_t *data; /* for the file; NULL: none */
};

struct bench_report {
	struct bench_machine machine;
	struct bench_row *rows;
	size_t n;
	size_t printed;
	bool has_heading;
	FILE *out;   /* the table */
	bool failed; /* memory was short for a row */
};

void bench_report_init(struct bench_report *report, FILE *out);
void bench_report_clear(struct bench_report *report);

/* Each returns the new row, to add a limit or a note to; a scratch row if memory is short. */
struct bench_row *bench_section(struct bench_report *report, const char *key, const char *title,
				const char *note);
struct bench_row *bench_report_figure(struct bench_report *report, const char *unit,
				      const struct bench_samples *samples, const char *key,
				      const char *label, ...) __attribute__((format(printf, 5, 6)));
struct bench_row *bench_answer(struct bench_report *report, const char *key, bool yes,
			       const char *question);
struct bench_row *bench_remark(struct bench_report *report, const char *key, const char *text);

/**
 * A row that a program beside the bench printed, as one JSON object a line:
 *
 *	{"kind": "section", "key": "x", "title": "...", "note": "..."}
 *	{"kind": "figure", "key": "x.a", "label": "...", "unit": "ns", "samples": [1, 2, 3]}
 *	{"kind": "answer", "key": "x.b", "label": "a question", "answer": true}
 *	{"kind": "remark", "key": "x.c", "note": "..."}
 *	{"kind": "line", "key": "x.d", "note": "columns as they shall stand", "data": {...}}
 *
 * Every kind may have note and data; a figure at_most or at_least.
 * \return 0; -EBADMSG: no such object
 */
int bench_report_take(struct bench_report *report, const char *line);

void bench_limit(struct bench_row *row, double at_most);
void bench_note(struct bench_row *row, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/** Print what was not printed yet. */
void bench_report_print(struct bench_report *report);

/** \return 0; -errno */
int bench_report_write_json(const struct bench_report *report, const char *path);

#endif
