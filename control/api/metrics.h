/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Metrics in Prometheus' text format. One table names them all: /metrics, the README's reference
 * and the tests come from it. Nothing is ever a label that traffic or an attacker chooses.
 */
#ifndef LEVEE_API_METRICS_H
#define LEVEE_API_METRICS_H

#include "control/api/exchange.h"

struct levee_metric {
	const char *name;
	const char *type; /* "counter", "gauge" */
	const char *help;
	void (*write)(FILE *out, const char *name, const struct levee_api_core *core,
		      const struct levee_snapshot *s);
};

/** Ended by a NULL name. */
extern const struct levee_metric levee_metrics[];

void levee_metrics_write(FILE *out, const struct levee_api_core *core,
			 const struct levee_snapshot *s);

/** The table as Markdown, for README. */
void levee_metrics_reference(FILE *out);

#endif
