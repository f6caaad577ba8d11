import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.time.Duration;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Set;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.utils.Bytes;
import org.apache.kafka.streams.KeyValue;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.kstream.Branched;
import org.apache.kafka.streams.kstream.CogroupedKStream;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.EmitStrategy;
import org.apache.kafka.streams.kstream.GlobalKTable;
import org.apache.kafka.streams.kstream.Grouped;
import org.apache.kafka.streams.kstream.JoinWindows;
import org.apache.kafka.streams.kstream.Joined;
import org.apache.kafka.streams.kstream.KGroupedStream;
import org.apache.kafka.streams.kstream.KGroupedTable;
import org.apache.kafka.streams.kstream.KStream;
import org.apache.kafka.streams.kstream.KTable;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.kstream.Produced;
import org.apache.kafka.streams.kstream.SessionWindowedKStream;
import org.apache.kafka.streams.kstream.SessionWindows;
import org.apache.kafka.streams.kstream.SlidingWindows;
import org.apache.kafka.streams.kstream.StreamJoined;
import org.apache.kafka.streams.kstream.Suppressed;
import org.apache.kafka.streams.kstream.Suppressed.BufferConfig;
import org.apache.kafka.streams.kstream.TableJoined;
import org.apache.kafka.streams.kstream.TimeWindowedKStream;
import org.apache.kafka.streams.kstream.TimeWindows;
import org.apache.kafka.streams.kstream.ValueJoiner;
import org.apache.kafka.streams.kstream.Windowed;
import org.apache.kafka.streams.state.BuiltInDslStoreSuppliers;
import org.apache.kafka.streams.state.KeyValueStore;
import org.apache.kafka.streams.state.SessionStore;
import org.apache.kafka.streams.state.Stores;
import org.apache.kafka.streams.state.WindowStore;

/** The topology of each op, in Kafka Streams' DSL. Store names are those that our adapters give. */
final class Topologies {
  private static final ObjectMapper JSON = new ObjectMapper();
  private static final Serde<String> TEXT = Serdes.String();
  private static final Consumed<String, String> CONSUMED = Consumed.with(TEXT, TEXT);
  private static final Produced<String, String> OUT = Produced.with(TEXT, TEXT);
  private static final Grouped<String, String> GROUPED = Grouped.with(TEXT, TEXT);
  private static final ValueJoiner<String, String, String> JOINER = (left, right) -> left + "|" + right;
  private static final Set<String> STREAM_WINDOWS = Set.of("tumbling", "hopping", "sliding", "session");

  private final StreamsBuilder builder;
  private final JsonNode params;

  private Topologies(StreamsBuilder builder, JsonNode params) {
    this.builder = builder;
    this.params = params;
  }

  static void build(StreamsBuilder builder, String op, JsonNode params) {
    Topologies with = new Topologies(builder, params);
    switch (op) {
      case "ss-inner", "ss-left", "ss-outer" -> with.streamStream(op.substring(3));
      case "self-inner" -> with.self();
      case "st-inner", "st-left" -> with.streamTable(op.endsWith("inner"));
      case "gt-inner", "gt-left" -> with.streamGlobal(op.endsWith("inner"));
      case "tt-inner", "tt-left", "tt-outer" -> with.tableTable(op.substring(3));
      case "fk-inner", "fk-left" -> with.foreignKey(op.endsWith("inner"));
      case "count", "reduce", "aggregate" -> with.aggregate(op);
      case "table-count", "table-reduce", "table-aggregate" -> with.aggregateTable(op.substring(6));
      case "tumbling", "hopping", "sliding", "session" -> with.windowed(op);
      case "suppress-close" -> with.suppressClose();
      case "suppress-limit" -> with.suppressLimit();
      case "cogroup" -> with.cogroup();
      case "table-filter" -> with.filterTable();
      case "table-mapvalues" -> with.mapTable();
      case "to-table" -> write(with.stream("in").toTable(Materialized.as("store")));
      case "merge" -> with.stream("L").merge(with.stream("R")).to("out", OUT);
      case "flatmap" -> with.flatMap();
      case "split" -> with.split();
      case "selectkey-count" -> with.selectKeyCount();
      case "punctuate" -> with.stream("in").process(() -> new Counting(params)).to("out", OUT);
      case "kv-store", "window-store", "session-store", "versioned-store" -> StoreOps.build(builder, op, params);
      default -> throw new IllegalArgumentException("no such op: " + op);
    }
  }

