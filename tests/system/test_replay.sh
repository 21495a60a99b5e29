#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# `levee replay` against a reference that computes everything the slow way (reference.py), on random
# traffic as CSV, pcap and pcapng; and what it says of files that have defects.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
seed=${SEED:-1}
echo "# seed $seed"

against_reference() {
	python3 tests/system/reference.py compare "$levee" "$dir" "$seed" "$1" "$2" | tee "$dir/last"
	return "${PIPESTATUS[0]}"
}
compare() {
	check "$3" against_reference "$1" "$2"
	sed 's/^/# /' "$dir/last" | tail -n 1
}
compare 80 csv 'random CSV: every line is the reference'\''s, bins, windows, limits, gaps, --audit'
compare 40 csv-every 'the same with --evaluate-every'
compare 30 ties 'huge and equal values, sources that tie'
compare 25 pcap 'random pcap: tags, options, extension headers, fragments, both byte orders and resolutions'
compare 25 pcapng 'random pcapng of such packets'

# ---- the same traffic, whatever brings it ----------------------------------------------------

python3 tests/system/reference.py write "$dir" "$seed"
options=(--format json --bin 10 --window 60 --min-packets 20 --min-zscore 1.5)
"$levee" replay "${options[@]}" "$dir/trace.csv" >"$dir/wanted"
same_as_csv() { "$levee" replay "${options[@]}" "$1" | cmp - "$dir/wanted"; }
check 'a trace flags somebody' grep -q '"new": true' "$dir/wanted"
check 'pcap and CSV of the same traffic give the same lines' same_as_csv "$dir/trace.pcap"
check 'pcapng, too' same_as_csv "$dir/trace.pcapng"
for kind in csv pcap pcapng; do
	check "$kind on standard input, too" eval "same_as_csv - <'$dir/trace.$kind'"
	check "$kind through a pipe, too" eval "cat '$dir/trace.$kind' | same_as_csv -"
done

# ---- an allow list, and the defaults ----------------------------------------------------------

# 59 quiet sources and one that floods in the last of three minutes: z = sqrt(59), 60 values.
awk 'BEGIN { for (m = 0; m < 3; m++) for (i = 1; i < 60; i++) print 6000 + 60 * m ",198.18.0." i ",10"
	print "6121,203.0.113.5,12000"; print "6122,203.0.113.5," 1 }' >"$dir/day.csv"
flags() { "$levee" replay --format json "$dir/day.csv" | grep -c '"source": "203.0.113.5".*"max_packets": 12001, "new": true'; }
no_more() { [ "$(grep -c . <<<"$1")" -eq 0 ]; }
check 'by default a bin of 12,001 packets is flagged' [ "$(flags)" = 1 ]
sed -i '$d' "$dir/day.csv"
check 'and one of 12,000 is not' no_more "$("$levee" replay --format json "$dir/day.csv" | grep 203.0.113.5)"
echo '203.0.113.0/24 # friends' >"$dir/friends"
check 'whoever is on the list of --allow is neither flagged nor counted' no_more \
	"$("$levee" replay --format json --min-packets 100 --allow "$dir/friends" "$dir/day.csv" | grep -E '203.0.113.5|"sources": 60')"
check 'and without it he is' [ "$("$levee" replay --format json --min-packets 100 "$dir/day.csv" | grep -c 203.0.113.5)" = 1 ]

# ---- a flagged source is not counted until it is no longer flagged -----------------------------

# One packet bin of 1,000 in a window of 3 bins; it goes on with 500 a bin.
awk 'BEGIN { for (b = 0; b < 12; b++) { for (i = 1; i < 30; i++) print 600 + 10 * b ",198.18.0." i ",10"
	if (b >= 2) print 601 + 10 * b ",203.0.113.5," (b == 2 ? 1000 : 500) } }' >"$dir/on.csv"
