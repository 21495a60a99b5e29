/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A kernel that lacks something of BPF: preloaded, it answers those calls of bpf(2) that REFUSE
 * names with an error, as a kernel would that does not know them.
 *
 *	REFUSE='COMMAND[:NUMBER][>SIZE]=ERRNO'
 *
 * COMMAND is the number of the command in enum bpf_cmd. NUMBER, if any, must be the call's map type
 * (0: BPF_MAP_CREATE) or program type (5: BPF_PROG_LOAD). With SIZE only maps of larger values are
 * refused.
 */
#include <dlfcn.h>
#include <errno.h>
#include <linux/bpf.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

static int refused(long command, const union bpf_attr *attr)
{
	const char *text = getenv("REFUSE");
	long wanted, number = -1, size = -1;
	char *at;

	if (!text)
		return 0;
	wanted = strtol(text, &at, 10);
	if (*at == ':')
		number = strtol(at + 1, &at, 10);
	if (*at == '>')
		size = strtol(at + 1, &at, 10);
	if (command != wanted)
		return 0;
	if (number >= 0 && command == BPF_MAP_CREATE && attr->map_type != number)
		return 0;
	if (number >= 0 && command == BPF_PROG_LOAD && attr->prog_type != number)
		return 0;
	if (size >= 0 && (command != BPF_MAP_CREATE || attr->value_size <= size))
		return 0;
	return atoi(at + 1);
}

long syscall(long number, ...)
{
	static long (*real)(long, ...);
	va_list args;
	long a[6];
	int error;

	va_start(args, number);
	for (int i = 0; i < 6; i++)
		a[i] = va_arg(args, long);
	va_end(args);
	if (!real)
		real = (long (*)(long, ...))dlsym(RTLD_NEXT, "syscall");
	if (number == SYS_bpf) {
		error = refused(a[0], (const union bpf_attr *)a[1]);
		if (error) {
			errno = error;
			return -1;
		}
	}
	return real(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}
