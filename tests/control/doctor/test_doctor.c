/* SPDX-License-Identifier: BSD-2-Clause */
/* Judgements of machines that the tests do not run on. */
#include "control/doctor/doctor.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

static const struct levee_check *find(const struct levee_checkup *c, const char *name)
{
	for (size_t i = 0; i < c->n; i++)
		if (strcmp(c->list[i].name, name) == 0)
			return &c->list[i];
	return NULL;
}

static void assert_verdict(const struct levee_checkup *c, const char *name,
			   enum levee_check_verdict verdict, const char *says)
{
	const struct levee_check *check = find(c, name);

	if (!check)
		fail_msg("no check \"%s\"", name);
	if (check->verdict != verdict || !strstr(check->what, says))
		fail_msg("%s: %d \"%s\"", name, check->verdict, check->what);
	/* what is wrong comes with what to do */
	if (verdict >= LEVEE_CHECK_WARN)
		assert_true(*check->remedy);
}

/* ---- the machine ---- */

static struct levee_host_facts good_host(void)
{
	return (struct levee_host_facts){ .release = "6.1.0-18-cloud-amd64",
					  .has_btf = true,
					  .has_xdp = true,
					  .has_ringbuf = true,
					  .has_iterators = true,
					  .probed = true,
					  .jit = 1,
					  .has_net_admin = true,
					  .has_bpf = true,
					  .has_perfmon = true,
					  .pin_is_bpffs = true,
					  .pin = "/sys/fs/bpf/levee",
					  .possible_cpus = 2,
					  .memory_available = 4ULL << 30,
					  .sources = 262144,
					  .sources6 = 65536,
					  .clock_known = true,
					  .clock_synchronised = true };
}

static void a_good_host_has_nothing_to_mend(void **state)
{
	struct levee_host_facts facts = good_host();
	struct levee_checkup c = { 0 };

	(void)state;
	levee_doctor_judge_host(&c, &facts);
	assert_int_equal(levee_checkup_count(&c, LEVEE_CHECK_OK), c.n);
	assert_true(c.n >= 7);
	levee_checkup_clear(&c);
}

static void old_kernels_are_named(void **state)
{
	static const struct {
		const char *release;
		enum levee_check_verdict verdict;
	} cases[] = {
		{ "5.15.0-1", LEVEE_CHECK_WARN }, { "5.14.21", LEVEE_CHECK_FAIL },
		{ "4.19.0", LEVEE_CHECK_FAIL },	  { "5.18.0", LEVEE_CHECK_OK },
		{ "6.12", LEVEE_CHECK_OK },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct levee_host_facts facts = good_host();
		struct levee_checkup c = { 0 };

		strcpy(facts.release, cases[i].release);
		levee_doctor_judge_host(&c, &facts);
		assert_verdict(&c, "kernel", cases[i].verdict, cases[i].release);
		levee_checkup_clear(&c);
	}
}

static void what_a_host_lacks_is_said(void **state)
{
	struct levee_host_facts facts = good_host();
	struct levee_checkup c = { 0 };

	(void)state;
	facts.has_btf = false;
	facts.has_ringbuf = false;
	facts.jit = 0;
	facts.has_perfmon = false;
	facts.pin_is_bpffs = false;
	facts.memory_available = 10 << 20;
	facts.clock_synchronised = false;
	levee_doctor_judge_host(&c, &facts);
	assert_verdict(&c, "BTF", LEVEE_CHECK_WARN, "vmlinux");
	assert_verdict(&c, "BPF", LEVEE_CHECK_FAIL, "ring buffers");
	assert_verdict(&c, "BPF JIT", LEVEE_CHECK_WARN, "interpreted");
	assert_verdict(&c, "capabilities", LEVEE_CHECK_FAIL, "missing: CAP_PERFMON");
	assert_verdict(&c, "BPF file system", LEVEE_CHECK_FAIL, "/sys/fs/bpf/levee");
	assert_verdict(&c, "memory", LEVEE_CHECK_FAIL, "36 MiB");
	assert_verdict(&c, "clock", LEVEE_CHECK_WARN, "5 min");
	levee_checkup_clear(&c);
}

/* Its own tables are no reason to say that there is no room for them. */
static void tables_that_are_there_need_no_more_memory(void **state)
{
	struct levee_host_facts facts = good_host();
	struct levee_checkup c = { 0 };

	(void)state;
	facts.memory_available = 10 << 20;
	facts.memory_held = 36 << 20;
	levee_doctor_judge_host(&c, &facts);
	assert_verdict(&c, "memory", LEVEE_CHECK_OK, "have their 36 MiB");
	levee_checkup_clear(&c);

	/* Those of other sizes stay until new ones are filled; sizes are powers of two. */
	facts.sources = 262145;
	levee_doctor_judge_host(&c, &facts);
	assert_verdict(&c, "memory", LEVEE_CHECK_FAIL, "take 60 MiB");
	levee_checkup_clear(&c);
}

