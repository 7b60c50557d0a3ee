/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * What the official Java clients want of a cluster: admin, produce, groups of both protocols, transactions, shares.
 *
 * usage: java -cp 'JARS/*' Clients.java BOOTSTRAP STEM [PART...]
 *
 * Topics, groups and transactional ids begin with STEM. A line for each part that went well (all, if none is named), at
 * last "done"; what goes wrong ends it with status 1. */
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;
import java.util.function.BooleanSupplier;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.MemberToRemove;
import org.apache.kafka.clients.admin.NewPartitions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.RecordsToDelete;
import org.apache.kafka.clients.admin.RemoveMembersFromConsumerGroupOptions;
import org.apache.kafka.clients.consumer.AcknowledgeType;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.KafkaShareConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.GroupIdNotFoundException;
import org.apache.kafka.common.errors.InvalidProducerEpochException;
import org.apache.kafka.common.errors.ProducerFencedException;
import org.apache.kafka.common.errors.TopicExistsException;
import org.apache.kafka.common.errors.UnknownTopicOrPartitionException;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

public class Clients {
    private static final String[] CODECS = {"none", "gzip", "snappy", "lz4", "zstd"};
    private static final int PARTITIONS = 4;
    private static final int SECONDS_MAX = 40; // that anything may take
    private static final String ASSIGNORS = "org.apache.kafka.clients.consumer.";
    private static final String[] CLASSIC = {"group.protocol", "classic", "heartbeat.interval.ms", "200"};
    private static final Duration POLL = Duration.ofMillis(50);
    private final String bootstrap;
    private final String stem;
    private final Admin admin;

    private Clients(String bootstrap, String stem) {
        this.bootstrap = bootstrap;
        this.stem = stem;
        admin = Admin.create(properties());
    }

    // --- what the parts share ----------------------------------------------------------------------

    private Properties properties(String... pairs) {
        Properties properties = new Properties();
        properties.put("bootstrap.servers", bootstrap);
        for (int i = 0; i < pairs.length; i += 2)
            properties.put(pairs[i], pairs[i + 1]);
        return properties;
    }

    private static void check(boolean good, Object what) {
        if (!good)
            throw new AssertionError(what);
    }

    private static void same(Object wanted, Object got, String what) {
        check(wanted.equals(got), what + ": wanted " + wanted + ", got " + got);
    }

    private static void await(String what, BooleanSupplier done) {
        long deadline = System.nanoTime() + SECONDS_MAX * 1_000_000_000L;
        while (!done.getAsBoolean())
            check(System.nanoTime() < deadline, what + ": not within " + SECONDS_MAX + " s");
    }

    private static <T> T get(Future<T> future) throws Exception {
        return future.get(SECONDS_MAX, java.util.concurrent.TimeUnit.SECONDS);
    }

    private static void fails(Class<?> wanted, Future<?> future, String what) throws Exception {
        try {
            get(future);
        } catch (ExecutionException failure) {
            check(wanted.isInstance(failure.getCause()), what + " fails with " + failure.getCause());
            return;
        }
        throw new AssertionError(what + " does not fail");
    }

    /** Groups of which the broker says how often members are heard: often, or each step of a rebalance takes seconds. */
    private void configureGroup(String group, String... pairs) throws Exception {
        List<AlterConfigOp> changes = new ArrayList<>();
        for (int i = 0; i < pairs.length; i += 2)
            changes.add(new AlterConfigOp(new ConfigEntry(pairs[i], pairs[i + 1]), AlterConfigOp.OpType.SET));
        get(admin.incrementalAlterConfigs(Map.of(new ConfigResource(ConfigResource.Type.GROUP, group), changes)).all());
    }

    private String create(String name, int partitions) throws Exception {
        String topic = stem + "-" + name;
        get(admin.createTopics(List.of(new NewTopic(topic, partitions, (short) 1))).all());
        awaitTopic(topic, partitions);
        return topic;
    }

    /** A topic that was created is known to every broker only a little later. */
    private void awaitTopic(String topic, int partitions) {
        await(topic + " has " + partitions + " partitions", () -> {
            try {
                var described = get(admin.describeTopics(List.of(topic)).allTopicNames()).get(topic);
                return described.partitions().size() == partitions
                    && described.partitions().stream().allMatch(each -> each.leader() != null);
            } catch (Exception notYet) {
                return false;
            }
        });
    }

