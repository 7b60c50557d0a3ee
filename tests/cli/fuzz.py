# SPDX-License-Identifier: LicenseRef-OfficeFlow
"""officeflow kafka fuzz against a server that fails as it is told to. Against a real Kafka: records.py."""
import socket
import struct
import threading

from program import ERROR, OK, SOMETHING, Case, main

API_VERSIONS, METADATA = 18, 3


class Broker:
    """Serves ApiVersions 0 and Metadata; `answer(key, correlation_id)` gives the bytes of a frame, None hangs up."""

    def __init__(self, answer):
        self.answer = answer
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.talk, args=(connection,), daemon=True).start()

    def talk(self, connection):
        with connection, connection.makefile("rb") as stream:
            while len(size := stream.read(4)) == 4:
                frame = stream.read(struct.unpack(">i", size)[0])
                key, _, correlation_id = struct.unpack_from(">hhi", frame)
                body = self.answer(key, correlation_id)
                if body is None:
                    return
                connection.sendall(struct.pack(">i", len(body)) + body)


def versions(correlation_id):
    served = [(API_VERSIONS, 0, 0), (METADATA, 0, 0)]
    return struct.pack(">ihi", correlation_id, 0, len(served)) + b"".join(struct.pack(">hhh", *s) for s in served)


def no_metadata(correlation_id):
    return struct.pack(">iii", correlation_id, 0, 0)


class Tests(Case):
    def fuzz(self, answer, *words, code):
        broker = Broker(answer)
        self.addCleanup(broker.listener.close)
        return self.lines("kafka", "fuzz", "-b", broker.address, "--rate", "1000", *words, code=code)

    def test_a_server_that_answers_all_is_no_finding(self):
        def answer(key, correlation_id):
            return versions(correlation_id) if key == API_VERSIONS else no_metadata(correlation_id)
        found = self.fuzz(answer, "--count", "50", code=OK)
        self.assertEqual(found, [{"seed": 1, "apis": 2, "sent": 50, "answered": 50, "closed": 0, "silent": 0,
                                  "findings": 0}])

    def test_an_answer_that_cannot_be_read_is_told_with_its_request(self):
        def answer(key, correlation_id):
            return versions(correlation_id) if key == API_VERSIONS else struct.pack(">iii", correlation_id, 7, 0)
        *found, last = self.fuzz(answer, "--api", "Metadata", "--count", "5", "--seed", "3", code=SOMETHING)
        self.assertEqual((len(found), last["findings"], last["answered"]), (5, 5, 5))
        for number, line in enumerate(found):
            self.assertEqual((line["finding"], line["api"], line["version"], line["seed"], line["number"]),
                             ("the answer can't be read", "Metadata", 0, 3, number))
            size, key, version, correlation_id = struct.unpack_from(">ihhi", bytes.fromhex(line["hex"]))
            self.assertEqual((size + 4, key, version, correlation_id),
                             (len(line["hex"]) // 2, METADATA, 0, number))
        again = self.fuzz(answer, "--api", "Metadata", "--seed", "3", "--from", "4", "--count", "1", code=SOMETHING)
        self.assertEqual(again[0], found[4])
        other = self.fuzz(answer, "--api", "Metadata", "--seed", "4", "--count", "5", code=SOMETHING)
        self.assertNotEqual([line["hex"] for line in other[:5]], [line["hex"] for line in found])

    def test_a_server_that_dies_ends_it_and_all_since_its_last_sign_of_life_are_told(self):
        left = [12]

        def answer(key, correlation_id):
            left[0] -= 1
            if left[0] < 0:
                return None
            return versions(correlation_id) if key == API_VERSIONS else no_metadata(correlation_id)
        # the plan, ten requests, a sign of life; then it only hangs up
        *found, last = self.fuzz(answer, "--api", "Metadata", "--check-every", "10", "--count", "100", code=SOMETHING)
        self.assertEqual([line["number"] for line in found], list(range(10, 20)))
        self.assertEqual({line["finding"] for line in found}, {"the broker does not answer ApiVersions any more"})
        self.assertEqual((last["sent"], last["answered"], last["closed"]), (20, 10, 10))

    def test_bytes_that_lie_keep_the_size_of_their_frame(self):
        def answer(key, correlation_id):
            return versions(correlation_id) if key == API_VERSIONS else b"\0" * 3
        *found, _ = self.fuzz(answer, "--api", "Metadata", "--bytes", "--count", "40", code=SOMETHING)
        self.assertEqual(len(found), 40)
        for line in found:
            frame = bytes.fromhex(line["hex"])
            self.assertEqual(struct.unpack_from(">i", frame)[0] + 4, len(frame))
        self.assertTrue({line["last"] for line in found} & {"number", "byte", "cut", "repeated", "left out"})

    def test_unknown_apis_and_servers_that_are_not_there_are_mistakes(self):
        _, err = self.run_program("kafka", "fuzz", "-b", "127.0.0.1:1", "--api", "Nope", code=ERROR)
        self.assertIn('there is no API "Nope"', err)
        _, err = self.run_program("kafka", "fuzz", "-b", "127.0.0.1:1", code=ERROR)
        self.assertIn("no broker of 127.0.0.1:1 answers", err)


if __name__ == "__main__":
    main()
