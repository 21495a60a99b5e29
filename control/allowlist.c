/* SPDX-License-Identifier: BSD-2-Clause */
#include "control/allowlist.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <levee/compiler.h>

#include "control/log.h"

#define FILE_BYTES_MAX (64U << 20)
#define BAD_LINES_SAID 10

/* ---- a list that grows -------------------------------------------------------------------- */

struct growing {
	struct levee_prefix *list;
	size_t n;
	size_t room;
};

static int grow(struct growing *g, const struct levee_prefix *prefix)
{
	if (g->n == g->room) {
		size_t room = g->room ? 2 * g->room : 64;
		struct levee_prefix *more = reallocarray(g->list, room, sizeof(*more));

		if (!more)
			return -ENOMEM;
		g->list = more;
		g->room = room;
	}
	g->list[g->n++] = *prefix;
	return 0;
}

static int compare(const void *a, const void *b)
{
	return levee_prefix_compare(a, b);
}

static void sort_unique(struct growing *g)
{
	size_t kept = 0;

	if (g->n == 0)
		return;
	qsort(g->list, g->n, sizeof(*g->list), compare);
	for (size_t i = 1; i < g->n; i++)
		if (levee_prefix_compare(&g->list[kept], &g->list[i]) != 0)
			g->list[++kept] = g->list[i];
	g->n = kept + 1;
}

/* The grown list becomes *out, whose old one is freed. */
static void hand_over(struct levee_allowlist *out, struct growing *g, size_t bad_lines)
{
	sort_unique(g);
	free(out->list);
	out->list = g->list;
	out->n = g->n;
	out->bad_lines = bad_lines;
	*g = (struct growing){ 0 };
}

void levee_allowlist_clear(struct levee_allowlist *a)
{
	free(a->list);
	*a = (struct levee_allowlist){ 0 };
}

/* ---- parsing ------------------------------------------------------------------------------ */

struct listener {
	levee_allowlist_report *report;
	void *ctx;
};

