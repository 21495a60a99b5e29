#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause
#
# The daemon and AWS from end to end: a real flood through XDP, and what SNS, CloudWatch, its logs
# and the allow list in S3 see of it; then everything that can be wrong with AWS, while the
# instance stays protected.
# shellcheck source=../system/lib.sh
. "$(dirname "$0")/../system/lib.sh"
# shellcheck source=standin.sh
. tests/aws/standin.sh
need_root
standin_need
trap 'standin_stop; cleanup' EXIT
make_pair
ip -n "$server" link set lo up

cat >"$dir/flood.ini" <<'INI'
[scenario]
name = flood
duration = 120
bin = 1
[clients]
prefix = 198.18.0.0/16
sources = 200
rate = 5
[friend-in-s3]
prefix = 203.0.113.1/32
rate = 1500
[host-of-the-vpc]
prefix = 10.0.7.7/32
rate = 1500
[foe]
prefix = 203.0.113.66/32
rate = 1500
INI

# aws LINE...: a daemon's configuration with these lines in [aws].
aws() {
	configure 'bin = 1' 'window = 15' 'min_packets = 300' 'min_zscore = 2'
	{
		printf '[log]\nlevel = debug\n[allow]\ns3 = s3://levee-allow-list/allow.txt\ns3_every = %s\n' "${every:-5}"
		printf '[aws]\nenabled = yes\n'
		printf '%s\n' "$@"
	} >>"$config"
}
flood() {
	nsenter --net="/run/netns/$client" "$pktgen" --interface eth0 "$dir/flood.ini" \
		>/dev/null 2>&1 &
	sender=$!
}
end_flood() { kill "$sender" && wait "$sender" 2>/dev/null; }
not() { ! "$@"; }
allowed() { rules | grep -q "^allow $1[ /]"; }
said() { grep -qE "$1" "$log"; }
since() { tail -n +"$((mark + 1))" "$log"; }
said_since() { since | grep -qE "$1"; }
remember() { mark=$(wc -l <"$log"); }
drops_grow() {
	local before
	before=$(drops 203.0.113.66)
	wait_for 10 eval "[ \"\$(drops 203.0.113.66)\" -gt \"$before\" ]"
}

# ---- what AWS is told ----
standin_netns=$server
standin_start || exit 1
standin_env
standin POST world '{}' >/dev/null
printf '# friends\n203.0.113.1\nnonsense/99\n' | standin PUT allow_list @- >/dev/null
topic=$(standin GET world | jq -r .topic_arn)
vpc=$(standin GET world | jq -r .vpc)
instance=$(standin GET world | jq -r .instance_id)
aws "sns_topic = $topic" 'metrics = AutoNACL' 'metrics_every = 1' 'log_group = /levee/blocked' \
	'metrics_log_group = flows'

check 'the daemon starts, and drops nothing before the list in S3 was read' \
	eval 'start_levee && said "never read and has no copy"'
check 'the list comes, and with it the mode' wait_for 30 said 's3://.*is here; mode enforce'
check 'its bad line is named with object and line' said 's3://levee-allow-list/allow.txt:3: '
check 'its good line is in force' allowed 203.0.113.1
check 'the CIDR of the VPC is allowed without being named' wait_for 10 allowed 10.0.0.0
check 'the log says who and where' eval \
	'wait_for 10 said "aws: account 123456789012 as .* credentials: environment" &&
	 said "instance $instance in VPC $vpc, region eu-west-1"'
flood
check 'the flooder is blocked' wait_for 30 is_blocked 203.0.113.66
check 'neither the friend in S3 nor the host of the VPC is' not eval \
	'is_blocked 203.0.113.1 || is_blocked 10.0.7.7'

# Every message so far, one a line.
messages() {
	standin GET messages | jq -c '.[]' >>"$dir/messages"
	cat "$dir/messages"
}
foe_told() { [ -n "$(messages | jq -c 'select(any(.source_ip == "203.0.113.66"))')" ]; }
schema() {
	cat "$dir/messages"
	jq -es 'length > 0 and all(.[][]; (keys == ["max_packets", "max_zscore", "source_ip"]) and
		(.max_zscore | type == "number" and . > 2) and (.max_packets | type == "number" and . > 300))' \
		"$dir/messages"
}
check 'SNS told its subscriber of the flooder' wait_for 20 foe_told
check 'in the schema that subscribers know' schema

