import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.serialization.StringSerializer;
import org.apache.kafka.streams.KeyValue;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Produced;
import org.apache.kafka.streams.kstream.Windowed;
import org.apache.kafka.streams.kstream.internals.SessionWindow;
import org.apache.kafka.streams.processor.StateStore;
import org.apache.kafka.streams.processor.api.Processor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.query.MultiVersionedKeyQuery;
import org.apache.kafka.streams.query.PositionBound;
import org.apache.kafka.streams.query.QueryConfig;
import org.apache.kafka.streams.state.KeyValueBytesStoreSupplier;
import org.apache.kafka.streams.state.KeyValueIterator;
import org.apache.kafka.streams.state.KeyValueStore;
import org.apache.kafka.streams.state.SessionStore;
import org.apache.kafka.streams.state.StoreBuilder;
import org.apache.kafka.streams.state.Stores;
import org.apache.kafka.streams.state.ValueAndTimestamp;
import org.apache.kafka.streams.state.VersionedKeyValueStore;
import org.apache.kafka.streams.state.VersionedRecord;
import org.apache.kafka.streams.state.VersionedRecordIterator;
import org.apache.kafka.streams.state.WindowStore;
import org.apache.kafka.streams.state.WindowStoreIterator;

/** Store ops: each record's value spells an op on the store, the answer is a record whose value is JSON text. */
final class StoreOps {
  private static final ObjectMapper JSON = new ObjectMapper();
  private static final Serde<String> TEXT = Serdes.String();

  private StoreOps() {}

  static void build(StreamsBuilder builder, String op, JsonNode params) {
    StoreBuilder<?> store =
        switch (op) {
          case "kv-store" -> keyValue(params);
          case "window-store" -> window(params);
          case "session-store" -> session(params);
          default -> versioned(params);
        };
    builder.addStateStore(store);
    builder
        .stream("in", Consumed.with(TEXT, TEXT))
        .process(() -> new Calling(op, params.path("timestamped").asBoolean()), "store")
        .to("out", Produced.with(TEXT, TEXT));
  }

  private static StoreBuilder<?> keyValue(JsonNode params) {
    KeyValueBytesStoreSupplier supplier =
        switch (params.path("store").asText("rocksdb")) {
          case "in-memory" -> Stores.inMemoryKeyValueStore("store");
          case "lru" -> Stores.lruMap("store", params.get("max_entries").asInt());
          default ->
              params.path("timestamped").asBoolean()
                  ? Stores.persistentTimestampedKeyValueStore("store")
                  : Stores.persistentKeyValueStore("store");
        };
    return params.path("timestamped").asBoolean()
        ? Stores.timestampedKeyValueStoreBuilder(supplier, TEXT, TEXT)
        : Stores.keyValueStoreBuilder(supplier, TEXT, TEXT);
  }

  private static StoreBuilder<?> window(JsonNode params) {
    Duration retention = Duration.ofMillis(params.get("retention_ms").asLong());
    Duration size = Duration.ofMillis(params.get("window_ms").asLong());
    boolean duplicates = params.path("duplicates").asBoolean();
    return Stores.windowStoreBuilder(
        inMemory(params)
            ? Stores.inMemoryWindowStore("store", retention, size, duplicates)
            : Stores.persistentWindowStore("store", retention, size, duplicates),
        TEXT,
        TEXT);
  }

  private static StoreBuilder<?> session(JsonNode params) {
    Duration retention = Duration.ofMillis(params.get("retention_ms").asLong());
    return Stores.sessionStoreBuilder(
        inMemory(params)
            ? Stores.inMemorySessionStore("store", retention)
            : Stores.persistentSessionStore("store", retention),
        TEXT,
        TEXT);
  }

  private static StoreBuilder<?> versioned(JsonNode params) {
    Duration history = Duration.ofMillis(params.get("history_ms").asLong());
    return Stores.versionedKeyValueStoreBuilder(
        params.hasNonNull("segment_ms")
            ? Stores.persistentVersionedKeyValueStore("store", history, Duration.ofMillis(params.get("segment_ms").asLong()))
            : Stores.persistentVersionedKeyValueStore("store", history),
        TEXT,
        TEXT);
  }

  private static boolean inMemory(JsonNode params) {
    return params.path("store").asText("rocksdb").equals("in-memory");
  }

  /** Runs the op of each record. */
  private static final class Calling implements Processor<String, String, String, String> {
    private final String op;
    private final boolean timestamped;
    private ProcessorContext<String, String> context;
    private StateStore store;