    private static List<TopicPartition> partitionsOf(String topic, int count) {
        return IntStream.range(0, count).mapToObj(i -> new TopicPartition(topic, i)).collect(Collectors.toList());
    }

    private KafkaProducer<String, String> producer(String... pairs) {
        return new KafkaProducer<>(properties(pairs), new StringSerializer(), new StringSerializer());
    }

    private KafkaConsumer<String, String> consumer(String... pairs) {
        Properties properties = properties("auto.offset.reset", "earliest", "enable.auto.commit", "false",
                                           "fetch.max.wait.ms", "100");
        properties.putAll(properties(pairs));
        return new KafkaConsumer<>(properties, new StringDeserializer(), new StringDeserializer());
    }

    /** Values of all partitions from their beginnings to their ends, which follow the isolation level. */
    private List<String> readAll(String topic, int partitions, String isolation) {
        List<String> values = new ArrayList<>();
        List<TopicPartition> assigned = partitionsOf(topic, partitions);
        try (var consumer = consumer("isolation.level", isolation)) {
            consumer.assign(assigned);
            consumer.seekToBeginning(assigned);
            Map<TopicPartition, Long> ends = consumer.endOffsets(assigned);
            await("read of " + topic, () -> {
                consumer.poll(POLL).forEach(record -> values.add(record.value()));
                return assigned.stream().allMatch(each -> consumer.position(each) >= ends.get(each));
            });
        }
        return values;
    }

    private void send(String topic, String prefix, int from, int to) throws Exception {
        List<Future<RecordMetadata>> sent = new ArrayList<>();
        try (var producer = producer("linger.ms", "5")) {
            for (int i = from; i < to; i++)
                sent.add(producer.send(new ProducerRecord<>(topic, i % PARTITIONS, "k" + i, prefix + i)));
        }
        for (var each : sent)
            get(each);
    }

    private static Set<String> values(String prefix, int from, int to) {
        return IntStream.range(from, to).mapToObj(i -> prefix + i).collect(Collectors.toSet());
    }

    // --- admin -------------------------------------------------------------------------------------

    private void testAdmin() throws Exception {
        var cluster = admin.describeCluster();
        check(!get(cluster.nodes()).isEmpty(), "no brokers");
        check(get(cluster.controller()) != null && get(cluster.clusterId()) != null, "no controller or cluster id");
        String topic = stem + "-admin";
        NewTopic wanted = new NewTopic(topic, 2, (short) 1).configs(Map.of("retention.ms", "7654321"));
        get(admin.createTopics(List.of(wanted)).all());
        awaitTopic(topic, 2);
        fails(TopicExistsException.class, admin.createTopics(List.of(wanted)).all(), "a second creation");
        check(get(admin.listTopics().names()).contains(topic), "topic is not listed");

        ConfigResource resource = new ConfigResource(ConfigResource.Type.TOPIC, topic);
        ConfigEntry entry = get(admin.describeConfigs(List.of(resource)).all()).get(resource).get("retention.ms");
        same("7654321", entry.value(), "retention.ms");
        same(ConfigEntry.ConfigSource.DYNAMIC_TOPIC_CONFIG, entry.source(), "its source");
        get(admin.incrementalAlterConfigs(Map.of(resource, List.of(
            new AlterConfigOp(new ConfigEntry("retention.ms", "1234567"), AlterConfigOp.OpType.SET),
            new AlterConfigOp(new ConfigEntry("max.message.bytes", "500000"), AlterConfigOp.OpType.SET)))).all());
        await("altered retention.ms", () -> {
            try {
                var config = get(admin.describeConfigs(List.of(resource)).all()).get(resource);
                return config.get("retention.ms").value().equals("1234567")
                    && config.get("max.message.bytes").value().equals("500000");
            } catch (Exception failure) {
                throw new AssertionError(failure);
            }
        });
        get(admin.createPartitions(Map.of(topic, NewPartitions.increaseTo(PARTITIONS))).all());
        awaitTopic(topic, PARTITIONS);

        send(topic, "v", 0, 40);
        TopicPartition first = new TopicPartition(topic, 0);
        same(10L, get(admin.listOffsets(Map.of(first, OffsetSpec.latest())).all()).get(first).offset(), "latest");
        var deleted = admin.deleteRecords(Map.of(first, RecordsToDelete.beforeOffset(4)));
        same(4L, get(deleted.lowWatermarks().get(first)).lowWatermark(), "low watermark");
        same(4L, get(admin.listOffsets(Map.of(first, OffsetSpec.earliest())).all()).get(first).offset(), "earliest");

        get(admin.deleteTopics(List.of(topic)).all());
        await("topic is gone", () -> {
            try {
                return !get(admin.listTopics().names()).contains(topic);
            } catch (Exception failure) {
                throw new AssertionError(failure);
            }
        });
        fails(UnknownTopicOrPartitionException.class, admin.deleteTopics(List.of(topic)).all(), "a second deletion");
    }

