/* SPDX-License-Identifier: BSD-2-Clause */
/* levee top: sources and blocks, live on the whole screen (ncurses). */
#include "control/cli/cmd_live.h"

#include <ctype.h>
#include <curses.h>
#include <locale.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "control/cli/client.h"

#define REFRESH_MS 1000
#define HEAD_LINES 4

/* A source that was counted in the last bin, or that is blocked, or both. */
struct row {
	char source[64];
	char verdict[32];
	char ends[32];
	double rate; /* packets/s: counted in the last bin, or dropped at present */
	double zscore;
	double dropped;
};

enum order { BY_RATE, BY_ZSCORE, BY_DROPPED, BY_SOURCE, ORDERS };

static const char *const order_names[ORDERS] = { "packets/s", "Z", "dropped", "source" };

struct top {
	const struct levee_client *client;
	json_t *status;
	struct row *rows;
	size_t n, room;
	size_t selected, first;
	bool holds; /* whoever is selected stays so when others overtake: an arrow was used */
	enum order order;
	char filter[64];
	char message[256];
	int failed; /* exit code of the last look; 0: it went well */
};

/* ---- what is shown ------------------------------------------------------------------------- */

static struct row *find_row(struct top *t, const char *source)
{
	struct row *more;

	for (size_t i = 0; i < t->n; i++)
		if (!strcmp(t->rows[i].source, source))
			return &t->rows[i];
	if (t->n == t->room) {
		more = reallocarray(t->rows, t->room ? 2 * t->room : 256, sizeof(*more));
		if (!more)
			return NULL;
		t->rows = more;
		t->room = t->room ? 2 * t->room : 256;
	}
	more = &t->rows[t->n++];
	*more = (struct row){ 0 };
	snprintf(more->source, sizeof(more->source), "%s", source);
	return more;
}

static void take_sources(struct top *t, const json_t *answer)
{
	const json_t *s;
	size_t i;

	json_array_foreach(json_object_get(answer, "sources"), i, s)
	{
		struct row *row = find_row(t, levee_text(s, "source"));

		if (!row)
			return;
		snprintf(row->verdict, sizeof(row->verdict), "%s", levee_text(s, "verdict"));
		row->rate = levee_real(s, "rate");
		row->zscore = levee_real(s, "zscore");
	}
}

static void take_blocks(struct top *t, const json_t *answer)
{
	const json_t *b;
	char text[32];
	size_t i;

	json_array_foreach(json_object_get(answer, "blocks"), i, b)
	{
		struct row *row = find_row(t, levee_text(b, "prefix"));

		if (!row)
			return;
		snprintf(row->verdict, sizeof(row->verdict), "%s%s",
			 levee_is(b, "in_force") ? "blocked: " : "no force: ",
			 strcmp(levee_text(b, "reason"), "detected") ? levee_text(b, "reason")
								     : levee_text(b, "by"));
		if (levee_real(b, "drop_rate") > row->rate)
			row->rate = levee_real(b, "drop_rate");
		if (levee_real(b, "max_zscore") > row->zscore)
			row->zscore = levee_real(b, "max_zscore");
		row->dropped = levee_real(b, "dropped_packets");
		if (json_is_integer(json_object_get(b, "seconds_left")))
			snprintf(row->ends, sizeof(row->ends), "%s",
				 levee_duration_words(levee_whole(b, "seconds_left"), text));
		else
			snprintf(row->ends, sizeof(row->ends), "by hand");
	}
}

static enum order sort_by;

static int compare(const void *a, const void *b)
{
	const struct row *left = a, *right = b;
	double x = sort_by == BY_RATE	   ? right->rate - left->rate
		   : sort_by == BY_ZSCORE  ? right->zscore - left->zscore
		   : sort_by == BY_DROPPED ? right->dropped - left->dropped
					   : 0;

	return x > 0 ? 1 : x < 0 ? -1 : strcmp(left->source, right->source);
}

