/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The configuration: one table of keys that feeds the parser, `levee config dump`, the help and
 * the reference in README.
 */
#ifndef LEVEE_CONFIG_H
#define LEVEE_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <levee/shared.h>

#include "control/policy/nacl_plan.h"
#include "dataplane/prefix.h"

#define LEVEE_CONFIG_PATH "/etc/levee/levee.conf"

/** A list of words, as in `interfaces = ens5 ens6`. Owned by the configuration. */
struct levee_words {
	size_t n;
	char **word;
};

#define LEVEE_CONFIG_INTERFACES_MAX 64

enum levee_path_type { LEVEE_PATH_XDP, LEVEE_PATH_DPDK };
enum levee_dpdk_port_mode { LEVEE_DPDK_MODE_MONITOR, LEVEE_DPDK_MODE_WIRE };
enum levee_attach_mode { LEVEE_ATTACH_AUTO, LEVEE_ATTACH_NATIVE, LEVEE_ATTACH_GENERIC };
enum levee_detector_choice { LEVEE_CHOOSE_ZSCORE, LEVEE_CHOOSE_ROBUST, LEVEE_CHOOSE_BOTH };
enum levee_block_mode { LEVEE_MODE_ENFORCE, LEVEE_MODE_AUDIT };

struct levee_config {
	struct { /* [data_path] */
		enum levee_path_type type;
		struct levee_words interfaces;
		enum levee_attach_mode attach;
		char *pin;
		uint64_t sources;  /* IPv4 slots a CPU and epoch */
		uint64_t sources6; /* IPv6 slots a CPU and epoch */
		uint64_t rules;	   /* allowed and blocked prefixes together */
		uint64_t source6_prefix;
		struct levee_words eal;	  /* dpdk, as all below */
		struct levee_words ports; /* with their devices' arguments */
		enum levee_dpdk_port_mode mode;
		uint64_t queues; /* of each port; 0: one for each lcore */
		uint64_t lcores; /* 0: as many as EAL has and the ports can feed */
	} data_path;
	struct { /* [scope] */
		struct levee_words ports;
		struct levee_scope compiled; /* of ports */
	} scope;
	struct {			 /* [detect] */
		uint64_t bin;		 /* [s] */
		uint64_t window;	 /* [s] */
		uint64_t evaluate_every; /* [s]; 0: at each bin's close */
		double min_zscore;
		uint64_t min_packets;
		uint64_t limit;
		uint64_t max_sources;
		int detector; /* enum levee_detector_choice */
		uint64_t min_bytes;
		uint64_t min_syns;
		double soft_zscore;
		int fast; /* 0 or 1 */
		uint64_t warmup_bins;
	} detect;
	struct { /* [block] */
		enum levee_block_mode mode;
		uint64_t repeat_memory; /* [s]; 0: off */
		double repeat_factor;
		uint64_t max_block;   /* [s] */
		uint64_t limit_rate;  /* [packets/s] */
		uint64_t limit_burst; /* [packets] */
	} block;
	struct {	    /* [allow] */
		char *file; /* "": none */
		struct levee_words prefixes;
		struct levee_prefix *parsed; /* of prefixes; prefixes.n of them */
		char *s3;		     /* "s3://BUCKET/KEY"; "": none */
		uint64_t s3_every;	     /* [s] */
		char *s3_copy; /* where its last good list is kept; "": beside the state file */
	} allow;
	struct {	     /* [aws]; texts are "" for: find out, or: not wanted */
		int enabled; /* 0 or 1 */
		char *region;
		char *profile;
		char *endpoint;
		char *instance_id;
		char *vpc;
		struct levee_words vpc_cidrs;
		struct levee_prefix *vpc_prefixes; /* of vpc_cidrs; vpc_cidrs.n of them */
		struct levee_words subnets;
		char *sns_topic;
		uint64_t sns_every;	/* [s]; 0: on change alone */
		char *metrics;		/* namespace */
		uint64_t metrics_every; /* [s] */
		char *metrics_log_group;
		char *log_group;
		char *log_stream;
	} aws;
	struct { /* [nacl]; "" is not set */
		bool enabled;
		char *vpc;
		struct levee_words subnets;
		char *blue; /* "", as green, if manage */
		char *green;
		bool manage;
		uint64_t budget; /* ingress rules per family */
		char *numbers;
		struct levee_nacl_range range; /* of numbers */
		int strategy;		       /* enum levee_nacl_strategy */
		uint64_t max_collateral;
		int push_spoofable; /* enum levee_nacl_push_spoofable */
		uint64_t mask4;
		uint64_t mask6;
		enum levee_nacl_action action;
		uint64_t min_interval; /* [s] */
		uint64_t verify_every; /* [s] */
		uint64_t settle;       /* [s] */
		bool merge;
	} nacl;
	struct {	   /* [fleet]; "" is not set */
		char *url; /* "": this instance is on its own */
		char *ca_file;
		char *password_file;
		char *name;
		char *node;
		char *prefix;
		uint64_t grace; /* [s] */
	} fleet;
	struct {	      /* [api] */
		char *socket; /* "": none */
		char *group;
		char *listen; /* "127.0.0.1:9187"; "": none */
		char *token_file;
		char *tls_certificate;
		char *tls_key;
	} api;
	struct {	    /* [state] */
		char *file; /* "": keep nothing */
	} state;
	struct {	   /* [log] */
		int level; /* enum levee_log_level */
	} log;
};

