/* SPDX-License-Identifier: BSD-2-Clause */
/* Speed of `levee replay`, the program itself, on files that are made for it and removed again. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tools/bench/sections.h"

#define REPLAYS 3

extern char **environ;

struct input {
	const char *key;
	const char *label;
	const char *file; /* in the directory for files */
	unsigned long records;
	/* of a CSV; bins == 0: a pcap */
	unsigned int bins;
	unsigned int sources; /* in each bin, in random order, each once */
	unsigned int all;     /* sources there are */
};

static const struct input inputs[] = {
	{ "csv", "CSV, 60 bins of 50,000 sources out of 100,000", "bench.csv", 3000000, 60, 50000,
	  100000 },
	{ "day", "CSV, a day: 1,440 bins of 2,000 sources out of 4,000", "day.csv", 2880000, 1440,
	  2000, 4000 },
	{ "pcap", "pcap, scenario blog-waves", "bench.pcap", 2000000, 0, 0, 0 },
};

static void path_of(const struct bench_run *run, const struct input *input, char path[PATH_MAX])
{
	snprintf(path, PATH_MAX, "%s/%s", run->dir, input->file);
}

/* Run a program to its end, its output thrown away. \return 0; -errno, said */
static int run_program(char *const argv[], double *seconds)
{
	posix_spawn_file_actions_t actions;
	double begin = bench_wall_ns();
	int status = 0, ret;
	pid_t pid;

	ret = -posix_spawn_file_actions_init(&actions);
	if (ret)
		return ret;
	posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
	ret = -posix_spawn(&pid, argv[0], &actions, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	if (!ret && waitpid(pid, &status, 0) < 0)
		ret = -errno;
	*seconds = (bench_wall_ns() - begin) / 1e9;
	if (!ret && status)
		ret = -ECHILD;
	if (ret)
		bench_complain("%s failed: %s (status %d)", argv[0], strerror(-ret), status);
	return ret;
}

static int make_pcap(const struct bench_run *run, const struct input *input, char *path)
{
	char packets[24];
	char *argv[] = { (char *)run->pktgen,	"--pcap", path, "--packets", packets,
			 (char *)run->scenario, NULL };
	double seconds;

	snprintf(packets, sizeof(packets), "%lu", input->records);
	return run_program(argv, &seconds);
}

/* Times rise; which source comes when, and with how many packets, is the same in every run. */
static void write_csv(const struct input *input, FILE *out)
{
	unsigned int step = 7919; /* prime, and no divisor of `all`: no source twice in a bin */
	unsigned int state = 1;

	for (unsigned int bin = 0; bin < input->bins; bin++)
		for (unsigned int i = 0; i < input->sources; i++) {
			unsigned int n =
				(unsigned int)((unsigned long)(i + bin) * step % input->all);
			unsigned int at = i * 60 / input->sources;

			state = state * 1664525 + 1013904223;
			fprintf(out, "%u,10.%u.%u.%u,%u\n", 1767225600 + bin * 60 + at, n >> 16,
				n >> 8 & 255, n & 255, 1 + (state >> 24) + (n < 20 ? 15000 : 0));
		}
}

static int make_csv(const struct input *input, const char *path)
{
	FILE *out = fopen(path, "we");
	int ret;

	if (!out)
		return -errno;
	write_csv(input, out);
	ret = ferror(out) ? -EIO : 0;
	if (fclose(out) && !ret)
		ret = -errno;
	return ret;
}

static int measure(struct bench_run *run, const struct input *input)
{
	char path[PATH_MAX];
	char *argv[] = { (char *)run->levee, "replay", "--format", "json", path, NULL };
	struct bench_samples rate = { 0 };
	double seconds = 0;
	char key[64];
	int ret;

	path_of(run, input, path);
	bench_progress("replay: %s", input->label);
	ret = input->bins ? make_csv(input, path) : make_pcap(run, input, path);
	if (ret)
		bench_complain("cannot make %s: %s", path, strerror(-ret));
	for (int i = 0; i <= REPLAYS && !ret; i++) {
		ret = run_program(argv, &seconds);
		if (i) /* the first one fills the page cache */
			bench_add(&rate, (double)input->records / 1e6 / seconds);
	}
	unlink(path);
	if (ret)
		return ret;
	snprintf(key, sizeof(key), "replay.%s", input->key);
	bench_note(bench_report_figure(&run->report, "M rec/s", &rate, key, "%s", input->label),
		   "%lu records in %.2f s", input->records,
		   (double)input->records / 1e6 / bench_figure(&rate).median);
	return 0;
}

int bench_replay(struct bench_run *run)
{
	int ret = 0;

	if (!run->levee || !run->pktgen || !run->scenario || !run->dir) {
		bench_complain("replay needs --levee, --pktgen, --scenario and --dir");
		return -EINVAL;
	}
	bench_section(&run->report, "replay", "levee replay, verdicts as JSON",
		      "wall time of the whole program, file in the page cache");
	for (size_t i = 0; i < sizeof(inputs) / sizeof(inputs[0]) && !ret; i++)
		ret = measure(run, &inputs[i]);
	return ret;
}
