/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Writes messages.txt: random messages of every API and version as the official Java classes encode them.
 *
 * usage: java -cp KAFKA_CLIENTS.jar:JACKSON_CORE.jar:JACKSON_DATABIND.jar:JACKSON_ANNOTATIONS.jar:SLF4J_API.jar
 *             MessageVectors.java > messages.txt
 *
 * A line: kind, name, version, the bytes in hex ("-": none), and the text of the JsonConverter, or "-" where that
 * one does not say all (records, unknown tagged fields). The values come from the schema inside each Java class,
 * not from this project's; the same seed gives the same file. */
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.PrintStream;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.Comparator;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.NavigableMap;
import java.util.Optional;
import java.util.Random;
import java.util.TreeMap;
import java.util.stream.Stream;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.message.ApiMessageType;
import org.apache.kafka.common.protocol.ByteBufferAccessor;
import org.apache.kafka.common.protocol.Message;
import org.apache.kafka.common.protocol.ObjectSerializationCache;
import org.apache.kafka.common.protocol.types.BoundField;
import org.apache.kafka.common.protocol.types.Field;
import org.apache.kafka.common.protocol.types.RawTaggedField;
import org.apache.kafka.common.protocol.types.Schema;
import org.apache.kafka.common.protocol.types.Struct;
import org.apache.kafka.common.protocol.types.TaggedFields;
import org.apache.kafka.common.protocol.types.Type;
import org.apache.kafka.common.record.internal.MemoryRecords;

public class MessageVectors {
    private static final String PACKAGE = "org.apache.kafka.common.message.";
    private static final List<String> DATA = List.of(
        "ConsumerProtocolAssignment", "ConsumerProtocolSubscription", "ControlRecordTypeSchema",
        "DefaultPrincipalData", "EndTxnMarker", "KRaftVersionRecord", "LeaderChangeMessage",
        "SnapshotFooterRecord", "SnapshotHeaderRecord", "VotersRecord");
    private static final String[] PIECES = {
        "a", "topic-", "orders.", "\"", "\\", "\n", "\u00e4", "\u20ac", "\ud83d\ude00", "/", "0", " "};

    private final Random random = new Random(431);
    private final ObjectMapper mapper = new ObjectMapper();
    private final PrintStream out = new PrintStream(System.out, false, StandardCharsets.UTF_8);
    private boolean hasRecords;
    private boolean withUnknownTags;

    private boolean oneIn(int n) {
        return random.nextInt(n) == 0;
    }

    private long number(long min, long max) {
        return switch (random.nextInt(5)) {
            case 0 -> min;
            case 1 -> max;
            case 2 -> min + (long) (random.nextDouble() * ((double) max - (double) min) * 0.999);
            default -> random.nextInt(100);
        };
    }

    private String text() {
        StringBuilder text = new StringBuilder();
        for (int n = random.nextInt(5); n > 0; n--)
            text.append(PIECES[random.nextInt(PIECES.length)]);
        return text.toString();
    }

    private ByteBuffer bytes() {
        byte[] bytes = new byte[random.nextInt(20)];
        random.nextBytes(bytes);
        return ByteBuffer.wrap(bytes);
    }

    private Object value(Type type) {
        if (type.isNullable() && oneIn(4))
            return null;
        Optional<Type> element = type.arrayElementType();
        if (element.isPresent()) {
            Object[] items = new Object[random.nextInt(3)];
            for (int i = 0; i < items.length; i++)
                items[i] = value(element.get());
            return items;
        }
        if (type instanceof Schema schema)
            return struct(schema);
        if (type instanceof TaggedFields tagged)
            return tags(tagged);
        String name = type.toString();
        if (name.contains("RECORDS")) {
            hasRecords = true;
            return MemoryRecords.readableRecords(bytes());
        }
        if (name.contains("STRING"))
            return text();
        if (name.contains("BYTES"))
            return bytes();
        return switch (name) {
            case "BOOLEAN" -> random.nextBoolean();
            case "INT8" -> (byte) number(Byte.MIN_VALUE, Byte.MAX_VALUE);
            case "INT16" -> (short) number(Short.MIN_VALUE, Short.MAX_VALUE);
            case "UINT16" -> (int) number(0, 65535);
            case "INT32" -> (int) number(Integer.MIN_VALUE, Integer.MAX_VALUE);
            case "INT64" -> number(Long.MIN_VALUE, Long.MAX_VALUE);
            case "FLOAT64" -> random.nextGaussian() * 1000;
            case "UUID" -> new Uuid(random.nextLong(), random.nextLong());
            default -> throw new IllegalStateException("type " + name);
        };
    }

