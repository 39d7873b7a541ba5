import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Duration;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.api.common.functions.AggregateFunction;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.api.java.tuple.Tuple2;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.connector.base.DeliveryGuarantee;
import org.apache.flink.connector.kafka.sink.KafkaRecordSerializationSchema;
import org.apache.flink.connector.kafka.sink.KafkaSink;
import org.apache.flink.connector.kafka.source.KafkaSource;
import org.apache.flink.connector.kafka.source.enumerator.initializer.OffsetsInitializer;
import org.apache.flink.connector.kafka.source.reader.deserializer.KafkaRecordDeserializationSchema;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.streaming.api.functions.windowing.ProcessWindowFunction;
import org.apache.flink.streaming.api.windowing.assigners.TumblingEventTimeWindows;
import org.apache.flink.streaming.api.windowing.windows.TimeWindow;
import org.apache.flink.util.Collector;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.producer.ProducerRecord;

/** args: KAFKA INPUT OUTPUT TRADES RECORDS. At least once, state on the heap, a checkpoint each second. */
public final class FlinkCandles {
  private FlinkCandles() {}

  public static void main(String[] args) throws Exception {
    Result.expect(Long.parseLong(args[3]));
    Configuration settings = new Configuration();
    settings.setString("state.backend.type", "hashmap");
    settings.setString("execution.checkpointing.interval", "1 s");
    settings.setString("execution.checkpointing.storage", "filesystem");
    settings.setString("execution.checkpointing.dir", Path.of("checkpoints").toAbsolutePath().toUri().toString());
    settings.setString("pipeline.object-reuse", "true");
    StreamExecutionEnvironment flow = StreamExecutionEnvironment.createLocalEnvironment(1, settings);
    KafkaSource<Trade> source = KafkaSource.<Trade>builder()
        .setBootstrapServers(args[0])
        .setTopics(args[1])
        .setGroupId(args[2])
        .setStartingOffsets(OffsetsInitializer.earliest())
        .setBounded(OffsetsInitializer.latest())
        .setDeserializer(new Parse())
        .setProperty("max.partition.fetch.bytes", Integer.toString(4 << 20))
        .setProperty("fetch.max.bytes", Integer.toString(16 << 20))
        .setProperty("max.poll.records", "10000")
        .build();
    KafkaSink<Tuple2<String, byte[]>> sink = KafkaSink.<Tuple2<String, byte[]>>builder()
        .setBootstrapServers(args[0])
        .setRecordSerializer(new Place(args[2]))
        .setDeliveryGuarantee(DeliveryGuarantee.AT_LEAST_ONCE)
        .build();
    WatermarkStrategy<Trade> order = WatermarkStrategy.<Trade>forMonotonousTimestamps()
        .withTimestampAssigner((trade, before) -> trade.timeUs / 1000);
    flow.fromSource(source, order, "trades")
        .keyBy(trade -> trade.key)
        .window(TumblingEventTimeWindows.of(Duration.ofMinutes(1)))
        .aggregate(new Fold(), new Encode())
        .sinkTo(sink);
    flow.execute("candles");
    Result.tell();
    Runtime.getRuntime().halt(0); // the local cluster's threads would linger
  }

  /** Markers have no value and are skipped. */
  public static final class Parse implements KafkaRecordDeserializationSchema<Trade> {
    @Override
    public void deserialize(ConsumerRecord<byte[], byte[]> record, Collector<Trade> out) {
      if (record.value() != null) {
        Trade trade = Trade.parse(record.value());
        trade.key = new String(record.key(), StandardCharsets.ISO_8859_1);
        out.collect(trade);
      }
    }

    @Override
    public TypeInformation<Trade> getProducedType() {
      return TypeInformation.of(Trade.class);
    }
  }

  /** The fold of a window. */
  public static final class Fold implements AggregateFunction<Trade, Candle, Candle> {
    @Override
    public Candle createAccumulator() {
      return new Candle();
    }

    @Override
    public Candle add(Trade trade, Candle candle) {
      Result.count();
      return candle.add(trade);
    }

    @Override
    public Candle getResult(Candle candle) {
      return candle;
    }

    @Override
    public Candle merge(Candle one, Candle other) {
      throw new UnsupportedOperationException();
    }
  }

  /** A window that is over. */
  public static final class Encode extends ProcessWindowFunction<Candle, Tuple2<String, byte[]>, String, TimeWindow> {
    @Override
    public void process(String key, Context window, Iterable<Candle> folded, Collector<Tuple2<String, byte[]>> out) {
      out.collect(Tuple2.of(key, folded.iterator().next().encode(key, window.window().getStart())));
    }
  }

  /** Where a candle goes. */
  public static final class Place implements KafkaRecordSerializationSchema<Tuple2<String, byte[]>> {
    private final String topic;

    Place(String topic) {
      this.topic = topic;
    }

    @Override
    public ProducerRecord<byte[], byte[]> serialize(Tuple2<String, byte[]> candle, KafkaSinkContext sink, Long ms) {
      return new ProducerRecord<>(topic, candle.f0.getBytes(StandardCharsets.ISO_8859_1), candle.f1);
    }
  }
}
