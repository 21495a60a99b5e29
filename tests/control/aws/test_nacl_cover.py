# SPDX-License-Identifier: BSD-2-Clause
"""Strategy cover against the stand-in: 2,000 attackers in 30 clusters, and what the report says."""

import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../../aws"))

import drive  # noqa: E402

standin = drive.Standin()
levee = drive.Levee(sys.argv[1])
tap = drive.Tap()

world = standin.world()


def attackers():
    """Lines PREFIX ZSCORE PACKETS: 30 nets of 66 or 67, all of them equally bad."""
    return [f"203.{i % 30}.113.{i // 30 * 3} 9 20000" for i in range(2000)]


def plan(*more):
    """The plan as JSON."""
    result = levee.run("plan", "--json", *more)
    return json.loads(result.stdout) if result.returncode == 0 else {"error": result.stderr}


def cidrs(answer):
    """Prefixes of its rules."""
    return [r["prefix"] for r in answer.get("rules", [])]


levee.configure(world, strategy="mask")
levee.block(attackers())
mask = plan()
levee.configure(world, strategy="cover")
cover = plan()
tap.check(cover.get("strategy") == "cover", "the plan is made by strategy cover", cover)
room = cover.get("room4", 0)
tap.check(len(cidrs(mask)) == room and len(cidrs(cover)) == room,
          "both strategies use all the room there is", room, cidrs(mask), cidrs(cover))
tap.check(mask["blocked_packets"] == room * 20000 == cover["single_packets"],
          "single addresses block their own packets", mask)
tap.check(cover["blocked_packets"] > 30 * cover["single_packets"],
          "prefixes block more than thirty times as much", cover)
tap.check(cover["exact"] and cover["good_packets"] == 0, "it is the best there is, and costs nobody")
tap.check(all(r["good_packets"] == 0 and r["flood_packets"] >= 66 * 20000
              for r in cover["rules"]), "the report says what each rule blocks and costs")

# A good client in the middle of one of the nets that were chosen.
chosen = cidrs(cover)[0]
net = chosen.rsplit(".", 1)[0]
with open(os.path.join(sys.argv[1], "good"), "w", encoding="ascii") as f:
    f.write(f"# clients\n{net}.1 500\n198.51.100.7 300\n")
spared = plan("--good", f.name)
tap.check(chosen not in cidrs(spared) and spared["good_packets"] == 0,
          "no rule touches a good client", chosen, cidrs(spared))
levee.configure(world, strategy="cover", max_collateral=500)
paid = plan("--good", f.name)
tap.check(paid["good_packets"] <= 500 and paid["blocked_packets"] >= spared["blocked_packets"],
          "unless its packets are within max_collateral", paid)
text = levee.run("plan", "--good", f.name).stdout
tap.check(f"strategy cover: {room} rules block " in text and "as many rules about single sources"
          in text, "people read the same", text)

with open(f.name, "w", encoding="ascii") as f:
    f.write("198.51.100.7 many\n")
bad = levee.run("plan", "--good", f.name)
tap.check(bad.returncode == 1 and "good:1: not a number of packets" in bad.stderr,
          "a bad line of --good is named", bad.stderr)

levee.configure(world, strategy="cover")
done = levee.run("apply")
tap.check(done.returncode == 0 and not drive.is_in_force(standin, world, cidrs(cover)),
          "and it is what apply brings in force", done.stdout, done.stderr,
          drive.is_in_force(standin, world, cidrs(cover)))
tap.finish()
