/* SPDX-License-Identifier: BSD-2-Clause */
/* The thread: contact with the engine, turns, and the queues between it and the controller. */
#include "control/fleet/fleet.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "control/fleet/fleet_internal.h"

#include "levee_version.h"

#define NS_PER_MS      1000000ULL
#define FULL_MS	       60000 /* all entries are compared this often, whatever was heard */
#define RETRY_MAX_MS   10000
#define PASSWORD_MAX   512
#define SHARES_WAIT_MS 20
#define CLOCKS_MS      86400000 /* that clocks may differ */
#define NOT_DECIDING   "not in contact yet"

uint64_t levee_fleet_boot_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_BOOTTIME, &t);
	return (uint64_t)t.tv_sec * LEVEE_NS_PER_S + (uint64_t)t.tv_nsec;
}

uint64_t levee_fleet_unix_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / NS_PER_MS;
}

void levee_fleet_say(struct levee_fleet *f, bool problem, const char *format, ...)
{
	char message[640];
	va_list args;

	if (!f->options.say)
		return;
	va_start(args, format);
	vsnprintf(message, sizeof(message), format, args);
	va_end(args);
	f->options.say(f->options.ctx, problem, message);
}

static void wake(int fd)
{
	uint64_t one = 1;

	if (write(fd, &one, sizeof(one)) < 0)
		return; /* full: whoever reads it will wake up anyway */
}

static void drain_fd(int fd)
{
	uint64_t n;

	if (read(fd, &n, sizeof(n)) < 0)
		return; /* it was not set */
}

/* ---- the password ------------------------------------------------------------------------ */

static void wipe(char **secret)
{
	if (*secret)
		OPENSSL_cleanse(*secret, strlen(*secret));
	free(*secret);
	*secret = NULL;
}

/* First line of the file. \return the caller wipes it; NULL and `why` */
static char *read_password(const char *path, char why[static LEVEE_LINK_WHY])
{
	char line[PASSWORD_MAX] = "", *copy = NULL;
	ssize_t n = 0;
	int fd;

	if (!path[0])
		return strdup("");
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0)
		n = read(fd, line, sizeof(line) - 1);
	if (fd < 0 || n < 0)
		snprintf(why, LEVEE_LINK_WHY, "[fleet] password_file %.150s cannot be read: %s",
			 path, strerror(errno));
	if (fd >= 0)
		close(fd);
	if (fd < 0 || n < 0)
		return NULL;
	line[n] = '\0';
	line[strcspn(line, "\r\n")] = '\0';
	if (line[0])
		copy = strdup(line);
	else
		snprintf(why, LEVEE_LINK_WHY,
			 "[fleet] password_file %.150s: its first line is empty", path);
	OPENSSL_cleanse(line, sizeof(line));
	return copy;
}

int levee_fleet_open_engine(const struct levee_fleet *f, struct levee_engine **engine,
			    char **password, char why[static LEVEE_LINK_WHY])
{
	struct levee_link_params params = { .host = f->url.host,
					    .port = f->url.port,
					    .tls = f->url.tls,
					    .ca_file = f->options.ca_file,
					    .user = f->url.user,
					    .db = f->url.db,
					    .timeout_ms = LEVEE_FLEET_ANSWER };

	*engine = NULL;
	wipe(password);
	*password = read_password(f->options.password_file, why);
	if (!*password)
		return -EACCES;
	params.password = *password;
	return levee_engine_open(engine, &params, why);
}

/* ---- contact ----------------------------------------------------------------------------- */

static void show_state(struct levee_fleet *f, bool together, const char *why)
{
	bool changed, other_why;

	pthread_mutex_lock(&f->lock);
	changed = f->shown.together != together;
	other_why = !together && strcmp(f->shown.why, why) != 0;
	if (changed) {
		f->shown.since_unix_ms = levee_fleet_unix_ms();
		f->shown.outages += !together;
	}
	f->shown.together = together;
	snprintf(f->shown.why, sizeof(f->shown.why), "%s", together ? "" : why);
	pthread_mutex_unlock(&f->lock);
	atomic_store(&f->together, together);
	atomic_store(&f->settled, true);
	if (changed && together)
		levee_fleet_say(f, false,
				"together with fleet %s at %s:%s: findings are the fleet's",
				f->options.name, f->url.host, f->url.port);
	else if (changed || other_why)
		levee_fleet_say(f, true,
				"alone: %s. This node goes on with its own detector, and blocks in "
				"force stay",
				why);
}