/* ---- interfaces ---- */

static struct levee_nic_facts ena(const char *version, unsigned int mtu, uint32_t channels)
{
	struct levee_nic_facts facts = { .name = "ens5",
					 .exists = true,
					 .up = true,
					 .running = true,
					 .driver = "ena",
					 .kernel = "6.1.0-18-cloud-amd64",
					 .mtu = mtu,
					 .channels = channels,
					 .channels_max = 8,
					 .has_pps_exceeded = true };

	snprintf(facts.driver_version, sizeof(facts.driver_version), "%s", version);
	return facts;
}

static struct levee_checkup judge(const struct levee_nic_facts *facts)
{
	struct levee_checkup c = { 0 };

	levee_doctor_judge_nic(&c, facts);
	return c;
}

static void jumbo_frames_need_a_new_ena_driver(void **state)
{
	static const struct {
		const char *version;
		unsigned int mtu;
		enum levee_check_verdict verdict;
	} cases[] = {
		{ "2.14.0g", 9001, LEVEE_CHECK_OK },
		{ "2.13.3g", 9001, LEVEE_CHECK_WARN },
		{ "2.13.3g", 3498, LEVEE_CHECK_OK },
		{ "2.8.9", 9001, LEVEE_CHECK_WARN },
		{ "3.0.0", 9001, LEVEE_CHECK_OK },
		/* the driver of the kernel itself */
		{ "6.1.0-18-cloud-amd64", 9001, LEVEE_CHECK_WARN },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct levee_nic_facts facts = ena(cases[i].version, cases[i].mtu, 2);
		struct levee_checkup c = judge(&facts);

		assert_verdict(&c, "ens5 MTU", cases[i].verdict, "");
		levee_checkup_clear(&c);
	}
}

static void old_ena_drivers_need_half_of_the_channels(void **state)
{
	static const struct {
		const char *version;
		uint32_t channels;
		enum levee_check_verdict verdict;
	} cases[] = {
		{ "2.16.1g", 8, LEVEE_CHECK_WARN },
		{ "2.16.1g", 4, LEVEE_CHECK_OK },
		{ "2.17.0", 8, LEVEE_CHECK_OK },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct levee_nic_facts facts = ena(cases[i].version, 1500, cases[i].channels);
		struct levee_checkup c = judge(&facts);

		assert_verdict(&c, "ens5 channels", cases[i].verdict, "of 8");
		if (cases[i].verdict == LEVEE_CHECK_WARN)
			assert_non_null(strstr(find(&c, "ens5 channels")->remedy,
					       "ethtool -L ens5 combined 4"));
		levee_checkup_clear(&c);
	}
}

/* Where native mode alone is allowed, what keeps from it keeps from starting. */
static void attach_native_makes_warnings_failures(void **state)
{
	struct levee_nic_facts facts = ena("2.8.9", 9001, 8);
	struct levee_checkup c;

	(void)state;
	facts.attach = LEVEE_ATTACH_NATIVE;
	facts.lro = true;
	c = judge(&facts);
	assert_verdict(&c, "ens5 MTU", LEVEE_CHECK_FAIL, "9001");
	assert_verdict(&c, "ens5 channels", LEVEE_CHECK_FAIL, "8 of 8");
	assert_verdict(&c, "ens5 LRO", LEVEE_CHECK_FAIL, "");
	levee_checkup_clear(&c);
}

static void allowances_that_were_exceeded_are_counted(void **state)
{
	struct levee_nic_facts facts = ena("2.17.0", 1500, 2);
	struct levee_checkup c = judge(&facts);

	(void)state;
	assert_verdict(&c, "ens5 pps allowance", LEVEE_CHECK_OK, "0 packets");
	levee_checkup_clear(&c);
	facts.pps_exceeded = 4711;
	c = judge(&facts);
	assert_verdict(&c, "ens5 pps allowance", LEVEE_CHECK_WARN, "4711 packets");
	levee_checkup_clear(&c);
}

