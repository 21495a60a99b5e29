/* SPDX-License-Identifier: BSD-2-Clause */
#include "control/aws/process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <openssl/crypto.h>

#define MAX_WORDS 64
#define LOOK_MS	  100 /* how often a call-off is noticed */
#define FAILED	  "CredentialsFailed"

extern char **environ;

/* ---- words ---- */

/* The next word, its quotes taken off. *at moves behind it. 0: none left. */
static int next_word(const char **at, struct levee_aws_text *word)
{
	const char *c = *at + strspn(*at, " \t\r\n");
	char quote = '\0';

	if (!*c)
		return 0;
	levee_aws_text_add(word, "", 0);
	for (; *c && (quote || !strchr(" \t\r\n", *c)); c++) {
		if (quote && *c == quote) {
			quote = '\0';
		} else if (!quote && (*c == '"' || *c == '\'')) {
			quote = *c;
		} else if (*c == '\\' && quote != '\'' && (!quote || c[1] == '"' || c[1] == '\\')) {
			if (!*++c)
				return -EINVAL;
			levee_aws_text_putc(word, *c);
		} else {
			levee_aws_text_putc(word, *c);
		}
	}
	*at = c;
	if (quote)
		return -EINVAL;
	return word->error ? word->error : 1;
}

void levee_aws_words_free(char **words)
{
	if (!words)
		return;
	for (size_t i = 0; words[i]; i++)
		levee_aws_wipe_string(words[i]);
	free(words);
}

int levee_aws_words(const char *command, char ***out)
{
	char **words = calloc(MAX_WORDS + 1, sizeof(*words));
	struct levee_aws_text word;
	size_t n = 0;
	int ret;

	*out = NULL;
	if (!words)
		return -ENOMEM;
	do {
		levee_aws_text_init(&word, strlen(command) + 1);
		ret = next_word(&command, &word);
		if (ret == 1 && n == MAX_WORDS)
			ret = -EINVAL;
		if (ret == 1)
			words[n++] = word.bytes;
		else
			levee_aws_text_free(&word);
	} while (ret == 1);
	if (ret == 0 && n == 0)
		ret = -EINVAL;
	if (ret < 0)
		levee_aws_words_free(words);
	else
		*out = words;
	return ret;
}

/* ---- running ---- */

/* A program that started, and where it writes to. */
struct child {
	pid_t pid;
	int pidfd;
	int out;
};

static int set_attributes(posix_spawnattr_t *attributes)
{
	sigset_t none, all;
	int ret;

	/* what our own threads block or ignore is nothing to hand down */
	sigemptyset(&none);
	sigfillset(&all);
	ret = posix_spawnattr_setsigmask(attributes, &none);
	if (ret == 0)
		ret = posix_spawnattr_setsigdefault(attributes, &all);
	if (ret == 0)
		ret = posix_spawnattr_setpgroup(attributes, 0);
	if (ret == 0)
		ret = posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETPGROUP |
								   POSIX_SPAWN_SETSIGMASK |
								   POSIX_SPAWN_SETSIGDEF);
	return ret;
}

static int set_files(posix_spawn_file_actions_t *files, int out)
{
	int ret = posix_spawn_file_actions_addopen(files, 0, "/dev/null", O_RDONLY, 0);

	if (ret == 0)
		ret = posix_spawn_file_actions_adddup2(files, out, 1);
	if (ret == 0)
		ret = posix_spawn_file_actions_addopen(files, 2, "/dev/null", O_WRONLY, 0);
	if (ret == 0)
		ret = posix_spawn_file_actions_addclosefrom_np(files, 3);
	return ret;
}

static int spawn(struct child *child, char *const *words, int out)
{
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attributes;
	int ret = posix_spawn_file_actions_init(&files);

	if (ret)
		return -ret;
	ret = posix_spawnattr_init(&attributes);
	if (ret == 0) {
		ret = set_attributes(&attributes);
		if (ret == 0)
			ret = set_files(&files, out);
		if (ret == 0)
			ret = posix_spawnp(&child->pid, words[0], &files, &attributes, words,
					   environ);
		posix_spawnattr_destroy(&attributes);
	}
	posix_spawn_file_actions_destroy(&files);
	return -ret;
}