static void leave_filtered(struct top *t)
{
	size_t kept = 0;

	for (size_t i = 0; i < t->n; i++)
		if (strstr(t->rows[i].source, t->filter) || strstr(t->rows[i].verdict, t->filter))
			t->rows[kept++] = t->rows[i];
	t->n = kept;
}

static int ask(const struct top *t, const char *path, struct levee_reply *reply)
{
	int ret = levee_client_ask(t->client, "GET", path, NULL, reply);

	if (!ret && (reply->status != 200 || !reply->json)) {
		ret = levee_client_complain(t->client, reply);
		levee_reply_clear(reply);
	}
	return ret;
}

static void keep_selected(struct top *t, const char *source)
{
	for (size_t i = 0; t->holds && i < t->n; i++)
		if (!strcmp(t->rows[i].source, source))
			t->selected = i;
}

/* \return 0; an exit code, and what was shown before stays */
static int look(struct top *t)
{
	struct levee_reply status, sources, blocks;
	char selected[sizeof(t->rows->source)];
	int ret = ask(t, "/api/v1/status", &status);

	if (ret)
		return ret;
	ret = ask(t, "/api/v1/sources?limit=500", &sources);
	if (ret) {
		levee_reply_clear(&status);
		return ret;
	}
	ret = ask(t, "/api/v1/blocks?limit=500&order=drops", &blocks);
	if (!ret) {
		snprintf(selected, sizeof(selected), "%s",
			 t->selected < t->n ? t->rows[t->selected].source : "");
		t->n = 0;
		take_sources(t, sources.json);
		take_blocks(t, blocks.json);
		leave_filtered(t);
		sort_by = t->order;
		if (t->n)
			qsort(t->rows, t->n, sizeof(*t->rows), compare);
		keep_selected(t, selected);
		json_decref(t->status);
		t->status = json_incref(status.json);
		levee_reply_clear(&blocks);
	}
	levee_reply_clear(&status);
	levee_reply_clear(&sources);
	return ret;
}

/* ---- without a terminal ---------------------------------------------------------------------- */

static void print_row(const struct row *r, FILE *out)
{
	char rate[32], dropped[32];

	fprintf(out, "%-24s %12s %9.2f %14s  %-18s %s\n", r->source, levee_grouped(r->rate, rate),
		r->zscore, levee_grouped(r->dropped, dropped), r->verdict, r->ends);
}

#define COLUMNS "%-24s %12s %9s %14s  %-18s %s"

static int print_once(struct top *t)
{
	int ret = look(t);

	if (ret)
		return ret;
	printf(COLUMNS "\n", "SOURCE", "PACKETS/S", "Z", "DROPPED", "VERDICT", "ENDS IN");
	for (size_t i = 0; i < t->n; i++)
		print_row(&t->rows[i], stdout);
	return LEVEE_EXIT_OK;
}

/* ---- on the screen --------------------------------------------------------------------------- */

/* What stands in one line; where the screen is too narrow for all, what is needed least is left out. */
struct cells {
	const char *source, *rate, *zscore, *dropped, *verdict, *ends;
};

#define WIDTH_ALL     93
#define WIDTH_ZSCORE  67
#define WIDTH_VERDICT 57

static void put_cells(int y, const struct cells *c)
{
	char line[256];

	if (COLS >= WIDTH_ALL)
		snprintf(line, sizeof(line), COLUMNS, c->source, c->rate, c->zscore, c->dropped,
			 c->verdict, c->ends);
	else if (COLS >= WIDTH_ZSCORE)
		snprintf(line, sizeof(line), "%-24s %12s %9s  %-18s", c->source, c->rate, c->zscore,
			 c->verdict);
	else if (COLS >= WIDTH_VERDICT)
		snprintf(line, sizeof(line), "%-24s %12s  %-18s", c->source, c->rate, c->verdict);
	else
		snprintf(line, sizeof(line), "%-18.18s %9s  %s", c->source, c->rate, c->verdict);
	mvprintw(y, 0, "%-*.*s", COLS, COLS, line);
}

