#!/usr/bin/env python3
# SPDX-License-Identifier: LicenseRef-OfficeFlow
"""What clients of others want of a broker, of `officeflow broker` and of a real one: Java's, franz-go, librdkafka (as
kcat), KafkaJS. Each has its own program in foreign/, which knows not which broker it talks to. What the programs are
built from is fetched on first use into the cache folder of scripts/kafka."""
import hashlib
import os
import re
import select
import shutil
import subprocess
import sys
import tempfile
import time

import interop
from interop import Failure, say, skip

FOREIGN = os.path.join(interop.HERE, "foreign")
FETCH_SECONDS = 400
READY_SECONDS = 20
NEEDS_KAFKA = (4, 2)  # share groups, and all that is older
# The newest franz-go needs it. With an older Go, as Debian 12 has, its last release for that one is taken, which lacks
# the newer kinds of groups.
NEWEST_GO = (1, 26)


def cache_folder():
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return os.environ.get("KC_CACHE") or os.path.join(base, "officeflow-kafka")


def program(name):
    found = shutil.which(name)
    if not found:
        skip(f"{name} is missing: run scripts/deps")
    return found


def fetched(stem, sources, fetch, extra=""):
    """The folder in the cache that fetch(folder) fills. Its name tells what it was made of, so a change makes another."""
    digest = hashlib.sha256(extra.encode())
    for source in sources:
        with open(source, "rb") as file:
            digest.update(file.read())
    target = os.path.join(cache_folder(), f"{stem}-{digest.hexdigest()[:16]}")
    if not os.path.isdir(target):
        os.makedirs(cache_folder(), exist_ok=True)
        work = tempfile.mkdtemp(prefix=f".{stem}-", dir=cache_folder())
        try:
            say(f"making {os.path.basename(target)}")
            fetch(work)
            try:
                os.rename(work, target)
            except OSError:  # another run was first
                if not os.path.isdir(target):
                    raise
        finally:
            shutil.rmtree(work, ignore_errors=True)
    return target


# --- the programs -------------------------------------------------------------------------------------

def java_words(world, *words):
    if not os.environ.get("KC_KAFKA_CLIENTS_JAR") and kafka_version() < NEEDS_KAFKA:
        skip("the jars at hand are of an older Kafka")
    return world.java(os.path.join(FOREIGN, "Clients.java"), *words), {}


def franz_words(world, *words):
    go = program("go")
    told = world.expect([go, "version"]).stdout.decode()
    version = tuple(map(int, re.search(r"go(\d+)\.(\d+)", told).groups()))
    modules = "go.mod" if version >= NEWEST_GO else "go-1.19.mod"
    folder = os.path.join(FOREIGN, "franz")
    sources = [os.path.join(folder, name) for name in ("main.go", "newer.go", "older.go", modules)]

    def build(target):
        environment = {**os.environ, "GOTOOLCHAIN": "local", "GOFLAGS": "", "GOWORK": "off"}
        world.expect([go, "build", "-buildvcs=false", "-mod=readonly", f"-modfile={modules}", "-o",
                      os.path.join(target, "franz"), "."], cwd=folder, env=environment, seconds=FETCH_SECONDS)

    return [os.path.join(fetched("franz", sources, build, told), "franz"), *words], {}


def kcat_words(_world, *words):
    program("kcat")
    return [sys.executable, os.path.join(FOREIGN, "kcat.py"), *words], {}


def kafkajs_words(world, *words):
    node, npm = program("node"), program("npm")
    folder = os.path.join(FOREIGN, "kafkajs")
    sources = [os.path.join(folder, name) for name in ("package.json", "package-lock.json")]

    def install(target):
        for source in sources:
            shutil.copy(source, target)
        world.expect([npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=target, seconds=FETCH_SECONDS)

    modules = os.path.join(fetched("kafkajs", sources, install), "node_modules")
    return [node, os.path.join(folder, "test.js"), *words], {"NODE_PATH": modules}


CLIENTS = {"java": java_words, "franz": franz_words, "kcat": kcat_words, "kafkajs": kafkajs_words}


# --- the brokers --------------------------------------------------------------------------------------

def kafka_version():
    return tuple(map(int, os.environ.get("KAFKA_VERSION", "4.2").split(".")[:2]))


def run_client(world, brokers):
    stem = f"foreign-{world.options.client}-{os.getpid()}-{time.time_ns() % 10 ** 9}"
    words, extra = CLIENTS[world.options.client](world, brokers, stem, *world.options.part)
    begun = time.monotonic()
    result = world.run(words, env={**os.environ, **extra})
    told = result.stdout.decode(errors="replace")
    print(told, end="", flush=True)
    if result.returncode != 0 or not told.endswith("done\n"):
        raise Failure(f"{world.options.client} ended with {result.returncode}:\n"
                      + result.stderr.decode(errors="replace")[-6000:])
    say(f"{world.options.client} is content after {time.monotonic() - begun:.1f} s")


def ready_line(process):
    """READY and the brokers; nothing else comes before."""
    readable, _, _ = select.select([process.stdout], [], [], READY_SECONDS)
    line = process.stdout.readline().decode() if readable else ""
    told = re.fullmatch(r"READY (\S+)\n", line)
    if not told:
        raise Failure(f"officeflow broker says {line!r}")
    return told[1]


def run_embedded(world):
    # First what it takes is there, or the test is skipped.
    CLIENTS[world.options.client](world, "", "")
    errors = world.path("broker.err")
    with open(errors, "wb") as out, interop.started(
            [world.officeflow, "broker", "--brokers", "3", "--port", "0", "--no-auto-create"],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=out) as broker:
        try:
            run_client(world, ready_line(broker))
            broker.terminate()
            status = broker.wait(READY_SECONDS)
        except BaseException:
            with open(errors, "r", encoding="utf-8", errors="replace") as told:
                print(told.read()[-4000:], flush=True)
            raise
    with open(errors, "r", encoding="utf-8", errors="replace") as told:
        text = told.read()
    if status != 0 or interop.is_sanitizer_report(text):
        raise Failure(f"officeflow broker ended with {status}:\n{text[-4000:]}")


def run_real(world):
    if not world.brokers:
        skip("KAFKA_BROKERS is not set")
    if kafka_version() < NEEDS_KAFKA:
        skip("this Kafka is older than what the clients are asked to do")
    run_client(world, world.brokers)


def body(world):
    if world.options.real:
        run_real(world)
    else:
        run_embedded(world)


if __name__ == "__main__":
    interop.main(__doc__, body, needs=(), extra=(
        ("--client", {"choices": sorted(CLIENTS), "required": True}),
        ("--part", {"action": "append", "default": [], "help": "only this one, such as groups; default: all"}),
        ("--real", {"action": "store_true", "help": "against $KAFKA_BROKERS"})))
