#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# deps.sh: install what the build, the tests and the tools need and this machine lacks, from the
# distribution's packages, and say so. `deps.sh --list` prints the packages and does nothing;
# --bench, before it, adds what `make bench` alone needs.
#
# With nothing missing it needs neither root nor a network.
#
# What was verified: the Debian column by apt-get on Debian 12, all of it, on machines where it was
# missing. The Fedora column has the names that those distributions are known to use; no machine with
# dnf was at hand, so the way through it ran against stand-ins for rpm and dnf only. dnf refuses a name
# that it does not know and says which: correct it here.
set -u

# need                 Debian, Ubuntu           Fedora, Amazon Linux
# A name that begins with @ is looked up below, because it holds a version; - means not packaged
# apart, or not needed there. An entry with ? is asked for only if the distribution has it.
table='
make                   make                     make
compiler               gcc                      gcc
libc                   libc6-dev                glibc-devel
kernel_headers         linux-libc-dev           kernel-headers
bpf_compiler           clang                    clang
llvm                   llvm                     llvm
sanitizers             @compiler_rt             compiler-rt
gcc_asan               -                        libasan
gcc_ubsan              -                        libubsan
bpftool                @bpftool                 bpftool
libbpf                 libbpf-dev               libbpf-devel
libelf                 libelf-dev               elfutils-libelf-devel
zlib                   zlib1g-dev               zlib-devel
libpcap                libpcap-dev              libpcap-devel
sqlite                 libsqlite3-dev           sqlite-devel
inih                   libinih-dev              inih-devel
libcurl                libcurl4-openssl-dev     libcurl-devel
openssl                libssl-dev               openssl-devel
expat                  libexpat1-dev            expat-devel
jansson                libjansson-dev           jansson-devel
libcap                 libcap-dev               libcap-devel
hiredis                libhiredis-dev           hiredis-devel
redis                  redis-server             ?valkey
spin                   spin                     ?spin
microhttpd             libmicrohttpd-dev        libmicrohttpd-devel
ncurses                libncurses-dev           ncurses-devel
promtool               prometheus               -
cmocka                 libcmocka-dev            libcmocka-devel
pkg-config             pkg-config               pkgconf-pkg-config
git                    git                      git-core
clang-format           clang-format             clang-tools-extra
clang-tidy             clang-tidy               clang-tools-extra
cppcheck               cppcheck                 ?cppcheck
shellcheck             shellcheck               ?ShellCheck
ip                     iproute2                 iproute
ethtool                ethtool                  ethtool
xdp-tools              ?xdp-tools               ?xdp-tools
dpdk                   libdpdk-dev              ?dpdk-devel
dpdk_tools             dpdk                     ?dpdk-tools
testpmd                ?dpdk-dev                ?dpdk
systemd_analyze        systemd                  systemd
jq                     jq                       jq
ps                     procps                   procps-ng
mount                  util-linux               util-linux
npm                    npm                      nodejs-npm
chromium               ?chromium                ?chromium
fonts                  ?fonts-dejavu-core       ?dejavu-sans-fonts
mandoc                 mandoc                   ?mandoc
tmux                   tmux                     tmux
zsh                    zsh                      zsh
fish                   fish                     ?fish
python                 python3                  python3
nft                    nftables                 nftables
matplotlib             python3-matplotlib       ?python3-matplotlib
python_venv            python3-venv             -
'

# Peers that nothing but the bench runs.
bench_table='
fastnetmon             ?fastnetmon              ?fastnetmon
'

say() {
	printf 'deps: %s\n' "$*"
}

# Which column of the table, and which way of installing.
find_family() {
	# The names of a distribution and of those it is like, as os-release(5) has them.
	local ID='' ID_LIKE=''
	# shellcheck source=/dev/null
	[ ! -r /etc/os-release ] || . /etc/os-release
	case " $ID $ID_LIKE " in
	*' debian '* | *' ubuntu '*) echo debian ;;
	*' fedora '* | *' amzn '* | *' rhel '* | *' centos '*) echo fedora ;;
	*) echo unknown ;;
	esac
}

# Debian puts clang's runtime, for -fsanitize and -fsanitize=fuzzer, into a package per release of
# LLVM (before release 14 into the common one). It must be that of the clang that `clang` is.
compiler_rt() {
	local major=''
	if command -v clang >/dev/null; then
		major=$(clang --version | sed -n 's/.*clang version \([0-9]*\).*/\1/p' | head -n 1)
	elif command -v apt-cache >/dev/null; then
		# "1:14.0-55.7": what `apt-get install clang` would give
		major=$(apt-cache policy clang | sed -n 's/^ *Candidate: [0-9]*:\([0-9]*\).*/\1/p')
	fi
	if [ -z "$major" ]; then
		echo libclang-rt-dev
	elif [ "$major" -ge 14 ]; then
		echo "libclang-rt-$major-dev"
	else
		echo "libclang-common-$major-dev"
	fi
}

have_bpftool() {
	command -v bpftool >/dev/null || [ -x /usr/sbin/bpftool ]
}

