# SPDX-License-Identifier: LicenseRef-OfficeFlow
"""What the lints share: which files belong to the project, and how a lint ends."""
import argparse
import os
import sys

SKIP = 77  # CTest's SKIP_RETURN_CODE
SKIPPED_FOLDERS = {"build", "__pycache__"}


def parse(description, *extra):
    """Options of a lint: --root, and what `extra` (name, settings) add."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--root", default=os.path.join(os.path.dirname(__file__), "..", ".."),
                        help="root of the source tree (this one)")
    for name, settings in extra:
        parser.add_argument(name, **settings)
    options = parser.parse_args()
    options.root = os.path.abspath(options.root)
    return options


def files(root):
    """All files of the project, relative to `root`, sorted; no build folders, nothing hidden but .ci."""
    found = []
    for folder, folders, names in os.walk(root):
        folders[:] = [name for name in folders if name not in SKIPPED_FOLDERS
                      and (not name.startswith(".") or name == ".ci")
                      and not os.path.exists(os.path.join(folder, name, "CMakeCache.txt"))]
        found += [os.path.relpath(os.path.join(folder, name), root) for name in names
                  if not name.startswith(".") and not name.endswith(".pyc")]
    return sorted(found)


def c_files(root):
    return [path for path in files(root) if path.endswith((".c", ".h"))]


def is_generated(path):
    return "/generated/" in f"/{path}" or "/unstable/" in f"/{path}"


def lines(root, path):
    with open(os.path.join(root, path), encoding="utf-8", errors="replace") as file:
        return file.read().split("\n")


def finish(problems, looked_at):
    """One line a problem; nothing looked at is a failure too, as a lint that checks nothing proves nothing."""
    for problem in problems:
        print(problem)
    if not looked_at:
        print("nothing was checked")
    print(f"{len(problems)} problems in {looked_at} files")
    sys.exit(1 if problems or not looked_at else 0)
