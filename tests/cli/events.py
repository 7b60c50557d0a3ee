# SPDX-License-Identifier: LicenseRef-OfficeFlow
"""The platform's verbs against a real Kafka: topics, organisations, events, handlers, dead letters, traces."""
import json
import os
import re
import select
import signal
import stat
import tempfile

from program import ERROR, OK, PARTIAL, SOMETHING, Case, main, need_broker, unique, without_standstill

DAY_MS = 86400000


class Tests(Case):
    def setUp(self):
        self.run_program("setup-topics", env={"DEMO_ORG_ID": None})

    def create_org(self):
        org = unique("org")
        self.run_program("org", "create", org)
        topics = [prefix + f"employee.{what}.{org}" for prefix in ("", "dlq.")
                  for what in ("onboard", "exit", "transfer", "update")]
        self.addCleanup(self.call, "DeleteTopics", {"timeoutMs": 30000, "topics": [{"name": t} for t in topics]})
        for topic in topics:
            self.wait_for_leaders(topic, 1 if topic.startswith("dlq.") else 3)
        return org

    def send(self, org, payload=None, *words):
        return self.lines("send", "employee.onboard", "--org", org, "--meta", "employeeId=emp-456", "--meta",
                          "source=hrms-adapter", "--json", "--payload", json.dumps(payload or {}), *words)[0]

    def handler(self, script):
        """A shell script to handle events with."""
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        path = os.path.join(folder.name, "handler")
        with open(path, "w", encoding="utf-8") as file:
            file.write("#!/bin/sh\n" + script)
        os.chmod(path, stat.S_IRWXU)
        return path

    def set_config(self, topic, name, value):
        answer = self.call("IncrementalAlterConfigs", {"validateOnly": False, "resources": [
            {"resourceType": 2, "resourceName": topic,
             "configs": [{"name": name, "configOperation": 0, "value": value}]}]})
        self.assertEqual(answer["responses"][0]["errorCode"], 0, answer)

        def is_set():
            found = self.call("DescribeConfigs", {"resources": [
                {"resourceType": 2, "resourceName": topic, "configurationKeys": [name]}]})
            return found["results"][0]["configs"][0]["value"] == value
        self.wait_until(is_set, f"{name} of {topic}")

    # --- topics and organisations ---

    def test_setting_up_twice_changes_nothing(self):
        org = unique("org")
        first, _ = self.run_program("setup-topics", env={"DEMO_ORG_ID": org})
        self.assertIn(f"create  employee.onboard.{org} ", first)
        self.assertRegex(first, rf"org +{org} +4 lifecycle \+ 4 dlq\n")
        self.assertRegex(first, r"\ncluster |\Acluster ")
        second, _ = self.run_program("setup-topics", env={"DEMO_ORG_ID": org})
        self.assertRegex(second, r"done in [0-9.]+ s: 0 created, 0 altered, 0 refused\n")
        self.assertNotRegex(second, r"\n  (create|alter|refuse) ")
        self.assertIn("groups  0 seeded", second)
        third, _ = self.run_program("setup-topics", "--dry-run", env={"DEMO_ORG_ID": org})
        self.assertIn("0 to create, 0 to alter, 0 refused", third)

    def committed(self, group, topic):
        answer = self.call("OffsetFetch", {"groupId": group, "topics": [
            {"name": topic, "partitionIndexes": [0, 1, 2]}]}, "--version", "7")
        return [p["committedOffset"] for p in answer["topics"][0]["partitions"]]

    def test_groups_are_set_up_at_the_beginning_of_the_log(self):
        topic = f"employee.onboard.{self.create_org()}"
        self.assertEqual(self.committed("workflow-engine", topic), [0, 0, 0])
        self.call("OffsetDelete", {"groupId": "workflow-engine", "topics": [
            {"name": topic, "partitions": [{"partitionIndex": 0}, {"partitionIndex": 2}]}]})
        self.assertEqual(self.committed("workflow-engine", topic), [-1, 0, -1])
        out, _ = self.run_program("setup-topics", env={"DEMO_ORG_ID": None})
        self.assertIn("groups  1 seeded at log start (workflow-engine 2 partitions)", out)
        self.assertEqual(self.committed("workflow-engine", topic), [0, 0, 0])

    def test_drift_is_told_and_mended(self):
        org = self.create_org()
        topic = f"employee.onboard.{org}"
        self.set_config(topic, "retention.ms", str(DAY_MS))
        out, _ = self.run_program("topics", "plan", code=SOMETHING)
        self.assertRegex(out, rf"alter +{topic} +retention.ms {DAY_MS} -> {30 * DAY_MS}")
        out, _ = self.run_program("topics", "apply")
        self.assertIn("0 created, 1 altered, 0 refused", out)
        self.run_program("topics", "plan")

    def test_what_would_lose_records_is_refused(self):
        org = self.create_org()
        topic = f"employee.onboard.{org}"
        self.set_config(topic, "retention.ms", str(90 * DAY_MS))
        out, _ = self.run_program("topics", "plan", code=SOMETHING)
        self.assertRegex(out, rf"refuse +{topic} ")
        out, _ = self.run_program("topics", "apply", code=ERROR)
        self.assertIn("1 refused", out)
        self.run_program("topics", "apply", "--allow-shrink")
        self.run_program("topics", "plan")

    def test_an_organisation_is_created_once(self):
        org = unique("org")
        first, _ = self.run_program("org", "create", org)
        self.assertIn("8 topics created, 16 partitions", first)
        second, _ = self.run_program("org", "create", org)
        self.assertIn("0 topics created", second)
        self.assertIn({"organization": org, "topics": 8, "partitions": 16}, self.lines("org", "list", "--json"))
        for bad in ("a.b", "a_b", "-a", "", "x" * 65):
            self.run_program("org", "create", "--", bad, code=ERROR)

    def test_topics_are_listed_with_what_is_missing(self):
        listed = {t["topic"]: t for t in self.lines("topics", "--json", "--org", "never-created")}
        self.assertEqual(listed["email.send.request"]["state"], "ok")
        self.assertEqual(listed["email.send.request"]["partitions"], 6)
        self.assertEqual(listed["employee.onboard.never-created"]["state"], "missing")
        self.assertEqual(listed["officeflow.dlq-state"]["retentionMs"], None)
        out, _ = self.run_program("topics", "describe", "email.send.request")
        self.assertIn("retention.ms = ", out)
        self.run_program("topics", "describe", unique("absent"), code=ERROR)

    # --- events ---

    def test_an_event_is_sent_and_tailed(self):
        org = self.create_org()
        sent = self.send(org, {"name": "John Döe"})
        self.assertEqual(sent["topic"], f"employee.onboard.{org}")
        event = self.lines("tail", "employee.onboard.*", "--from", "beginning", "--correlation",
                           sent["correlationId"], "--count", "1", "--json")[0]
        self.assertEqual((event["id"], event["key"], event["organizationId"], event["source"], event["payload"]),
                         (sent["id"], "emp-456", org, "hrms-adapter", {"name": "John Döe"}))
        self.assertEqual((event["partition"], event["offset"]), (sent["partition"], sent["offset"]))
        envelope = json.loads(self.consume(sent["topic"], "--from-beginning")[0]["value"])
        self.assertEqual(envelope["metadata"], {"employeeId": "emp-456", "source": "hrms-adapter"})

    def test_events_come_in_three_forms(self):
        org = self.create_org()
        modes = ("envelope", "ce-structured", "ce-binary")
        ids = [self.send(org, {"mode": mode}, "--mode", mode)["id"] for mode in modes]
        events = self.lines("tail", f"employee.onboard.{org}", "--from", "beginning", "--count", "3", "--json")
        self.assertEqual([(e["id"], e["payload"]) for e in events], [(i, {"mode": m}) for i, m in zip(ids, modes)])

    def test_json_lines_become_events_and_bad_ones_are_told(self):
        org = self.create_org()
        words = ("send", "employee.onboard", "--org", org, "--meta", "employeeId=e", "-f", "-")
        out, err = self.run_program(*words, "--json", stdin='{"n":1}\n{"n":\n{"n":3}\n', code=PARTIAL)
        self.assertEqual(len(out.splitlines()), 2)
        self.assertRegex("\n".join(without_standstill(err)), r"\Aline 2: .*\Z")
        events = self.lines("tail", f"employee.onboard.{org}", "--from", "beginning", "--count", "2", "--json")
        self.assertEqual([e["payload"] for e in events], [{"n": 1}, {"n": 3}])

    def test_a_file_is_one_payload_or_one_in_each_line(self):
        org = self.create_org()
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "payload.json")
            words = ("send", "employee.onboard", "--org", org, "--meta", "employeeId=e", "--json", "-f", path)
            for text, count in (('{\n "a": 1\n}\n', 1), ('{"a":1}\n{"a":2}\n', 2)):
                with open(path, "w", encoding="utf-8") as file:
                    file.write(text)
                self.assertEqual(len(self.lines(*words)), count)

    def test_what_can_not_be_sent_says_what_to_do(self):
        org = self.create_org()
        _, err = self.run_program("send", "employee.onboard", "--org", unique("absent"), "--meta", "employeeId=e",
                                  code=ERROR)
        self.assertIn("officeflow org create absent-", err)
        _, err = self.run_program("send", "employee.onboard", "--org", org, code=ERROR)
        self.assertIn("/metadata/employeeId", err)
        self.run_program("send", "no.such.type", code=ERROR)
        self.run_program("send", "employee.onboard", "--org", org, "--meta", "employeeId=e", "--payload", "{",
                         code=ERROR)

    def test_tail_sees_topics_that_appear_later(self):
        def transfer(org):
            return self.lines("send", "employee.transfer", "--org", org, "--meta", "employeeId=e", "--json")[0]["id"]
        earlier, later = self.create_org(), unique("org")
        child = self.start("tail", "employee.*.*", "--json", "--type", "employee.transfer")
        self.wait_until(lambda: transfer(earlier) and select.select([child.stdout], [], [], 0)[0], "tail to be at work")
        self.run_program("org", "create", later)
        sent = transfer(later)
        while json.loads(child.stdout.readline())["id"] != sent:
            pass
        self.assertEqual(self.end(child, signal.SIGTERM)[0], OK)

    # --- handlers ---

    def test_a_command_gets_the_event_and_its_fields(self):
        org, group = self.create_org(), unique("group")
        sent = self.send(org, {"name": "John Doe"}, "--causation", "cause-1")
        script = self.handler("cat >\"$1\"; env | grep ^OF_ >\"$2\"; echo printed\n")
        with tempfile.TemporaryDirectory() as folder:
            files = [os.path.join(folder, name) for name in ("event", "environment")]
            out, _ = self.run_program("run", "--group", group, "--on", f"employee.onboard.{org}", "--from-beginning",
                                      "--type", "employee.onboard", "--once", "--", script, *files)
            with open(files[0], encoding="utf-8") as file:
                event = file.read()
            with open(files[1], encoding="utf-8") as file:
                fields = dict(line.rstrip("\n").split("=", 1) for line in file)
        self.assertIn("printed", out)
        self.assertEqual(event, self.consume(sent["topic"], "--from-beginning")[0]["value"])
        self.assertRegex(fields.pop("OF_TRACEPARENT"), r"\A00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}\Z")
        self.assertEqual(fields, {
            "OF_TYPE": "employee.onboard", "OF_ID": sent["id"], "OF_ORG": org, "OF_KEY": "emp-456",
            "OF_CORRELATION_ID": sent["correlationId"], "OF_CAUSATION_ID": "cause-1", "OF_SOURCE": "hrms-adapter",
            "OF_TOPIC": sent["topic"], "OF_PARTITION": str(sent["partition"]), "OF_OFFSET": str(sent["offset"]),
            "OF_ATTEMPT": "1", "OF_STAGE": "first", "OF_REDRIVE": "0", "OF_GROUP": group})

    # --- where a group begins ---

    def start_engine(self, group="workflow-engine"):
        """The group as a service; each event it handles is a line: organisation, id. Other tests' come too."""
        return self.start("run", "--group", group, "--on", "employee.*.*", "--", "sh", "-c",
                          "cat >/dev/null; echo $OF_ORG $OF_ID")

    def stop_engine(self, child, event):
        """Wait for the event and for what comes behind it, end in order; how often it was handled."""
        lines = []
        while not lines or lines[-1] != event:
            lines.append(child.stdout.readline().decode().rstrip("\n"))
            self.assertNotEqual(lines[-1], "", "the group ended")
        child.send_signal(signal.SIGTERM)
        lines += child.stdout.read().decode().splitlines()
        code, _, err = self.end(child)
        self.assertEqual(code, OK, err)
        return lines.count(event)

    def event_of_new_org(self):
        org = self.create_org()
        return f"{org} {self.send(org)['id']}"

    def test_events_of_a_new_organisation_wait_for_a_group_that_is_stopped(self):
        self.assertEqual(self.stop_engine(self.start_engine(), self.event_of_new_org()), 1)
        event = self.event_of_new_org()
        self.assertEqual(self.stop_engine(self.start_engine(), event), 1)

    def test_events_of_a_new_organisation_wait_for_a_group_that_was_never_started(self):
        self.call("DeleteGroups", {"groupsNames": ["workflow-engine"]})
        event = self.event_of_new_org()
        self.assertEqual(self.stop_engine(self.start_engine(), event), 1)

    def test_a_group_that_nobody_set_up_finds_the_topics_of_a_new_organisation(self):
        group, org = unique("group"), self.create_org()
        child = self.start("run", "--group", group, "--on", f"employee.onboard.{org}", "--once", "--", "true")
        self.wait_until(lambda: self.committed(group, f"employee.onboard.{org}") == [0, 0, 0], "the group's start")
        self.send(org)
        self.assertEqual(child.wait(60), OK)
        event = self.event_of_new_org()
        self.assertEqual(self.stop_engine(self.start_engine(group), event), 1)

    def test_a_group_that_starts_while_an_organisation_is_created_misses_nothing(self):
        for is_group_first in (False, True):
            org = unique("org")
            engine = self.start_engine() if is_group_first else None
            creation = self.start("org", "create", org)
            engine = engine or self.start_engine()
            self.assertEqual(creation.wait(60), OK)
            self.assertEqual(self.stop_engine(engine, f"{org} {self.send(org)['id']}"), 1)

    def run_on(self, org, group, script, count, *words):
        return self.run_program("run", "--group", group, "--on", f"employee.onboard.{org}", "--from-beginning",
                                "--count", str(count), *words, "--", script)

    def dead_letters(self, group, *words, code=None):
        return self.lines("dlq", "list", "--group", group, "--json", *words, code=code)

    def test_exit_codes_are_answers(self):
        org, group = self.create_org(), unique("group")
        for answer in (0, 65, 77):
            self.send(org, {"exit": answer})
        script = self.handler("code=$(sed 's/.*\"exit\": *//; s/[^0-9].*//'); echo \"said $code\" >&2; exit $code\n")
        _, err = self.run_on(org, group, script, 3)
        self.assertRegex(err, r"attempt 1 failed: exit_65: becomes a dead letter")
        self.assertEqual(err.count("said 65"), 1)
        letters = self.dead_letters(group, code=SOMETHING)
        self.assertEqual([(x["class"], x["code"], x["message"], x["attempts"]) for x in letters],
                         [("permanent", "exit_65", "said 65", 1)])

    def test_a_retry_comes_again_with_its_attempt(self):
        org, group = self.create_org(), unique("group")
        self.send(org)
        for first in ("exit 75", "exit 1", "kill -9 $$"):
            org, group = self.create_org(), unique("group")
            self.send(org)
            script = self.handler(f"cat >/dev/null; echo try $OF_ATTEMPT $OF_STAGE\n"
                                  f"[ $OF_ATTEMPT -ge 2 ] && exit 0\n{first}\n")
            out, _ = self.run_on(org, group, script, 1)
            self.assertEqual(out.split("\n")[:2], ["try 1 first", "try 2 immediate"])
            self.assertEqual(self.dead_letters(group, code=OK), [])

    def test_a_command_that_is_gone_when_an_event_comes_is_a_failure(self):
        org, group = self.create_org(), unique("group")
        self.send(org)
        config = self.policy_file({"employee.onboard": {"immediate_attempts": 1, "parked_attempts": 0, "tiers": []}})
        self.run_on(org, group, self.handler('cat >/dev/null; rm "$0"; exit 75\n'), 1, "--config", config)
        letter = self.dead_letters(group, code=SOMETHING)[0]
        self.assertEqual((letter["code"], letter["class"]), ("exit_127", "retries_exhausted"))

    def test_run_says_when_no_topic_matches(self):
        child = self.start("run", "--group", unique("group"), "--on", f"employee.onboard.{unique('absent')}", "--once",
                           "--", "true")
        self.assertEqual(child.stderr.readline().decode(), "no topic matches yet; waiting for one\n")
        self.assertEqual(self.end(child, signal.SIGTERM)[0], OK)
        org = self.create_org()
        self.send(org)
        _, err = self.run_on(org, unique("group"), "true", 1)
        self.assertEqual(err, "")

    def policy_file(self, policy):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        path = os.path.join(folder.name, "officeflow.json")
        with open(path, "w", encoding="utf-8") as file:
            json.dump({"policy": policy}, file)
        return path

    def test_commands_run_side_by_side_and_a_signal_lets_them_finish(self):
        org, group = self.create_org(), unique("group")
        partitions = set()
        for i in range(40):
            partitions.add(self.send(org, {}, "--key", f"key-{i}")["partition"])
            if len(partitions) == 3:
                break
        with tempfile.TemporaryDirectory() as folder:
            script = self.handler('cat >/dev/null; : >"$1/begun-$OF_PARTITION-$OF_OFFSET"\n'
                                  'while [ ! -e "$1/go" ]; do sleep 0.05; done\n'
                                  ': >"$1/done-$OF_PARTITION-$OF_OFFSET"\n')
            child = self.start("run", "--group", group, "--on", f"employee.onboard.{org}", "--from-beginning", "--",
                               script, folder)

            def begun():
                return [n for n in os.listdir(folder) if n.startswith("begun")]
            self.wait_until(lambda: len(begun()) == 3, "one command in each partition")
            child.send_signal(signal.SIGTERM)
            with open(os.path.join(folder, "go"), "w", encoding="utf-8"):
                pass
            child.wait(60)
            code, _, err = self.end(child)
            self.assertEqual(code, OK, err)
            done = [n for n in os.listdir(folder) if n.startswith("done")]
            self.assertEqual(len(done), len(begun()))
        answer = self.call("OffsetFetch", {"groupId": group, "topics": None}, "--version", "7")
        committed = sum(p["committedOffset"] for t in answer["topics"] for p in t["partitions"]
                        if t["name"] == f"employee.onboard.{org}")
        self.assertEqual(committed, len(done))

    # --- dead letters ---

    def make_letters(self, count):
        org, group = self.create_org(), unique("group")
        sent = [self.send(org, {"n": i}) for i in range(count)]
        self.run_on(org, group, self.handler("cat >/dev/null; echo no such badge 123 >&2; exit 65\n"), count)
        letters = self.dead_letters(group, code=SOMETHING)
        self.assertEqual(len(letters), count)
        return org, group, sent, letters

    def test_dead_letters_are_listed_shown_and_counted(self):
        org, group, sent, letters = self.make_letters(3)
        self.assertEqual({x["state"] for x in letters}, {"dead"})
        self.assertEqual(len({x["fingerprint"] for x in letters}), 1)
        self.assertEqual({x["correlationId"] for x in letters}, {s["correlationId"] for s in sent})
        self.assertEqual(self.dead_letters(group, "--class", "schema", code=OK), [])
        self.assertEqual(len(self.dead_letters(group, "--fingerprint", letters[0]["fingerprint"], code=SOMETHING)), 3)
        shown = self.lines("dlq", "show", letters[0]["id"], "--json")[0]
        self.assertEqual(json.loads(shown["value"])["organizationId"], org)
        out, _ = self.run_program("dlq", "show", letters[0]["id"])
        self.assertIn("no such badge 123", out)
        self.run_program("dlq", "show", "0" * 16, code=ERROR)
        stats = self.lines("dlq", "stats", "--group", group, "--json", code=SOMETHING)
        self.assertEqual([(s["topic"], s["dead"], s["topClass"]) for s in stats],
                         [(f"employee.onboard.{org}", 3, "permanent")])

    def create_retry_topic(self, group):
        name = f"retry.{group}.now"
        answer = self.call("CreateTopics", {"timeoutMs": 30000, "topics": [
            {"name": name, "numPartitions": 1, "replicationFactor": 1}]})
        self.assertIn(answer["topics"][0]["errorCode"], (0, 36), answer)
        self.addCleanup(self.call, "DeleteTopics", {"timeoutMs": 30000, "topics": [{"name": name}]})
        self.wait_for_leaders(name, 1)

    def test_replay_sends_each_once_to_the_group_that_failed(self):
        org, group, sent, letters = self.make_letters(2)
        self.create_retry_topic(group)
        out, _ = self.run_program("dlq", "replay", "--group", group, "--dry-run")
        self.assertIn("2 selected, 2 would be released, 0 refused", out)
        out, _ = self.run_program("dlq", "replay", "--group", group)
        self.assertIn("2 selected, 2 released, 0 refused", out)
        out, err = self.run_program("dlq", "replay", "--group", group, code=PARTIAL)
        self.assertIn("0 released, 2 refused", out)
        self.assertIn("--again", err)
        script = self.handler("cat >/dev/null; echo $OF_ID $OF_STAGE $OF_REDRIVE $OF_TOPIC\n")
        out, _ = self.run_on(org, group, script, 2)
        self.assertEqual(sorted(out.splitlines()),
                         sorted(f"{s['id']} redrive 1 {s['topic']}" for s in sent))
        self.assertEqual(self.dead_letters(group, code=OK), [])
        self.assertEqual({x["state"] for x in self.dead_letters(group, "--all", code=OK)}, {"resolved"})

    def test_the_automatic_handler_says_what_it_does(self):
        _, group, _, letters = self.make_letters(1)
        child = self.start("dlq", "serve", "--json")
        ids = []
        while letters[0]["id"] not in ids:
            line = child.stdout.readline()
            self.assertTrue(line, "it ended early")
            notice = json.loads(line)
            ids.append(notice["id"])
        self.assertIn(notice["what"], ("left to an operator", "quarantined"))
        code, _, err = self.end(child, signal.SIGTERM)
        self.assertEqual(code, OK, err)

    def test_a_trace_tells_who_did_what(self):
        _, group, sent, _ = self.make_letters(1)
        moments = self.lines("trace", sent[0]["correlationId"], "--json")
        told = [(m["who"], m["what"]) for m in moments]
        self.assertEqual(told[:3], [("hrms-adapter", "sent"), (group, "try 1 failed"), (group, "dead letter")])
        out, _ = self.run_program("trace", sent[0]["correlationId"])
        self.assertRegex(out, r"\n\d\d:\d\d:\d\d\.\d\d\d  hrms-adapter +sent +employee\.onboard ")
        self.run_program("trace", unique("unknown"), code=ERROR)

    def test_groups_have_a_state_and_a_lag(self):
        names = [g["group"] for g in self.lines("groups", "--json")]
        self.assertEqual(len(names), 8)
        self.assertIn("workflow-engine", names)
        org, group = self.create_org(), unique("group")
        for _ in range(3):
            self.send(org)
        self.run_on(org, group, self.handler("cat >/dev/null\n"), 1)
        found = self.lines("groups", group, "--json")[0]
        self.assertEqual((found["state"], found["members"], found["lag"]), ("Empty", 0, 2))
        self.assertIn(group, [g["group"] for g in self.lines("groups", "--all", "--json")])

    def test_a_group_that_is_not_there_is_told(self):
        absent = unique("absent")
        out, err = self.run_program("groups", absent, "--json")
        self.assertEqual(json.loads(out)["state"], "none")
        self.assertEqual(err, f"there is no group {absent}\n")
        _, err = self.run_program("groups")
        self.assertEqual(err, "")

    # --- the story ---

    def test_the_demo_is_the_story(self):
        out, _ = self.run_program("demo")
        self.assertNotIn("not as told", out)
        self.assertTrue(re.search(r"The story went as told, in [0-9.]+ s\.\n\Z", out), out[-500:])


if __name__ == "__main__":
    need_broker()
    main()
