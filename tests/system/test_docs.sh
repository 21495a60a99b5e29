#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
# README, --help and the tables in the program tell the same story.
set -u
cd "$(dirname "$0")/../.." || exit 1
levee=$PWD/$LEVEE_BUILD/levee
n=0
check() { # check NAME COMMAND...
	n=$((n + 1))
	local name=$1
	shift
	if "$@"; then echo "ok $n - $name"; else echo "not ok $n - $name"; fi
}

reference() {
	diff <(sed -n '/config reference: begin/,/config reference: end/p' README.md | sed '1d;$d') \
		<("$levee" config dump --markdown)
}
metrics() {
	diff <(sed -n '/metrics reference: begin/,/metrics reference: end/p' README.md | sed '1d;$d') \
		<("$levee" config dump --metrics)
}
commands() {
	local missing=0 name
	while read -r name; do
		grep -q "^| \`levee $name" README.md || {
			echo "# README does not have levee $name"
			missing=1
		}
	done < <("$levee" --help | sed -n '/^Commands:/,/^$/p' | sed -nE 's/^  ([a-z]+( [a-z]+)?)  .*/\1/p')
	return $missing
}
summaries() {
	local bad=0 name what
	while IFS='|' read -r _ name what _; do
		name=$(sed -E 's/.*`levee ([a-z]+( (check|dump))?).*/\1/' <<<"$name")
		what=$(sed 's/^ *//; s/ *$//' <<<"$what")
		"$levee" --help | grep -qF "$name" || bad=1
		case $what in "verdicts on traffic"*) continue ;; esac
		"$levee" --help | grep -F "$name" | grep -qF "$what" || {
			echo "# --help does not say of $name: $what"
			bad=1
		}
	done < <(grep '^| `levee ' README.md)
	return $bad
}
defaults_good() {
	local file
	file=$(mktemp)
	"$levee" config dump --defaults >"$file" && "$levee" config check "$file" >/dev/null
	local ret=$?
	rm -f "$file"
	return $ret
}
help_of_each() {
	local name
	while read -r name; do
		# shellcheck disable=SC2086
		"$levee" $name --help | grep -q '^Usage: levee' || return 1
	done < <("$levee" --help | sed -n '/^Commands:/,/^$/p' | sed -nE 's/^  ([a-z]+( [a-z]+)?)  .*/\1/p')
}
targets() {
	local t help
	help=$(make help)
	for t in deps all demo check bench install uninstall clean; do
		grep -qE "^$t:" Makefile || return 1
		[ "$t" = all ] || grep -q "make $t" <<<"$help" || return 1
	done
}
# What a reader sees of a man page, without its blanks; $1 its name.
man_page() {
	mandoc -T ascii -O width=1000 "$LEVEE_BUILD/man/$1" | sed 's/.\x08//g' | tr -d '[:space:]'
}
man_lint() {
	local page bad=0
	for page in "$LEVEE_BUILD"/man/*; do
		mandoc -T lint -W warning "$page" || bad=1
	done
	return $bad
}
# says PAGE: every line of standard input is in the page, whatever its blanks.
says() {
	local page line bad=0
	page=$(man_page "$1")
	while read -r line; do
		[[ $page == *"$(tr -d '`[:space:]' <<<"$line")"* ]] || {
			echo "# $1 does not say: $line"
			bad=1
		}
	done
	return $bad
}
# Options of --help, and what they are followed by.
help_options() { "$@" --help | sed -nE 's/^  (--[a-z].*)/\1/p' | grep -v '^--help '; }
man_commands() {
	local name bad=0
	while read -r name; do
		# shellcheck disable=SC2086
		{
			echo "levee $name"
			help_options "$levee" $name
			"$levee" $name --help | sed -n '3,/^Options:/p' | sed '/^Options:/d' |
				tr '\n' ' '
			echo
		} | says levee.8 || bad=1
	done < <("$levee" --help | sed -n '/^Commands:/,/^$/p' | sed -nE 's/^  ([a-z]+( [a-z]+)?)  .*/\1/p')
	return $bad
}
man_invents_nothing() {
	local option bad=0 all
	all=$(for name in $("$levee" --help | sed -n '/^Commands:/,/^$/p' |
		sed -nE 's/^  ([a-z]+)(( [a-z]+)?)  .*/\1\2/p' | tr ' ' '+'); do
		# shellcheck disable=SC2086
		"$levee" ${name//+/ } --help
	done)
	while read -r option; do
		grep -q -- "^  ${option}[ =]" <<<"$all" || {
			echo "# levee.8 has $option, no command does"
			bad=1
		}
	done < <(grep -A1 '^\.TP' "$LEVEE_BUILD/man/levee.8" | sed -nE 's/^\\fB(\\-\\-.*)\\fR.*/\1/p' |
		sed 's/\\fR.*//; s/\\-/-/g' | sort -u)
	return $bad
}
man_config() {
	"$levee" config dump --markdown | sed -nE 's/^\| `([a-z0-9_]+)` \|.*\| (.*) \|$/\1 \2/p' | says levee.conf.5 &&
		"$levee" config dump --markdown | sed -nE 's/^### (.*)/\1/p' | says levee.conf.5
}
man_pktgen() {
	local pktgen=$LEVEE_BUILD/tools/pktgen/pktgen
	{
		help_options "$pktgen"
		"$pktgen" --keys | sed -nE 's/^      (accepted: )?(.*)/\2/p'
	} | says levee-pktgen.8
}
# 0 to 3, in words; that commands end with them is tested where the commands are.
exit_codes() {
	tr '\n' ' ' <README.md | grep -q 'Exit codes: 0 done, 1 it failed or its input had defects (each is said), 2 the command line is wrong, 3 no daemon can be reached\.' &&
		says levee.8 <<<'0 Done. 1 It failed, or its input had defects; each is said. 2 The command line is wrong. 3 No daemon can be reached.'
}
installed() {
	local root bad=0 page
	root=$(mktemp -d)
	make -s install DESTDIR="$root" PREFIX=/usr >"$root/log" 2>&1 || bad=1
	for page in man8/levee.8 man5/levee.conf.5 man8/levee-pktgen.8; do
		cmp "$LEVEE_BUILD/man/${page##*/}" "$root/usr/share/man/$page" || bad=1
	done
	cmp <("$levee" completion bash) "$root/usr/share/bash-completion/completions/levee" || bad=1
	cmp <("$levee" completion zsh) "$root/usr/share/zsh/site-functions/_levee" || bad=1
	cmp <("$levee" completion fish) "$root/usr/share/fish/vendor_completions.d/levee.fish" || bad=1
	[ -x "$root/usr/sbin/levee" ] && [ -x "$root/usr/sbin/levee-pktgen" ] || bad=1
	rm -rf "$root"
	return $bad
}
check 'the configuration reference in README is what the program prints' reference
check 'the reference of metrics in README is what the program prints' metrics
check 'README lists every command' commands
check 'README and --help describe commands in the same words' summaries
check 'the default configuration is a good one' defaults_good
check 'every command has --help' help_of_each
check 'every make target of README is there and in make help' targets
if command -v mandoc >/dev/null; then
	check 'the man pages have no fault that mandoc finds' man_lint
	check 'levee(8) says of every command and option what --help says' man_commands
	check 'levee(8) has no option that no command has' man_invents_nothing
	check 'levee.conf(5) has every section, key and meaning' man_config
	check 'levee-pktgen(8) has every option and every key of a scenario' man_pktgen
else
	n=$((n + 1))
	echo "ok $n - man pages # SKIP mandoc is not installed"
fi
check 'make install brings the program, the generator, man pages and completion' installed
check 'README and levee(8) have the same exit codes' exit_codes
echo "1..$n"
