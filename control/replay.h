/* SPDX-License-Identifier: BSD-2-Clause */
/* `levee replay`: the controller by the times of a file, verdicts on standard output. */
#ifndef LEVEE_REPLAY_H
#define LEVEE_REPLAY_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "dataplane/prefix.h"

struct levee_replay_options {
	const char *path; /* "-": standard input */
	bool json;
	bool fast;	    /* block within the bin, too, and let blocks live as `levee run` does */
	bool audit;	    /* packets of flagged sources go on being counted */
	unsigned int bin_s; /* [s] */
	unsigned int window_s;	 /* [s] */
	unsigned int evaluate_s; /* [s]; 0: at bin boundaries only */
	double min_zscore;
	uint64_t min_packets;
	uint64_t min_bytes;   /* 0: not judged */
	uint64_t min_syns;    /* 0: not judged */
	const char *detector; /* a name that levee_detector_find() knows */
	uint64_t limit;	      /* sources named in one evaluation */
	uint64_t max_sources;
	uint8_t source6_length;
	const struct levee_prefix
		*allowed; /* n_allowed prefixes that are neither counted nor flagged */
	size_t n_allowed;
	FILE *out;
	bool progress; /* a bar on standard error */
};

/**
 * \return 0; -errno if the file cannot be used at all, said; 1 if it was worked to its end and had
 *         defects, said one by one
 */
int levee_replay(const struct levee_replay_options *options);

#endif