    Calling(String op, boolean timestamped) {
      this.op = op;
      this.timestamped = timestamped;
    }

    @Override
    public void init(ProcessorContext<String, String> given) {
      context = given;
      store = given.getStateStore("store");
    }

    @Override
    public void process(Record<String, String> record) {
      String[] words = record.value().split(" ");
      for (int place = 0; place < words.length; place++) {
        words[place] = words[place].equals("~") ? null : words[place];
      }
      String answer;
      try {
        answer = JSON.writeValueAsString(call(record.key(), words, record.timestamp()));
      } catch (NullPointerException | IllegalArgumentException | UnsupportedOperationException error) {
        answer = "\"!" + error.getClass().getSimpleName() + "\"";
      } catch (com.fasterxml.jackson.core.JsonProcessingException error) {
        throw new IllegalStateException(error);
      }
      context.forward(record.withValue(answer));
    }

    @SuppressWarnings("unchecked")
    private Object call(String key, String[] words, long time) {
      return switch (op) {
        case "kv-store" ->
            timestamped
                ? KeyValueCalls.timestamped((KeyValueStore<String, ValueAndTimestamp<String>>) store, time).call(key, words)
                : KeyValueCalls.plain((KeyValueStore<String, String>) store).call(key, words);
        case "window-store" -> callWindow((WindowStore<String, String>) store, key, words);
        case "session-store" -> callSession((SessionStore<String, String>) store, key, words);
        default -> callVersioned((VersionedKeyValueStore<String, String>) store, key, words);
      };
    }
  }

  private static Object callWindow(WindowStore<String, String> store, String key, String[] words) {
    return switch (words[0]) {
      case "put" -> {
        store.put(key, words[1], number(words[2]));
        yield null;
      }
      case "get" -> store.fetch(key, number(words[1]));
      case "fetch" -> starts(store.fetch(key, number(words[1]), number(words[2])));
      case "rfetch" -> starts(store.backwardFetch(key, number(words[1]), number(words[2])));
      case "kfetch" -> windows(store.fetch(words[1], words[2], number(words[3]), number(words[4])));
      case "rkfetch" -> windows(store.backwardFetch(words[1], words[2], number(words[3]), number(words[4])));
      case "fetchall" -> windows(store.fetchAll(number(words[1]), number(words[2])));
      case "rfetchall" -> windows(store.backwardFetchAll(number(words[1]), number(words[2])));
      case "all" -> windows(store.all());
      case "rall" -> windows(store.backwardAll());
      default -> throw new IllegalStateException("no such op: " + words[0]);
    };
  }

  private static Object callSession(SessionStore<String, String> store, String key, String[] words) {
    return switch (words[0]) {
      case "put" -> {
        store.put(new Windowed<>(key, new SessionWindow(number(words[2]), number(words[3]))), words[1]);
        yield null;
      }
      case "remove" -> {
        store.remove(new Windowed<>(key, new SessionWindow(number(words[1]), number(words[2]))));
        yield null;
      }
      case "get" -> store.fetchSession(key, number(words[1]), number(words[2]));
      case "fetch" -> sessions(store.fetch(key));
      case "rfetch" -> sessions(store.backwardFetch(key));
      case "kfetch" -> sessions(store.fetch(words[1], words[2]));
      case "rkfetch" -> sessions(store.backwardFetch(words[1], words[2]));
      case "find" -> sessions(store.findSessions(key, number(words[1]), number(words[2])));
      case "rfind" -> sessions(store.backwardFindSessions(key, number(words[1]), number(words[2])));
      case "kfind" -> sessions(store.findSessions(words[1], words[2], number(words[3]), number(words[4])));
      case "rkfind" -> sessions(store.backwardFindSessions(words[1], words[2], number(words[3]), number(words[4])));
      default -> throw new IllegalStateException("no such op: " + words[0]);
    };
  }

  private static Object callVersioned(VersionedKeyValueStore<String, String> store, String key, String[] words) {
    return switch (words[0]) {
      case "put" -> {
        long validTo = store.put(key, words[1], number(words[2]));
        yield validTo == VersionedKeyValueStore.PUT_RETURN_CODE_NOT_PUT ? (Object) "NOT_PUT" : (Object) validTo;
      }
      case "delete" -> version(store.delete(key, number(words[1])));
      case "get" -> version(store.get(key));
      case "asof" -> version(store.get(key, number(words[1])));
      case "versions", "rversions" -> versions(store, key, words);
      default -> throw new IllegalStateException("no such op: " + words[0]);
    };
  }

