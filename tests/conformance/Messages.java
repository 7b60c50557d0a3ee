/* SPDX-License-Identifier: LicenseRef-OfficeFlow
 * Messages as the official Java classes write and read them. The values come from the schema inside each Java
 * class, not from this project's; the same seed gives the same messages.
 *
 * usage: java -cp 'JARS/*' Messages.java vectors > tests/vectors/messages.txt
 *        java -cp 'JARS/*' Messages.java write < LINES
 *        java -cp 'JARS/*' Messages.java frame < LINES
 *        java -cp 'JARS/*' Messages.java read < LINES
 *
 * These three answer each JSON line by one. write: {kind, name, version, sample, seed}, where sample is a Filling in
 * small letters. frame: {kind, name, version, seed}; json is then {header, json}. read: {kind, name, version, hex}.
 * Answer: {hex, json, records, unknownTags}, or {error}: the bytes as Java writes them (read: again), its
 * JsonConverter's text, and what that one does not say: the contents of all records fields in base64, and all unknown
 * tagged fields as [tag, base64].
 *
 * A line of vectors: kind, name, version, the bytes in hex ("-": none), and the JsonConverter's text, or "-" where
 * that one does not say all. */
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.BufferedReader;
import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.lang.reflect.InvocationTargetException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.Base64;
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

public class Messages {
    private static final String PACKAGE = "org.apache.kafka.common.message.";
    private static final List<String> DATA = List.of(
        "ConsumerProtocolAssignment", "ConsumerProtocolSubscription", "ControlRecordTypeSchema",
        "DefaultPrincipalData", "EndTxnMarker", "KRaftVersionRecord", "LeaderChangeMessage",
        "SnapshotFooterRecord", "SnapshotHeaderRecord", "VotersRecord");
    private static final long VECTORS_SEED = 431;
    private static final ObjectMapper MAPPER = new ObjectMapper();
    private static final PrintStream OUT =
        new PrintStream(new FileOutputStream(FileDescriptor.out), false, StandardCharsets.UTF_8);

    /** How the fields of a message are filled. */
    enum Filling {
        DEFAULT, /* left alone                                                            */
        FULL,    /* different from every default; no array empty, nothing null, all tags  */
        NULLS,   /* the same, but null wherever that is allowed                           */
        CORNERS, /* the ends of every type                                                */
        RANDOM,  /* anything                                                              */
        UNKNOWN, /* anything, and tagged fields that no schema knows                      */
    }

    /** Makes the value of every type of field. */
    private static final class Values {
        private static final String[] PIECES = {
            "a", "topic-", "orders.", "\"", "\\", "\n", "\u00e4", "\u20ac", "\ud83d\ude00", "/", "0", " "};
        private static final String[] CORNER_TEXTS = {
            "", "\0", "\1\2\3\4\5\6\7\b\t\n\u000b\f\r\u000e\u000f\20\21\22\23\24\25\26\27\30\31\32\33\34\35\36\37",
            "\u007f\u0080\u009f\u00ad", "\u2028\u2029\u200b\ufeff", "\ud7ff\ue000\ufffd\uffff",
            "\ud800\udc00\udbff\udfff", "\"\\/'<>&", "\\u0041\\n", "null", "e\u0301",
            "a".repeat(126), "b".repeat(127), "c".repeat(128)};
        private static final int TEXT_MAX_BYTES = 32767;
        private static final int[] CORNER_SIZES = {0, 1, 126, 127, 128, 1000};
        private static final double[] CORNER_FLOATS = {
            0.0, -0.0, Double.NaN, Double.POSITIVE_INFINITY, Double.NEGATIVE_INFINITY, Double.MIN_VALUE,
            -Double.MIN_VALUE, Double.MIN_NORMAL, Math.nextDown(Double.MIN_NORMAL), Double.MAX_VALUE, -Double.MAX_VALUE,
            1.0, 100.0, 1e7, 1e21, 1e22, 1e23, 0.1, 1.0 / 3, 1e-3, 1e-7, 9007199254740992.0, 9007199254740994.0,
            123456789012345680.0, 2.2250738585072011e-308, 1.7976931348623157e308};

