import java.nio.ByteBuffer;
import java.time.Duration;
import java.util.Properties;
import java.util.function.BiConsumer;
import java.util.function.Function;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.common.serialization.Deserializer;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.Topology;

/** How a topology of Kafka Streams is run: until Result has counted all records. */
final class Streams {
  private static final int COMMIT_INTERVAL_MS = 1000;
  private static final int STORED_BYTES = 4096;

  private Streams() {}

  /** args: KAFKA INPUT OUTPUT RECORDS. */
  static void run(Topology topology, String[] args, boolean exactlyOnce) throws InterruptedException {
    Result.expect(Long.parseLong(args[3]));
    KafkaStreams streams = new KafkaStreams(topology, settings(args, exactlyOnce));
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

  /** Of records that are only read. */
  static <T> Serde<T> readOnly(Deserializer<T> deserializer) {
    return Serdes.serdeFrom((topic, value) -> {
      throw new UnsupportedOperationException();
    }, deserializer);
  }

  /** Of what is held in a store: written into a buffer, and read from one. */
  static <T> Serde<T> stored(BiConsumer<ByteBuffer, T> write, Function<ByteBuffer, T> read) {
    ByteBuffer buffer = ByteBuffer.allocate(STORED_BYTES);
    return Serdes.serdeFrom((topic, value) -> {
      if (value == null) {
        return null;
      }
      buffer.clear();
      write.accept(buffer, value);
      byte[] bytes = new byte[buffer.position()];
      buffer.flip().get(bytes);
      return bytes;
    }, (topic, bytes) -> bytes == null ? null : read.apply(ByteBuffer.wrap(bytes)));
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
}
