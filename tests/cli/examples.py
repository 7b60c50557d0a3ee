# SPDX-License-Identifier: LicenseRef-OfficeFlow
"""The examples, against a real Kafka: each sends its records and ends with 0."""
import os
import subprocess

from program import Case, main, need_broker

FOLDER = os.environ.get("KC_EXAMPLES") or "."


class Tests(Case):
    def run_example(self, name, *words):
        path = os.path.join(FOLDER, f"example_{name}")
        if not os.path.exists(path):
            self.skipTest(f"{name} is not built")
        done = subprocess.run([path, os.environ["KAFKA_BROKERS"], *words], stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=120, check=False)
        self.assertEqual(done.returncode, 0, done.stdout)
        return done.stdout

    def embed(self, name):
        topic = self.create_topic()
        self.assertIn("20 records acknowledged", self.run_example(f"embed_{name}", topic))
        values = sorted(record["value"] for record in self.consume(topic, "--from-beginning"))
        self.assertEqual(values, sorted(f"tick {i}" for i in range(20)))

    def test_a_client_lives_in_an_epoll_loop(self):
        self.embed("epoll")

    def test_a_client_lives_in_a_poll_loop(self):
        self.embed("poll")

    def test_a_client_lives_in_a_libuv_loop(self):
        self.embed("uv")

    def test_a_client_lives_in_a_libevent_loop(self):
        self.embed("event")

    def test_a_client_lives_on_a_thread_of_its_own(self):
        self.embed("thread")

    def test_a_record_is_produced(self):
        topic = self.create_topic()
        self.assertIn("written to partition 0 at offset 0", self.run_example("produce", topic, "hello"))


if __name__ == "__main__":
    need_broker()
    main()
