#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# The first process of the virtual machine: inside.sh BUILD TEST..., from the top of the tree. Mounts
# what a system has, runs the tests, says how it went, and turns the machine off.
export PATH=/usr/sbin:/usr/bin:/usr/busybox HOME=/root CI=true LEVEE_REFUSE=/refuse.so

busybox mkdir -p /usr/busybox
/usr/bin/busybox --install -s /usr/busybox
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mount -t tmpfs run /run
mount -t bpf bpf /sys/fs/bpf
ln -sf /proc/self/fd /dev/fd
ip link set lo up
[ ! -e /veth.ko ] || busybox insmod /veth.ko

if tests/run.sh "$@" && [ $# -gt 1 ]; then
	echo 'old-kernel: passed'
else
	echo 'old-kernel: failed'
fi
busybox poweroff -f
