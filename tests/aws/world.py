# SPDX-License-Identifier: BSD-2-Clause
"""The account that a test starts from: VPC, subnets, ACLs, topic, queue, bucket, log group.

Made with boto3 on moto itself, so that nothing of it is in the log of calls. A world's wishes:

    subnets      how many (2)
    acls         a list of the operator's ACLs, each a list of rules; the subnets are spread over
                 them. Default: one ACL with the rules 100, all allowed, in both directions.
                 [] leaves the subnets on the VPC's default ACL
    ipv6         true: the VPC has an IPv6 CIDR, and default rules for it under 101 (false)
    pair         "empty": blue and green exist, with no rule (the default); "none": they do not
    allow_list   text of the S3 object ("10.0.0.0/8\\n"); null: there is no object

A rule is {"number", "egress": false, "action": "allow", "protocol": "-1", "cidr", "ports": [a, b],
"icmp": [type, code]}.
"""

import json

from identity import ACCOUNT

DEFAULTS = {"subnets": 2, "acls": None, "ipv6": False, "pair": "empty", "allow_list": "10.0.0.0/8\n"}


def make(backend, wishes):
    """Build it. Returns the ids, as a dict for a test to read."""
    unknown = set(wishes) - set(DEFAULTS)
    if unknown:
        raise ValueError(f"unknown: {sorted(unknown)}; known: {sorted(DEFAULTS)}")
    wishes = {**DEFAULTS, **wishes}
    world = {"region": backend.region, "account": ACCOUNT}
    image = next(iter(backend.ec2().amis))  # asking for the list takes seconds
    _network(backend.client("ec2"), world, wishes, image)
    _acls(backend.client("ec2"), world, wishes)
    _topic(backend, world)
    _bucket(backend.client("s3"), world, wishes)
    world["log_group"] = "/levee/blocked"
    backend.client("logs").create_log_group(logGroupName=world["log_group"])
    return world


def _network(ec2, world, wishes, image):
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16", AmazonProvidedIpv6CidrBlock=wishes["ipv6"])["Vpc"]
    world["vpc"] = vpc["VpcId"]
    world["vpc_cidrs"] = ["10.0.0.0/16"]
    world["vpc_ipv6_cidrs"] = [
        a["Ipv6CidrBlock"] for a in vpc.get("Ipv6CidrBlockAssociationSet", []) if wishes["ipv6"]
    ]
    world["subnets"] = [
        ec2.create_subnet(
            VpcId=world["vpc"],
            CidrBlock=f"10.0.{i}.0/24",
            AvailabilityZone=world["region"] + "abc"[i % 3],
        )["Subnet"]["SubnetId"]
        for i in range(wishes["subnets"])
    ]
    world["instance_id"] = ec2.run_instances(
        ImageId=image,
        MinCount=1,
        MaxCount=1,
        SubnetId=world["subnets"][0],
        PrivateIpAddress="10.0.0.10",
    )["Instances"][0]["InstanceId"]


def default_rules(ipv6):
    """What the console's wizard makes: everything is allowed."""
    rules = []
    for egress in (False, True):
        rules.append({"number": 100, "egress": egress, "cidr": "0.0.0.0/0"})
        if ipv6:
            rules.append({"number": 101, "egress": egress, "cidr": "::/0"})
    return rules


def _acls(ec2, world, wishes):
    found = ec2.describe_network_acls(
        Filters=[{"Name": "vpc-id", "Values": [world["vpc"]]}, {"Name": "default", "Values": ["true"]}]
    )
    default = found["NetworkAcls"][0]
    world["default_acl"] = default["NetworkAclId"]
    if wishes["ipv6"]:
        for egress in (False, True):
            rule = {"number": 101, "egress": egress, "cidr": "::/0"}
            ec2.create_network_acl_entry(NetworkAclId=world["default_acl"], **entry(rule))
    lists = [default_rules(wishes["ipv6"])] if wishes["acls"] is None else wishes["acls"]
    world["operator_acls"] = [_acl(ec2, world, f"operator-{i}", r) for i, r in enumerate(lists)]
    if lists:
        on = {a["SubnetId"]: a["NetworkAclAssociationId"] for a in default["Associations"]}
        for i, subnet in enumerate(world["subnets"]):
            ec2.replace_network_acl_association(
                AssociationId=on[subnet],
                NetworkAclId=world["operator_acls"][i % len(lists)],
            )
    world["blue"] = world["green"] = None
    if wishes["pair"] == "empty":
        world["blue"] = _acl(ec2, world, "levee-blue", [])
        world["green"] = _acl(ec2, world, "levee-green", [])