  /** The store whose rows and changelog a case has as its own, whether or not the topology has it. */
  static String finalStore(JsonNode given) {
    String op = given.get("op").asText();
    return op.startsWith("st-") || op.startsWith("gt-") ? "table" : "store";
  }

  static boolean writesWindows(JsonNode given) {
    String op = given.get("op").asText();
    return STREAM_WINDOWS.contains(op)
        || op.equals("suppress-close")
        || (op.equals("cogroup") && !given.get("params").get("window").asText().equals("none"));
  }

  // -- joins --------------------------------------------------------------------------------------------------------

  private void streamStream(String kind) {
    KStream<String, String> left = stream("L");
    KStream<String, String> right = stream("R");
    KStream<String, String> joined =
        switch (kind) {
          case "inner" -> left.join(right, JOINER, joinWindows(), streamJoined());
          case "left" -> left.leftJoin(right, JOINER, joinWindows(), streamJoined());
          default -> left.outerJoin(right, JOINER, joinWindows(), streamJoined());
        };
    joined.to("out", OUT);
  }

  private void self() {
    KStream<String, String> stream = stream("in");
    stream.join(stream, JOINER, joinWindows(), streamJoined()).to("out", OUT);
  }

  private JoinWindows joinWindows() {
    return JoinWindows.ofTimeDifferenceAndGrace(millis("before_ms"), millis("grace_ms"))
        .before(millis("before_ms"))
        .after(millis("after_ms"));
  }

  private StreamJoined<String, String, String> streamJoined() {
    StreamJoined<String, String, String> joined =
        StreamJoined.with(TEXT, TEXT, TEXT).withName("join").withStoreName("join");
    return inMemory() ? joined.withDslStoreSuppliers(BuiltInDslStoreSuppliers.IN_MEMORY) : joined;
  }

  private void streamTable(boolean inner) {
    KTable<String, String> table = table("R", "table", params.path("versioned").asBoolean());
    Joined<String, String, String> joined = Joined.with(TEXT, TEXT, TEXT, "join");
    if (params.hasNonNull("grace_ms")) {
      joined = joined.withGracePeriod(millis("grace_ms"));
    }
    KStream<String, String> stream = stream("L");
    (inner ? stream.join(table, JOINER, joined) : stream.leftJoin(table, JOINER, joined)).to("out", OUT);
  }

  private void streamGlobal(boolean inner) {
    GlobalKTable<String, String> table = builder.globalTable("G", CONSUMED, Materialized.as("table"));
    KStream<String, String> stream = stream("L");
    KStream<String, String> joined =
        inner
            ? stream.join(table, (key, value) -> head(value), JOINER)
            : stream.leftJoin(table, (key, value) -> head(value), JOINER);
    joined.to("out", OUT);
  }

  private void tableTable(String kind) {
    KTable<String, String> left = table("L", "left", params.path("left_versioned").asBoolean());
    KTable<String, String> right = table("R", "right", params.path("right_versioned").asBoolean());
    boolean kept = params.path("materialize").asBoolean();
    KTable<String, String> joined =
        switch (kind) {
          case "inner" -> kept ? left.join(right, JOINER, texts()) : left.join(right, JOINER);
          case "left" -> kept ? left.leftJoin(right, JOINER, texts()) : left.leftJoin(right, JOINER);
          default -> kept ? left.outerJoin(right, JOINER, texts()) : left.outerJoin(right, JOINER);
        };
    write(joined);
  }

