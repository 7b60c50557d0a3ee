#!/usr/bin/env python3
# SPDX-License-Identifier: LicenseRef-OfficeFlow
"""Whatever the other side does, and whatever is asked for: the program says what is wrong and where, ends in time,
and never crashes."""
import concurrent.futures
import contextlib
import random
import re
import signal
import socket
import struct
import subprocess
import threading
import time

import interop
from interop import Failure, say

QUICK = ("-X", "request.timeout.ms=1500", "-X", "default.api.timeout.ms=2500", "-X", "delivery.timeout.ms=2500",
         "-X", "socket.connection.setup.timeout.ms=700", "-X", "socket.connection.setup.timeout.max.ms=700")
# Many small fetches; a member whose answer to JoinGroup was lost is waited for by its group no longer than so.
SMALL = ("-X", "max.partition.fetch.bytes=30000", "-X", "session.timeout.ms=3000", "-X", "heartbeat.interval.ms=500")
SECONDS_MAX = 20    # of a command with these limits, on a machine with other things to do
AT_ONCE = 16  # most of them wait
RECORDS = b'{"value":"1"}\n{"value":"2"}\n'


# --- servers that are not Kafka -----------------------------------------------------------------------

class Server:
    """Listens on a port of its own and hands each connection to answer(connection)."""

    def __init__(self, answer):
        self.answer = answer
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port = self.listener.getsockname()[1]
        self.address = f"127.0.0.1:{self.port}"
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        with contextlib.suppress(OSError):
            while True:
                connection = self.listener.accept()[0]
                connection.settimeout(30)
                threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        with connection, contextlib.suppress(OSError):
            self.answer(connection)

    def close(self):
        self.listener.close()


def exactly(connection, count):
    data = b""
    while len(data) < count:
        more = connection.recv(count - len(data))
        if not more:
            raise ConnectionError
        data += more
    return data


def frame_of(connection):
    """One request or response without its size."""
    return exactly(connection, struct.unpack(">i", exactly(connection, 4))[0])


def until_gone(connection):
    while connection.recv(65536):
        pass


def raw(data, is_closed=True):
    """Answers each connection's first request with these bytes."""
    def answer(connection):
        frame_of(connection)
        connection.sendall(data)
        if not is_closed:
            until_gone(connection)
    return answer


def framed(make_body):
    """Answers every request with a frame: its correlation id and make_body(request)."""
    def answer(connection):
        while True:
            request = frame_of(connection)
            body = request[4:8] + make_body(request)
            connection.sendall(struct.pack(">i", len(body)) + body)
    return answer


