/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The engine: one Redis or Valkey server, or a cluster of them. Commands go to the server that has
 * their key's hash slot, many at a time; replies come back in the order of the commands.
 *
 * Every failure ends in the same way: the call returns an error, levee_engine_why() is a sentence
 * with the remedy, and the caller closes the engine, goes on alone, and opens it again later.
 * A cluster that moved a slot, and a server that forgot the scripts, are such failures as well
 * (-ESTALE: open again at once); what was sent before may be sent again, see scripts.h.
 */
#ifndef LEVEE_FLEET_ENGINE_H
#define LEVEE_FLEET_ENGINE_H

#include "control/fleet/link.h"
#include "control/fleet/scripts.h"

#define LEVEE_SLOTS_OF_CLUSTER 16384U

struct levee_engine;

/** \return 0, the caller closes it; -EACCES, -EROFS, -errno, and `why` a sentence */
int levee_engine_open(struct levee_engine **out, const struct levee_link_params *params,
		      char why[static LEVEE_LINK_WHY]);
void levee_engine_close(struct levee_engine **engine);

/** Another connection to the server that has `key`, for who waits there. */
int levee_engine_dial(const struct levee_engine *engine, const char *key, struct levee_link **link,
		      char why[static LEVEE_LINK_WHY]);

/**
 * Send a command. argv[1] is its key, or key is. Failures show at the receive.
 * \param lengths  NULL: strings
 */
void levee_engine_send(struct levee_engine *engine, const char *key, int argc,
		       const char *const *argv, const size_t *lengths);

/** Send a command to one server, 0 to levee_engine_servers() - 1, whatever its key. */
void levee_engine_send_to(struct levee_engine *engine, unsigned int server, int argc,
			  const char *const *argv);

/**
 * Send a script with n_keys keys, all in the slot of the first, which lead argv.
 * \param argc  keys and arguments together
 */
void levee_engine_eval(struct levee_engine *engine, enum levee_script script, int n_keys, int argc,
		       const char *const *argv, const size_t *lengths);

/**
 * The reply to the oldest command not yet answered. An error reply is an error here.
 * \return 0, the caller frees *reply; -ENOENT if none is outstanding; -errno
 */
int levee_engine_receive(struct levee_engine *engine, int timeout_ms, redisReply **reply);

/** send and receive, with none outstanding. */
int levee_engine_call(struct levee_engine *engine, int timeout_ms, redisReply **reply,
		      const char *key, int argc, const char *const *argv);

const char *levee_engine_why(const struct levee_engine *engine);
unsigned int levee_engine_servers(const struct levee_engine *engine);
void levee_engine_traffic(const struct levee_engine *engine, struct levee_link_traffic *sum);

/** Hash slot of a key: CRC-16/XMODEM of what is between { and }, or of all of it, mod 16384. */
unsigned int levee_engine_slot(const char *key);

/**
 * What an error reply means and what to do about it, as a sentence.
 * \return -EACCES (user, password, permissions), -EROFS (a replica), -ENOSPC (out of memory),
 *         -ESTALE (open again), -EBUSY (loading, failing over), -EEXIST (keys of somebody else),
 *         -EPROTO (all other)
 */
int levee_engine_explain(const char *error, char why[static LEVEE_LINK_WHY]);

#endif