    // --- produce -----------------------------------------------------------------------------------

    private void produce(String codec, String acks) throws Exception {
        String topic = create("produce-" + codec + "-" + acks, 1);
        List<ProducerRecord<String, String>> sent = new ArrayList<>();
        for (int i = 0; i < 300; i++) {
            var record = new ProducerRecord<String, String>(topic, 0, 1_700_000_000_000L + i, i % 3 == 0 ? null : "key " + i,
                                                            i % 7 == 0 ? null : "value ".repeat(i % 50) + i);
            record.headers().add("h", ("header " + i).getBytes()).add("nothing", null);
            sent.add(record);
        }
        try (var producer = producer("compression.type", codec, "acks", acks, "linger.ms", "10",
                                     "enable.idempotence", Boolean.toString(acks.equals("all")))) {
            List<Future<RecordMetadata>> answers = new ArrayList<>();
            for (var record : sent)
                answers.add(producer.send(record));
            producer.flush();
            for (int i = 0; i < answers.size(); i++)
                if (!acks.equals("0"))
                    same((long) i, get(answers.get(i)).offset(), "offset");
        }
        List<ConsumerRecord<String, String>> got = new ArrayList<>();
        try (var consumer = consumer()) {
            consumer.assign(partitionsOf(topic, 1));
            await("records of " + topic, () -> {
                consumer.poll(POLL).forEach(got::add);
                return got.size() >= sent.size();
            });
        }
        same(sent.size(), got.size(), "records of " + topic);
        for (int i = 0; i < got.size(); i++) {
            var wanted = sent.get(i);
            var record = got.get(i);
            same((long) i, record.offset(), "offset");
            same(Arrays.asList(wanted.key(), wanted.value(), wanted.timestamp(), wanted.headers()),
                 Arrays.asList(record.key(), record.value(), record.timestamp(), record.headers()), "record " + i);
        }
    }

    private void testProduce() throws Exception {
        for (String codec : CODECS)
            produce(codec, "all");
        produce("none", "1");
        produce("lz4", "0");
    }

    // --- groups ------------------------------------------------------------------------------------

    /** One consumer of a group; commits what it polled at once. */
    private final class Member implements ConsumerRebalanceListener, AutoCloseable {
        private final KafkaConsumer<String, String> consumer;
        private final List<String> seen;

        Member(String topic, List<String> seen, String... pairs) {
            this.seen = seen;
            consumer = consumer(pairs);
            consumer.subscribe(List.of(topic), this);
        }

        void poll() {
            var records = consumer.poll(POLL);
            records.forEach(record -> seen.add(record.value()));
            if (!records.isEmpty())
                consumer.commitSync();
        }

        int assigned() {
            return consumer.assignment().size();
        }

        @Override
        public void onPartitionsRevoked(Collection<TopicPartition> partitions) { }

        @Override
        public void onPartitionsAssigned(Collection<TopicPartition> partitions) { }

        @Override
        public void close() {
            consumer.close();
        }
    }

    private static void poll(List<Member> members) {
        members.forEach(Member::poll);
    }

