/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/pktgen/options.h"

#include <stddef.h>

const struct pktgen_option pktgen_options[PKTGEN_OPTIONS] = {
	{ OPT_PCAP, "pcap", "FILE",
	  "write a pcap file (nanoseconds, Ethernet); \"-\": to standard output, and what is said "
	  "to "
	  "standard error" },
	{ OPT_INTERFACE, "interface", "IF", "send in real time through a packet socket" },
	{ OPT_LIVE, "live", "IF",
	  "send as fast as the kernel makes frames (XDP live frames); IF is one end of a veth "
	  "pair, the other end has an XDP program or GRO on; sources send in turn" },
	{ OPT_KERNEL, "kernel", "IF",
	  "send with the kernel's pktgen, which sends UDP of equal sources in turn" },
	{ OPT_PROC, "proc", "DIR",
	  "kernel: where its files are (default /proc/net/pktgen); in a directory that is not "
	  "its own the commands are written and nothing is sent" },
	{ OPT_DPDK, "dpdk", "PORT",
	  "send in real time through a port of DPDK: a PCI address, or a device with its "
	  "arguments as net_af_packet0,iface=eth1" },
	{ OPT_EAL, "eal", "ARGS",
	  "dpdk: arguments of EAL in one word (default: no hugepages, no PCI, 64 MB)" },
	{ OPT_NAMESPACE, "namespace", "NAME", "in the network namespace /run/netns/NAME" },
	{ OPT_TRUTH, "truth", "FILE", "write who sent how much in which bin (CSV)" },
	{ OPT_SUM_SPOOFED, "sum-spoofed", NULL,
	  "truth: one row \"*\" a bin for spoofed sources, not one for each" },
	{ OPT_TIMES, "times", "FILE",
	  "write when each source began and when it passed --above (CSV)" },
	{ OPT_ABOVE, "above", "N", "times: packets in one bin (default 12000)" },
	{ OPT_SOURCE6, "source6-prefix", "BITS",
	  "truth: IPv6 sources are prefixes of 1 to 128 bits (default 64)" },
	{ OPT_JSON, "json", NULL, "print the summary as one JSON object" },
	{ OPT_START_TIME, "start-time", "UNIX_S",
	  "pcap: time of the beginning [s] (default 1767225600)" },
	{ OPT_FROM, "from", "S",
	  "interface, pcap: begin S seconds into the scenario; pcap: times stay the scenario's" },
	{ OPT_SPEED, "speed", "X",
	  "interface, dpdk: X seconds of the scenario in one (default 1)" },
	{ OPT_SCALE, "scale", "X", "every rate of the scenario times X (default 1)" },
	{ OPT_FLOOD, "flood", NULL,
	  "interface, kernel, dpdk: as fast as it goes, whatever the scenario's times" },
	{ OPT_RATE, "rate", "PPS",
	  "packets a second of all (default: live: no limit; kernel: the scenario's)" },
	{ OPT_RAMP, "ramp-up", "S",
	  "seconds until full speed (default 1 with --flood, --live or --kernel, else 0)" },
	{ OPT_PACKETS, "packets", "N", "stop after N packets" },
	{ OPT_DURATION, "duration", "S",
	  "stop after S seconds (of sending; pcap: of the scenario), if the scenario is longer" },
	{ OPT_SEED, "seed", "N", "instead of the scenario's seed" },
	{ OPT_SET, "set", "SECTION.KEY=VALUE", "instead of what the file says; may be repeated" },
	{ OPT_CHECK, "check", NULL, "read the scenario, say what it would send, and end" },
	{ OPT_KEYS, "keys", NULL, "list the keys of scenario files" },
	{ OPT_OWN, "i-own-this-network", NULL, "send even where packets may leave this machine" },
	{ OPT_HELP, "help", NULL, "print this" },
};
