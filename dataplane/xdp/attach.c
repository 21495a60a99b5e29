/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Links: one for each interface, pinned. All or nothing, and never in place of another's program.
 */
#include "dataplane/xdp/xdp_internal.h"

#include <dirent.h>
#include <errno.h>
#include <linux/ethtool.h>
#include <linux/if_link.h>
#include <linux/sockios.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static void link_path(const struct levee_xdp *x, const char *name, char path[PATH_MAX + 64])
{
	snprintf(path, PATH_MAX + 64, "%s/links/%s", x->pin, name);
}

/* ---- what is there ----------------------------------------------------------------------- */

static void list_interfaces(char *text, size_t size)
{
	struct if_nameindex *all = if_nameindex();
	size_t used = 0;

	text[0] = '\0';
	for (struct if_nameindex *i = all; i && i->if_index && used < size; i++)
		used += (size_t)snprintf(text + used, size - used, "%s%s", used ? ", " : "",
					 i->if_name);
	if (all)
		if_freenameindex(all);
}

int levee_links_open(struct levee_xdp *x, const struct levee_xdp_options *options)
{
	char names[512];

	x->links = calloc(options->n_interfaces, sizeof(*x->links));
	if (!x->links)
		return -ENOMEM;
	for (size_t i = 0; i < options->n_interfaces; i++) {
		struct link *l = &x->links[x->n_links];

		l->fd = -1;
		l->ifindex = if_nametoindex(options->interfaces[i]);
		if (!l->ifindex) {
			list_interfaces(names, sizeof(names));
			levee_xdp_say(x, LEVEE_XDP_ERROR,
				      "interface %s does not exist; there are: %s; set [data_path] "
				      "interfaces to those that face the load balancer",
				      options->interfaces[i], names);
			return -ENODEV;
		}
		snprintf(l->name, sizeof(l->name), "%s", options->interfaces[i]);
		x->n_links++;
	}
	return 0;
}

static void driver_of(const char *name, char driver[32])
{
	struct ethtool_drvinfo info = { .cmd = ETHTOOL_GDRVINFO };
	struct ifreq request = { .ifr_data = (char *)&info };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	strcpy(driver, "unknown driver");
	if (fd < 0)
		return;
	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", name);
	if (!ioctl(fd, SIOCETHTOOL, &request))
		snprintf(driver, 32, "%.31s", info.driver);
	close(fd);
}

static int mtu_of(const char *name)
{
	struct ifreq request = { 0 };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), mtu = 0;

	if (fd < 0)
		return 0;
	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", name);
	if (!ioctl(fd, SIOCGIFMTU, &request))
		mtu = request.ifr_mtu;
	close(fd);
	return mtu;
}

/* The program on an interface, of whatever mode; id 0 if there is none. */
static uint32_t program_on(const struct link *l, char name[BPF_OBJ_NAME_LEN])
{
	LIBBPF_OPTS(bpf_xdp_query_opts, query);
	struct bpf_prog_info info = { 0 };
	uint32_t len = sizeof(info);
	int fd;

	name[0] = '\0';
	if (bpf_xdp_query((int)l->ifindex, 0, &query) || !query.prog_id)
		return 0;
	fd = bpf_prog_get_fd_by_id(query.prog_id);
	if (fd >= 0) {
		if (!bpf_obj_get_info_by_fd(fd, &info, &len))
			snprintf(name, BPF_OBJ_NAME_LEN, "%s", info.name);
		close(fd);
	}
	return query.prog_id;
}

static bool is_native(const struct link *l)
{
	LIBBPF_OPTS(bpf_xdp_query_opts, query);

	return !bpf_xdp_query((int)l->ifindex, 0, &query) && query.attach_mode != XDP_ATTACHED_SKB;
}

/* ---- attaching --------------------------------------------------------------------------- */

/*
 * A link says no without a reason. The older netlink call gives the driver's own words, and
 * refuses for the same reason; should it succeed after all, it is taken back at once.
 */
static void ask_for_reason(struct levee_xdp *x, const struct link *l)
{
	uint32_t flags = XDP_FLAGS_DRV_MODE | XDP_FLAGS_UPDATE_IF_NOEXIST;

	levee_xdp_forget_complaint();
	if (!bpf_xdp_attach((int)l->ifindex, x->prog_fd, flags, NULL))
		bpf_xdp_detach((int)l->ifindex, XDP_FLAGS_DRV_MODE, NULL);
}

static const char *remedy_for(const struct levee_xdp *x, const struct link *l, int error)
{
	int mtu = mtu_of(l->name);

	if (error == -EOPNOTSUPP)
		return "this driver has no native XDP";
	if (!x->frags && mtu > 3498)
		return "lower the MTU to 3498 or run Linux 5.18 or later";
	if (error == -EINVAL)
		return "on ENA, use at most half of the channels (ethtool -L) and a driver of "
		       "2.14 or later for MTU above 3498";
	return "see dmesg";
}

