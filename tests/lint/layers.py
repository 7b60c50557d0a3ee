#!/usr/bin/env python3
# SPDX-License-Identifier: LicenseRef-OfficeFlow
"""Includes point left only (base <- protocol <- net <- client <- officeflow <- cli), and in no circle.

A module is all files of one folder whose names agree before the first underscore: group.h, group.c and
group_classic.c. Public headers (<kafkac/...>, <officeflow/...>) include public ones only.
"""
import os
import re
from collections import deque

import tree

# Folder -> layer, the longest prefix wins. What is in none (tests, fuzz, bench) may include anything.
LAYERS = {
    "protocol/base": "base",
    "protocol/include": "base",
    "protocol/include/kafkac/unstable": "protocol",
    "protocol": "protocol",
    "net": "net",
    "client": "client",
    "client/examples": "examples",
    "mock": "mock",
    "officeflow": "officeflow",
    "officeflow/examples": "examples",
    "officeflow/cli": "cli",
}
ALLOWED = {
    "base": {"base"},
    "protocol": {"base", "protocol"},
    "net": {"base", "protocol", "net"},
    "client": {"base", "protocol", "net", "client"},
    "mock": {"base", "protocol", "net", "mock"},
    "officeflow": {"base", "officeflow"},
    "cli": {"base", "officeflow", "cli"},
    "examples": set(),
}
# Beyond that, as public headers.
ALLOWED_PUBLIC = {
    "officeflow": {"base", "protocol", "client", "officeflow"},
    "cli": {"base", "protocol", "client", "officeflow", "mock"},
    "examples": {"base", "protocol", "client", "officeflow", "mock"},
}
INCLUDE = re.compile(r'\s*#\s*include\s*(?:"([^"]+)"|<((?:kafkac|officeflow)/[^>]+)>)')


def layer_of(path):
    fitting = [folder for folder in LAYERS if path.startswith(folder + "/")]
    return LAYERS[max(fitting, key=len)] if fitting else None


def resolve(root, path, quoted, public):
    """The included file from the root, None: not there."""
    if public:
        candidates = [f"{layer}/include/{public}" for layer in ("protocol", "client", "mock", "officeflow")]
    else:
        candidates = [quoted]
        if layer_of(path) is None:
            candidates.append(os.path.normpath(os.path.join(os.path.dirname(path), quoted)))
    return next((c for c in candidates if os.path.isfile(os.path.join(root, c))), None)


def judge(path, quoted, target):
    """What is wrong with `path` including `target`, or None."""
    layer, other = layer_of(path), layer_of(target)
    if "/include/" in path and quoted:
        return "a public header may include public headers only"
    if layer is None or other in ALLOWED[layer]:
        return None
    if not quoted and other in ALLOWED_PUBLIC.get(layer, ()):
        return None
    return f"{layer} may not include {other or os.path.dirname(target)}"


def module(path):
    folder, name = os.path.split(path)
    return os.path.join(folder, re.split(r"[_.]", name)[0])


def is_edge(path, target):
    return (layer_of(path) and module(path) != module(target)
            and not tree.is_generated(path) and not tree.is_generated(target))


def shortest_cycle(graph, start):
    """The shortest way from `start` back to it, or None."""
    came_from = {}
    queue = deque([start])
    while queue:
        at = queue.popleft()
        for following in sorted(graph.get(at, ())):
            if following == start:
                way = [start, at]
                while way[-1] != start:
                    way.append(came_from[way[-1]])
                return way[::-1] if at != start else [start, start]
            if following not in came_from:
                came_from[following] = at
                queue.append(following)
    return None


def cycles(graph, reasons):
    """Shortest cycles, so that each module which is in any shows up in one of them."""
    reported, seen = [], set()
    for start in sorted(graph):
        way = None if start in seen else shortest_cycle(graph, start)
        if way:
            seen.update(way)
            steps = "; ".join(reasons[step] for step in zip(way, way[1:]))
            reported.append(f"include cycle: {' -> '.join(way)} ({steps})")
    return reported


def main():
    options = tree.parse(__doc__)
    problems, graph, reasons = [], {}, {}
    paths = tree.c_files(options.root)
    for path in paths:
        for number, line in enumerate(tree.lines(options.root, path), 1):
            match = INCLUDE.match(line)
            if not match:
                continue
            quoted, public = match.groups()
            target = resolve(options.root, path, quoted, public)
            if not target:
                if layer_of(path):
                    problems.append(f"{path}:{number}: no file {quoted or public} from the root")
                continue
            wrong = judge(path, quoted, target)
            if wrong:
                problems.append(f"{path}:{number}: {wrong}")
            if is_edge(path, target):
                graph.setdefault(module(path), set()).add(module(target))
                reasons[module(path), module(target)] = f"{path}:{number}"
    tree.finish(problems + cycles(graph, reasons), len(paths))


if __name__ == "__main__":
    main()
