# SPDX-License-Identifier: LicenseRef-OfficeFlow
"""officeflow codec: JSON lines in, JSON lines out, without a broker."""
import base64
import json
import re
import struct

from program import ERROR, Case, crc32c, main, varint

METADATA = {"name": "Metadata", "kind": "request", "version": 12}


def line(*parts, **members):
    merged = {}
    for part in parts:
        merged.update(part)
    return json.dumps({**merged, **members})


def zero_batch(mebibytes):
    """A batch of one record of so many zeros, which zstd makes 40 bytes of a mebibyte."""
    length = mebibytes << 20
    body = b"\0" + varint(0) + varint(0) + varint(-1) + varint(length)
    begin = varint(len(body) + length + 1) + body

    def block(kind, size, data, is_last=False):
        return struct.pack("<I", size << 3 | kind << 1 | is_last)[:3] + data
    packed = (bytes.fromhex("28b52ffd0058") + block(0, len(begin), begin) + block(1, 128 << 10, b"\0") * (8 * mebibytes)
              + block(0, 1, b"\0", True))
    tail = struct.pack(">hiqqqhii", 4, 0, 0, 0, -1, -1, -1, 1) + packed
    after_length = struct.pack(">ibI", 0, 2, crc32c(tail)) + tail
    return struct.pack(">qi", 0, len(after_length)) + after_length


