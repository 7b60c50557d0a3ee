#!/usr/bin/env python3
# SPDX-License-Identifier: LicenseRef-OfficeFlow
"""A broker is killed in the middle of a million sends and started again: all are acknowledged in the end, what was
acknowledged is in the log, and in order. Then it is killed, and a reader too, in the middle of reading in a group that
commits by itself: no record is skipped."""
import contextlib
import os
import re
import subprocess
import time

import interop
from interop import Failure, say

PARTITIONS = 4
MIDDLE = (0.1, 0.9)  # where a kill has to fall to prove anything
SESSION_MS = 12000   # of a reader: longer than the broker is away


class Broker:
    """A Kafka of this test's own."""

    def __init__(self, world):
        self.world = world
        self.folder = world.path("kafka")

    def control(self, name, *words):
        return self.world.expect(self.world.kafka(name, "--dir", self.folder, *words)).stdout.decode()

    def start(self):
        return self.control("start").strip()

    def stop(self):
        self.world.run(self.world.kafka("stop", "--dir", self.folder))

    def process(self):
        return int(re.search(r"pid (\d+)", self.control("status"))[1])

    def kill(self, process):
        """At once, then until it is gone."""
        os.kill(process, 9)
        self.control("kill", "-9", "1")

    def restart(self):
        self.control("restart", "1")


def lines_in(path):
    try:
        with open(path, "rb") as file:
            return file.read().count(b"\n")
    except FileNotFoundError:
        return 0


def wait_until(condition, process, seconds, what):
    deadline = time.monotonic() + seconds
    while not condition():
        if process.poll() is not None:
            raise Failure(f"the program ended with {process.returncode} before {what}")
        if time.monotonic() > deadline:
            raise Failure(f"not within {seconds} s: {what}")
        time.sleep(0.005)


def numbers(path):
    with open(path, encoding="ascii") as file:
        return [int(line) for line in file if line.endswith("\n")]


def check_middle(done, count, what):
    share = done / count
    say(f"the broker was killed when {done} of {count} records were {what}")
    if not MIDDLE[0] < share < MIDDLE[1]:
        raise Failure(f"the kill fell not in the middle: {share:.0%} were {what}")


# --- sending ------------------------------------------------------------------------------------------

def send_and_kill(world, broker, brokers, topic):
    """The numbers acknowledged."""
    count, path = world.options.count, world.path("acknowledged")
    process = broker.process()
    words = [world.options.send_many, brokers, topic, str(count), path, "delivery.timeout.ms=120000"]
    with interop.started(words, stdout=subprocess.PIPE) as sender:
        wait_until(lambda: lines_in(path) >= count * world.options.share, sender, 100, "enough is acknowledged")
        broker.kill(process)
        check_middle(lines_in(path), count, "acknowledged")
        broker.restart()
        say("it is back")
        output = sender.communicate(timeout=150)[0].decode().strip()
    say(f"send_many: {output}")
    acknowledged = numbers(path)
    if sender.returncode or len(acknowledged) != count or set(acknowledged) != set(range(count)):
        raise Failure(f"{len(set(acknowledged))} of {count} were acknowledged, "
                      f"{len(acknowledged)} times together; send_many ended with {sender.returncode}")
    return acknowledged


def read_log(world, brokers, topic):
    """Numbers per partition in the order of the log."""
    partitions = [[] for _ in range(PARTITIONS)]
    pattern = re.compile(rb'"partition":(\d+),.*"value":"(\d+) of many')
    words = world.command("kafka", "consume", topic, "--from-beginning", "--until-end", brokers=brokers)
    with interop.started(words, stdout=subprocess.PIPE) as consumer:
        for line in consumer.stdout:
            partition, number = pattern.search(line).groups()
            partitions[int(partition)].append(int(number))
    if consumer.returncode:
        raise Failure(f"kafka consume ended with {consumer.returncode}")
    return partitions


def check_log(partitions, acknowledged):
    """Duplicates are allowed, as nothing is idempotent: batches sent again."""
    found = set()
    for partition, log in enumerate(partitions):
        last = -1
        for number in log:
            if number not in found:
                if number < last:
                    raise Failure(f"partition {partition}: {number} stands behind {last}")
                last = number
                found.add(number)
    lost = set(acknowledged) - found
    if lost:
        raise Failure(f"{len(lost)} acknowledged records are not in the log, the first is {min(lost)}")
    total = sum(map(len, partitions))
    say(f"all {len(found)} acknowledged records are in the log, in order; {total - len(found)} duplicates")


# --- reading ------------------------------------------------------------------------------------------

def reader(world, brokers, topic, path):
    """About seven seconds long, with commits all the time."""
    words = [world.options.read_many, brokers, topic, "readers", path, str(world.options.count // 7),
             "auto.commit.interval.ms=200", f"session.timeout.ms={SESSION_MS}", "heartbeat.interval.ms=1000"]
    return interop.started(words, stdout=subprocess.PIPE)


def read_and_kill(world, broker, brokers, topic):
    count, paths = world.options.count, [world.path("read-1"), world.path("read-2")]
    process = broker.process()
    with reader(world, brokers, topic, paths[0]) as first:
        wait_until(lambda: lines_in(paths[0]) >= count * world.options.share, first, 60, "enough is read")
        broker.kill(process)
        check_middle(lines_in(paths[0]), count, "read")
        broker.restart()
        say("it is back")
        before = lines_in(paths[0])
        wait_until(lambda: lines_in(paths[0]) >= before + count * 0.1, first, 60, "another 10 % are read")
        first.kill()
    say("the reader was killed too, another one takes over")
    begun = numbers(paths[0])
    missing = set(range(count)) - set(begun)
    with reader(world, brokers, topic, paths[1]) as second:
        wait_until(lambda: lines_in(paths[1]) >= len(missing) and missing <= set(numbers(paths[1])), second, 100,
                   "everything was read once")
        second.terminate()
        output = second.communicate(timeout=30)[0].decode().strip()
    again = numbers(paths[1])
    say(f"read_many: {output}")
    say(f"no record was skipped; {len(begun) + len(again) - count} were read again")
    if second.returncode:
        raise Failure(f"read_many ended with {second.returncode}")
    if len(again) >= count:
        raise Failure("the second reader began at the beginning: nothing was committed")


def body(world):
    broker = Broker(world)
    with contextlib.ExitStack() as stack:
        stack.callback(broker.stop)
        brokers = broker.start()
        topic = world.create_topic("many", PARTITIONS, brokers=brokers)
        acknowledged = send_and_kill(world, broker, brokers, topic)
        check_log(read_log(world, brokers, topic), acknowledged)
        read_and_kill(world, broker, brokers, topic)


if __name__ == "__main__":
    interop.main(__doc__, body, needs=("KC_KAFKA_CTL",), extra=(
        ("--send-many", {"required": True, "metavar": "PROGRAM"}),
        ("--read-many", {"required": True, "metavar": "PROGRAM"}), ("--count", {"type": int, "default": 1000000}),
        ("--share", {"type": float, "default": 0.3, "help": "of the records, when the broker is killed"})))