counted() { "$levee" replay --format json --bin 10 --window 30 --min-packets 900 "$@" "$dir/on.csv" | sed -E 's/.*"n": ([0-9]+).*/\1/' | tr '\n' ' '; }
# Flagged at 630, 640 and 650, as long as its spike is in the window; from 660 on it is counted.
check 'without --audit it is not' [ "$(counted)" = '29 58 88 88 88 87 88 89 90 90 90 90 ' ]
check 'with --audit it is' [ "$(counted --audit)" = '29 58 88 89 90 90 90 90 90 90 90 90 ' ]

# ---- what is wrong with a file is said, and the rest is worked --------------------------------

# says CODE WORDS COMMAND...: exit code, and an extended regular expression on standard error
says() {
	local wanted=$1 words=$2 code=0
	shift 2
	timeout 120 "$@" >"$dir/out" 2>"$dir/err" || code=$?
	cat "$dir/err"
	echo "exit code $code"
	[ "$code" -eq "$wanted" ] && grep -qE "$words" "$dir/err"
}
replay=("$levee" replay --format json --bin 10 --window 60)
out_has() { cat "$dir/out"; [ "$(wc -l <"$dir/out")" -eq "$1" ] && grep -qE "$2" "$dir/out"; }

cat >"$dir/bad.csv" <<'CSV'
time_unix_s,source,packets
100,198.51.100.1,5
101,198.51.100,5
x,198.51.100.1,5
102,198.51.100.1,-1
103,198.51.100.1
104,198.51.100.1,5,6,7
1e3,198.51.100.1,5
104,198.51.100.2,6
CSV
check 'bad CSV lines are named by file, line, value and what is expected' \
	says 1 'bad.csv:3: source "198.51.100": .*IPv4' "${replay[@]}" "$dir/bad.csv"
check 'each of them' [ "$(grep -cE 'bad.csv:[345678]: ' "$dir/err")" -eq 6 ]
check 'and the good ones are worked' out_has 1 '"sources": 2, "n": 2, "mean": 5.5,'
for i in $(seq 30); do echo "nonsense $i"; done >>"$dir/bad.csv"
check 'many bad lines do not flood the terminal, but are counted' \
	says 1 '36 bad lines in all, 26 not shown' "${replay[@]}" "$dir/bad.csv"
check 'ten are shown' [ "$(wc -l <"$dir/err")" -eq 11 ]
printf '100,198.51.100.1,5\n200,198.51.100.1,5\n50,198.51.100.1,5\n201,198.51.100.1,5' >"$dir/back.csv"
check 'a line whose bin is over is named, with the remedy' \
	says 1 'back.csv: line 3: time 50.*sort the file' "${replay[@]}" "$dir/back.csv"
check 'and not counted, though all others are, the last without its newline too' \
	out_has 2 '"now": 210, "sources": 1, "n": 1, "mean": 10,|"now": 210, "sources": 1, "n": 1, "mean": 10.0,'

printf '100,::ffff:198.51.100.1,5\n100,198.51.100.1,7\n100,::ffff:198.51.100.2,6\n' >"$dir/mapped.csv"
check 'IPv4-mapped addresses, as servers log them, are the IPv4 ones' \
	eval '"${replay[@]}" "$dir/mapped.csv" >"$dir/out" && out_has 1 "\"sources\": 2, \"n\": 2, \"mean\": 9,"'

all_but_the_last() {
	cmp <(head -n -1 "$dir/out") <(head -n -1 "$dir/wanted") &&
		[ "$(wc -l <"$dir/out")" -eq "$(wc -l <"$dir/wanted")" ]
}
for kind in pcap pcapng; do
	head -c $(($(stat -c %s "$dir/trace.$kind") - 10)) "$dir/trace.$kind" >"$dir/cut.$kind"
	check "a $kind that ends within a packet is said to" says 1 "cut.$kind: cut short" \
		"$levee" replay "${options[@]}" "$dir/cut.$kind"
	check 'and all before it is worked' \
		all_but_the_last
	head -c 30 "$dir/trace.$kind" >"$dir/stub.$kind"
	check "a $kind that ends within its head is an error" says 1 "stub.$kind: " "${replay[@]}" "$dir/stub.$kind"
