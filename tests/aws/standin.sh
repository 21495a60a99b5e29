# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
#
# Sourced by tests that need AWS: starts tests/aws/standin.py and talks to its control endpoint.
#
#	. "$top/tests/aws/standin.sh"
#	standin_need                     the virtual environment; a TAP skip if PyPI is out of reach
#	standin_start [OPTION...]        in this network namespace, or in that of $standin_netns
#	standin GET  'count?writes=1'    control.py has the list; the answer is on stdout
#	standin POST script '{...}'
#	standin_ready .endpoint          a jq expression on the line that the stand-in printed
#	standin_env                      exports AWS_ENDPOINT_URL, AWS_REGION, AWS_CA_BUNDLE, the keys,
#	                                 and takes every other AWS_ variable out of the environment
#	standin_nacl FILE                [aws] and [nacl] for the world whose description is in FILE
#	standin_leaks FILE...            secrets found in the files, one a line; good is: nothing
#	standin_stop                     also to be called by the test's trap
#
# The control endpoint is on a unix socket: it can be reached from every network namespace.

standin_top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd) || exit 1
standin_dir='' standin_pid='' standin_python=''

standin_need() {
	standin_python=$("$standin_top/tests/aws/venv.sh")
	case $? in
	0) return 0 ;;
	69)
		echo "ok 1 - ${0##*/} # SKIP the package index cannot be reached, and there is no .build/aws-venv"
		echo '1..1'
		exit 0
		;;
	*)
		echo "not ok 1 - ${0##*/}: tests/aws/venv.sh failed"
		echo '1..1'
		exit 1
		;;
	esac
}

standin_start() {
	local -a inside=()
	[ -n "$standin_python" ] || standin_need
	standin_dir=$(mktemp -d) || return 1
	[ -z "${standin_netns:-}" ] || inside=(nsenter --net="/run/netns/$standin_netns")
	# nsenter executes it in its own place, so the pid is the stand-in's.
	env -u AWS_PROFILE "${inside[@]}" "$standin_python" "$standin_top/tests/aws/standin.py" \
		--socket "$standin_dir/control" --folder "$standin_dir/tls" \
		--ready "$standin_dir/ready" "$@" >"$standin_dir/out" 2>&1 </dev/null &
	standin_pid=$!
	local end=$((SECONDS + 90))
	until [ -s "$standin_dir/ready" ]; do
		if ! kill -0 "$standin_pid" 2>/dev/null || [ "$SECONDS" -ge "$end" ]; then
			echo '# the stand-in did not start:'
			sed 's/^/#   /' "$standin_dir/out"
			return 1
		fi
		sleep 0.05
	done
}

# standin METHOD NAME [BODY]; BODY may be @FILE
standin() {
	local -a body=()
	[ $# -lt 3 ] || body=(--data-binary "$3")
	curl -sS --fail-with-body --max-time 120 --unix-socket "$standin_dir/control" \
		-X "$1" "${body[@]}" "http://standin/_standin/$2"
}

standin_ready() {
	jq -r "$1" "$standin_dir/ready"
}

standin_env() {
	local name
	for name in $(compgen -e AWS_); do
		unset "$name"
	done
	AWS_ENDPOINT_URL=$(standin_ready .endpoint)
	AWS_REGION=$(standin_ready .region)
	AWS_CA_BUNDLE=$(standin_ready .ca)
	AWS_ACCESS_KEY_ID=$(standin_ready .keys.AWS_ACCESS_KEY_ID)
	AWS_SECRET_ACCESS_KEY=$(standin_ready .keys.AWS_SECRET_ACCESS_KEY)
	export AWS_ENDPOINT_URL AWS_REGION AWS_CA_BUNDLE AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY
	# The machine's own configuration and metadata service have no part in a test.
	export AWS_CONFIG_FILE=$standin_dir/config AWS_SHARED_CREDENTIALS_FILE=$standin_dir/credentials
	export AWS_EC2_METADATA_SERVICE_ENDPOINT
	AWS_EC2_METADATA_SERVICE_ENDPOINT=http://127.0.0.1:$(standin_ready .imds)/
}

standin_nacl() {
	printf '[aws]\nenabled = yes\n[nacl]\nenabled = yes\nmin_interval = 1\nverify_every = 10\nsettle = 1\n'
	jq -r '"blue = \(.blue)\ngreen = \(.green)\nsubnets = \(.subnets | join(" "))"' "$1"
}

standin_leaks() {
	standin GET secrets >"$standin_dir/secrets" || return 2
	grep -FHnaof "$standin_dir/secrets" "$@"
	return 0
}

standin_stop() {
	[ -z "$standin_pid" ] || { kill "$standin_pid" && wait "$standin_pid"; } 2>/dev/null
	standin_pid=''
	[ -z "$standin_dir" ] || rm -rf "$standin_dir"
	standin_dir=''
}
