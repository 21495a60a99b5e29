/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What EAL refuses is one line with cause and remedy, and nothing is printed besides. EAL starts once
 * in a process, so each test has one of its own.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "dataplane/dpdk/dpdk.h"

struct result {
	int ret;
	unsigned int errors; /* messages of that level */
	char said[2048];     /* the last of them */
	size_t printed;	     /* bytes, by EAL itself */
};

static struct {
	unsigned int errors;
	char said[2048];
} child;

static void say(void *ctx, enum levee_dpdk_say level, const char *message)
{
	(void)ctx;
	if (level != LEVEE_DPDK_ERROR)
		return;
	child.errors++;
	snprintf(child.said, sizeof(child.said), "%s", message);
}

static void run_child(const char *const *args, size_t n, int to)
{
	static const char *const ports[] = { "net_null0" };
	struct levee_dpdk_options options = {
		.eal = args,
		.n_eal = n,
		.ports = ports,
		.n_ports = 1,
		.tables = { .sources = 1024, .sources6 = 1024, .rules = 64, .source6_length = 64 },
		.say = say
	};
	struct levee_dataplane *dp;
	int ret = levee_dpdk_open(&dp, &options);
	FILE *out = fdopen(to, "w");

	levee_dataplane_close(&dp);
	fprintf(out, "%d %u %s", ret, child.errors, child.said);
	fclose(out);
	fflush(NULL);
	_exit(0); /* EAL's threads end here, and so does what they hold */
}

static void open_with(const char *const *args, size_t n, struct result *r)
{
	FILE *printed = tmpfile();
	int to[2], status;
	char text[2200];
	FILE *in;
	pid_t pid;

	*r = (struct result){ 0 };
	assert_non_null(printed);
	assert_int_equal(pipe(to), 0);
	fflush(NULL);
	pid = fork();
	if (!pid) {
		close(to[0]);
		dup2(fileno(printed), STDOUT_FILENO);
		dup2(fileno(printed), STDERR_FILENO);
		run_child(args, n, to[1]);
	}
	close(to[1]);
	in = fdopen(to[0], "r");
	text[fread(text, 1, sizeof(text) - 1, in)] = '\0';
	fclose(in);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status) && !WEXITSTATUS(status));
	fseek(printed, 0, SEEK_END);
	r->printed = (size_t)ftell(printed);
	fclose(printed);
	assert_true(sscanf(text, "%d %u %2047[^\x01]", &r->ret, &r->errors, r->said) >= 2);
	print_message("%d: %s\n", r->ret, r->said);
}

static void refuses(const char *const *args, size_t n, const char *words, const char *remedy)
{
	struct result r;

	open_with(args, n, &r);
	assert_true(r.ret < 0);
	assert_int_equal(r.errors, 1);
	assert_null(strchr(r.said, '\n'));
	assert_int_equal(r.printed, 0);
	if (!strstr(r.said, words) || !strstr(r.said, remedy))
		fail_msg("\"%s\" does not say \"%s\" and \"%s\"", r.said, words, remedy);
}

#define REFUSES(words, remedy, ...)                                           \
	do {                                                                  \
		static const char *const args[] = { __VA_ARGS__ };            \
		refuses(args, sizeof(args) / sizeof(args[0]), words, remedy); \
	} while (0)

static void needs_dpdk(void)
{
	if (levee_dpdk_version())
		return;
	print_message("# SKIP built without DPDK\n");
	skip();
}

static void an_option_that_eal_does_not_have_is_named(void **state)
{
	(void)state;
	needs_dpdk();
	REFUSES("--no-such-option", "testpmd --help", "--no-huge", "--no-such-option");
}

static void a_value_that_is_missing_is_named(void **state)
{
	(void)state;
	needs_dpdk();
	REFUSES("requires an argument", "testpmd --help", "--no-huge", "-m");
}

static void cpus_that_the_machine_lacks_are_named(void **state)
{
	(void)state;
	needs_dpdk();
	REFUSES("ore", "-l or --lcores", "--no-huge", "--no-pci", "--no-shconf", "-l", "0-900");
	REFUSES("ore", "-l or --lcores", "--no-huge", "--no-pci", "--no-shconf", "-l", "a,b");
}

