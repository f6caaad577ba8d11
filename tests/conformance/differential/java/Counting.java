import com.fasterxml.jackson.databind.JsonNode;
import java.time.Duration;
import java.time.Instant;
import org.apache.kafka.streams.processor.Cancellable;
import org.apache.kafka.streams.processor.PunctuationType;
import org.apache.kafka.streams.processor.Punctuator;
import org.apache.kafka.streams.processor.api.Processor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.Record;

/** Counts records; punctuations in both times tell how many. */
final class Counting implements Processor<String, String, String, String> {
  private final JsonNode params;
  private ProcessorContext<String, String> context;
  private int seen = 0;

  Counting(JsonNode params) {
    this.params = params;
  }

  @Override
  public void init(ProcessorContext<String, String> given) {
    context = given;
    schedule("S", PunctuationType.STREAM_TIME, "stream");
    schedule("W", PunctuationType.WALL_CLOCK_TIME, "wall");
  }

  @Override
  public void process(Record<String, String> record) {
    seen++;
    if (params.path("echo").asBoolean()) {
      context.forward(record);
    }
  }

  private void schedule(String key, PunctuationType type, String prefix) {
    if (!params.hasNonNull(prefix + "_ms")) {
      return;
    }
    Telling telling = new Telling(key);
    Duration interval = Duration.ofMillis(params.get(prefix + "_ms").asLong());
    telling.schedule =
        params.hasNonNull(prefix + "_start_ms")
            ? context.schedule(Instant.ofEpochMilli(params.get(prefix + "_start_ms").asLong()), interval, type, telling)
            : context.schedule(interval, type, telling);
  }

  private final class Telling implements Punctuator {
    private final String key;
    private Cancellable schedule;
    private int calls = 0;

    Telling(String key) {
      this.key = key;
    }

    @Override
    public void punctuate(long time) {
      calls++;
      context.forward(new Record<>(key, String.valueOf(seen), time));
      if (calls == params.path("cancel_after").asInt(-1)) {
        schedule.cancel();
      }
    }
  }
}
