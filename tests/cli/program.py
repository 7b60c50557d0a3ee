# SPDX-License-Identifier: LicenseRef-OfficeFlow
"""Running the program and looking at what it says; what the tests of the command line share."""
import json
import os
import signal
import struct
import subprocess
import sys
import time
import unittest
import uuid

PROGRAM = os.environ.get("OFFICEFLOW") or "officeflow"
OK, ERROR, SOMETHING, PARTIAL = 0, 1, 2, 3
SKIP = 77
TIMEOUT = 120


def need_broker():
    """The tests end here, skipped, where no Kafka was started for them."""
    if not os.environ.get("KAFKA_BROKERS"):
        print("skipped: KAFKA_BROKERS is not set")
        sys.exit(SKIP)


def unique(stem):
    return f"{stem}-{uuid.uuid4().hex[:12]}"


def without_standstill(err):
    """Lines of standard error, but for what is told when nothing was acknowledged for some seconds."""
    return [line for line in err.splitlines() if line != "what is waited for:" and not line.startswith("  ")]


def environment(changes):
    values = {**os.environ, **changes}
    return {name: value for name, value in values.items() if value is not None}


class Case(unittest.TestCase):
    def run_program(self, *words, code=OK, stdin="", env=None, timeout=TIMEOUT):
        """Standard output and standard error as text; the exit code must be `code` (None: any)."""
        data = stdin if isinstance(stdin, bytes) else stdin.encode()
        done = subprocess.run([PROGRAM, *words], input=data, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              env=environment(env or {}), timeout=timeout, check=False)
        out, err = done.stdout.decode("utf-8"), done.stderr.decode("utf-8", "replace")
        if code is not None:
            self.assertEqual(done.returncode, code, f"{' '.join(words)}\n{out[-2000:]}\n{err[-4000:]}")
        self.code = done.returncode
        return out, err

    def lines(self, *words, **settings):
        """Standard output as a list of what its JSON lines say."""
        out, _ = self.run_program(*words, **settings)
        return [json.loads(line) for line in out.splitlines()]

    def call(self, api, request=None, *words):
        answer = self.lines("kafka", "call", api, *([json.dumps(request)] if request is not None else []), *words)
        self.assertEqual(len(answer), 1)
        return answer[0]

    def create_topic(self, partitions=1, stem="cli", configs=()):
        name = unique(stem)
        answer = self.call("CreateTopics", {"timeoutMs": 30000, "topics": [
            {"name": name, "numPartitions": partitions, "replicationFactor": 1,
             "configs": [{"name": key, "value": value} for key, value in configs]}]})
        self.assertEqual(answer["topics"][0]["errorCode"], 0, answer)
        self.addCleanup(self.call, "DeleteTopics", {"timeoutMs": 30000, "topics": [{"name": name}]})
        self.wait_for_leaders(name, partitions)
        return name

    def wait_for_leaders(self, topic, partitions):
        def is_there():
            found = self.call("Metadata", {"topics": [{"name": topic}]})["topics"][0]
            return len([p for p in found["partitions"] if p["leaderId"] >= 0]) == partitions
        self.wait_until(is_there, f"leaders of {topic}")

    def wait_until(self, condition, what, seconds=60):
        deadline = time.monotonic() + seconds
        while not condition():
            self.assertLess(time.monotonic(), deadline, f"waited in vain for {what}")
            time.sleep(0.05)

    def produce(self, topic, records, **settings):
        return self.run_program("kafka", "produce", topic, stdin="".join(json.dumps(r) + "\n" for r in records),
                                **settings)

    def consume(self, topic, *words, **settings):
        return self.lines("kafka", "consume", topic, "--until-end", *words, **settings)

    def start(self, *words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, env=None):
        """A program that runs beside the test, ended with it."""
        child = subprocess.Popen([PROGRAM, *words], stdin=stdin, stdout=stdout, stderr=subprocess.PIPE,
                                 env=environment(env or {}))
        self.addCleanup(self.end, child)
        return child

    def end(self, child, number=signal.SIGKILL):
        """Exit code, what is left of standard output, standard error."""
        if child.poll() is None:
            child.send_signal(number)
        if child.stdin:
            child.stdin.close()
        code = child.wait(TIMEOUT)
        rest = [stream.read().decode("utf-8", "replace") if stream and not stream.closed else ""
                for stream in (child.stdout, child.stderr)]
        for stream in (child.stdout, child.stderr):
            if stream:
                stream.close()
        return code, *rest


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def varint(number):
    number = (number << 1) ^ (number >> 63)
    out = b""
    while True:
        byte, number = number & 0x7F, number >> 7
        out += bytes([byte | (0x80 if number else 0)])
        if not number:
            return out


def transactional_batch(producer_id, epoch, sequence, values):
    """A record batch of magic 2 as a transactional producer writes it."""
    records = b""
    for i, value in enumerate(values):
        body = b"\0" + varint(0) + varint(i) + varint(-1) + varint(len(value)) + value + varint(0)
        records += varint(len(body)) + body
    now = int(time.time() * 1000)
    tail = struct.pack(">hiqqqhii", 0x10, len(values) - 1, now, now, producer_id, epoch, sequence,
                       len(values)) + records
    after_length = struct.pack(">ib", 0, 2) + struct.pack(">I", crc32c(tail)) + tail
    return struct.pack(">qi", 0, len(after_length)) + after_length


def main():
    result = unittest.main(argv=[sys.argv[0], *sys.argv[1:]], verbosity=2, exit=False).result
    for _, why in result.skipped:
        print(f"skipped: {why}")
    sys.exit(1 if not result.wasSuccessful() else SKIP if len(result.skipped) == result.testsRun else 0)