    /** A member alone, with a second one, and alone again; each record comes to one of them, once. */
    private void group(String name, String... pairs) throws Exception {
        String topic = create("group-" + name, PARTITIONS);
        String group = stem + "-" + name;
        List<String> seen = new ArrayList<>();
        send(topic, "a", 0, 40);
        try (Member first = new Member(topic, seen, with(pairs, "group.id", group))) {
            List<Member> members = new ArrayList<>(List.of(first));
            await(name + ": the first member has all and reads them", () -> {
                poll(members);
                return first.assigned() == PARTITIONS && seen.size() >= 40;
            });
            try (Member second = new Member(topic, seen, with(pairs, "group.id", group))) {
                members.add(second);
                await(name + ": each member has half", () -> {
                    poll(members);
                    return first.assigned() == PARTITIONS / 2 && second.assigned() == PARTITIONS / 2;
                });
                send(topic, "b", 0, 40);
                await(name + ": both members read", () -> {
                    poll(members);
                    return seen.size() >= 80;
                });
                var described = get(admin.describeConsumerGroups(List.of(group)).all()).get(group);
                same(2, described.members().size(), "members described");
                same("Stable", described.groupState().toString(), "state described");
                members.remove(second);
            }
            await(name + ": the first member has all again", () -> {
                poll(members);
                return first.assigned() == PARTITIONS;
            });
            send(topic, "c", 0, 40);
            await(name + ": the first member reads again", () -> {
                poll(members);
                return seen.size() >= 120;
            });
        }
        Set<String> wanted = new HashSet<>(values("a", 0, 40));
        wanted.addAll(values("b", 0, 40));
        wanted.addAll(values("c", 0, 40));
        same(wanted, new HashSet<>(seen), name + ": values");
        same(wanted.size(), seen.size(), name + ": number of values, so each came once");
        var committed = get(admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata());
        for (TopicPartition each : partitionsOf(topic, PARTITIONS))
            same(30L, committed.get(each).offset(), name + ": committed of " + each);
        check(get(admin.listGroups().all()).stream().anyMatch(each -> each.groupId().equals(group)), "not listed");
        await(name + ": group is empty", () -> {
            try {
                return get(admin.describeConsumerGroups(List.of(group)).all()).get(group).members().isEmpty();
            } catch (Exception failure) {
                throw new AssertionError(failure);
            }
        });
        get(admin.deleteConsumerGroups(List.of(group)).all());
        fails(GroupIdNotFoundException.class, admin.deleteConsumerGroups(List.of(group)).all(), "a second deletion");
    }

    private void testGroups() throws Exception {
        group("range", with(CLASSIC, "partition.assignment.strategy", ASSIGNORS + "RangeAssignor"));
        group("cooperative", with(CLASSIC, "partition.assignment.strategy", ASSIGNORS + "CooperativeStickyAssignor"));
        staticMembers("static-classic", CLASSIC);
    }

    private void testConsumerGroups() throws Exception {
        for (String name : List.of("uniform", "server-range", "static-consumer", "regex"))
            configureGroup(stem + "-" + name, "consumer.heartbeat.interval.ms", "500");
        group("uniform", "group.protocol", "consumer", "group.remote.assignor", "uniform");
        group("server-range", "group.protocol", "consumer", "group.remote.assignor", "range");
        staticMembers("static-consumer", "group.protocol", "consumer");
        testRegex();
    }

    /** A member with a name of its own keeps its partitions while it is away, until an admin takes it out. */
    private void staticMembers(String name, String... pairs) throws Exception {
        String topic = create("group-" + name, PARTITIONS);
        String group = stem + "-" + name;
        List<String> seen = new ArrayList<>();
        String[] one = with(pairs, "group.id", group, "group.instance.id", "one");
        String[] two = with(pairs, "group.id", group, "group.instance.id", "two");
        send(topic, "a", 0, 40);
        try (Member first = new Member(topic, seen, one)) {
            Set<TopicPartition> share = new HashSet<>();
            try (Member second = new Member(topic, seen, two)) {
                await(name + ": each static member has half", () -> {
                    poll(List.of(first, second));
                    return first.assigned() == 2 && second.assigned() == 2 && seen.size() >= 40;
                });
                share.addAll(second.consumer.assignment());
            }
            for (int i = 0; i < 20; i++) {
                first.poll();
                same(PARTITIONS / 2, first.assigned(), name + ": partitions while the other member is away");
            }
            send(topic, "b", 0, 40);
            try (Member again = new Member(topic, seen, two)) {
                await(name + ": the member that came again reads", () -> {
                    poll(List.of(first, again));
                    return seen.size() >= 80;
                });
                same(share, again.consumer.assignment(), name + ": partitions of the member that came again");
            }
            get(admin.removeMembersFromConsumerGroup(group, new RemoveMembersFromConsumerGroupOptions(
                List.of(new MemberToRemove("two")))).all());
            await(name + ": the first member has all", () -> {
                first.poll();
                return first.assigned() == PARTITIONS;
            });
        }
    }