static int start(struct child *child, char *const *words)
{
	int ends[2], ret;

	*child = (struct child){ .pid = -1, .pidfd = -1, .out = -1 };
	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	ret = spawn(child, words, ends[1]);
	close(ends[1]);
	child->out = ends[0];
	if (ret < 0)
		return ret;
	child->pidfd = (int)syscall(SYS_pidfd_open, child->pid, 0);
	if (child->pidfd < 0)
		return -errno;
	return fcntl(child->out, F_SETFL, O_NONBLOCK) < 0 ? -errno : 0;
}

/* The whole group: what the program started may still hold its output. Always reaps. */
static int finish(struct child *child)
{
	int status = -1;

	if (child->pid > 0) {
		kill(-child->pid, SIGKILL);
		while (waitpid(child->pid, &status, 0) < 0 && errno == EINTR)
			;
	}
	if (child->pidfd >= 0)
		close(child->pidfd);
	if (child->out >= 0)
		close(child->out);
	return status;
}

/* All that is there. 0: the end; 1: more may come; -errno. */
static int drain(int fd, struct levee_aws_text *out)
{
	char bytes[4096];
	ssize_t n;

	while ((n = read(fd, bytes, sizeof(bytes))) > 0 || (n < 0 && errno == EINTR)) {
		if (n < 0)
			continue;
		levee_aws_text_add(out, bytes, (size_t)n);
		OPENSSL_cleanse(bytes, sizeof(bytes));
		if (out->error)
			return out->error;
	}
	if (n == 0)
		return 0;
	return errno == EAGAIN ? 1 : -errno;
}

static int64_t boot_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_BOOTTIME, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Until the program ends, which is when its output is complete, whoever else holds it open. */
static int watch(struct child *child, const struct levee_aws_env *env, uint32_t timeout_ms,
		 struct levee_aws_text *out)
{
	struct pollfd fds[2] = { { .fd = child->pidfd, .events = POLLIN },
				 { .fd = child->out, .events = POLLIN } };
	int64_t end = boot_ms() + timeout_ms;
	int ret;

	for (;;) {
		if (poll(fds, 2, LOOK_MS) < 0 && errno != EINTR)
			return -errno;
		ret = fds[1].fd >= 0 ? drain(child->out, out) : 0;
		if (ret < 0)
			return ret;
		if (ret == 0)
			fds[1].fd = -1;
		if (fds[0].revents)
			return 0;
		if (env->cancelled(env->ctx))
			return -ECANCELED;
		if (boot_ms() >= end)
			return -ETIMEDOUT;
	}
}

/* The program's own end, before finish() kills what is left of its group. */
static int exit_status(const struct child *child)
{
	siginfo_t info = { 0 };

	if (waitid(P_PID, (id_t)child->pid, &info, WEXITED | WNOWAIT | WNOHANG) < 0 ||
	    info.si_code != CLD_EXITED)
		return -1;
	return info.si_status;
}

static int say(struct levee_aws_error *error, int ret, const char *name, uint32_t timeout_ms)
{
	switch (ret) {
	case -ETIMEDOUT:
		return levee_aws_error_set(error, ret, FAILED, "%s: no end within %u s", name,
					   timeout_ms / 1000);
	case -ECANCELED:
		return levee_aws_error_set(error, ret, "Cancelled", "%s: called off", name);
	case -EFBIG:
		return levee_aws_error_set(error, ret, FAILED, "%s: too much output", name);
	case -EIO:
		return levee_aws_error_set(error, ret, FAILED,
					   "%s: ended with an error; run it by hand as the same "
					   "user to see why",
					   name);
	default:
		return levee_aws_error_set(error, ret, FAILED, "%s: %s", name, strerror(-ret));
	}
}

int levee_aws_run(const char *command, const struct levee_aws_env *env, uint32_t timeout_ms,
		  struct levee_aws_text *out, struct levee_aws_error *error)
{
	struct child child;
	char **words, name[128];
	int ret = levee_aws_words(command, &words);

	if (ret < 0)
		return levee_aws_error_set(error, ret, FAILED,
					   "a command without words, or with an open quote");
	/* the program's name alone: its arguments may be secrets */
	strncpy(name, words[0], sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	ret = start(&child, words);
	if (ret == 0)
		ret = watch(&child, env, timeout_ms, out);
	if (ret == 0 && exit_status(&child) != 0)
		ret = -EIO;
	finish(&child);
	levee_aws_words_free(words);
	return ret < 0 ? say(error, ret, name, timeout_ms) : 0;
}
