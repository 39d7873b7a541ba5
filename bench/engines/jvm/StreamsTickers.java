import java.time.Duration;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.utils.Bytes;
import org.apache.kafka.streams.KeyValue;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.EmitStrategy;
import org.apache.kafka.streams.kstream.Grouped;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.kstream.Produced;
import org.apache.kafka.streams.kstream.TimeWindows;
import org.apache.kafka.streams.state.Stores;
import org.apache.kafka.streams.state.WindowStore;

/**
 * The 24 h ticker as windows that hop by a minute: each candle changes 1,440 of them. The ticker of a minute is the
 * window that ends with it; it comes out with the next minute of its partition.
 *
 * <p>args: KAFKA INPUT OUTPUT CANDLES; the property "store" is memory (no changelog) or rocksdb (with one).
 */
public final class StreamsTickers {
  private static final Duration DAY = Duration.ofDays(1);
  private static final Duration HOP = Duration.ofMinutes(1);
  private static final Duration RETENTION = Duration.ofHours(25);

  private StreamsTickers() {}

  public static void main(String[] args) throws InterruptedException {
    Streams.run(topology(args[1], args[2], System.getProperty("store").equals("memory")), args, false);
  }

  private static Topology topology(String input, String output, boolean inMemory) {
    StreamsBuilder builder = new StreamsBuilder();
    Serde<Day> minutes = Streams.readOnly((topic, value) -> Day.parse(value));
    Materialized<String, Day, WindowStore<Bytes, byte[]>> store =
        inMemory
            ? Materialized.<String, Day>as(Stores.inMemoryWindowStore("days", RETENTION, DAY, false))
                .withLoggingDisabled()
            : Materialized.<String, Day, WindowStore<Bytes, byte[]>>as("days").withRetention(RETENTION);
    builder
        .stream(input, Consumed.with(Serdes.String(), minutes)
            .withTimestampExtractor((record, before) -> ((Day) record.value()).openTimeMs()))
        .peek((key, minute) -> Result.count())
        .groupByKey(Grouped.with(Serdes.String(), minutes))
        .windowedBy(TimeWindows.ofSizeWithNoGrace(DAY).advanceBy(HOP))
        .emitStrategy(EmitStrategy.onWindowClose())
        .aggregate(Day::new, (key, minute, day) -> day.add(minute),
            store.withKeySerde(Serdes.String()).withValueSerde(Streams.stored(Day::write, Day::read)))
        .toStream()
        .map((window, day) -> KeyValue.pair(window.key(), day.encode(window.key(), window.window().end())))
        .to(output, Produced.with(Serdes.String(), Serdes.ByteArray()));
    return builder.build();
  }
}