        private final Random random;
        private final Filling filling;

        Values(Random random, Filling filling) {
            this.random = random;
            this.filling = filling;
        }

        private boolean oneIn(int n) {
            return random.nextInt(n) == 0;
        }

        private boolean isRandom() {
            return filling == Filling.RANDOM || filling == Filling.UNKNOWN;
        }

        /** Nothing may look like a default. */
        private boolean isFilled() {
            return filling == Filling.FULL || filling == Filling.NULLS;
        }

        private boolean isNull() {
            return isRandom() ? oneIn(4) : filling == Filling.NULLS;
        }

        private int count() {
            return isRandom() ? random.nextInt(3) : 1 + random.nextInt(2);
        }

        private boolean hasTag() {
            return !isRandom() || oneIn(2);
        }

        private long number(long min, long max) {
            if (filling == Filling.CORNERS) {
                long[] corners = {min, max, min + 1, max - 1, 0, 1, max / 2 + 1, -(max / 2), (1L << 53) + 1, 127, 128};
                long corner = corners[random.nextInt(corners.length)];
                return corner < min || corner > max ? max : corner;
            }
            if (isFilled())
                return 20 + random.nextInt(100); /* no field's default */
            return switch (random.nextInt(5)) {
                case 0 -> min;
                case 1 -> max;
                case 2 -> min + (long) (random.nextDouble() * ((double) max - (double) min) * 0.999);
                default -> random.nextInt(100);
            };
        }

        private double real() {
            if (filling != Filling.CORNERS)
                return random.nextGaussian() * 1000;
            if (!oneIn(3))
                return CORNER_FLOATS[random.nextInt(CORNER_FLOATS.length)];
            double any = Double.longBitsToDouble(random.nextLong());
            return Double.isNaN(any) ? Double.NaN : any; /* JSON knows one NaN only */
        }

        private String text() {
            if (filling == Filling.CORNERS)
                return oneIn(200) ? "z".repeat(TEXT_MAX_BYTES) : CORNER_TEXTS[random.nextInt(CORNER_TEXTS.length)];
            StringBuilder text = new StringBuilder(isFilled() ? "x" : "");
            for (int n = random.nextInt(5); n > 0; n--)
                text.append(PIECES[random.nextInt(PIECES.length)]);
            return text.toString();
        }

        private int size() {
            if (filling == Filling.CORNERS)
                return CORNER_SIZES[random.nextInt(CORNER_SIZES.length)];
            return random.nextInt(20) + (isFilled() ? 1 : 0);
        }

        private ByteBuffer bytes() {
            byte[] bytes = new byte[size()];
            random.nextBytes(bytes);
            return ByteBuffer.wrap(bytes);
        }

        private Object value(Type type) {
            if (type.isNullable() && isNull())
                return null;
            Optional<Type> element = type.arrayElementType();
            if (element.isPresent()) {
                Object[] items = new Object[count()];
                for (int i = 0; i < items.length; i++)
                    items[i] = value(element.get());
                return items;
            }
            if (type instanceof Schema schema)
                return struct(schema);
            if (type instanceof TaggedFields tagged)
                return tags(tagged);
            String name = type.toString();
            if (name.contains("RECORDS"))
                return MemoryRecords.readableRecords(bytes());
            if (name.contains("STRING"))
                return text();
            if (name.contains("BYTES"))
                return bytes();
            return switch (name) {
                case "BOOLEAN" -> isFilled() || random.nextBoolean();
                case "INT8" -> (byte) number(Byte.MIN_VALUE, Byte.MAX_VALUE);
                case "INT16" -> (short) number(Short.MIN_VALUE, Short.MAX_VALUE);
                case "UINT16" -> (int) number(0, 65535);
                case "INT32" -> (int) number(Integer.MIN_VALUE, Integer.MAX_VALUE);
                case "INT64" -> number(Long.MIN_VALUE, Long.MAX_VALUE);
                case "FLOAT64" -> real();
                case "UUID" -> new Uuid(random.nextLong(), random.nextLong());
                default -> throw new IllegalStateException("type " + name);
            };
        }

