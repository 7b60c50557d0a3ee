#!/usr/bin/env python3
# SPDX-License-Identifier: LicenseRef-OfficeFlow
"""Habits of the text: first lines, sizes, no leftovers, no paths of one machine; scripts parse."""
import os
import re
import subprocess

import tree

FIRST_LINE = "SPDX-License-Identifier: LicenseRef-OfficeFlow"
COMMENTED = re.compile(r"(\.(c|h|py|cmake|kp|in)|CMakeLists\.txt)$")
LEFTOVER = re.compile(r"\b(TO" r"DO|FIX" r"ME|XX" r"X)\b")
MACHINE_PATH = re.compile(r"(?<![\w.})/-])/(work|root|home|opt|tmp|mnt)/\w")
CONFLICT = re.compile(r"^(<<<<<<<|>>>>>>>) ")

FILE_LINES = 800        # said
FILE_LINES_HARD = 1200  # failed
FUNCTION_LINES = 70
TEST_FUNCTION_LINES = 120


def has_first_line(path, lines):
    """Below the interpreter line of a script."""
    at = 1 if lines[0].startswith("#!") else 0
    return at >= len(lines) or FIRST_LINE in lines[at]


def long_functions(path, lines):
    """A function's braces stand at column 0, and nobody else's do."""
    limit = TEST_FUNCTION_LINES if path.startswith("tests/") else FUNCTION_LINES
    begin = None
    for number, line in enumerate(lines, 1):
        if line == "{":
            begin = number
        elif line.startswith("}") and begin:
            if number - begin - 1 > limit:
                yield f"{path}:{begin}: function of {number - begin - 1} lines, at most {limit}"
            begin = None


def parses(root, path, lines):
    if path.endswith(".py") or re.match(r"#!.*\bpython3?$", lines[0]):
        try:
            compile("\n".join(lines), path, "exec")
        except SyntaxError as error:
            return str(error)
    elif re.match(r"#!.*\b(ba)?sh\b", lines[0]):
        shell = "bash" if "bash" in lines[0] else "sh"
        return subprocess.run([shell, "-n", os.path.join(root, path)], stderr=subprocess.PIPE, text=True,
                              check=False).stderr.strip()
    return ""


def is_text(root, path):
    with open(os.path.join(root, path), "rb") as file:
        return b"\0" not in file.read(4096)


def check(root, path):
    lines = tree.lines(root, path)
    if (COMMENTED.search(path) or lines[0].startswith("#!")) and not has_first_line(path, lines):
        yield f"{path}:1: first line without {FIRST_LINE}"
    is_c = path.endswith((".c", ".h")) and not tree.is_generated(path)
    if is_c and len(lines) - 1 > FILE_LINES_HARD:
        yield f"{path}: {len(lines) - 1} lines, at most {FILE_LINES_HARD}"
    elif is_c and len(lines) - 1 > FILE_LINES:
        print(f"note: {path}: {len(lines) - 1} lines, better at most {FILE_LINES}")
    if is_c:
        yield from long_functions(path, lines)
    for number, line in enumerate(lines, 1):
        for expression, what in ((LEFTOVER, "leftover"), (MACHINE_PATH, "path of one machine"),
                                 (CONFLICT, "merge conflict")):
            match = expression.search(line)
            if match:
                yield f"{path}:{number}: {what}: {match[0]}"
    wrong = parses(root, path, lines)
    if wrong:
        yield f"{path}: {wrong}"


def main():
    options = tree.parse(__doc__)
    paths = [path for path in tree.files(options.root) if is_text(options.root, path)]
    problems = [problem for path in paths for problem in check(options.root, path)]
    tree.finish(problems, len(paths))


if __name__ == "__main__":
    main()