done
: >"$dir/empty"
echo '# nobody' >"$dir/comment.csv"
head -c 1000 /dev/zero >"$dir/zeros"
check 'an empty file is an error' says 1 'empty: is empty; .*CSV is expected' "${replay[@]}" "$dir/empty"
check 'a file of comments is an error' says 1 'comment.csv: holds no record' "${replay[@]}" "$dir/comment.csv"
check 'a file of zeros is an error' says 1 'zeros' "${replay[@]}" "$dir/zeros"
check 'a directory is an error' says 1 "$dir: cannot be opened: Is a directory" "${replay[@]}" "$dir"
check 'a file that is not there is an error' says 1 'none: cannot be opened: No such file' "${replay[@]}" "$dir/none"
if [ "$(id -u)" -eq 0 ]; then
	chmod 755 "$dir"
	chmod 000 "$dir/stub.pcap"
	check 'a file that must not be read is an error' says 1 'stub.pcap: cannot be opened: Permission denied' \
		setpriv --reuid=65534 --regid=65534 --clear-groups "${replay[@]}" "$dir/stub.pcap"
else
	tap=$((tap + 1))
	echo "ok $tap - a file that must not be read is an error # SKIP root is needed to become somebody else"
fi
from_nothing() { says 1 'empty' "${replay[@]}" - </dev/null; }
check 'an empty standard input is an error' from_nothing

# ---- command line and output ------------------------------------------------------------------

check 'no file is a usage error' says 2 'no FILE' "$levee" replay
check 'two files are a usage error' says 2 'one FILE' "$levee" replay a b
check 'an unknown option is a usage error that names it' says 2 'no option --bim' "$levee" replay --bim 5 "$dir/day.csv"
check 'a bad value is a usage error with the range' says 2 'bin 0: .*1 to 86400' "$levee" replay --bin 0 "$dir/day.csv"
check 'an unknown format is a usage error with those known' says 2 'xml: not text or json' "$levee" replay --format xml "$dir/day.csv"
check 'a window that is no multiple of the bin is a usage error' \
	says 2 'window 50 is not a multiple of --bin 7' "$levee" replay --bin 7 --window 50 "$dir/day.csv"
check 'evaluating less than once a bin is a usage error' \
	says 2 'evaluate-every 20 is longer than --bin 10' "$levee" replay --bin 10 --window 60 --evaluate-every 20 "$dir/day.csv"
# shellcheck disable=SC2016
full=(sh -c 'exec "$@" >/dev/full' sh) shut=(sh -c 'exec "$@" >&-' sh)
check 'verdicts that cannot be written are an error' \
	says 1 'cannot write the verdicts: No space' "${full[@]}" "${replay[@]}" "$dir/day.csv"
check 'a closed standard output is an error' \
	says 1 'cannot write the verdicts' "${shut[@]}" "${replay[@]}" "$dir/day.csv"

# On a terminal there is a bar on standard error; verdicts stay clean.
on_terminal() {
	python3 - "$dir/pty" "${replay[@]}" "$dir/trace.pcap" <<'PY'
import os, pty, sys
out = os.open(sys.argv[1], os.O_CREAT | os.O_TRUNC | os.O_WRONLY)
child, terminal = pty.fork()
if child == 0:
    os.dup2(out, 1)
    os.execv(sys.argv[2], sys.argv[2:])
said = b""
try:
    while part := os.read(terminal, 4096):
        said += part
except OSError:
    pass
code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
print(code, said[-200:])
sys.exit(0 if code == 0 and b"100 %" in said and b"[####" in said else 1)
PY
}
check 'on a terminal there is a progress bar' on_terminal
check 'which does not get into the verdicts' eval '! grep -q "%" "$dir/pty" && [ -s "$dir/pty" ]'
finish
