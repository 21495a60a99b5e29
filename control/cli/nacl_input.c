/* SPDX-License-Identifier: BSD-2-Clause */
#include "control/cli/nacl_input.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "control/aws/nacl_config.h"
#include "control/store/operator.h"
#include "control/store/store.h"

#define BOOT_ID "/proc/sys/kernel/random/boot_id"

static void say(void *ctx, const char *message)
{
	(void)ctx;
	fprintf(stderr, "levee: %s\n", message);
}

static int add_source(struct levee_nacl_given *given, const struct levee_nacl_source *source)
{
	struct levee_nacl_source *more;
	size_t n = given->n_sources;

	/* Room for a power of two: grown when n is one. */
	if ((n & (n - 1)) == 0) {
		more = reallocarray(given->sources, n ? 2 * n : 1, sizeof(*more));
		if (!more)
			return -ENOMEM;
		given->sources = more;
	}
	given->sources[given->n_sources++] = *source;
	return 0;
}

/* ---- the state file ---- */

static int add_block(void *ctx, const struct levee_block *block)
{
	struct levee_nacl_given *given = ctx;
	struct levee_nacl_source source;

	if (levee_nacl_source_of(&source, block, given->push_spoofable))
		return add_source(given, &source);
	given->n_spoofable += block->spoofable;
	return 0;
}

/* What operators allowed, or exempted from blocks: a rule must not touch either. */
static int add_operator(void *ctx, const struct levee_operator_entry *entry)
{
	struct levee_nacl_given *given = ctx;
	const struct levee_allowlist one = { .n = 1, .list = (void *)(uintptr_t)&entry->prefix };

	if (entry->kind != LEVEE_OPERATOR_ALLOW && entry->kind != LEVEE_OPERATOR_EXEMPT)
		return 0;
	return levee_allowlist_merge(&given->allowed, &given->allowed, &one);
}

static uint64_t now_ns(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * 1000000000ULL + (uint64_t)now.tv_nsec;
}

static int read_boot_id(char out[static 64])
{
	FILE *in = fopen(BOOT_ID, "re");
	int ret = in && fgets(out, 64, in) ? 0 : -EIO;

	if (in)
		fclose(in);
	if (ret)
		fprintf(stderr, "levee: cannot read " BOOT_ID "; mount proc on /proc\n");
	else
		out[strcspn(out, "\n")] = '\0';
	return ret;
}

/* What was seen longer ago than a window says little of now. */
static int load_good(struct levee_nacl_given *given, struct levee_store *store, uint64_t window_s)
{
	int64_t seen_s;
	int ret = levee_store_get_good(store, &given->good, &given->n_good, &seen_s,
				       &given->good_known);

	if (!ret && now_ns(CLOCK_REALTIME) / LEVEE_NS_PER_S > (uint64_t)seen_s + window_s)
		given->good_known = false;
	return ret;
}

static int read_state(struct levee_nacl_given *given, const char *path, uint64_t window_s)
{
	struct levee_time now = { .boot_ns = now_ns(CLOCK_BOOTTIME),
				  .unix_ns = now_ns(CLOCK_REALTIME) };
	struct levee_store *store;
	char boot_id[64];
	int ret;

	if (!*path) {
		fprintf(stderr, "levee: [state] file is empty, so nothing says what is blocked; "
				"name a file of prefixes with --blocks\n");
		return -ENOENT;
	}
	if (access(path, R_OK) < 0) {
		ret = -errno;
		fprintf(stderr,
			"levee: %s: %s; `levee run` makes it ([state] file), or name a file of "
			"prefixes with --blocks\n",
			path, strerror(-ret));
		return ret;
	}
	ret = read_boot_id(boot_id);
	if (!ret)
		ret = levee_store_open_to_read(&store, path, say, NULL);
	if (ret)
		return ret;
	ret = levee_store_load_blocks(store, boot_id, &now, add_block, given);
	if (!ret)
		ret = levee_store_load_operator(store, boot_id, &now, add_operator, given);
	if (!ret && window_s)
		ret = load_good(given, store, window_s);
	if (ret)
		fprintf(stderr, "levee: %s cannot be read: %s\n", path, strerror(-ret));
	levee_store_close(&store);
	snprintf(given->origin, sizeof(given->origin), "the state file %s", path);
	return ret;
}

