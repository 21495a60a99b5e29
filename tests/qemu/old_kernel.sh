#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# old_kernel.sh BUILD [TEST...]: tests of the tree on another Linux than this machine's, in a virtual
# machine that has nothing but this machine's own programs in memory: no disk, no network.
#
# The kernel is Debian's, unpacked below .build and not installed. OLD_KERNEL names another package of
# Debian's, or a directory with boot/vmlinuz-* and lib/modules/ in it. Needs qemu-system-x86 and
# busybox-static. Without /dev/kvm, where loading the program takes half a minute, it runs fewer tests
# unless they are given. The last line says passed or failed, and so does the exit code.
set -u
cd "$(dirname "$0")/../.." || exit 1
build=$1
shift
tests=("$@")
kernel=${OLD_KERNEL:-linux-image-cloud-amd64}
limit=${OLD_KERNEL_SECONDS:-1800} # for all of it
base=$PWD/.build/old-kernel
root=$base/root-$$
console=$base/console-$$
machine='' accel=''

die() {
	echo "old-kernel: $*" >&2
	echo 'old-kernel: failed'
	exit 1
}
at_end() {
	trap - EXIT
	[ -z "$machine" ] || kill "$machine"
	rm -rf "$root" "$root.cpio" "$console"
}
trap at_end EXIT
trap 'exit 130' INT TERM

# What the scripts call. Whatever else they want is busybox's.
programs=(bash awk mawk basename bpftool busybox cat chmod comm cp cut date diff dirname env expr find
	grep head id ip jq ln ls mkdir mkfifo mktemp mount nsenter od ps rm rmdir sed seq sh sleep sort stat
	tail tee timeout touch tr umount uname uniq wc)

check_machine() {
	local tool
	[ "$(uname -m)" = x86_64 ] || die "this is for x86-64, not $(uname -m)"
	for tool in qemu-system-x86_64 busybox cpio python3 bpftool jq; do
		command -v "$tool" >/dev/null || die "$tool is missing: apt-get install qemu-system-x86 busybox-static cpio python3 bpftool jq"
	done
	ldd "$(command -v busybox)" >/dev/null 2>&1 && die 'busybox is not a static one: apt-get install busybox-static'
	[ -x "$build/levee" ] || die "no $build/levee: make"
}

# The package that a meta-package is for is the one that has the files.
find_package() {
	apt-cache depends --important "$kernel" | sed -n 's/^ *Depends: \(linux-image-[0-9].*\)/\1/p' | head -n 1
}