__attribute__((format(printf, 2, 3))) static void put_line(int y, const char *format, ...)
{
	char line[512];
	va_list args;

	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	mvaddnstr(y, 0, line, COLS);
}

static void draw_head(const struct top *t)
{
	static const struct cells names = { "SOURCE",  "PACKETS/S", "Z",
					    "DROPPED", "VERDICT",   "ENDS IN" };
	const json_t *account = json_object_get(t->status, "account");
	const json_t *e = json_object_get(t->status, "evaluation");
	const json_t *blocks = json_object_get(t->status, "blocks");
	char a[32], b[32];

	put_line(0, "%slevee: %s packets/s received, %s dropped; %lld blocks, %lld flagged; %s",
		 levee_is(t->status, "ready") ? "" : "NOT READY: ",
		 levee_grouped(levee_real(account, "receive_rate"), a),
		 levee_grouped(levee_real(account, "drop_rate"), b), levee_whole(blocks, "total"),
		 levee_whole(e, "flagged"), levee_text(t->status, "mode"));
	put_line(1, "sorted by %s%s%s; threshold %.1f packets/bin: mean %.1f, deviation %.1f",
		 order_names[t->order], t->filter[0] ? ", only with " : "", t->filter,
		 levee_real(e, "threshold"), levee_real(e, "mean"), levee_real(e, "stddev"));
	attron(A_REVERSE);
	put_cells(3, &names);
	attroff(A_REVERSE);
}

static void draw_row(const struct row *r, int y, bool is_selected)
{
	char rate[32], dropped[32], zscore[32];
	struct cells cells = { r->source,  levee_grouped(r->rate, rate),
			       zscore,	   levee_grouped(r->dropped, dropped),
			       r->verdict, r->ends };

	snprintf(zscore, sizeof(zscore), "%.2f", r->zscore);
	if (is_selected)
		attron(A_REVERSE);
	else if (!strncmp(r->verdict, "blocked", 7))
		attron(A_BOLD);
	put_cells(y, &cells);
	attrset(A_NORMAL);
}

static void draw(struct top *t)
{
	int lines = LINES - HEAD_LINES - 2;

	erase();
	draw_head(t);
	if (t->n && t->selected >= t->n)
		t->selected = t->n - 1;
	if (t->selected < t->first)
		t->first = t->selected;
	if (lines > 0 && t->selected >= t->first + (size_t)lines)
		t->first = t->selected - (size_t)lines + 1;
	for (int i = 0; i < lines && t->first + (size_t)i < t->n; i++)
		draw_row(&t->rows[t->first + (size_t)i], HEAD_LINES + i,
			 t->first + (size_t)i == t->selected);
	put_line(LINES - 2, "%s", t->message);
	put_line(LINES - 1, "%s",
		 COLS > 70 ? "arrows select  s sort  / filter  b block  u unblock  a allow  q quit"
			   : "s sort / filter b/u/a change q quit");
	refresh();
}

/* One key: yes or no. */
static bool confirm(struct top *t, const char *question)
{
	int key;

	snprintf(t->message, sizeof(t->message), "%s [y/N]", question);
	draw(t);
	timeout(-1);
	key = getch();
	timeout(REFRESH_MS);
	t->message[0] = '\0';
	return key == 'y' || key == 'Y';
}

static void change(struct top *t, const char *method, const char *path, json_t *body)
{
	struct levee_reply reply;
	const char *text;

	if (levee_client_ask(t->client, method, path, body, &reply)) {
		snprintf(t->message, sizeof(t->message), "the daemon does not answer");
	} else {
		text = levee_text(reply.json, reply.status == 200 ? "message" : "error");
		snprintf(t->message, sizeof(t->message), "%s", text);
		levee_reply_clear(&reply);
	}
	json_decref(body);
}

