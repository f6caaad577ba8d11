import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.time.Instant;
import java.util.Base64;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.TreeSet;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;
import org.apache.kafka.streams.KeyValue;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.TestInputTopic;
import org.apache.kafka.streams.TestOutputTopic;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.TopologyTestDriver;
import org.apache.kafka.streams.kstream.Windowed;
import org.apache.kafka.streams.kstream.internals.SessionWindow;
import org.apache.kafka.streams.processor.StateStore;
import org.apache.kafka.streams.state.KeyValueIterator;
import org.apache.kafka.streams.state.ReadOnlyKeyValueStore;
import org.apache.kafka.streams.state.SessionStore;
import org.apache.kafka.streams.state.ValueAndTimestamp;
import org.apache.kafka.streams.state.WindowStore;
import org.apache.kafka.streams.test.TestRecord;

/**
 * What Kafka Streams answers to cases of the conformance format, one JSON object a line.
 *
 * <p>Reads cases (id, op, params, inputs) from its input, and writes to its output, each at once, what {@link
 * TopologyTestDriver} gave: outputs, final_store, dropped, changelog, changelogs, or error and error_at.
 * Record cache off, no topology optimisation, the wall clock starts at 0. The argument is a directory for stores.
 */
@SuppressWarnings("unchecked")
public final class Oracle {
  private static final ObjectMapper JSON = new ObjectMapper();
  private static final String APPLICATION = "oracle";
  private static final List<String> OUTPUT_TOPICS = List.of("out", "out-a", "out-b", "out-default");

  private final JsonNode given;
  private final TopologyTestDriver driver;
  private final Map<String, TestInputTopic<String, String>> inputs = new HashMap<>();
  private final Map<String, TestOutputTopic<String, String>> outputs = new HashMap<>();

  public static void main(String[] arguments) throws Exception {
    BufferedReader cases = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    PrintStream answers = new PrintStream(System.out, true, StandardCharsets.UTF_8);
    for (String line = cases.readLine(); line != null; line = cases.readLine()) {
      answers.println(JSON.writeValueAsString(answer(JSON.readTree(line), arguments[0])));
    }
  }

  private static ObjectNode answer(JsonNode given, String directory) throws Exception {
    StreamsBuilder builder = new StreamsBuilder();
    Topologies.build(builder, given.get("op").asText(), given.get("params"));
    Properties settings = settings(given.get("params"), directory);
    Topology topology = builder.build(settings);
    try (TopologyTestDriver driver = new TopologyTestDriver(topology, settings, Instant.EPOCH)) {
      return new Oracle(given, driver).run();
    }
  }