static void lose_contact(struct levee_fleet *f, int error, const char *reason)
{
	char why[LEVEE_LINK_WHY];
	uint64_t wait_ms;

	snprintf(why, sizeof(why), "%s",
		 reason					       ? reason
		 : f->engine && levee_engine_why(f->engine)[0] ? levee_engine_why(f->engine)
		 : f->events && levee_link_why(f->events)[0]   ? levee_link_why(f->events)
		 : error == -EPROTO
			 ? "its answers make no sense: is [fleet] url that of a Redis or "
			   "Valkey server, 7 or later?"
			 : strerror(-error));
	levee_fleet_lead_end(f);
	pthread_mutex_lock(&f->lock);
	levee_lease_drop(&f->lease);
	f->shown.holder[0] = '\0';
	pthread_mutex_unlock(&f->lock);
	levee_engine_close(&f->engine);
	levee_link_close(&f->events);
	wipe(&f->password);
	/* A moved slot or a restarted server: once more at once, then with growing pauses. */
	wait_ms = error == -ESTALE && !f->tries ? 0 : 250ULL << (f->tries < 6 ? f->tries : 6);
	if (wait_ms > RETRY_MAX_MS)
		wait_ms = RETRY_MAX_MS;
	wait_ms += wait_ms * (levee_fleet_boot_ns() / 1000 % 256) / 1024;
	f->tries++;
	f->next_try_ns = levee_fleet_boot_ns() + wait_ms * NS_PER_MS;
	if (wait_ms)
		show_state(f, false, why);
}

static bool is_word(const redisReply *reply)
{
	return reply->type == REDIS_REPLY_STRING;
}

/* What was agreed on must be what this node is configured for. */
static int check_agreement(struct levee_fleet *f, const redisReply *r, const char *bin,
			   const char *window, char why[static LEVEE_LINK_WHY])
{
	if (r->type != REDIS_REPLY_ARRAY || r->elements != 4 || !is_word(r->element[0]) ||
	    !is_word(r->element[1]) || !is_word(r->element[2]) || !is_word(r->element[3])) {
		snprintf(why, LEVEE_LINK_WHY,
			 "the key %.150s is not a fleet's: choose another [fleet] prefix or name",
			 f->keys.meta);
		return -EEXIST;
	}
	if (strcmp(r->element[0]->str, LEVEE_FLEET_SCHEMA) != 0) {
		snprintf(why, LEVEE_LINK_WHY,
			 "fleet %.60s in the engine has schema %.20s, this levee "
			 "knows " LEVEE_FLEET_SCHEMA
			 ": run one version, or choose another [fleet] name; when the last "
			 "instance of the other version is gone: levee fleet reset",
			 f->options.name, r->element[0]->str);
		return -EPROTO;
	}
	if (strcmp(r->element[1]->str, bin) != 0 || strcmp(r->element[2]->str, window) != 0) {
		snprintf(why, LEVEE_LINK_WHY,
			 "fleet %.60s has bins of %.12s s and a window of %.12s s, this node %s s "
			 "and %s s: make [detect] bin and window the same; when all nodes are "
			 "changed: levee fleet reset",
			 f->options.name, r->element[1]->str, r->element[2]->str, bin, window);
		return -EINVAL;
	}
	if (levee_fleet_seed_parse(&f->seed, r->element[3]->str)) {
		snprintf(why, LEVEE_LINK_WHY,
			 "the seed in the key %.150s is damaged: levee fleet reset", f->keys.meta);
		return -EINVAL;
	}
	snprintf(f->seed_text, sizeof(f->seed_text), "%s", r->element[3]->str);
	return 0;
}

static int join(struct levee_fleet *f, char why[static LEVEE_LINK_WHY])
{
	unsigned char random[8 * LEVEE_FLEET_SEED_WORDS];
	char bin[16], window[16], seed[2 * sizeof(random) + 1];
	const char *argv[] = { f->keys.meta, LEVEE_FLEET_SCHEMA, bin, window, seed };
	redisReply *reply;
	int ret;

	if (RAND_bytes(random, sizeof(random)) != 1)
		return -EIO;
	for (size_t i = 0; i < sizeof(random); i++)
		snprintf(seed + 2 * i, 3, "%02x", random[i]);
	snprintf(bin, sizeof(bin), "%u", f->options.bin_s);
	snprintf(window, sizeof(window), "%u", f->options.window_s);
	levee_engine_eval(f->engine, LEVEE_SCRIPT_JOIN, 1, 5, argv, NULL);
	ret = levee_engine_receive(f->engine, LEVEE_FLEET_ANSWER, &reply);
	if (ret)
		return ret;
	ret = check_agreement(f, reply, bin, window, why);
	freeReplyObject(reply);
	return ret;
}

/* ---- beats ------------------------------------------------------------------------------- */

static double number_of(const redisReply *reply)
{
	return reply->type == REDIS_REPLY_STRING ? strtod(reply->str, NULL) : 0;
}

