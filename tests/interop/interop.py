# SPDX-License-Identifier: LicenseRef-OfficeFlow
"""What the drivers share: programs, a topic of one's own, records of every kind, and the comparison of what came."""
import argparse
import base64
import contextlib
import glob
import json
import os
import random
import re
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time

SKIP = 77  # CTest's SKIP_RETURN_CODE
HERE = os.path.dirname(os.path.abspath(__file__))
CODECS = ("none", "gzip", "snappy", "lz4", "zstd")
COMMAND_SECONDS = 150  # longest that any one program may take


class Failure(Exception):
    """Ends the test with its text."""


def say(text):
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)


def skip(why):
    print(f"skipped: {why}")
    sys.exit(SKIP)


def is_sanitizer_report(errors):
    return re.search(r"Sanitizer|runtime error:", errors) is not None


class World:
    """The programs under test, Kafka's own, and a folder that goes away."""

    def __init__(self, options, folder):
        self.options = options
        self.folder = folder
        self.officeflow = options.officeflow
        self.brokers = os.environ.get("KAFKA_BROKERS", "")

    def path(self, name):
        return os.path.join(self.folder, name)

    def command(self, *words, brokers=None):
        return [self.officeflow, *words, "-b", brokers or self.brokers]

    def run(self, words, seconds=COMMAND_SECONDS, **settings):
        """Runs a program to its end. Too long, and signals such as those of sanitizers, are failures."""
        settings.setdefault("stdin", subprocess.DEVNULL)
        settings.setdefault("stdout", subprocess.PIPE)
        settings.setdefault("stderr", subprocess.PIPE)
        try:
            result = subprocess.run(words, timeout=seconds, check=False, **settings)
        except subprocess.TimeoutExpired:
            raise Failure(f"{' '.join(words[:8])} ... did not end within {seconds} s") from None
        errors = (result.stderr or b"").decode(errors="replace")
        if result.returncode < 0 or is_sanitizer_report(errors):
            raise Failure(f"{' '.join(words[:8])} ... crashed ({result.returncode}):\n{errors[-4000:]}")
        return result

    def expect(self, words, status=0, **settings):
        result = self.run(words, **settings)
        if result.returncode == SKIP and words[0] == os.environ.get("KC_KAFKA_CTL"):
            skip("Kafka's own tools are not at hand")
        if result.returncode != status:
            raise Failure(f"{' '.join(words[:8])} ... ended with {result.returncode}, not {status}:\n"
                          + (result.stderr or b"").decode(errors="replace")[-2000:])
        return result

    def call(self, api, request, **settings):
        result = self.expect(self.command("kafka", "call", api, json.dumps(request), **settings))
        return json.loads(result.stdout)

    def create_topic(self, stem, partitions=3, brokers=None, **configs):
        """Its name is nobody else's. Records of any age stay."""
        name = f"{stem}-{os.getpid()}-{time.time_ns() % 10 ** 12}"
        configs = {"retention.ms": "-1", **{k.replace("_", "."): v for k, v in configs.items()}}
        answer = self.call("CreateTopics", {
            "topics": [{"name": name, "numPartitions": partitions, "replicationFactor": 1, "assignments": [],
                        "configs": [{"name": k, "value": v} for k, v in configs.items()]}],
            "timeoutMs": 30000, "validateOnly": False}, brokers=brokers)
        if answer["topics"][0]["errorCode"] != 0:
            raise Failure(f"could not create {name}: {answer}")
        return name

    def kafka(self, *words):
        return [os.environ["KC_KAFKA_CTL"], *words]

    @staticmethod
    def property_option(name):
        """Of the console tools: --formatter-property and the like were called --property before 4.2 (KIP-1147)."""
        version = tuple(map(int, os.environ.get("KAFKA_VERSION", "4.2").split(".")[:2]))
        return f"--{name}-property" if version >= (4, 2) else "--property"

    def java(self, source, *words):
        """A program of one source file, run by its name, with Kafka's jars."""
        home = os.environ.get("JAVA_HOME")
        program = os.path.join(home, "bin", "java") if home else shutil.which("java")
        jars = os.environ.get("KC_KAFKA_JARS")
        if not program or not jars:
            skip("no Java, or KC_KAFKA_JARS is not set")
        path = ":".join(jar for part in ("kafka-clients", "slf4j", "lz4", "snappy", "zstd", "jackson")
                        for jar in glob.glob(os.path.join(jars, f"{part}*.jar")))
        return [program, "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData",
                "-Djava.net.preferIPv4Stack=true", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
                "-cp", path, os.path.join(HERE, source), *words]


