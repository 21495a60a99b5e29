/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where the engine is: redis://[USER@]HOST[:PORT][/DB], or rediss:// for TLS. A password in it is
 * refused: it would end up in logs and in `levee config dump`.
 */
#ifndef LEVEE_FLEET_URL_H
#define LEVEE_FLEET_URL_H

#include <stdbool.h>

struct levee_fleet_url {
	bool tls;
	char host[256]; /* without the brackets of an IPv6 address */
	char port[8];	/* 6379 if it is not named */
	char user[128]; /* "": the default user */
	unsigned int db;
};

/**
 * \param why  on failure, set to a static sentence; may be NULL
 * \return 0; -EINVAL
 */
int levee_fleet_url_parse(struct levee_fleet_url *url, const char *text, const char **why);

#endif
