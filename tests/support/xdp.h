/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The XDP data path for tests, attached to nothing: frames go through the loaded program by
 * bpf(BPF_PROG_TEST_RUN), on the CPU of the caller, so that every count is known beforehand.
 *
 *	struct levee_xdp_fixture f;
 *
 *	levee_xdp_fixture_open(&f, &(struct levee_xdp_sizes){ .sources = 16 });   skips without root
 *	verdict = levee_xdp_run(&f, frame, len);
 *	levee_xdp_take(&f, &sink, &account);
 *	levee_xdp_fixture_close(&f);
 */
#ifndef LEVEE_TESTS_XDP_H
#define LEVEE_TESTS_XDP_H

#include <stddef.h>
#include <stdint.h>

#include "dataplane/dataplane.h"
#include "dataplane/policy.h"

/* What the kernel takes for less is no frame: it refuses to run it. */
#define LEVEE_XDP_RUN_MIN 14

struct levee_xdp_sizes {
	uint64_t sources;	/* IPv4 slots per CPU and epoch; 0: 4096 */
	uint64_t sources6;	/* 0: as many */
	uint64_t rules;		/* 0: 1024 */
	uint8_t source6_length; /* 0: 64 */
};

struct levee_xdp_fixture {
	struct levee_dataplane *dp;
	struct levee_xdp_sizes sizes; /* as given, defaults filled in */
	char pin[64];		      /* its own directory */
	char said[512];		      /* last message of the back end */
	struct levee_hits *hits;      /* for levee_xdp_memory() */
};

/**
 * Open with a pin directory of this process, and stay on one CPU from then on. Skips the test,
 * with the reason printed, if this is not root or the kernel refuses bpf(); fails it otherwise.
 * Loading takes a second or two, so a fixture that is open with the same sizes is only emptied:
 * no rules, no counts, no scope, no audit, no trips, every bucket in use.
 */
void levee_xdp_fixture_open(struct levee_xdp_fixture *f, const struct levee_xdp_sizes *sizes);

/** Close and remove what is pinned. Accepts what was never opened, if it is all zero. */
void levee_xdp_fixture_close(struct levee_xdp_fixture *f);

/** Pin the maps as levee_xdp_start() does, without attaching: they survive the process. */
void levee_xdp_fixture_pin(struct levee_xdp_fixture *f);

/** Close without removing pins, and open what they hold, as the next process does. */
void levee_xdp_fixture_reopen(struct levee_xdp_fixture *f);

/** Run on this CPU from now on, 0 or above. \return false if there is none such */
bool levee_xdp_on_cpu(unsigned int cpu);

/** Does the program take frames of several pages, and how many bytes of them it then sees. */
bool levee_xdp_has_frags(const struct levee_xdp_fixture *f);
size_t levee_xdp_linear_bytes(void);

/** Run one frame `times` times. \return XDP_PASS, XDP_DROP, ...; fails the test on an error */
uint32_t levee_xdp_run_times(const struct levee_xdp_fixture *f, const void *frame, size_t len,
			     uint32_t times);
uint32_t levee_xdp_run(const struct levee_xdp_fixture *f, const void *frame, size_t len);

/** As levee_xdp_run(), of another program. \return 0 and *verdict; -errno */
int levee_xdp_run_program(int fd, const void *frame, size_t len, uint32_t times, uint32_t *verdict);

/** A small frame of this source, `len` bytes long if that is more than 60, through the program. */
uint32_t levee_xdp_send(const struct levee_xdp_fixture *f, uint8_t family, uint64_t hi, uint64_t lo,
			size_t len);

/** Account of the open epoch so far. */
void levee_xdp_account(const struct levee_xdp_fixture *f, struct levee_account *account);

/**
 * Take what the open epoch holds, and clear it, without switching: sound because nobody but the
 * caller runs the program, and without the fence, so that it can be done for every frame.
 */
void levee_xdp_take(const struct levee_xdp_fixture *f, const struct levee_sink *sink,
		    struct levee_account *account);

/** The policy's memory in the kernel's maps, with hits of its own: look-ups change nothing. */
void levee_xdp_memory(struct levee_xdp_fixture *f, struct levee_policy_memory *memory);

/** Forget the writer, and take over the table that it leaves, as the next process does. */
void levee_xdp_adopt_policy(struct levee_xdp_fixture *f);

/** CLOCK_BOOTTIME [ns]. */
uint64_t levee_xdp_now_ns(void);

#endif
