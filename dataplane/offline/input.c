/* SPDX-License-Identifier: BSD-2-Clause */
#include "dataplane/offline/offline_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BUFFER_BYTES (256U * 1024)

static int look_at(struct levee_input *in)
{
	struct stat st;

	if (fstat(in->fd, &st))
		return -errno;
	if (S_ISDIR(st.st_mode))
		return -EISDIR;
	in->size = S_ISREG(st.st_mode) && st.st_size > 0 ? (uint64_t)st.st_size : 0;
	in->buffer = malloc(BUFFER_BYTES);
	return in->buffer ? 0 : -ENOMEM;
}

int levee_input_open(struct levee_input *in, const char *path)
{
	int ret;

	*in = (struct levee_input){ .fd = -1 };
	in->fd = strcmp(path, "-") ? open(path, O_RDONLY | O_CLOEXEC)
				   : fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3);
	if (in->fd < 0)
		return -errno;
	ret = look_at(in);
	if (ret)
		levee_input_close(in);
	return ret;
}

void levee_input_fill(struct levee_input *in)
{
	ssize_t n;

	if (in->at) {
		memmove(in->buffer, in->buffer + in->at, in->end - in->at);
		in->end -= in->at;
		in->at = 0;
	}
	if (in->at_end || in->end == BUFFER_BYTES)
		return;
	do {
		n = read(in->fd, in->buffer + in->end, BUFFER_BYTES - in->end);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		in->error = errno;
	if (n <= 0) {
		in->at_end = true;
		return;
	}
	in->end += (size_t)n;
	in->taken += (uint64_t)n;
}

size_t levee_input_peek(struct levee_input *in, size_t n)
{
	while (in->end - in->at < n && !in->at_end)
		levee_input_fill(in);
	return in->end - in->at < n ? in->end - in->at : n;
}

static ssize_t stream_read(void *cookie, char *to, size_t n)
{
	struct levee_input *in = cookie;

	if (in->at == in->end)
		levee_input_fill(in);
	if (in->at == in->end && in->error) {
		errno = in->error;
		return -1;
	}
	if (n > in->end - in->at)
		n = in->end - in->at;
	memcpy(to, in->buffer + in->at, n);
	in->at += n;
	return (ssize_t)n;
}

FILE *levee_input_stream(struct levee_input *in)
{
	return fopencookie(in, "r", (cookie_io_functions_t){ .read = stream_read });
}

void levee_input_close(struct levee_input *in)
{
	if (in->fd >= 0)
		close(in->fd);
	in->fd = -1;
	free(in->buffer);
	in->buffer = NULL;
}