static int create_link(struct levee_xdp *x, struct link *l, uint32_t mode)
{
	LIBBPF_OPTS(bpf_link_create_opts, opts, .flags = mode);

	l->fd = bpf_link_create(x->prog_fd, (int)l->ifindex, BPF_XDP, &opts);
	if (l->fd < 0) {
		int ret = -errno;

		l->fd = -1;
		return ret;
	}
	l->made_here = true;
	return 0;
}

static int refuse_foreign(struct levee_xdp *x, const struct link *l)
{
	char name[BPF_OBJ_NAME_LEN];
	uint32_t id = program_on(l, name);

	if (!id)
		return 0;
	levee_xdp_say(x, LEVEE_XDP_ERROR,
		      "%s already has an XDP program (id %u, %s) that is not of %s; it is left "
		      "in place. See `bpftool net show dev %s`; take it off, or leave %s out of "
		      "[data_path] interfaces",
		      l->name, id, name[0] ? name : "unnamed",
		      strcmp(name, "levee_xdp") ? "Levee" : "this [data_path] pin", l->name,
		      l->name);
	return -EBUSY;
}

static int attach_new(struct levee_xdp *x, struct link *l)
{
	char driver[32];
	const char *why;
	int ret, native = -EOPNOTSUPP;

	ret = refuse_foreign(x, l);
	if (ret)
		return ret;
	driver_of(l->name, driver);
	if (x->attach != LEVEE_XDP_GENERIC) {
		native = create_link(x, l, XDP_FLAGS_DRV_MODE);
		if (!native)
			return 0;
		ask_for_reason(x, l);
	}
	why = levee_xdp_kernel_says();
	if (x->attach == LEVEE_XDP_NATIVE) {
		levee_xdp_say(x, LEVEE_XDP_ERROR,
			      "%s (%s, MTU %d) refuses native XDP: %s%s%s; %s; or set [data_path] "
			      "attach = auto",
			      l->name, driver, mtu_of(l->name), strerror(-native),
			      why[0] ? ": " : "", why, remedy_for(x, l, native));
		return native;
	}
	if (x->attach == LEVEE_XDP_AUTO)
		levee_xdp_say(
			x, LEVEE_XDP_WARNING,
			"%s (%s, MTU %d) refuses native XDP: %s%s%s; %s. Falling back to generic "
			"mode, which is several times slower",
			l->name, driver, mtu_of(l->name), strerror(-native), why[0] ? ": " : "",
			why, remedy_for(x, l, native));
	ret = create_link(x, l, XDP_FLAGS_SKB_MODE);
	if (ret)
		levee_xdp_say(x, LEVEE_XDP_ERROR, "cannot attach to %s (%s) in generic mode: %s%s",
			      l->name, driver, strerror(-ret),
			      ret == -EINVAL ? "; links of XDP programs are needed, Linux 5.9"
					     : "");
	return ret;
}

/* A pinned link outlives its interface: a new one of the same name is another interface. */
static int take_over(struct levee_xdp *x, struct link *l)
{
	struct bpf_link_info info = { 0 };
	uint32_t len = sizeof(info);
	char path[PATH_MAX + 64];
	int ret;

	link_path(x, l->name, path);
	l->fd = bpf_obj_get(path);
	if (l->fd < 0) {
		l->fd = -1;
		return -ENOENT;
	}
	if (bpf_obj_get_info_by_fd(l->fd, &info, &len) || info.type != BPF_LINK_TYPE_XDP ||
	    info.xdp.ifindex != l->ifindex) {
		close(l->fd);
		l->fd = -1;
		unlink(path);
		return -ENOENT;
	}
	ret = bpf_link_update(l->fd, x->prog_fd, NULL) ? -errno : 0;
	if (ret)
		levee_xdp_say(x, LEVEE_XDP_ERROR,
			      "cannot replace the program on %s: %s; the old one stays in force. "
			      "`levee detach` takes it off, and the next start attaches anew",
			      l->name, strerror(-ret));
	return ret;
}

static int start_one(struct levee_xdp *x, struct link *l)
{
	char path[PATH_MAX + 64];
	int ret = take_over(x, l);

	if (ret == -ENOENT) {
		ret = attach_new(x, l);
		if (ret)
			return ret;
		link_path(x, l->name, path);
		if (bpf_obj_pin(l->fd, path)) {
			ret = -errno;
			levee_xdp_say(x, LEVEE_XDP_ERROR, "cannot pin the link as %s: %s", path,
				      strerror(-ret));
			return ret;
		}
	}
	l->native = is_native(l);
	return ret;
}