/* The last evaluation, as BEAT gives it. */
static void show_eval(struct levee_fleet *f, const redisReply *r)
{
	uint64_t now_ns = levee_fleet_boot_ns();
	int64_t start_s;

	if (r->type != REDIS_REPLY_ARRAY || r->elements != 9 || !is_word(r->element[0]))
		return;
	start_s = strtoll(r->element[0]->str, NULL, 10);
	if (start_s != f->newest_s) {
		f->newest_s = start_s;
		f->newest_ns = now_ns;
	}
	if (atomic_exchange(&f->threshold, (uint64_t)number_of(r->element[1])) !=
	    (uint64_t)number_of(r->element[1]))
		wake(f->order_fd); /* the data path is to be armed with it */
	pthread_mutex_lock(&f->lock);
	if (f->shown.record_s != start_s)
		f->shown.record_lag_ms = levee_fleet_unix_ms() -
					 1000 * (uint64_t)(start_s + f->options.bin_s);
	f->shown.record_s = start_s;
	f->shown.threshold = number_of(r->element[1]);
	f->shown.moments.n = (uint64_t)number_of(r->element[2]);
	f->shown.mean = number_of(r->element[3]);
	f->shown.stddev = number_of(r->element[4]);
	f->shown.findings = (size_t)number_of(r->element[5]);
	f->shown.record_nodes = (size_t)number_of(r->element[6]);
	f->shown.record_late = (size_t)number_of(r->element[7]);
	f->shown.record_missing = (size_t)number_of(r->element[8]);
	pthread_mutex_unlock(&f->lock);
}

static int take_beat(struct levee_fleet *f, const redisReply *r, uint64_t sent_ns)
{
	uint64_t now_ns = levee_fleet_boot_ns();
	int64_t half_ms = (int64_t)((now_ns - sent_ns) / 2 / NS_PER_MS);
	int ret;

	if (r->type != REDIS_REPLY_ARRAY || r->elements != 6 || !is_word(r->element[0]) ||
	    !is_word(r->element[1]) || r->element[2]->type != REDIS_REPLY_INTEGER)
		return -EPROTO;
	f->clock_ms = strtoll(r->element[0]->str, NULL, 10) + half_ms -
		      (int64_t)levee_fleet_unix_ms();
	pthread_mutex_lock(&f->lock);
	ret = levee_lease_answer(&f->lease, sent_ns, now_ns, r->element[1]->str,
				 r->element[2]->integer == 1);
	snprintf(f->shown.holder, sizeof(f->shown.holder), "%s", f->lease.holder);
	f->shown.token = f->lease.holder_token;
	f->shown.clock_ms = f->clock_ms;
	f->shown.round_trip_us = (now_ns - sent_ns) / 1000;
	f->shown.nodes = (unsigned int)r->element[5]->integer;
	levee_engine_traffic(f->engine, &f->shown.traffic);
	pthread_mutex_unlock(&f->lock);
	if (ret)
		return ret;
	show_eval(f, r->element[4]);
	f->contact_ns = now_ns;
	return 0;
}

/* Has a leader kept up? Counted from the contact, so that a new fleet has its time. */
static bool is_stale(const struct levee_fleet *f)
{
	uint64_t since_ns = f->newest_ns, now_ns = levee_fleet_boot_ns();
	uint64_t patience_s = 2 * f->options.bin_s + f->options.grace_s + 10;

	return now_ns > since_ns && now_ns - since_ns > patience_s * LEVEE_NS_PER_S;
}

static int beat(struct levee_fleet *f, redisReply **dirty)
{
	char text[160], claim[96], ttl[16];
	const char *argv[] = { f->keys.nodes, f->keys.lease, f->keys.token, f->keys.dirty,
			       f->keys.eval,  f->keys.meta,  f->node,	    text,
			       claim,	      ttl,	     "1",	    f->seed_text,
			       f->life };
	uint64_t sent_ns = levee_fleet_boot_ns();
	redisReply *reply;
	int ret;

	pthread_mutex_lock(&f->lock);
	snprintf(text, sizeof(text), "%" PRId64 " %" PRId64 " %" PRId64 " %d %s", f->joined_s,
		 f->running_s, f->done_s, atomic_load(&f->together) ? 1 : 0, LEVEE_VERSION);
	levee_lease_claim(&f->lease, claim, sizeof(claim));
	pthread_mutex_unlock(&f->lock);
	snprintf(ttl, sizeof(ttl), "%u", LEVEE_LEASE_TTL_MS);
	levee_engine_eval(f->engine, LEVEE_SCRIPT_BEAT, 6, 13, argv, NULL);
	ret = levee_engine_receive(f->engine, LEVEE_FLEET_ANSWER, &reply);
	if (ret)
		return ret;
	ret = take_beat(f, reply, sent_ns);
	f->next_beat_ns = sent_ns + LEVEE_LEASE_BEAT_MS * NS_PER_MS;
	if (ret) {
		freeReplyObject(reply);
		return ret;
	}
	freeReplyObject(*dirty);
	*dirty = reply;
	if (is_stale(f))
		show_state(f, false,
			   "no leader has finished a fleet-wide bin lately, though the engine "
			   "answers");
	else
		show_state(f, true, "");
	return 0;
}