# Debian has a package of this name; Ubuntu has it in those of the kernel's tools.
bpftool_package() {
	if have_bpftool; then
		echo bpftool
	elif apt-cache show bpftool 2>/dev/null | grep -q '^Filename:'; then
		echo bpftool
	elif apt-cache show linux-tools-common 2>/dev/null | grep -q '^Filename:'; then
		echo linux-tools-common linux-tools-generic
	else
		echo bpftool
	fi
}

# The packages of one column, each once, in the order of the table.
packages() {
	local column=$1 need debian fedora name
	while read -r need debian fedora; do
		[ -n "$need" ] || continue
		name=$debian
		[ "$column" = debian ] || name=$fedora
		case $name in
		-) ;;
		@compiler_rt) compiler_rt ;;
		@bpftool) bpftool_package ;;
		*) echo "$name" ;;
		esac
	done <<<"$table" | tr ' ' '\n' | awk 'NF && !seen[$0]++'
}

# Of the packages given, those that dpkg does not have as installed.
not_installed() {
	awk 'NR == FNR { have[$1]; next } !($1 in have)' \
		<(dpkg-query -W -f '${db:Status-Status} ${Package}\n' "$@" 2>/dev/null |
			awk '$1 == "installed" { print $2 }') \
		<(printf '%s\n' "$@")
}

missing_debian() {
	local name
	local -a wanted
	mapfile -t wanted < <(packages debian)
	for name in $(not_installed "${wanted[@]#\?}"); do
		[ "$name" != bpftool ] || ! have_bpftool || continue
		# Others' packages of Node.js bring npm with them, and conflict with the distribution's.
		[ "$name" != npm ] || ! command -v npm >/dev/null || continue
		if [[ " ${wanted[*]} " == *" ?$name "* ]] && ! apt-cache show "$name" >/dev/null 2>&1; then
			continue
		fi
		echo "$name"
	done
}

missing_fedora() {
	local name plain
	for name in $(packages fedora); do
		plain=${name#\?}
		# --whatprovides: a package may be there under a newer name
		rpm -q --whatprovides "$plain" >/dev/null 2>&1 && continue
		if [ "$name" != "$plain" ] && ! dnf -q list --available "$plain" >/dev/null 2>&1; then
			continue
		fi
		echo "$plain"
	done
}

run() {
	say "$*"
	"$@" || {
		say "failed: $*"
		exit 1
	}
}

# $1 family, the rest packages
install_missing() {
	local family=$1
	shift
	say "missing: $*"
	if [ "$(id -u)" -ne 0 ]; then
		say 'not root; run this, then again what you ran:'
		if [ "$family" = debian ]; then
			echo "  sudo apt-get update && sudo apt-get install -y --no-install-recommends $*"
		else
			echo "  sudo dnf install -y --setopt=install_weak_deps=False $*"
		fi
		exit 1
	fi
	if [ "$family" = debian ]; then
		export DEBIAN_FRONTEND=noninteractive
		[ "${updated:-no}" = yes ] || run apt-get update -qq
		updated=yes
		run apt-get install -y -qq -o Dpkg::Use-Pty=0 --no-install-recommends "$@"
	else
		run dnf install -y -q --setopt=install_weak_deps=False "$@"
	fi
}

# Pinned maps need it. In a container it may be impossible, and the build goes on without.
mount_bpffs() {
	[ "$(id -u)" -eq 0 ] || return 0
	[ "$(stat -f -c %T /sys/fs/bpf 2>/dev/null)" != bpf_fs ] || return 0
	if mount -t bpf bpf /sys/fs/bpf 2>/dev/null; then
		say 'mounted a bpf file system on /sys/fs/bpf'
	else
		say 'no bpf file system on /sys/fs/bpf, and none can be mounted: maps cannot be pinned'
	fi
}

# Debian starts the daemons that it installs; this one is for the bench, which starts its own.
quiet_peers() {
	[ -d /run/systemd/system ] || return 0
	systemctl disable --now fastnetmon >/dev/null 2>&1 && say 'fastnetmon.service is disabled'
	return 0
}

main() {
	local family missing
	if [ "${1:-}" = --bench ]; then
		table=$table$bench_table
		shift
	fi
	family=$(find_family)
	if [ "${1:-}" = --list ] || [ "$family" = unknown ]; then
		[ "$family" = unknown ] || {
			packages "$family" | tr -d '?'
			return
		}
		say 'neither apt nor dnf is known here; what is needed, under the names Debian has:'
		packages debian | sed 's/^?*/  /'
		exit 1
	fi
	missing=$("missing_$family")
	if [ -n "$missing" ]; then
		# shellcheck disable=SC2086 # one word a package
		install_missing "$family" $missing
		[[ $missing != *fastnetmon* ]] || quiet_peers
		# clang may be here only now, and with it the name of its runtime.
		missing=$("missing_$family")
		# shellcheck disable=SC2086
		[ -z "$missing" ] || install_missing "$family" $missing
		say 'all is installed'
	else
		say 'nothing is missing'
	fi
	mount_bpffs
}

main "$@"
