/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Writes records by the official Java client, the same ones to several topics, each with a compression of its own.
 *
 * usage: java -cp 'JARS/*' Fill.java BOOTSTRAP FILE COMPRESSION=TOPIC...
 *
 * A line of FILE: partition, timestamp, key, value, then name and value of each header, separated by tabs. Bytes are
 * base64, names too; "-" stands for null, no partition, no timestamp. Its last word is "records N acknowledged". */
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Base64;
import java.util.List;
import java.util.Properties;
import java.util.concurrent.atomic.AtomicLong;
import java.util.stream.Stream;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.serialization.ByteArraySerializer;

public class Fill {
    private static byte[] bytes(String field) {
        return field.equals("-") ? null : Base64.getDecoder().decode(field);
    }

    private static ProducerRecord<byte[], byte[]> parse(String topic, String line) {
        String[] fields = line.split("\t", -1);
        List<Header> headers = new ArrayList<>();
        for (int i = 4; i < fields.length; i += 2)
            headers.add(new RecordHeader(new String(bytes(fields[i]), StandardCharsets.UTF_8), bytes(fields[i + 1])));
        Integer partition = fields[0].equals("-") ? null : Integer.valueOf(fields[0]);
        Long timestamp = fields[1].equals("-") ? null : Long.valueOf(fields[1]);
        return new ProducerRecord<>(topic, partition, timestamp, bytes(fields[2]), bytes(fields[3]), headers);
    }

    public static void main(String[] words) throws Exception {
        for (String word : List.of(words).subList(2, words.length)) {
            String[] pair = word.split("=", 2);
            AtomicLong acknowledged = new AtomicLong();
            Properties properties = new Properties();
            properties.put("bootstrap.servers", words[0]);
            properties.put("compression.type", pair[0]);
            properties.put("linger.ms", "20");
            try (var producer = new KafkaProducer<>(properties, new ByteArraySerializer(), new ByteArraySerializer());
                 Stream<String> lines = Files.lines(Path.of(words[1]), StandardCharsets.US_ASCII)) {
                lines.forEach(line -> producer.send(parse(pair[1], line), (metadata, exception) -> {
                    if (exception == null)
                        acknowledged.incrementAndGet();
                    else
                        System.err.println(pair[1] + ": " + exception);
                }));
            }
            System.out.println(pair[1] + ": records " + acknowledged.get() + " acknowledged");
        }
    }
}
