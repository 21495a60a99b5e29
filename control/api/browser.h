/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a browser may not be made to do. The unix socket knows its caller by the file's mode, but a
 * tunnel (ssh -L 8080:/run/levee/levee.sock) lends that right to every site that the operator's
 * browser has open. So a request that a browser sends must come from the page itself, and must name
 * this host by an address or as localhost: a name that its owner lets point here is refused.
 */
#ifndef LEVEE_API_BROWSER_H
#define LEVEE_API_BROWSER_H

#include <stdbool.h>

/**
 * \param host, origin, site  the headers Host, Origin and Sec-Fetch-Site; NULL: not there
 * \param any_host  the listener has a name and a token of its own: only the site is looked at
 * \return NULL; or what is wrong, for people
 */
const char *levee_api_check_browser(const char *host, const char *origin, const char *site,
				    bool any_host);

#endif
