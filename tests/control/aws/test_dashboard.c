/* SPDX-License-Identifier: BSD-2-Clause */
#include "control/aws/dashboard.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

static json_t *make(const char *log_group, unsigned int bin_s)
{
	const struct levee_dashboard dashboard = { .region = "eu-west-1",
						   .name_space = "AutoNACL",
						   .metrics_log_group = "flows",
						   .vpc = "vpc-1",
						   .log_group = log_group,
						   .min_zscore = 3.0,
						   .bin_s = bin_s };
	struct levee_aws_text text;
	json_t *json;

	levee_aws_text_init(&text, LEVEE_DASHBOARD_BYTES);
	levee_dashboard_body(&text, &dashboard);
	assert_int_equal(levee_aws_text_error(&text), 0);
	json = json_loadb(text.bytes, text.n, 0, NULL);
	assert_non_null(json);
	levee_aws_text_free(&text);
	return json;
}

static const char *text_of(const json_t *widget, const char *name)
{
	return json_string_value(json_object_get(json_object_get(widget, "properties"), name));
}

static void six_graphs_and_a_grid(void **state)
{
	json_t *json = make("/levee/blocked", 60), *widgets = json_object_get(json, "widgets");
	json_t *widget;
	size_t i;

	(void)state;
	assert_int_equal(json_array_size(widgets), 7);
	json_array_foreach(widgets, i, widget)
	{
		bool grid = i == 6;

		assert_string_equal(json_string_value(json_object_get(widget, "type")),
				    grid ? "log" : "metric");
		assert_string_equal(text_of(widget, "region"), "eu-west-1");
		assert_non_null(text_of(widget, "title"));
	}
	assert_non_null(strstr(text_of(widget = json_array_get(widgets, 6), "query"),
			       "SOURCE '/levee/blocked'"));
	json_decref(json);
}

/* They share no place on the grid of 24 columns. */
static void widgets_do_not_overlap(void **state)
{
	json_t *json = make("g", 60), *a, *b;
	json_t *widgets = json_object_get(json, "widgets");
	size_t i, k;

	(void)state;
#define AT(w, name) json_integer_value(json_object_get(w, name))
	json_array_foreach(widgets, i, a)
	{
		assert_true(AT(a, "x") >= 0 && AT(a, "x") + AT(a, "width") <= 24);
		json_array_foreach(widgets, k, b)
			assert_true(i == k || AT(a, "x") + AT(a, "width") <= AT(b, "x") ||
				    AT(b, "x") + AT(b, "width") <= AT(a, "x") ||
				    AT(a, "y") + AT(a, "height") <= AT(b, "y") ||
				    AT(b, "y") + AT(b, "height") <= AT(a, "y"));
	}
#undef AT
	json_decref(json);
}

static void the_threshold_is_the_formula_of_the_blog_post(void **state)
{
	json_t *json = make("g", 60), *lines;

	(void)state;
	lines = json_object_get(
		json_object_get(json_array_get(json_object_get(json, "widgets"), 5), "properties"),
		"metrics");
	assert_string_equal(json_string_value(json_object_get(
				    json_array_get(json_array_get(lines, 2), 0), "expression")),
			    "3 * deviation + average");
	json_decref(json);
}

static void without_a_log_group_there_is_no_grid(void **state)
{
	json_t *json = make("", 7);
	json_t *widgets = json_object_get(json, "widgets");

	(void)state;
	assert_int_equal(json_array_size(widgets), 6);
	/* a period that CloudWatch knows */
	assert_int_equal(
		json_integer_value(json_object_get(
			json_object_get(json_array_get(widgets, 0), "properties"), "period")),
		5);
	json_decref(json);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(six_graphs_and_a_grid),
		cmocka_unit_test(widgets_do_not_overlap),
		cmocka_unit_test(the_threshold_is_the_formula_of_the_blog_post),
		cmocka_unit_test(without_a_log_group_there_is_no_grid),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