static int make_contact(struct levee_fleet *f, redisReply **dirty)
{
	char why[LEVEE_LINK_WHY] = "";
	int ret = levee_fleet_open_engine(f, &f->engine, &f->password, why);

	f->newest_ns = levee_fleet_boot_ns();
	f->newest_s = -1;
	if (!ret)
		ret = join(f, why);
	if (!ret)
		ret = levee_fleet_listen(f);
	if (!ret)
		ret = levee_fleet_exchange_all(f);
	if (!ret)
		ret = beat(f, dirty);
	if (ret) {
		lose_contact(f, ret, why[0] ? why : NULL);
		return ret;
	}
	f->tries = 0;
	f->next_full_ns = levee_fleet_boot_ns() + FULL_MS * NS_PER_MS;
	return 0;
}

/* ---- turns ------------------------------------------------------------------------------- */

static bool has_work(struct levee_fleet *f)
{
	bool work;

	pthread_mutex_lock(&f->lock);
	work = f->queued || f->fresh.n || (f->n_fast && !levee_fleet_shares_from(f));
	pthread_mutex_unlock(&f->lock);
	return work || f->busy || f->collect.reducing || (f->collect.active && f->collect.again);
}

static int work(struct levee_fleet *f, redisReply **dirty)
{
	uint64_t now_ns = levee_fleet_boot_ns();
	int ret = 0;

	if (now_ns >= f->next_beat_ns)
		ret = beat(f, dirty);
	if (!ret)
		ret = levee_fleet_hear(f);
	if (!ret)
		ret = levee_fleet_publish(f);
	if (!ret)
		ret = levee_fleet_send_shares(f);
	if (!ret && now_ns >= f->next_full_ns) {
		f->next_full_ns = now_ns + FULL_MS * NS_PER_MS;
		ret = levee_fleet_exchange_all(f);
	}
	if (!ret)
		ret = levee_fleet_send_some(f);
	if (!ret) {
		ret = levee_fleet_lead(f, *dirty ? (*dirty)->element[3] : NULL);
		/* Marks are of one look: what is done is not done twice. */
		freeReplyObject(*dirty);
		*dirty = NULL;
	}
	return ret;
}

static bool stopping(struct levee_fleet *f)
{
	bool stop;

	pthread_mutex_lock(&f->lock);
	stop = f->stop;
	pthread_mutex_unlock(&f->lock);
	return stop;
}

static void wait_turn(struct levee_fleet *f)
{
	struct pollfd p[] = { { .fd = f->wake_fd, .events = POLLIN },
			      { .fd = f->events ? levee_link_fd(f->events) : -1,
				.events = POLLIN } };
	uint64_t now_ns = levee_fleet_boot_ns();
	uint64_t until_ns = f->engine ? f->next_beat_ns : f->next_try_ns;
	int ms = until_ns > now_ns ? (int)((until_ns - now_ns) / NS_PER_MS) + 1 : 0;

	if (f->engine && has_work(f))
		ms = 0;
	else if (f->engine && f->collect.active && ms > 100)
		ms = 100;
	if (f->engine && levee_fleet_shares_from(f) && ms > SHARES_WAIT_MS)
		ms = SHARES_WAIT_MS;
	if (poll(p, 2, ms) > 0 && p[0].revents)
		drain_fd(f->wake_fd);
}

static void resign(struct levee_fleet *f)
{
	char claim[96];
	const char *argv[] = { f->keys.lease, f->keys.nodes, claim, f->node };
	redisReply *reply;

	if (!f->engine)
		return;
	levee_lease_claim(&f->lease, claim, sizeof(claim));
	levee_engine_eval(f->engine, LEVEE_SCRIPT_RESIGN, 2, 4, argv, NULL);
	if (!levee_engine_receive(f->engine, LEVEE_FLEET_ANSWER, &reply))
		freeReplyObject(reply);
}

/* What was decided here and is not sent yet; bins are left: who starts next has them, or marks. */
static void last_words(struct levee_fleet *f)
{
	if (f->engine && !levee_fleet_publish(f))
		resign(f);
}

/* Between two bins: all of one is judged in the same way. */
static void take_verdicts(struct levee_fleet *f)
{
	if (f->collect.active)
		return;
	pthread_mutex_lock(&f->lock);
	if (f->change_verdicts) {
		f->options.detector = f->next_detector;
		f->options.blocks = f->next_blocks;
		levee_blocks_set_params(f->blocks, &f->next_blocks);
	}
	f->change_verdicts = false;
	pthread_mutex_unlock(&f->lock);
}

