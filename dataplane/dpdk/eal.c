/* SPDX-License-Identifier: BSD-2-Clause */
/* EAL: started once in a process, whatever it thinks of its arguments said in one line. */
#ifdef WITH_DPDK

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_lcore.h>
#include <rte_version.h>

#include "dataplane/dpdk/dpdk_internal.h"

#define EAL_ARGS_MAX  64
#define CAPTURE_BYTES 65536

/* EAL keeps pointers into its arguments, and takes them once. */
static struct {
	bool tried;
	bool running;
	char *args[EAL_ARGS_MAX + 2];
	size_t n;
} eal;

const char *levee_dpdk_version(void)
{
	const char *version = rte_version(); /* "DPDK 22.11.7" */

	return strncmp(version, "DPDK ", 5) ? version : version + 5;
}

/* ---- arguments --------------------------------------------------------------------------- */

/* These make EAL print and end the process. */
static bool asks_for_help(const char *arg)
{
	if (!strncmp(arg, "--", 2))
		return strlen(arg) >= 5 && !strncmp("--help", arg, strlen(arg));
	return arg[0] == '-' && (arg[1] == 'h' || (arg[1] == 'v' && strchr(arg, 'h')));
}

/* A secondary process waits without end for a primary one, and then has its ports. */
static bool is_secondary(const struct levee_dpdk_options *options, size_t i)
{
	const char *arg = options->eal[i], *value = strchr(arg, '=');
	size_t len = strcspn(arg, "=");

	if (len < strlen("--p") || strncmp("--proc-type", arg, len) != 0)
		return false;
	if (value)
		return strcmp(value + 1, "primary") != 0;
	return i + 1 < options->n_eal && strcmp(options->eal[i + 1], "primary") != 0;
}

static int check_args(const struct levee_dpdk_options *options)
{
	if (options->n_eal > EAL_ARGS_MAX) {
		levee_dpdk_say(LEVEE_DPDK_ERROR,
			       "[data_path] eal has %zu arguments, at most %d are taken",
			       options->n_eal, EAL_ARGS_MAX);
		return -EINVAL;
	}
	for (size_t i = 0; i < options->n_eal; i++) {
		const char *arg = options->eal[i];

		if (is_secondary(options, i)) {
			levee_dpdk_say(
				LEVEE_DPDK_ERROR,
				"[data_path] eal: \"%s\": Levee is a primary process of DPDK "
				"and nothing else; leave it out, and give each process a "
				"--file-prefix of its own",
				arg);
			return -EINVAL;
		}
		if (!asks_for_help(arg) && strcmp(arg, "--"))
			continue;
		levee_dpdk_say(LEVEE_DPDK_ERROR,
			       "[data_path] eal: \"%s\" is not for a configuration file; "
			       "`dpdk-testpmd --help` lists the arguments of EAL",
			       arg);
		return -EINVAL;
	}
	return 0;
}

static bool same_args(const struct levee_dpdk_options *options)
{
	if (options->n_eal != eal.n)
		return false;
	for (size_t i = 0; i < eal.n; i++)
		if (strcmp(options->eal[i], eal.args[i + 1]) != 0)
			return false;
	return true;
}

/* ---- what it prints by itself ------------------------------------------------------------ */

/* On a bad argument EAL prints its whole usage, and getopt the only line that names the argument. */
struct capture {
	int file;
	int saved[2]; /* standard output and error */
};

static void capture_begin(struct capture *c)
{
	*c = (struct capture){ .saved = { -1, -1 } };
	fflush(stdout);
	fflush(stderr);
	c->file = memfd_create("eal", MFD_CLOEXEC);
	if (c->file < 0)
		return; /* then it prints */
	for (int i = 0; i < 2; i++) {
		c->saved[i] = dup(i + 1);
		if (c->saved[i] >= 0)
			dup2(c->file, i + 1);
	}
}

static void capture_end(struct capture *c, char text[static CAPTURE_BYTES])
{
	ssize_t n = -1;

	fflush(stdout);
	fflush(stderr);
	for (int i = 0; i < 2; i++) {
		if (c->saved[i] < 0)
			continue;
		dup2(c->saved[i], i + 1);
		close(c->saved[i]);
	}
	if (c->file >= 0) {
		n = pread(c->file, text, CAPTURE_BYTES - 1, 0);
		close(c->file);
	}
	text[n < 0 ? 0 : n] = '\0';
}

