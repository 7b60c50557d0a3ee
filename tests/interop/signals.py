#!/usr/bin/env python3
# SPDX-License-Identifier: LicenseRef-OfficeFlow
"""SIGTERM and SIGINT end `officeflow kafka produce` and `consume` in order and soon, whatever they wait for; a second
one ends them at once."""
import contextlib
import signal
import subprocess
import threading
import time

import faults
import interop
from interop import Failure, say

SOON = 6        # seconds for an end in order, on a machine with other things to do
LEAVE = 35      # the same where a broker is waited for that does not answer: a commit and the leaving, 10 s each
READY = 30
COUNT = 1000


class Program:
    """A program to be signalled. Its output is read all the time, and kept."""

    def __init__(self, title, process):
        self.title = title
        self.process = process
        self.lines = []
        self.reader = None

    def read(self):
        self.reader = threading.Thread(target=lambda: self.lines.extend(iter(self.process.stdout.readline, b"")))
        self.reader.start()

    def wait_until(self, condition, what):
        deadline = time.monotonic() + READY
        while not condition():
            if (self.process.poll() is not None and not condition()) or time.monotonic() > deadline:
                raise Failure(f"{self.title}: not within {READY} s: {what} (status {self.process.poll()})")
            time.sleep(0.02)

    def end(self, number, seconds):
        """Signals, and waits for the end: its exit status."""
        begun = time.monotonic()
        self.process.send_signal(number)
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise Failure(f"{self.title}: did not end within {seconds} s of {number.name}") from None
        took = time.monotonic() - begun
        if self.reader:
            self.reader.join()
        say(f"{self.title}: ended {took:.2f} s after {number.name} with {self.process.returncode}")
        return self.process.returncode

    def expect(self, number, statuses, seconds=SOON):
        status = self.end(number, seconds)
        if status not in statuses:
            raise Failure(f"{self.title}: ended with {status}, not one of {statuses}")


@contextlib.contextmanager
def program(world, title, *words, brokers=None, **settings):
    settings.setdefault("stdout", subprocess.PIPE)
    with interop.started(world.command("kafka", *words, brokers=brokers), **settings) as process:
        yield Program(title, process)
        if process.poll() is None:
            process.kill()


def consume_alone(world, topic):
    """All that came is printed, though nothing ends it but the signal."""
    with program(world, "consume", "consume", topic, "--from-beginning") as consumer:
        consumer.read()
        consumer.wait_until(lambda: len(consumer.lines) == COUNT, "all records")
        consumer.expect(signal.SIGTERM, [0])


def consume_in_group(world, topic):
    """What was printed is committed and the group is left: the next member begins behind it, and at once."""
    words = ("consume", topic, "--from-beginning", "--group", topic)
    with program(world, "consume --group", *words) as consumer:
        consumer.read()
        consumer.wait_until(lambda: len(consumer.lines) == COUNT, "all records")
        consumer.expect(signal.SIGINT, [0])
    begun = time.monotonic()
    again = world.expect(world.command("kafka", *words, "--until-end")).stdout
    if again:
        raise Failure(f"consume --group: {again.count(b'%c' % 10)} records were not committed")
    if time.monotonic() - begun > 20:
        raise Failure("consume --group: the group was not left")


def produce_open_input(world, topic):
    """What was read is sent, and how much that is, is said."""
    with program(world, "produce", "produce", topic, stdin=subprocess.PIPE, stderr=subprocess.PIPE) as producer:
        producer.process.stdin.write(b"".join(b'{"value":"%d"}\n' % i for i in range(COUNT)))
        producer.process.stdin.flush()
        producer.wait_until(lambda: count_of(world, topic) == COUNT, "all records")
        producer.expect(signal.SIGTERM, [1])
        errors = producer.process.stderr.read().decode()
        if f"{COUNT} records sent" not in errors:
            raise Failure(f"produce says {errors}")


def count_of(world, topic):
    return world.expect(world.command("kafka", "consume", topic, "--from-beginning", "--until-end")).stdout.count(b"\n")