class Tests(Case):
    def answers(self, verb, *lines):
        out, err = self.run_program("codec", verb, stdin="".join(text + "\n" for text in lines))
        self.assertEqual(err, "")
        answers = [json.loads(text) for text in out.split("\n")[:-1]]
        self.assertEqual(len(answers), len(lines))
        return answers

    def test_a_message_goes_to_hex_and_back(self):
        message = {"topics": [{"topicId": "AAAAAAAAAAAAAAAAAAAAAA", "name": "\u00e4"}],
                   "allowAutoTopicCreation": False, "includeTopicAuthorizedOperations": True}
        encoded, = self.answers("encode", line(METADATA, json=message))
        self.assertEqual(encoded["hex"], "020000000000000000000000000000000003c3a400000100")
        decoded, = self.answers("decode", line(METADATA, encoded))
        self.assertEqual(decoded, {"json": message})

    def test_absent_members_take_their_defaults_and_unknown_ones_are_errors(self):
        good, bad, other = self.answers("encode", line(METADATA, json={}), line(METADATA, json={"topix": []}),
                                        line(METADATA, json={"includeClusterAuthorizedOperations": True}))
        self.assertEqual(good, {"hex": "01010000"})
        self.assertEqual((bad["at"], set(bad)), (1, {"error", "at", "path"}))
        self.assertIn("version", other["error"])

    def test_unknown_tags_are_kept(self):
        tags = [{"tag": 7, "base64": "aGk="}]
        encoded, = self.answers("encode", line(METADATA, json={"topics": [], "_unknownTags": tags}))
        self.assertEqual(encoded["hex"], "010100010702" + b"hi".hex())
        decoded, = self.answers("decode", line(METADATA, encoded))
        self.assertEqual(decoded["json"]["_unknownTags"], tags)

    def test_a_refusal_names_byte_and_path(self):
        cut, behind = self.answers("decode", line(METADATA, hex="020000"), line(METADATA, hex="0101000099"))
        self.assertEqual((cut["at"], cut["path"]), (1, "topics[0].topicId"))
        self.assertEqual((behind["at"], behind["path"]), (4, ""))

    def test_frames_have_header_and_body(self):
        header = {"correlationId": 5, "clientId": "x"}
        request, = self.answers("encode", line(METADATA, frame=True, header=header, json={"topics": None}))
        decoded, = self.answers("decode", line(request, kind="request", frame=True))
        self.assertEqual(decoded["header"], {"requestApiKey": 3, "requestApiVersion": 12, **header})
        self.assertIsNone(decoded["json"]["topics"])
        response = {"name": "Heartbeat", "kind": "response", "version": 4, "frame": True}
        encoded, = self.answers("encode", line(response, header={"correlationId": 9}, json={"errorCode": 27}))
        decoded, cut = self.answers("decode", line(response, encoded), line(response, hex=encoded["hex"][:-2]))
        self.assertEqual(decoded["header"], {"correlationId": 9})
        self.assertEqual(decoded["json"]["errorCode"], 27)
        self.assertIn("shorter", cut["error"])

    def test_every_kind_of_message_is_known(self):
        for kind, name, version in (("request-header", None, 2), ("response-header", None, 1), ("data", "EndTxnMarker", 0),
                                    ("data", "consumerprotocolsubscription", 3), ("response", "fetch", 18)):
            asked = {"kind": kind, "version": version, **({"name": name} if name else {})}
            made, = self.answers("random", line(asked, seed=4))
            decoded, = self.answers("decode", line(asked, hex=made["hex"]))
            self.assertEqual(decoded["json"], made["json"])

    def test_bad_lines_are_answered_and_the_rest_goes_on(self):
        answers = self.answers("decode", "", "{", "7", "[]", "{}", '{"kind":"request","name":"Nothing","version":1,"hex":""}',
                               line(METADATA), line(METADATA, hex="0"), line(METADATA, hex="zz"), line(METADATA, hex=7),
                               line(METADATA, hex="01", more=1), line(METADATA, hex="01010000", version=99),
                               line(METADATA, hex="01010000"))
        for answer in answers[:-1]:
            self.assertEqual(set(answer), {"error", "at", "path"}, answer)
        self.assertIn("json", answers[-1])

    def test_batches_are_written_and_read_in_every_compression(self):
        records = [{"timestamp": 1000 + i, "key64": None if i else "aw==",
                    "value64": base64.b64encode(b"v" * i).decode(), "headers": [["h", {"b64": "eA=="}], ["", None]]}
                   for i in range(3)]
        for compression in ("none", "gzip", "snappy", "lz4", "zstd"):
            written, = self.answers("batch", line(compression=compression, baseOffset=40, producerId=7, producerEpoch=1,
                                                  baseSequence=3, isTransactional=True, records=records))
            twice = written["hex"] * 2
            read, cut = self.answers("records", line(hex=twice), line(hex=twice[:-2]))
            self.assertEqual(read["validBytes"], len(twice) // 2)
            self.assertEqual(cut["validBytes"], len(twice) // 4)
            self.assertEqual(cut["batches"], read["batches"][:1])
            batch = read["batches"][0]
            self.assertEqual((batch["compression"], batch["baseOffset"], batch["magic"]), (compression, 40, 2))
            self.assertEqual((batch["producerId"], batch["isTransactional"], batch["deleteHorizonMs"]), (7, True, None))
            self.assertEqual(batch["records"], [{"offset": 40 + i, **record} for i, record in enumerate(records)])

    def test_strings_may_have_escapes(self):
        headers = [["\0\"\\", None], ["Schl\u00fcssel", None], ["\U0001f511", None]]
        written, again = self.answers("batch", line(records=[{"headers": headers}]),
                                      r'{"compression":"\u006cz4","records":[{}]}')
        read, packed = self.answers("records", line(written), line(again))
        self.assertEqual(read["batches"][0]["records"][0]["headers"], headers)
        self.assertEqual(packed["batches"][0]["compression"], "lz4")

    def test_control_batches_name_their_type(self):
        written, = self.answers("batch", line(isControl=True, producerId=1, producerEpoch=0,
                                              records=[{"timestamp": 5, "key64": "AAAAAQ==", "value64": "AAAAAAAA"}]))
        read, = self.answers("records", line(written))
        self.assertEqual(read["batches"][0]["records"][0]["control"], {"type": 1})

    def test_damaged_batches_are_refused_with_their_byte(self):
        written, = self.answers("batch", line(records=[{"timestamp": 5, "value64": "aGk="}]))
        good = bytes.fromhex(written["hex"])
        bad = bytearray(good)
        bad[-1] ^= 1
        refused, none = self.answers("records", line(hex=(good + bad).hex()), line(hex=""))
        self.assertEqual((refused["at"], refused["path"]), (len(good) + 17, "batches[1].crc"))
        self.assertEqual(none, {"batches": [], "validBytes": 0})

    def test_a_line_that_would_be_answered_at_any_length_is_refused_and_the_rest_goes_on(self):
        bomb, short, good = self.answers("records", line(hex=(zero_batch(32) * 16).hex()), line(hex=zero_batch(1).hex()),
                                         line(hex=""))
        self.assertIn("longer than 512 MiB", bomb["error"])
        self.assertRegex(bomb["path"], r"\Abatches\[1[0-9]\]\.records\[1\]\Z")
        self.assertEqual(len(short["batches"][0]["records"][0]["value64"]), ((1 << 20) + 2) // 3 * 4)
        self.assertEqual(good, {"batches": [], "validBytes": 0})

    def test_schemas_are_listed_and_printed(self):
        out, _ = self.run_program("codec", "schema")
        self.assertEqual(len(out.splitlines()), 1 + 89 + 2 + 10)
        out, _ = self.run_program("codec", "schema", "findcoordinator", "0")
        self.assertIn("FindCoordinator request  version 0\n  key  ", out)
        for words in (("Nothing",), ("Fetch", "99"), ("Fetch", "x")):
            out, err = self.run_program("codec", "schema", *words, code=ERROR)
            self.assertRegex(err, r"\Aofficeflow: codec schema: .*\n\Z")

    def test_a_request_frame_is_explained_byte_by_byte(self):
        encoded, = self.answers("encode", line(METADATA, frame=True, header={"correlationId": 5, "clientId": "me"},
                                               json={"topics": [{"name": "t"}]}))
        out, _ = self.run_program("codec", "explain", encoded["hex"])
        rows = re.findall(r"^ *(\d+)  ((?:[0-9a-f]{2} ?)+?)(?:  +(\S.*?)(?:  +(\S.*))?)?$", out, re.M)
        self.assertEqual("".join(row[1] for row in rows).replace(" ", ""), encoded["hex"])
        values = {row[2]: row[3] for row in rows if row[3]}
        self.assertEqual(values["header.clientId"], '"me"')
        self.assertEqual(values["topics (count)"], "1")
        self.assertEqual(values["topics[0].name"], '"t"')
        self.assertEqual(values["header (tags)"], "0")

    def test_hex_may_come_in_pieces_on_standard_input_and_name_its_message(self):
        out, _ = self.run_program("codec", "explain", "Metadata", "request", "12", stdin="0x01 01\n00:00\n")
        self.assertIn("allowAutoTopicCreation", out)
        heartbeat = {"name": "Heartbeat", "kind": "response", "version": 4, "frame": True}
        encoded, = self.answers("encode", line(heartbeat, header={"correlationId": 9}, json={"errorCode": 27}))
        out, _ = self.run_program("codec", "explain", "--frame", "Heartbeat", "response", "4", encoded["hex"])
        self.assertRegex(out, r"errorCode +27\n")

    def test_what_can_not_be_read_is_shown_up_to_there(self):
        out, err = self.run_program("codec", "explain", "Metadata", "request", "12", "0101", code=ERROR)
        self.assertRegex(out, r"allowAutoTopicCreation +true\n")
        self.assertIn("byte 2, includeTopicAuthorizedOperations: ", err)
        out, err = self.run_program("codec", "explain", "Metadata", "request", "12", "01010000ff", code=ERROR)
        self.assertRegex(out, r"4  ff +not read\n")
        for words in (("zz",), ("Metadata", "request"), ("Metadata", "reply", "1", "00"), ("No", "request", "1", "00"),
                      ("Metadata", "request", "x", "00"), ("000000",)):
            out, err = self.run_program("codec", "explain", *words, code=ERROR)
            self.assertRegex(err, r"\Aofficeflow: .*\n\Z")

    def test_batches_in_a_field_of_records_are_told(self):
        written, = self.answers("batch", line(compression="zstd", records=[{"timestamp": 5, "value64": "aGk="}] * 3))
        records = base64.b64encode(bytes.fromhex(written["hex"])).decode()
        produce = {"name": "Produce", "kind": "request", "version": 9}
        encoded, = self.answers("encode", line(produce, json={"topicData": [
            {"name": "t", "partitionData": [{"index": 0, "records": records}]}]}))
        out, _ = self.run_program("codec", "explain", "Produce", "request", "9", encoded["hex"])
        self.assertIn("batch: magic 2, zstd, offsets 0 to 2, 3 records\n", out)
        full, _ = self.run_program("codec", "explain", "--full", "Produce", "request", "9", encoded["hex"])
        self.assertGreater(full.count("\n"), out.count("\n"))


if __name__ == "__main__":
    main()