/* getopt's line begins with the program's name, which we gave as "EAL". */
static void find_getopt_line(const char *printed, char *line, size_t size)
{
	static const char mark[] = "EAL: ";
	static const char *const words[] = { "option", "argument" };

	line[0] = '\0';
	for (const char *at = printed; *at; at += strcspn(at, "\n"), at += *at == '\n') {
		char text[256];

		snprintf(text, sizeof(text), "%.*s", (int)strcspn(at, "\n"), at);
		if (strncmp(text, mark, strlen(mark)) != 0 || strstr(text, "FATAL"))
			continue;
		for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
			if (strstr(text, words[i])) {
				snprintf(line, size, "%s", text + strlen(mark));
				return;
			}
	}
}

/* ---- starting ---------------------------------------------------------------------------- */

static const char *remedy_for(const char *cause, int error)
{
	if (strcasestr(cause, "hugepage"))
		return "reserve some, as with `sysctl vm.nr_hugepages=512`, and mount hugetlbfs; "
		       "or add --no-huge --no-shconf where speed does not matter";
	if (error == ENOMEM)
		return "lower -m, or reserve more hugepages";
	if (strcasestr(cause, "lcore") || strcasestr(cause, "core"))
		return "give CPUs of this machine with -l or --lcores, the first for the "
		       "controller and one for each worker";
	if (strcasestr(cause, "option") || strcasestr(cause, "argument") ||
	    strcasestr(cause, "invalid"))
		return "`dpdk-testpmd --help` lists the arguments of EAL";
	if (strcasestr(cause, "primary") || strcasestr(cause, "lock"))
		return "another DPDK program runs with the same --file-prefix: give another one, "
		       "or --in-memory";
	return "root is needed, and the messages above say more";
}

static int explain(int error, const char *printed)
{
	char cause[256];

	find_getopt_line(printed, cause, sizeof(cause));
	if (!cause[0])
		levee_dpdk_complaint(cause, sizeof(cause));
	levee_dpdk_say(LEVEE_DPDK_ERROR, "EAL does not start with [data_path] eal: %s (%s); %s",
		       cause[0] ? cause + (strncmp(cause, "EAL: ", 5) ? 0 : 5)
				: "no reason was given",
		       rte_strerror(error), remedy_for(cause, error));
	return error == ENOMEM ? -ENOMEM : error == EACCES ? -EACCES : -EINVAL;
}

static void end_eal(void)
{
	rte_eal_cleanup();
}

static int copy_args(const struct levee_dpdk_options *options)
{
	eal.n = options->n_eal;
	eal.args[0] = strdup("EAL");
	for (size_t i = 0; i < eal.n; i++) {
		eal.args[i + 1] = strdup(options->eal[i]);
		if (!eal.args[i + 1])
			return -ENOMEM;
	}
	return eal.args[0] ? 0 : -ENOMEM;
}

static int init_eal(void)
{
	char *argv[EAL_ARGS_MAX + 2]; /* EAL moves the pointers about */
	static char printed[CAPTURE_BYTES];
	struct capture capture;
	int used, error;

	memcpy(argv, eal.args, sizeof(argv));
	levee_dpdk_forget_complaint();
	levee_dpdk_hold_log();
	capture_begin(&capture);
	used = rte_eal_init((int)eal.n + 1, argv);
	error = rte_errno;
	capture_end(&capture, printed);
	levee_dpdk_release_log();
	levee_dpdk_tame_libraries();
	if (used < 0)
		return explain(error, printed);
	eal.running = true;
	atexit(end_eal);
	if ((size_t)used >= eal.n)
		return 0;
	levee_dpdk_say(LEVEE_DPDK_ERROR,
		       "[data_path] eal: EAL takes no argument \"%s\"; `dpdk-testpmd --help` lists "
		       "those there are",
		       eal.args[used + 1]);
	return -EINVAL;
}

int levee_dpdk_start_eal(const struct levee_dpdk_options *options)
{
	int ret;

	ret = check_args(options);
	if (ret)
		return ret;
	if (eal.tried) {
		if (eal.running && same_args(options))
			return 0;
		levee_dpdk_say(
			LEVEE_DPDK_ERROR,
			"EAL can be started once in a process, and was, %s; restart levee to "
			"change [data_path] eal",
			eal.running ? "with other arguments" : "without success");
		return -EBUSY;
	}
	eal.tried = true;
	ret = copy_args(options);
	if (!ret)
		ret = levee_dpdk_open_log();
	if (ret) {
		levee_dpdk_say(LEVEE_DPDK_ERROR, "cannot start EAL: %s", strerror(-ret));
		return ret;
	}
	return init_eal();
}

#else
typedef int levee_dpdk_has_no_eal; /* ISO C wants something in a file */
#endif
