#!/usr/bin/env python3
# SPDX-License-Identifier: LicenseRef-OfficeFlow
"""Record batches of every magic and compression, as this codec and as the official Java classes read and write them.

Java writes, ours reads: every field of every batch and record is the same; and where there is one way only to write
it, ours writes the same bytes. Ours writes, Java and ours read: what was asked for.
"""
import base64
import itertools
import random

import conformance
from interop import CODECS

DATA_CASES = ("create-time", "log-append-time", "idempotent", "transactional", "large")
CONTROL_CASES = ("abort", "commit", "leader-change", "snapshot-header", "snapshot-footer", "kraft-version", "voters")
# What Java is asked for: (magic, codecs, cases).
JAVA_CASES = (
    (0, CODECS[:4], ("create-time", "gaps", "large", "several", "partial")),
    (1, CODECS[:4], ("create-time", "log-append-time", "stamped", "gaps", "large", "several", "partial")),
    (2, CODECS, (*DATA_CASES, "stamped", "gaps", "delete-horizon", "several", "partial")),
    (2, CODECS[:1], ("empty", *CONTROL_CASES)),
)
ONE_WAY_CASES = ("create-time", "idempotent", "transactional", "large", *CONTROL_CASES)  # where not compressed
OUR_CASES = [*itertools.product(CODECS, DATA_CASES), ("none", "control")]
LARGE_SHARE = 5  # one in so many
HEADER_NAMES = ("", "a", "trace", "trace", "Schl\u00fcssel", "\U0001f511", "\0\"\\", "n" * 200)
ASKED_OF_BATCH = ("compression", "timestampType", "isTransactional", "isControl", "baseOffset", "partitionLeaderEpoch",
                  "producerId", "producerEpoch", "baseSequence")
ASKED_OF_RECORD = ("timestamp", "key64", "value64", "headers")
DECIDED_BY_WRITER = ("batchLength", "crc", "baseTimestamp")
JAVA_TO_OURS, OURS_TO_JAVA, SAME_BYTES = COLUMNS = ("Java to ours", "ours to Java", "same bytes")


def row(magic, codec):
    return f"magic {magic} {codec}"


def row_of(batch):
    return row(batch["magic"], batch["compression"])