def main(description, body, needs=("KAFKA_BROKERS", "KC_KAFKA_CTL"), extra=()):
    """Runs body(world) and ends with its verdict."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--officeflow", required=True, metavar="PROGRAM")
    for name, settings in extra:
        parser.add_argument(name, **settings)
    options = parser.parse_args()
    for name in needs:
        if not os.environ.get(name):
            skip(f"{name} is not set")

    def end(number, _frame):
        raise SystemExit(128 + number)

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, end)
    folder = tempfile.mkdtemp(prefix="officeflow-interop-")
    try:
        body(World(options, folder))
    except Failure as failure:
        print(f"FAILED: {failure}", flush=True)
        sys.exit(1)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def started(words, **settings):
    """A program in the background, killed at the latest when the block ends."""
    with subprocess.Popen(words, **settings) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()


# --- records ------------------------------------------------------------------------------------------

class Record:
    """partition, timestamp: None where the client may choose. headers: (name, bytes or None) pairs."""
    __slots__ = ("partition", "timestamp", "key", "value", "headers")

    def __init__(self, partition, timestamp, key, value, headers):
        self.partition = partition
        self.timestamp = timestamp
        self.key = key
        self.value = value
        self.headers = headers


TEXTS = ["", "plain", "Grüße aus Köln", "日本語のテキスト", "\U0001f600 emoji \U0001f469\u200d\U0001f4bb", "\0nul\0",
         "\u2028\u2029", "tab\tand\nnew\r\nline", "\"quoted\" \\back\\slash/", "\x01\x1f\x7f\x80", "\uffff\U0010ffff",
         "{\"json\":[1,null]}", "e\u0301", "-", "null", "NULL", "שלום", "a" * 200, "\ud7ff\ue000", "\ufeffbom"]
NAMES = ["trace", "trace", "x", "", "content-type", "Schlüssel", "ключ", "a:b,c", "\U0001f511", "n" * 100]


def random_bytes(chance, limit):
    kind = chance.random()
    if kind < 0.1:
        return None
    if kind < 0.2:
        return b""
    if kind < 0.45:
        return chance.randbytes(chance.randrange(1, limit))
    return (chance.choice(TEXTS) + str(chance.randrange(10 ** 6))).encode() * chance.randrange(1, 4)


def random_headers(chance):
    if chance.random() < 0.4:
        return []
    return [(chance.choice(NAMES), random_bytes(chance, 40)) for _ in range(chance.randrange(1, 6))]


def make_records(count, partitions, seed=1):
    """Records of every kind. Each has a timestamp of its own, or none and a key of its own, to be known by."""
    chance = random.Random(seed)
    base = int(time.time() * 1000) - 86400000
    records = []
    for i in range(count):
        timestamp = base + (i ^ 255) * 7  # neither rising nor falling
        if i % 997 == 0:
            timestamp = i  # a delta of decades
        partition = chance.randrange(partitions) if chance.random() < 0.3 else None
        key, value = random_bytes(chance, 60), random_bytes(chance, 200)
        headers = random_headers(chance)
        if i % 101 == 0:
            timestamp, key = None, b"untimed %d" % i
        if i % 5000 == 1234:
            value = chance.randbytes(chance.randrange(1, 300000)) if i % 2 else b"very compressible " * 20000
        if i % 20000 == 777:
            headers = [(f"h{n}", b"%d" % n) for n in range(1000)]
        records.append(Record(partition, timestamp, key, value, headers))
    return records


def is_text(value):
    try:
        value.decode()
        return True
    except UnicodeDecodeError:
        return False


def to_json(record, chance):
    """A line of `officeflow kafka produce`; text as text or, now and then, as base64."""
    line = {}
    for name, value in (("key", record.key), ("value", record.value)):
        if value is None:
            if name == "value" or chance.random() < 0.5:
                line[name] = None
        elif chance.random() < 0.2 or not is_text(value):
            line[name + "64"] = base64.b64encode(value).decode()
        else:
            line[name] = value.decode()
    if record.headers or chance.random() < 0.1:
        line["headers"] = [[name, value if value is None else
                            value.decode() if chance.random() < 0.8 and is_text(value) else
                            {"b64": base64.b64encode(value).decode()}] for name, value in record.headers]
    if record.partition is not None:
        line["partition"] = record.partition
    if record.timestamp is not None:
        line["timestamp"] = record.timestamp
    return json.dumps(line, ensure_ascii=chance.random() < 0.5)


class Comparison:
    """What was read, record by record, against what was sent: each once, in order in its partition, nothing changed."""

    PROBLEMS_MAX = 10

    def __init__(self, title, sent, begun):
        self.title = title
        self.sent = sent
        self.begun_ms = int(begun * 1000)
        self.by_timestamp = {record.timestamp: i for i, record in enumerate(sent) if record.timestamp is not None}
        self.by_content = {(record.key, record.value): i for i, record in enumerate(sent) if record.timestamp is None}
        self.next_offset = {}
        self.last_index = {}
        self.seen = bytearray(len(sent))
        self.count = 0
        self.problems = 0

    def problem(self, text):
        self.problems += 1
        if self.problems <= self.PROBLEMS_MAX:
            say(f"{self.title}: {text[:500]}")

    def index_of(self, timestamp, key, value):
        i = self.by_timestamp.get(timestamp)
        return i if i is not None else self.by_content.get((key, value))

    def see(self, partition, offset, timestamp, key, value, headers, by_key=None):
        self.count += 1
        where = f"partition {partition}, offset {offset}"
        if offset != self.next_offset.get(partition, 0):
            self.problem(f"{where}: expected offset {self.next_offset.get(partition, 0)}")
        self.next_offset[partition] = offset + 1
        i = self.index_of(timestamp, key, value)
        if i is None:
            self.problem(f"{where}: was never sent: {timestamp} {key!r} {value!r}")
            return
        if self.seen[i]:
            self.problem(f"{where}: record {i} is there twice")
        self.seen[i] = 1
        if i < self.last_index.get(partition, -1):
            self.problem(f"{where}: record {i} stands behind record {self.last_index[partition]}")
        self.last_index[partition] = i
        self.compare(where, i, (partition, timestamp, key, value, headers), by_key)

    def compare(self, where, i, got, by_key):
        sent = self.sent[i]
        partition, timestamp, key, value, headers = got
        if key != sent.key or value != sent.value or headers != sent.headers:
            self.problem(f"{where}: record {i} is {got}, not {(sent.key, sent.value, sent.headers)}")
        if sent.timestamp is None and not self.begun_ms <= timestamp <= time.time() * 1000:
            self.problem(f"{where}: record {i} has timestamp {timestamp}, not the time of its send")
        wanted = sent.partition if sent.partition is not None else by_key
        if wanted is not None and wanted >= 0 and partition != wanted:
            self.problem(f"{where}: record {i} belongs to partition {wanted}")

    def finish(self):
        missing = len(self.sent) - sum(self.seen)
        if missing:
            self.problem(f"{missing} records are missing, the first is number {self.seen.index(0)}")
        if self.problems:
            raise Failure(f"{self.title}: {self.problems} problems in {self.count} records")
        say(f"{self.title}: {self.count} records are identical")


def check_compression(world, topic, codec):
    """The batches in the log have the compression asked for; a client may leave it out where it gains nothing."""
    answer = world.call("Fetch", {
        "replicaId": -1, "maxWaitMs": 100, "minBytes": 1, "maxBytes": 1 << 20, "isolationLevel": 0, "sessionId": 0,
        "sessionEpoch": -1, "forgottenTopicsData": [], "rackId": "", "topics": [{
            "topic": topic, "partitions": [{
                "partition": 0, "currentLeaderEpoch": -1, "fetchOffset": 0, "lastFetchedEpoch": -1,
                "logStartOffset": -1, "partitionMaxBytes": 1 << 20}]}]})
    data = base64.b64decode(answer["responses"][0]["partitions"][0]["records"])
    found = []
    while len(data) >= 61:  # the header of a batch: base offset, length, epoch, magic, checksum, attributes
        size, attributes = struct.unpack_from(">8xi9xh", data)
        found.append(CODECS[attributes & 7])
        data = data[12 + size:]
    if found.count(codec) * 2 <= len(found):
        raise Failure(f"{topic}: batches are {found}")


def unbase64(text):
    return None if text is None else base64.b64decode(text)


def field(line, name):
    """key and key64 of what `officeflow kafka consume` prints; base64 exactly where the bytes are no text."""
    if name in line:
        return None if line[name] is None else line[name].encode()
    value = base64.b64decode(line[name + "64"], validate=True)
    if is_text(value):
        raise Failure(f"{name}64 where {name} would do: {line}")
    return value


def header_value(value):
    if isinstance(value, dict):
        return field({"value64": value["b64"]}, "value")
    return None if value is None else value.encode()


def see_consumed(comparison, line):
    """Hands a line of `officeflow kafka consume` to the comparison."""
    record = json.loads(line)
    comparison.see(record["partition"], record["offset"], record["timestamp"], field(record, "key"),
                   field(record, "value"), [(name, header_value(value)) for name, value in record["headers"]])
    return record


def see_dumped(comparison, record):
    """The same for a line of Dump.java."""
    comparison.see(record["p"], record["o"], record["ts"], unbase64(record["k"]), unbase64(record["v"]),
                   [(base64.b64decode(name).decode(), unbase64(value)) for name, value in record["h"]],
                   record["kp"])
