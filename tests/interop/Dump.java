/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Reads whole topics by the official Java client; a JSON line a record, its bytes in base64.
 *
 * usage: java -cp 'JARS/*' Dump.java BOOTSTRAP TOPIC...
 *
 * A line: p partition, o offset, ts timestamp, tt its type, k key, v value, h headers ([name, value], both base64),
 * kp the partition Kafka's default partitioner gives that key (-1 without key). A line {"topic": name} comes
 * before the records of each topic, {"end": true} behind the last one of all. */
import java.io.BufferedOutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.Base64;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.stream.Collectors;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.utils.Utils;

public class Dump {
    private static final Base64.Encoder BASE64 = Base64.getEncoder();
    private static final StringBuilder line = new StringBuilder();

    private static void bytes(byte[] value) {
        if (value == null)
            line.append("null");
        else
            line.append('"').append(BASE64.encodeToString(value)).append('"');
    }

    private static void render(ConsumerRecord<byte[], byte[]> record, int partitions) {
        byte[] key = record.key();
        line.append("{\"p\":").append(record.partition()).append(",\"o\":").append(record.offset());
        line.append(",\"ts\":").append(record.timestamp());
        line.append(",\"tt\":\"").append(record.timestampType()).append("\",\"k\":");
        bytes(key);
        line.append(",\"v\":");
        bytes(record.value());
        line.append(",\"h\":[");
        String comma = "";
        for (Header header : record.headers()) {
            line.append(comma).append('[');
            bytes(header.key().getBytes(StandardCharsets.UTF_8));
            line.append(',');
            bytes(header.value());
            line.append(']');
            comma = ",";
        }
        int byKey = key == null ? -1 : Utils.toPositive(Utils.murmur2(key)) % partitions;
        line.append("],\"kp\":").append(byKey).append("}\n");
    }

    private static boolean isAtEnd(KafkaConsumer<byte[], byte[]> consumer, Map<TopicPartition, Long> ends) {
        return ends.entrySet().stream().allMatch(end -> consumer.position(end.getKey()) >= end.getValue());
    }

    public static void main(String[] words) {
        Properties properties = new Properties();
        properties.put("bootstrap.servers", words[0]);
        PrintStream out = new PrintStream(
            new BufferedOutputStream(System.out, 1 << 16), false, StandardCharsets.US_ASCII);
        try (var consumer = new KafkaConsumer<>(properties, new ByteArrayDeserializer(), new ByteArrayDeserializer())) {
            for (String topic : List.of(words).subList(1, words.length)) {
                List<TopicPartition> all = consumer.partitionsFor(topic).stream()
                    .map(info -> new TopicPartition(topic, info.partition())).collect(Collectors.toList());
                consumer.assign(all);
                consumer.seekToBeginning(all);
                Map<TopicPartition, Long> ends = consumer.endOffsets(all);
                out.print("{\"topic\":\"" + topic + "\"}\n");
                while (!isAtEnd(consumer, ends))
                    for (ConsumerRecord<byte[], byte[]> record : consumer.poll(Duration.ofSeconds(1))) {
                        line.setLength(0);
                        render(record, all.size());
                        out.append(line);
                    }
            }
        }
        out.print("{\"end\":true}\n");
        out.flush();
    }
}