        private NavigableMap<Integer, Object> tags(TaggedFields type) {
            NavigableMap<Integer, Object> tags = new TreeMap<>();
            for (Map.Entry<Integer, Field> entry : type.fields().entrySet())
                if (hasTag())
                    tags.put(entry.getKey(), value(entry.getValue().type));
            if (filling == Filling.UNKNOWN && oneIn(2)) {
                int tag = 500 + random.nextInt(100000);
                tags.put(tag, new RawTaggedField(tag, bytes().array()));
            }
            return tags;
        }

        Struct struct(Schema schema) {
            Struct struct = new Struct(schema);
            for (BoundField field : schema.fields())
                struct.set(field, value(field.def.type));
            return struct;
        }
    }

    /** One message in one version, by its official class. */
    private static final class Official {
        private final Class<?> type;
        private final short version;

        Official(String kind, String name, int version) throws Exception {
            this.type = Class.forName(PACKAGE + className(kind, name));
            this.version = (short) version;
        }

        static String className(String kind, String name) {
            return switch (kind) {
                case "request" -> name + "RequestData";
                case "response" -> name + "ResponseData";
                case "request-header" -> "RequestHeaderData";
                case "response-header" -> "ResponseHeaderData";
                default -> name;
            };
        }

        private Message message() throws Exception {
            return (Message) type.getDeclaredConstructor().newInstance();
        }

        private Schema schema() throws Exception {
            return ((Schema[]) type.getField("SCHEMAS").get(null))[version];
        }

        private short bound(String field) throws Exception {
            return type.getField(field).getShort(null);
        }

        private byte[] encode(Message message) {
            ObjectSerializationCache cache = new ObjectSerializationCache();
            ByteBuffer buffer = ByteBuffer.allocate(message.size(cache, version));
            message.write(new ByteBufferAccessor(buffer), cache, version);
            return buffer.array();
        }

        private Message decode(ByteBuffer bytes) throws Exception {
            Message message = message();
            message.read(new ByteBufferAccessor(bytes), version);
            if (bytes.hasRemaining())
                throw new IllegalStateException(bytes.remaining() + " bytes behind the message");
            return message;
        }

        /** Through a struct of the schema, as the classes have no setters by name. */
        byte[] sample(Random random, Filling filling) throws Exception {
            if (filling == Filling.DEFAULT)
                return encode(message());
            Struct struct = new Values(random, filling).struct(schema());
            ByteBuffer raw = ByteBuffer.allocate(struct.sizeOf());
            struct.writeTo(raw);
            return encode(decode(raw.flip()));
        }

        ObjectNode describe(byte[] bytes) throws Exception {
            Message message = decode(ByteBuffer.wrap(bytes));
            ObjectNode answer = MAPPER.createObjectNode();
            answer.put("hex", HexFormat.of().formatHex(encode(message)));
            answer.set("json", (JsonNode) Class.forName(type.getName() + "JsonConverter")
                .getMethod("write", type, short.class).invoke(null, message, version));
            collect(schema().read(ByteBuffer.wrap(bytes)), answer.putArray("records"), answer.putArray("unknownTags"));
            return answer;
        }

        /** What the JsonConverter leaves out. */
        private static void collect(Object value, ArrayNode records, ArrayNode tags) {
            if (value instanceof Struct struct) {
                for (BoundField field : struct.schema().fields())
                    collect(struct.get(field), records, tags);
            } else if (value instanceof Object[] items) {
                for (Object item : items)
                    collect(item, records, tags);
            } else if (value instanceof Map<?, ?> fields) {
                for (Object field : fields.values())
                    collect(field, records, tags);
            } else if (value instanceof MemoryRecords content) {
                records.add(base64(content.buffer()));
            } else if (value instanceof RawTaggedField field) {
                tags.addArray().add(field.tag()).add(base64(ByteBuffer.wrap(field.data())));
            }
        }

        private static String base64(ByteBuffer buffer) {
            byte[] bytes = new byte[buffer.remaining()];
            buffer.duplicate().get(bytes);
            return Base64.getEncoder().encodeToString(bytes);
        }
    }

