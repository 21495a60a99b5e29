/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/pktgen/output.h"

#include <errno.h>
#include <fcntl.h>
#include <pcap/pcap.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define SNAP_LENGTH 65535

static int write_packets(struct pktgen_run *run, struct pktgen_gen *gen, pcap_dumper_t *dumper,
			 FILE *file)
{
	struct pktgen_packet packet;
	int ret;

	while (run->packets < run->max_packets && !*run->stop && pktgen_gen_next(gen, &packet)) {
		struct pcap_pkthdr header;
		uint64_t unix_ns;

		if (packet.time_ns < run->from_ns)
			continue;
		unix_ns = run->start_unix_ns + packet.time_ns;
		/* With nanosecond precision libpcap takes tv_usec for nanoseconds. */
		header = (struct pcap_pkthdr){
			.ts = { (time_t)(unix_ns / 1000000000U),
				(suseconds_t)(unix_ns % 1000000000U) },
			.caplen = packet.length,
			.len = packet.length,
		};
		pcap_dump((u_char *)dumper, &header, packet.frame);
		ret = pktgen_truth_add(run->truth, unix_ns, packet.population, packet.source,
				       packet.length);
		if (ret < 0)
			return pktgen_fail(run, ret, "cannot write the truth: %s", strerror(-ret));
		run->packets++;
		if ((run->packets & 0xfff) == 0 && ferror(file))
			break;
	}
	return 0;
}

/*
 * Standard output becomes the capture's alone: what else is printed goes to standard error.
 * \return NULL: said
 */
static FILE *take_stdout(struct pktgen_run *run)
{
	FILE *file = NULL;
	int fd;

	if (isatty(STDOUT_FILENO)) {
		pktgen_fail(run, -ENOTTY,
			    "a capture does not go to a terminal: --pcap FILE, or --pcap - | levee "
			    "replay -");
		return NULL;
	}
	fflush(stdout);
	fd = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	if (fd >= 0)
		file = fdopen(fd, "w");
	if (!file || dup2(STDERR_FILENO, STDOUT_FILENO) < 0) {
		pktgen_fail(run, -errno, "cannot write to standard output: %s", strerror(errno));
		if (file)
			fclose(file);
		else if (fd >= 0)
			close(fd);
		return NULL;
	}
	return file;
}

static FILE *open_capture(struct pktgen_run *run, const char *path)
{
	FILE *file;

	if (!strcmp(path, "-"))
		return take_stdout(run);
	file = fopen(path, "we");
	if (!file)
		pktgen_fail(run, -errno, "cannot write %s: %s", path, strerror(errno));
	return file;
}

int pktgen_output_pcap(struct pktgen_run *run, const char *path)
{
	static char buffer[1 << 20];
	struct pktgen_gen *gen = NULL;
	pcap_dumper_t *dumper = NULL;
	pcap_t *pcap = NULL;
	FILE *file = open_capture(run, path);
	int ret;

	if (!file)
		return -EIO;
	setvbuf(file, buffer, _IOFBF, sizeof(buffer));
	ret = pktgen_gen_new(&gen, run->scenario);
	if (ret < 0) {
		pktgen_fail(run, ret, "no memory for the scenario; lessen its sources");
		goto cleanup;
	}
	ret = -ENOMEM;
	pcap = pcap_open_dead_with_tstamp_precision(DLT_EN10MB, SNAP_LENGTH,
						    PCAP_TSTAMP_PRECISION_NANO);
	if (!pcap)
		goto cleanup;
	dumper = pcap_dump_fopen(pcap, file);
	if (!dumper) {
		ret = pktgen_fail(run, -EIO, "cannot write %s: %s", path, pcap_geterr(pcap));
		goto cleanup;
	}
	ret = write_packets(run, gen, dumper, file);
	if (pcap_dump_flush(dumper) < 0 || ferror(file))
		ret = pktgen_fail(run, -EIO, "cannot write all of %s (disk full?): %s", path,
				  strerror(errno));
cleanup:
	if (dumper)
		pcap_dump_close(dumper); /* and the file with it */
	else
		fclose(file);
	if (pcap)
		pcap_close(pcap);
	pktgen_gen_free(&gen);
	return ret;
}
