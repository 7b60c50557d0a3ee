#!/usr/bin/env python3
# SPDX-License-Identifier: LicenseRef-OfficeFlow
"""What `officeflow kafka produce` sends, Kafka's own consumers read identically: its ConsoleConsumer, byte by byte as
that prints, and a Java program that tells every part of a record apart."""
import json
import random
import subprocess
import time

import interop
from interop import Failure, say

PARTITIONS = 3

# Far from what any record holds, so that what the ConsoleConsumer prints can be told apart.
FIELD, LINE, HEADER, NULL = (f"\x02{mark}~#8f2c~\x03" for mark in "FLHN")


def produce(world, codec, source, topic):
    with open(source, "rb") as lines:
        world.expect(world.command("kafka", "produce", topic, "-X", f"compression.type={codec}",
                                   "-X", "linger.ms=20"), stdin=lines)


def rendered(record, partition, offset, timestamp):
    """A record as DefaultMessageFormatter writes it."""
    def text(value):
        return NULL.encode() if value is None else value

    headers = HEADER.encode().join(name.encode() + b":" + text(value) for name, value in record.headers)
    return FIELD.encode().join([b"CreateTime:%d" % timestamp, b"Partition:%d" % partition, b"Offset:%d" % offset,
                                headers or b"NO_HEADERS", text(record.key), text(record.value)])


def console_consume(world, topic, count):
    properties = {"print.timestamp": "true", "print.partition": "true", "print.offset": "true",
                  "print.headers": "true", "print.key": "true", "key.separator": FIELD, "line.separator": LINE,
                  "headers.separator": HEADER, "null.literal": NULL}
    words = world.kafka("tool", "console-consumer", "--topic", topic, "--from-beginning", "--max-messages", str(count),
                        "--timeout-ms", "60000")
    for name, value in properties.items():
        words += [world.property_option("formatter"), f"{name}={value}"]
    return world.expect(words).stdout.split(LINE.encode())[:-1]


def check_console(world, topic, records, begun):
    """Its lines are what our records look like in its words; where they stand, only it can tell."""
    comparison = interop.Comparison(f"{topic}: ConsoleConsumer", records, begun)
    for line in console_consume(world, topic, len(records)):
        fields = line.split(FIELD.encode())
        timestamp, partition, offset = (int(field.split(b":")[1]) for field in fields[:3])
        key, value = (None if field == NULL.encode() else field for field in fields[4:6])
        i = comparison.index_of(timestamp, key, value)
        if i is not None and line == rendered(records[i], partition, offset, timestamp):
            comparison.see(partition, offset, timestamp, key, value, records[i].headers)
        else:
            comparison.problem(f"printed {line!r} for record {i}")
    comparison.finish()


def check_dump(world, topics, records, begun):
    with interop.started(world.java("Dump.java", world.brokers, *topics), stdout=subprocess.PIPE) as dump:
        comparison, is_whole = None, False
        for line in dump.stdout:
            record = json.loads(line)
            if "p" in record:
                interop.see_dumped(comparison, record)
                continue
            if comparison:
                comparison.finish()
            is_whole = "end" in record
            comparison = None if is_whole else interop.Comparison(f"{record['topic']}: Java consumer", records, begun)
    if not is_whole or dump.returncode:
        raise Failure(f"Dump.java ended with {dump.returncode}")


def body(world):
    codecs = world.options.codecs.split(",")
    records = interop.make_records(world.options.count, PARTITIONS)
    chance = random.Random(2)
    source = world.path("records.jsonl")
    with open(source, "w", encoding="utf-8") as out:
        for record in records:
            out.write(interop.to_json(record, chance) + "\n")
    say(f"{len(records)} records made")
    begun = time.time()
    topics = []
    for codec in codecs:
        topics.append(world.create_topic(f"to-kafka-{codec}", PARTITIONS))
        produce(world, codec, source, topics[-1])
        interop.check_compression(world, topics[-1], codec)
        say(f"{topics[-1]} is written")
    check_dump(world, topics, records, begun)
    for topic in topics:
        check_console(world, topic, records, begun)


if __name__ == "__main__":
    interop.main(__doc__, body, extra=(
        ("--count", {"type": int, "default": 100000}), ("--codecs", {"default": ",".join(interop.CODECS)})))
