#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# venv.sh: the virtual environment of the AWS tests, in .build/aws-venv, with the versions that
# requirements.txt and constraints.txt name. Prints the path of its python. LEVEE_VENV=api makes that
# of tests/api/.
#
# With the environment there it takes no time and no network. Exit code 69: the package index
# cannot be reached, so the tests that need it cannot run; 1: anything else.
#
# PYTHON=python3.12 tests/aws/venv.sh    takes another interpreter (3.10 or later)
set -u
here=$(cd "$(dirname "$0")" && pwd) || exit 1
venv=$(cd "$here/../.." && pwd)/.build/${LEVEE_VENV:-aws}-venv
here=$(cd "$here/../${LEVEE_VENV:-aws}" && pwd) || exit 1
stamp=$venv/levee-stamp
python=${PYTHON:-python3}

say() {
	printf 'venv.sh: %s\n' "$*" >&2
}

# What the environment was made from: the files, and the interpreter.
fingerprint() {
	cat "$here/requirements.txt" "$here/constraints.txt"
	"$python" -c 'import sys; print(sys.version, sys.base_prefix)'
}

is_current() {
	[ -x "$venv/bin/python" ] && [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ]
}

make_venv() {
	"$python" -m venv --clear "$venv" >"$log" 2>&1 && return
	say "$python -m venv failed; on Debian and Ubuntu it is in the package python3-venv (make deps):"
	sed 's/^/    /' "$log" >&2
	exit 1
}

install() {
	"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-input \
		--retries 2 --timeout 20 \
		-r "$here/requirements.txt" -c "$here/constraints.txt" >"$log" 2>&1 && return
	tail -n 20 "$log" | sed 's/^/    /' >&2
	if grep -qE 'NewConnectionError|Max retries|Name or service|name resolution|unreachable|timed out|refused|ProxyError' "$log"; then
		say 'the package index cannot be reached: no AWS tests without it. A mirror can be named with'
		say 'PIP_INDEX_URL, a directory of wheels with PIP_NO_INDEX=1 PIP_FIND_LINKS=DIR'
		exit 69
	fi
	say "pip could not install what $here/requirements.txt names; its last lines are above"
	exit 1
}

command -v "$python" >/dev/null || {
	say "there is no $python; make deps installs it"
	exit 1
}
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))' || {
	say "$("$python" --version) is too old, 3.10 is needed: name another one with PYTHON=python3.12"
	exit 1
}
mkdir -p "${venv%/*}" || exit 1
wanted=$(fingerprint | sha256sum | cut -d ' ' -f 1)
log=$venv.log

# Several tests may want it at once: the first makes it, the others wait.
exec 9>"$venv.lock"
flock 9
if ! is_current; then
	say "making ${venv##*/}: about a minute"
	make_venv
	install
	echo "$wanted" >"$stamp"
fi
echo "$venv/bin/python"
