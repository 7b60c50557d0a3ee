#!/usr/bin/env python3
# SPDX-License-Identifier: LicenseRef-OfficeFlow
"""What Kafka's own producers send, the ConsoleProducer and a Java program, `officeflow kafka consume` reads
identically, whichever way it fetches."""
import base64
import json
import random
import subprocess
import time

import interop
from interop import Failure, Record, say

PARTITIONS = 3
NULL = "~null~"
SMALL_FETCHES = ("-X", "fetch.max.bytes=70000", "-X", "max.partition.fetch.bytes=5000")


def console_text(chance):
    """Of one line, and without the tabs, commas and colons that LineMessageReader takes for its own."""
    text = chance.choice(interop.TEXTS)
    return text.translate(dict.fromkeys(map(ord, "\t\r\n,:"))) if chance.random() < 0.9 else ""


def make_console_records(count, seed=3):
    """Records that a line of text can hold. Key and value together are nobody else's."""
    chance = random.Random(seed)
    records = []
    for i in range(count):
        pair = [b"%d " % i + console_text(chance).encode(), chance.choice([None, b"", console_text(chance).encode()])]
        if chance.random() < 0.5:
            pair.reverse()
        headers = [(f"h{chance.randrange(3)}", chance.choice([None, b"", console_text(chance).encode()]))
                   for _ in range(chance.choice([0, 0, 1, 3]))]
        records.append(Record(None, None, pair[0], pair[1], headers))
    return records


def console_line(record):
    def text(value):
        return NULL if value is None else value.decode()

    headers = ",".join(f"{name}:{text(value)}" for name, value in record.headers) or NULL
    return f"{headers}\t{text(record.key)}\t{text(record.value)}\n"


def fill_line(record):
    def base(value):
        return "-" if value is None else base64.b64encode(value).decode()

    fields = ["-" if value is None else str(value) for value in (record.partition, record.timestamp)]
    fields += [base(record.key), base(record.value)]
    for name, value in record.headers:
        fields += [base(name.encode()), base(value)]
    return "\t".join(fields) + "\n"


def console_produce(world, codec, source, topic):
    with open(source, "rb") as lines:
        words = world.kafka("tool", "console-producer", "--topic", topic, "--compression-codec", codec,
                            "--timeout", "20")
        for pair in ("parse.key=true", "parse.headers=true", f"null.marker={NULL}"):
            words += [world.property_option("reader"), pair]
        world.expect(words, stdin=lines)


def consume(world, topic, records, begun, *options):
    comparison = interop.Comparison(f"{topic} {' '.join(options)}", records, begun)
    words = world.command("kafka", "consume", topic, "--from-beginning", "--until-end", *options)
    with interop.started(words, stdout=subprocess.PIPE) as consumer:
        for line in consumer.stdout:
            record = interop.see_consumed(comparison, line)
            if record["topic"] != topic or record["timestampType"] != "CreateTime":
                comparison.problem(f"printed {line!r}")
    if consumer.returncode:
        raise Failure(f"kafka consume ended with {consumer.returncode}")
    comparison.finish()


def check_append_time(world):
    """Where the topic says so, the time is the broker's."""
    topic = world.create_topic("append-time", 1, message_timestamp_type="LogAppendTime")
    begun = int(time.time() * 1000)
    world.expect(world.command("kafka", "produce", topic), stdin=None, input=b'{"value":"v","timestamp":1}\n' * 100)
    printed = world.expect(world.command("kafka", "consume", topic, "--from-beginning", "--until-end")).stdout
    records = [json.loads(line) for line in printed.splitlines()]
    if len(records) != 100 or any(record["timestampType"] != "LogAppendTime"
                                  or not begun <= record["timestamp"] <= time.time() * 1000 for record in records):
        raise Failure(f"{topic}: {records[:3]}")
    say(f"{topic}: the broker's times are read")


def write_lines(path, lines):
    with open(path, "w", encoding="utf-8") as out:
        out.writelines(lines)
    return path


def body(world):
    codecs = world.options.codecs.split(",")
    console = make_console_records(world.options.count // 5)
    others = interop.make_records(world.options.count - len(console), PARTITIONS)
    console_file = write_lines(world.path("console.txt"), map(console_line, console))
    fill_file = write_lines(world.path("fill.txt"), map(fill_line, others))
    say(f"{len(console)} and {len(others)} records made")
    begun = time.time()
    topics = {codec: world.create_topic(f"from-kafka-{codec}", PARTITIONS) for codec in codecs}
    for codec, topic in topics.items():
        console_produce(world, codec, console_file, topic)
        interop.check_compression(world, topic, codec)
        say(f"{topic} is begun by the ConsoleProducer")
    world.expect(world.java("Fill.java", world.brokers, fill_file, *(f"{c}={t}" for c, t in topics.items())),
                 stderr=None)
    say("all are filled by the Java producer")
    for codec, topic in topics.items():
        consume(world, topic, console + others, begun)
    check_append_time(world)
    consume(world, topics[codecs[-1]], console + others, begun, *SMALL_FETCHES)
    consume(world, topics[codecs[0]], console + others, begun, "--group", topics[codecs[0]])


if __name__ == "__main__":
    interop.main(__doc__, body, extra=(
        ("--count", {"type": int, "default": 100000}), ("--codecs", {"default": ",".join(interop.CODECS)})))
