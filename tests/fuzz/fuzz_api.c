/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The handlers of the HTTP API: method, address, two headers and a body, one a line, the body last.
 * Whatever comes in, there is an answer with a status, and a body that is JSON where it says so.
 */
#include <assert.h>
#include <jansson.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/board.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The text up to the end of the line, which is then behind it. Never NULL. */
static char *take_line(char **at)
{
	char *line = *at, *end = strchr(line, '\n');

	*at = end ? end + 1 : line + strlen(line);
	if (end)
		*end = '\0';
	return line;
}

static void check(const struct levee_api_answer *answer)
{
	json_t *json;

	if (answer->kind == LEVEE_ANSWER_FOLLOW)
		return;
	assert(answer->kind == LEVEE_ANSWER_READY);
	assert(answer->status >= 200 && answer->status < 600 && answer->status != 500);
	assert(answer->body || answer->fixed);
	if (!answer->body || strcmp(answer->type, "application/json") != 0)
		return;
	json = json_loadb(answer->body, answer->len, JSON_REJECT_DUPLICATES, NULL);
	assert(json && json_is_object(json));
	json_decref(json);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct levee_board *board;
	char *text = malloc(size + 1), *at = text;
	struct levee_api_request request = { 0 };
	struct levee_api_answer answer;

	if (!board)
		board = test_board();
	memcpy(text, data, size);
	text[size] = '\0';
	request.method = take_line(&at);
	request.uri = take_line(&at);
	request.content_type = take_line(&at);
	request.last_event_id = take_line(&at);
	if (!*request.last_event_id)
		request.last_event_id = NULL;
	request.body = at;
	request.body_len = size - (size_t)(at - text);
	test_ask(board, &request, &answer);
	check(&answer);
	levee_api_answer_clear(&answer);
	free(text);
	return 0;
}
