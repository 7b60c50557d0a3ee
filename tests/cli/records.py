# SPDX-License-Identifier: LicenseRef-OfficeFlow
"""officeflow kafka produce, consume and call against a real Kafka."""
import base64
import json
import os
import signal
import subprocess
import time

from program import ERROR, OK, PARTIAL, SKIP, Case, main, need_broker, transactional_batch, unique, without_standstill


def text_of(data):
    return base64.b64encode(data).decode()


class Tests(Case):
    def test_records_come_back_as_they_were_sent(self):
        topic = self.create_topic(3, configs=[("retention.ms", "-1")])  # records of any age stay
        records = [
            {"key": "k", "value": "v", "partition": 1, "timestamp": 1234567890123,
             "headers": [["a", "1"], ["a", "2"], ["", "empty name"], ["none", None],
                         ["bytes", {"b64": text_of(b"\xff\0")}]]},
            {"key": None, "value": None, "partition": 1, "timestamp": 1234567890124, "headers": []},
            {"key": "", "value": "", "partition": 1, "timestamp": 0, "headers": [["e", ""]]},
            {"key64": text_of(b"\xc3\x28"), "value64": text_of(b"\x80"), "partition": 1, "timestamp": 5,
             "headers": []},
            {"key": "ünï\u0000\"\\\n", "value": "😀", "partition": 1, "timestamp": 6, "headers": []},
        ]
        self.produce(topic, records)
        got = self.consume(topic, "--from-beginning")
        self.assertEqual([r["offset"] for r in got], list(range(len(records))))
        for sent, came in zip(records, got):
            self.assertEqual(came["timestampType"], "CreateTime")
            for name, value in sent.items():
                self.assertEqual(came[name], value)
            self.assertEqual(set(came), set(sent) | {"topic", "offset", "timestampType"})

    def test_base64_is_used_exactly_for_what_is_no_text(self):
        topic = self.create_topic()
        self.produce(topic, [{"key64": text_of(b"text"), "value64": text_of("täxt".encode()),
                              "headers": [["h", {"b64": text_of(b"text")}]]}])
        record = self.consume(topic, "--from-beginning")[0]
        self.assertEqual((record["key"], record["value"], record["headers"]), ("text", "täxt", [["h", "text"]]))

    def test_null_in_the_base64_form_is_null(self):
        topic = self.create_topic()
        self.produce(topic, [{"key64": None, "value64": None}])
        record = self.consume(topic, "--from-beginning")[0]
        self.assertEqual((record["key"], record["value"]), (None, None))

    def test_bad_lines_are_told_by_number_and_the_rest_goes_on(self):
        topic = self.create_topic()
        bad = ['{"key":"a","key64":"YQ==","value":"x"}', '{"value":"x","value64":"eA=="}', '{"value":"x","nope":1}',
               '{"key":"a"}', 'no json', '{"value64":"eA"}', '{"value64":"@@@@"}', '', '{"value":5}', '[]',
               '{"value":"x","headers":{}}', '{"value":"x","headers":[["a"]]}', '{"value":"x","headers":[[1,"a"]]}',
               '{"value":"x","headers":[["a",{"b64":"eA==","c":1}]]}', '{"value":"x","partition":-2}',
               '{"value":"x","partition":1.5}', '{"value":"x","timestamp":-1}', '{"value":"x"} y',
               '{"value":"x","value":"y"}', '{"value":"\\ud800"}', '{"value":"x"']
        stdin = "".join(f'{line}\n{{"value":"good {i}"}}\n' for i, line in enumerate(bad))
        out, err = self.run_program("kafka", "produce", topic, code=PARTIAL, stdin=stdin)
        self.assertEqual(out, "")
        told = [line.split(": ", 1) for line in without_standstill(err)]
        self.assertEqual([name for name, _ in told], [f"line {2 * i + 1}" for i in range(len(bad))], err)
        self.assertTrue(all(reason for _, reason in told))
        self.assertEqual([r["value"] for r in self.consume(topic, "--from-beginning")],
                         [f"good {i}" for i in range(len(bad))])

    def test_a_record_that_fails_is_told_by_its_line(self):
        topic = self.create_topic(2)
        _, err = self.produce(topic, [{"value": "a"}, {"value": "b", "partition": 7}, {"value": "c"},
                                      {"value": "x" * 2000000}], code=PARTIAL)
        self.assertEqual(sorted(line.split(":")[0] for line in without_standstill(err)), ["line 2", "line 4"])
        self.assertEqual(sorted(r["value"] for r in self.consume(topic, "--from-beginning")), ["a", "c"])

    def test_a_topic_that_is_not_there_is_told_without_waiting_for_minutes(self):
        begun = time.monotonic()
        _, err = self.produce(unique("absent"), [{"value": "a"}], code=PARTIAL)
        self.assertRegex(without_standstill(err)[0], r"\Aline 1: topic absent-.* does not exist")
        self.assertLess(time.monotonic() - begun, 60)

    def test_plain_lines_are_values(self):
        topic = self.create_topic()
        self.run_program("kafka", "produce", topic, "--lines", stdin=b'{"value":1}\n\n\xff\nlast')
        got = self.consume(topic, "--from-beginning")
        self.assertEqual([r.get("value", r.get("value64")) for r in got], ['{"value":1}', "", "/w==", "last"])

    def test_many_lines_keep_their_order_by_key(self):
        topic = self.create_topic(4)
        count = 120000
        self.run_program("kafka", "produce", topic, stdin="".join(
            f'{{"key":"key-{i % 50}","value":"{i}"}}\n' for i in range(count)))
        last = {}
        records = self.consume(topic, "--from-beginning")
        for record in records:
            self.assertGreater(int(record["value"]), last.get(record["key"], -1))
            last[record["key"]] = int(record["value"])
        self.assertEqual((len(records), len(last)), (count, 50))

    def test_lines_that_trickle_are_sent_at_once(self):
        topic = self.create_topic()
        child = self.start("kafka", "produce", topic, stdin=subprocess.PIPE)
        for value in ("one", "two"):
            child.stdin.write(json.dumps({"value": value}).encode() + b"\n")
            child.stdin.flush()
            self.wait_until(lambda value=value: [r for r in self.consume(topic, "--from-beginning")
                                                 if r["value"] == value], value)
        child.stdin.close()
        child.wait(60)
        self.assertEqual(self.end(child)[0], OK)

    def test_partition_offset_and_count_choose(self):
        topic = self.create_topic(2)
        self.produce(topic, [{"value": str(i), "partition": i % 2} for i in range(20)])
        got = self.consume(topic, "--partition", "1", "--offset", "3", "--count", "4")
        self.assertEqual([(r["partition"], r["offset"], r["value"]) for r in got],
                         [(1, 3, "7"), (1, 4, "9"), (1, 5, "11"), (1, 6, "13")])
        self.assertEqual(self.consume(topic, "--offset", "10"), [])
        self.assertEqual(self.consume(topic, "--offset", "99"), [])
        _, err = self.run_program("kafka", "consume", topic, "--partition", "2", code=ERROR)
        self.assertIn("no partition 2", err)

    def test_without_from_beginning_only_what_comes_is_read(self):
        topic = self.create_topic()
        self.produce(topic, [{"value": "old"}])
        self.assertEqual(self.consume(topic), [])
        child = self.start("kafka", "consume", topic, "--count", "1")

        def has_read():
            self.produce(topic, [{"value": "new"}])
            return child.poll() is not None
        self.wait_until(has_read, "a reader from the end")  # it tells nobody when it knows where that is
        code, out, err = self.end(child)
        self.assertEqual((code, [json.loads(line)["value"] for line in out.splitlines()]), (OK, ["new"]), err)

    def test_several_topics_are_read_together(self):
        topics = [self.create_topic() for _ in range(2)]
        for topic in topics:
            self.produce(topic, [{"value": topic}])
        got = self.consume(topics[0], topics[1], "--from-beginning")
        self.assertEqual(sorted(r["value"] for r in got), sorted(topics))

    def test_an_absent_topic_is_an_error(self):
        _, err = self.run_program("kafka", "consume", unique("absent"), "--until-end", code=ERROR)
        self.assertIn("does not exist", err)

    def test_log_append_time_is_told(self):
        topic = self.create_topic(configs=[("message.timestamp.type", "LogAppendTime")])
        self.produce(topic, [{"value": "v", "timestamp": 5}])
        record = self.consume(topic, "--from-beginning")[0]
        self.assertEqual(record["timestampType"], "LogAppendTime")
        self.assertGreater(record["timestamp"], 5)

    # --- groups ---

    def committed(self, group, topic):
        answer = self.call("OffsetFetch", {"groupId": group, "topics": None}, "--version", "7")
        return {(t["name"], p["partitionIndex"]): p["committedOffset"] for t in answer["topics"]
                for p in t["partitions"] if t["name"] == topic}

    def test_a_group_goes_on_where_it_stopped(self):
        topic, group = self.create_topic(2), unique("group")
        self.produce(topic, [{"value": str(i), "partition": i % 2} for i in range(10)])
        self.assertEqual(len(self.consume(topic, "--group", group, "--from-beginning")), 10)
        self.assertEqual(self.committed(group, topic), {(topic, 0): 5, (topic, 1): 5})
        self.assertEqual(self.consume(topic, "--group", group, "--from-beginning"), [])
        self.produce(topic, [{"value": "more"}])
        self.assertEqual([r["value"] for r in self.consume(topic, "--group", group)], ["more"])

    def test_a_group_commits_exactly_what_was_printed(self):
        topic, group = self.create_topic(), unique("group")
        self.produce(topic, [{"value": str(i)} for i in range(100)])
        got = self.consume(topic, "--group", group, "--from-beginning", "--count", "7")
        self.assertEqual(len(got), 7)
        self.assertEqual(self.committed(group, topic), {(topic, 0): 7})
        self.assertEqual(self.consume(topic, "--group", group)[0]["value"], "7")

    def test_a_signal_commits_and_leaves(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            topic, group = self.create_topic(), unique("group")
            self.produce(topic, [{"value": str(i)} for i in range(5)])
            child = self.start("kafka", "consume", topic, "--group", group, "--from-beginning")
            self.assertEqual(len([child.stdout.readline() for _ in range(5)]), 5)
            code, out, err = self.end(child, number)
            self.assertEqual((code, out), (OK, ""), err)
            self.assertEqual(self.committed(group, topic), {(topic, 0): 5})
            self.assertEqual(self.lines("groups", group, "--json")[0]["members"], 0)

    def test_two_members_share_the_partitions(self):
        topic, group = self.create_topic(2), unique("group")
        children = [self.start("kafka", "consume", topic, "--group", group, "--from-beginning") for _ in range(2)]

        def is_shared():
            members = self.call("DescribeGroups", {"groups": [group]})["groups"][0]
            return members["groupState"] == "Stable" and len(members["members"]) == 2
        self.wait_until(is_shared, "two members")
        self.produce(topic, [{"value": str(i), "partition": i % 2} for i in range(10)])
        printed = [[json.loads(child.stdout.readline()) for _ in range(5)] for child in children]
        self.assertEqual({len({r["partition"] for r in records}) for records in printed}, {1})
        for child in children:
            self.assertEqual(self.end(child, signal.SIGTERM)[0], OK)
        self.assertEqual(self.committed(group, topic), {(topic, 0): 5, (topic, 1): 5})

    # --- transactions ---

    def transact(self, topic, values, commit):
        transactional_id = unique("transaction")
        producer = self.call("InitProducerId", {"transactionalId": transactional_id, "transactionTimeoutMs": 60000,
                                                "producerId": -1, "producerEpoch": -1}, "--version", "4")
        self.assertEqual(producer["errorCode"], 0, producer)
        who = {"producerId": producer["producerId"], "producerEpoch": producer["producerEpoch"]}
        added = self.call("AddPartitionsToTxn", {
            "v3AndBelowTransactionalId": transactional_id, "v3AndBelowProducerId": who["producerId"],
            "v3AndBelowProducerEpoch": who["producerEpoch"],
            "v3AndBelowTopics": [{"name": topic, "partitions": [0]}]}, "--version", "3")
        self.assertEqual(added["resultsByTopicV3AndBelow"][0]["resultsByPartition"][0]["partitionErrorCode"], 0)
        batch = transactional_batch(who["producerId"], who["producerEpoch"], 0, [v.encode() for v in values])
        produced = self.call("Produce", {"transactionalId": transactional_id, "acks": -1, "timeoutMs": 30000,
                                         "topicData": [{"name": topic, "partitionData": [
                                             {"index": 0, "records": text_of(batch)}]}]}, "--version", "9")
        self.assertEqual(produced["responses"][0]["partitionResponses"][0]["errorCode"], 0, produced)
        if commit is not None:
            ended = self.call("EndTxn", {"transactionalId": transactional_id, "committed": commit, **who},
                              "--version", "3")
            self.assertEqual(ended["errorCode"], 0, ended)
        return transactional_id, who

    def wait_for_committed(self, topic, values):
        """EndTxn is answered before its markers are in the log."""
        self.wait_until(lambda: values == [r["value"] for r in self.consume(
            topic, "--from-beginning", "-X", "isolation.level=read_committed")], f"{values} committed")

    def test_until_end_passes_markers_and_what_was_aborted(self):
        topic = self.create_topic()
        self.transact(topic, ["committed"], True)
        self.wait_for_committed(topic, ["committed"])
        self.transact(topic, ["aborted 1", "aborted 2"], False)
        self.assertEqual([r["value"] for r in self.consume(topic, "--from-beginning")],
                         ["committed", "aborted 1", "aborted 2"])
        got = self.consume(topic, "--from-beginning", "-X", "isolation.level=read_committed")
        self.assertEqual([(r["offset"], r["value"]) for r in got], [(0, "committed")])
        group = unique("group")
        got = self.consume(topic, "--from-beginning", "-X", "isolation.level=read_committed", "--group", group)
        self.assertEqual(len(got), 1)

    def test_until_end_stops_at_the_last_stable_offset(self):
        topic = self.create_topic()
        self.transact(topic, ["committed"], True)
        self.wait_for_committed(topic, ["committed"])
        transactional_id, who = self.transact(topic, ["open"], None)
        self.produce(topic, [{"value": "behind"}])
        got = self.consume(topic, "--from-beginning", "-X", "isolation.level=read_committed")
        self.assertEqual([r["value"] for r in got], ["committed"])
        self.assertEqual([r["value"] for r in self.consume(topic, "--from-beginning")],
                         ["committed", "open", "behind"])
        self.call("EndTxn", {"transactionalId": transactional_id, "committed": True, **who}, "--version", "3")
        self.wait_for_committed(topic, ["committed", "open", "behind"])

    # --- call ---

    def test_any_request_can_be_called(self):
        brokers = self.call("Metadata", {"topics": []})["brokers"]
        self.assertTrue(brokers)
        described = self.call("DescribeConfigs", {"resources": [
            {"resourceType": 4, "resourceName": str(brokers[0]["nodeId"]), "configurationKeys": None}]},
            "--broker", str(brokers[0]["nodeId"]))
        self.assertEqual(described["results"][0]["errorCode"], 0)
        self.assertEqual(self.call("ApiVersions")["errorCode"], 0)
        self.assertNotIn("clusterId", self.call("Metadata", {"topics": []}, "--version", "1"))

    def test_calls_that_can_not_be_made_are_errors(self):
        for words in (("Nope",), ("Metadata", "{"), ("Metadata", '{"nope": 1}'),
                      ("Metadata", "{}", "--version", "9999"), ("Metadata", "{}", "--broker", "9999")):
            out, err = self.run_program("kafka", "call", *words, "-X", "default.api.timeout.ms=3000", code=ERROR)
            self.assertEqual(out, "")
            self.assertTrue(err.startswith("officeflow: kafka call: "), err)

    # --- with Kafka's own tools ---

    def tool(self, *words, stdin=""):
        if not os.environ.get("KC_KAFKA_CTL"):
            self.skipTest("needs scripts/kafka run")
        done = subprocess.run([os.environ["KC_KAFKA_CTL"], "tool", *words], input=stdin.encode(),
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=120, check=False)
        if done.returncode == SKIP:
            self.skipTest("Kafka's own tools are not at hand")
        self.assertEqual(done.returncode, 0, done.stderr.decode())
        return done.stdout.decode()

    def test_what_kafkas_producer_writes_is_read(self):
        topic = self.create_topic(3)
        self.tool("console-producer", "--topic", topic, "--property", "parse.key=true", "--property",
                  "key.separator=:", stdin="".join(f"key-{i}:välue {i}\n" for i in range(100)))
        got = self.consume(topic, "--from-beginning")
        self.assertEqual(sorted((r["key"], r["value"]) for r in got),
                         sorted((f"key-{i}", f"välue {i}") for i in range(100)))
        # murmur2: the same key goes to the same partition whoever sends it
        self.produce(topic, [{"key": f"key-{i}", "value": "ours"} for i in range(100)])
        partitions = {}
        for record in self.consume(topic, "--from-beginning"):
            partitions.setdefault(record["key"], set()).add(record["partition"])
        self.assertEqual({len(found) for found in partitions.values()}, {1})

    def test_what_is_written_kafkas_consumer_reads(self):
        topic = self.create_topic(3)
        self.produce(topic, [{"key": f"key-{i}", "value": f"välue {i}", "headers": [["h", str(i)]]}
                             for i in range(100)])
        out = self.tool("console-consumer", "--topic", topic, "--from-beginning", "--max-messages", "100",
                        "--property", "print.key=true", "--property", "print.headers=true")
        lines = [line for line in out.splitlines() if not line.startswith("Option ")]
        self.assertEqual(sorted(lines), sorted(f"h:{i}\tkey-{i}\tvälue {i}" for i in range(100)))

    def test_mutated_requests_leave_the_broker_alive_and_every_answer_readable(self):
        for words in ((), ("--bytes",)):
            last = self.lines("kafka", "fuzz", "--rate", "500", "--count", "150", *words)[-1]
            self.assertEqual((last["sent"], last["findings"]), (150, 0))
            self.assertGreater(last["answered"], 150 // 3)


if __name__ == "__main__":
    need_broker()
    main()
