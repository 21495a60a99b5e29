/* SPDX-License-Identifier: BSD-2-Clause */
/* The bearer token of the TCP listener. Only its digest is kept. */
#ifndef LEVEE_API_AUTH_H
#define LEVEE_API_AUTH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LEVEE_TOKEN_MIN 16 /* characters: what nobody guesses over a network */

struct levee_token {
	uint8_t digest[32]; /* SHA-256 */
};

/**
 * Read a token: the first line of a file that others may not read.
 * \param why  on failure, what is wrong, without the token (size bytes at most)
 * \return 0; -errno
 */
int levee_token_read(struct levee_token *token, const char *path, char *why, size_t size);

/** Does the Authorization header carry it? Takes the same time for every wrong one. NULL: no */
bool levee_token_matches(const struct levee_token *token, const char *authorization);

#endif