def produce_to_nobody(world, server, number, is_twice):
    """Records wait for a server that never answers: till their timeout, or till the second signal."""
    title = f"produce, silent server{', twice' if is_twice else ''}"
    options = () if is_twice else faults.QUICK
    with program(world, title, "produce", "t", *options, brokers=server.address, stdin=subprocess.PIPE,
                 stderr=subprocess.PIPE) as producer:
        producer.process.stdin.write(faults.RECORDS)
        producer.process.stdin.close()
        time.sleep(1)
        if is_twice:
            producer.process.send_signal(number)
            time.sleep(0.5)
        if producer.process.poll() is None:
            producer.expect(number, [1, 3, -number])


def consume_from_nobody(world, server, number, *options):
    with program(world, ' '.join(["consume", *options[:1]]) + ", silent server", "consume", "t", *options,
                 brokers=server.address) as consumer:
        time.sleep(1)
        consumer.expect(number, [0, 1, -number])


class Stalling(faults.Proxy):
    """Before a real broker; from one moment on no answer goes through."""

    def __init__(self, upstream):
        super().__init__(upstream, self.stall, 0)
        self.is_stalled = False

    def stall(self, answer, _count, _chance):
        while self.is_stalled:
            time.sleep(0.1)
        return answer


def consume_stalled(world, topic, is_twice):
    """The broker says nothing any more: the commit and the leaving have their limits. The second signal has none."""
    server = Stalling(world.brokers)
    title = f"consume --group, stalled{', twice' if is_twice else ''}"
    with contextlib.closing(server), program(world, title, "consume", topic, "--from-beginning", "--group",
                                             f"{topic}-stalled-{is_twice}", brokers=server.address) as consumer:
        consumer.read()
        consumer.wait_until(lambda: len(consumer.lines) == COUNT, "all records")
        server.is_stalled = True
        if is_twice:
            consumer.process.send_signal(signal.SIGTERM)
            time.sleep(0.5)
            if consumer.process.poll() is None:
                consumer.expect(signal.SIGTERM, [-signal.SIGTERM])
        else:
            consumer.expect(signal.SIGTERM, [0, 1], LEAVE)
        server.is_stalled = False


def consume_to_full_pipe(world, topic):
    """Nobody takes the output: the first signal may wait for that, the second does not."""
    with program(world, "consume, output full", "consume", topic, "--from-beginning") as consumer:
        time.sleep(1)
        consumer.process.send_signal(signal.SIGTERM)
        time.sleep(0.5)
        if consumer.process.poll() is None:
            consumer.expect(signal.SIGTERM, [0, 1, -signal.SIGTERM])


def consume_to_closed_pipe(world, topic):
    """As behind `| head -1`: no signal is needed."""
    with program(world, "consume, output closed", "consume", topic, "--from-beginning") as consumer:
        consumer.process.stdout.readline()
        consumer.process.stdout.close()
        consumer.wait_until(lambda: consumer.process.poll() is not None, "its end")


def body(world):
    topic = world.create_topic("signals")
    world.expect(world.command("kafka", "produce", topic), stdin=None,
                 input=b"".join(b'{"value":"%d %s"}\n' % (i, b"x" * 200) for i in range(COUNT)))
    empty = world.create_topic("signals-produce")
    with contextlib.closing(faults.Server(faults.until_gone)) as silent:
        jobs = [lambda: consume_stalled(world, topic, False), lambda: consume_stalled(world, topic, True),
                lambda: consume_alone(world, topic), lambda: consume_in_group(world, topic),
                lambda: produce_open_input(world, empty), lambda: consume_to_full_pipe(world, topic),
                lambda: consume_to_closed_pipe(world, topic)]
        for number in (signal.SIGTERM, signal.SIGINT):
            jobs += [lambda number=number, is_twice=is_twice: produce_to_nobody(world, silent, number, is_twice)
                     for is_twice in (False, True)]
            jobs += [lambda number=number, options=options: consume_from_nobody(world, silent, number, *options)
                     for options in ((), ("--group", "g"))]
        faults.all_at_once("signals", jobs)


if __name__ == "__main__":
    interop.main(__doc__, body)