static void *run(void *ctx)
{
	struct levee_fleet *f = ctx;
	redisReply *dirty = NULL;
	int ret;

	while (!stopping(f)) {
		take_verdicts(f);
		if (!f->engine && levee_fleet_boot_ns() >= f->next_try_ns)
			make_contact(f, &dirty);
		if (f->engine) {
			ret = work(f, &dirty);
			if (ret)
				lose_contact(f, ret, NULL);
		}
		wait_turn(f);
	}
	last_words(f);
	freeReplyObject(dirty);
	return NULL;
}

/* ---- making and unmaking ----------------------------------------------------------------- */

static void name_node(struct levee_fleet *f)
{
	char *p;

	if (f->options.node[0])
		snprintf(f->node, sizeof(f->node), "%s", f->options.node);
	else if (gethostname(f->node, sizeof(f->node) - 1))
		snprintf(f->node, sizeof(f->node), "node-%ld", (long)getpid());
	for (p = f->node; *p; p++)
		if (!isgraph((unsigned char)*p) || *p == ':')
			*p = '_';
}

static void free_fleet(struct levee_fleet *f)
{
	levee_fleet_lead_end(f);
	levee_engine_close(&f->engine);
	levee_link_close(&f->events);
	levee_engine_close(&f->fence);
	wipe(&f->password);
	wipe(&f->fence_password);
	for (size_t i = 0; i < f->queued; i++)
		levee_fleet_bin_clear(&f->queue[i].bin);
	if (f->busy)
		levee_fleet_bin_clear(&f->job.bin);
	levee_blocks_free(&f->blocks);
	free(f->ended.entry);
	for (int allow = 0; allow < 2; allow++) {
		free(f->mirror[allow].list.entry);
		levee_prefixmap_clear(&f->mirror[allow].at);
	}
	free(f->fresh.entry);
	free(f->orders.entry);
	free(f->nodes);
	if (f->wake_fd >= 0)
		close(f->wake_fd);
	if (f->order_fd >= 0)
		close(f->order_fd);
	pthread_mutex_destroy(&f->lock);
	pthread_mutex_destroy(&f->fence_lock);
	free(f);
}

/* Without SIGPIPE, which OpenSSL's writes may raise, and without the signals of the controller. */
int levee_fleet_start(struct levee_fleet *f)
{
	sigset_t all, before;
	int ret;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	ret = pthread_create(&f->thread, NULL, run, f);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	f->started = !ret;
	return -ret;
}

int levee_fleet_new(struct levee_fleet **out, const struct levee_fleet_options *options)
{
	struct levee_fleet *f = calloc(1, sizeof(*f));
	const char *why = NULL;
	int ret;

	*out = NULL;
	if (!f)
		return -ENOMEM;
	f->options = *options;
	f->options.blocks.bin_s = options->bin_s;
	f->options.blocks.window_s = options->window_s;
	f->detector = options->detector;
	f->detect = options->detect;
	f->fast_on = options->fast;
	f->warmup_bins = options->warmup_bins;
	f->blocks = levee_blocks_new(&f->options.blocks);
	pthread_mutex_init(&f->lock, NULL);
	pthread_mutex_init(&f->fence_lock, NULL);
	f->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	f->order_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	f->done_s = f->newest_s = f->shown.record_s = f->reduced_s = -1;
	f->running_s = f->joined_s = options->first_bin_s;
	f->shown.since_unix_ms = levee_fleet_unix_ms();
	snprintf(f->shown.why, sizeof(f->shown.why), NOT_DECIDING);
	name_node(f);
	snprintf(f->life, sizeof(f->life), "%016" PRIx64 "%08" PRIx32, f->shown.since_unix_ms,
		 (uint32_t)levee_fleet_boot_ns() ^ (uint32_t)getpid() << 20);
	levee_fleet_keys_init(&f->keys, options->prefix, options->name);
	levee_lease_init(&f->lease, f->node);
	ret = levee_fleet_url_parse(&f->url, options->url, &why);
	if (ret)
		levee_fleet_say(f, true, "[fleet] url = %s: %s", options->url, why);
	else if (f->wake_fd < 0 || f->order_fd < 0)
		ret = -EMFILE;
	else if (!f->blocks)
		ret = -ENOMEM;
	if (ret) {
		free_fleet(f);
		return ret;
	}
	*out = f;
	return 0;
}

