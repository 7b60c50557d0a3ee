/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Record batches as the official Java classes write and read them.
 *
 * usage: java -cp 'JARS/*' Batches.java write < LINES
 *        java -cp 'JARS/*' Batches.java read < LINES
 *
 * Each JSON line is answered by one. write: {magic, compression, case, seed}, with a case of Writer.write() or "gaps",
 * "large" and so on, which it hands on; the answer is {hex} and what read says of it. read: {hex}; the answer is
 * {batches, validBytes} in the form of `officeflow codec records`, or {error}. */
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.BufferedReader;
import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.Base64;
import java.util.HexFormat;
import java.util.List;
import java.util.OptionalLong;
import java.util.Random;
import org.apache.kafka.common.compress.Compression;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.message.KRaftVersionRecord;
import org.apache.kafka.common.message.LeaderChangeMessage;
import org.apache.kafka.common.message.SnapshotFooterRecord;
import org.apache.kafka.common.message.SnapshotHeaderRecord;
import org.apache.kafka.common.message.VotersRecord;
import org.apache.kafka.common.record.TimestampType;
import org.apache.kafka.common.record.internal.ControlRecordType;
import org.apache.kafka.common.record.internal.DefaultRecordBatch;
import org.apache.kafka.common.record.internal.EndTransactionMarker;
import org.apache.kafka.common.record.internal.MemoryRecords;
import org.apache.kafka.common.record.internal.MemoryRecordsBuilder;
import org.apache.kafka.common.record.internal.MutableRecordBatch;
import org.apache.kafka.common.record.internal.Record;
import org.apache.kafka.common.record.internal.RecordBatch;
import org.apache.kafka.common.record.internal.Records;
import org.apache.kafka.common.utils.ByteBufferOutputStream;

public class Batches {
    private static final ObjectMapper MAPPER = new ObjectMapper();
    private static final PrintStream OUT =
        new PrintStream(new FileOutputStream(FileDescriptor.out), false, StandardCharsets.UTF_8);
    private static final int LARGE_BYTES = 100_000;
    private static final List<String> NAMES =
        List.of("", "a", "trace", "trace", "\u00e4\u20ac\ud83d\ude00", "\0", "n".repeat(200));
    private static final List<String> CODECS = List.of("none", "gzip", "snappy", "lz4", "zstd");

    /** Writes one buffer of batches; the same seed gives the same bytes. */
    private static final class Writer {
        private final byte magic;
        private final String compression;
        private final Random random;

        Writer(byte magic, String compression, Random random) {
            this.magic = magic;
            this.compression = compression;
            this.random = random;
        }

        private boolean oneIn(int n) {
            return random.nextInt(n) == 0;
        }

        private byte[] bytes(int limit) {
            if (oneIn(6))
                return oneIn(2) ? null : new byte[0];
            byte[] bytes = new byte[1 + random.nextInt(limit)];
            if (oneIn(2))
                random.nextBytes(bytes);
            else
                Arrays.fill(bytes, (byte) random.nextInt());
            return bytes;
        }

        private Header[] headers() {
            if (magic < RecordBatch.MAGIC_VALUE_V2)
                return Record.EMPTY_HEADERS;
            Header[] headers = new Header[oneIn(2) ? 0 : random.nextInt(5)];
            for (int i = 0; i < headers.length; i++)
                headers[i] = new RecordHeader(NAMES.get(random.nextInt(NAMES.size())), bytes(40));
            return headers;
        }

        private long timestamp() {
            if (magic == RecordBatch.MAGIC_VALUE_V0)
                return RecordBatch.NO_TIMESTAMP;
            return switch (random.nextInt(12)) {
                case 0 -> RecordBatch.NO_TIMESTAMP;
                case 1 -> 0;
                case 2 -> Long.MAX_VALUE;
                case 3 -> random.nextLong() >>> 1;
                default -> 1_700_000_000_000L + random.nextInt(1_000_000);
            };
        }

        private long offset() {
            return oneIn(3) ? random.nextInt(100) : random.nextLong() >>> (2 + random.nextInt(40));
        }

        private Compression codec() {
            return switch (compression) {
                case "gzip" -> Compression.gzip().level(1 + random.nextInt(9)).build();
                case "lz4" -> Compression.lz4().level(1 + random.nextInt(17)).build();
                case "zstd" -> Compression.zstd().level(random.nextInt(16) - 5).build();
                default -> Compression.of(compression).build();
            };
        }

        private TimestampType timestampType(String name) {
            if (magic == RecordBatch.MAGIC_VALUE_V0)
                return TimestampType.NO_TIMESTAMP_TYPE;
            return name.equals("log-append-time") ? TimestampType.LOG_APPEND_TIME : TimestampType.CREATE_TIME;
        }

