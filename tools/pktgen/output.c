/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/pktgen/output.h"

#include <stdarg.h>
#include <stdio.h>

int pktgen_fail(struct pktgen_run *run, int ret, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(run->error, sizeof(run->error), format, args);
	va_end(args);
	return ret;
}
