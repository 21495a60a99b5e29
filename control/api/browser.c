/* SPDX-License-Identifier: BSD-2-Clause */
#include "control/api/browser.h"

#include <arpa/inet.h>
#include <stddef.h>
#include <string.h>
#include <strings.h>

/* The name in a Host header, without its port and without the brackets of IPv6. */
static bool name_of(const char *host, char *name, size_t size)
{
	size_t len = host[0] == '[' ? strcspn(host, "]") : strcspn(host, ":");

	if (host[0] == '[') {
		if (host[len] != ']')
			return false;
		host++;
		len--;
	}
	if (!len || len >= size)
		return false;
	memcpy(name, host, len);
	name[len] = '\0';
	return true;
}

static bool is_address_or_localhost(const char *host)
{
	unsigned char address[16];
	char name[64];

	return name_of(host, name, sizeof(name)) &&
	       (!strcasecmp(name, "localhost") || inet_pton(AF_INET, name, address) == 1 ||
		inet_pton(AF_INET6, name, address) == 1);
}

/* "http://127.0.0.1:8080" is of the Host "127.0.0.1:8080". */
static bool is_of_host(const char *origin, const char *host)
{
	const char *at = strstr(origin, "://");

	return at && !strcasecmp(at + 3, host);
}

const char *levee_api_check_browser(const char *host, const char *origin, const char *site,
				    bool any_host)
{
	if (!origin && !site)
		return NULL; /* no browser: those send one of them */
	if (site && strcmp(site, "same-origin") != 0 && strcmp(site, "none") != 0)
		return "a request of another site is not answered";
	if (origin && (!host || !is_of_host(origin, host)))
		return "a request of another origin is not answered";
	if (!any_host && (!host || !is_address_or_localhost(host)))
		return "a browser must name this host by an address, or as localhost";
	return NULL;
}
