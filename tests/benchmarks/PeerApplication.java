import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Properties;
import java.util.concurrent.atomic.AtomicLong;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.utils.Bytes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.KeyValue;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Grouped;
import org.apache.kafka.streams.kstream.KGroupedStream;
import org.apache.kafka.streams.kstream.KStream;
import org.apache.kafka.streams.kstream.KTable;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.kstream.Produced;
import org.apache.kafka.streams.kstream.SessionWindows;
import org.apache.kafka.streams.kstream.TimeWindows;
import org.apache.kafka.streams.processor.StateRestoreListener;
import org.apache.kafka.streams.state.KeyValueStore;
import org.apache.kafka.streams.state.SessionStore;
import org.apache.kafka.streams.state.WindowStore;

/**
 * Kafka Streams' side of the benchmarks: the same topologies as tests/benchmarks/works.py.
 *
 * <p>Arguments: WORK CONFIG_FILE RECORDS RESULT_FILE. Runs until RECORDS or more were processed and nothing more came for
 * a second, and writes "records seconds" from the first to the last processed one. The work "restore" counts restored records
 * instead, from the beginning of the first restore to the end of the last.
 */
public final class PeerApplication {
  private static final Duration WINDOW = Duration.ofSeconds(10);
  private static final Duration GAP = Duration.ofSeconds(1);
  private static final Duration SESSION_RETENTION = Duration.ofMinutes(1);
  private static final long QUIET_NANOS = 1_000_000_000L;
  private static final Serde<Bytes> KEY = Serdes.Bytes();
  private static final Serde<byte[]> VALUE = Serdes.ByteArray();

  public static void main(String[] arguments) throws Exception {
    Properties settings = new Properties();
    try (var in = Files.newInputStream(Path.of(arguments[1]))) {
      settings.load(in);
    }
    long records = Long.parseLong(arguments[2]);
    String input = (String) settings.remove("benchmark.input");
    String table = (String) settings.remove("benchmark.table");
    String output = (String) settings.remove("benchmark.output");
    StreamsBuilder builder = new StreamsBuilder();
    build(builder, arguments[0], input, table, output);
    KafkaStreams streams = new KafkaStreams(builder.build(), settings);
    streams.setUncaughtExceptionHandler(
        error -> {
          error.printStackTrace();
          System.exit(3);
          return null;
        });
    if (arguments[0].equals("restore")) {
      restore(streams, records, Path.of(arguments[3]));
      return;
    }
    streams.start();
    double processed = 0;
    long first = 0;
    long last = System.nanoTime();
    while (processed < records || System.nanoTime() - last < QUIET_NANOS) {
      Thread.sleep(20);
      double now = 0;
      for (var metric : streams.metrics().entrySet()) {
        if (metric.getKey().name().equals("process-total") && metric.getKey().group().equals("stream-thread-metrics")) {
          now += (Double) metric.getValue().metricValue();
        }
      }
      if (now != processed) {
        last = System.nanoTime();
        first = first == 0 ? last : first;
        processed = now;
      }
    }
    streams.close(Duration.ofSeconds(120));
    Files.writeString(Path.of(arguments[3]), (long) processed + " " + (last - first) / 1e9);
    System.exit(0);
  }

  private static void restore(KafkaStreams streams, long records, Path result) throws Exception {
    AtomicLong restored = new AtomicLong();
    AtomicLong first = new AtomicLong();
    AtomicLong last = new AtomicLong();
    AtomicLong running = new AtomicLong();
    streams.setGlobalStateRestoreListener(
        new StateRestoreListener() {
          @Override
          public void onRestoreStart(TopicPartition partition, String store, long start, long end) {
            first.compareAndSet(0, System.nanoTime());
            running.incrementAndGet();
          }

          @Override
          public void onBatchRestored(TopicPartition partition, String store, long end, long count) {
            restored.addAndGet(count);
          }

          @Override
          public void onRestoreEnd(TopicPartition partition, String store, long total) {
            last.set(System.nanoTime());
            running.decrementAndGet();
          }
        });
    streams.start();
    while (restored.get() < records || running.get() > 0) {
      Thread.sleep(20);
    }
    streams.close(Duration.ofSeconds(120));
    Files.writeString(result, restored.get() + " " + (last.get() - first.get()) / 1e9);
    System.exit(0);
  }

  private static void build(StreamsBuilder builder, String work, String input, String table, String output) {
    if (work.equals("dsl")) {
      // Before any other stream of the topic: Kafka Streams reads a topic once, with the serdes that it was given first.
      buildDsl(builder, input);
      return;
    }
    if (work.equals("restore")) {
      builder.table(input, Consumed.with(KEY, VALUE),
          Materialized.<Bytes, byte[], KeyValueStore<Bytes, byte[]>>as("users").withKeySerde(KEY).withValueSerde(VALUE));
      return;
    }
    KStream<Bytes, byte[]> stream = builder.stream(input, Consumed.with(KEY, VALUE));
    KGroupedStream<Bytes, byte[]> grouped = stream.groupByKey(Grouped.with(KEY, VALUE));
    switch (work) {
      case "count" ->
          grouped.count(Materialized.<Bytes, Long, KeyValueStore<Bytes, byte[]>>as("counts").withKeySerde(KEY).withValueSerde(Serdes.Long()));
      case "window" ->
          grouped.windowedBy(TimeWindows.ofSizeWithNoGrace(WINDOW))
              .count(Materialized.<Bytes, Long, WindowStore<Bytes, byte[]>>as("counts").withKeySerde(KEY).withValueSerde(Serdes.Long()));
      case "session" ->
          grouped.windowedBy(SessionWindows.ofInactivityGapWithNoGrace(GAP))
              .count(Materialized.<Bytes, Long, SessionStore<Bytes, byte[]>>as("counts").withKeySerde(KEY).withValueSerde(Serdes.Long()).withRetention(SESSION_RETENTION));
      case "join" -> {
        KTable<Bytes, byte[]> users =
            builder.table(table, Consumed.with(KEY, VALUE),
                Materialized.<Bytes, byte[], KeyValueStore<Bytes, byte[]>>as("users").withKeySerde(KEY).withValueSerde(VALUE));
        stream.join(users, PeerApplication::concatenate).to(output, Produced.with(KEY, VALUE));
      }
      default -> throw new IllegalArgumentException("no such work: " + work);
    }
  }

  private static void buildDsl(StreamsBuilder builder, String input) {
    var mapper = new com.fasterxml.jackson.databind.ObjectMapper();
    builder.stream(input, Consumed.with(Serdes.String(), VALUE))
        .mapValues(
            value -> {
              try {
                return mapper.readTree(value);
              } catch (java.io.IOException error) {
                throw new java.io.UncheckedIOException(error);
              }
            })
        .filter((key, value) -> value.get("amount").asInt() >= 100)
        .map((key, value) -> KeyValue.pair("a" + value.get("amount").asInt(), "1"))
        .groupByKey(Grouped.with("by-amount", Serdes.String(), Serdes.String()))
        .count(Materialized.<String, Long, KeyValueStore<Bytes, byte[]>>as("counts").withKeySerde(Serdes.String()).withValueSerde(Serdes.Long()));
  }

  private static byte[] concatenate(byte[] left, byte[] right) {
    byte[] both = new byte[left.length + right.length];
    System.arraycopy(left, 0, both, 0, left.length);
    System.arraycopy(right, 0, both, left.length, right.length);
    return both;
  }
}
