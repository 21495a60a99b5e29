/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * maplist rules|sources4 PIN: what `cat PIN/rules` and `cat PIN/sources4` print, read from the
 * pinned maps. For the tests and the demo on kernels that refuse the iterators behind `cat`.
 */
#include <bpf/bpf.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <levee/shared.h>

#include "dataplane/prefix.h"

/* All of an ARRAY map, for the life of the process. Ends it if that cannot be had. */
static const void *map(const char *pin, const char *name, size_t value, size_t *entries)
{
	struct bpf_map_info info = { 0 };
	uint32_t info_size = sizeof(info);
	char path[PATH_MAX];
	void *area = MAP_FAILED;
	int fd;

	snprintf(path, sizeof(path), "%s/maps/%s", pin, name);
	fd = bpf_obj_get(path);
	if (fd >= 0 && !bpf_obj_get_info_by_fd(fd, &info, &info_size) && info.value_size == value)
		area = mmap(NULL, (size_t)info.max_entries * value, PROT_READ, MAP_SHARED, fd, 0);
	if (area == MAP_FAILED) {
		fprintf(stderr, "maplist: %s: %s\n", path,
			fd >= 0 && info.value_size != value ? "of another version"
							    : strerror(errno));
		exit(1);
	}
	close(fd);
	*entries = info.max_entries;
	return area;
}

static void print_end(uint64_t expires_ns)
{
	struct timespec t;
	uint64_t now_ns;

	clock_gettime(CLOCK_BOOTTIME, &t);
	now_ns = (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
	if (expires_ns == LEVEE_NEVER)
		printf(" never");
	else if (expires_ns <= now_ns)
		printf(" expired");
	else
		printf(" %" PRIu64 "s", (expires_ns - now_ns + 999999999) / 1000000000);
}

static void list_rules(const char *pin, const struct levee_control *control)
{
	size_t n, n_hits;
	const struct levee_rule *rules = map(pin, "rules", sizeof(*rules), &n);
	const struct levee_hits *hits = map(pin, "hits", sizeof(*hits), &n_hits);

	printf("# verdict prefix ends-in packets bytes\n");
	for (size_t i = 1; i < n; i++) {
		struct levee_prefix prefix = { rules[i].hi, rules[i].lo, rules[i].family,
					       rules[i].length };
		uint64_t packets = 0, bytes = 0;
		char text[LEVEE_PREFIX_TEXT];

		if (rules[i].verdict == LEVEE_VERDICT_NONE)
			continue;
		for (size_t cell = i; cell < n_hits; cell += control->geo.rules) {
			packets += hits[cell].packets;
			bytes += hits[cell].bytes;
		}
		levee_prefix_format(&prefix, text);
		printf("%s %s",
		       rules[i].verdict == LEVEE_VERDICT_ALLOW ? "allow"
		       : control->audit			       ? "audit"
							       : "block",
		       text);
		if (!strchr(text, '/'))
			printf("/%u", rules[i].length);
		print_end(rules[i].expires_ns);
		printf(" %" PRIu64 " %" PRIu64 "\n", packets, bytes);
	}
}

static void list_sources4(const char *pin, const struct levee_control *control)
{
	size_t n;
	const struct levee_bucket4 *buckets = map(pin, "sources4", sizeof(*buckets), &n);

	printf("# source packets bytes cpu epoch (open epoch: %" PRIu64 ")\n",
	       (uint64_t)control->seq & 1);
	for (size_t i = 0; i < n; i++) {
		size_t row = i >> control->geo.bits4;

		for (unsigned int slot = 0; slot < LEVEE_SLOTS; slot++) {
			struct levee_prefix prefix = { buckets[i].addr[slot], 0, 4, 32 };
			char text[LEVEE_PREFIX_TEXT];

			if (!buckets[i].packets[slot])
				continue;
			printf("%s %u %" PRIu64 " %zu %zu\n", levee_prefix_format(&prefix, text),
			       buckets[i].packets[slot], (uint64_t)buckets[i].bytes[slot],
			       row % control->geo.cpus, row / control->geo.cpus);
		}
	}
}

int main(int argc, char **argv)
{
	const struct levee_page *page;
	size_t n;

	if (argc != 3 || (strcmp(argv[1], "rules") && strcmp(argv[1], "sources4"))) {
		fprintf(stderr, "usage: maplist rules|sources4 PIN\n");
		return 2;
	}
	page = map(argv[2], "control", sizeof(*page), &n);
	if (!strcmp(argv[1], "rules"))
		list_rules(argv[2], &page->control);
	else
		list_sources4(argv[2], &page->control);
	return 0;
}
