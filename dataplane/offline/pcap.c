/* SPDX-License-Identifier: BSD-2-Clause */
#include "dataplane/offline/offline_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <pcap/pcap.h>
#include <stdio_ext.h>

/* libpcap reads a packet in two small pieces; a large buffer and no lock make that cheap. */
#define STREAM_BYTES (256U * 1024)

static int check_link_type(struct levee_offline *o)
{
	int type = pcap_datalink(o->pcap);
	const char *name = pcap_datalink_val_to_name(type);
	const char *words = pcap_datalink_val_to_description(type);

	if (type == DLT_EN10MB)
		return 0;
	levee_offline_tell(o,
			   "%s: link type %d (%s, %s) cannot be read, only Ethernet (EN10MB): "
			   "capture on one interface, not on \"any\"",
			   o->name, type, name ? name : "unknown",
			   words ? words : "no description");
	return -ENOTSUP;
}

static int pcap_begin(struct levee_offline *o)
{
	char error[PCAP_ERRBUF_SIZE] = "";
	FILE *stream = levee_input_stream(&o->input);

	if (!stream) {
		levee_offline_tell(o, "%s: no memory to read it", o->name);
		return -ENOMEM;
	}
	setvbuf(stream, NULL, _IOFBF, STREAM_BYTES);
	__fsetlocking(stream, FSETLOCKING_BYCALLER);
	o->pcap = pcap_fopen_offline_with_tstamp_precision(stream, PCAP_TSTAMP_PRECISION_NANO,
							   error);
	if (!o->pcap) {
		fclose(stream);
		levee_offline_tell(o, "%s: not a capture that can be read: %s", o->name, error);
		return -EINVAL;
	}
	return check_link_type(o);
}

/* \return 0; -ERANGE if the stamp is no time that can be worked with */
static int stamp_ns(const struct timeval *ts, uint64_t *unix_ns)
{
	int64_t seconds = ts->tv_sec, ns = ts->tv_usec;

	/* A pcap has unsigned 32-bit seconds, which libpcap extends with their sign. */
	if (seconds < 0 && seconds >= INT32_MIN)
		seconds += (int64_t)UINT32_MAX + 1;
	if (seconds < 0 || seconds >= LEVEE_OFFLINE_TIME_END_S)
		return -ERANGE;
	if (ns < 0 || ns >= (int64_t)LEVEE_NS_PER_S)
		return -ERANGE;
	*unix_ns = (uint64_t)seconds * LEVEE_NS_PER_S + (uint64_t)ns;
	return 0;
}

static void report_cut(struct levee_offline *o)
{
	levee_offline_defect(o,
			     "%s: cut short or damaged behind packet %" PRIu64 ": %s; what comes "
			     "before is counted, what comes after is lost",
			     o->name, o->packets, pcap_geterr(o->pcap));
}

static int pcap_read(struct levee_offline *o, struct levee_record *record)
{
	struct pcap_pkthdr *head;
	const uint8_t *frame;
	int ret;

	while ((ret = pcap_next_ex(o->pcap, &head, &frame)) == 1) {
		o->packets++;
		*record = (struct levee_record){
			.packets = 1,
			.bytes = head->len > head->caplen ? head->len : head->caplen,
			.number = o->packets,
			.frame = frame,
			.captured = head->caplen,
		};
		if (!stamp_ns(&head->ts, &record->unix_ns))
			return 1;
		levee_offline_defect(o,
				     "%s: packet %" PRIu64 " has the time %jd s + %jd ns, not one "
				     "from 0 to %lld s: it is skipped",
				     o->name, o->packets, (intmax_t)head->ts.tv_sec,
				     (intmax_t)head->ts.tv_usec, LEVEE_OFFLINE_TIME_END_S - 1);
	}
	if (ret != PCAP_ERROR_BREAK)
		report_cut(o);
	return 0;
}

static void pcap_end(struct levee_offline *o)
{
	if (o->pcap)
		pcap_close(o->pcap); /* the stream, too */
	o->pcap = NULL;
}

const struct levee_format levee_format_pcap = {
	.unit = "packet",
	/* A NIC's queues are captured one after the other, which mixes stamps a little. */
	.late_ns = LEVEE_NS_PER_S,
	.open = pcap_begin,
	.next = pcap_read,
	.close = pcap_end,
};