    private static String[] with(String[] pairs, String... more) {
        String[] all = Arrays.copyOf(pairs, pairs.length + more.length);
        System.arraycopy(more, 0, all, pairs.length, more.length);
        return all;
    }

    /** A regular expression that the broker resolves. */
    private void testRegex() throws Exception {
        String topic = create("regex-1", 2);
        create("other", 2);
        send2(topic, 10);
        Set<String> seen = new HashSet<>();
        try (var consumer = consumer("group.protocol", "consumer", "group.id", stem + "-regex")) {
            consumer.subscribe(new org.apache.kafka.clients.consumer.SubscriptionPattern(stem + "-regex-.*"));
            await("records of a regex", () -> {
                consumer.poll(POLL).forEach(record -> seen.add(record.value()));
                return seen.size() >= 10;
            });
            same(new HashSet<>(partitionsOf(topic, 2)), consumer.assignment(), "assignment of a regex");
        }
    }

    private void send2(String topic, int count) throws Exception {
        try (var producer = producer()) {
            for (int i = 0; i < count; i++)
                producer.send(new ProducerRecord<>(topic, i % 2, null, "r" + i));
        }
    }

    // --- transactions ------------------------------------------------------------------------------

    private static void sendSome(KafkaProducer<String, String> producer, String topic, String prefix) {
        for (int i = 0; i < 8; i++)
            producer.send(new ProducerRecord<>(topic, i % PARTITIONS, null, prefix + i));
        producer.flush();
    }

    private void testTransactions() throws Exception {
        String topic = create("txn", PARTITIONS);
        String id = stem + "-txn";
        try (var producer = producer("transactional.id", id, "transaction.timeout.ms", "20000")) {
            producer.initTransactions();
            producer.beginTransaction();
            sendSome(producer, topic, "committed-");
            producer.commitTransaction();
            producer.beginTransaction();
            sendSome(producer, topic, "aborted-");
            producer.abortTransaction();
            producer.beginTransaction();
            sendSome(producer, topic, "again-");
            producer.commitTransaction();

            producer.beginTransaction();
            sendSome(producer, topic, "open-");
            same(wantedOf("committed-", "again-"), new HashSet<>(readAll(topic, PARTITIONS, "read_committed")),
                 "read_committed");
            same(wantedOf("committed-", "aborted-", "again-", "open-"),
                 new HashSet<>(readAll(topic, PARTITIONS, "read_uncommitted")), "read_uncommitted");

            fence(id, topic, producer);
        }
        same(wantedOf("committed-", "again-", "second-"), new HashSet<>(readAll(topic, PARTITIONS, "read_committed")),
             "read_committed at last");
        testOffsetsInTransaction(topic);
    }

    private static Set<String> wantedOf(String... prefixes) {
        Set<String> all = new HashSet<>();
        for (String prefix : prefixes)
            all.addAll(values(prefix, 0, 8));
        return all;
    }

    /** A second producer of the same id ends the first one's open transaction, and the first one. */
    private void fence(String id, String topic, KafkaProducer<String, String> first) {
        try (var second = producer("transactional.id", id, "transaction.timeout.ms", "20000")) {
            second.initTransactions();
            second.beginTransaction();
            sendSome(second, topic, "second-");
            second.commitTransaction();
        }
        try {
            first.send(new ProducerRecord<>(topic, 0, null, "fenced"));
            first.commitTransaction();
        } catch (ProducerFencedException | InvalidProducerEpochException fenced) {
            return;
        } catch (KafkaException failure) {
            check(failure.getCause() instanceof ProducerFencedException
                  || failure.getCause() instanceof InvalidProducerEpochException, failure);
            return;
        }
        throw new AssertionError("the first producer is not fenced");
    }

