/* SPDX-License-Identifier: BSD-2-Clause */
#include "control/doctor/doctor.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "control/json.h"
#include "control/log.h"

#define SCHEMA 1

static const char *const verdicts[] = {
	[LEVEE_CHECK_OK] = "ok",
	[LEVEE_CHECK_SKIP] = "skip",
	[LEVEE_CHECK_WARN] = "warn",
	[LEVEE_CHECK_FAIL] = "fail",
};

void levee_checkup_add(struct levee_checkup *c, const char *name, enum levee_check_verdict verdict,
		       const char *remedy, const char *what, ...)
{
	struct levee_check *more = reallocarray(c->list, c->n + 1, sizeof(*more));
	struct levee_check *check;
	va_list args;

	if (!more) {
		c->out_of_memory = true;
		return;
	}
	c->list = more;
	check = &c->list[c->n++];
	*check = (struct levee_check){ .verdict = verdict };
	snprintf(check->name, sizeof(check->name), "%s", name);
	snprintf(check->remedy, sizeof(check->remedy), "%s", remedy ? remedy : "");
	va_start(args, what);
	vsnprintf(check->what, sizeof(check->what), what, args);
	va_end(args);
	levee_log_clean(check->name);
	levee_log_clean(check->what);
	levee_log_clean(check->remedy);
}

size_t levee_checkup_count(const struct levee_checkup *c, enum levee_check_verdict verdict)
{
	size_t n = 0;

	for (size_t i = 0; i < c->n; i++)
		n += c->list[i].verdict == verdict;
	return n;
}

void levee_checkup_print(const struct levee_checkup *c, FILE *out)
{
	for (size_t i = 0; i < c->n; i++) {
		const struct levee_check *check = &c->list[i];

		fprintf(out, "%-5s %s: %s\n", verdicts[check->verdict], check->name, check->what);
		if (*check->remedy)
			fprintf(out, "      -> %s\n", check->remedy);
	}
	fprintf(out, "%zu ok, %zu warn, %zu fail, %zu skipped\n",
		levee_checkup_count(c, LEVEE_CHECK_OK), levee_checkup_count(c, LEVEE_CHECK_WARN),
		levee_checkup_count(c, LEVEE_CHECK_FAIL), levee_checkup_count(c, LEVEE_CHECK_SKIP));
}

void levee_checkup_print_json(const struct levee_checkup *c, FILE *out)
{
	struct levee_json j;

	levee_json_begin(&j, out);
	levee_json_object(&j, NULL);
	levee_json_int(&j, "schema", SCHEMA);
	for (int v = LEVEE_CHECK_OK; v <= LEVEE_CHECK_FAIL; v++)
		levee_json_uint(&j, verdicts[v],
				levee_checkup_count(c, (enum levee_check_verdict)v));
	levee_json_array(&j, "checks");
	for (size_t i = 0; i < c->n; i++) {
		levee_json_object(&j, NULL);
		levee_json_string(&j, "name", c->list[i].name);
		levee_json_string(&j, "verdict", verdicts[c->list[i].verdict]);
		levee_json_string(&j, "what", c->list[i].what);
		levee_json_string(&j, "remedy", c->list[i].remedy);
		levee_json_end(&j);
	}
	levee_json_end(&j);
	levee_json_end(&j);
	levee_json_finish(&j);
}

void levee_checkup_clear(struct levee_checkup *c)
{
	free(c->list);
	*c = (struct levee_checkup){ 0 };
}