struct levee_config_kind;

/** What help says after the meaning of a key that is not live. */
#define LEVEE_CONFIG_RESTART " A change needs a restart."

/** One key. The table of them is what everything else is made from. */
struct levee_config_key {
	const char *section;
	const char *name;
	const char *type;  /* "words", "choice", "yes/no", "path", "text", "integer", "number" */
	const char *unit;  /* "s", "packets/bin", "" */
	const char *value; /* default, as it would stand in the file */
	const char *range; /* accepted values, in words: "1 to 86400" */
	const char *help;  /* one or two sentences */
	bool live;	   /* a reload puts it in force; others need a restart */

	/* For config.c alone. */
	const struct levee_config_kind *kind; /* how it is set, printed, and freed */
	size_t offset;			      /* in struct levee_config */
	uint64_t min, max;		      /* integers; numbers in millionths */
	const char *const *choices;	      /* NULL at the end; the index is the value */
	int (*word)(struct levee_config *config, const char *word, const char **why);
	void (*reset)(struct levee_config *config); /* undo word() for all words */
};

/** The name of the detector that is chosen, for levee_detector_find(). */
const char *levee_config_detector(const struct levee_config *config);

/** The table, in the order of the file; n keys. */
const struct levee_config_key *levee_config_keys(size_t *n);

/** Every key at its default. \return 0; -ENOMEM. levee_config_clear() frees it. */
int levee_config_init(struct levee_config *config);
void levee_config_clear(struct levee_config *config);

/**
 * Read a file over what *config holds.
 *
 * Every defect is written to `errors`, one line each: "FILE:LINE: [section] key = value: what is
 * wrong; accepted: range". All of the file is read, so that all defects show at once.
 * \return 0; -EINVAL if there was any defect (*config is then not to be used); -errno if the file
 *         cannot be read, which is said, too
 */
int levee_config_read(struct levee_config *config, const char *path, FILE *errors);

/** Read an open stream in the same way; `name` is what errors call it. For tests and fuzzing. */
int levee_config_read_stream(struct levee_config *config, FILE *in, const char *name, FILE *errors);

/** What only shows when all keys are known (window a multiple of bin, ...). As above. */
int levee_config_validate(struct levee_config *config, const char *path, FILE *errors);

/** Does [nacl] name a pair, as a push needs it? \return 0; -EINVAL, said as above */
int levee_config_check_nacl(const struct levee_config *config, const char *path, FILE *errors);

/** Set one key from text, as `--set section.key=value` and tests do. \return 0; -EINVAL, said */
int levee_config_set(struct levee_config *config, const char *section, const char *name,
		     const char *value, const char *where, FILE *errors);

/** Write every key with its value in force, its unit, range and help: a file that reads back. */
void levee_config_dump(const struct levee_config *config, FILE *out);

/** Write the value of one key as it stands in the file, after `key =`. */
void levee_config_print_value(const struct levee_config *config, const struct levee_config_key *key,
			      FILE *out);

/** Write every section and key with its value in force as one JSON object. No value is secret. */
void levee_config_write_json(const struct levee_config *config, FILE *out);

/** Are the values of a key the same? */
bool levee_config_same(const struct levee_config *a, const struct levee_config *b,
		       const struct levee_config_key *key);

/** A copy that shares nothing. levee_config_clear() frees it, also after an error. \return 0; -ENOMEM */
int levee_config_copy(struct levee_config *to, const struct levee_config *from);

/** Exchange the values of all live keys; nothing else is touched. */
void levee_config_swap_live(struct levee_config *a, struct levee_config *b);

/** The reference of all keys, as README has it (Markdown). */
void levee_config_reference(FILE *out);

/** Parse one word of [scope] ports into *scope. \return 0; -EINVAL, and *why says what is wrong */
int levee_scope_parse(struct levee_scope *scope, const char *word, const char **why);

#endif
