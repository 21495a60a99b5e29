/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Sections that orchestrate whole programs are scripts: they print rows, a JSON object each, which
 * stand in the same table and the same file. If the bench dies, so do they, and clean up.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tools/bench/sections.h"

#define ARGUMENTS_MAX 16

/* In the child: become the script. It may use every CPU again. */
static void become(char *const argv[], int out, pid_t parent)
{
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != parent)
		_exit(1);
	bench_unpin();
	setenv("PYTHONDONTWRITEBYTECODE", "1", 1); /* nothing of ours in the source tree */
	if (dup2(out, STDOUT_FILENO) >= 0)
		execvp(argv[0], argv);
	bench_complain("cannot run %s: %s", argv[0], strerror(errno));
	_exit(127);
}

/* \return what to read rows from; NULL, and errno */
static FILE *start(char *const argv[], pid_t *pid)
{
	pid_t parent = getpid();
	int fds[2];
	FILE *in;

	if (pipe2(fds, O_CLOEXEC))
		return NULL;
	*pid = fork();
	if (*pid == 0)
		become(argv, fds[1], parent);
	close(fds[1]);
	in = *pid < 0 ? NULL : fdopen(fds[0], "r");
	if (!in)
		close(fds[0]);
	return in;
}

static int take_rows(struct bench_run *run, const char *name, FILE *in)
{
	char *line = NULL;
	size_t room = 0;
	int ret = 0;

	while (getline(&line, &room, in) > 0) {
		if (bench_report_take(&run->report, line) < 0) {
			bench_complain("%s printed no row: %.200s", name, line);
			ret = -EBADMSG;
		}
		bench_report_print(&run->report);
	}
	free(line);
	return ret;
}

static int run_script(struct bench_run *run, const char *name, char *const argv[])
{
	pid_t pid = -1;
	FILE *in = start(argv, &pid);
	int status = 0, ret;

	if (!in) {
		ret = -errno;
		bench_complain("cannot run %s: %s", name, strerror(errno));
		return ret;
	}
	ret = take_rows(run, name, in);
	fclose(in);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (!ret && status) {
		bench_complain("%s did not come to its end", name);
		ret = -ECHILD;
	}
	return ret;
}

static int run_python(struct bench_run *run, const char *script)
{
	char *argv[ARGUMENTS_MAX] = {
		"python3",  (char *)script,	 "--levee", (char *)run->levee,
		"--pktgen", (char *)run->pktgen, "--dir",   (char *)run->dir,
	};

	if (!run->levee || !run->pktgen || !run->dir) {
		bench_complain("%s needs --levee, --pktgen and --dir", script);
		return -EINVAL;
	}
	if (run->quick)
		argv[8] = "--quick";
	return run_script(run, script, argv);
}

int bench_detection(struct bench_run *run)
{
	return run_python(run, "tools/bench/detection.py");
}

int bench_fast(struct bench_run *run)
{
	return run_python(run, "tools/bench/fast.py");
}

int bench_service(struct bench_run *run)
{
	return run_python(run, "tools/bench/service.py");
}
