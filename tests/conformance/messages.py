#!/usr/bin/env python3
# SPDX-License-Identifier: LicenseRef-OfficeFlow
"""Every message of Kafka in every version, as this codec and as the official Java classes read and write it.

Java writes; ours must read the same JSON, and write the same bytes from it. Ours writes random messages; Java must
read the same JSON, and write the same bytes again. What there is to compare is told by the schemas inside the jar.
"""
import collections
import os

import conformance
import from_jar

# Of Kafka 4.3.1: pairs of message and version. The list comes from the jar; a part of it must not get lost unseen.
COMBINATIONS = {"request": 302, "response": 302, "request-header": 2, "response-header": 2, "data": 17}
ONCE = ("default", "full", "nulls")
BY_TURNS = ("random", "random", "unknown", "corners")
RECORDS_FIELDS = ("records", "unalignedRecords")
JAVA_TO_OURS, OURS_TO_JAVA, FRAMES = COLUMNS = ("Java to ours", "ours to Java", "frames")


def combinations():
    """(kind, name, version) of all there is; headers have no name."""
    found = []
    for message in from_jar.load_messages(os.environ["KC_KAFKA_CLIENTS_JAR"]):
        versions = from_jar.parse_range(message["validVersions"])
        kind, name = message["type"], message["name"]
        if kind == "header":
            kind, name = ("request-header" if name == "RequestHeader" else "response-header"), None
        elif kind in ("request", "response"):
            name = name[:-len(kind)]
        if versions:
            found += [(kind, name, version) for version in range(versions[0], versions[1] + 1)]
    return found


def has_frame(combination):
    return combination[0] in ("request", "response")


def question(combination, **more):
    kind, name, version = combination
    return {"kind": kind, **({"name": name} if name else {}), "version": version, **more}


def about(asked):
    """The combination of a question."""
    return asked["kind"], asked.get("name"), asked["version"]


def follow(asked, answers, member):
    """The next questions: about the same, with a member of the answers; nothing of it where that was an error."""
    return [question(about(line), **({member: answer[member]} if member in answer else {}))
            for line, answer in zip(asked, answers)]


def strip(value, records, tags):
    """Our JSON as the JsonConverter has it; what that one does not say goes to the two lists."""
    if isinstance(value, list):
        return [strip(item, records, tags) for item in value]
    if not isinstance(value, dict):
        return value
    plain = {}
    for name, member in value.items():
        if name == "_unknownTags":
            tags += [[tag["tag"], tag["base64"]] for tag in member]
        elif name in RECORDS_FIELDS and isinstance(member, str):
            records.append(member)
            plain[name] = ""
        else:
            plain[name] = strip(member, records, tags)
    return plain


def json_difference(ours, theirs):
    records, tags = [], []
    plain = strip(ours, records, tags)
    return (conformance.difference(plain, theirs["json"])
            or conformance.difference(sorted(records), sorted(theirs["records"]), "records")
            or conformance.difference(sorted(tags), sorted(theirs["unknownTags"]), "unknown tags"))


class Comparison:
    """Books every message that was compared, and which combinations were."""

    def __init__(self, book):
        self.book = book
        self.seen = collections.Counter()

    def see(self, column, asked, ours, theirs, written, again):
        """ours, theirs: what each reads; written: the bytes; again: the answer with those of the other side."""
        wrong = next((answer["error"] for answer in (ours, theirs, again) if "error" in answer), None)
        wrong = wrong or json_difference(ours["json"], theirs)
        if not wrong and again["hex"] != written:
            wrong = f"written again it is {conformance.brief(again['hex'])}"
        if wrong:
            title = " ".join(map(str, asked.values()))
            self.book.differ(asked["kind"], f"{column}: {title}", wrong, hex=written, ours=ours.get("json"),
                             theirs=theirs.get("json"))
        self.book.count(asked["kind"], column)
        self.seen[column, about(asked)] += 1

    def check_covered(self, column, wanted, number):
        for combination in wanted:
            seen = self.seen[column, combination]
            if seen < number:
                self.book.differ(combination[0], f"{column}: {combination}", f"compared {seen} times, not {number}")


def java_to_ours(world, comparison, wanted):
    samples = [*ONCE, *(BY_TURNS[i % len(BY_TURNS)] for i in range(world.options.count))]
    asked = [question(combination, sample=sample, seed=conformance.seed_of(world, *combination, i))
             for combination in wanted for i, sample in enumerate(samples)]
    written = conformance.ask_java(world, "Messages.java", "write", asked)
    read = conformance.ask_ours(world, "decode", follow(asked, written, "hex"))
    # A message of defaults is also what comes of no JSON at all.
    again = conformance.ask_ours(world, "encode", follow(asked, (
        {"json": {}} if line["sample"] == "default" else answer for line, answer in zip(asked, read)), "json"))
    for line, theirs, ours, bytes_again in zip(asked, written, read, again):
        comparison.see(JAVA_TO_OURS, line, ours, theirs, theirs.get("hex"), bytes_again)
    comparison.check_covered(JAVA_TO_OURS, wanted, len(samples))


def ours_to_java(world, comparison, wanted):
    asked = [question(combination, seed=conformance.seed_of(world, *combination, i))
             for combination in wanted for i in range(world.options.count)]
    written = conformance.ask_ours(world, "random", asked)
    read = conformance.ask_java(world, "Messages.java", "read", follow(asked, written, "hex"))
    for line, ours, theirs in zip(asked, written, read):
        comparison.see(OURS_TO_JAVA, line, ours, theirs, ours.get("hex"), theirs)
    comparison.check_covered(OURS_TO_JAVA, wanted, world.options.count)


def frames(world, comparison, wanted):
    """Which header goes with which body. A request says itself what it is."""
    wanted = [combination for combination in wanted if has_frame(combination)]
    asked = [question(combination, seed=conformance.seed_of(world, *combination)) for combination in wanted]
    written = conformance.ask_java(world, "Messages.java", "frame", asked)
    read = conformance.ask_ours(world, "decode", [
        {**({"kind": "request"} if line["kind"] == "request" else question(about(line))), "frame": True,
         "hex": answer.get("hex", "")} for line, answer in zip(asked, written)])
    again = conformance.ask_ours(world, "encode", [
        {**question(about(line)), "frame": True, **answer} for line, answer in zip(asked, read)])
    for line, theirs, ours, bytes_again in zip(asked, written, read, again):
        ours = ours if "error" in ours else {"json": ours}
        comparison.see(FRAMES, line, ours, theirs, theirs.get("hex"), bytes_again)
    comparison.check_covered(FRAMES, wanted, 1)


def body(world):
    wanted = combinations()
    book = conformance.Book(("messages", "versions", *COLUMNS))
    for kind, number in COMBINATIONS.items():
        names = [name for of_kind, name, _ in wanted if of_kind == kind]
        book.count(kind, "messages", len(set(names)))
        book.count(kind, "versions", len(names))
        if len(names) != number:
            book.differ(kind, kind, f"{len(names)} pairs of message and version, not {number}")
    comparison = Comparison(book)
    for direction in (java_to_ours, ours_to_java, frames):
        direction(world, comparison, wanted)
    book.finish()


if __name__ == "__main__":
    conformance.main(__doc__, body)
