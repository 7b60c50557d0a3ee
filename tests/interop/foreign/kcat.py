#!/usr/bin/env python3
# SPDX-License-Identifier: LicenseRef-OfficeFlow
"""What kcat, so librdkafka, wants of a cluster: admin, produce, groups, transactions.

usage: kcat.py BOOTSTRAP STEM [PART...]

Topics, groups and transactional ids begin with STEM. A line for each part that went well (all, if none is named), at
last "done"; what goes wrong ends it with status 1.
"""
import contextlib
import json
import re
import signal
import subprocess
import sys
import tempfile
import time

import rdkafka

PARTITIONS = 4
LONGEST_SECONDS = 40  # that anything may take
CODECS = ("none", "gzip", "snappy", "lz4", "zstd")
READ_FROM_START = ("-o", "beginning", "-e", "-q", "-u", "-J")
QUICK_GROUP = ("-X", "auto.offset.reset=earliest", "-X", "heartbeat.interval.ms=200", "-X", "fetch.wait.max.ms=100",
               "-X", "auto.commit.interval.ms=200")


def check(good, what):
    if not good:
        raise AssertionError(what[:2000])


def await_(what, done):
    deadline = time.monotonic() + LONGEST_SECONDS
    while not done():
        check(time.monotonic() < deadline, f"{what}: not within {LONGEST_SECONDS} s")
        time.sleep(0.02)


def numbered(prefix, count):
    return [f"{prefix}{i}" for i in range(count)]


class Cluster:
    """Where the parts of the test send their commands."""

    def __init__(self, brokers, stem):
        self.brokers = brokers
        self.stem = stem
        self.admin = rdkafka.Admin(brokers)

    def words(self, *words):
        return ["kcat", "-b", self.brokers, *words]

    def run(self, *words, text=""):
        result = subprocess.run(self.words(*words), input=text.encode(), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                timeout=LONGEST_SECONDS, check=False)
        check(result.returncode == 0,
              f"kcat {' '.join(words)} ended with {result.returncode}: {result.stderr.decode(errors='replace')}")
        return result.stdout.decode()

    def metadata(self, topic):
        listed = json.loads(self.run("-L", "-J", "-t", topic))
        return listed["brokers"], listed["topics"][0]

    def await_topic(self, topic, count):
        """A topic that was created is known to every broker only a little later."""
        def is_there():
            brokers, listed = self.metadata(topic)
            known = {broker["id"] for broker in brokers}
            return len(listed["partitions"]) == count and all(each["leader"] in known for each in listed["partitions"])
        await_(f"{topic} is there", is_there)

    def create(self, name, partitions):
        topic = f"{self.stem}-{name}"
        self.admin.create(topic, partitions)
        self.await_topic(topic, partitions)
        return topic

    def send(self, topic, values, *options):
        """Value i goes to partition i % PARTITIONS."""
        for partition in range(PARTITIONS):
            self.run("-P", "-t", topic, "-p", str(partition), *options, text="".join(f"{v}\n" for v in values[partition::PARTITIONS]))

    def read(self, topic, *options):
        lines = self.run("-C", "-t", topic, *READ_FROM_START, "-X", "fetch.wait.max.ms=100", *options).splitlines()
        return [json.loads(line) for line in lines]

    def values(self, topic, isolation):
        return sorted(each["payload"] for each in self.read(topic, "-X", f"isolation.level={isolation}"))


# --- admin --------------------------------------------------------------------------------------------

def test_admin(cluster):
    topic = f"{cluster.stem}-admin"
    cluster.admin.create(topic, 2, retention_ms="7654321")
    cluster.await_topic(topic, 2)
    try:
        cluster.admin.create(topic, 2)
        check(False, "a second creation does not fail")
    except rdkafka.Failure as failure:
        check(failure.code == rdkafka.TOPIC_ALREADY_EXISTS, f"a second creation fails with {failure}")
    found = cluster.admin.topic_configs(topic)["retention.ms"]
    check(found == "7654321", f"retention.ms is {found}")
    cluster.admin.grow(topic, PARTITIONS)
    cluster.await_topic(topic, PARTITIONS)

    before = int(time.time() * 1000) - 1000
    cluster.send(topic, numbered("v", 40))
    for stamp, offset in ((-2, 0), (-1, 10), (before, 0)):  # earliest, latest, by time
        answer = cluster.run("-Q", "-t", f"{topic}:1:{stamp}").strip()
        check(answer == f"{topic} [1] offset {offset}", f"offset of {stamp}: {answer}")

    cluster.admin.delete(topic)
    await_(f"{topic} is gone", lambda: all(each["topic"] != topic for each in json.loads(cluster.run("-L", "-J"))["topics"]))


# --- produce ------------------------------------------------------------------------------------------

def produce_and_read(cluster, name, *options):
    topic = cluster.create(f"produce-{name}", 1)
    sent = [(f"key {i}", f"{'value ' * (i % 50)}{i}" if i % 7 else None) for i in range(300)]
    cluster.run("-P", "-t", topic, "-p", "0", "-K", ":", "-Z", "-H", "h=some header", *options,
                text="".join(f"{key}:{value or ''}\n" for key, value in sent))
    got = cluster.read(topic)
    check([(each["key"], each["payload"]) for each in got] == sent, f"{topic}: got {got}")
    check([each["offset"] for each in got] == list(range(300)), f"{topic}: offsets")
    check(all(each["headers"] == ["h", "some header"] for each in got), f"{topic}: headers")