def repeat(world, case):
    count = world.options.count
    return range(max(1, count // LARGE_SHARE) if case == "large" else count)


# --- Java writes --------------------------------------------------------------------------------------

def read_difference(asked, ours, theirs):
    if "error" in theirs:
        return theirs["error"]
    batches = theirs["batches"]
    if asked["case"] != "partial" and (not batches or row_of(batches[0]) != row_of(asked)):
        return f"Java wrote something else: {[row_of(batch) for batch in batches]}"
    return conformance.difference(ours, theirs)


def has_one_way(asked):
    return asked["magic"] == 2 and asked["compression"] == "none" and asked["case"] in ONE_WAY_CASES


def question_for(batch):
    """Asks for what was read."""
    return {**{name: batch[name] for name in ASKED_OF_BATCH},
            "records": [{name: record[name] for name in ASKED_OF_RECORD} for record in batch["records"]]}


def java_to_ours(world, book):
    asked = [{"magic": magic, "compression": codec, "case": case,
              "seed": conformance.seed_of(world, magic, codec, case, i)}
             for magic, codecs, cases in JAVA_CASES for codec in codecs for case in cases for i in repeat(world, case)]
    written = conformance.ask_java(world, "Batches.java", "write", asked)
    codes = [answer.pop("hex", "") for answer in written]
    read = conformance.ask_ours(world, "records", [{"hex": code} for code in codes])
    one_way = []
    for line, code, theirs, ours in zip(asked, codes, written, read):
        wrong = read_difference(line, ours, theirs)
        if wrong:
            book.differ(row_of(line), f"{JAVA_TO_OURS}: {line}", wrong, hex=code, ours=ours, theirs=theirs)
        elif has_one_way(line):
            one_way.append((line, code, question_for(theirs["batches"][0])))
        for batch in theirs.get("batches", ()):
            book.count(row_of(batch), JAVA_TO_OURS)
    answers = conformance.ask_ours(world, "batch", [question for _, _, question in one_way])
    for (line, code, question), answer in zip(one_way, answers):
        book.count(row_of(line), SAME_BYTES)
        if answer.get("hex") != code:
            book.differ(row_of(line), f"{SAME_BYTES}: {line}", answer.get("error", "they differ"), asked=question,
                        ours=answer, theirs=code)


# --- ours writes --------------------------------------------------------------------------------------

def base64_of(value):
    return None if value is None else base64.b64encode(value).decode()


def random_bytes(chance, limit):
    kind = chance.randrange(6)
    if kind < 2:
        return None if kind == 0 else b""
    size = chance.randrange(1, limit)
    return chance.randbytes(size) if kind < 4 else bytes([chance.randrange(256)]) * size


def random_header(chance):
    value = random_bytes(chance, 40)
    return [chance.choice(HEADER_NAMES), value if value is None else {"b64": base64_of(value)}]


def random_record(chance, limit):
    recent = 1700000000000 + chance.randrange(10 ** 6)
    return {"timestamp": chance.choice((*[recent] * 8, 0, -1, 2 ** 63 - 1, chance.getrandbits(62))),
            "key64": base64_of(random_bytes(chance, 60)), "value64": base64_of(random_bytes(chance, limit)),
            "headers": [random_header(chance) for _ in range(chance.choice((0, 0, 1, 3)))]}


def control_record(chance):
    """An end marker: version 0 and type of the key, version 0 and coordinator epoch of the value."""
    kind = chance.randrange(2)
    return {"timestamp": chance.getrandbits(41), "key64": base64_of(bytes((0, 0, 0, kind))),
            "value64": base64_of(bytes(2) + chance.randbytes(4)), "headers": []}


def random_batch(chance, codec, case):
    limit, most = (100000, 4) if case == "large" else (200, 20)
    batch = {"compression": codec, "records": [random_record(chance, limit) for _ in range(chance.randint(1, most))]}
    if case == "control":
        batch.update(isControl=True, records=[control_record(chance)])
    if case == "log-append-time":
        batch["timestampType"] = "LogAppendTime"
    if case in ("idempotent", "transactional", "control"):
        batch.update(producerId=chance.getrandbits(63), producerEpoch=chance.getrandbits(15),
                     baseSequence=chance.choice((0, 2 ** 31 - 1, chance.getrandbits(31))),
                     isTransactional=case != "idempotent")
    if chance.random() < 0.5:
        batch.update(baseOffset=chance.getrandbits(chance.choice((7, 40, 62))),
                     partitionLeaderEpoch=chance.getrandbits(31))
    return batch


def expected_record(record, offset, batch):
    seen = {**record, "offset": offset}
    if batch["timestampType"] == "LogAppendTime":
        seen["timestamp"] = batch["maxTimestamp"]
    if batch["isControl"]:
        seen["control"] = {"type": base64.b64decode(record["key64"])[3]}
    return seen


def expected_batch(asked):
    """What a reader must say, but for what the writer decides."""
    records = asked["records"]
    batch = {"magic": 2, "timestampType": "CreateTime", "isTransactional": False, "isControl": False, "baseOffset": 0,
             "partitionLeaderEpoch": -1, "producerId": -1, "producerEpoch": -1, "baseSequence": -1, **asked,
             "deleteHorizonMs": None, "lastOffsetDelta": len(records) - 1,
             "maxTimestamp": max(record["timestamp"] for record in records)}
    batch["records"] = [expected_record(record, batch["baseOffset"] + i, batch) for i, record in enumerate(records)]
    return batch


def written_difference(asked, ours, theirs):
    if "error" in theirs or len(theirs["batches"]) != 1:
        return theirs.get("error") or f"{len(theirs['batches'])} batches"
    seen = {name: value for name, value in theirs["batches"][0].items() if name not in DECIDED_BY_WRITER}
    return conformance.difference(expected_batch(asked), seen, "batch") or conformance.difference(ours, theirs)


def ours_to_java(world, book):
    asked = [(case, random_batch(random.Random(conformance.seed_of(world, codec, case, i)), codec, case))
             for codec, case in OUR_CASES for i in repeat(world, case)]
    written = conformance.ask_ours(world, "batch", [question for _, question in asked])
    buffers = [{"hex": answer.get("hex", "")} for answer in written]
    theirs = conformance.ask_java(world, "Batches.java", "read", buffers)
    ours = conformance.ask_ours(world, "records", buffers)
    for (case, question), answer, mine, other in zip(asked, written, ours, theirs):
        name = row(2, question["compression"])
        wrong = answer.get("error") or written_difference(question, mine, other)
        if wrong:
            book.differ(name, f"{OURS_TO_JAVA}: {case}", wrong, asked=question, hex=answer.get("hex"), ours=mine,
                        theirs=other)
        book.count(name, OURS_TO_JAVA)


def body(world):
    book = conformance.Book(COLUMNS)
    for magic, codecs, _ in JAVA_CASES:
        for codec in codecs:
            book.row(row(magic, codec))
    java_to_ours(world, book)
    ours_to_java(world, book)
    book.finish()


if __name__ == "__main__":
    conformance.main(__doc__, body)