  private static Properties settings(JsonNode params, String directory) {
    Properties settings = new Properties();
    settings.put(StreamsConfig.APPLICATION_ID_CONFIG, APPLICATION);
    settings.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, "unused:1");
    settings.put(StreamsConfig.STATE_DIR_CONFIG, directory);
    settings.put(StreamsConfig.STATESTORE_CACHE_MAX_BYTES_CONFIG, 0);
    settings.put(StreamsConfig.DEFAULT_KEY_SERDE_CLASS_CONFIG, "org.apache.kafka.common.serialization.Serdes$StringSerde");
    settings.put(StreamsConfig.DEFAULT_VALUE_SERDE_CLASS_CONFIG, "org.apache.kafka.common.serialization.Serdes$StringSerde");
    settings.put(
        StreamsConfig.TOPOLOGY_OPTIMIZATION_CONFIG,
        params.path("optimized").asBoolean() ? StreamsConfig.SINGLE_STORE_SELF_JOIN : StreamsConfig.NO_OPTIMIZATION);
    long interval = params.path("emit_interval_ms").asLong(0);
    settings.put(StreamsConfig.InternalConfig.EMIT_INTERVAL_MS_KSTREAMS_OUTER_JOIN_SPURIOUS_RESULTS_FIX, interval);
    settings.put(StreamsConfig.InternalConfig.EMIT_INTERVAL_MS_KSTREAMS_WINDOWED_AGGREGATION, interval);
    return settings;
  }

  private Oracle(JsonNode given, TopologyTestDriver driver) {
    this.given = given;
    this.driver = driver;
  }

  private ObjectNode run() throws Exception {
    ObjectNode answer = JSON.createObjectNode().put("id", given.get("id").asText());
    ArrayNode rows = answer.putArray("outputs");
    int place = 0;
    for (JsonNode input : given.get("inputs")) {
      try {
        feed(input);
      } catch (RuntimeException error) {
        collect(place, rows);
        return answer.put("error", root(error).getClass().getSimpleName()).put("error_at", place);
      }
      collect(place, rows);
      place++;
    }
    addFinalStore(answer);
    answer.put("dropped", dropped());
    addChangelogs(answer);
    return answer;
  }

  private void feed(JsonNode input) {
    String topic = input.get(0).asText();
    long time = input.get(3).asLong();
    if (topic.equals("@wall")) {
      driver.advanceWallClockTime(Duration.ofMillis(time));
      return;
    }
    inputs
        .computeIfAbsent(topic, name -> driver.createInputTopic(name, new StringSerializer(), new StringSerializer()))
        .pipeInput(input.get(1).textValue(), input.get(2).textValue(), time);
  }

  /** Appends what came out since the last call, as [place, key, value, ts], and the topic where an op has several. */
  private void collect(int place, ArrayNode rows) throws Exception {
    for (String topic : OUTPUT_TOPICS) {
      if (!driver.producedTopicNames().contains(topic)) {
        continue;
      }
      var records =
          outputs.computeIfAbsent(
              topic, name -> driver.createOutputTopic(name, new StringDeserializer(), new StringDeserializer()));
      for (TestRecord<String, String> record : records.readRecordsToList()) {
        ArrayNode row = rows.addArray().add(place);
        if (Topologies.writesWindows(given)) {
          row.add(JSON.readTree(record.key()));
        } else {
          row.add(record.key());
        }
        row.add(record.value()).add(record.timestamp());
        if (!topic.equals("out")) {
          row.add(topic);
        }
      }
    }
  }

  private void addFinalStore(ObjectNode answer) {
    String name = Topologies.finalStore(given);
    StateStore store = driver.getAllStateStores().get(name);
    if (given.get("params").path("store").asText().equals("lru")) {
      return; // its order is that of Java's hash maps
    }
    if (store instanceof SessionStore<?, ?> sessions) {
      fill(answer.putArray("final_store"), ((SessionStore<String, Object>) sessions).fetch(null, null));
    } else if (store instanceof WindowStore<?, ?> windows) {
      fill(answer.putArray("final_store"), ((WindowStore<String, Object>) windows).all());
    } else if (store instanceof ReadOnlyKeyValueStore<?, ?> pairs) {
      fill(answer.putArray("final_store"), ((ReadOnlyKeyValueStore<Object, Object>) pairs).all());
    }
  }

  /** A store's rows: [key, value, ts], [key, start, value, ts], or [key, start, end, value]; ts null where none is kept. */
  private static void fill(ArrayNode rows, KeyValueIterator<?, ?> iterator) {
    try (iterator) {
      while (iterator.hasNext()) {
        KeyValue<?, ?> next = iterator.next();
        ArrayNode row = rows.addArray();
        Long time = next.value instanceof ValueAndTimestamp<?> kept ? kept.timestamp() : null;
        String value = String.valueOf(next.value instanceof ValueAndTimestamp<?> kept ? kept.value() : next.value);
        if (!(next.key instanceof Windowed<?> window)) {
          row.add((String) next.key).add(value).add(time);
        } else if (window.window() instanceof SessionWindow) {
          row.add((String) window.key()).add(window.window().start()).add(window.window().end()).add(value);
        } else {
          row.add((String) window.key()).add(window.window().start()).add(value).add(time);
        }
      }
    }
  }

  private long dropped() {
    double total = 0;
    for (var metric : driver.metrics().entrySet()) {
      if (metric.getKey().name().equals("dropped-records-total")) {
        total += (Double) metric.getValue().metricValue();
      }
    }
    return (long) total;
  }

  /** The records of internal topics: of the case's own store as changelog, of all others by name as changelogs. */
  private void addChangelogs(ObjectNode answer) {
    ObjectNode others = JSON.createObjectNode();
    for (String topic : new TreeSet<>(driver.producedTopicNames())) {
      if (!topic.startsWith(APPLICATION + "-")) {
        continue;
      }
      String name = topic.substring(APPLICATION.length() + 1);
      ArrayNode rows = JSON.createArrayNode();
      var records = driver.createOutputTopic(topic, new ByteArrayDeserializer(), new ByteArrayDeserializer());
      for (TestRecord<byte[], byte[]> record : records.readRecordsToList()) {
        rows.addArray().add(base64(record.key())).add(base64(record.value())).add(record.timestamp());
      }
      if (name.equals(Topologies.finalStore(given) + "-changelog")) {
        answer.set("changelog", rows);
      } else {
        others.set(name, rows);
      }
    }
    answer.set("changelogs", others);
  }

  private static String base64(byte[] data) {
    return data == null ? null : Base64.getEncoder().encodeToString(data);
  }

  private static Throwable root(Throwable error) {
    Throwable root = error;
    while (root.getCause() != null) {
      root = root.getCause();
    }
    return root;
  }
}
