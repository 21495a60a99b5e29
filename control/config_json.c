/* SPDX-License-Identifier: BSD-2-Clause */
/* The configuration in force as JSON: every value as the text that stands in the file. */
#include <stdlib.h>
#include <string.h>

#include "control/config.h"
#include "control/json.h"

/* Long lists go on in indented lines: here they are one text. */
static void unfold(char *text)
{
	char *to = text;

	for (const char *from = text; *from; from++)
		if (*from == '\n')
			*to++ = ' ';
		else if (*from != '\t')
			*to++ = *from;
	*to = '\0';
}

static void write_value(struct levee_json *j, const struct levee_config *config,
			const struct levee_config_key *key)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		return;
	levee_config_print_value(config, key, out);
	if (!fclose(out)) {
		unfold(text);
		levee_json_string(j, key->name, text + (text[0] == ' '));
	}
	free(text);
}

void levee_config_write_json(const struct levee_config *config, FILE *out)
{
	const struct levee_config_key *keys;
	const char *section = NULL;
	struct levee_json j;
	size_t n;

	keys = levee_config_keys(&n);
	levee_json_begin(&j, out);
	levee_json_object(&j, NULL);
	for (size_t i = 0; i < n; i++) {
		if (!section || strcmp(section, keys[i].section)) {
			if (section)
				levee_json_end(&j);
			section = keys[i].section;
			levee_json_object(&j, section);
		}
		write_value(&j, config, &keys[i]);
	}
	if (section)
		levee_json_end(&j);
	levee_json_end(&j);
}
