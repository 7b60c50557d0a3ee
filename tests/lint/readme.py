#!/usr/bin/env python3
# SPDX-License-Identifier: LicenseRef-OfficeFlow
"""The README's programs compile and are as short as it says, and the files it links to exist.

usage: readme.py SOURCE_DIR COMPILER"""
import os
import re
import subprocess
import sys

PROGRAM_LINES_MAX = 20  # blank lines not counted


def main():
    source, compiler = sys.argv[1:3]
    text = open(os.path.join(source, "README.md"), encoding="utf-8").read()
    faults = []
    programs = [b for b in re.findall(r"```c\n(.*?)```", text, re.S) if "int main" in b]
    if len(programs) < 2:
        faults.append("README.md: a producer and a consumer are expected")
    includes = [f"-I{source}/{d}/include" for d in ("protocol", "client", "officeflow")]
    for program in programs:
        lines = sum(1 for line in program.split("\n") if line.strip())
        if lines > PROGRAM_LINES_MAX:
            faults.append(f"README.md: a program of {lines} lines, {PROGRAM_LINES_MAX} are allowed")
        done = subprocess.run([compiler, "-std=c11", "-Wall", "-Wextra", "-Werror", "-fsyntax-only", *includes, "-x", "c", "-"],
                              input=program, text=True, capture_output=True)
        if done.returncode != 0:
            faults.append("README.md: a program does not compile:\n" + done.stderr)
    for link in re.findall(r"\]\(([^)#]+)\)", text):
        if "://" not in link and not os.path.exists(os.path.join(source, link)):
            faults.append(f"README.md: {link} does not exist")
    print("\n".join(faults) if faults else f"{len(programs)} programs compile")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
