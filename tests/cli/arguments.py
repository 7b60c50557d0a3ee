# SPDX-License-Identifier: LicenseRef-OfficeFlow
"""The command line itself: help, options, mistakes. Needs no Kafka."""
import json
import os
import re
import signal
import subprocess
import tempfile

from program import ERROR, OK, PROGRAM, Case, main

# Nobody listens there.
NOBODY = "127.0.0.1:1"
NOBODY_ELSE = "127.0.0.1:2"
QUICK = ("-X", "default.api.timeout.ms=700", "-X", "request.timeout.ms=300")


class Tests(Case):
    def verbs(self):
        out, _ = self.run_program("--help")
        return [m[1].split() for m in re.finditer(r"^  ([a-z-]+(?: [a-z-]+)?)  +[A-Z]", out, re.M)]

    def complaint(self, *words, **settings):
        """A mistake: exit code 1, one line on standard error, nothing else."""
        out, err = self.run_program(*words, code=ERROR, **settings)
        self.assertEqual(out, "")
        self.assertRegex(err, r"\Aofficeflow: .*\n\Z")
        return err

    def test_version_is_printed(self):
        out, err = self.run_program("--version")
        self.assertRegex(out, r"\Aofficeflow \d+\.\d+\.\d+\n\Z")
        self.assertEqual(err, "")

    def test_overview_names_the_verbs(self):
        names = {" ".join(verb) for verb in self.verbs()}
        self.assertLessEqual({"setup-topics", "topics", "topics plan", "org create", "send", "tail", "run", "dlq list",
                              "dlq replay", "trace", "groups", "policy show", "kafka produce", "kafka consume",
                              "kafka call", "demo"}, names)

    def test_every_verb_has_help(self):
        for verb in self.verbs():
            out, err = self.run_program(*verb, "--help")
            self.assertTrue(out.startswith(f"usage: officeflow {' '.join(verb)} "), out)
            self.assertIn("-h, --help", out)
            self.assertEqual(err, "")

    def test_the_reference_names_every_verb_and_option(self):
        path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "docs", "cli.md")
        with open(path, encoding="utf-8") as file:
            reference = file.read()
        for verb in self.verbs():
            self.assertIn(verb[-1], reference)
            out, _ = self.run_program(*verb, "--help")
            for option in re.findall(r"^ +(?:-\w, )?(--[a-z-]+)", out, re.M):
                self.assertIn(option, reference, f"{verb} {option}")

    def test_a_group_of_verbs_has_help(self):
        for group in {verb[0] for verb in self.verbs() if len(verb) > 1} - {"topics"}:
            out, _ = self.run_program(group, "--help")
            self.assertIn(f"  {group} ", out)
            self.assertIn("which verb?", self.complaint(group))

    def test_help_is_for_us_and_not_for_the_command(self):
        err = self.complaint("run", "--", "cat", "--help")
        self.assertIn("--group is required", err)

    def test_no_verb_and_unknown_verbs_are_mistakes(self):
        self.assertIn("no verb", self.complaint())
        self.assertIn('no verb "nope"', self.complaint("nope"))
        self.assertIn('no verb "kafka nope"; see officeflow kafka --help', self.complaint("kafka", "nope"))

    def test_options_in_front_of_the_verb_are_shown_in_their_place(self):
        self.assertEqual(self.complaint("-b", "x:1", "kafka", "call", "Metadata"),
                         "officeflow: options go behind the verb: officeflow kafka call -b x:1 Metadata\n")
        self.assertIn("options go behind the verb: officeflow VERB --json", self.complaint("--json", "nope"))

    def test_unknown_options_are_named(self):
        self.assertIn("no option --nope", self.complaint("kafka", "consume", "t", "--nope"))
        self.assertIn("no option -z", self.complaint("kafka", "consume", "t", "-z"))

    def test_missing_and_extra_words_are_told(self):
        self.assertIn("TOPIC", self.complaint("kafka", "produce"))
        self.assertIn('"b" is too much', self.complaint("kafka", "produce", "a", "b"))
        self.assertIn("-- COMMAND", self.complaint("run", "--group", "g"))

    def test_values_out_of_range_say_what_is_allowed(self):
        self.assertIn("a number from 1 to", self.complaint("kafka", "consume", "t", "--count", "0"))
        self.assertIn("a number from 0 to", self.complaint("kafka", "consume", "t", "--partition=x"))
        self.assertIn("envelope|ce-structured|ce-binary", self.complaint("send", "t", "--mode", "xml"))
        self.assertIn("--count needs a value", self.complaint("kafka", "consume", "t", "--count"))
        self.assertIn("takes no value", self.complaint("topics", "--json=1"))

    def test_options_of_a_group_and_of_an_assignment_exclude_each_other(self):
        err = self.complaint("kafka", "consume", "t", "--group", "g", "--offset", "1")
        self.assertIn("not for a group", err)
        self.complaint("kafka", "consume", "t", "--from-beginning", "--offset", "1")

    def test_properties_are_checked_by_name_and_value(self):
        self.assertIn('no property "linger.mss"; the nearest is linger.ms',
                      self.complaint("kafka", "produce", "t", "-X", "linger.mss=1"))
        self.assertNotIn("nearest", self.complaint("kafka", "produce", "t", "-X", "foo=1"))
        self.assertIn("acks", self.complaint("kafka", "produce", "t", "-X", "acks=7"))
        self.assertIn("NAME=VALUE", self.complaint("kafka", "produce", "t", "-X", "linger.ms"))

    def test_a_properties_file_is_read_and_its_mistakes_have_a_line(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "client.properties")
            with open(path, "w", encoding="utf-8") as file:
                file.write("# a comment\nlinger.ms=5\nnope=1\n")
            err = self.complaint("kafka", "produce", "t", "-F", path)
            self.assertIn("nope", err)
            self.assertIn("3", err)
            self.complaint("kafka", "produce", "t", "-F", os.path.join(folder, "absent"))

    def test_brokers_come_from_the_option_then_the_property_then_the_environment(self):
        call = ("kafka", "call", "Metadata", *QUICK)
        with_env = {"KAFKA_BROKERS": NOBODY_ELSE}
        self.assertIn(NOBODY_ELSE, self.complaint(*call, env=with_env))
        self.assertIn(NOBODY, self.complaint(*call, "-X", f"bootstrap.servers={NOBODY}", env=with_env))
        err = self.complaint(*call, "-b", NOBODY, "-X", f"bootstrap.servers={NOBODY_ELSE}", env=with_env)
        self.assertIn(NOBODY, err)
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "officeflow.json")
            with open(path, "w", encoding="utf-8") as file:
                json.dump({"clientId": "test", "brokers": [NOBODY]}, file)
            self.assertIn(NOBODY_ELSE, self.complaint(*call, "--config", path, env=with_env))
            self.assertIn(NOBODY, self.complaint(*call, "--config", path, env={"KAFKA_BROKERS": None}))

    def test_a_broker_that_is_not_there_is_an_error_that_says_why(self):
        for words in (("kafka", "call", "Metadata"), ("topics",), ("groups",), ("kafka", "consume", "t"),
                      ("org", "list"), ("topics", "describe", "t")):
            err = self.complaint(*words, *QUICK, "-b", NOBODY)
            self.assertIn(NOBODY, err)
            self.assertIn("refused", err)

    def test_waiting_for_a_broker_is_told_once_before_it_is_given_up(self):
        slow = ("-X", "default.api.timeout.ms=3500", "-b", f"{NOBODY},{NOBODY_ELSE}")
        for words in (("groups",), ("kafka", "call", "Metadata"), ("kafka", "produce", "t")):
            _, err = self.run_program(*words, *slow, stdin='{"value": "v"}\n', code=ERROR)
            waiting, failed = err.splitlines()
            self.assertRegex(waiting, r"\Awaiting for a broker: connect to bootstrap server 127\.0\.0\.1:[12]: "
                                      r"Connection refused; is the broker running and bootstrap\.servers right\?\Z")
            self.assertTrue(failed.startswith("officeflow: connecting: Metadata was not answered in time: connect to "))
            self.assertEqual(failed.count("connect to "), 1)

    def test_a_service_waits_for_a_broker_and_says_so(self):
        words = [PROGRAM, "run", "-b", NOBODY, "--group", "email-service", "--on", "email.send.request", "--", "true"]
        with subprocess.Popen(words, stderr=subprocess.PIPE, text=True) as service:
            self.assertIn("waiting for a broker: connect to ", service.stderr.readline())
            service.terminate()
            self.assertEqual(service.stderr.read(), "")
            self.assertEqual(service.wait(), OK)

    def explanation(self, child):
        """What it says upon SIGUSR1, up to the line about the connection."""
        child.send_signal(signal.SIGUSR1)
        self.assertEqual(child.stderr.readline(), b"what is waited for:\n")
        lines = []
        while not lines or "  bootstrap server" not in lines[-1]:
            lines.append(child.stderr.readline().decode())
            self.assertTrue(lines[-1].startswith("  "), lines)
        return "".join(lines)

    def test_usr1_tells_what_a_verb_waits_for_and_it_goes_on(self):
        here = ("-b", NOBODY)
        call = r"  call: Metadata waits for a connection to any broker, for "
        for words, what in (
                (("run", *here, "--group", "email-service", "--on", "email.send.request", "--", "true"),
                 r"  consumer of group email-service: no topic matches its subscription yet\n"),
                (("kafka", "consume", "t", *here), call),
                (("kafka", "produce", "t", *here), call),
                (("setup-topics", *here), call)):
            with self.subTest(words):
                child = self.start(*words, stdin=subprocess.PIPE)
                self.assertIn(b"waiting for a broker: connect to ", child.stderr.readline())
                for _ in range(2):
                    said = self.explanation(child)
                    while ": connecting" in said:  # asked in the instant of a try
                        said = self.explanation(child)
                    self.assertRegex(said, what)
                    self.assertRegex(said, r"  bootstrap server 127\.0\.0\.1:1: not connected, .*connect to bootstrap "
                                           r"server 127\.0\.0\.1:1: Connection refused; is the broker running")
                code, *_ = self.end(child, signal.SIGTERM)
                self.assertIn(code, (OK, ERROR, -signal.SIGTERM))

    def test_a_broken_configuration_file_is_told(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "officeflow.json")
            for text in ("{", "[]", '{"nope": 1}', '{"policy": {"default": {"nope": 1}}}'):
                with open(path, "w", encoding="utf-8") as file:
                    file.write(text)
                self.complaint("policy", "show", "g", "email.send.request", "--config", path)

    def test_policy_is_shown_without_a_broker(self):
        out, _ = self.run_program("policy", "show", "email-service", "email.send.request")
        self.assertTrue(out.startswith("1 + 2 + 6 parked + 2 tiers = 11 tries over about 17 min\n"), out)
        strict = self.lines("policy", "show", "workflow-engine", "employee.onboard", "--json")[0]
        self.assertTrue(strict["strict"])
        self.assertTrue(strict["redrive_by_operator_only"])
        self.assertEqual(strict["tiers"], [])

    def test_policy_follows_the_configuration_file(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "officeflow.json")
            with open(path, "w", encoding="utf-8") as file:
                json.dump({"policy": {"email.send.request": {"immediate_attempts": 1, "parked_attempts": 1,
                                                             "tiers": ["2s"]}}}, file)
            shown = self.lines("policy", "show", "g", "email.send.request", "--json", "--config", path)[0]
            self.assertEqual(shown["tiers"], ["2s"])
            self.assertEqual(shown["total_tries"], 4)

    def test_policy_names_the_waits_of_as_many_immediate_tries_as_there_are(self):
        waits = {0: "none", 1: "1 more in the same place, after 50 ms",
                 2: "2 more in the same place, after 50 ms and 200 ms",
                 4: "4 more in the same place, after 50 ms, then 200 ms each"}
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "officeflow.json")
            for tries, text in waits.items():
                with open(path, "w", encoding="utf-8") as file:
                    json.dump({"policy": {"email.send.request": {"immediate_attempts": tries}}}, file)
                out, _ = self.run_program("policy", "show", "g", "email.send.request", "--config", path)
                self.assertIn(f"\n  immediate   {text}\n", out)

    def test_a_command_that_can_not_be_run_is_told_at_once(self):
        def told(command, path=None):
            return self.complaint("run", "--group", "g", "--on", "t", "-b", NOBODY, "--", command,
                                  env={"PATH": path} if path else None, timeout=20)
        with tempfile.TemporaryDirectory() as folder:
            file = os.path.join(folder, "not-executable")
            with open(file, "w", encoding="utf-8"):
                pass
            for command in ("/no/such/command", "no-such-command", f"{file}/below", ""):
                self.assertIn(f"run: {command}: No such file or directory", told(command))
            for command in (file, folder):
                self.assertIn(f"run: {command}: Permission denied", told(command))
            self.assertIn("run: not-executable: Permission denied", told("not-executable", f"/no/such:{folder}"))

    def test_patterns_and_times_are_checked_before_anything_else(self):
        self.complaint("tail", "a..b", "-b", NOBODY)
        self.complaint("tail", "a.*", "--from", "yesterday", "-b", NOBODY)
        self.complaint("dlq", "list", "--class", "nope", "-b", NOBODY)
        self.complaint("dlq", "list", "--since", "yesterday", "-b", NOBODY)
        self.assertIn("say which", self.complaint("dlq", "replay", "-b", NOBODY))
        self.complaint("send", "employee.onboard", "--meta", "novalue", "-b", NOBODY)
        self.complaint("org", "create", "no_underscore", "-b", NOBODY)

    def test_standard_output_that_takes_nothing_is_an_error(self):
        if os.path.exists("/dev/full"):
            with open("/dev/full", "wb") as full:
                child = self.start("--help", stdout=full)
                child.wait(60)
                code, _, err = self.end(child)
            self.assertEqual(code, ERROR)
            self.assertIn("standard output", err)

    def test_nothing_is_coloured_outside_a_terminal(self):
        out, _ = self.run_program("policy", "show", "g", "email.send.request", code=OK)
        self.assertNotIn("\x1b", out)


if __name__ == "__main__":
    main()
