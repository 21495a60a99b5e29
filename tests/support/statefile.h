/* SPDX-License-Identifier: BSD-2-Clause */
/* An empty state file in a directory of its own, for one test. */
#ifndef LEVEE_TESTS_STATEFILE_H
#define LEVEE_TESTS_STATEFILE_H

#include "control/store/store.h"

struct levee_statefile {
	char dir[64], path[96];
	struct levee_store *store;
};

void levee_statefile_open(struct levee_statefile *file);
void levee_statefile_close(struct levee_statefile *file);

#endif
