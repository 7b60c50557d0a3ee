#!/usr/bin/env python3
# SPDX-License-Identifier: LicenseRef-OfficeFlow
"""What a shared library exports: every function its public headers declare, and no name without its prefix. And that
it stays in the process after dlclose(), where threads of it may still run."""
import os
import re
import subprocess

import tree

DECLARED = re.compile(r"^KC_API\b[^;{]*?\b(\w+)\s*\(", re.MULTILINE)


def exported(library):
    listing = subprocess.run(["nm", "-D", "--defined-only", "-P", library], stdout=subprocess.PIPE, text=True,
                             check=True).stdout
    return {line.split()[0].split("@")[0] for line in listing.splitlines() if line.strip()}


def is_kept(library):
    dynamic = subprocess.run(["readelf", "-dW", library], stdout=subprocess.PIPE, text=True, check=True).stdout
    return "NODELETE" in dynamic


def declared(folders):
    """{function: the header which declares it}"""
    found = {}
    for folder in folders:
        for path in tree.files(folder):
            if path.endswith(".h"):
                text = re.sub(r"/\*.*?\*/", "", "\n".join(tree.lines(folder, path)), flags=re.DOTALL)
                found.update((name, path) for name in DECLARED.findall(text))
    return found


def main():
    options = tree.parse(__doc__, ("--library", {"required": True}), ("--prefix", {"required": True}),
                         ("--headers", {"nargs": "*", "default": [], "help": "folders of public headers"}))
    symbols = exported(options.library)
    name = os.path.basename(options.library)
    problems = [f"{name}: exports {symbol}, which does not start with {options.prefix}"
                for symbol in sorted(symbols) if not symbol.startswith(options.prefix)]
    problems += [f"{name}: {path} declares {symbol}, which is not exported"
                 for symbol, path in sorted(declared(options.headers).items()) if symbol not in symbols]
    if not is_kept(options.library):
        problems.append(f"{name}: can be unloaded while its threads run: link it with -z nodelete")
    tree.finish(problems, len(symbols))


if __name__ == "__main__":
    main()
