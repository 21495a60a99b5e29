/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Commands that talk to a running daemon: what they have in common. Options may stand before and
 * after arguments; --json prints the API's answer as it came (its "schema" is the version).
 *
 * Exit codes: as command.h, and 3 if no daemon can be reached.
 */
#ifndef LEVEE_CLI_CLIENT_H
#define LEVEE_CLI_CLIENT_H

#include <jansson.h>

#include "control/cli/command.h"

#define LEVEE_EXIT_UNREACHABLE 3

/* The first options of each of these commands. */
#define LEVEE_CLIENT_OPTIONS                                                                \
	{ "socket", "PATH",                                                                 \
	  "unix socket of the daemon (default: LEVEE_SOCKET, else [api] socket of the "     \
	  "configuration)" },                                                               \
		{ "url", "URL", "a daemon's TCP listener, such as http://127.0.0.1:9187" }, \
		{ "token-file", "FILE", "file with the token for --url" },                  \
	{                                                                                   \
		"json", NULL, "print JSON for scripts: the API's answer, whose schema is 1" \
	}
#define LEVEE_CLIENT_N_OPTIONS 4

#define LEVEE_CLIENT_ARGS 16

struct levee_client {
	const char *socket, *url, *token_file;
	bool json;
	const char *args[LEVEE_CLIENT_ARGS]; /* words that are no options */
	size_t n_args;
	/* of the command itself: called with its own options, counted from 0 */
	int (*set)(void *ctx, int option, const char *value);
	void *ctx;
	char found[128]; /* the socket, as the configuration says */
};

/** What came back. */
struct levee_reply {
	long status;
	char *text; /* NUL-terminated; owned */
	size_t len;
	json_t *json; /* NULL unless it is JSON; owned */
};

/**
 * Read the command line.
 * \param min, max  words that are no options; `arguments` of the command names them
 * \return -1: go on; else the exit code, all said
 */
int levee_client_parse(struct levee_client *client, const struct levee_command *command, int argc,
		       char **argv, size_t min, size_t max);

/**
 * Ask. \param body  JSON, or NULL
 * \return LEVEE_EXIT_OK and *reply of any status; LEVEE_EXIT_UNREACHABLE or _ERROR, said
 */
int levee_client_ask(const struct levee_client *client, const char *method, const char *path,
		     const json_t *body, struct levee_reply *reply);

/**
 * Ask, and print JSON or the error. \return -1: reply->json is there, to be printed in words; else
 * the exit code, all said and reply cleared
 */
int levee_client_get(const struct levee_client *client, const char *path,
		     struct levee_reply *reply);

/** Ask for a change, and print its message. \return the exit code */
int levee_client_do(const struct levee_client *client, const char *method, const char *path,
		    const json_t *body);

/** Say what a reply of status 400 or more says. \return LEVEE_EXIT_ERROR */
int levee_client_complain(const struct levee_client *client, const struct levee_reply *reply);

void levee_reply_clear(struct levee_reply *reply);

/**
 * Read a stream of server-sent events until `event` returns other than 0, or it ends.
 * \param event  gets the kind and the data of each
 */
int levee_client_follow(const struct levee_client *client, const char *path,
			int (*event)(void *ctx, const char *kind, const char *data), void *ctx);

/** A prefix as part of a path. \return 0; -EINVAL, said */
int levee_client_prefix(const char *command, const char *text, char out[static 64]);

/** "90", "90s", "30m", "2h", "1d", "1w" in seconds. \return 0; -EINVAL, said */
int levee_client_duration(const char *option, const char *text, uint64_t *seconds);

/* ---- printing ------------------------------------------------------------------------------ */

/** Escape sequences on a terminal, "" elsewhere and with NO_COLOR. */
struct levee_colours {
	const char *red, *yellow, *green, *bold, *off;
};
const struct levee_colours *levee_colours(void);

/** Members, with something sensible where there is none. */
const char *levee_text(const json_t *object, const char *name);
double levee_real(const json_t *object, const char *name);
long long levee_whole(const json_t *object, const char *name);
/** A time [unix s] as "2026-01-31T12:00:00Z". \return out */
const char *levee_time_words(long long unix_s, char out[static 32]);
/** A member that is a time [unix s], as "2026-01-31T12:00:00Z". \return out */
const char *levee_unix_words(const json_t *object, const char *name, char out[static 32]);
bool levee_is(const json_t *object, const char *name);

/** 1234567 as "1,234,567". */
const char *levee_grouped(double value, char text[static 32]);
/** 3725 as "1 h 2 min". */
const char *levee_duration_words(long long seconds, char text[static 32]);
/** Bytes as "1.2 MB". */
const char *levee_bytes_words(double bytes, char text[static 32]);

#endif