/* ---- a file of prefixes ---- */

static int bad_line(const char *file, unsigned int number, const char *why)
{
	fprintf(stderr, "levee: %s:%u: %s; a line is PREFIX [ZSCORE [PACKETS]]\n", file, number,
		why);
	return -EINVAL;
}

static int take_numbers(struct levee_nacl_source *source, char **at)
{
	const char *zscore = strtok_r(NULL, " \t\r\n", at), *packets;
	char *end;

	source->max_zscore = INFINITY; /* as an operator's block: before all others */
	if (!zscore)
		return 0;
	source->max_zscore = strtod(zscore, &end);
	if (*end || !isfinite(source->max_zscore))
		return -EINVAL;
	packets = strtok_r(NULL, " \t\r\n", at);
	if (!packets)
		return 0;
	source->max_packets = strtoull(packets, &end, 10);
	return *end || *packets == '-' || strtok_r(NULL, " \t\r\n", at) ? -EINVAL : 0;
}

static int take_line(struct levee_nacl_given *given, const char *file, unsigned int number,
		     char *line)
{
	struct levee_nacl_source source = { 0 };
	const char *why, *word;
	char *at;

	line[strcspn(line, "#")] = '\0';
	word = strtok_r(line, " \t\r\n", &at);
	if (!word)
		return 0;
	if (levee_prefix_read(&source.prefix, word, strlen(word), &why))
		return bad_line(file, number, why);
	if (take_numbers(&source, &at))
		return bad_line(file, number, "not a Z-score, or not a number of packets");
	return add_source(given, &source);
}

static int read_file(struct levee_nacl_given *given, const char *file)
{
	FILE *in = fopen(file, "re");
	unsigned int number = 0;
	char line[512];
	int ret = 0;

	if (!in) {
		ret = -errno;
		fprintf(stderr, "levee: %s: %s\n", file, strerror(-ret));
		return ret;
	}
	while (!ret && fgets(line, sizeof(line), in)) {
		number++;
		ret = strchr(line, '\n') || feof(in)
			      ? take_line(given, file, number, line)
			      : bad_line(file, number, "longer than 510 bytes");
	}
	if (!ret && ferror(in)) {
		ret = errno ? -errno : -EIO;
		fprintf(stderr, "levee: %s: %s\n", file, strerror(-ret));
	}
	fclose(in);
	snprintf(given->origin, sizeof(given->origin), "the file %s", file);
	return ret;
}

/* ---- good sources ---- */

static int add_good(struct levee_nacl_given *given, const struct levee_cover_source *source)
{
	struct levee_cover_source *more;
	size_t n = given->n_good;

	if ((n & (n - 1)) == 0) {
		more = reallocarray(given->good, n ? 2 * n : 1, sizeof(*more));
		if (!more)
			return -ENOMEM;
		given->good = more;
	}
	given->good[given->n_good++] = *source;
	return 0;
}

static int take_good(struct levee_nacl_given *given, const char *file, unsigned int number,
		     char *line)
{
	struct levee_cover_source source = { 0 };
	const char *why = "not a number of packets", *word, *packets;
	char *at, *end;

	line[strcspn(line, "#")] = '\0';
	word = strtok_r(line, " \t\r\n", &at);
	if (!word)
		return 0;
	packets = strtok_r(NULL, " \t\r\n", &at);
	if (!levee_prefix_read(&source.prefix, word, strlen(word), &why) && packets &&
	    *packets != '-') {
		source.packets = strtoull(packets, &end, 10);
		if (!*end && !strtok_r(NULL, " \t\r\n", &at))
			return add_good(given, &source);
		why = "not a number of packets";
	}
	fprintf(stderr, "levee: %s:%u: %s; a line is PREFIX PACKETS\n", file, number, why);
	return -EINVAL;
}

