# SPDX-License-Identifier: LicenseRef-OfficeFlow
"""The admin calls of librdkafka, which kcat does not have: from its shared library, without a compiler."""
import ctypes
import itertools

PRODUCER = 0  # rd_kafka_type_t
TOPIC = 2     # rd_kafka_ResourceType_t
NO_ERROR = 0
TOPIC_ALREADY_EXISTS = 36
WAIT_MS = 20000
TEXT_SIZE = 512


class Failure(Exception):
    """code is a Kafka error, or below zero one of librdkafka's own."""

    def __init__(self, code, text):
        super().__init__(f"{text} ({code})")
        self.code = code


class Library:
    """Calls by name; a name is said without its rd_kafka_. Integers are passed as such, all else as pointers."""

    def __init__(self):
        self.library = ctypes.CDLL("librdkafka.so.1")

    def call(self, name, *arguments, result=ctypes.c_void_p):
        function = getattr(self.library, f"rd_kafka_{name}")
        function.restype = result
        return function(*arguments)

    def number(self, name, *arguments):
        return self.call(name, *arguments, result=ctypes.c_int)

    def text(self, name, *arguments):
        return (self.call(name, *arguments, result=ctypes.c_char_p) or b"").decode()


def pointer(value):
    return ctypes.c_void_p(value)


class Admin:
    """One client that creates and deletes topics, waiting for each answer."""

    def __init__(self, brokers):
        self.library = Library()
        self.error = ctypes.create_string_buffer(TEXT_SIZE)
        conf = pointer(self.library.call("conf_new"))
        self.library.number("conf_set", conf, b"bootstrap.servers", brokers.encode(), self.error, self.size())
        self.client = pointer(self.library.call("new", PRODUCER, conf, self.error, self.size()))
        if not self.client:
            raise Failure(-1, self.error.value.decode())
        self.queue = pointer(self.library.call("queue_new", self.client))

    @staticmethod
    def size():
        return ctypes.c_size_t(TEXT_SIZE)

    def close(self):
        self.library.call("queue_destroy", self.queue, result=None)
        self.library.call("destroy", self.client, result=None)

    def ask(self, name, item):
        """The event with the answer to a call for one item."""
        items = (ctypes.c_void_p * 1)(item.value)
        self.library.call(name, self.client, items, ctypes.c_size_t(1), None, self.queue, result=None)
        event = pointer(self.library.call("queue_poll", self.queue, WAIT_MS))
        if not event:
            raise Failure(-1, f"no answer to {name}")
        code = self.library.number("event_error", event)
        if code != NO_ERROR:
            text = self.library.text("event_error_string", event)
            self.library.call("event_destroy", event, result=None)
            raise Failure(code, text)
        return event

    def results(self, name, event, plural):
        result = pointer(self.library.call(f"event_{name}_result", event))
        count = ctypes.c_size_t()
        array = self.library.call(f"{name}_result_{plural}", result, ctypes.byref(count))
        return list(ctypes.cast(array, ctypes.POINTER(ctypes.c_void_p))[:count.value])

    def change_topic(self, name, item):
        event = self.ask(name, item)
        try:
            for each in self.results(name, event, "topics"):
                code = self.library.number("topic_result_error", pointer(each))
                if code != NO_ERROR:
                    raise Failure(code, self.library.text("topic_result_error_string", pointer(each)))
        finally:
            self.library.call("event_destroy", event, result=None)

    def create(self, topic, partitions, **configs):
        item = pointer(self.library.call("NewTopic_new", topic.encode(), partitions, 1, self.error, self.size()))
        for name, value in configs.items():
            self.library.number("NewTopic_set_config", item, name.replace("_", ".").encode(), value.encode())
        try:
            self.change_topic("CreateTopics", item)
        finally:
            self.library.call("NewTopic_destroy", item, result=None)

    def grow(self, topic, partitions):
        item = pointer(self.library.call("NewPartitions_new", topic.encode(), ctypes.c_size_t(partitions), self.error,
                                         self.size()))
        try:
            self.change_topic("CreatePartitions", item)
        finally:
            self.library.call("NewPartitions_destroy", item, result=None)

    def delete(self, topic):
        item = pointer(self.library.call("DeleteTopic_new", topic.encode()))
        try:
            self.change_topic("DeleteTopics", item)
        finally:
            self.library.call("DeleteTopic_destroy", item, result=None)

    def topic_configs(self, topic):
        item = pointer(self.library.call("ConfigResource_new", TOPIC, topic.encode()))
        event = None
        try:
            event = self.ask("DescribeConfigs", item)
            resource = pointer(next(iter(self.results("DescribeConfigs", event, "resources"))))
            code = self.library.number("ConfigResource_error", resource)
            if code != NO_ERROR:
                raise Failure(code, self.library.text("ConfigResource_error_string", resource))
            count = ctypes.c_size_t()
            array = self.library.call("ConfigResource_configs", resource, ctypes.byref(count))
            entries = ctypes.cast(array, ctypes.POINTER(ctypes.c_void_p))
            return {self.library.text("ConfigEntry_name", pointer(each)): self.library.text("ConfigEntry_value", pointer(each))
                    for each in itertools.islice(entries, count.value)}
        finally:
            if event:
                self.library.call("event_destroy", event, result=None)
            self.library.call("ConfigResource_destroy", item, result=None)