static void a_word_that_is_no_option_is_named(void **state)
{
	(void)state;
	needs_dpdk();
	REFUSES("takes no argument \"eth0\"", "testpmd --help", "--no-huge", "--no-pci", "-m", "64",
		"--no-shconf", "eth0");
}

static void questions_for_help_do_not_end_the_process(void **state)
{
	(void)state;
	needs_dpdk();
	REFUSES("\"--help\" is not for a configuration file", "testpmd --help", "--help");
	REFUSES("\"--hel\" is not for a configuration file", "testpmd --help", "--hel");
	REFUSES("\"-h\" is not for a configuration file", "testpmd --help", "-h");
	REFUSES("\"--\" is not for a configuration file", "testpmd --help", "--no-huge", "--");
}

/* EAL would wait for a primary one without end, and not hear SIGTERM. */
static void a_secondary_process_is_refused(void **state)
{
	(void)state;
	needs_dpdk();
	REFUSES("\"--proc-type=secondary\"", "leave it out", "--no-huge", "--proc-type=secondary");
	REFUSES("\"--proc-t=auto\"", "--file-prefix", "--no-huge", "--proc-t=auto");
	REFUSES("\"--proc-type\"", "leave it out", "--no-huge", "--proc-type", "secondary");
}

static void the_controller_and_a_worker_need_two_lcores(void **state)
{
	(void)state;
	needs_dpdk();
	REFUSES("EAL has 0 lcores besides the main one", "-l 0-1", "--no-huge", "--no-pci", "-m",
		"64", "--no-shconf", "--lcores", "0@0");
}

static bool has_hugepages(void)
{
	FILE *f = fopen("/proc/sys/vm/nr_hugepages", "re");
	unsigned long n = 0;
	bool got = f && fscanf(f, "%lu", &n) == 1;

	if (f)
		fclose(f);
	return got && n > 0;
}

static void a_machine_without_hugepages_is_told_how_to_get_some(void **state)
{
	(void)state;
	needs_dpdk();
	if (has_hugepages()) {
		print_message("this machine has hugepages\n");
		return; /* nothing to refuse */
	}
	REFUSES("hugepage", "sysctl vm.nr_hugepages", "--no-pci", "--in-memory", "--lcores",
		"0@0,1@0");
}

static void more_memory_than_there_is_is_refused(void **state)
{
	(void)state;
	needs_dpdk();
	REFUSES("EAL does not start", "hugepages", "--no-huge", "--no-pci", "--no-shconf", "-m",
		"400000000", "--lcores", "0@0,1@0");
}

static void buffers_that_do_not_fit_the_memory_are_refused(void **state)
{
	(void)state;
	needs_dpdk();
	REFUSES("packet buffers", "raise -m", "--no-huge", "--no-pci", "--no-shconf", "-m", "4",
		"--lcores", "0@0,1@0");
}

static void without_dpdk_it_says_how_to_get_it(void **state)
{
	static const char *const args[] = { "--no-huge" };
	struct result r;

	(void)state;
	if (levee_dpdk_version())
		return; /* it is there */
	open_with(args, 1, &r);
	assert_int_equal(r.ret, -ENOTSUP);
	assert_int_equal(r.errors, 1);
	assert_non_null(strstr(r.said, "built without DPDK"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_option_that_eal_does_not_have_is_named),
		cmocka_unit_test(a_value_that_is_missing_is_named),
		cmocka_unit_test(cpus_that_the_machine_lacks_are_named),
		cmocka_unit_test(a_word_that_is_no_option_is_named),
		cmocka_unit_test(questions_for_help_do_not_end_the_process),
		cmocka_unit_test(a_secondary_process_is_refused),
		cmocka_unit_test(the_controller_and_a_worker_need_two_lcores),
		cmocka_unit_test(a_machine_without_hugepages_is_told_how_to_get_some),
		cmocka_unit_test(more_memory_than_there_is_is_refused),
		cmocka_unit_test(buffers_that_do_not_fit_the_memory_are_refused),
		cmocka_unit_test(without_dpdk_it_says_how_to_get_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
