/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * hits PIN: watch the pinned rules of a running levee from outside, and say of every block what it
 * dropped, also of those that ended meanwhile. One CSV row a block, at its end or at ours:
 *
 *	prefix,created_unix_ns,first_unix_ns,packets,bytes
 *
 * first is when the kernel dropped its first packet, empty if it dropped none. The kernel notes
 * boot time; what the wall clock was then is taken from both clocks at the end. SIGINT and SIGTERM
 * end it. For benches: it reads the maps and nothing of the program.
 */
#include <bpf/bpf.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <levee/policy.h>

#include "dataplane/prefix.h"

#define PERIOD_NS 20000000 /* a block that begins and ends within it may be missed */

/* One index of the rules as it was at the last look. */
struct seen {
	struct levee_rule rule; /* verdict NONE: nothing to tell of */
	struct levee_hits sum;	/* over CPUs; first_ns the earliest */
};

struct watch {
	const struct levee_rule *rules;
	const struct levee_hits *hits; /* CPUs times rules */
	uint32_t n, cpus;
	struct seen *seen;
	int64_t wall_ns; /* to be added to boot time */
};

static volatile sig_atomic_t stop;

static void on_signal(int number)
{
	(void)number;
	stop = 1;
}

static int64_t clock_ns(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

/* \return the map's entries, and how many of `size` bytes there are; NULL, said */
static const void *open_map(const char *pin, const char *name, size_t size, uint32_t *n)
{
	struct bpf_map_info info = { 0 };
	uint32_t length = sizeof(info);
	char path[PATH_MAX];
	void *area = MAP_FAILED;
	int fd;

	snprintf(path, sizeof(path), "%s/maps/%s", pin, name);
	fd = bpf_obj_get(path);
	if (fd >= 0 && bpf_obj_get_info_by_fd(fd, &info, &length) == 0) {
		if (info.value_size != size)
			errno = EPROTO;
		else
			area = mmap(NULL, size * info.max_entries, PROT_READ, MAP_SHARED, fd, 0);
	}
	if (area == MAP_FAILED)
		fprintf(stderr, "hits: %s: %s; is levee running, and are we root?\n", path,
			strerror(errno));
	if (fd >= 0)
		close(fd);
	*n = info.max_entries;
	return area == MAP_FAILED ? NULL : area;
}

static int open_watch(struct watch *w, const char *pin)
{
	uint32_t hits = 0;

	w->rules = open_map(pin, "rules", sizeof(struct levee_rule), &w->n);
	if (!w->rules)
		return -ENOENT;
	w->hits = open_map(pin, "hits", sizeof(struct levee_hits), &hits);
	w->seen = calloc(w->n, sizeof(*w->seen));
	w->cpus = hits / w->n;
	return w->hits && w->seen ? 0 : -ENOENT;
}

static void tell(const struct watch *w, struct seen *s)
{
	struct levee_prefix prefix = { .hi = s->rule.hi,
				       .lo = s->rule.lo,
				       .family = s->rule.family,
				       .length = s->rule.length };
	char text[LEVEE_PREFIX_TEXT];

	printf("%s,%" PRId64 ",", levee_prefix_format(&prefix, text),
	       (int64_t)s->rule.created_ns + w->wall_ns);
	if (s->sum.first_ns)
		printf("%" PRId64, (int64_t)s->sum.first_ns + w->wall_ns);
	printf(",%" PRIu64 ",%" PRIu64 "\n", (uint64_t)s->sum.packets, (uint64_t)s->sum.bytes);
	fflush(stdout);
	s->rule.verdict = LEVEE_VERDICT_NONE;
}

static struct levee_hits add_up(const struct watch *w, uint32_t index)
{
	struct levee_hits sum = { 0 };

	for (uint32_t cpu = 0; cpu < w->cpus; cpu++) {
		const struct levee_hits *h = &w->hits[(size_t)cpu * w->n + index];
		uint64_t first_ns = levee_read_once(h->first_ns);

		sum.packets += levee_read_once(h->packets);
		sum.bytes += levee_read_once(h->bytes);
		if (first_ns && (!sum.first_ns || first_ns < sum.first_ns))
			sum.first_ns = first_ns;
	}
	return sum;
}

static void look(struct watch *w)
{
	w->wall_ns = clock_ns(CLOCK_REALTIME) - clock_ns(CLOCK_BOOTTIME);
	for (uint32_t i = 1; i < w->n; i++) { /* 0 stands for no rule */
		struct levee_rule rule = w->rules[i];
		struct seen *s = &w->seen[i];
		struct levee_hits sum;

		if (s->rule.verdict == LEVEE_VERDICT_BLOCK &&
		    (rule.verdict != LEVEE_VERDICT_BLOCK || rule.created_ns != s->rule.created_ns))
			tell(w, s);
		if (rule.verdict != LEVEE_VERDICT_BLOCK)
			continue;
		/* A rule that is replaced between two reads has fewer hits, not more. */
		sum = add_up(w, i);
		if (s->rule.verdict == LEVEE_VERDICT_NONE || sum.packets >= s->sum.packets)
			s->sum = sum;
		s->rule = rule;
	}
}

int main(int argc, char **argv)
{
	struct sigaction action = { .sa_handler = on_signal };
	struct timespec period = { 0, PERIOD_NS };
	struct watch w = { 0 };

	if (argc != 2) {
		fputs("usage: hits PIN\n\nPIN is the directory of [data_path] pin, such as "
		      "/sys/fs/bpf/levee.\n",
		      stderr);
		return 2;
	}
	if (open_watch(&w, argv[1]) < 0)
		return 1;
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	puts("prefix,created_unix_ns,first_unix_ns,packets,bytes");
	fflush(stdout);
	while (!stop) {
		look(&w);
		nanosleep(&period, NULL);
	}
	look(&w);
	for (uint32_t i = 1; i < w.n; i++)
		if (w.seen[i].rule.verdict == LEVEE_VERDICT_BLOCK)
			tell(&w, &w.seen[i]);
	free(w.seen);
	return 0;
}