void levee_fleet_stop(struct levee_fleet **at)
{
	struct levee_fleet *f = *at;

	if (!f)
		return;
	pthread_mutex_lock(&f->lock);
	f->stop = true;
	pthread_mutex_unlock(&f->lock);
	wake(f->wake_fd);
	if (f->started)
		pthread_join(f->thread, NULL);
	free_fleet(f);
	*at = NULL;
}

/* ---- the controller's side --------------------------------------------------------------- */

void levee_fleet_remember(struct levee_fleet *f, const struct levee_offender *offender)
{
	levee_offenders_note(levee_blocks_offenders(f->blocks), offender);
}

void levee_fleet_set_limits(struct levee_fleet *f, const char *detector,
			    const struct levee_detect_params *detect, bool fast,
			    unsigned int warmup_bins)
{
	pthread_mutex_lock(&f->lock);
	f->detector = detector;
	f->detect = *detect;
	f->fast_on = fast;
	f->warmup_bins = warmup_bins;
	pthread_mutex_unlock(&f->lock);
}

void levee_fleet_set_verdicts(struct levee_fleet *f, const char *detector,
			      const struct levee_blocks_params *blocks)
{
	pthread_mutex_lock(&f->lock);
	f->next_detector = detector;
	f->next_blocks = *blocks;
	f->next_blocks.bin_s = f->options.bin_s;
	f->next_blocks.window_s = f->options.window_s;
	f->change_verdicts = true;
	pthread_mutex_unlock(&f->lock);
}

static unsigned int lanes_of(struct levee_fleet *f)
{
	unsigned int lanes = 0;

	pthread_mutex_lock(&f->lock);
	lanes |= f->detect.min_bytes ? 1U << LEVEE_LANE_BYTES : 0;
	lanes |= f->detect.min_syns ? 1U << LEVEE_LANE_SYNS : 0;
	lanes |= f->options.blocks.flows ? 1U << LEVEE_LANE_ANSWERED : 0;
	pthread_mutex_unlock(&f->lock);
	return lanes;
}

void levee_fleet_bin(struct levee_fleet *f, const struct levee_bin *bin, int64_t start_s,
		     uint64_t seq, const struct levee_fleet_held *held, size_t n_held)
{
	struct levee_fleet_job job = { .seq = seq }, dropped = { 0 };

	if (levee_fleet_bin_make(&job.bin, bin, start_s, lanes_of(f), held, n_held)) {
		levee_fleet_bin_clear(&job.bin);
		levee_fleet_say(f, true,
				"no memory for this node's bin of %" PRId64
				": the fleet will miss it",
				start_s);
		return;
	}
	pthread_mutex_lock(&f->lock);
	if (f->queued == LEVEE_FLEET_QUEUE) {
		dropped = f->queue[0];
		memmove(&f->queue[0], &f->queue[1], --f->queued * sizeof(f->queue[0]));
		f->shown.bins_lost++;
	}
	f->queue[f->queued++] = job;
	if (start_s + (int64_t)f->options.bin_s > f->running_s)
		f->running_s = start_s + (int64_t)f->options.bin_s;
	pthread_mutex_unlock(&f->lock);
	levee_fleet_bin_clear(&dropped.bin);
	wake(f->wake_fd);
}

/*
 * A command comes after what this node knew when it was given, also if that is from a node whose
 * clock is ahead.
 */
static uint64_t order_after(const struct levee_fleet *f, const struct levee_fleet_entry *entry)
{
	const struct levee_fleet_mirror *m = &f->mirror[entry->allow];
	const uint32_t *at = levee_prefixmap_get(&m->at, &entry->prefix);
	const struct levee_fleet_entry *there = at ? &m->list.entry[*at] : NULL;

	if (!there || !there->manual || there->order_ms < entry->order_ms ||
	    there->order_ms - entry->order_ms > CLOCKS_MS)
		return entry->order_ms;
	return there->order_ms + 1;
}

static void decide(struct levee_fleet *f, struct levee_fleet_entry *entry)
{
	pthread_mutex_lock(&f->lock);
	if (entry->manual)
		entry->order_ms = order_after(f, entry);
	if (levee_fleet_merge(f, entry) > 0)
		levee_fleet_entries_add(&f->fresh, entry);
	pthread_mutex_unlock(&f->lock);
	wake(f->wake_fd);
}

void levee_fleet_block(struct levee_fleet *f, const struct levee_block *block, uint64_t said_ms)
{
	struct levee_fleet_entry entry;

	levee_fleet_entry_from_block(&entry, block, f->node);
	if (entry.manual && said_ms)
		entry.order_ms = said_ms;
	decide(f, &entry);
}

void levee_fleet_lift(struct levee_fleet *f, const struct levee_prefix *prefix, uint64_t now_ms,
		      uint64_t expires_ms)
{
	struct levee_fleet_entry entry = { .prefix = *prefix,
					   .lifted = true,
					   .manual = true,
					   .order_ms = now_ms,
					   .created_ms = now_ms,
					   .expires_ms = expires_ms };

	snprintf(entry.node, sizeof(entry.node), "%s", f->node);
	decide(f, &entry);
}