standin_metrics() { standin GET metrics >"$dir/metrics"; }
metric() { # NAME DIMENSION VALUE UNIT
	jq -e --arg n "$1" --arg d "$2" --arg v "$3" --arg u "$4" \
		'any(.[]; .namespace == "AutoNACL" and .name == $n and .unit == $u and
		 (.dimensions | tostring | contains($d) and contains($v)))' "$dir/metrics" >/dev/null
}
metrics_there() {
	standin_metrics
	local name
	for name in OutlierSourceIPs UniqueSourceIPs; do metric $name LogGroupName flows Count || return 1; done
	for name in TimeWindow BinInterval MinPacketsPerBin; do
		metric $name LogGroupName flows Seconds || return 1
	done
	for name in BlockedSourceNetworks UnblockedSourceNetworks BlockedSourceIPs UnblockedSourceIPs; do
		metric $name VpcId "$vpc" Count || return 1
	done
	metric DroppedPackets InstanceId "$instance" Count &&
		jq -e 'any(.[]; .name == "DroppedPackets" and .value > 0)' "$dir/metrics" &&
		jq -e 'any(.[]; .name == "OutlierSourceIPs" and .value == 1)' "$dir/metrics" &&
		jq -e 'any(.[]; .name == "BlockedSourceIPs" and .value == 1)' "$dir/metrics"
}
check 'CloudWatch has the metrics, with names, units and dimensions as alarms know them' \
	wait_for 20 metrics_there
logged() {
	standin GET log_events | jq -e --arg s "$instance" 'any(.[]; .stream == $s and
		(.message | fromjson | .ip == "203.0.113.66" and (.z_score | type == "number" and . > 2) and
		 .packets > 300 and (keys == ["ip", "packets", "z_score"])))' >/dev/null
}
check 'the log group has a record of it, in a stream of the name of the instance' wait_for 20 logged
quiet() { # nothing changes: no more messages
	standin DELETE log >/dev/null
	pass_bins 3
	[ "$(standin GET 'count?service=sns')" -le 2 ]
}
check 'a flood that goes on is no news, bin after bin' quiet

# ---- the list in S3 goes bad, and large ----
remember
standin DELETE allow_list >/dev/null
check 'an object that is gone is said once, with what to do' \
	wait_for 20 said_since 'warning: aws: allow list: NoSuchKey: s3://.*check the key'
check 'and its last good list stays in force' eval 'pass_bins 1 && allowed 203.0.113.1'
remember
seq 1 20 | sed 's/^/rubbish /' | standin PUT allow_list @- >/dev/null
awk 'BEGIN { print "203.0.113.1"
	for (i = 1; i < 100000; i++) printf "100.%d.%d.%d\n", 64 + int(i / 65536), int(i / 256) % 256, i % 256 }' \
	>"$dir/large.list"
check 'an object without a good line is no list' \
	wait_for 30 said_since 'UnreadableList: s3://.*not one of them is good'
check 'the last good list still stays' allowed 203.0.113.1
standin PUT allow_list "@$dir/large.list" >/dev/null
check 'a list of 100,000 is read and in force' \
	eval 'wait_for 60 said "allow.txt: 100000 prefixes" && wait_for 20 allowed 100.64.0.4 && allowed 203.0.113.1'
check 'and the friend was not blocked at any time' not said 'block 203\.0\.113\.1 '

# ---- AWS goes away ----
remember
standin POST script '{"faults": [{"operation": "*", "do": "error", "error": "@unavailable"}]}' >/dev/null
check 'an outage of AWS is said' wait_for 60 said_since 'warning: aws: metrics: ServiceUnavailable'
check 'and the flooder is dropped all the same' drops_grow
once() { [ "$(since | grep -cE "warning: aws: $1:")" -le 1 ]; }
check 'each part says it once' eval 'pass_bins 2; once metrics && once SNS && once logs'
standin POST script '{}' >/dev/null
check 'it comes back by itself' wait_for 60 said_since 'notice: aws: metrics works again'
end_flood
ended() { messages | tail -n 1 | grep -qx '\[\]'; }
check 'when nobody is flagged any more, SNS is told so' wait_for 60 ended
unsigned() { [ "$(standin GET 'count?verified=0')" -eq 0 ]; }
check 'every request was signed as AWS wants it' unsigned