static void other_programs_and_missing_interfaces_fail(void **state)
{
	struct levee_nic_facts facts = ena("2.17.0", 1500, 2);
	struct levee_checkup c;

	(void)state;
	facts.program = LEVEE_NIC_FOREIGN;
	facts.program_id = 42;
	c = judge(&facts);
	assert_verdict(&c, "ens5 XDP", LEVEE_CHECK_FAIL, "program 42");
	levee_checkup_clear(&c);
	facts.program = LEVEE_NIC_OURS;
	c = judge(&facts);
	assert_verdict(&c, "ens5 XDP", LEVEE_CHECK_WARN, "generic");
	levee_checkup_clear(&c);
	facts = (struct levee_nic_facts){ .name = "ens9" };
	c = judge(&facts);
	assert_int_equal(c.n, 1);
	assert_verdict(&c, "ens9 interface", LEVEE_CHECK_FAIL, "no interface");
	levee_checkup_clear(&c);
}

static void unknown_drivers_are_said(void **state)
{
	struct levee_nic_facts facts = ena("1", 1500, 2);
	struct levee_checkup c;

	(void)state;
	strcpy(facts.driver, "e1000");
	c = judge(&facts);
	assert_verdict(&c, "ens5 driver", LEVEE_CHECK_WARN, "e1000");
	levee_checkup_clear(&c);
}

/* ---- traffic ---- */

static void traffic_tells_whether_clients_are_seen(void **state)
{
	static const struct {
		struct levee_traffic_facts facts;
		enum levee_check_verdict verdict;
		const char *says;
	} cases[] = {
		{ { .known = false }, LEVEE_CHECK_SKIP, "too few" },
		{ { .known = true, .received = 9999, .allowed = 9999 }, LEVEE_CHECK_SKIP, "9999" },
		{ { .known = true, .received = 100000, .allowed = 99999, .counted = 1 },
		  LEVEE_CHECK_WARN,
		  "load balancer" },
		{ { .known = true, .received = 100000, .allowed = 60000, .counted = 40000 },
		  LEVEE_CHECK_OK,
		  "40000 of 100000" },
		/* a flood that is dropped is clients, too */
		{ { .known = true, .received = 100000, .allowed = 60000, .dropped = 40000 },
		  LEVEE_CHECK_OK,
		  "40000" },
		{ { .known = true, .received = 100000, .out_of_scope = 100000, .scoped = true },
		  LEVEE_CHECK_WARN,
		  "out of scope" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct levee_checkup c = { 0 };

		levee_doctor_judge_traffic(&c, &cases[i].facts);
		assert_verdict(&c, "client addresses", cases[i].verdict, cases[i].says);
		levee_checkup_clear(&c);
	}
}

/* ---- printing ---- */

static void both_printers_tell_the_same(void **state)
{
	struct levee_checkup c = { 0 };
	char *bytes = NULL;
	size_t n = 0, i;
	FILE *out = open_memstream(&bytes, &n);
	json_t *json, *check;

	(void)state;
	levee_checkup_add(&c, "a", LEVEE_CHECK_OK, NULL, "good");
	levee_checkup_add(&c, "b", LEVEE_CHECK_FAIL, "do \"this\"", "bad\n%d", 7);
	levee_checkup_print_json(&c, out);
	fclose(out);
	json = json_loadb(bytes, n, 0, NULL);
	assert_non_null(json);
	assert_int_equal(json_integer_value(json_object_get(json, "schema")), 1);
	assert_int_equal(json_integer_value(json_object_get(json, "fail")), 1);
	json_array_foreach(json_object_get(json, "checks"), i, check) assert_string_equal(
		json_string_value(json_object_get(check, "what")), c.list[i].what);
	assert_string_equal(c.list[1].what, "bad?7");
	json_decref(json);
	free(bytes);
	out = open_memstream(&bytes, &n);
	levee_checkup_print(&c, out);
	fclose(out);
	assert_string_equal(bytes, "ok    a: good\nfail  b: bad?7\n      -> do \"this\"\n"
				   "1 ok, 0 warn, 1 fail, 0 skipped\n");
	free(bytes);
	levee_checkup_clear(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_good_host_has_nothing_to_mend),
		cmocka_unit_test(tables_that_are_there_need_no_more_memory),
		cmocka_unit_test(old_kernels_are_named),
		cmocka_unit_test(what_a_host_lacks_is_said),
		cmocka_unit_test(jumbo_frames_need_a_new_ena_driver),
		cmocka_unit_test(old_ena_drivers_need_half_of_the_channels),
		cmocka_unit_test(attach_native_makes_warnings_failures),
		cmocka_unit_test(allowances_that_were_exceeded_are_counted),
		cmocka_unit_test(other_programs_and_missing_interfaces_fail),
		cmocka_unit_test(unknown_drivers_are_said),
		cmocka_unit_test(traffic_tells_whether_clients_are_seen),
		cmocka_unit_test(both_printers_tell_the_same),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