void levee_fleet_allow(struct levee_fleet *f, const struct levee_prefix *prefix, bool on_list,
		       uint64_t said_ms, const char *note)
{
	struct levee_fleet_entry entry = { .prefix = *prefix,
					   .allow = true,
					   .lifted = !on_list,
					   .manual = true,
					   .kind = LEVEE_KIND_DROP,
					   .order_ms = said_ms,
					   .created_ms = said_ms };

	snprintf(entry.node, sizeof(entry.node), "%s", f->node);
	snprintf(entry.note, sizeof(entry.note), "%s", note);
	decide(f, &entry);
}

void levee_fleet_share(struct levee_fleet *f, const struct levee_prefix *source, uint64_t packets,
		       int64_t bin_start_s)
{
	struct levee_fleet_fast fast = { *source, packets, bin_start_s };
	size_t i = 0, least = 0;

	pthread_mutex_lock(&f->lock);
	for (; i < f->n_fast && levee_prefix_compare(&f->fast[i].source, source); i++)
		if (f->fast[i].packets < f->fast[least].packets)
			least = i;
	/* Full: a later share of the source says more than this one. */
	if (i < f->n_fast)
		f->fast[i] = fast;
	else if (f->n_fast < LEVEE_FLEET_FAST)
		f->fast[f->n_fast++] = fast;
	else if (f->fast[least].packets < packets)
		f->fast[least] = fast;
	pthread_mutex_unlock(&f->lock);
	wake(f->wake_fd);
}

int levee_fleet_fd(const struct levee_fleet *f)
{
	return f->order_fd;
}

bool levee_fleet_take(struct levee_fleet *f, struct levee_fleet_entry *order)
{
	bool has;

	pthread_mutex_lock(&f->lock);
	has = f->orders.taken < f->orders.n;
	if (has) {
		*order = f->orders.entry[f->orders.taken++];
	} else {
		f->orders.n = f->orders.taken = 0;
		drain_fd(f->order_fd);
	}
	pthread_mutex_unlock(&f->lock);
	return has;
}

bool levee_fleet_settled(const struct levee_fleet *f)
{
	return atomic_load(&f->settled);
}

bool levee_fleet_together(const struct levee_fleet *f)
{
	return atomic_load(&f->together);
}

uint64_t levee_fleet_threshold(const struct levee_fleet *f)
{
	return atomic_load(&f->threshold);
}

/* ---- for those who act for all ----------------------------------------------------------- */

bool levee_fleet_leads(const struct levee_fleet *constant, uint64_t *token)
{
	struct levee_fleet *f = (struct levee_fleet *)constant; /* for its lock alone */
	bool leads;

	pthread_mutex_lock(&f->lock);
	leads = levee_lease_held(&f->lease, levee_fleet_boot_ns());
	if (leads && token)
		*token = f->lease.token;
	pthread_mutex_unlock(&f->lock);
	return leads;
}

int64_t levee_fleet_call_until_ms(struct levee_fleet *f, uint64_t *token)
{
	uint64_t until_ns;

	pthread_mutex_lock(&f->lock);
	until_ns = levee_lease_call_until(&f->lease, levee_fleet_boot_ns());
	*token = f->lease.token;
	pthread_mutex_unlock(&f->lock);
	return (int64_t)(until_ns / NS_PER_MS);
}

static int ask_lease(struct levee_fleet *f, const char *claim)
{
	const char *argv[] = { "GET", f->keys.lease };
	char why[LEVEE_LINK_WHY];
	redisReply *reply;
	int ret = 0;

	if (!f->fence)
		ret = levee_fleet_open_engine(f, &f->fence, &f->fence_password, why);
	if (!ret)
		ret = levee_engine_call(f->fence, LEVEE_FLEET_ANSWER, &reply, f->keys.lease, 2,
					argv);
	if (ret) {
		levee_engine_close(&f->fence);
		return ret;
	}
	ret = is_word(reply) && strcmp(reply->str, claim) == 0 ? 0 : -EPERM;
	freeReplyObject(reply);
	return ret;
}

int levee_fleet_fence(struct levee_fleet *f, uint64_t token)
{
	char claim[96];
	uint64_t now = 0;
	int ret;

	if (!levee_fleet_leads(f, &now) || now != token)
		return -EPERM;
	snprintf(claim, sizeof(claim), "%s %" PRIu64, f->node, token);
	pthread_mutex_lock(&f->fence_lock);
	ret = ask_lease(f, claim);
	if (ret && ret != -EPERM)
		ret = ask_lease(f, claim); /* the connection was old */
	pthread_mutex_unlock(&f->fence_lock);
	return ret;
}

