import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonParser;
import java.io.IOException;
import java.math.BigDecimal;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;

/** The sums of one window; a 1m candle is the window of one minute. Minutes come in time order. */
final class Day {
  private static final JsonFactory JSON = new JsonFactory();

  private long openTimeMs;
  private long minutes;
  private long trades;
  private BigDecimal open;
  private BigDecimal high;
  private BigDecimal low;
  private BigDecimal close;
  private BigDecimal volume;
  private BigDecimal quote;
  private BigDecimal taker;

  /** A candle, by Jackson's streaming parser; other fields are passed over. */
  static Day parse(byte[] value) {
    Day minute = new Day();
    minute.minutes = 1;
    try (JsonParser parser = JSON.createParser(value)) {
      parser.nextToken();
      for (String field = parser.nextFieldName(); field != null; field = parser.nextFieldName()) {
        parser.nextToken();
        switch (field) {
          case "open_time_ms": minute.openTimeMs = parser.getLongValue(); break;
          case "trades": minute.trades = parser.getLongValue(); break;
          case "open": minute.open = decimal(parser); break;
          case "high": minute.high = decimal(parser); break;
          case "low": minute.low = decimal(parser); break;
          case "close": minute.close = decimal(parser); break;
          case "volume": minute.volume = decimal(parser); break;
          case "quote_volume": minute.quote = decimal(parser); break;
          case "taker_buy_volume": minute.taker = decimal(parser); break;
          default:
        }
      }
    } catch (IOException error) {
      throw new IllegalArgumentException(error);
    }
    return minute;
  }

  long openTimeMs() {
    return openTimeMs;
  }

  Day add(Day minute) {
    if (minutes == 0) {
      open = minute.open;
      high = minute.high;
      low = minute.low;
      volume = minute.volume;
      quote = minute.quote;
      taker = minute.taker;
    } else {
      high = high.max(minute.high);
      low = low.min(minute.low);
      volume = volume.add(minute.volume);
      quote = quote.add(minute.quote);
      taker = taker.add(minute.taker);
    }
    close = minute.close;
    minutes += 1;
    trades += minute.trades;
    return this;
  }

  /** In a store: the counts, then the decimals. */
  static void write(ByteBuffer buffer, Day day) {
    buffer.putLong(day.minutes).putLong(day.trades);
    if (day.minutes > 0) {
      Decimals.put(buffer, day.open, day.high, day.low, day.close, day.volume, day.quote, day.taker);
    }
  }

  static Day read(ByteBuffer buffer) {
    Day day = new Day();
    day.minutes = buffer.getLong();
    day.trades = buffer.getLong();
    if (day.minutes > 0) {
      day.open = Decimals.get(buffer);
      day.high = Decimals.get(buffer);
      day.low = Decimals.get(buffer);
      day.close = Decimals.get(buffer);
      day.volume = Decimals.get(buffer);
      day.quote = Decimals.get(buffer);
      day.taker = Decimals.get(buffer);
    }
    return day;
  }

  /** As JSON, the fields named as in a window of md.tickers.v1; the key is exchange:SYMBOL. */
  byte[] encode(String key, long endMs) {
    int colon = key.indexOf(':');
    StringBuilder json = new StringBuilder(400);
    json.append("{\"exchange\":\"").append(key, 0, colon);
    json.append("\",\"symbol\":\"").append(key, colon + 1, key.length());
    json.append("\",\"time_ms\":").append(endMs);
    json.append(",\"minutes\":").append(minutes).append(",\"trades\":").append(trades);
    field(json, "open", open);
    field(json, "high", high);
    field(json, "low", low);
    field(json, "close", close);
    field(json, "volume", volume);
    field(json, "quote_volume", quote);
    field(json, "taker_buy_volume", taker);
    return json.append('}').toString().getBytes(StandardCharsets.ISO_8859_1);
  }

  private static void field(StringBuilder json, String name, BigDecimal value) {
    json.append(",\"").append(name).append("\":\"").append(value.toPlainString()).append('"');
  }

  private static BigDecimal decimal(JsonParser parser) throws IOException {
    return new BigDecimal(parser.getTextCharacters(), parser.getTextOffset(), parser.getTextLength());
  }
}
