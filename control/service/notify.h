/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a service manager wants to hear: ready, reloading, stopping, still alive. One datagram a
 * message to the socket that NOTIFY_SOCKET names, as sd_notify(3) describes the protocol; without
 * that variable every call does nothing. Nothing here blocks, and nothing that fails matters to
 * the data path: a manager that does not listen restarts us, no more.
 *
 *	levee_notify_open()
 *	levee_notify(n, "READY=1\nSTATUS=...")     attached, everything in force
 *	levee_notify_alive(n, now)                 in each turn of the loop
 *	levee_notify_reloading(n), levee_notify(n, "READY=1")
 *	levee_notify(n, "STOPPING=1")
 *	levee_notify_close()
 */
#ifndef LEVEE_NOTIFY_H
#define LEVEE_NOTIFY_H

#include <stdint.h>

struct levee_notify {
	int fd; /* -1: nobody listens */
	uint64_t
		watchdog_ns; /* between two signs of life: half of what is granted; 0: none asked */
	uint64_t next_ns;    /* boot time of the next sign of life; UINT64_MAX: never */
};

/**
 * Connect to the service manager, and take its variables out of the environment, so that no
 * child speaks in our name.
 * \return 0, also if there is none; -errno if what it named cannot be reached (*n is then silent)
 */
int levee_notify_open(struct levee_notify *n);

/** Send assignments, one a line; printf format. Cut off at 1 KiB. */
void levee_notify(const struct levee_notify *n, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/** RELOADING=1 with the time that the protocol wants; READY=1 ends it. */
void levee_notify_reloading(const struct levee_notify *n);

/** Give a sign of life if one is due at boot_ns. */
void levee_notify_alive(struct levee_notify *n, uint64_t boot_ns);

void levee_notify_close(struct levee_notify *n);

#endif
