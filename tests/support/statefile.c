/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/support/statefile.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

void levee_statefile_open(struct levee_statefile *file)
{
	strcpy(file->dir, "/tmp/levee-state-XXXXXX");
	assert_non_null(mkdtemp(file->dir));
	snprintf(file->path, sizeof(file->path), "%s/state.db", file->dir);
	assert_int_equal(levee_store_open(&file->store, file->path, NULL, NULL), 0);
}

void levee_statefile_close(struct levee_statefile *file)
{
	static const char *const endings[] = { "", "-wal", "-shm" };
	char path[128];

	levee_store_close(&file->store);
	for (size_t i = 0; i < 3; i++) {
		snprintf(path, sizeof(path), "%s%s", file->path, endings[i]);
		unlink(path);
	}
	rmdir(file->dir);
}