def reset(connection):
    """Closed with RST rather than FIN."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def drip(connection):
    """A byte at a time of an answer that never ends."""
    frame_of(connection)
    for byte in struct.pack(">i", 100) + bytes(100):
        connection.sendall(bytes([byte]))
        time.sleep(0.2)


def wrong_correlation(connection):
    request = frame_of(connection)
    body = bytes([request[4] ^ 1]) + request[5:8] + bytes(200)
    connection.sendall(struct.pack(">i", len(body)) + body)
    until_gone(connection)


def not_kafka():
    """What a server does, by name, and what is said about it."""
    chance = random.Random(5)
    return {
        "closes at once": (lambda connection: None, "(closed the connection|reset by peer)"),
        "resets": (reset, "reset by peer"),
        "closes after the request": (raw(b""), "closed the connection during ApiVersions"),
        "is silent": (until_gone, "no answer to ApiVersions"),
        "speaks HTTP": (raw(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"),
                        "answers in HTTP"),
        "speaks TLS": (raw(bytes.fromhex("15030300020228")), "answers in TLS"),
        "sends noise": (raw(chance.randbytes(5000)), "(sent a response of|impossible size)"),
        "sends noise first": (lambda connection: connection.sendall(chance.randbytes(5000)),
                              "(sent a response of|impossible size|closed the connection|reset by peer)"),
        "cuts a frame": (raw(struct.pack(">i", 1000) + bytes(10)), "closed the connection during ApiVersions"),
        "announces 2 GiB": (raw(struct.pack(">i", 0x7fffffff) + bytes(1000), is_closed=False),
                            "response of 2147483647 bytes"),
        "announces a negative size": (raw(struct.pack(">i", -1) + bytes(1000), is_closed=False),
                                      "frame of impossible size"),
        "announces nothing": (raw(bytes(1000), is_closed=False), "frame of impossible size"),
        "answers another request": (wrong_correlation, "out of step"),
        "drips": (drip, "no answer to ApiVersions"),
        "answers empty frames": (framed(lambda request: b""), "can't be read"),
        "answers zeros": (framed(lambda request: bytes(100)), "can't be read"),
        "answers ones": (framed(lambda request: b"\xff" * 100), "can't be read"),
        "answers noise": (framed(lambda request: chance.randbytes(chance.randrange(300))),
                          "(can't be read|HTTP|closed)"),
    }


# --- a Kafka that answers wrongly ---------------------------------------------------------------------

class Proxy(Server):
    """Before a real broker, which is known by this address only; spoils answers as it is told."""

    def __init__(self, upstream, spoil, seed):
        super().__init__(self.forward)
        self.host, port = upstream.split(",")[0].rsplit(":", 1)
        self.upstream_port = int(port)
        self.spoil = spoil
        self.chance = random.Random(seed)

    def moved(self, answer):
        """Metadata and FindCoordinator name the broker's port: that becomes ours."""
        host = self.host.encode()
        return answer.replace(host + struct.pack(">i", self.upstream_port), host + struct.pack(">i", self.port))

    def forward(self, connection):
        with socket.create_connection((self.host, self.upstream_port), timeout=30) as broker:
            count = 0
            while True:
                request = frame_of(connection)
                broker.sendall(struct.pack(">i", len(request)) + request)
                answer = self.spoil(self.moved(frame_of(broker)), count, self.chance)
                if answer is None:
                    return
                connection.sendall(struct.pack(">i", len(answer)) + answer)
                count += 1


def flip(answer, count, chance):
    """A bit of every third answer behind the first, but for the correlation id."""
    if count == 0 or len(answer) < 5 or chance.random() < 0.67:
        return answer
    at = chance.randrange(4, len(answer))
    return answer[:at] + bytes([answer[at] ^ 1 << chance.randrange(8)]) + answer[at + 1:]


def cut(answer, count, chance):
    if count == 0 or chance.random() < 0.67:
        return answer
    return answer[:chance.randrange(4, len(answer) + 1)]


def grow(answer, count, chance):
    if count == 0 or chance.random() < 0.67:
        return answer
    return answer + chance.randbytes(chance.randrange(1, 50))


def hang_up(answer, count, chance):
    return answer if chance.random() < 0.8 else None


# --- runs ---------------------------------------------------------------------------------------------

