#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# `levee top` on a terminal (tmux plays it): what is shown, keys, a narrow screen, and the terminal after it.
# And what the shells make of their completion scripts.
# shellcheck source=tests/system/lib.sh
. "$(dirname "$0")/lib.sh"
need_root
for tool in tmux zsh fish; do
	command -v $tool >/dev/null && continue
	echo "ok 1 - levee top # SKIP $tool is not installed (make deps)"
	echo '1..1'
	exit 0
done
make_pair
configure 'bin = 1' 'window = 60' 'min_packets = 300'
export LEVEE_SOCKET=$dir/levee.sock
printf '[api]\nsocket = %s\ngroup =\n' "$LEVEE_SOCKET" >>"$config"
cat >"$dir/traffic.ini" <<'INI'
[scenario]
name = top
duration = 120
bin = 1
[clients]
prefix = 198.18.0.0/16
sources = 40
rate = 5
[flood]
prefix = 203.0.113.7/32
rate = 1000
flooder = yes
INI
term() { tmux -L "levee-t-$id" -f /dev/null "$@"; }
screen() { term capture-pane -p; }
shows() { screen | grep -qE -- "$1"; }
key() { term send-keys "$@"; }
at_end() {
	kill "$sender" 2>/dev/null
	term kill-server 2>/dev/null
	cleanup
}
sender=''
trap at_end EXIT
check 'the daemon starts' start_levee
nsenter --net="/run/netns/$client" "$pktgen" --interface eth0 "$dir/traffic.ini" >/dev/null 2>&1 &
sender=$!
check 'a flood is blocked' wait_for 30 is_blocked 203.0.113.7

check 'it takes the screen' term new-session -d -x 100 -y 20 "$levee top; echo code=\$?; stty -a | tr ' ' '\n' | grep -xE -- '-?(echo|icanon);?'; sleep 600"
check 'who is blocked is on it, with verdict and end' wait_for 10 shows '^203\.0\.113\.7 .* blocked: [a-z]+ +[0-9]'
check 'clients are, too' wait_for 10 shows '^198\.18\.[0-9.]+ +[0-9]+ .* passed'
order() { key s && wait_for 5 shows "sorted by $1"; }
check 's sorts by Z-score, drops, source, rate' eval 'for by in Z dropped source packets/s; do order "$by" || exit 1; done'
key / 203.0 Enter
only() { shows 'only with 203\.0' && shows '^203\.0\.113\.7 ' && ! shows '^198\.18'; }
check '/ leaves what has the words' wait_for 5 only
key u n
check 'u asks, and n is no' eval 'wait_for 5 shows "s sort" && is_blocked 203.0.113.7'
key u
check 'the question names the source' wait_for 5 shows 'Unblock: 203\.0\.113\.7.*\[y/N\]'
key y
not_blocked() { ! is_blocked 203.0.113.7; }
check 'y unblocks it, in the kernel' wait_for 5 not_blocked
check 'what was done is said' wait_for 5 shows '203\.0\.113\.7(/32)? is unblocked'
key b
wait_for 5 shows 'Block for an hour: 203\.0\.113\.7'
key y
check 'b and y block it again' wait_for 5 is_blocked 203.0.113.7
key / Enter
check 'an empty filter leaves all' wait_for 5 shows '^198\.18'
term resize-window -x 40 -y 12
# One line for each source, none longer than the screen, and the line of keys at the bottom.
narrow() {
	screen >"$dir/screen"
	! grep -qE '.{41}' "$dir/screen" && [ "$(wc -l <"$dir/screen")" -eq 12 ] && grep -q 'q quit' "$dir/screen" &&
		[ "$(sed -n '5,10p' "$dir/screen" | grep -cE '^[0-9.]+/?[0-9]* +[0-9]+  (blocked|passed)')" -eq 6 ]
}
check 'at 40 columns a source has a line' wait_for 5 narrow
term resize-window -x 120 -y 30
check 'and at 120 again all columns' wait_for 5 shows 'DROPPED +VERDICT +ENDS IN'
key q
check 'q leaves, with success' wait_for 5 shows '^code=0'
usable() { shows '^echo;?$' && shows '^icanon;?$'; }
check 'and the terminal is as it was' wait_for 5 usable

# ---- completion ------------------------------------------------------------------------------------
for shell in bash zsh fish; do "$levee" completion $shell >"$dir/complete.$shell"; done
check 'bash takes its script' bash -n "$dir/complete.bash"
check 'zsh takes its script' zsh -n "$dir/complete.zsh"
check 'fish takes its script' fish -n "$dir/complete.fish"
in_fish() { fish --no-config -c "source $dir/complete.fish; complete -C '$1'" | grep -qE "^$2"; }
check 'fish completes commands' in_fish 'levee unb' unblock
check 'fish completes options' in_fish 'levee block --fo' '--for'
term new-window "PATH=${levee%/*}:\$PATH exec zsh -f"
key "autoload -U compinit && compinit -u -D && source $dir/complete.zsh && echo rea''dy" Enter
check 'zsh loads it' wait_for 10 shows '^ready'
key 'levee unb' Tab
check 'zsh completes commands' wait_for 5 shows 'levee unblock'
key C-u 'levee block --rea' Tab
check 'zsh completes options' wait_for 5 shows 'levee block --reason'
stop_levee
finish
