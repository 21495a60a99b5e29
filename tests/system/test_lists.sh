#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# What README says of `cat` and bpftool: known traffic in, exact lines out.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
need_root
make_pair
configure 'bin = 3600' 'window = 36000'
start_levee
# Some kernels refuse iterators over maps. There the daemon says so, and `levee list` is left.
iterators=yes
grep -q 'no lists to .cat.' "$log" && iterators=no
echo "# iterators over maps: $iterators"
cat >"$dir/known.ini" <<'INI'
[scenario]
name = known
duration = 1
[one]
prefix = 198.51.100.7/32
rate = 100
size = 100
[six]
prefix = 2001:db8:1:2::/64
rate = 50
size = 90
INI
in_client "$pktgen" --interface eth0 "$dir/known.ini" >/dev/null 2>&1

total() { list "$1" | awk -v s="$2" '$1 == s { p += $2; b += $3 } END { print p + 0, b + 0 }'; }
same_as_cat() { list "$1" | sed 's/ [0-9]*s / /' >"$dir/listed" && sed 's/ [0-9]*s / /' "$pin/$1" | sort | diff - <(sort "$dir/listed"); }
no_list_is_pinned() { [ ! -e "$pin/rules" ] && [ ! -e "$pin/sources4" ] && [ ! -e "$pin/sources6" ]; }
has4() { total sources4 198.51.100.7 && [ "$(total sources4 198.51.100.7)" = '100 10000' ]; }
has6() { total sources6 2001:db8:1:2::/64 && [ "$(total sources6 2001:db8:1:2::/64)" = '50 4500' ]; }
check 'levee list sources4 has the source with its packets and bytes' has4
check 'levee list sources6 has the prefix with its packets and bytes' has6
check 'the headings name the columns' \
	eval 'list sources4 | head -n 1 | grep -q "^# source packets bytes cpu epoch" && rules | head -n 1 | grep -q "^# verdict prefix ends-in packets bytes"'
if [ "$iterators" = yes ]; then
	for name in rules sources4 sources6; do
		check "cat $name prints the same as levee list $name" same_as_cat $name
	done
else
	check 'what cannot be listed by cat is not there, half made' no_list_is_pinned
fi
check 'levee list rules lists what is allowed' eval 'rules | grep -qx "allow 169.254.0.0/16 never 0 0"'

# The commands as README has them, with this test's pins and interface.
n=0
while read -r line; do
	n=$((n + 1))
	command=${line//\/sys\/fs\/bpf\/levee/$pin}
	command=${command//ens5/eth0}
	case $command in
	cat*) [ "$iterators" = yes ] || continue ;;
	esac
	check "README: ${line%% #*}" eval "$command | grep -q ."
done < <(sed -nE 's/^    sudo ((cat|bpftool) [^#]*\/sys\/fs\/bpf\/levee[^#]*).*/\1/p' README.md)
check 'README has such commands' [ "$n" -ge 7 ]
check 'a list that is not there is an error' eval '! "$levee" list --pin "$pin" sources 2>/dev/null'
check 'nothing pinned is an error that says so' eval '! "$levee" list --pin "$pin-none" rules 2>"$dir/said" && grep -q "nothing is pinned there" "$dir/said"'
check 'bpftool names the fields' eval 'bpftool map dump pinned "$pin/maps/rows" | grep -q passed_bytes'
check 'bpftool net shows that something is attached' eval 'in_server bpftool net show dev eth0 | grep -q "^eth0("'
stop_levee
finish
