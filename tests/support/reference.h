/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A plain, slow detector to compare the real one with. It keeps every count that it is told of,
 * and at each evaluation sorts them, adds them up, and works through the textbook formulae in
 * floating point. It shares no code with control/.
 */
#ifndef LEVEE_TESTS_REFERENCE_H
#define LEVEE_TESTS_REFERENCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Packets of one source in one bin. */
struct reference_value {
	uint8_t family;
	uint64_t hi;
	uint64_t lo;
	int64_t bin_s;
	uint64_t packets;
};

struct reference {
	int64_t bin_s;
	int64_t window_s;
	size_t n;
	size_t capacity;
	struct reference_value *values; /* as they came: parts of a value are apart */
};

struct reference_finding {
	uint8_t family;
	uint64_t hi;
	uint64_t lo;
	long double max_zscore;
	uint64_t max_packets;
	int64_t last_bin_s;
};

struct reference_result {
	size_t n;
	long double mean;
	long double stddev;
	size_t n_findings;
	struct reference_finding *findings;
	/* Values so near to the threshold that neither floating point nor 128 bits could tell. */
	size_t undecided;
	/* Values that only 128-bit integers could tell. */
	size_t decided_exactly;
};

void reference_init(struct reference *reference, int64_t bin_s, int64_t window_s);
void reference_clear(struct reference *reference);

/** `packets` of a source at time_s; ends the program if memory is short. */
void reference_count(struct reference *reference, uint8_t family, uint64_t hi, uint64_t lo,
		     int64_t time_s, uint64_t packets);

/** Judge the window at now_s, the running bin included; result is freed by reference_forget(). */
void reference_evaluate(const struct reference *reference, int64_t now_s, double min_zscore,
			uint64_t min_packets, struct reference_result *result);
void reference_forget(struct reference_result *result);

#endif