static void on_change(struct top *t, int key)
{
	const char *source = t->n ? t->rows[t->selected].source : NULL;
	char question[160], path[128];

	if (!source)
		return;
	snprintf(question, sizeof(question), "%s %s?",
		 key == 'b'   ? "Block for an hour:"
		 : key == 'u' ? "Unblock:"
			      : "Put on the allow list:",
		 source);
	if (!confirm(t, question))
		return;
	if (key == 'u') {
		snprintf(path, sizeof(path), "/api/v1/blocks/%s", source);
		change(t, "DELETE", path, NULL);
	} else if (key == 'b') {
		change(t, "POST", "/api/v1/blocks",
		       json_pack("{s:s, s:i}", "prefix", source, "for_s", 3600));
	} else {
		change(t, "POST", "/api/v1/allow", json_pack("{s:s}", "prefix", source));
	}
}

static void read_filter(struct top *t)
{
	size_t n = 0;
	int key;

	t->filter[0] = '\0';
	timeout(-1);
	for (;;) {
		snprintf(t->message, sizeof(t->message), "only sources or verdicts with: %s",
			 t->filter);
		draw(t);
		key = getch();
		if (key == '\n' || key == KEY_ENTER || key == 27)
			break;
		if ((key == KEY_BACKSPACE || key == 127 || key == 8) && n)
			t->filter[--n] = '\0';
		else if (key < 256 && isprint(key) && n + 1 < sizeof(t->filter)) {
			t->filter[n++] = (char)key;
			t->filter[n] = '\0';
		}
	}
	timeout(REFRESH_MS);
	t->message[0] = '\0';
}

/* \return false: quit */
static bool on_key(struct top *t, int key)
{
	t->holds |= key == KEY_UP || key == KEY_DOWN || key == 'k' || key == 'j';
	switch (key) {
	case 'q':
	case 3:
		return false;
	case KEY_UP:
	case 'k':
		t->selected -= t->selected > 0;
		break;
	case KEY_DOWN:
	case 'j':
		t->selected += t->selected + 1 < t->n;
		break;
	case KEY_NPAGE:
		t->selected += 20;
		break;
	case KEY_PPAGE:
		t->selected = t->selected > 20 ? t->selected - 20 : 0;
		break;
	case 's':
		t->order = (enum order)((t->order + 1) % ORDERS);
		break;
	case '/':
		read_filter(t);
		break;
	case 'b':
	case 'u':
	case 'a':
		on_change(t, key);
		break;
	default:
		break;
	}
	return true;
}

static int run_screen(struct top *t)
{
	int errors = dup(STDERR_FILENO);
	FILE *nowhere = freopen("/dev/null", "w", stderr); /* they would spoil the screen */

	(void)nowhere;
	setlocale(LC_ALL, "");
	if (!initscr())
		return LEVEE_EXIT_ERROR;
	cbreak();
	noecho();
	keypad(stdscr, TRUE);
	curs_set(0);
	timeout(REFRESH_MS);
	do {
		t->failed = look(t);
		if (t->failed)
			snprintf(t->message, sizeof(t->message),
				 "the daemon does not answer; what is shown is old");
		draw(t);
	} while (on_key(t, getch()));
	endwin();
	if (errors >= 0) {
		fflush(stderr);
		dup2(errors, STDERR_FILENO);
		close(errors);
	}
	if (t->failed)
		fprintf(stderr, "levee: the daemon did not answer any more; see `levee status`\n");
	return t->failed;
}

int levee_cmd_top(const struct levee_command *command, int argc, char **argv)
{
	struct levee_client client = { 0 };
	struct top t = { .client = &client };
	struct levee_reply reply;
	int ret = levee_client_parse(&client, command, argc, argv, 0, 0);

	if (ret >= 0)
		return ret;
	if (client.json)
		return levee_client_get(&client, "/api/v1/sources?limit=1000", &reply);
	ret = look(&t); /* what is wrong shows before the screen is taken */
	if (!ret)
		ret = isatty(STDOUT_FILENO) && isatty(STDIN_FILENO) ? run_screen(&t)
								    : print_once(&t);
	json_decref(t.status);
	free(t.rows);
	return ret;
}
