# SPDX-License-Identifier: LicenseRef-OfficeFlow
"""What both drivers share: questions to the two implementations, the comparison of JSON, the book of what differs."""
import json
import os
import sys
import zlib

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path += [os.path.join(HERE, "..", "interop"), os.path.join(HERE, "..", "..", "protocol", "gen")]
import interop

NEEDS = ("KC_KAFKA_CLIENTS_JAR", "KC_KAFKA_JARS")  # the first is there only where the schema in the tree is the jar's
COUNT_DEFAULT = "20"
TEXT_MAX = 800
DIFFERENCES_SHOWN = 5


def positive(text):
    number = int(text)
    if number < 1:
        raise ValueError(text)
    return number


def main(description, body):
    interop.main(description, body, needs=NEEDS, extra=(
        ("--count", {"type": positive, "default": os.environ.get("KC_CONFORMANCE_COUNT") or COUNT_DEFAULT,
                     "help": "random ones a combination and direction; default: KC_CONFORMANCE_COUNT, %(default)s"}),
        ("--seed", {"type": int, "default": 1, "help": "another one gives others; default: %(default)s"})))


def seed_of(world, *words):
    """The same for the same words, whatever else is asked."""
    return zlib.crc32(repr((world.options.seed, words)).encode())


def ask(world, words, questions):
    """Answers of a program that reads a JSON line a question and prints one an answer."""
    path = world.path("questions")
    with open(path, "w", encoding="utf-8") as file:
        file.writelines(json.dumps(question) + "\n" for question in questions)
    with open(path, "rb") as file:
        lines = world.expect(words, stdin=file).stdout.split(b"\n")
    if lines.pop() != b"" or len(lines) != len(questions):
        raise interop.Failure(f"{' '.join(words[-2:])}: {len(lines)} whole answers to {len(questions)} questions")
    return [json.loads(line) for line in lines]


def ask_ours(world, verb, questions):
    return ask(world, [world.officeflow, "codec", verb], questions)


def ask_java(world, source, verb, questions):
    return ask(world, world.java(os.path.join(HERE, source), verb), questions)


def brief(value):
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= TEXT_MAX else f"{text[:TEXT_MAX]}... ({len(text)} characters)"


def difference(ours, theirs, path="json"):
    """Where two JSON values differ first; None where they say the same. 1 and 1.0 do; 1 and true do not."""
    if json.dumps(ours, sort_keys=True) == json.dumps(theirs, sort_keys=True):
        return None
    if isinstance(ours, dict) and isinstance(theirs, dict):
        odd = sorted(ours.keys() ^ theirs.keys())
        if odd:
            return f"{path}.{odd[0]} is only in {'ours' if odd[0] in ours else 'theirs'}"
        found = (difference(ours[name], theirs[name], f"{path}.{name}") for name in ours)
        return next(filter(None, found), None)
    if isinstance(ours, list) and isinstance(theirs, list):
        if len(ours) != len(theirs):
            return f"{path} has {len(ours)} items, theirs {len(theirs)}"
        found = (difference(mine, other, f"{path}[{i}]") for i, (mine, other) in enumerate(zip(ours, theirs)))
        return next(filter(None, found), None)
    numbers = {type(ours), type(theirs)} == {int, float}
    return None if numbers and ours == theirs else f"{path} is {brief(ours)}, theirs {brief(theirs)}"


class Book:
    """What was compared, by row of the table and by column, and what differed."""

    def __init__(self, columns):
        self.columns = columns
        self.rows = {}
        self.differences = 0

    def row(self, name):
        return self.rows.setdefault(name, dict.fromkeys((*self.columns, "differences"), 0))

    def count(self, name, column, number=1):
        self.row(name)[column] += number

    def differ(self, name, title, what, **evidence):
        self.row(name)["differences"] += 1
        self.differences += 1
        if self.differences <= DIFFERENCES_SHOWN:
            print(f"DIFFERENCE {title}: {what}")
            for word, value in evidence.items():
                print(f"    {word}: {brief(value)}")

    def finish(self):
        """Prints the table; fails where anything differed."""
        names = ["", *self.columns, "differences"]
        lines = [names, *([name, *map(str, row.values())] for name, row in self.rows.items())]
        widths = [max(len(line[i]) for line in lines) for i in range(len(names))]
        for name, *numbers in lines:
            print(name.ljust(widths[0]), *(text.rjust(width) for text, width in zip(numbers, widths[1:])), sep="  ")
        if self.differences:
            raise interop.Failure(f"{self.differences} differences")