    private NavigableMap<Integer, Object> tags(TaggedFields type) {
        NavigableMap<Integer, Object> tags = new TreeMap<>();
        for (Map.Entry<Integer, Field> entry : type.fields().entrySet())
            if (oneIn(2))
                tags.put(entry.getKey(), value(entry.getValue().type));
        if (withUnknownTags && oneIn(2)) {
            int tag = 500 + random.nextInt(100000);
            tags.put(tag, new RawTaggedField(tag, bytes().array()));
        }
        return tags;
    }

    private Struct struct(Schema schema) {
        Struct struct = new Struct(schema);
        for (BoundField field : schema.fields())
            struct.set(field, value(field.def.type));
        return struct;
    }

    private static byte[] encode(Message message, short version) {
        ObjectSerializationCache cache = new ObjectSerializationCache();
        ByteBuffer buffer = ByteBuffer.allocate(message.size(cache, version));
        message.write(new ByteBufferAccessor(buffer), cache, version);
        return buffer.array();
    }

    private void line(String kind, String name, Class<?> type, short version) throws Exception {
        Schema schema = ((Schema[]) type.getField("SCHEMAS").get(null))[version];
        hasRecords = false;
        Struct struct = struct(schema);
        ByteBuffer raw = ByteBuffer.allocate(struct.sizeOf());
        struct.writeTo(raw);
        raw.flip();
        Message message = (Message) type.getDeclaredConstructor().newInstance();
        message.read(new ByteBufferAccessor(raw), version);
        byte[] bytes = encode(message, version);
        String json = "-";
        if (!hasRecords && !withUnknownTags) {
            Class<?> converter = Class.forName(type.getName() + "JsonConverter");
            Object tree = converter.getMethod("write", type, short.class).invoke(null, message, version);
            json = mapper.writeValueAsString((JsonNode) tree);
        }
        String hex = bytes.length == 0 ? "-" : HexFormat.of().formatHex(bytes);
        out.println(kind + " " + name + " " + version + " " + hex + " " + json);
    }

    private void message(String kind, String name, String className) throws Exception {
        Class<?> type = Class.forName(PACKAGE + className);
        short low = type.getField("LOWEST_SUPPORTED_VERSION").getShort(null);
        short high = type.getField("HIGHEST_SUPPORTED_VERSION").getShort(null);
        for (short version = low; version <= high; version++) {
            withUnknownTags = false;
            line(kind, name, type, version);
        }
        withUnknownTags = true;
        line(kind, name, type, high);
    }

    public static void main(String[] args) throws Exception {
        MessageVectors vectors = new MessageVectors();
        List<ApiMessageType> apis = Stream.of(ApiMessageType.values())
            .sorted(Comparator.comparing(ApiMessageType::apiKey)).toList();
        for (ApiMessageType api : apis) {
            if (api.highestSupportedVersion(true) < 0)
                continue;
            vectors.message("request", api.name, api.name + "RequestData");
            vectors.message("response", api.name, api.name + "ResponseData");
        }
        vectors.message("request-header", "RequestHeader", "RequestHeaderData");
        vectors.message("response-header", "ResponseHeader", "ResponseHeaderData");
        for (String name : DATA)
            vectors.message("data", name, name);
        vectors.out.flush();
    }
}