  private void foreignKey(boolean inner) {
    KTable<String, String> left = table("L", "left", params.path("left_versioned").asBoolean());
    KTable<String, String> right = table("R", "right", params.path("right_versioned").asBoolean());
    TableJoined<String, String> named = TableJoined.as("fk");
    Materialized<String, String, KeyValueStore<Bytes, byte[]>> kept = texts();
    if (params.path("materialize").asBoolean()) {
      write(
          inner
              ? left.join(right, Topologies::foreignKeyOf, JOINER, named, kept)
              : left.leftJoin(right, Topologies::foreignKeyOf, JOINER, named, kept));
    } else {
      write(
          inner
              ? left.join(right, Topologies::foreignKeyOf, JOINER, named)
              : left.leftJoin(right, Topologies::foreignKeyOf, JOINER, named));
    }
  }

  // -- aggregation --------------------------------------------------------------------------------------------------

  private void aggregate(String how) {
    KGroupedStream<String, String> group =
        params.path("group_by").asText("key").equals("key")
            ? stream("in").groupByKey(GROUPED)
            : stream("in").groupBy((key, value) -> head(value), GROUPED);
    switch (how) {
      case "count" -> write(group.count(counts()));
      case "reduce" -> write(group.reduce((one, other) -> one + "+" + other, texts()));
      default -> write(group.aggregate(() -> "0", (key, value, sum) -> sum + "+" + value, texts()));
    }
  }

  private void selectKeyCount() {
    write(stream("in").selectKey((key, value) -> head(value)).groupByKey(GROUPED).count(counts()));
  }

  private void aggregateTable(String how) {
    KTable<String, String> table = table("in", "table", params.path("versioned").asBoolean());
    KGroupedTable<String, String> group =
        table.groupBy((key, value) -> KeyValue.pair(head(value), value), Grouped.with("group", TEXT, TEXT));
    switch (how) {
      case "count" -> write(group.count(counts()));
      case "reduce" -> write(group.reduce((one, other) -> one + "+" + other, (one, other) -> one + "-" + other, texts()));
      default ->
          write(group.aggregate(() -> "0", (key, value, sum) -> sum + "+" + value, (key, value, sum) -> sum + "-" + value, texts()));
    }
  }

  // -- windows ------------------------------------------------------------------------------------------------------

  private void windowed(String kind) {
    KGroupedStream<String, String> group = stream("in").groupByKey(GROUPED);
    String how = params.path("agg").asText("count");
    EmitStrategy emit =
        params.path("emit").asText("update").equals("close") ? EmitStrategy.onWindowClose() : EmitStrategy.onWindowUpdate();
    if (kind.equals("session")) {
      SessionWindowedKStream<String, String> sessions = group.windowedBy(sessionWindows()).emitStrategy(emit);
      switch (how) {
        case "count" -> writeWindows(sessions.count(retained(Materialized.<String, Long, SessionStore<Bytes, byte[]>>as("store"), Serdes.Long())));
        case "reduce" -> writeWindows(sessions.reduce((one, other) -> one + "+" + other, retained(Materialized.<String, String, SessionStore<Bytes, byte[]>>as("store"), TEXT)));
        default ->
            writeWindows(
                sessions.aggregate(
                    () -> "0",
                    (key, value, sum) -> sum + "+" + value,
                    (key, one, other) -> one + "~" + other,
                    retained(Materialized.<String, String, SessionStore<Bytes, byte[]>>as("store"), TEXT)));
      }
      return;
    }
    TimeWindowedKStream<String, String> windows = timeWindowed(group, kind).emitStrategy(emit);
    switch (how) {
      case "count" -> writeWindows(windows.count(retained(Materialized.<String, Long, WindowStore<Bytes, byte[]>>as("store"), Serdes.Long())));
      case "reduce" -> writeWindows(windows.reduce((one, other) -> one + "+" + other, retained(Materialized.<String, String, WindowStore<Bytes, byte[]>>as("store"), TEXT)));
      default ->
          writeWindows(
              windows.aggregate(
                  () -> "0",
                  (key, value, sum) -> sum + "+" + value,
                  retained(Materialized.<String, String, WindowStore<Bytes, byte[]>>as("store"), TEXT)));
    }
  }