        private MemoryRecordsBuilder builder(String name, long baseOffset) {
            boolean isTransactional = name.equals("transactional");
            boolean hasProducer = isTransactional || name.equals("idempotent");
            boolean hasEpoch = magic == RecordBatch.MAGIC_VALUE_V2 && oneIn(2);
            TimestampType type = timestampType(name);
            return new MemoryRecordsBuilder(new ByteBufferOutputStream(1024), magic, codec(), type, baseOffset,
                type == TimestampType.LOG_APPEND_TIME ? Math.max(0, timestamp()) : RecordBatch.NO_TIMESTAMP,
                hasProducer ? random.nextLong() >>> 1 : RecordBatch.NO_PRODUCER_ID,
                hasProducer ? (short) random.nextInt(Short.MAX_VALUE) : RecordBatch.NO_PRODUCER_EPOCH,
                hasProducer ? random.nextInt() >>> 1 : RecordBatch.NO_SEQUENCE, isTransactional, false,
                hasEpoch ? random.nextInt() >>> 1 : RecordBatch.NO_PARTITION_LEADER_EPOCH, Integer.MAX_VALUE,
                name.equals("delete-horizon") ? Math.max(0, timestamp()) : RecordBatch.NO_TIMESTAMP);
        }

        private MemoryRecords records(String name) {
            boolean hasGaps = name.equals("gaps");
            boolean isLarge = name.equals("large");
            long offset = offset();
            MemoryRecordsBuilder builder = builder(name, offset);
            for (int n = 1 + random.nextInt(isLarge ? 4 : 20); n > 0; n--) {
                builder.appendWithOffset(offset, timestamp(), bytes(60), bytes(isLarge ? LARGE_BYTES : 200), headers());
                offset += hasGaps ? 1 + random.nextInt(oneIn(4) ? 1 << 24 : 5) : 1;
            }
            if (hasGaps && magic == RecordBatch.MAGIC_VALUE_V2)
                builder.overrideLastOffset(offset + 7);
            return builder.build();
        }

        /** As a broker stamps what a producer wrote: the records keep their own timestamps, which no longer count. */
        private MemoryRecords stamped() {
            MemoryRecords records = records("create-time");
            long now = Math.max(0, timestamp());
            for (MutableRecordBatch batch : records.batches()) {
                batch.setMaxTimestamp(TimestampType.LOG_APPEND_TIME, now);
                batch.setLastOffset(batch.lastOffset() + 1000);
            }
            return records;
        }

        private MemoryRecords empty() {
            ByteBuffer buffer = ByteBuffer.allocate(DefaultRecordBatch.RECORD_BATCH_OVERHEAD);
            long offset = offset();
            DefaultRecordBatch.writeEmptyHeader(buffer, magic, oneIn(2) ? -1 : 7, (short) 3, 5, offset,
                offset + random.nextInt(1000), random.nextInt() >>> 1,
                timestampType(oneIn(2) ? "create-time" : "log-append-time"), timestamp(), oneIn(2), oneIn(2));
            return MemoryRecords.readableRecords(buffer.flip());
        }

        private MemoryRecords marker(ControlRecordType type) {
            return MemoryRecords.withEndTransactionMarker(offset(), Math.max(0, timestamp()), random.nextInt() >>> 1,
                random.nextLong() >>> 1, (short) random.nextInt(Short.MAX_VALUE),
                new EndTransactionMarker(type, random.nextInt() >>> 1));
        }

        /** What only Kafka's own quorum writes. */
        private MemoryRecords quorum(String name) {
            long offset = offset();
            long now = Math.max(0, timestamp());
            int epoch = random.nextInt() >>> 1;
            ByteBuffer buffer = ByteBuffer.allocate(1024);
            return switch (name) {
                case "leader-change" -> MemoryRecords.withLeaderChangeMessage(offset, now, epoch, buffer,
                    new LeaderChangeMessage().setLeaderId(random.nextInt()));
                case "snapshot-header" -> MemoryRecords.withSnapshotHeaderRecord(offset, now, epoch, buffer,
                    new SnapshotHeaderRecord().setLastContainedLogTimestamp(now));
                case "snapshot-footer" ->
                    MemoryRecords.withSnapshotFooterRecord(offset, now, epoch, buffer, new SnapshotFooterRecord());
                case "kraft-version" -> MemoryRecords.withKRaftVersionRecord(offset, now, epoch, buffer,
                    new KRaftVersionRecord().setKRaftVersion((short) 1));
                case "voters" -> MemoryRecords.withVotersRecord(offset, now, epoch, buffer, new VotersRecord());
                default -> throw new IllegalArgumentException("case " + name);
            };
        }

