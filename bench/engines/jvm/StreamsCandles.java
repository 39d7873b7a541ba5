import java.math.BigDecimal;
import java.math.BigInteger;
import java.nio.ByteBuffer;
import java.time.Duration;
import java.util.Map;
import java.util.Properties;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.common.serialization.Deserializer;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.serialization.Serializer;
import org.apache.kafka.common.utils.Bytes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.KeyValue;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
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
  private static final int COMMIT_INTERVAL_MS = 1000;

  private StreamsCandles() {}

  public static void main(String[] args) throws InterruptedException {
    boolean exactlyOnce = System.getProperty("guarantee").equals("eos");
    Result.expect(Long.parseLong(args[3]));
    KafkaStreams streams = new KafkaStreams(topology(args[1], args[2], exactlyOnce), settings(args, exactlyOnce));
    streams.setUncaughtExceptionHandler(error -> {
      error.printStackTrace();
      Runtime.getRuntime().halt(3);
      return null;
    });
    streams.start();
    Result.DONE.await();
    if (!streams.close(Duration.ofSeconds(30))) { // commits what is pending
      throw new IllegalStateException("Kafka Streams did not close");
    }
    Result.tell();
  }

  private static Topology topology(String input, String output, boolean exactlyOnce) {
    StreamsBuilder builder = new StreamsBuilder();
    Materialized<String, Candle, WindowStore<Bytes, byte[]>> store =
        exactlyOnce
            ? Materialized.<String, Candle, WindowStore<Bytes, byte[]>>as("candles").withRetention(RETENTION)
            : Materialized.as(Stores.inMemoryWindowStore("candles", RETENTION, MINUTE, false));
    store = exactlyOnce ? store.withLoggingEnabled(Map.of()) : store.withLoggingDisabled();
    builder
        // Markers have no value and no time of their own: they stand still in event time, and are dropped.
        .stream(input, Consumed.with(Serdes.String(), new TradeSerde())
            .withTimestampExtractor((record, before) ->
                record.value() == null ? before : ((Trade) record.value()).timeUs / 1000))
        .filter((key, trade) -> trade != null)
        .groupByKey(Grouped.with(Serdes.String(), new TradeSerde()))
        .windowedBy(TimeWindows.ofSizeAndGrace(MINUTE, GRACE))
        .emitStrategy(EmitStrategy.onWindowClose())
        .aggregate(Candle::new, StreamsCandles::add,
            store.withKeySerde(Serdes.String()).withValueSerde(new CandleSerde()))
        .toStream()
        .map((window, candle) -> KeyValue.pair(window.key(), candle.encode(window.key(), window.window().start())))
        .to(output, Produced.with(Serdes.String(), Serdes.ByteArray()));
    return builder.build();
  }

  private static Candle add(String key, Trade trade, Candle candle) {
    Result.count();
    return candle.add(trade);
  }

  private static Properties settings(String[] args, boolean exactlyOnce) {
    Properties settings = new Properties();
    settings.put(StreamsConfig.APPLICATION_ID_CONFIG, args[2]);
    settings.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, args[0]);
    settings.put(StreamsConfig.STATE_DIR_CONFIG, "state");
    settings.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, 1);
    settings.put(StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, COMMIT_INTERVAL_MS);
    settings.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG,
        exactlyOnce ? StreamsConfig.EXACTLY_ONCE_V2 : StreamsConfig.AT_LEAST_ONCE);
    settings.put(StreamsConfig.BUFFERED_RECORDS_PER_PARTITION_CONFIG, 20_000);
    settings.put(StreamsConfig.STATESTORE_CACHE_MAX_BYTES_CONFIG, 64L << 20);
    settings.put(StreamsConfig.REPLICATION_FACTOR_CONFIG, 1);
    // Closed windows go out with the record that closes them, not once a second of wall clock.
    settings.put(StreamsConfig.InternalConfig.EMIT_INTERVAL_MS_KSTREAMS_WINDOWED_AGGREGATION, 0L);
    settings.put(StreamsConfig.consumerPrefix(ConsumerConfig.AUTO_OFFSET_RESET_CONFIG), "earliest");
    settings.put(StreamsConfig.consumerPrefix(ConsumerConfig.MAX_POLL_RECORDS_CONFIG), 10_000);
    settings.put(StreamsConfig.consumerPrefix(ConsumerConfig.MAX_PARTITION_FETCH_BYTES_CONFIG), 4 << 20);
    settings.put(StreamsConfig.consumerPrefix(ConsumerConfig.FETCH_MAX_BYTES_CONFIG), 16 << 20);
    settings.put(StreamsConfig.consumerPrefix(ConsumerConfig.RECEIVE_BUFFER_CONFIG), 1 << 20);
    settings.put(StreamsConfig.producerPrefix(ProducerConfig.LINGER_MS_CONFIG), 100);
    settings.put(StreamsConfig.producerPrefix(ProducerConfig.BATCH_SIZE_CONFIG), 256 << 10);
    return settings;
  }

  /** Trades are only read. */
  private static final class TradeSerde implements Serde<Trade> {
    @Override
    public Serializer<Trade> serializer() {
      return (topic, trade) -> {
        throw new UnsupportedOperationException();
      };
    }

    @Override
    public Deserializer<Trade> deserializer() {
      return (topic, value) -> value == null ? null : Trade.parse(value);
    }
  }

  /** A candle in the store: its count, then each decimal as scale and unscaled value. */
  private static final class CandleSerde implements Serde<Candle> {
    @Override
    public Serializer<Candle> serializer() {
      ByteBuffer buffer = ByteBuffer.allocate(4096);
      return (topic, candle) -> {
        if (candle == null) {
          return null;
        }
        buffer.clear().putLong(candle.trades);
        if (candle.trades > 0) {
          put(buffer, candle.open, candle.high, candle.low, candle.close);
          put(buffer, candle.volume, candle.quote, candle.taker, candle.takerQuote);
        }
        byte[] bytes = new byte[buffer.position()];
        buffer.flip().get(bytes);
        return bytes;
      };
    }

    @Override
    public Deserializer<Candle> deserializer() {
      return (topic, bytes) -> {
        if (bytes == null) {
          return null;
        }
        ByteBuffer buffer = ByteBuffer.wrap(bytes);
        Candle candle = new Candle();
        candle.trades = buffer.getLong();
        if (candle.trades > 0) {
          candle.open = get(buffer);
          candle.high = get(buffer);
          candle.low = get(buffer);
          candle.close = get(buffer);
          candle.volume = get(buffer);
          candle.quote = get(buffer);
          candle.taker = get(buffer);
          candle.takerQuote = get(buffer);
        }
        return candle;
      };
    }

    private static void put(ByteBuffer buffer, BigDecimal... decimals) {
      for (BigDecimal decimal : decimals) {
        if (decimal.precision() <= 18) { // fits a long
          buffer.put((byte) decimal.scale()).putLong(decimal.unscaledValue().longValue());
        } else {
          byte[] digits = decimal.unscaledValue().toByteArray();
          buffer.put((byte) (decimal.scale() | 0x80)).putShort((short) digits.length).put(digits);
        }
      }
    }

    private static BigDecimal get(ByteBuffer buffer) {
      byte scale = buffer.get();
      if (scale >= 0) {
        return BigDecimal.valueOf(buffer.getLong(), scale);
      }
      byte[] digits = new byte[buffer.getShort()];
      buffer.get(digits);
      return new BigDecimal(new BigInteger(digits), scale & 0x7f);
    }
  }
}