    /** Size, header and a body of defaults: about headers, as write is about bodies. */
    private static ObjectNode frame(String kind, String name, short version, Random random) throws Exception {
        ApiMessageType api = Stream.of(ApiMessageType.values()).filter(any -> any.name.equals(name)).findAny().get();
        boolean isRequest = kind.equals("request");
        Official head = new Official(kind + "-header", name,
            isRequest ? api.requestHeaderVersion(version) : api.responseHeaderVersion(version));
        byte[] header = head.sample(random, Filling.RANDOM);
        if (isRequest)
            ByteBuffer.wrap(header).putShort(api.apiKey()).putShort(version);
        Official official = new Official(kind, name, version);
        byte[] body = official.sample(random, Filling.DEFAULT);
        ByteBuffer frame = ByteBuffer.allocate(Integer.BYTES + header.length + body.length);
        frame.putInt(header.length + body.length).put(header).put(body);
        ObjectNode answer = official.describe(body).put("hex", HexFormat.of().formatHex(frame.array()));
        ObjectNode both = MAPPER.createObjectNode();
        both.set("header", head.describe(header).get("json"));
        both.set("json", answer.get("json"));
        answer.set("json", both);
        return answer;
    }

    private static ObjectNode answer(String verb, JsonNode line) throws Exception {
        String kind = line.get("kind").textValue();
        String name = line.path("name").asText();
        short version = line.get("version").shortValue();
        Random random = new Random(line.path("seed").longValue());
        Official official = new Official(kind, name, version);
        return switch (verb) {
            case "write" -> official.describe(
                official.sample(random, Filling.valueOf(line.get("sample").textValue().toUpperCase())));
            case "frame" -> frame(kind, name, version, random);
            case "read" -> official.describe(HexFormat.of().parseHex(line.get("hex").textValue()));
            default -> throw new IllegalArgumentException("verb " + verb);
        };
    }

    private static void answerLines(String verb) throws Exception {
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            ObjectNode answer;
            try {
                answer = answer(verb, MAPPER.readTree(line));
            } catch (Exception e) {
                Throwable cause = e instanceof InvocationTargetException ? e.getCause() : e;
                answer = MAPPER.createObjectNode().put("error", cause.toString());
            }
            OUT.append(MAPPER.writeValueAsString(answer)).append('\n');
        }
    }

    private static void vector(Random random, String kind, String name, int version, Filling filling) throws Exception {
        Official official = new Official(kind, name, version);
        byte[] bytes = official.sample(random, filling);
        ObjectNode told = official.describe(bytes);
        boolean isAll = told.get("records").isEmpty() && filling != Filling.UNKNOWN;
        String hex = bytes.length == 0 ? "-" : told.get("hex").textValue();
        OUT.append(kind + " " + name + " " + version + " " + hex + " ")
            .append(isAll ? MAPPER.writeValueAsString(told.get("json")) : "-").append('\n');
    }

    private static void vectors(Random random, String kind, String name) throws Exception {
        Official any = new Official(kind, name, 0);
        short high = any.bound("HIGHEST_SUPPORTED_VERSION");
        for (int version = any.bound("LOWEST_SUPPORTED_VERSION"); version <= high; version++)
            vector(random, kind, name, version, Filling.RANDOM);
        vector(random, kind, name, high, Filling.UNKNOWN);
    }

    private static void allVectors() throws Exception {
        Random random = new Random(VECTORS_SEED);
        List<ApiMessageType> apis = Stream.of(ApiMessageType.values())
            .sorted(Comparator.comparing(ApiMessageType::apiKey)).toList();
        for (ApiMessageType api : apis) {
            if (api.highestSupportedVersion(true) < 0)
                continue;
            vectors(random, "request", api.name);
            vectors(random, "response", api.name);
        }
        vectors(random, "request-header", "RequestHeader");
        vectors(random, "response-header", "ResponseHeader");
        for (String name : DATA)
            vectors(random, "data", name);
    }

    public static void main(String[] words) throws Exception {
        if (words[0].equals("vectors"))
            allVectors();
        else
            answerLines(words[0]);
        OUT.flush();
    }
}