remember
standin POST revoke '{"access_key": null}' >/dev/null
check 'credentials that AWS does not take are said, with what to do' \
	wait_for 60 said_since 'warning: aws: .*unknown to AWS'
check 'the daemon stops at once, whatever AWS does' eval 'start=$SECONDS; stop_levee; [ $((SECONDS - start)) -le 5 ]'

# ---- starts with AWS in a bad state ----
# A start has one message of each kind, and protects: the copy of the list is in force.
protects() { start_levee && allowed 203.0.113.1 && allowed 10.0.0.0; }
remember
aws
check 'expired credentials: the daemon starts with the copies of its lists' protects
check 'and says so once' eval \
	'wait_for 30 said_since "warning: aws: identity: InvalidClientTokenId: .*unknown to AWS" &&
	 pass_bins 3 && [ "$(since | grep -c "warning: aws:")" -eq 1 ]'
stop_levee
remember
(
	unset AWS_REGION
	export AWS_EC2_METADATA_DISABLED=true
	check 'no region: the daemon starts' protects
	check 'and says once what to set' eval \
		'wait_for 30 said_since "warning: aws: identity: NoRegion: .*Set \[aws\] region" && pass_bins 2 &&
		 [ "$(since | grep -c "warning: aws:")" -eq 1 ]'
	stop_levee
	echo "$tap" >"$dir/tap"
)
tap=$(cat "$dir/tap")
remember
standin POST keys '{}' >"$dir/keys"
AWS_ACCESS_KEY_ID=$(jq -r .AWS_ACCESS_KEY_ID "$dir/keys")
AWS_SECRET_ACCESS_KEY=$(jq -r .AWS_SECRET_ACCESS_KEY "$dir/keys")
rm "$dir/keys"
(
	unset AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY
	rm -f "$state.vpc"
	standin POST metadata '{"up": false}' >/dev/null
	every=600 aws
	check 'no credentials yet, as early in the boot: the daemon starts' start_levee
	check 'and says once what was looked at' wait_for 30 said_since 'warning: aws: identity: NoCredentials: '
	standin POST metadata '{"up": true}' >/dev/null
	check 'with the credentials the rest follows at once, not at its next interval' eval \
		'wait_for 60 said_since "notice: aws: identity works again" &&
		 wait_for 10 said_since "notice: aws: instance i-.* in VPC vpc-" && wait_for 10 allowed 10.0.0.0'
	stop_levee
	echo "$tap" >"$dir/tap"
)
tap=$(cat "$dir/tap")
remember
every=600 aws 'sns_topic = arn:aws:sns:eu-west-1:123456789012:nobody' 'log_group = /nowhere'
check 'a topic and a log group that are not there: the daemon starts' protects
check 'and says so at the start, not at the first flood' eval \
	'wait_for 30 said_since "warning: aws: SNS: NotFound: topic arn:.*:nobody: .*check \[aws\] sns_topic" &&
	 wait_for 30 said_since "warning: aws: logs: ResourceNotFoundException: log group /nowhere: .*make the log group"'
printf '203.0.113.1\n203.0.113.2\n' | standin PUT allow_list @- >/dev/null
kill -HUP "$daemon"
check 'a reload asks S3 at once' wait_for 20 said_since 'allow.txt: 2 prefixes'
stop_levee
remember
aws "endpoint = http://127.0.0.1:$(standin_ready .silent)"
check 'an endpoint that never answers: the daemon starts, and goes on' eval 'protects && pass_bins 3'
check 'and stops without waiting for it' eval 'start=$SECONDS; stop_levee; [ $((SECONDS - start)) -le 5 ]'
remember
aws "endpoint = https://127.0.0.1:$(standin_ready .https_other_ca)"

check 'a certificate that does not verify: the daemon starts' protects
check 'and says what to do' wait_for 40 said_since 'warning: aws: .*CertificateNotVerified.*AWS_CA_BUNDLE'
stop_levee

leaks() { [ -z "$(standin_leaks "$log" "$state" "$state".* "$config")" ]; }
check 'no secret was ever written, at the level debug' leaks
finish
