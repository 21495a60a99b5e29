/* SPDX-License-Identifier: BSD-2-Clause */
#include "control/api/page.h"

#include <string.h>

#include <page/files.h>

#include "control/api/endpoints.h"

#ifdef LEVEE_PAGE_ROWS

static const struct levee_page_file files[] = { LEVEE_PAGE_ROWS };

#else

#define LEVEE_PAGE_LIBRARIES ""

static const unsigned char note[] =
	"This levee was built without its page (" LEVEE_PAGE_WHY ").\n"
	"`levee status` and `levee top` show the same; the API is at /api/v1/openapi.json.\n";

static const struct levee_page_file files[] = {
	{ "/", "text/plain; charset=utf-8", note, sizeof(note) - 1 },
};

#endif

const struct levee_page_file *levee_page_find(const char *path)
{
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
		if (strcmp(files[i].path, path) == 0)
			return &files[i];
	return NULL;
}

const char *levee_page_missing(void)
{
#ifdef LEVEE_PAGE_ROWS
	return NULL;
#else
	return LEVEE_PAGE_WHY;
#endif
}

const char *levee_page_libraries(void)
{
	return LEVEE_PAGE_LIBRARIES;
}

void levee_get_page(struct levee_api_call *call)
{
	const struct levee_page_file *file = levee_page_find(call->answer->route->path);

	if (!file) {
		levee_api_refuse(call, 404, "the page is not built in");
		return;
	}
	call->answer->type = file->type;
	call->answer->fixed = (const char *)file->data;
	call->answer->fixed_len = file->size;
}
