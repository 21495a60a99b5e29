/* SPDX-License-Identifier: BSD-2-Clause */
/* The sockets that the API listens on. */
#ifndef LEVEE_API_SOCKET_H
#define LEVEE_API_SOCKET_H

#include <stdbool.h>
#include <stddef.h>

/** Told of what is not as it should be, and goes on. */
typedef void levee_api_warn(void *ctx, const char *message);

/**
 * A unix socket with mode 0660 that belongs to a group. Its directory is made if it is missing; a
 * socket that nobody listens on is replaced.
 * \return the descriptor; -errno, and *why says it: -EADDRINUSE if somebody listens there
 */
int levee_api_listen_unix(const char *path, const char *group, levee_api_warn *warn, void *ctx,
			  char *why, size_t size);

/**
 * "127.0.0.1:9187", "[::1]:9187", "0.0.0.0:9187".
 * \return 0; -EINVAL, and *why says what is wrong
 */
int levee_api_parse_listen(const char *text, bool *is_loopback, char *why, size_t size);
int levee_api_listen_tcp(const char *text, char *why, size_t size);

#endif