class Run:
    """A command, what it said and how long it took. What need not end by itself is asked to after a while."""

    def __init__(self, world, title, words, stdin=b"", patience=None):
        begun = time.monotonic()
        with interop.started(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            try:
                output, errors = process.communicate(stdin, timeout=patience or SECONDS_MAX)
            except subprocess.TimeoutExpired:
                if not patience:
                    raise Failure(f"{title}: did not end within {SECONDS_MAX} s") from None
                output, errors = self.end(process, title)
                if process.returncode == -signal.SIGTERM:  # it had not come to where it ends in order
                    process.returncode = 0
        self.title = title
        self.seconds = time.monotonic() - begun
        self.status = process.returncode
        self.output = output.decode(errors="replace")
        self.errors = errors.decode(errors="replace").strip()
        self.fails_by_crash(world)

    @staticmethod
    def end(process, title):
        process.terminate()
        try:
            return process.communicate(timeout=SECONDS_MAX)
        except subprocess.TimeoutExpired:
            raise Failure(f"{title}: did not end within {SECONDS_MAX} s of SIGTERM") from None

    def fails_by_crash(self, world):
        if self.status < 0 or interop.is_sanitizer_report(self.errors):
            raise Failure(f"{self.title}: crashed ({self.status}): {self.errors[-4000:]}")
        if world.options.verbose:
            say(f"{self.title}: {self.status} after {self.seconds:.1f} s: {self.errors[:400]}")

    def expect(self, statuses, *patterns):
        if self.status not in statuses:
            raise Failure(f"{self.title}: ended with {self.status} after {self.seconds:.1f} s: {self.errors}")
        for pattern in patterns:
            if not re.search(pattern, self.errors):
                raise Failure(f"{self.title}: does not say {pattern!r}: {self.errors}")
        return self


def all_at_once(title, jobs):
    """Runs job() for each; all failures are told."""
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        futures = [pool.submit(job) for job in jobs]
    failures = [str(future.exception()) for future in futures if isinstance(future.exception(), Failure)]
    if failures:
        raise Failure("\n".join(failures))
    say(f"{title}: {len([future.result() for future in futures])} runs are as they should be")


def verbs(topic):
    """Words and standard input of what is tried against every server."""
    return [(("kafka", "produce", topic), RECORDS),
            (("kafka", "consume", topic, "--from-beginning", "--until-end"), b""),
            (("kafka", "call", "Metadata", "{}"), b""),
            (("groups",), b"")]


def not_kafka_jobs(world, servers):
    """What is said is what is wrong, and where. Exit code 1, or 3 for the records that failed."""
    for name, (answer, says) in not_kafka().items():
        server = Server(answer)
        servers.callback(server.close)
        for words, stdin in verbs("t"):
            def job(words=words, stdin=stdin, name=name, says=says, server=server):
                run = Run(world, f"{name}: {' '.join(words)}",
                          world.command(*words, *QUICK, brokers=server.address), stdin)
                run.expect([1, 3] if "produce" in words else [1], re.escape(server.address), says)
            yield job


def unreachable_jobs(world):
    """Nobody listens; a name that does not exist."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        closed = f"127.0.0.1:{free.getsockname()[1]}"
    for address, says in ((closed, "Connection refused; is the broker running"),
                          ("no.such.host.invalid:9092", "could not be resolved")):
        for words, stdin in verbs("t"):
            def job(words=words, stdin=stdin, address=address, says=says):
                run = Run(world, f"{address}: {' '.join(words)}",
                          world.command(*words, *QUICK, brokers=address), stdin)
                run.expect([1, 3] if "produce" in words else [1], re.escape(address), says)
            yield job


def proxy_jobs(world, servers, topic, count):
    """Never a crash. Where only connections are lost, everything comes all the same. A wrong answer may say that the
    log is longer than it is, or ask for hours of patience: reading then ends when it is asked to."""
    for spoil in (flip, cut, grow, hang_up):
        for seed in range(world.options.seeds):
            server = Proxy(world.brokers, spoil, seed)
            servers.callback(server.close)
            group = ("kafka", "consume", topic, "--from-beginning", "--until-end", *SMALL, "--group",
                     f"{topic}-{spoil.__name__}-{seed}")
            for words, stdin in [*verbs(topic), (group, b"")]:
                def job(words=words, stdin=stdin, title=f"{spoil.__name__} {seed}", server=server, spoil=spoil):
                    limits = QUICK if spoil != hang_up else ()
                    run = Run(world, f"{title}: {' '.join(words)}",
                              world.command(*words, *limits, brokers=server.address), stdin,
                              patience=5 if spoil != hang_up and "consume" in words else None)
                    run.expect([0] if spoil == hang_up else [0, 1, 3])
                    came = run.output.count("\n")
                    if spoil == hang_up and "consume" in words and came < count:
                        raise Failure(f"{run.title}: only {came} records came")
                yield job


# --- what is asked for is wrong -----------------------------------------------------------------------

WRONG_OPTIONS = [
    (("-X", "nonsense=1"), "no property \"nonsense\""),
    (("-X", "linger.ms=abc"), "linger.ms can't be \"abc\"; allowed"),
    (("-X", "linger.ms=-5"), "linger.ms can't be \"-5\"; allowed"),
    (("-X", "acks=2"), "acks can't be \"2\"; allowed: all, -1, 0, 1"),
    (("-X", "compression.type=brotli"), "allowed: none, gzip, snappy, lz4, zstd"),
    (("-X", "delivery.timeout.ms=10", "-X", "request.timeout.ms=1000"), "delivery.timeout.ms"),
    (("-X", "linger.ms"), "NAME=VALUE"),
    (("-F", "no-such-file"), "no-such-file.*No such file"),
    (("-b", "localhost"), "\"localhost\" is not host:port"),
    (("-b", "localhost:99999"), "\"localhost:99999\" is not host:port"),
    (("-b", ""), "bootstrap.servers can't be \"\""),
    (("--no-such-option",), "no-such-option"),
]
WRONG_LINES = [
    (b"{", "not valid JSON"),
    (b"[]", "not a JSON object"),
    (b'{"key":"k"}', '"value" is missing'),
    (b'{"value":1}', '"value" must be a string or null'),
    (b'{"value":"v","partition":-1}', '"partition" must be a whole number'),
    (b'{"value":"v","partition":99}', "partition"),
    (b'{"value64":"v"}', "no padded base64"),
    (b'{"value":"v","value64":"dg=="}', "two forms of one field"),
    (b'{"value":"v","headers":{"a":"b"}}', '"headers" must be a list'),
    (b'{"value":"v","valeu":"v"}', "unknown member"),
    (b'{"value":"\xff"}', "not valid JSON"),
]


def wrong_jobs(world, topic):
    for options, says in WRONG_OPTIONS:
        for verb in ("produce", "consume"):
            yield lambda options=options, says=says, verb=verb: Run(
                world, f"{verb} {' '.join(options)}",
                world.command("kafka", verb, topic) + list(options)).expect([1], says)
    for name in ("bad topic", "", ".."):
        for verb in ("produce", "consume"):
            yield lambda name=name, verb=verb: Run(
                world, f"{verb} '{name}'", world.command("kafka", verb, name), RECORDS).expect([1], "topic")
    missing = f"{topic}-missing"
    yield lambda: Run(world, "consume what is not there", world.command("kafka", "consume", missing)).expect(
        [1], f"{missing} does not exist")
    yield lambda: Run(world, "produce to what is not there", world.command("kafka", "produce", missing, *QUICK),
                      RECORDS).expect([1, 3], f"{missing} does not exist")
    yield lambda: wrong_lines(world, topic)


def wrong_lines(world, topic):
    """The good lines around them are sent."""
    good = b'{"value":"good"}'
    lines = [good, *(line for line, _ in WRONG_LINES), good]
    run = Run(world, "wrong lines", world.command("kafka", "produce", topic), b"\n".join(lines))
    run.expect([3], *(f"line {2 + i}: .*{says}" for i, (_, says) in enumerate(WRONG_LINES)))
    read = Run(world, "right lines", world.command("kafka", "consume", topic, "--from-beginning", "--until-end"))
    if read.expect([0]).output.count('"value":"good"') != 2:
        raise Failure(f"wrong lines: the good ones did not come: {read.output}{read.errors}")


def servers_body(world):
    with contextlib.ExitStack() as servers:
        all_at_once("servers that are not Kafka", not_kafka_jobs(world, servers))
        all_at_once("unreachable servers", unreachable_jobs(world))


def kafka_body(world):
    if not world.brokers:
        interop.skip("KAFKA_BROKERS is not set")
    all_at_once("wrong options and lines", wrong_jobs(world, world.create_topic("wrong")))
    topic = world.create_topic("faults")
    count = 3000
    Run(world, "fill", world.command("kafka", "produce", topic), b"".join(
        b'{"value":"%d %s"}\n' % (i, b"x" * 100) for i in range(count))).expect([0])
    with contextlib.ExitStack() as servers:
        all_at_once("a Kafka that answers wrongly", proxy_jobs(world, servers, topic, count))


def body(world):
    {"servers": servers_body, "kafka": kafka_body}[world.options.part](world)


if __name__ == "__main__":
    interop.main(__doc__, body, needs=(), extra=(
        ("--part", {"choices": ("servers", "kafka"), "required": True, "help": "servers: no Kafka is needed"}),
        ("--seeds", {"type": int, "default": 2, "help": "so many runs against each kind of wrong answers"}),
        ("--verbose", {"action": "store_true", "help": "print what each run says"})))