def test_produce(cluster):
    for codec in CODECS:
        produce_and_read(cluster, codec, "-z", codec)
    produce_and_read(cluster, "leader", "-X", "acks=1", "-z", "lz4")
    produce_and_read(cluster, "idempotent", "-X", "enable.idempotence=true", "-z", "zstd")


# --- groups -------------------------------------------------------------------------------------------

REBALANCED = re.compile(r"^% Group \S+ rebalanced.*?(?:\): |: incremental )(assign|revoke)[^:]*: (?:\d.*?\): )?(.*)$")


class Member:
    """One kcat in a group. What it has is told on its standard error, what it got on its standard output."""

    def __init__(self, cluster, topic, group, strategy):
        self.out = tempfile.TemporaryFile()
        self.err = tempfile.TemporaryFile()
        self.process = subprocess.Popen(
            cluster.words("-G", group, *QUICK_GROUP, "-X", f"partition.assignment.strategy={strategy}", "-u", topic),
            stdin=subprocess.DEVNULL, stdout=self.out, stderr=self.err)

    @staticmethod
    def lines(file):
        """Whole ones only: kcat may be at one."""
        file.seek(0)
        return file.read().decode().split("\n")[:-1]

    def values(self):
        return self.lines(self.out)

    def partitions(self):
        check(self.process.poll() is None, f"kcat has ended: {self.lines(self.err)}")
        has = set()
        for line in self.lines(self.err):
            told = REBALANCED.match(line)
            if told:
                named = set(re.findall(r"\[(\d+)\]", told[2]))
                has = has | named if told[1] == "assign" else has - named
        return len(has)

    def leave(self):
        self.process.send_signal(signal.SIGINT)
        status = self.process.wait(LONGEST_SECONDS)
        check(status == 0, f"a member ended with {status}: {self.lines(self.err)}")

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.out.close()
        self.err.close()


def group(cluster, strategy):
    """A member alone, with a second one, and alone again; each record comes to one of them, once."""
    topic, name = cluster.create(strategy, PARTITIONS), f"{cluster.stem}-{strategy}"
    with contextlib.ExitStack() as stack:
        members = []

        def join():
            members.append(Member(cluster, topic, name, strategy))
            stack.callback(members[-1].close)
            return members[-1]

        def got():
            return sorted(value for member in members for value in member.values())

        cluster.send(topic, numbered("a", 40))
        first = join()
        await_(f"{name}: the first member has all", lambda: first.partitions() == 4 and len(got()) >= 40)
        second = join()
        await_(f"{name}: each member has half", lambda: first.partitions() == 2 and second.partitions() == 2)
        cluster.send(topic, numbered("b", 40))
        await_(f"{name}: both members read", lambda: len(got()) >= 80)
        second.leave()
        await_(f"{name}: the first member has all again", lambda: first.partitions() == 4)
        cluster.send(topic, numbered("c", 40))
        await_(f"{name}: the first member reads again", lambda: len(got()) >= 120)
        first.leave()
        cluster.send(topic, numbered("d", 40))
        third = join()
        await_(f"{name}: a third member goes on from what was committed", lambda: len(got()) >= 160)
        third.leave()
        wanted = sorted(value for prefix in "abcd" for value in numbered(prefix, 40))
        check(got() == wanted, f"{name}: got {got()}")


def test_groups(cluster):
    group(cluster, "range")
    group(cluster, "cooperative-sticky")


# --- transactions -------------------------------------------------------------------------------------

def abort(cluster, topic, settings, before):
    """kcat aborts when it is interrupted, once its read returns. It reads by blocks, so only part of its input is sent."""
    def aborted():
        return [value for value in cluster.values(topic, "read_uncommitted") if value.startswith("aborted-")]

    with subprocess.Popen(cluster.words(*settings), stdin=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        try:
            process.stdin.write("".join(f"{value}\n" for value in numbered("aborted-", 1000)).encode())
            process.stdin.flush()
            await_("an open transaction is read uncommitted", aborted)
            committed = cluster.values(topic, "read_committed")
            check(committed == before, f"read committed: {committed}")
            process.send_signal(signal.SIGINT)
            process.stdin.close()
            told = process.stderr.read().decode()
            check(process.wait(LONGEST_SECONDS) != 0 and "terminated" in told, f"an abort tells {told}")
        finally:
            process.kill()
    return aborted()


def test_transactions(cluster):
    topic = cluster.create("txn", PARTITIONS)
    settings = ("-P", "-t", topic, "-p", "1", "-X", f"transactional.id={cluster.stem}-txn", "-X", "linger.ms=0",
                "-X", "transaction.timeout.ms=20000")

    def send(prefix):
        cluster.run(*settings, text="".join(f"{value}\n" for value in numbered(prefix, 8)))

    send("committed-")
    aborted = abort(cluster, topic, settings, numbered("committed-", 8))
    send("again-")
    wanted = sorted(numbered("committed-", 8) + numbered("again-", 8))
    committed = cluster.values(topic, "read_committed")
    check(committed == wanted, f"read committed at last: {committed}")
    everything = cluster.values(topic, "read_uncommitted")
    check(everything == sorted(wanted + aborted), f"read uncommitted at last: {everything}")


# --- all ----------------------------------------------------------------------------------------------

def main():
    brokers, stem, *asked = sys.argv[1:]
    cluster = Cluster(brokers, stem)
    for name, part in (("admin", test_admin), ("produce", test_produce), ("groups", test_groups),
                       ("transactions", test_transactions)):
        if asked and name not in asked:
            continue
        begun = time.monotonic()
        part(cluster)
        print(f"{name} after {(time.monotonic() - begun) * 1000:.0f} ms", flush=True)
    cluster.admin.close()
    print("done")


if __name__ == "__main__":
    main()
