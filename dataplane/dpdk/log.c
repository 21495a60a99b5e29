/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One voice: our own messages and DPDK's log, which comes from any of its threads, one at a time
 * through the callback of whoever opened the data path. DPDK's is a step quieter than it means to be.
 */
#ifdef WITH_DPDK

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_log.h>

#include "dataplane/dpdk/dpdk_internal.h"

#define MESSAGE_BYTES	1024
#define COMPLAINT_BYTES 256

struct held {
	struct held *next;
	enum levee_dpdk_say level;
	char text[];
};

static struct {
	pthread_mutex_t lock;
	void (*say)(void *ctx, enum levee_dpdk_say level, const char *message);
	void *ctx;
	char complaint[COMPLAINT_BYTES];
	bool holding;
	struct held *first, **last;
} voice = { .lock = PTHREAD_MUTEX_INITIALIZER, .last = &voice.first };

void levee_dpdk_listen(void (*say)(void *ctx, enum levee_dpdk_say level, const char *message),
		       void *ctx)
{
	pthread_mutex_lock(&voice.lock);
	voice.say = say;
	voice.ctx = ctx;
	pthread_mutex_unlock(&voice.lock);
}

void levee_dpdk_say(enum levee_dpdk_say level, const char *format, ...)
{
	char message[MESSAGE_BYTES];
	va_list args;

	va_start(args, format);
	vsnprintf(message, sizeof(message), format, args);
	va_end(args);
	pthread_mutex_lock(&voice.lock);
	if (voice.say)
		voice.say(voice.ctx, level, message);
	pthread_mutex_unlock(&voice.lock);
}

/* ---- DPDK's log -------------------------------------------------------------------------- */

static enum levee_dpdk_say quieter(int rte_level)
{
	if (rte_level <= (int)RTE_LOG_ERR)
		return LEVEE_DPDK_WARNING;
	if (rte_level == (int)RTE_LOG_WARNING)
		return LEVEE_DPDK_NOTICE;
	return rte_level == (int)RTE_LOG_NOTICE ? LEVEE_DPDK_INFO : LEVEE_DPDK_DEBUG;
}

/* The first error of a failure is its cause; "FATAL" lines only say what it led to. */
static void note_complaint(int rte_level, const char *text)
{
	if (rte_level > (int)RTE_LOG_ERR || voice.complaint[0] || strstr(text, "FATAL"))
		return;
	snprintf(voice.complaint, sizeof(voice.complaint), "%.255s", text);
}

static void hold(enum levee_dpdk_say level, const char *text)
{
	struct held *h = malloc(sizeof(*h) + strlen(text) + 1);

	if (!h)
		return;
	h->next = NULL;
	h->level = level;
	strcpy(h->text, text);
	*voice.last = h;
	voice.last = &h->next;
}

static void take_line(const char *line, size_t n)
{
	char text[MESSAGE_BYTES];
	int level = rte_log_cur_msg_loglevel();

	if (!n)
		return;
	snprintf(text, sizeof(text), "DPDK: %.*s", (int)(n < 900 ? n : 900), line);
	note_complaint(level, text + strlen("DPDK: "));
	if (voice.holding)
		hold(quieter(level), text);
	else if (voice.say)
		voice.say(voice.ctx, quieter(level), text);
}

/* rte_vlog() flushes after each message, so what comes here is one, of the calling thread. */
static ssize_t write_log(void *cookie, const char *buffer, size_t size)
{
	const char *at = buffer, *end = buffer + size;

	(void)cookie;
	pthread_mutex_lock(&voice.lock);
	while (at < end) {
		const char *stop = memchr(at, '\n', (size_t)(end - at));

		take_line(at, (size_t)((stop ? stop : end) - at));
		at = stop ? stop + 1 : end;
	}
	pthread_mutex_unlock(&voice.lock);
	return (ssize_t)size;
}

/* ---- libraries below DPDK ---------------------------------------------------------------- */

/* Both libbpf and libxdp call with a level of their own: 0 warning, 1 info, 2 debug. */
static int take_library(int level, const char *format, va_list args)
{
	char text[MESSAGE_BYTES];
	int n;

	(void)level;
	vsnprintf(text, sizeof(text), format, args);
	n = (int)strcspn(text, "\n");
	if (n)
		levee_dpdk_say(LEVEE_DPDK_DEBUG, "%.*s", n, text);
	return 0;
}

typedef int print_fn(int level, const char *format, va_list args);
typedef print_fn *set_print_fn(print_fn *print);

/*
 * The driver of AF_XDP ports brings libxdp and libbpf, which write to standard error by themselves.
 * Only what is loaded already is asked: we do not need them.
 */
void levee_dpdk_tame_libraries(void)
{
	static const char *const of[][2] = { { "libxdp.so.1", "libxdp_set_print" },
					     { "libbpf.so.1", "libbpf_set_print" } };

	for (size_t i = 0; i < sizeof(of) / sizeof(of[0]); i++) {
		void *library = dlopen(of[i][0], RTLD_LAZY | RTLD_NOLOAD);
		void *found = library ? dlsym(library, of[i][1]) : NULL;
		set_print_fn *set_print;

		memcpy(&set_print, &found, sizeof(set_print)); /* as POSIX has it */
		if (set_print)
			set_print(take_library);
		if (library)
			dlclose(library);
	}
}

int levee_dpdk_open_log(void)
{
	static FILE *stream;

	if (stream)
		return 0;
	stream = fopencookie(NULL, "w", (cookie_io_functions_t){ .write = write_log });
	if (!stream)
		return -ENOMEM;
	return rte_openlog_stream(stream) ? -EIO : 0;
}

void levee_dpdk_hold_log(void)
{
	pthread_mutex_lock(&voice.lock);
	voice.holding = true;
	pthread_mutex_unlock(&voice.lock);
}

void levee_dpdk_release_log(void)
{
	struct held *h;

	pthread_mutex_lock(&voice.lock);
	voice.holding = false;
	while ((h = voice.first)) {
		voice.first = h->next;
		if (voice.say)
			voice.say(voice.ctx, h->level, h->text);
		free(h);
	}
	voice.last = &voice.first;
	pthread_mutex_unlock(&voice.lock);
}

void levee_dpdk_complaint(char *text, size_t size)
{
	pthread_mutex_lock(&voice.lock);
	snprintf(text, size, "%s", voice.complaint);
	pthread_mutex_unlock(&voice.lock);
}

void levee_dpdk_forget_complaint(void)
{
	pthread_mutex_lock(&voice.lock);
	voice.complaint[0] = '\0';
	pthread_mutex_unlock(&voice.lock);
}

#else
typedef int levee_dpdk_has_no_log; /* ISO C wants something in a file */
#endif
