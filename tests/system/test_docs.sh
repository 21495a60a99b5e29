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
	done < <(grep '^| `levee' README.md)
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
check 'the configuration reference in README is what the program prints' reference
check 'README lists every command' commands
check 'README and --help describe commands in the same words' summaries
check 'the default configuration is a good one' defaults_good
check 'every command has --help' help_of_each
check 'every make target of README is there and in make help' targets
echo "1..$n"