static bool is_configured(const struct levee_xdp *x, const char *name)
{
	for (size_t i = 0; i < x->n_links; i++)
		if (!strcmp(x->links[i].name, name))
			return true;
	return false;
}

/* Links of interfaces that the configuration does not name any more. */
static void drop_others(const struct levee_xdp *x)
{
	char path[PATH_MAX + 300];
	struct dirent *e;
	DIR *dir;

	snprintf(path, sizeof(path), "%s/links", x->pin);
	dir = opendir(path);
	if (!dir)
		return;
	while ((e = readdir(dir))) {
		if (e->d_name[0] == '.' || is_configured(x, e->d_name))
			continue;
		snprintf(path, sizeof(path), "%s/links/%s", x->pin, e->d_name);
		if (!unlink(path))
			levee_xdp_say(x, LEVEE_XDP_NOTICE,
				      "%s is not in [data_path] interfaces any more: detached",
				      e->d_name);
	}
	closedir(dir);
}

static void undo(struct levee_xdp *x)
{
	char path[PATH_MAX + 64];

	for (size_t i = 0; i < x->n_links; i++) {
		struct link *l = &x->links[i];

		if (!l->made_here)
			continue;
		link_path(x, l->name, path);
		unlink(path);
		close(l->fd); /* the last reference: the kernel detaches */
		l->fd = -1;
		l->made_here = false;
	}
}

int levee_links_start(struct levee_xdp *x)
{
	char path[PATH_MAX + 64];
	int ret = 0;

	snprintf(path, sizeof(path), "%s/links", x->pin);
	if (mkdir(path, 0700) && errno != EEXIST)
		return -errno;
	for (size_t i = 0; i < x->n_links && !ret; i++)
		ret = start_one(x, &x->links[i]);
	if (ret) {
		undo(x);
		rmdir(path); /* stays if an earlier daemon's links are in it */
		return ret;
	}
	drop_others(x);
	return 0;
}

int levee_links_replace(struct levee_xdp *x, int before_fd)
{
	int ret = 0;
	size_t n;

	for (n = 0; n < x->n_links && !ret; n++)
		if (x->links[n].fd >= 0 && bpf_link_update(x->links[n].fd, x->prog_fd, NULL))
			ret = -errno;
	if (!ret)
		return 0;
	levee_xdp_say(x, LEVEE_XDP_WARNING, "cannot replace the program on %s: %s",
		      x->links[n - 1].name, strerror(-ret));
	while (n-- > 0)
		if (x->links[n].fd >= 0)
			bpf_link_update(x->links[n].fd, before_fd, NULL);
	return ret;
}

/* ---- while it runs ----------------------------------------------------------------------- */

static bool is_attached(const struct link *l)
{
	struct bpf_link_info info = { 0 };
	uint32_t len = sizeof(info);

	return l->fd >= 0 && !bpf_obj_get_info_by_fd(l->fd, &info, &len) && info.xdp.ifindex &&
	       info.xdp.ifindex == if_nametoindex(l->name);
}

/* Once for each loss: the bins that follow would only repeat it. */
static void say_lost(const struct levee_xdp *x, struct link *l, const char *what)
{
	if (!l->lost)
		levee_xdp_say(x, LEVEE_XDP_ERROR, "%s is not protected: %s", l->name, what);
	l->lost = true;
}

static void check_one(struct levee_xdp *x, struct link *l)
{
	char path[PATH_MAX + 64];
	struct stat st;

	if (is_attached(l)) {
		if (l->lost) /* renamed or moved away, and back again */
			levee_xdp_say(x, LEVEE_XDP_NOTICE, "%s is back, and protected", l->name);
		l->lost = false;
		return;
	}
	link_path(x, l->name, path);
	if (stat(path, &st)) {
		say_lost(x, l, "its link was taken off by hand; restart levee to attach again");
		return;
	}
	l->ifindex = if_nametoindex(l->name);
	if (!l->ifindex) {
		say_lost(x, l,
			 "no interface has this name any more (removed, renamed, or in another "
			 "namespace); levee attaches when one has");
		return;
	}
	if (l->fd >= 0)
		close(l->fd);
	l->fd = -1;
	unlink(path); /* of the interface that had the name before */
	if (start_one(x, l)) {
		say_lost(x, l, "it came back, but cannot be attached to; see above");
		return;
	}
	l->lost = false;
	levee_xdp_say(x, LEVEE_XDP_NOTICE, "%s is back, and protected again", l->name);
}

void levee_links_check(struct levee_xdp *x)
{
	for (size_t i = 0; i < x->n_links; i++)
		check_one(x, &x->links[i]);
}

void levee_links_close(struct levee_xdp *x)
{
	for (size_t i = 0; i < x->n_links; i++)
		if (x->links[i].fd >= 0)
			close(x->links[i].fd);
	free(x->links);
	x->links = NULL;
	x->n_links = 0;
}
