/* SPDX-License-Identifier: BSD-2-Clause */
/* What the tests of levee-pktgen share: scenarios from text, packets in arrays. */
#ifndef PKTGEN_TEST_H
#define PKTGEN_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "tools/pktgen/gen.h"
#include "tools/pktgen/scenario.h"

/* A file with this text; the caller unlinks it. */
static inline void write_text(char path[static 32], const char *text)
{
	int fd;

	snprintf(path, 32, "/tmp/pktgen-test-XXXXXX");
	fd = mkstemp(path);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
}

/* Read a scenario from text. \return what pktgen_scenario_read() returned; *errors: caller frees */
static inline int read_text(struct pktgen_scenario *s, const char *text, char **errors)
{
	char path[32];
	size_t size;
	FILE *out = open_memstream(errors, &size);
	int ret;

	assert_non_null(out);
	write_text(path, text);
	ret = pktgen_scenario_read(s, path, NULL, 0, out);
	fclose(out);
	unlink(path);
	return ret;
}

static inline void read_good(struct pktgen_scenario *s, const char *text)
{
	char *errors = NULL;

	if (read_text(s, text, &errors) != 0)
		fail_msg("%s", errors);
	free(errors);
}

#endif