    /** Read, process, write: the offsets count exactly when the transaction does. */
    private void testOffsetsInTransaction(String source) throws Exception {
        String target = create("txn-out", PARTITIONS);
        String group = stem + "-txn-group";
        try (var producer = producer("transactional.id", stem + "-processor");
             var consumer = consumer("group.id", group, "isolation.level", "read_committed")) {
            producer.initTransactions();
            consumer.subscribe(List.of(source));
            List<ConsumerRecord<String, String>> batch = new ArrayList<>();
            await("records to process", () -> {
                consumer.poll(POLL).forEach(batch::add);
                return batch.size() >= 24;
            });
            for (boolean commit : new boolean[] {false, true}) {
                Map<TopicPartition, OffsetAndMetadata> offsets = new HashMap<>();
                producer.beginTransaction();
                for (var record : batch) {
                    producer.send(new ProducerRecord<>(target, record.partition(), null, commit + record.value()));
                    offsets.put(new TopicPartition(source, record.partition()), new OffsetAndMetadata(record.offset() + 1));
                }
                producer.sendOffsetsToTransaction(offsets, consumer.groupMetadata());
                if (commit)
                    producer.commitTransaction();
                else
                    producer.abortTransaction();
                var committed = consumer.committed(new HashSet<>(partitionsOf(source, PARTITIONS)));
                for (TopicPartition each : partitionsOf(source, PARTITIONS)) {
                    var got = committed.get(each);
                    same(commit ? offsets.get(each).offset() : -1L, got == null ? -1L : got.offset(),
                         "offset of " + each + " after commit=" + commit);
                }
            }
            same(batch.stream().map(record -> "true" + record.value()).sorted().collect(Collectors.toList()),
                 readAll(target, PARTITIONS, "read_committed").stream().sorted().collect(Collectors.toList()),
                 "what was processed");
        }
    }

    // --- share groups ------------------------------------------------------------------------------

    /** Records that are released come again, counted; those accepted or rejected do not. */
    private void testShare() throws Exception {
        String topic = create("share", 2);
        String group = stem + "-share";
        configureGroup(group, "share.auto.offset.reset", "earliest", "share.heartbeat.interval.ms", "500");
        send2(topic, 20);
        TreeMap<String, Integer> deliveries = new TreeMap<>();
        Set<String> done = new HashSet<>();
        Properties properties = properties("group.id", group, "share.acknowledgement.mode", "explicit");
        try (var consumer = new KafkaShareConsumer<>(properties, new StringDeserializer(), new StringDeserializer())) {
            consumer.subscribe(List.of(topic));
            await("share of records", () -> {
                for (ConsumerRecord<String, String> record : consumer.poll(POLL)) {
                    int count = deliveries.merge(record.value(), 1, Integer::sum);
                    same((short) count, record.deliveryCount().get(), "delivery count of " + record.value());
                    boolean again = record.offset() % 3 == 0 && count == 1;
                    if (!again)
                        check(done.add(record.value()), record.value() + " comes after it was accepted or rejected");
                    consumer.acknowledge(record, again ? AcknowledgeType.RELEASE
                                                 : record.offset() % 5 == 1 ? AcknowledgeType.REJECT
                                                                            : AcknowledgeType.ACCEPT);
                }
                consumer.commitSync().forEach((partition, failure) -> check(failure.isEmpty(), failure));
                return done.size() >= 20;
            });
            same(values("r", 0, 20), done, "values");
            same(8L, deliveries.values().stream().filter(count -> count == 2).count(), "records that came twice");
            var described = get(admin.describeShareGroups(List.of(group)).all()).get(group);
            same(1, described.members().size(), "members of the share group");
        }
    }

    // --- all ---------------------------------------------------------------------------------------

    private interface Part {
        void run() throws Exception;
    }

    public static void main(String[] words) {
        try {
            Clients clients = new Clients(words[0], words[1]);
            List<String> asked = List.of(words).subList(2, words.length);
            Map<String, Part> parts = new LinkedHashMap<>();
            parts.put("admin", clients::testAdmin);
            parts.put("produce", clients::testProduce);
            parts.put("groups", clients::testGroups);
            parts.put("consumer-groups", clients::testConsumerGroups);
            parts.put("transactions", clients::testTransactions);
            parts.put("share", clients::testShare);
            for (var part : parts.entrySet()) {
                if (!asked.isEmpty() && !asked.contains(part.getKey()))
                    continue;
                long begun = System.nanoTime();
                part.getValue().run();
                System.out.printf("%s after %d ms%n", part.getKey(), (System.nanoTime() - begun) / 1_000_000);
            }
            clients.admin.close();
            System.out.println("done");
        } catch (Throwable failure) {
            failure.printStackTrace();
            System.exit(1);
        }
    }
}
