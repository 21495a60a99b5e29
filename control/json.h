/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A small streaming JSON writer, one value a line. Doubles are written with as few digits as read
 * back to the same value.
 */
#ifndef LEVEE_JSON_H
#define LEVEE_JSON_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define LEVEE_JSON_DEPTH 16

struct levee_json {
	FILE *out;
	unsigned int depth;
	bool is_array[LEVEE_JSON_DEPTH];
	bool has_members[LEVEE_JSON_DEPTH];
};

void levee_json_begin(struct levee_json *j, FILE *out);

/** Members of an object have a name; elements of an array, and the first value, have NULL. */
void levee_json_object(struct levee_json *j, const char *name);
void levee_json_array(struct levee_json *j, const char *name);
void levee_json_end(struct levee_json *j); /* the innermost object or array */
void levee_json_string(struct levee_json *j, const char *name, const char *value);
void levee_json_int(struct levee_json *j, const char *name, int64_t value);
void levee_json_uint(struct levee_json *j, const char *name, uint64_t value);
void levee_json_double(struct levee_json *j, const char *name, double value);
void levee_json_bool(struct levee_json *j, const char *name, bool value);

/** Ends the line. */
void levee_json_finish(struct levee_json *j);

#endif
