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

/* One more of n things. Their room is a power of two, so it grows when n is one. \return NULL: -ENOMEM */
static void *room_for_one(void **list, size_t n, size_t size)
{
	void *more;

	if ((n & (n - 1)) == 0) {
		more = reallocarray(*list, n ? 2 * n : 1, size);
		if (!more)
			return NULL;
		*list = more;
	}
	return (char *)*list + n * size;
}

static int add_source(struct levee_nacl_given *given, const struct levee_nacl_source *source)
{
	struct levee_nacl_source *at = room_for_one((void **)&given->sources, given->n_sources,
						    sizeof(*at));

	if (!at)
		return -ENOMEM;
	*at = *source;
	given->n_sources++;
	return 0;
}

static int add_good(struct levee_nacl_given *given, const struct levee_cover_source *source)
{
	struct levee_cover_source *at = room_for_one((void **)&given->good, given->n_good,
						     sizeof(*at));

	if (!at)
		return -ENOMEM;
	*at = *source;
	given->n_good++;
	return 0;
}

/* ---- files of lines ---- */

static int bad_line(const char *file, unsigned int number, const char *why, const char *form)
{
	fprintf(stderr, "levee: %s:%u: %s; a line is %s\n", file, number, why, form);
	return -EINVAL;
}

/*
 * A file of lines that begin with a prefix; # begins a comment.
 * \param form  of a line, for people
 * \param take  the prefix and, for strtok_r(), what follows it. 0; -EINVAL and *why; -ENOMEM
 */
static int read_lines(struct levee_nacl_given *given, const char *file, const char *form,
		      int (*take)(struct levee_nacl_given *given, const struct levee_prefix *prefix,
				  char **rest, const char **why))
{
	FILE *in = fopen(file, "re");
	struct levee_prefix prefix;
	unsigned int number = 0;
	char line[512], *rest;
	const char *why, *word;
	int ret = in ? 0 : -errno;

	while (!ret && fgets(line, sizeof(line), in)) {
		number++;
		if (!strchr(line, '\n') && !feof(in)) {
			ret = bad_line(file, number, "longer than 510 bytes", form);
			break;
		}
		line[strcspn(line, "#")] = '\0';
		word = strtok_r(line, " \t\r\n", &rest);
		if (!word)
			continue;
		ret = levee_prefix_read(&prefix, word, strlen(word), &why);
		if (!ret)
			ret = take(given, &prefix, &rest, &why);
		if (ret == -EINVAL)
			bad_line(file, number, why, form);
	}
	if (in && !ret && ferror(in))
		ret = errno ? -errno : -EIO;
	if (ret && ret != -EINVAL)
		fprintf(stderr, "levee: %s: %s\n", file, strerror(-ret));
	if (in)
		fclose(in);
	return ret;
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

static int take_source(struct levee_nacl_given *given, const struct levee_prefix *prefix,
		       char **rest, const char **why)
{
	/* Without numbers it is as an operator's block: before all others. */
	struct levee_nacl_source source = { .prefix = *prefix, .max_zscore = INFINITY };
	const char *zscore = strtok_r(NULL, " \t\r\n", rest), *packets;
	char *end;

	*why = "not a Z-score, or not a number of packets";
	if (!zscore)
		return add_source(given, &source);
	source.max_zscore = strtod(zscore, &end);
	if (*end || !isfinite(source.max_zscore))
		return -EINVAL;
	packets = strtok_r(NULL, " \t\r\n", rest);
	if (!packets)
		return add_source(given, &source);
	source.max_packets = strtoull(packets, &end, 10);
	if (*end || *packets == '-' || strtok_r(NULL, " \t\r\n", rest))
		return -EINVAL;
	return add_source(given, &source);
}

static int read_file(struct levee_nacl_given *given, const char *file)
{
	int ret = read_lines(given, file, "PREFIX [ZSCORE [PACKETS]]", take_source);

	snprintf(given->origin, sizeof(given->origin), "the file %s", file);
	return ret;
}

/* ---- good sources ---- */

static int take_good(struct levee_nacl_given *given, const struct levee_prefix *prefix, char **rest,
		     const char **why)
{
	struct levee_cover_source source = { .prefix = *prefix };
	const char *packets = strtok_r(NULL, " \t\r\n", rest);
	char *end;

	*why = "not a number of packets";
	if (!packets || *packets == '-')
		return -EINVAL;
	source.packets = strtoull(packets, &end, 10);
	if (*end || strtok_r(NULL, " \t\r\n", rest))
		return -EINVAL;
	return add_good(given, &source);
}

static int read_good_file(struct levee_nacl_given *given, const char *file)
{
	int ret = read_lines(given, file, "PREFIX PACKETS", take_good);

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
