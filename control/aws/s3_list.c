/* SPDX-License-Identifier: BSD-2-Clause */
#include "control/aws/s3_list.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control/log.h"

#define MARK	   "# levee-copy "
#define ETAG_BYTES 128
#define TOTAL_MS   120000

/* ---- copies on disk ---- */

/* The last directory alone: the one above it is the operator's to make. */
static void make_directory(const char *path)
{
	char *copy = strdup(path);

	if (copy)
		mkdir(dirname(copy), 0755);
	free(copy);
}

static int write_list(FILE *out, const struct levee_allowlist *list, const char *etag,
		      const char *name)
{
	char text[LEVEE_PREFIX_TEXT];

	fprintf(out, MARK "%s %s\n", *etag ? etag : "-", name);
	for (size_t i = 0; i < list->n; i++)
		fprintf(out, "%s\n", levee_prefix_format(&list->list[i], text));
	if (fflush(out) || fsync(fileno(out)))
		return -errno;
	return ferror(out) ? -EIO : 0;
}

/* Whole or not at all: a file beside it, renamed. */
int levee_list_save(const struct levee_allowlist *list, const char *path, const char *etag,
		    const char *name)
{
	char *beside = NULL;
	FILE *out = NULL;
	int fd, ret;

	make_directory(path);
	if (asprintf(&beside, "%s.new", path) < 0)
		return -ENOMEM;
	fd = open(beside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
	ret = fd < 0 ? -errno : 0;
	if (ret == 0)
		out = fdopen(fd, "w");
	if (ret == 0 && !out) {
		ret = -errno;
		close(fd);
	}
	if (out) {
		ret = write_list(out, list, etag, name);
		if (fclose(out) && ret == 0)
			ret = -errno;
	}
	if (ret == 0 && rename(beside, path) < 0)
		ret = -errno;
	if (ret < 0 && fd >= 0)
		unlink(beside);
	free(beside);
	return ret;
}

/* "# levee-copy ETAG NAME" */
static int read_mark(const char *path, char *etag, const char *name)
{
	char line[2048], *space;
	FILE *in = fopen(path, "re");
	bool got;

	if (!in)
		return -errno;
	got = fgets(line, sizeof(line), in);
	fclose(in);
	if (!got || strncmp(line, MARK, strlen(MARK)) != 0)
		return -ENOENT;
	line[strcspn(line, "\r\n")] = '\0';
	space = strchr(line + strlen(MARK), ' ');
	if (!space || strcmp(space + 1, name) != 0)
		return -ENOENT;
	*space = '\0';
	if (etag)
		snprintf(etag, ETAG_BYTES, "%.127s",
			 strcmp(line + strlen(MARK), "-") ? line + strlen(MARK) : "");
	return 0;
}

int levee_list_load(struct levee_allowlist *out, const char *path, char *etag, const char *name,
		    levee_allowlist_report *report, void *ctx)
{
	char found[ETAG_BYTES];
	int ret = read_mark(path, found, name);

	if (ret == 0)
		ret = levee_allowlist_read(out, path, report, ctx);
	if (ret == 0 && etag)
		snprintf(etag, ETAG_BYTES, "%s", found);
	return ret;
}

/* ---- the object ---- */

int levee_s3_list_load(struct levee_s3_list *list, struct levee_allowlist *out,
		       levee_allowlist_report *report, void *ctx)
{
	if (!list->copy[0])
		return -ENOENT;
	return levee_list_load(out, list->copy, list->etag, list->url, report, ctx);
}

/* What fails here costs nothing now, and the list at the next start. */
static void keep_copy(struct levee_s3_list *list, const struct levee_allowlist *fresh)
{
	int ret;

	if (!list->copy[0])
		return;
	ret = levee_list_save(fresh, list->copy, list->etag, list->url);
	if (ret < 0 && !list->copy_failed)
		levee_warning("the copy of %s cannot be kept in %s: %s; a start without S3 would "
			      "not have the list. Set [allow] s3_copy",
			      list->url, list->copy, strerror(-ret));
	list->copy_failed = ret < 0;
}

/* An ETag goes into a header, and into the first line of the copy. */
static bool is_etag(const char *etag)
{
	for (; *etag; etag++)
		if (*etag <= ' ' || *etag > '~')
			return false;
	return true;
}

static int take_object(struct levee_s3_list *list, const struct levee_aws_reply *reply,
		       struct levee_allowlist *out, levee_allowlist_report *report, void *ctx,
		       struct levee_aws_error *error)
{
	struct levee_allowlist fresh = { 0 };
	int ret = levee_allowlist_parse(&fresh, levee_aws_text_string(&reply->body), reply->body.n,
					list->url, report, ctx);

	if (ret < 0)
		return levee_aws_error_memory(error);
	if (!fresh.n && fresh.bad_lines) {
		levee_allowlist_clear(&fresh);
		return levee_aws_error_set(error, -EBADMSG, "UnreadableList",
					   "%s: it has lines, and not one of them is good",
					   list->url);
	}
	snprintf(list->etag, sizeof(list->etag), "%s", is_etag(reply->etag) ? reply->etag : "");
	keep_copy(list, &fresh);
	levee_allowlist_clear(out);
	*out = fresh;
	return 1;
}

int levee_s3_list_fetch(struct levee_s3_list *list, struct levee_aws_client *client,
			struct levee_allowlist *out, levee_allowlist_report *report, void *ctx,
			struct levee_aws_error *error)
{
	const char *name = list->url + strlen("s3://"), *key = strchr(name, '/') + 1;
	struct levee_aws_call call = { .service = LEVEE_AWS_S3,
				       .key = key,
				       .etag = list->etag,
				       .total_ms = TOTAL_MS,
				       .max_bytes = LEVEE_S3_LIST_BYTES };
	struct levee_aws_reply reply;
	char bucket[64];
	int ret;

	snprintf(bucket, sizeof(bucket), "%.*s", (int)(key - 1 - name), name);
	call.bucket = bucket;
	ret = levee_aws_call(client, &call, &reply);
	*error = reply.error;
	if (ret < 0)
		levee_aws_error_set(error, ret, error->code, "%s cannot be read: %.300s", list->url,
				    reply.error.message);
	else if (reply.status != 304)
		ret = take_object(list, &reply, out, report, ctx, error);
	levee_aws_reply_free(&reply);
	return ret;
}
