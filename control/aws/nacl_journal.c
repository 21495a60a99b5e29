/* SPDX-License-Identifier: BSD-2-Clause */
#include "control/aws/nacl_journal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <jansson.h>

#include "control/log.h"

#define FILE_BYTES (8 * 1024 * 1024) /* far above what a push writes */
#define TRIM_BYTES (256 * 1024)
/* A call that was sent by a process that died is over by then, one way or the other. */
#define IN_FLIGHT_MS 60000

struct levee_nacl_journal {
	char *path;
	int fd; /* -1: in memory alone */
	bool read_only;
	bool whole;
	int error;
	int64_t settle_ms;
	char boot_id[40];
	struct levee_nacl_write *writes; /* oldest first */
	int64_t *at_ms;			 /* boot time when each was over */
	size_t n, room;
	bool open; /* the last one has no outcome yet */
	size_t bytes;
};

static int64_t clock_ms(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int64_t levee_nacl_boot_ms(void)
{
	return clock_ms(CLOCK_BOOTTIME);
}

static void read_boot_id(char out[static 40])
{
	FILE *in = fopen("/proc/sys/kernel/random/boot_id", "re");

	if (!in || !fgets(out, 40, in))
		snprintf(out, 40, "unknown"); /* then the wall clock will do */
	out[strcspn(out, "\n")] = '\0';
	if (in)
		fclose(in);
}

/* ---- a step as JSON ---- */

static const char *const type_names[] = {
	[LEVEE_NACL_STEP_MARK] = "mark",       [LEVEE_NACL_STEP_CREATE] = "create",
	[LEVEE_NACL_STEP_REPLACE] = "replace", [LEVEE_NACL_STEP_DELETE] = "delete",
	[LEVEE_NACL_STEP_SWITCH] = "switch",
};

static const char *const outcome_names[] = {
	[LEVEE_NACL_DONE] = "done",
	[LEVEE_NACL_UNSURE] = "unsure",
	[LEVEE_NACL_REFUSED] = "refused",
};

static int index_of(const char *const *names, size_t n, const char *name)
{
	for (size_t i = 0; name && i < n; i++)
		if (!strcmp(names[i], name))
			return (int)i;
	return -1;
}

static json_t *write_step(const struct levee_nacl_step *step)
{
	const struct levee_nacl_entry *e = &step->entry;
	char cidr[LEVEE_PREFIX_TEXT] = "", mark[LEVEE_NACL_MARK_TEXT] = "";

	if (e->cidr.family)
		levee_prefix_format(&e->cidr, cidr);
	if (step->type == LEVEE_NACL_STEP_MARK)
		levee_nacl_mark_write(&step->mark, mark);
	return json_pack(
		"{s:s, s:s, s:s, s:s, s:s, s:i, s:b, s:i, s:i, s:[i,i], s:[i,i], s:s, s:s}", "type",
		type_names[step->type], "acl", step->acl, "from", step->other_acl, "subnet",
		step->subnet, "association", step->association, "number", (int)e->number, "egress",
		(int)e->egress, "action", (int)e->action, "protocol", (int)e->protocol, "icmp",
		(int)e->icmp_type, (int)e->icmp_code, "ports", (int)e->port_first,
		(int)e->port_last, "cidr", cidr, "mark", mark);
}

/* \return 0; -EBADMSG if it is no step */
static int read_step(struct levee_nacl_step *step, const json_t *json)
{
	const char *type, *acl, *from, *subnet, *association, *cidr, *mark;
	int number, egress, action, protocol, icmp[2], ports[2], index;
	struct levee_nacl_entry *e = &step->entry;

	if (json_unpack((json_t *)(uintptr_t)json,
			"{s:s, s:s, s:s, s:s, s:s, s:i, s:b, s:i, s:i, s:[i,i], s:[i,i], s:s, s:s}",
			"type", &type, "acl", &acl, "from", &from, "subnet", &subnet, "association",
			&association, "number", &number, "egress", &egress, "action", &action,
			"protocol", &protocol, "icmp", &icmp[0], &icmp[1], "ports", &ports[0],
			&ports[1], "cidr", &cidr, "mark", &mark))
		return -EBADMSG;
	index = index_of(type_names, sizeof(type_names) / sizeof(*type_names), type);
	if (index < 0 || number < 0 || number > UINT16_MAX)
		return -EBADMSG;
	levee_nacl_say(step, (enum levee_nacl_step_type)index, LEVEE_NACL_WHY_NONE, acl, subnet);
	levee_nacl_put_id(step->other_acl, from);
	levee_nacl_put_id(step->association, association);
	*e = (struct levee_nacl_entry){ .number = (uint16_t)number,
					.egress = egress,
					.action = action ? LEVEE_NACL_ALLOW : LEVEE_NACL_DENY,
					.protocol = (int16_t)protocol,
					.icmp_type = (int16_t)icmp[0],
					.icmp_code = (int16_t)icmp[1],
					.port_first = (uint16_t)ports[0],
					.port_last = (uint16_t)ports[1] };
	if (*cidr && levee_prefix_parse(&e->cidr, cidr, strlen(cidr), NULL))
		return -EBADMSG;
	if (step->type == LEVEE_NACL_STEP_MARK && levee_nacl_mark_read(&step->mark, mark))
		return -EBADMSG;
	return 0;
}

/* ---- the list ---- */

static int add(struct levee_nacl_journal *j, const struct levee_nacl_step *step, int64_t at_ms)
{
	if (j->n == j->room) {
		size_t room = j->room ? 2 * j->room : 32;
		struct levee_nacl_write *writes = reallocarray(j->writes, room, sizeof(*writes));
		int64_t *times;

		if (writes)
			j->writes = writes;
		times = reallocarray(j->at_ms, room, sizeof(*times));
		if (times)
			j->at_ms = times;
		if (!writes || !times)
			return -ENOMEM;
		j->room = room;
	}
	j->writes[j->n].step = *step;
	j->writes[j->n].outcome = LEVEE_NACL_UNSURE;
	j->at_ms[j->n++] = at_ms;
	return 0;
}

static void drop_old(struct levee_nacl_journal *j, int64_t read_ms)
{
	size_t old = 0;

	/* The one that is on its way has no end yet. */
	while (old < j->n - (j->open && j->n) && j->at_ms[old] + j->settle_ms <= read_ms)
		old++;
	if (!old)
		return;
	j->n -= old;
	memmove(j->writes, j->writes + old, j->n * sizeof(*j->writes));
	memmove(j->at_ms, j->at_ms + old, j->n * sizeof(*j->at_ms));
}

/* ---- the file ---- */

/* From now on the file would lie: an empty one makes the next process wait. */
static void give_up(struct levee_nacl_journal *j, int error)
{
	j->error = error;
	if (ftruncate(j->fd, 0) < 0 && j->path)
		unlink(j->path);
}

static void put_line(struct levee_nacl_journal *j, json_t *line)
{
	char *text;
	size_t n;

	if (j->fd < 0 || j->error || !line) {
		json_decref(line);
		return;
	}
	json_object_set_new(line, "boot", json_string(j->boot_id));
	json_object_set_new(line, "boot_ms", json_integer(levee_nacl_boot_ms()));
	json_object_set_new(line, "unix_ms", json_integer(clock_ms(CLOCK_REALTIME)));
	text = json_dumps(line, JSON_COMPACT);
	json_decref(line);
	n = text ? strlen(text) : 0;
	if (text) {
		text[n] = '\n'; /* in the place of its NUL: see below */
		errno = 0;
		if (write(j->fd, text, n + 1) != (ssize_t)(n + 1) || fdatasync(j->fd) < 0)
			give_up(j, errno ? -errno : -ENOSPC);
		j->bytes += n + 1;
	}
	free(text);
}

/* When it was, in boot time of now. */
static int64_t time_of(const struct levee_nacl_journal *j, const json_t *line)
{
	const char *boot = json_string_value(json_object_get(line, "boot"));
	int64_t boot_ms = json_integer_value(json_object_get(line, "boot_ms"));
	int64_t unix_ms = json_integer_value(json_object_get(line, "unix_ms"));
	int64_t now_ms = levee_nacl_boot_ms(), age_ms;

	age_ms = boot && !strcmp(boot, j->boot_id) ? now_ms - boot_ms
						   : clock_ms(CLOCK_REALTIME) - unix_ms;
	return age_ms > 0 ? now_ms - age_ms : now_ms;
}

/* "begin": nothing is known of the time before it. "whole": there was nothing to know. */
static bool take_start(struct levee_nacl_journal *j, const char *name, int64_t at_ms)
{
	if (!strcmp(name, "begin"))
		j->whole = at_ms + j->settle_ms <= levee_nacl_boot_ms();
	else if (!strcmp(name, "whole"))
		j->whole = true;
	else
		return false;
	return true;
}

static void take_outcome(struct levee_nacl_journal *j, const char *name, int64_t at_ms)
{
	int index = index_of(outcome_names, 3, name);

	if (!j->open)
		return;
	j->open = false;
	j->at_ms[j->n - 1] = at_ms;
	if (index >= 0)
		j->writes[j->n - 1].outcome = (enum levee_nacl_outcome)index;
	else if (!strcmp(name, "none"))
		j->n--;
}

/* \return 0; -EBADMSG; -ENOMEM */
static int take_line(struct levee_nacl_journal *j, const char *text, size_t n)
{
	json_t *line = json_loadb(text, n, 0, NULL);
	const char *outcome = json_string_value(json_object_get(line, "outcome"));
	struct levee_nacl_step step;
	int64_t at_ms, now_ms = levee_nacl_boot_ms();
	int ret = -EBADMSG;

	if (line && outcome) {
		at_ms = time_of(j, line);
		if (!take_start(j, outcome, at_ms))
			take_outcome(j, outcome, at_ms);
		ret = 0;
	} else if (line) {
		ret = read_step(&step, json_object_get(line, "step"));
		if (!ret) {
			at_ms = time_of(j, line) + IN_FLIGHT_MS;
			ret = add(j, &step, at_ms < now_ms ? at_ms : now_ms);
			j->open = !ret;
		}
	}
	json_decref(line);
	return ret;
}

/* The last line may be a part of one: its write was not sent yet. \return 0; -errno */
static int take_text(struct levee_nacl_journal *j, const char *text, size_t n)
{
	bool damaged = false;
	int ret = 0;

	for (size_t at = 0, len; at < n && ret != -ENOMEM; at += len + 1) {
		const char *end = memchr(text + at, '\n', n - at);

		if (!end)
			break;
		len = (size_t)(end - (text + at));
		ret = take_line(j, text + at, len);
		damaged |= ret == -EBADMSG;
	}
	j->whole &= !damaged;
	j->open = false; /* a process that died is not going to tell */
	return ret == -ENOMEM ? ret : 0;
}

static int read_file(struct levee_nacl_journal *j, int fd)
{
	struct stat st;
	char *text;
	ssize_t n = 0, got;
	int ret;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	if (st.st_size > FILE_BYTES)
		return -EFBIG;
	text = malloc((size_t)st.st_size + 1);
	if (!text)
		return -ENOMEM;
	while (n < st.st_size) {
		got = pread(fd, text + n, (size_t)(st.st_size - n), n);
		if (got <= 0)
			break;
		n += got;
	}
	j->bytes = (size_t)n;
	ret = take_text(j, text, (size_t)n);
	free(text);
	return ret;
}

static json_t *step_line(const struct levee_nacl_step *step)
{
	return json_pack("{s:o}", "step", write_step(step));
}

static json_t *outcome_line(const char *name)
{
	return json_pack("{s:s}", "outcome", name);
}

/* Only when nothing is recent: so no line need be written twice. */
static void trim(struct levee_nacl_journal *j)
{
	if (j->n || j->bytes <= TRIM_BYTES || j->fd < 0 || j->error || !j->whole)
		return;
	if (ftruncate(j->fd, 0) < 0) {
		give_up(j, -errno);
		return;
	}
	j->bytes = 0;
	put_line(j, outcome_line("whole"));
}

/* Made by root for a daemon that is not: it belongs to whom its directory belongs to. */
static void give_away(const struct levee_nacl_journal *j, int fd)
{
	char *slash, *directory = geteuid() ? NULL : strdup(j->path);
	struct stat st;

	slash = directory ? strrchr(directory, '/') : NULL;
	if (slash) {
		slash[slash == directory] = '\0';
		/* If that fails it stays root's, which the daemon will say. */
		if (!stat(directory, &st) && fchown(fd, st.st_uid, st.st_gid) < 0)
			levee_debug("%s: %s", j->path, strerror(errno));
	}
	free(directory);
}

static int open_file(struct levee_nacl_journal *j)
{
	int flags = j->read_only ? O_RDONLY : O_RDWR | O_CREAT | O_APPEND;
	int fd = open(j->path, flags | O_CLOEXEC | O_NOFOLLOW, 0600), ret;

	if (fd < 0)
		return j->read_only && errno == ENOENT ? 0 : -errno;
	if (!j->read_only)
		give_away(j, fd);
	if (!j->read_only && flock(fd, LOCK_EX | LOCK_NB) < 0) {
		ret = errno == EWOULDBLOCK ? -EWOULDBLOCK : -errno;
		close(fd);
		return ret;
	}
	ret = read_file(j, fd);
	if (j->read_only || ret) {
		close(fd);
		return ret;
	}
	j->fd = fd;
	drop_old(j, levee_nacl_boot_ms());
	if (!j->bytes)
		put_line(j, outcome_line("begin"));
	trim(j);
	return 0;
}

int levee_nacl_journal_open(struct levee_nacl_journal **out, const char *path, bool read_only,
			    uint64_t settle_ms)
{
	struct levee_nacl_journal *j = calloc(1, sizeof(*j));
	int ret = j ? 0 : -ENOMEM;

	*out = j;
	if (ret)
		return ret;
	j->fd = -1;
	j->read_only = read_only;
	j->settle_ms = (int64_t)settle_ms;
	read_boot_id(j->boot_id);
	if (!path)
		return 0;
	j->path = strdup(path);
	ret = j->path ? open_file(j) : -ENOMEM;
	if (ret)
		levee_nacl_journal_close(out);
	return ret;
}

void levee_nacl_journal_close(struct levee_nacl_journal **journal)
{
	struct levee_nacl_journal *j = *journal;

	*journal = NULL;
	if (!j)
		return;
	if (j->fd >= 0)
		close(j->fd);
	free(j->path);
	free(j->writes);
	free(j->at_ms);
	free(j);
}

bool levee_nacl_journal_is_whole(const struct levee_nacl_journal *journal)
{
	return journal->whole;
}

void levee_nacl_journal_vouch(struct levee_nacl_journal *journal)
{
	if (journal->whole)
		return;
	journal->whole = true;
	put_line(journal, outcome_line("whole"));
}

int levee_nacl_journal_error(const struct levee_nacl_journal *journal)
{
	return journal->error;
}

int levee_nacl_journal_begin(struct levee_nacl_journal *journal, const struct levee_nacl_step *step)
{
	int ret = add(journal, step, INT64_MAX / 2);

	if (ret)
		return ret;
	journal->open = true;
	put_line(journal, step_line(step));
	return 0;
}

void levee_nacl_journal_end(struct levee_nacl_journal *journal, enum levee_nacl_outcome outcome,
			    bool forget)
{
	if (!journal->open)
		return;
	journal->open = false;
	put_line(journal, outcome_line(forget ? "none" : outcome_names[outcome]));
	if (forget) {
		journal->n--;
		return;
	}
	journal->writes[journal->n - 1].outcome = outcome;
	journal->at_ms[journal->n - 1] = levee_nacl_boot_ms();
}

void levee_nacl_journal_recent(struct levee_nacl_journal *journal, int64_t read_ms,
			       const struct levee_nacl_write **list, size_t *n)
{
	drop_old(journal, read_ms);
	trim(journal);
	*list = journal->writes;
	*n = journal->n;
}