  /** All versions within bounds (~ for none), the r-op the newest first: the store's own answer to a query. */
  private static ArrayNode versions(VersionedKeyValueStore<String, String> store, String key, String[] words) {
    MultiVersionedKeyQuery<String, String> query = MultiVersionedKeyQuery.withKey(key);
    query = words[1] == null ? query : query.fromTime(Instant.ofEpochMilli(number(words[1])));
    query = words[2] == null ? query : query.toTime(Instant.ofEpochMilli(number(words[2])));
    query = words[0].equals("rversions") ? query.withDescendingTimestamps() : query.withAscendingTimestamps();
    ArrayNode rows = JSON.createArrayNode();
    var result = store.query(query, PositionBound.unbounded(), new QueryConfig(false));
    try (VersionedRecordIterator<String> iterator = result.getResult()) {
      while (iterator.hasNext()) {
        rows.add(version(iterator.next()));
      }
    }
    return rows;
  }

  private static ArrayNode version(VersionedRecord<String> found) {
    if (found == null) {
      return null;
    }
    ArrayNode shown = JSON.createArrayNode().add(found.value()).add(found.timestamp());
    return found.validTo().isPresent() ? shown.add(found.validTo().get()) : shown.addNull();
  }

  private static ArrayNode starts(WindowStoreIterator<String> iterator) {
    ArrayNode rows = JSON.createArrayNode();
    try (iterator) {
      iterator.forEachRemaining(row -> rows.addArray().add(row.key).add(row.value));
    }
    return rows;
  }

  private static ArrayNode windows(KeyValueIterator<Windowed<String>, String> iterator) {
    ArrayNode rows = JSON.createArrayNode();
    try (iterator) {
      iterator.forEachRemaining(row -> rows.addArray().add(row.key.key()).add(row.key.window().start()).add(row.value));
    }
    return rows;
  }

  private static ArrayNode sessions(KeyValueIterator<Windowed<String>, String> iterator) {
    ArrayNode rows = JSON.createArrayNode();
    try (iterator) {
      iterator.forEachRemaining(
          row ->
              rows.addArray().add(row.key.key()).add(row.key.window().start()).add(row.key.window().end()).add(row.value));
    }
    return rows;
  }

  private static long number(String word) {
    return Long.parseLong(word);
  }

  /** Ops of key-value stores, over plain and over timestamped values. */
  private record KeyValueCalls<V>(
      KeyValueStore<String, V> store,
      java.util.function.Function<String, V> keep,
      java.util.function.Function<V, Object> show) {
    static KeyValueCalls<String> plain(KeyValueStore<String, String> store) {
      return new KeyValueCalls<>(store, value -> value, value -> value);
    }

    static KeyValueCalls<ValueAndTimestamp<String>> timestamped(
        KeyValueStore<String, ValueAndTimestamp<String>> store, long time) {
      return new KeyValueCalls<>(
          store,
          value -> ValueAndTimestamp.make(value, time),
          kept -> kept == null ? null : JSON.createArrayNode().add(kept.value()).add(kept.timestamp()));
    }

    Object call(String key, String[] words) {
      return switch (words[0]) {
        case "put" -> {
          store.put(key, keep.apply(words[1]));
          yield null;
        }
        case "putifabsent" -> show.apply(store.putIfAbsent(key, keep.apply(words[1])));
        case "putall" -> {
          List<KeyValue<String, V>> pairs = new ArrayList<>();
          for (int place = 1; place < words.length; place += 2) {
            pairs.add(KeyValue.pair(words[place], keep.apply(words[place + 1])));
          }
          store.putAll(pairs);
          yield null;
        }
        case "delete" -> show.apply(store.delete(key));
        case "get" -> show.apply(store.get(key));
        case "range" -> pairs(store.range(words[1], words[2]));
        case "rrange" -> pairs(store.reverseRange(words[1], words[2]));
        case "prefix" -> pairs(store.prefixScan(words[1], new StringSerializer()));
        case "all" -> pairs(store.all());
        case "rall" -> pairs(store.reverseAll());
        case "entries" -> store.approximateNumEntries();
        default -> throw new IllegalStateException("no such op: " + words[0]);
      };
    }

    private ArrayNode pairs(KeyValueIterator<String, V> iterator) {
      ArrayNode rows = JSON.createArrayNode();
      try (iterator) {
        iterator.forEachRemaining(row -> rows.addArray().add(row.key).addPOJO(show.apply(row.value)));
      }
      return rows;
    }
  }
}
