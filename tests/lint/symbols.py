#!/usr/bin/env python3
# SPDX-License-Identifier: LicenseRef-OfficeFlow
"""What the objects call: who allocates, reads the clock, does input and output, uses threads.

Looks at our own objects only; what a library calls inside is its own affair. Objects that carry a
sanitizer's or gcov's calls are compiled again without, into a temporary folder.
"""
import concurrent.futures
import json
import os
import re
import shlex
import subprocess
import tempfile

import tree

LAYERS = ("protocol", "net", "client", "mock", "officeflow")

# What, its functions (a trailing * is any ending), the only files that may call them.
RULES = [
    ("allocates memory",
     "malloc calloc realloc free reallocarray posix_memalign aligned_alloc memalign valloc strdup"
     " strndup asprintf vasprintf getline getdelim open_memstream mmap munmap mremap brk sbrk",
     ["protocol/base/mem.c", "net/worker.c", "net/sasl_gssapi.c", "net/http.c"]),  # a job may outlive its client
    ("reads the clock",
     "clock_gettime clock_getres gettimeofday time ftime clock times timespec_get nanosleep clock_nanosleep"
     " sleep usleep",
     ["net/clock.c"]),
    ("does input or output",
     "socket socketpair connect bind listen accept accept4 shutdown send sendto sendmsg sendmmsg"
     " recv recvfrom recvmsg recvmmsg getsockopt setsockopt getsockname getpeername read write readv"
     " writev pread pwrite poll ppoll select pselect epoll_* eventfd* timerfd_* signalfd pipe pipe2"
     " open open64 openat creat close dup dup2 dup3 fcntl fcntl64 ioctl getaddrinfo freeaddrinfo"
     " getnameinfo gethostbyname* ares_* fdopen fwrite fgets fputs fputc fflush"
     " printf vprintf fprintf vfprintf puts putchar dprintf perror unlink rename"
     " stdin stdout stderr",
     ["net/tcp.c", "net/loop.c", "net/resolve.c", "net/worker.c", "mock/tcp_server.c", "officeflow/cli/*"]),
    ("looks at a file", "stat fstat", ["net/tls_conf.c", "officeflow/cli/*"]),
    ("reads a file", "fopen fopen64 fread fclose",
     ["client/config.c", "officeflow/config.c", "officeflow/cli/*"]),
    ("uses threads",
     "pthread_* thrd_* mtx_* cnd_* tss_* call_once sem_init sem_wait sem_post",
     ["client/thread.c", "mock/thread.c", "net/worker.c", "net/sasl_gssapi.c", "net/http.c", "officeflow/worker.c"]),
    ("asks for randomness",
     "getrandom getentropy rand rand_r random srand srandom drand48 lrand48 arc4random* RAND_*",
     ["protocol/base/map.c", "protocol/base/text.c", "protocol/base/rand.c", "net/clock.c", "client/clock.c"]),
    ("ends or starts a process", "exit _exit _Exit abort quick_exit fork vfork system popen execv* raise kill",
     ["officeflow/cli/*"]),
]


def pattern(words):
    return re.compile("|".join(re.escape(word).replace(r"\*", ".*") for word in words.split()))


COMPILED = [(what, pattern(names), pattern(" ".join(files))) for what, names, files in RULES]


def plain_name(symbol):
    """Without version, fortification (__read_chk) and C99 (__isoc99_sscanf) decoration."""
    symbol = symbol.split("@")[0]
    match = re.fullmatch(r"__(.+)_chk", symbol)
    return match[1] if match else symbol.removeprefix("__isoc99_")


def layer_sources(root, build):
    """{path from the root: its compile command} of the library layers and the program."""
    with open(os.path.join(build, "compile_commands.json"), encoding="utf-8") as file:
        commands = json.load(file)
    found = {}
    for command in commands:
        path = os.path.relpath(os.path.join(command["directory"], command["file"]), root)
        if path.split("/")[0] in LAYERS and "/examples/" not in path:
            found.setdefault(path, command)
    return found


def is_usable(command, words, instrumented):
    """The object is there, newer than its source, and calls nothing but what the source calls."""
    output = os.path.join(command["directory"], words[words.index("-o") + 1])
    source = os.path.join(command["directory"], command["file"])
    return not instrumented and os.path.exists(output) and os.path.getmtime(output) >= os.path.getmtime(source)


def object_of(command, folder):
    """Path of an object without instrumentation, and the compiler's complaint if there is none."""
    words = command.get("arguments") or shlex.split(command["command"])
    clean = [word for word in words if not re.match(r"-fsanitize|-fno-sanitize|--coverage|-fprofile", word)]
    if is_usable(command, words, clean != words):
        return os.path.join(command["directory"], words[words.index("-o") + 1]), ""
    output = os.path.join(folder, re.sub(r"\W", "_", os.path.abspath(command["file"])) + ".o")
    clean[clean.index("-o") + 1] = output
    result = subprocess.run(clean + ["-O1", "-w", "-Wno-error"], cwd=command["directory"], text=True,
                            stderr=subprocess.PIPE, check=False)
    return output, result.stderr if result.returncode else ""


def undefined(output):
    listing = subprocess.run(["nm", "-u", "-P", output], stdout=subprocess.PIPE, text=True, check=True).stdout
    return {plain_name(line.split()[0]) for line in listing.splitlines() if line.strip()}


def check(path, symbols):
    return [f"{path}: {what}: {symbol}" for symbol in sorted(symbols) for what, names, files in COMPILED
            if names.fullmatch(symbol) and not files.fullmatch(path)]


def main():
    options = tree.parse(__doc__, ("--build", {"required": True, "help": "folder with compile_commands.json"}))
    sources = layer_sources(options.root, os.path.abspath(options.build))
    problems = []
    with tempfile.TemporaryDirectory() as folder, concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        objects = pool.map(lambda command: object_of(command, folder), sources.values())
        for path, (output, complaint) in zip(sources, objects):
            problems += [f"{path}: does not compile: {complaint}"] if complaint else check(path, undefined(output))
    tree.finish(problems, len(sources))


if __name__ == "__main__":
    main()