def new_pair(backend, world):
    """As if new: another empty pair, and every subnet back on its operator's ACL."""
    ec2 = backend.client("ec2")
    found = ec2.describe_network_acls(Filters=[{"Name": "vpc-id", "Values": [world["vpc"]]}])
    on = {
        a["SubnetId"]: a["NetworkAclAssociationId"]
        for acl in found["NetworkAcls"]
        for a in acl["Associations"]
    }
    for i, subnet in enumerate(world["subnets"]):
        ec2.replace_network_acl_association(
            AssociationId=on[subnet],
            NetworkAclId=world["operator_acls"][i % len(world["operator_acls"])],
        )
    world["blue"] = _acl(ec2, world, "levee-blue", [])
    world["green"] = _acl(ec2, world, "levee-green", [])


def entry(rule):
    """A rule in boto3's words."""
    words = {
        "RuleNumber": rule["number"],
        "Egress": rule.get("egress", False),
        "RuleAction": rule.get("action", "allow"),
        "Protocol": str(rule.get("protocol", "-1")),
        "Ipv6CidrBlock" if ":" in rule["cidr"] else "CidrBlock": rule["cidr"],
    }
    if rule.get("ports"):
        words["PortRange"] = {"From": rule["ports"][0], "To": rule["ports"][1]}
    if rule.get("icmp"):
        words["IcmpTypeCode"] = {"Type": rule["icmp"][0], "Code": rule["icmp"][1]}
    return words


def _acl(ec2, world, name, rules):
    acl = ec2.create_network_acl(
        VpcId=world["vpc"],
        TagSpecifications=[
            {"ResourceType": "network-acl", "Tags": [{"Key": "Name", "Value": name}]}
        ],
    )["NetworkAcl"]["NetworkAclId"]
    for rule in rules:
        ec2.create_network_acl_entry(NetworkAclId=acl, **entry(rule))
    return acl


def _topic(backend, world):
    sns, sqs = backend.client("sns"), backend.client("sqs")
    world["topic_arn"] = sns.create_topic(Name="levee")["TopicArn"]
    world["queue_url"] = sqs.create_queue(QueueName="levee-subscriber")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=world["queue_url"], AttributeNames=["QueueArn"])
    sns.subscribe(
        TopicArn=world["topic_arn"],
        Protocol="sqs",
        Endpoint=arn["Attributes"]["QueueArn"],
        Attributes={"RawMessageDelivery": "true"},
    )


def _bucket(s3, world, wishes):
    world["bucket"], world["key"] = "levee-allow-list", "allow.txt"
    s3.create_bucket(
        Bucket=world["bucket"],
        CreateBucketConfiguration={"LocationConstraint": world["region"]},
    )
    if wishes["allow_list"] is not None:
        put_allow_list(s3, world, wishes["allow_list"].encode())


def put_allow_list(s3, world, body):
    """Replace the object; None deletes it."""
    if body is None:
        s3.delete_object(Bucket=world["bucket"], Key=world["key"])
    else:
        s3.put_object(Bucket=world["bucket"], Key=world["key"], Body=body)


def messages(sqs, world):
    """What the queue has received, oldest first; taken out of it."""
    found = []
    while True:
        got = sqs.receive_message(QueueUrl=world["queue_url"], MaxNumberOfMessages=10)
        if not got.get("Messages"):
            return found
        for message in got["Messages"]:
            try:
                found.append(json.loads(message["Body"]))
            except ValueError:
                found.append(message["Body"])
            sqs.delete_message(QueueUrl=world["queue_url"], ReceiptHandle=message["ReceiptHandle"])


def log_events(logs, world, group=None):
    """Every event of the log group."""
    found = []
    pages = logs.get_paginator("filter_log_events")
    for page in pages.paginate(logGroupName=group or world["log_group"]):
        for event in page["events"]:
            found.append(
                {
                    "time_ms": event["timestamp"],
                    "stream": event["logStreamName"],
                    "message": event["message"],
                }
            )
    return found


def dashboards(cloudwatch):
    """{name: body}."""
    return {
        d["DashboardName"]: json.loads(
            cloudwatch.get_dashboard(DashboardName=d["DashboardName"])["DashboardBody"]
        )
        for d in cloudwatch.list_dashboards()["DashboardEntries"]
    }