static void tell(const struct listener *listener, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static void tell(const struct listener *listener, const char *format, ...)
{
	char message[512];
	va_list args;

	if (!listener->report)
		return;
	va_start(args, format);
	vsnprintf(message, sizeof(message), format, args);
	va_end(args);
	levee_log_clean(message);
	listener->report(listener->ctx, message);
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

/* The line without its comment and the blanks around. \return its length */
static size_t trim(const char **line, size_t len)
{
	const char *hash = memchr(*line, '#', len);

	if (hash)
		len = (size_t)(hash - *line);
	while (len > 0 && is_blank(**line)) {
		(*line)++;
		len--;
	}
	while (len > 0 && is_blank((*line)[len - 1]))
		len--;
	return len;
}

static void tell_bad_line(const struct listener *listener, const char *name, size_t number,
			  const char *line, size_t len, const char *why)
{
	tell(listener,
	     "%s:%zu: \"%.*s\"%s: %s; the line is skipped; accepted: an address or a prefix, such "
	     "as 10.0.0.0/8",
	     name, number, (int)(len < 60 ? len : 60), line, len > 60 ? "..." : "",
	     why ? why : "not a prefix");
}

int levee_allowlist_parse(struct levee_allowlist *out, const char *text, size_t len,
			  const char *name, levee_allowlist_report *report, void *ctx)
{
	const struct listener listener = { report, ctx };
	const char *at = text, *end = text + len;
	struct growing g = { 0 };
	size_t bad = 0;

	if (len >= 3 && memcmp(at, "\xef\xbb\xbf", 3) == 0) /* byte order mark */
		at += 3;
	for (size_t number = 1; at < end; number++) {
		const char *newline = memchr(at, '\n', (size_t)(end - at));
		const char *stop = newline ? newline : end, *line = at, *why = NULL;
		size_t n = trim(&line, (size_t)(stop - at));
		struct levee_prefix prefix;

		at = newline ? newline + 1 : end;
		if (n == 0)
			continue;
		if (levee_prefix_read(&prefix, line, n, &why) < 0) {
			if (bad++ < BAD_LINES_SAID)
				tell_bad_line(&listener, name, number, line, n, why);
		} else if (grow(&g, &prefix) < 0) {
			free(g.list);
			return -ENOMEM;
		}
	}
	if (bad > BAD_LINES_SAID)
		tell(&listener, "%s: %zu more bad lines are skipped", name, bad - BAD_LINES_SAID);
	hand_over(out, &g, bad);
	return 0;
}

/* ---- reading a file ----------------------------------------------------------------------- */

/* \return 0, *text then belongs to the caller; -errno */
static int read_all(int fd, char **text, size_t *len)
{
	size_t room = 0, n = 0;
	char *buffer = NULL;

	for (;;) {
		ssize_t got;

		if (n == room) {
			char *more;

			room = room ? 2 * room : 65536;
			more = n > FILE_BYTES_MAX ? NULL : realloc(buffer, room);
			if (!more) {
				free(buffer);
				return n > FILE_BYTES_MAX ? -EFBIG : -ENOMEM;
			}
			buffer = more;
		}
		got = read(fd, buffer + n, room - n);
		if (got == 0)
			break;
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0) {
			int ret = -errno;

			free(buffer);
			return ret;
		}
		n += (size_t)got;
	}
	if (n > FILE_BYTES_MAX) {
		free(buffer);
		return -EFBIG;
	}
	*text = buffer;
	*len = n;
	return 0;
}

/*
 * Only a regular file is a list: a pipe without a writer reads as an empty one, and an empty list
 * would replace the last good one.
 */
static int open_list(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat st;
	int ret;

	if (fd < 0)
		return -errno;
	ret = fstat(fd, &st) < 0 ? -errno : 0;
	if (ret == 0 && S_ISDIR(st.st_mode))
		ret = -EISDIR;
	else if (ret == 0 && !S_ISREG(st.st_mode))
		ret = -EINVAL;
	else if (ret == 0 && st.st_size > FILE_BYTES_MAX)
		ret = -EFBIG;
	if (ret < 0) {
		close(fd);
		return ret;
	}
	return fd;
}

static const char *reason(int ret)
{
	if (ret == -EFBIG)
		return "larger than 64 MiB";
	if (ret == -EINVAL)
		return "not a regular file";
	if (ret == -EBADMSG)
		return "it has lines, and not one of them is good";
	return strerror(-ret);
}

int levee_allowlist_read(struct levee_allowlist *out, const char *path,
			 levee_allowlist_report *report, void *ctx)
{
	const struct listener listener = { report, ctx };
	struct levee_allowlist fresh = { 0 };
	char *text = NULL;
	size_t len = 0;
	int fd = open_list(path), ret = fd;

	if (fd >= 0) {
		ret = read_all(fd, &text, &len);
		close(fd);
	}
	if (ret == 0)
		ret = levee_allowlist_parse(&fresh, text, len, path, report, ctx);
	if (ret == 0 && !fresh.n && fresh.bad_lines)
		ret = -EBADMSG; /* an error page, say: no list to go by */
	if (ret == 0) {
		levee_allowlist_clear(out);
		*out = fresh;
	} else {
		levee_allowlist_clear(&fresh);
	}
	if (ret < 0)
		tell(&listener,
		     "%s: the allow list cannot be read: %s; the list of before stays in force",
		     path, reason(ret));
	free(text);
	return ret;
}

/* ---- asking lists ------------------------------------------------------------------------- */

static int append(struct growing *g, const struct levee_allowlist *a)
{
	for (size_t i = 0; i < a->n; i++)
		if (grow(g, &a->list[i]) < 0)
			return -ENOMEM;
	return 0;
}

int levee_allowlist_merge(struct levee_allowlist *out, const struct levee_allowlist *a,
			  const struct levee_allowlist *b)
{
	size_t bad_lines = a->bad_lines + b->bad_lines;
	struct growing g = { 0 };

	if (append(&g, a) < 0 || append(&g, b) < 0) {
		free(g.list);
		return -ENOMEM;
	}
	hand_over(out, &g, bad_lines);
	return 0;
}

bool levee_allowlist_covers(const struct levee_allowlist *a, const struct levee_prefix *prefix)
{
	struct levee_prefix outer = *prefix;

	if (a->n == 0)
		return false;
	for (int length = prefix->length; length >= 0; length--) {
		outer.length = (uint8_t)length;
		levee_prefix_canon(&outer);
		if (bsearch(&outer, a->list, a->n, sizeof(outer), compare))
			return true;
	}
	return false;
}

/* ---- automatic entries -------------------------------------------------------------------- */

static const char *const fixed[] = {
	"0.0.0.0",	  /* a host without an address: DHCP */
	"127.0.0.0/8",	  /* loopback */
	"169.254.0.0/16", /* link-local; metadata, DNS and time of EC2 are in it */
	"::",		  /* duplicate address detection (RFC 4862) */
	"::1",		  /* loopback */
	"fe80::/10",	  /* link-local: routers and neighbour discovery (RFC 4861) */
	"fd00:ec2::/32",  /* EC2's local services: metadata, DNS, time */
};

static int grow_fixed(struct growing *g)
{
	struct levee_prefix prefix;

	for (size_t i = 0; i < sizeof(fixed) / sizeof(fixed[0]); i++) {
		int ret = levee_prefix_parse(&prefix, fixed[i], strlen(fixed[i]), NULL);

		if (ret == 0)
			ret = grow(g, &prefix);
		if (ret < 0)
			return ret;
	}
	return 0;
}

/* What a dump's messages are turned into. */
struct asking {
	struct growing *g;
	const unsigned int *index; /* of the interfaces asked about; 0: there is none */
	size_t n;
};

static bool is_ours(const struct asking *a, unsigned int index)
{
	for (size_t i = 0; i < a->n; i++)
		if (index != 0 && a->index[i] == index)
			return true;
	return false;
}

/* Add the address in an attribute's payload. Families other than IP are not ours to allow. */
static int grow_address(struct growing *g, int family, const void *data, size_t len)
{
	struct levee_prefix prefix = { 0 };
	uint64_t half[2];
	uint32_t word;

	if (family == AF_INET && len >= sizeof(word)) {
		memcpy(&word, data, sizeof(word));
		prefix.family = 4;
		prefix.length = 32;
		prefix.hi = ntohl(word);
	} else if (family == AF_INET6 && len >= sizeof(half)) {
		memcpy(half, data, sizeof(half));
		prefix.family = 6;
		prefix.length = 128;
		prefix.hi = levee_be64(half[0]);
		prefix.lo = levee_be64(half[1]);
	} else {
		return 0;
	}
	return grow(g, &prefix);
}

/* Fill attr[0 to max] with the attributes between `at` and the end; the last of a type counts. */
static void sort_attributes(const struct rtattr *attr[], unsigned short max,
			    const struct rtattr *at, size_t len)
{
	memset(attr, 0, (max + 1U) * sizeof(*attr));
	while (len >= sizeof(*at) && at->rta_len >= sizeof(*at) && at->rta_len <= len) {
		size_t step = RTA_ALIGN(at->rta_len);

		if (at->rta_type <= max)
			attr[at->rta_type] = at;
		if (step >= len)
			break;
		len -= step;
		at = (const struct rtattr *)((const char *)at + step);
	}
}

static size_t payload(const struct rtattr *attr)
{
	return attr->rta_len - RTA_LENGTH(0);
}

static int take_address(const struct asking *a, const struct nlmsghdr *message)
{
	const struct ifaddrmsg *address = NLMSG_DATA(message);
	const struct rtattr *attr[IFA_MAX + 1], *own;

	if (message->nlmsg_len < NLMSG_LENGTH(sizeof(*address)) || !is_ours(a, address->ifa_index))
		return 0;
	sort_attributes(attr, IFA_MAX, IFA_RTA(address),
			message->nlmsg_len - NLMSG_LENGTH(sizeof(*address)));
	/* On a point-to-point link IFA_ADDRESS is the other end. */
	own = attr[IFA_LOCAL] ? attr[IFA_LOCAL] : attr[IFA_ADDRESS];
	if (!own)
		return 0;
	return grow_address(a->g, address->ifa_family, RTA_DATA(own), payload(own));
}

/* The gateway of a route, or of one of its next hops. */
static int take_gateway(const struct asking *a, int family, const struct rtattr *const attr[])
{
	const struct rtattr *gateway = attr[RTA_GATEWAY], *via = attr[RTA_VIA];
	struct rtvia header;

	if (gateway)
		return grow_address(a->g, family, RTA_DATA(gateway), payload(gateway));
	if (!via || payload(via) < sizeof(header)) /* IPv4 through an IPv6 router: RFC 5549 */
		return 0;
	memcpy(&header, RTA_DATA(via), sizeof(header));
	return grow_address(a->g, header.rtvia_family, (const char *)RTA_DATA(via) + sizeof(header),
			    payload(via) - sizeof(header));
}

static int take_multipath(const struct asking *a, int family, const struct rtattr *multipath)
{
	const struct rtnexthop *hop = RTA_DATA(multipath);
	size_t len = payload(multipath);
	const struct rtattr *attr[RTA_MAX + 1];

	while (len >= sizeof(*hop) && hop->rtnh_len >= sizeof(*hop) && hop->rtnh_len <= len) {
		size_t step = RTNH_ALIGN(hop->rtnh_len);

		if (is_ours(a, (unsigned int)hop->rtnh_ifindex)) {
			int ret;

			sort_attributes(attr, RTA_MAX, (const struct rtattr *)(hop + 1),
					hop->rtnh_len - sizeof(*hop));
			ret = take_gateway(a, family, attr);
			if (ret < 0)
				return ret;
		}
		if (step >= len)
			break;
		len -= step;
		hop = (const struct rtnexthop *)((const char *)hop + step);
	}
	return 0;
}

static int take_route(const struct asking *a, const struct nlmsghdr *message)
{
	const struct rtmsg *route = NLMSG_DATA(message);
	const struct rtattr *attr[RTA_MAX + 1];
	uint32_t index = 0;

	if (message->nlmsg_len < NLMSG_LENGTH(sizeof(*route)))
		return 0;
	sort_attributes(attr, RTA_MAX, RTM_RTA(route),
			message->nlmsg_len - NLMSG_LENGTH(sizeof(*route)));
	if (attr[RTA_MULTIPATH])
		return take_multipath(a, route->rtm_family, attr[RTA_MULTIPATH]);
	if (attr[RTA_OIF] && payload(attr[RTA_OIF]) >= sizeof(index))
		memcpy(&index, RTA_DATA(attr[RTA_OIF]), sizeof(index));
	if (!is_ours(a, index))
		return 0;
	return take_gateway(a, route->rtm_family, attr);
}

static int send_request(int fd, uint16_t type)
{
	struct {
		struct nlmsghdr header;
		struct rtgenmsg body;
	} request = {
		.header = {
			.nlmsg_len = sizeof(request),
			.nlmsg_type = type,
			.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP,
			.nlmsg_seq = type,
		},
		.body = { .rtgen_family = AF_UNSPEC },
	};

	return send(fd, &request, sizeof(request), 0) < 0 ? -errno : 0;
}

/* \return 1 if more is to come, 0 at the end of the dump, -errno */
static int take_messages(const struct asking *a, const char *buffer, size_t len)
{
	const struct nlmsghdr *message = (const struct nlmsghdr *)buffer;
	int ret = 0;

	while (ret == 0 && len >= sizeof(*message) && message->nlmsg_len >= sizeof(*message) &&
	       message->nlmsg_len <= len) {
		size_t step = NLMSG_ALIGN(message->nlmsg_len);

		/* The kernel's tables changed under the dump: entries may be missing. */
		if (message->nlmsg_flags & NLM_F_DUMP_INTR)
			return -EAGAIN;
		if (message->nlmsg_type == NLMSG_DONE)
			return 0;
		if (message->nlmsg_type == NLMSG_ERROR) {
			const struct nlmsgerr *error = NLMSG_DATA(message);

			if (message->nlmsg_len < NLMSG_LENGTH(sizeof(*error)))
				return -EPROTO;
			return error->error < 0 ? error->error : -EPROTO;
		}
		if (message->nlmsg_type == RTM_NEWADDR)
			ret = take_address(a, message);
		else if (message->nlmsg_type == RTM_NEWROUTE)
			ret = take_route(a, message);
		if (step >= len)
			break;
		len -= step;
		message = (const struct nlmsghdr *)((const char *)message + step);
	}
	return ret < 0 ? ret : 1;
}

static int dump_once(const struct asking *a, uint16_t type)
{
	_Alignas(struct nlmsghdr) char buffer[32768]; /* what the kernel fills at most */
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	int ret;

	if (fd < 0)
		return -errno;
	ret = send_request(fd, type);
	if (ret == 0)
		ret = 1;
	while (ret == 1) {
		ssize_t got = recv(fd, buffer, sizeof(buffer), MSG_TRUNC);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			ret = -errno;
		else if (got == 0 || (size_t)got > sizeof(buffer))
			ret = -EPROTO;
		else
			ret = take_messages(a, buffer, (size_t)got);
	}
	close(fd);
	return ret;
}

/* Entries of an interrupted dump stay: they were true, and duplicates go when sorting. */
static int dump(const struct asking *a, uint16_t type)
{
	int ret = -EAGAIN;

	for (int tries = 0; ret == -EAGAIN && tries < 8; tries++)
		ret = dump_once(a, type);
	return ret;
}

static int grow_interfaces(struct growing *g, const char *const *interfaces, size_t n)
{
	unsigned int *index = calloc(n, sizeof(*index));
	struct asking a = { g, index, n };
	int ret, missing = 0;

	if (!index)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		index[i] = if_nametoindex(interfaces[i]);
		if (index[i] == 0)
			missing = errno ? -errno : -ENODEV;
	}
	ret = dump(&a, RTM_GETADDR);
	if (ret == 0)
		ret = dump(&a, RTM_GETROUTE);
	free(index);
	return ret < 0 ? ret : missing;
}

int levee_allowlist_automatic(struct levee_allowlist *out, const char *const *interfaces, size_t n)
{
	struct growing g = { 0 };
	int ret = grow_fixed(&g);

	if (ret < 0) {
		free(g.list);
		return ret;
	}
	if (n > 0)
		ret = grow_interfaces(&g, interfaces, n);
	hand_over(out, &g, 0);
	return ret;
}