static int read_good_file(struct levee_nacl_given *given, const char *file)
{
	FILE *in = fopen(file, "re");
	unsigned int number = 0;
	char line[512];
	int ret = 0;

	if (!in) {
		ret = -errno;
		fprintf(stderr, "levee: %s: %s\n", file, strerror(-ret));
		return ret;
	}
	while (!ret && fgets(line, sizeof(line), in))
		ret = take_good(given, file, ++number, line);
	fclose(in);
	given->good_known = !ret;
	return ret;
}

/* The blocks are from a file; the state file, if there is one, knows who else is there. */
static int read_good_state(struct levee_nacl_given *given, const struct levee_config *config)
{
	const char *path = config->state.file;
	struct levee_store *store;
	int ret;

	given->good_known = true;
	if (!*path || access(path, R_OK) < 0)
		return 0;
	ret = levee_store_open_to_read(&store, path, say, NULL);
	if (ret)
		return ret;
	ret = load_good(given, store, config->detect.window);
	levee_store_close(&store);
	return ret;
}

/* ---- the allow list ---- */

static int merge(struct levee_allowlist *all, const struct levee_prefix *list, size_t n)
{
	const struct levee_allowlist more = { .n = n, .list = (void *)(uintptr_t)list };

	return n ? levee_allowlist_merge(all, all, &more) : 0;
}

/* Without it an allowed source might be denied: then nothing is done. */
static int merge_file(struct levee_allowlist *all, const char *path, const char *key)
{
	struct levee_allowlist list = { 0 };
	int ret = levee_allowlist_read(&list, path, say, NULL);

	if (ret)
		fprintf(stderr, "levee: without the allow list (%s) nothing is done\n", key);
	else
		ret = merge(all, list.list, list.n);
	levee_allowlist_clear(&list);
	return ret;
}

static int read_allowed(struct levee_allowlist *all, const struct levee_config *config)
{
	const struct levee_words *names = &config->data_path.interfaces;
	struct levee_allowlist fixed = { 0 };
	int ret = levee_allowlist_automatic(&fixed, (const char *const *)names->word, names->n);

	if (ret)
		fprintf(stderr,
			"levee: own addresses and gateways could not all be found (%s): the "
			"interfaces of [data_path] are not all here\n",
			strerror(-ret));
	ret = merge(all, fixed.list, fixed.n);
	levee_allowlist_clear(&fixed);
	if (!ret)
		ret = merge(all, config->allow.parsed, config->allow.prefixes.n);
	if (!ret)
		ret = merge(all, config->aws.vpc_prefixes, config->aws.vpc_cidrs.n);
	if (!ret && *config->allow.file)
		ret = merge_file(all, config->allow.file, "[allow] file");
	if (!ret && *config->allow.s3)
		ret = merge_file(all, config->allow.s3_copy, "[allow] s3_copy, of s3");
	return ret;
}

int levee_nacl_given_read(struct levee_nacl_given *given, const struct levee_config *config,
			  const char *file, const char *good)
{
	uint64_t window_s = good ? 0 : config->detect.window;
	int ret;

	memset(given, 0, sizeof(*given));
	given->push_spoofable = config->nacl.push_spoofable != LEVEE_NACL_PUSH_NONE;
	ret = file ? read_file(given, file) : read_state(given, config->state.file, window_s);
	if (!ret && good)
		ret = read_good_file(given, good);
	else if (!ret && file)
		ret = read_good_state(given, config);
	if (!ret)
		ret = read_allowed(&given->allowed, config);
	if (ret == -ENOMEM)
		fprintf(stderr, "levee: out of memory\n");
	return ret;
}

void levee_nacl_given_clear(struct levee_nacl_given *given)
{
	free(given->sources);
	free(given->good);
	levee_allowlist_clear(&given->allowed);
	memset(given, 0, sizeof(*given));
}
