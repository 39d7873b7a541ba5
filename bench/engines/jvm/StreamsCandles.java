import java.nio.ByteBuffer;
import java.time.Duration;
import java.util.Map;
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

/** args: KAFKA INPUT OUTPUT TRADES RECORDS; the property "guarantee" is eos or alo. */
public final class StreamsCandles {
  private static final Duration MINUTE = Duration.ofMinutes(1);
  private static final Duration GRACE = Duration.ofSeconds(1);
  private static final Duration RETENTION = Duration.ofMinutes(60);

  private StreamsCandles() {}

  public static void main(String[] args) throws InterruptedException {
    boolean exactlyOnce = System.getProperty("guarantee").equals("eos");
    Streams.run(topology(args[1], args[2], exactlyOnce), args, exactlyOnce);
  }

  private static Topology topology(String input, String output, boolean exactlyOnce) {
    StreamsBuilder builder = new StreamsBuilder();
    Serde<Trade> trades = Streams.readOnly((topic, value) -> value == null ? null : Trade.parse(value));
    Materialized<String, Candle, WindowStore<Bytes, byte[]>> store =
        exactlyOnce
            ? Materialized.<String, Candle, WindowStore<Bytes, byte[]>>as("candles").withRetention(RETENTION)
            : Materialized.as(Stores.inMemoryWindowStore("candles", RETENTION, MINUTE, false));
    store = exactlyOnce ? store.withLoggingEnabled(Map.of()) : store.withLoggingDisabled();
    builder
        // Markers have no value and no time of their own: they stand still in event time, and are dropped.
        .stream(input, Consumed.with(Serdes.String(), trades)
            .withTimestampExtractor((record, before) ->
                record.value() == null ? before : ((Trade) record.value()).timeUs / 1000))
        .filter((key, trade) -> trade != null)
        .groupByKey(Grouped.with(Serdes.String(), trades))
        .windowedBy(TimeWindows.ofSizeAndGrace(MINUTE, GRACE))
        .emitStrategy(EmitStrategy.onWindowClose())
        .aggregate(Candle::new, StreamsCandles::add,
            store.withKeySerde(Serdes.String())
                .withValueSerde(Streams.stored(StreamsCandles::write, StreamsCandles::read)))
        .toStream()
        .map((window, candle) -> KeyValue.pair(window.key(), candle.encode(window.key(), window.window().start())))
        .to(output, Produced.with(Serdes.String(), Serdes.ByteArray()));
    return builder.build();
  }

  private static Candle add(String key, Trade trade, Candle candle) {
    Result.count();
    return candle.add(trade);
  }

  /** A candle in the store: its count, then its decimals. */
  private static void write(ByteBuffer buffer, Candle candle) {
    buffer.putLong(candle.trades);
    if (candle.trades > 0) {
      Decimals.put(buffer, candle.open, candle.high, candle.low, candle.close);
      Decimals.put(buffer, candle.volume, candle.quote, candle.taker, candle.takerQuote);
    }
  }

  private static Candle read(ByteBuffer buffer) {
    Candle candle = new Candle();
    candle.trades = buffer.getLong();
    if (candle.trades > 0) {
      candle.open = Decimals.get(buffer);
      candle.high = Decimals.get(buffer);
      candle.low = Decimals.get(buffer);
      candle.close = Decimals.get(buffer);
      candle.volume = Decimals.get(buffer);
      candle.quote = Decimals.get(buffer);
      candle.taker = Decimals.get(buffer);
      candle.takerQuote = Decimals.get(buffer);
    }
    return candle;
  }
}
