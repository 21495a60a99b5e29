/* SPDX-License-Identifier: BSD-2-Clause */
/* The page's own files, bundled by tools/page/build.sh and part of the program. */
#ifndef LEVEE_API_PAGE_H
#define LEVEE_API_PAGE_H

#include <stddef.h>

struct levee_page_file {
	const char *path; /* "/", "/page.js" */
	const char *type; /* content type */
	const unsigned char *data;
	size_t size; /* [bytes] */
};

/**
 * What the page may do in a browser: its own files and its own host, nothing inline, no frame
 * around it. For the Content-Security-Policy header of every answer.
 */
#define LEVEE_PAGE_CSP                                                              \
	"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; " \
	"connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

/** The file at a path; without the page, "/" is a note that says so. NULL: there is none. */
const struct levee_page_file *levee_page_find(const char *path);

/** Why the page is not built in, in words; NULL: it is. */
const char *levee_page_missing(void);

/** Libraries in it, with versions: "uPlot 1.6.32"; "" without the page. */
const char *levee_page_libraries(void);

#endif