  private TimeWindowedKStream<String, String> timeWindowed(KGroupedStream<String, String> group, String kind) {
    return kind.equals("sliding") ? group.windowedBy(slidingWindows()) : group.windowedBy(timeWindows(kind));
  }

  private TimeWindows timeWindows(String kind) {
    TimeWindows windows = TimeWindows.ofSizeAndGrace(millis("size_ms"), millis("grace_ms"));
    return kind.equals("hopping") ? windows.advanceBy(millis("advance_ms")) : windows;
  }

  private SlidingWindows slidingWindows() {
    return SlidingWindows.ofTimeDifferenceAndGrace(millis("diff_ms"), millis("grace_ms"));
  }

  private SessionWindows sessionWindows() {
    return SessionWindows.ofInactivityGapAndGrace(millis("gap_ms"), millis("grace_ms"));
  }

  private void suppressClose() {
    KGroupedStream<String, String> group = stream("in").groupByKey(GROUPED);
    String kind = params.get("window").asText();
    KTable<Windowed<String>, Long> counts =
        kind.equals("session")
            ? group.windowedBy(sessionWindows()).count(retained(Materialized.<String, Long, SessionStore<Bytes, byte[]>>as("store"), Serdes.Long()))
            : timeWindowed(group, kind).count(retained(Materialized.<String, Long, WindowStore<Bytes, byte[]>>as("store"), Serdes.Long()));
    writeWindows(counts.suppress(Suppressed.untilWindowCloses(BufferConfig.unbounded()).withName("suppress")));
  }

  private void suppressLimit() {
    Suppressed.EagerBufferConfig eager =
        params.hasNonNull("max_records") ? BufferConfig.maxRecords(params.get("max_records").asLong()) : null;
    BufferConfig<?> buffer = eager == null ? BufferConfig.unbounded() : eager.emitEarlyWhenFull();
    if (params.path("count").asBoolean()) {
      KTable<String, Long> counts =
          builder.table("in", CONSUMED).groupBy((key, value) -> KeyValue.pair(value, value), Grouped.with("group", TEXT, TEXT)).count(counts());
      write(counts.suppress(Suppressed.<String>untilTimeLimit(millis("limit_ms"), buffer).withName("suppress")));
      return;
    }
    KTable<String, String> table = builder.table("in", CONSUMED, Materialized.as("store"));
    write(table.suppress(Suppressed.<String>untilTimeLimit(millis("limit_ms"), buffer).withName("suppress")));
  }

  private void cogroup() {
    CogroupedKStream<String, String> group =
        stream("A")
            .groupByKey(GROUPED)
            .<String>cogroup((key, value, sum) -> sum + "+A" + value)
            .cogroup(stream("B").groupByKey(GROUPED), (key, value, sum) -> sum + "+B" + value);
    String kind = params.get("window").asText();
    switch (kind) {
      case "none" -> write(group.aggregate(() -> "0", texts()));
      case "session" ->
          writeWindows(
              group.windowedBy(sessionWindows()).aggregate(
                  () -> "0", (key, one, other) -> one + "~" + other, retained(Materialized.<String, String, SessionStore<Bytes, byte[]>>as("store"), TEXT)));
      case "sliding" ->
          writeWindows(
              group.windowedBy(slidingWindows()).aggregate(
                  () -> "0", retained(Materialized.<String, String, WindowStore<Bytes, byte[]>>as("store"), TEXT)));
      default ->
          writeWindows(
              group.windowedBy(timeWindows(kind)).aggregate(
                  () -> "0", retained(Materialized.<String, String, WindowStore<Bytes, byte[]>>as("store"), TEXT)));
    }
  }

  // -- tables and streams -------------------------------------------------------------------------------------------