        /** One behind the other: of this magic and compression, then of any up to this magic. */
        private ByteBuffer several(int count) {
            ByteBuffer[] parts = new ByteBuffer[count];
            parts[0] = records("create-time").buffer();
            for (int i = 1; i < count; i++) {
                byte older = (byte) random.nextInt(magic + 1);
                String codec = CODECS.get(random.nextInt(older == RecordBatch.MAGIC_VALUE_V2 ? 5 : 4));
                parts[i] = new Writer(older, codec, random).records("log-append-time").buffer();
            }
            ByteBuffer all = ByteBuffer.allocate(Arrays.stream(parts).mapToInt(ByteBuffer::remaining).sum());
            for (ByteBuffer part : parts)
                all.put(part);
            return all.flip();
        }

        ByteBuffer write(String name) {
            switch (name) {
                case "empty":
                    return empty().buffer();
                case "stamped":
                    return stamped().buffer();
                case "abort":
                    return marker(ControlRecordType.ABORT).buffer();
                case "commit":
                    return marker(ControlRecordType.COMMIT).buffer();
                case "several":
                    return several(2 + random.nextInt(4));
                case "partial":
                    ByteBuffer all = several(2);
                    return all.limit(all.limit() - 1 - random.nextInt(all.limit() - 1));
                case "leader-change", "snapshot-header", "snapshot-footer", "kraft-version", "voters":
                    return quorum(name).buffer();
                default:
                    return records(name).buffer();
            }
        }
    }

    private static byte[] copy(ByteBuffer bytes) {
        byte[] copy = new byte[bytes.remaining()];
        bytes.duplicate().get(copy);
        return copy;
    }

    private static String base64(ByteBuffer bytes) {
        return bytes == null ? null : Base64.getEncoder().encodeToString(copy(bytes));
    }

    private static void describe(Record record, boolean isControl, ObjectNode out) {
        record.ensureValid();
        out.put("offset", record.offset()).put("timestamp", record.timestamp());
        out.put("key64", base64(record.key())).put("value64", base64(record.value()));
        ArrayNode headers = out.putArray("headers");
        for (Header header : record.headers()) {
            ArrayNode pair = headers.addArray().add(header.key());
            if (header.value() == null)
                pair.addNull();
            else
                pair.addObject().put("b64", base64(ByteBuffer.wrap(header.value())));
        }
        if (isControl)
            out.putObject("control").put("type", ControlRecordType.parseTypeId(record.key()));
    }

    private static void describe(RecordBatch batch, ObjectNode out) {
        batch.ensureValid();
        out.put("baseOffset", batch.baseOffset()).put("magic", batch.magic()).put("crc", batch.checksum());
        out.put("compression", batch.compressionType().name);
        /* Magic 0 has no timestamps, and no third word for that in our JSON. */
        boolean isAppended = batch.timestampType() == TimestampType.LOG_APPEND_TIME;
        out.put("timestampType", (isAppended ? TimestampType.LOG_APPEND_TIME : TimestampType.CREATE_TIME).name);
        if (batch instanceof DefaultRecordBatch current) {
            out.put("batchLength", current.sizeInBytes() - Records.LOG_OVERHEAD);
            out.put("partitionLeaderEpoch", current.partitionLeaderEpoch());
            out.put("isTransactional", current.isTransactional()).put("isControl", current.isControlBatch());
            OptionalLong horizon = current.deleteHorizonMs();
            out.put("deleteHorizonMs", horizon.isPresent() ? horizon.getAsLong() : null);
            out.put("lastOffsetDelta", current.lastOffset() - current.baseOffset());
            out.put("baseTimestamp", current.baseTimestamp()).put("maxTimestamp", current.maxTimestamp());
            out.put("producerId", current.producerId()).put("producerEpoch", current.producerEpoch());
            out.put("baseSequence", current.baseSequence());
        }
        ArrayNode records = out.putArray("records");
        for (Record record : batch)
            describe(record, batch.isControlBatch(), records.addObject());
    }

    private static ObjectNode describe(ByteBuffer bytes) {
        MemoryRecords records = MemoryRecords.readableRecords(bytes.slice());
        ObjectNode out = MAPPER.createObjectNode();
        ArrayNode batches = out.putArray("batches");
        for (RecordBatch batch : records.batches())
            describe(batch, batches.addObject());
        return out.put("validBytes", records.validBytes());
    }

    private static ObjectNode answer(String verb, JsonNode line) {
        if (verb.equals("read"))
            return describe(ByteBuffer.wrap(HexFormat.of().parseHex(line.get("hex").textValue())));
        ByteBuffer bytes = new Writer((byte) line.get("magic").intValue(), line.get("compression").textValue(),
            new Random(line.get("seed").longValue())).write(line.get("case").textValue());
        return describe(bytes).put("hex", HexFormat.of().formatHex(copy(bytes)));
    }

    public static void main(String[] words) throws Exception {
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            ObjectNode answer;
            try {
                answer = answer(words[0], MAPPER.readTree(line));
            } catch (RuntimeException e) {
                answer = MAPPER.createObjectNode().put("error", e.toString());
            }
            OUT.append(MAPPER.writeValueAsString(answer)).append('\n');
        }
        OUT.flush();
    }
}