unsigned int levee_fleet_nodes(const struct levee_fleet *constant)
{
	struct levee_fleet *f = (struct levee_fleet *)constant;
	unsigned int n;

	pthread_mutex_lock(&f->lock);
	n = f->shown.together && f->shown.nodes ? f->shown.nodes : 1;
	pthread_mutex_unlock(&f->lock);
	return n;
}

/* ---- status ------------------------------------------------------------------------------ */

static void copy_shown(struct levee_fleet *f, struct levee_fleet_shown *shown, bool *leads)
{
	pthread_mutex_lock(&f->lock);
	*shown = f->shown;
	pthread_mutex_unlock(&f->lock);
	*leads = levee_fleet_leads(f, NULL);
}

void levee_fleet_status(void *ctx, struct levee_json *j)
{
	struct levee_fleet *f = ctx;
	struct levee_fleet_shown s;
	bool leads;

	copy_shown(f, &s, &leads);
	levee_json_string(j, "name", f->options.name);
	levee_json_string(j, "node", f->node);
	levee_json_bool(j, "together", s.together);
	levee_json_string(j, "why_alone", s.why);
	levee_json_uint(j, "since_unix_ms", s.since_unix_ms);
	levee_json_string(j, "leader", s.holder);
	levee_json_bool(j, "leads", leads);
	levee_json_uint(j, "token", s.token);
	levee_json_uint(j, "nodes", s.nodes);
	levee_json_uint(j, "round_trip_us", s.round_trip_us);
	levee_json_int(j, "engine_clock_ahead_ms", s.clock_ms);
	levee_json_object(j, "last_bin");
	levee_json_int(j, "start", s.record_s);
	levee_json_uint(j, "lag_ms", s.record_lag_ms);
	levee_json_uint(j, "nodes", s.record_nodes);
	levee_json_uint(j, "nodes_late", s.record_late);
	levee_json_uint(j, "nodes_missing", s.record_missing);
	levee_json_end(j);
	levee_json_uint(j, "n", s.moments.n);
	levee_json_double(j, "mean", s.mean);
	levee_json_double(j, "stddev", s.stddev);
	levee_json_double(j, "fast_threshold", s.threshold);
	levee_json_uint(j, "flagged", s.findings);
	levee_json_uint(j, "reduce_ms", s.reduce_ms);
	levee_json_uint(j, "bins_sent", s.bins_sent);
	levee_json_uint(j, "bins_lost", s.bins_lost);
	levee_json_uint(j, "outages", s.outages);
	levee_json_uint(j, "commands", s.traffic.commands);
	levee_json_uint(j, "bytes_out", s.traffic.bytes_out);
	levee_json_uint(j, "bytes_in", s.traffic.bytes_in);
}

static void gauge(FILE *out, const char *name, const char *type, const char *help, double value)
{
	fprintf(out, "# HELP levee_fleet_%s %s\n# TYPE levee_fleet_%s %s\nlevee_fleet_%s %.17g\n",
		name, help, name, type, name, value);
}

void levee_fleet_metrics(void *ctx, FILE *out)
{
	struct levee_fleet *f = ctx;
	struct levee_fleet_shown s;
	bool leads;

	copy_shown(f, &s, &leads);
	gauge(out, "together", "gauge", "1: the fleet decides; 0: this node is alone.", s.together);
	gauge(out, "leader", "gauge", "1: this node leads the fleet.", leads);
	gauge(out, "nodes", "gauge", "Nodes that the engine knows.", s.nodes);
	gauge(out, "last_bin_nodes", "gauge", "Nodes in the last fleet-wide bin.",
	      (double)s.record_nodes);
	gauge(out, "last_bin_missing", "gauge", "Nodes that the last fleet-wide bin lacks.",
	      (double)s.record_missing);
	gauge(out, "last_bin_lag_seconds", "gauge",
	      "From the end of the last fleet-wide bin until its result was seen here.",
	      (double)s.record_lag_ms / 1000);
	gauge(out, "round_trip_seconds", "gauge", "Time of the last beat to the engine and back.",
	      (double)s.round_trip_us / 1e6);
	gauge(out, "reduce_seconds", "gauge",
	      "What the last fleet-wide bin that this node led took to reduce.",
	      (double)s.reduce_ms / 1000);
	gauge(out, "bins_reduced_total", "counter",
	      "Fleet-wide bins that this node made, as leader.", (double)s.reduced);
	gauge(out, "bins_lost_total", "counter", "Bins of this node that never reached the fleet.",
	      (double)s.bins_lost);
	gauge(out, "outages_total", "counter", "Times that this node was left alone.",
	      (double)s.outages);
}