  private void filterTable() {
    KTable<String, String> table = table("in", "table", params.path("versioned").asBoolean());
    boolean kept = params.path("materialize").asBoolean();
    if (params.path("not").asBoolean()) {
      write(kept ? table.filterNot((key, value) -> value.startsWith("a"), texts()) : table.filterNot((key, value) -> value.startsWith("a")));
    } else {
      write(kept ? table.filter((key, value) -> value.startsWith("a"), texts()) : table.filter((key, value) -> value.startsWith("a")));
    }
  }

  private void mapTable() {
    KTable<String, String> table = table("in", "table", params.path("versioned").asBoolean());
    boolean kept = params.path("materialize").asBoolean();
    write(
        kept
            ? table.mapValues(value -> value.toUpperCase(Locale.ROOT), texts())
            : table.mapValues(value -> value.toUpperCase(Locale.ROOT)));
  }

  private void flatMap() {
    stream("in")
        .flatMap(
            (key, value) ->
                value == null
                    ? List.<KeyValue<String, String>>of()
                    : Arrays.stream(value.split(",", -1)).map(part -> KeyValue.pair(key, part)).toList())
        .to("out", OUT);
  }

  private void split() {
    stream("in")
        .split()
        .branch((key, value) -> value != null && value.startsWith("a"), Branched.withConsumer(some -> some.to("out-a", OUT)))
        .branch((key, value) -> value != null && value.startsWith("b"), Branched.withConsumer(some -> some.to("out-b", OUT)))
        .defaultBranch(Branched.withConsumer(some -> some.to("out-default", OUT)));
  }

  // -- parts --------------------------------------------------------------------------------------------------------

  private KStream<String, String> stream(String topic) {
    return builder.stream(topic, CONSUMED);
  }

  private KTable<String, String> table(String topic, String store, boolean versioned) {
    if (versioned) {
      return builder.table(
          topic, CONSUMED, Materialized.as(Stores.persistentVersionedKeyValueStore(store, millis("history_ms"))));
    }
    return builder.table(topic, CONSUMED, Materialized.as(store));
  }

  private Duration millis(String param) {
    return Duration.ofMillis(params.path(param).asLong(0));
  }

  private boolean inMemory() {
    return params.path("store").asText("rocksdb").equals("in-memory");
  }

  private Materialized<String, String, KeyValueStore<Bytes, byte[]>> texts() {
    return retained(Materialized.<String, String, KeyValueStore<Bytes, byte[]>>as("store"), TEXT);
  }

  private Materialized<String, Long, KeyValueStore<Bytes, byte[]>> counts() {
    return retained(Materialized.<String, Long, KeyValueStore<Bytes, byte[]>>as("store"), Serdes.Long());
  }

  private <V, S extends org.apache.kafka.streams.processor.StateStore> Materialized<String, V, S> retained(
      Materialized<String, V, S> store, Serde<V> values) {
    Materialized<String, V, S> kept = store.withKeySerde(TEXT).withValueSerde(values);
    if (inMemory()) {
      kept = kept.withStoreType(BuiltInDslStoreSuppliers.IN_MEMORY);
    }
    return params.hasNonNull("retention_ms") ? kept.withRetention(millis("retention_ms")) : kept;
  }

  private static void write(KTable<String, ?> table) {
    table.toStream().mapValues(value -> value == null ? null : String.valueOf(value)).to("out", OUT);
  }

  private static void writeWindows(KTable<Windowed<String>, ?> table) {
    table
        .toStream()
        .map((key, value) -> KeyValue.pair(windowText(key), value == null ? null : String.valueOf(value)))
        .to("out", OUT);
  }

  private static String windowText(Windowed<String> key) {
    return JSON.createArrayNode().add(key.key()).add(key.window().start()).add(key.window().end()).toString();
  }

  private static String head(String value) {
    if (value == null) {
      return null;
    }
    String head = value.split(":", 2)[0];
    return head.isEmpty() ? null : head;
  }

  private static String foreignKeyOf(String value) {
    int bar = value == null ? -1 : value.indexOf('|');
    return bar < 0 || bar == value.length() - 1 ? null : value.substring(bar + 1);
  }
}
