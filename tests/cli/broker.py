# SPDX-License-Identifier: LicenseRef-OfficeFlow
"""officeflow broker: a cluster in a process, as its users meet it."""
import json
import os
import random
import re
import signal
import socket
import subprocess
import time

from program import ERROR, OK, Case, main


def free_ports(count):
    """The first of so many that are free in a row, and below those that go to whoever connects meanwhile."""
    with open("/proc/sys/net/ipv4/ip_local_port_range", encoding="ascii") as file:
        first_given = int(file.read().split()[0])
    low, high = (10000, first_given) if first_given > 12000 else (61000, 65536)
    while True:
        port = random.randrange(low, high - count)
        try:
            held = []
            for i in range(count):
                held.append(socket.socket())
                held[-1].bind(("127.0.0.1", port + i))
            return port
        except (OSError, OverflowError):
            continue
        finally:
            for taken in held:
                taken.close()


class Tests(Case):
    def start_broker(self, *words, stdin=subprocess.PIPE):
        """A broker that serves, and where."""
        child = self.start("broker", *words, stdin=stdin)
        ready = child.stdout.readline().decode()
        self.assertRegex(ready, r"^READY [^ ]+\n$", "it did not start")
        return child, ready.split()[1]

    def ask(self, child, command):
        """The lines of its answer."""
        child.stdin.write(f"{command}\nno-such-command\n".encode())
        child.stdin.flush()
        lines = []
        while not lines or "there is no such command" not in lines[-1]:
            lines.append(child.stderr.readline().decode())
            self.assertTrue(lines[-1], "it ended")
        return [line.rstrip("\n") for line in lines[:-1]]

    def metadata(self, where, *topics):
        request = {"topics": [{"name": topic} for topic in topics]}
        return self.call("Metadata", request, "-b", where)

    # --- starting and ending ---

    def test_it_says_ready_when_it_serves_and_ends_with_0_upon_signals(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            child, where = self.start_broker()
            self.assertRegex(where, r"^127\.0\.0\.1:\d+$")
            self.assertEqual(self.metadata(where)["brokers"][0]["nodeId"], 1)
            code, out, err = self.end(child, number)
            self.assertEqual((code, out, err), (OK, "", ""))

    def test_broker_i_listens_at_the_port_plus_i(self):
        port = free_ports(3)
        child, where = self.start_broker("--brokers", "3", "--port", str(port))
        self.assertEqual(where, ",".join(f"127.0.0.1:{port + i}" for i in range(3)))
        found = self.metadata(where.split(",")[2])["brokers"]
        self.assertEqual([(b["nodeId"], b["port"]) for b in found], [(i + 1, port + i) for i in range(3)])
        # and again, at once, while its connections are in TIME_WAIT
        self.end(child, signal.SIGTERM)
        child, again = self.start_broker("--brokers", "3", "--port", str(port))
        self.assertEqual(again, where)

    def test_a_port_that_is_taken_is_an_error_that_names_it(self):
        _, where = self.start_broker()
        port = where.split(":")[1]
        out, err = self.run_program("broker", "--port", port, code=ERROR)
        self.assertEqual(out, "")
        self.assertEqual(err, f"officeflow: broker: broker 1 can't listen on 127.0.0.1:{port}: Address already in use\n")

    def test_bad_options_are_told_before_it_serves(self):
        bad = {
            ("--brokers", "0"): "--brokers must be a number from 1 to 32",
            ("--brokers", "33"): "--brokers must be a number from 1 to 32",
            ("--port", "65535", "--brokers", "2"): "need ports above 65535",
            ("--host", "somewhere"): "is no IP address",
            ("--memory", "much"): "--memory must be a size",
            ("--memory", "10"): '--memory must be larger than "10": 128KiB at least',
            ("--memory", "64KiB"): '--memory must be larger than "64KiB": 128KiB at least',
            ("--fault", "api=Fetsh"): "api needs an API's name",
            ("--fault", ""): "needs: fault RULE..., or",
            ("--fault", "api=Fetch,api=Produce"): "fault: api is given twice",
            ("--at", "5s brocker 1 down"): "there is no such command",
            ("--at", "broker 1 down"): "needs a time",
            ("more",): "is too much",
        }
        for words, text in bad.items():
            out, err = self.run_program("broker", *words, code=ERROR)
            self.assertEqual(out, "")
            self.assertIn(text, err)

    def test_where_it_listens_and_what_it_tells_may_differ(self):
        _, where = self.start_broker("--host", "0.0.0.0", "--advertised-host", "localhost")
        self.assertRegex(where, r"^localhost:\d+$")
        port = where.split(":")[1]
        self.assertEqual(self.metadata(f"127.0.0.1:{port}")["brokers"][0]["host"], "localhost")

    def test_the_end_of_standard_input_is_not_its_end(self):
        child, where = self.start_broker(stdin=subprocess.DEVNULL)
        self.metadata(where)
        self.assertIsNone(child.poll())

    def test_nobody_to_read_the_ready_line_is_an_error(self):
        with open("/dev/full", "wb") as full:
            child = self.start("broker", stdout=full)
        self.assertEqual(child.wait(30), ERROR)

    def test_verbose_shows_connections(self):
        child, where = self.start_broker("--verbose")
        self.metadata(where)
        _, _, err = self.end(child, signal.SIGTERM)
        self.assertRegex(err, r"^broker 1: connection of 127\.0\.0\.1:\d+ opened\n")

    # --- topics ---

    def test_topics_are_made_on_demand_unless_told_not_to(self):
        _, where = self.start_broker("--partitions", "3", "--brokers", "2")
        self.assertEqual(self.metadata(where, "orders")["topics"][0]["errorCode"], 3)  # not yet there, as Kafka says
        topic = self.metadata(where, "orders")["topics"][0]
        self.assertEqual((topic["errorCode"], len(topic["partitions"])), (0, 3))
        self.assertEqual(len(topic["partitions"][0]["replicaNodes"]), 2)
        _, where = self.start_broker("--no-auto-create")
        self.assertEqual(self.metadata(where, "orders")["topics"][0]["errorCode"], 3)

    def test_what_was_produced_is_consumed(self):
        _, where = self.start_broker("--brokers", "3", "--partitions", "2")
        records = [{"key": f"k{i}", "value": f"v{i}"} for i in range(50)]
        self.produce("orders", records, env={"KAFKA_BROKERS": where})
        found = self.consume("orders", "--from-beginning", "-b", where)
        self.assertEqual(sorted(r["value"] for r in found), sorted(r["value"] for r in records))
        self.assertEqual({r["partition"] for r in found}, {0, 1})

    def test_who_is_named_may_connect_and_nobody_else(self):
        child, where = self.start_broker("--user", "alice:secret:1", "--user", "bob:s", "--verbose")

        def properties(mechanism, name, password):
            pairs = {"security.protocol": "SASL_PLAINTEXT", "sasl.mechanism": mechanism, "sasl.username": name,
                     "sasl.password": password, "default.api.timeout.ms": "5000"}
            return [word for pair in pairs.items() for word in ("-X", "=".join(pair))]
        for mechanism in ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"):
            answer = self.call("Metadata", {"topics": []}, "-b", where, *properties(mechanism, "alice", "secret:1"))
            self.assertEqual(len(answer["brokers"]), 1)
            _, err = self.run_program("kafka", "call", "Metadata", "{}", "-b", where,
                                      *properties(mechanism, "bob", "secret"), code=ERROR)
            self.assertRegex(err, "(?i)authentication|password")
        self.run_program("kafka", "call", "Metadata", "{}", "-b", where, "-X", "default.api.timeout.ms=1500", code=ERROR)
        _, _, told = self.end(child, signal.SIGTERM)
        self.assertRegex(told, r'broker 1: 127\.0\.0\.1:\d+ refused: SASL PLAIN, user "bob": ')
        self.assertNotIn("secret", told)
        _, err = self.run_program("broker", "--user", "alice", code=ERROR)
        self.assertIn("--user must be NAME:PASSWORD", err)

    def test_memory_that_is_used_up_is_told_once(self):
        child, where = self.start_broker("--memory", "256KiB", "--brokers", "32")
        lines = "".join(json.dumps({"key": f"k{i}", "value": os.urandom(4000).hex()}) + "\n" for i in range(50))
        words = ("kafka", "produce", "t", "-b", where, "-X", "linger.ms=0")
        producer = self.start(*words, stdin=subprocess.PIPE)
        producer.stdin.write(lines.encode())
        producer.stdin.close()
        told = "the memory of 262144 bytes is used up: records are refused"
        self.assertIn(told, child.stderr.readline().decode())
        self.run_program(*words, "-X", "delivery.timeout.ms=1500", "-X", "request.timeout.ms=1000", code=None, stdin=lines)
        _, _, err = self.end(child, signal.SIGTERM)
        self.assertNotIn(told, err)

    # --- faults ---

    def test_a_fault_of_the_command_line_meets_its_request(self):
        _, where = self.start_broker("--fault", "api=FindCoordinator,nth=2,error=NOT_COORDINATOR")
        codes = []
        for _ in range(3):
            answer = self.call("FindCoordinator", {"keyType": 0, "coordinatorKeys": ["g"]}, "-b", where,
                               "-X", "default.api.timeout.ms=5000", "--version", "4")
            codes.append(answer["coordinators"][0]["errorCode"])
        self.assertIn(codes, ([0, 16, 0], [0, 0, 0]))  # where the client tries again, it is met unseen

    def test_faults_are_set_and_taken_back_while_it_runs(self):
        child, where = self.start_broker("--brokers", "2")
        self.assertEqual(self.ask(child, "fault api=Metadata,delay=700"), ["fault 1: api=Metadata,delay=700"])
        begun = time.monotonic()
        self.metadata(where)
        self.assertGreater(time.monotonic() - begun, 0.7)
        self.assertRegex(self.ask(child, "faults")[0], r"^fault 1: api=Metadata,delay=700: met \d+ requests$")
        self.assertEqual(self.ask(child, "fault clear"), ["fault clear: done"])
        self.assertEqual(self.ask(child, "faults"), ["no faults"])

    def test_a_broker_goes_down_and_comes_up_by_command_and_by_time(self):
        child, where = self.start_broker("--brokers", "2", "--at", "300ms broker 2 down")
        self.assertEqual(child.stderr.readline().decode(), "broker 2 down: done\n")
        first, second = where.split(",")
        self.assertEqual([b["nodeId"] for b in self.metadata(first)["brokers"]], [1])
        lines = self.ask(child, "brokers")
        self.assertRegex(lines[0], r"^broker 1 at 127\.0\.0\.1:\d+: up, \d connections, controller$")
        self.assertRegex(lines[1], r"^broker 2 at 127\.0\.0\.1:\d+: down, 0 connections$")
        self.assertEqual(self.ask(child, "broker 2 up"), ["broker 2 up: done"])
        self.assertEqual(len(self.metadata(second)["brokers"]), 2)

    def test_who_produces_and_sends_is_told_why_nothing_is_acknowledged(self):
        child, where = self.start_broker()
        self.metadata(where, "t", "email.send.request")
        for words in (("kafka", "produce", "t"), ("send", "email.send.request")):
            with self.subTest(words):
                self.ask(child, "fault api=Produce,error=NOT_ENOUGH_REPLICAS")
                sender = self.start(*words, "-b", where, stdin=subprocess.PIPE)
                sender.stdin.write(b'{"value": "v"}\n')
                sender.stdin.close()
                self.assertEqual(sender.stderr.readline(), b"what is waited for:\n")
                said = ""
                while "retry" not in said:
                    said = sender.stderr.readline().decode()
                    self.assertTrue(said.startswith("  "), said)
                self.assertRegex(said, r"/0: 1 record \(.+\), the oldest for \d+ s of .+: retry \d+ after "
                                       r"NOT_ENOUGH_REPLICAS, in ")
                self.assertEqual(self.ask(child, "fault clear"), ["fault clear: done"])
                self.assertEqual(sender.wait(), OK)

    def test_leaders_move_by_command(self):
        child, where = self.start_broker("--brokers", "3")
        self.metadata(where, "t")
        leader = self.metadata(where, "t")["topics"][0]["partitions"][0]["leaderId"]
        other = leader % 3 + 1
        self.assertEqual(self.ask(child, f"move t 0 to {other}"), [f"move t 0 to {other}: done"])
        partition = self.metadata(where, "t")["topics"][0]["partitions"][0]
        self.assertEqual((partition["leaderId"], partition["leaderEpoch"]), (other, 1))
        self.assertEqual(self.ask(child, "move t 7 to 1"),
                         ["officeflow: move t 7 to 1: there is no partition 7 of a topic t"])
        self.assertEqual(self.ask(child, "topics"), [f"t 0: leader {other}, epoch 1, offsets 0 to 0, readable to 0"])

    def test_a_command_that_is_too_long_is_told_and_the_next_one_taken(self):
        child, _ = self.start_broker()
        child.stdin.write(b"x" * 10000 + b"\n")
        lines = self.ask(child, "brokers")
        self.assertEqual(lines[0], "officeflow: a command is longer than 2048 bytes")
        self.assertRegex(lines[1], r"^broker 1 at ")

    def test_lines_without_a_command_have_no_answer(self):
        child, _ = self.start_broker()
        self.assertEqual(self.ask(child, "# comment\n\n  \n  # another"), [])
        self.assertEqual(self.ask(child, "cut all"), ["cut all: done"])

    def test_a_list_with_a_time_is_as_one_without(self):
        child, _ = self.start_broker("--at", "50ms brokers", "--at", "100ms cut all")
        lines = [child.stderr.readline().decode() for _ in range(2)]
        self.assertRegex(lines[0], r"^broker 1 at ")
        self.assertEqual(lines[1], "cut all: done\n")

    def test_help_lists_the_commands(self):
        child, _ = self.start_broker()
        text = "\n".join(self.ask(child, "help"))
        for word in ("broker BROKER down with loss", "move NAME PARTITION to BROKER", "fault RULE", "answer-delay=TIME"):
            self.assertIn(word, text)
        out, _ = self.run_program("broker", "--help")
        self.assertTrue(re.search(r"--advertised-host HOST", out))

    def test_kill_usr1_tells_how_it_is(self):
        child, _ = self.start_broker()
        child.send_signal(signal.SIGUSR1)
        self.assertRegex(child.stderr.readline().decode(), r"^broker 1 at 127\.0\.0\.1:\d+: up, 0 connections")
        self.assertIsNone(child.poll())

    # --- inside a program ---

    def test_the_example_sends_while_the_cluster_fails(self):
        path = os.path.join(os.environ.get("KC_EXAMPLES", ""), "example_mock")
        if not os.path.exists(path):
            self.skipTest("the examples are not built")
        done = subprocess.run([path], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60, check=False)
        self.assertEqual(done.returncode, 0, done.stdout)
        self.assertRegex(done.stdout, r"^200 records acknowledged, \d+ requests met the fault\n$")

    def test_the_demo_brings_its_own_brokers_where_none_are_named(self):
        out, _ = self.run_program("demo", env={"KAFKA_BROKERS": None})
        self.assertRegex(out, r"\ANo brokers are named \(-b, KAFKA_BROKERS\): 3 embedded ones play along at 127\.0\.0\.1:")
        self.assertNotIn("not as told", out)
        self.assertRegex(out, r"The story went as told, in [0-9.]+ s\.\n\Z")

    def test_the_demo_takes_the_brokers_that_are_named(self):
        child, where = self.start_broker("--no-auto-create")
        self.end(child)
        for words, env in (((), {"KAFKA_BROKERS": where}), (("-b", where), {"KAFKA_BROKERS": None})):
            out, err = self.run_program("demo", *words, "-X", "default.api.timeout.ms=500", code=ERROR, env=env)
            self.assertEqual(out, "")
            self.assertIn(where, err)

    # --- what others see ---

    def test_json_of_what_is_served_has_no_api_that_is_not(self):
        _, where = self.start_broker()
        answer = self.call("ApiVersions", {"clientSoftwareName": "test", "clientSoftwareVersion": "1"}, "-b", where)
        self.assertEqual(answer["errorCode"], 0)
        self.assertTrue({3, 18, 19} <= {api["apiKey"] for api in answer["apiKeys"]}, json.dumps(answer))


if __name__ == "__main__":
    main()
