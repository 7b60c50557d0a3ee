#!/usr/bin/env python3
# SPDX-License-Identifier: LicenseRef-OfficeFlow
"""Every C file is as clang-format leaves it. Skipped (77) without clang-format; --fix formats."""
import re
import shutil
import subprocess
import sys

import tree


def main():
    options = tree.parse(__doc__, ("--fix", {"action": "store_true"}))
    # Its output changes from release to release: the one of Debian 12 first.
    program = shutil.which("clang-format-14") or shutil.which("clang-format")
    if not program:
        print("clang-format is missing: run scripts/deps --dev")
        sys.exit(tree.SKIP)
    paths = [path for path in tree.c_files(options.root) if not tree.is_generated(path)]
    mode = ["-i"] if options.fix else ["--dry-run"]
    result = subprocess.run([program, *mode, *paths], cwd=options.root, stderr=subprocess.PIPE, text=True,
                            check=False) if paths else None
    complaints = result.stderr.splitlines() if result else []
    first = {}
    for line in complaints:
        match = re.match(r"(.+?):(\d+):\d+: warning: code should be clang-formatted", line)
        if match:
            first.setdefault(match[1], match[2])
    problems = [f"{path}:{number}: not formatted: scripts/lint --fix" for path, number in first.items()]
    if result and result.returncode and not problems:
        problems = complaints
    tree.finish(problems, len(paths))


if __name__ == "__main__":
    main()