# Leaves the directory in $tree.
get_kernel() {
	local package
	if [ -d "$kernel" ]; then
		tree=$kernel
		return
	fi
	package=$(find_package)
	package=${package:-$kernel}
	tree=$base/$package
	[ ! -d "$tree" ] || return 0
	rm -rf "$tree.part" && mkdir -p "$tree.part" || exit 1
	(cd "$tree.part" && apt-get download "$package" && dpkg -x ./*.deb . && rm -f ./*.deb) \
		>"$base/apt.log" 2>&1 || {
		cat "$base/apt.log"
		die "cannot get $package: apt-get update, or OLD_KERNEL=DIRECTORY"
	}
	mv "$tree.part" "$tree"
}

# copy FILE...: at the same place below $root, with what links lead to
copy() {
	local file
	for file in "$@"; do
		[ ! -e "$root$file" ] || continue
		mkdir -p "$root${file%/*}" && cp -L "$file" "$root$file" || exit 1
	done
}

# copy_libraries FILE...: that programs need
copy_libraries() {
	# shellcheck disable=SC2046 # one word a library
	copy $(ldd "$@" 2>/dev/null | grep -oE '/[^ :]+( |$)' | sort -u)
}

copy_program() {
	copy "$@"
	copy_libraries "$@"
}

# The interpreter that `python3` is in the end, and its library without what was added to it.
copy_python() {
	local at stdlib
	read -r at stdlib < <(python3 -c 'import os, sys, sysconfig
print(os.path.realpath(sys.executable), sysconfig.get_path("stdlib"))')
	copy_program "$at"
	ln -s "$at" "$root/usr/bin/python3"
	mkdir -p "$root$stdlib"
	tar -C "$stdlib" --exclude=./test --exclude=./*-packages --exclude=./config-* --exclude=__pycache__ \
		--exclude=./idlelib --exclude=./ensurepip --exclude=./lib2to3 -cf - . | tar -C "$root$stdlib" -xf -
	copy_program "$stdlib"/lib-dynload/*.so
}

make_root() {
	local name at
	mkdir -p "$root"/{proc,sys,dev,run,tmp,root,etc,levee,usr/bin,usr/sbin,usr/lib,usr/lib64} || exit 1
	for name in bin sbin lib lib64; do
		ln -s "usr/$name" "$root/$name"
	done
	for name in "${programs[@]}"; do
		at=$(type -P "$name") || continue
		copy_program "$at"
		[ -e "$root/usr/bin/$name" ] || [ -e "$root/usr/sbin/$name" ] || ln -s "$at" "$root/usr/bin/$name"
	done
	copy_python
	echo 'root:x:0:0:root:/root:/bin/bash' >"$root/etc/passwd"
	printf 'root:x:0:\nlevee:x:999:\n' >"$root/etc/group"
	echo '127.0.0.1 localhost' >"$root/etc/hosts"
}

copy_tree() {
	local file
	for file in "$build/levee" "$build/tools/pktgen/pktgen" README.md tests/run.sh tests/qemu/inside.sh tests/system/* \
		"${tests[@]}"; do
		install -D "$file" "$root/levee/$file" || die "cannot copy $file"
		copy_libraries "$file"
	done
	cc -std=c17 -D_GNU_SOURCE -O1 -shared -fPIC -o "$root/refuse.so" tests/system/refuse.c || die 'no refuse.so'
}

# veth is a module, and depends on nothing.
copy_modules() {
	local module
	module=$(find "$tree/lib/modules" -name 'veth.ko*' | head -n 1)
	[ -n "$module" ] || return 0
	case $module in
	*.ko) cp "$module" "$root/veth.ko" ;;
	*.xz) xz -dc "$module" >"$root/veth.ko" ;;
	*.zst) zstd -qdc "$module" >"$root/veth.ko" ;;
	*) die "$module: do not know how to unpack it" ;;
	esac
}

# It may be there and still refuse, as in a virtual machine on a CPU that does not nest.
works_kvm() {
	{
		timeout 10 qemu-system-x86_64 -accel kvm -cpu host -nodefaults -display none -monitor stdio <<<quit
	} >/dev/null 2>&1
}

# How it is run, and what, if nothing was asked for.
choose() {
	local few=(tests/qemu/test_kernel.sh tests/system/test_lists.sh)
	local more=("$build"/tests/kernel/test_{counting,policy,packets} tests/system/test_{parts,verdicts,kill,upgrade}.sh)
	if [ -w /dev/kvm ] && works_kvm; then
		accel='-accel kvm -cpu host'
		[ ${#tests[@]} -gt 0 ] || tests=("${few[@]}" "${more[@]}")
	else
		accel='-accel tcg,thread=multi -cpu max'
		[ ${#tests[@]} -gt 0 ] || tests=("${few[@]}")
	fi
}

boot() {
	local image
	image=$(find "$tree/boot" -name 'vmlinuz-*' | head -n 1)
	[ -n "$image" ] || die "no boot/vmlinuz-* in $tree"
	echo "# ${image##*/vmlinuz-}, ${accel}"
	# In the background, so that a signal to this script ends it, too.
	# shellcheck disable=SC2086 # several words
	timeout "$limit" qemu-system-x86_64 $accel -smp 2 -m 4096 -nodefaults -no-user-config -display none \
		-no-reboot -kernel "$image" -initrd "$root.cpio" -serial stdio \
		-append "console=ttyS0 quiet panic=-1 rdinit=/init" </dev/null \
		> >(sed -u 's/\r//g' | tee "$console" | grep --line-buffered -av '^old-kernel: ') 2>&1 &
	machine=$!
	wait "$machine"
	machine=''
}

check_machine
choose
mkdir -p "$base"
get_kernel
make_root
copy_tree
copy_modules
{
	printf '#!/bin/bash\ncd /levee && exec tests/qemu/inside.sh %q' "$build"
	printf ' %q' "${tests[@]}"
	echo
} >"$root/init"
chmod 0755 "$root/init"
(cd "$root" && find . | cpio --quiet -o -H newc) >"$root.cpio" || die 'cannot make the image'
boot
for _ in {1..50}; do # what it said last is on its way through a pipe
	grep -aq '^old-kernel: ' "$console" && break
	sleep 0.1
done
grep -aqx 'old-kernel: passed' "$console" || die "its console is above; killed after $limit s if it does not end"
echo 'old-kernel: passed'
