import java.math.BigDecimal;
import java.nio.charset.StandardCharsets;

/** One minute of one symbol; trades come in time order. */
public class Candle {
  public BigDecimal open;
  public BigDecimal high;
  public BigDecimal low;
  public BigDecimal close;
  public BigDecimal volume = BigDecimal.ZERO;
  public BigDecimal quote = BigDecimal.ZERO;
  public BigDecimal taker = BigDecimal.ZERO;
  public BigDecimal takerQuote = BigDecimal.ZERO;
  public long trades;

  public Candle() {}

  Candle add(Trade trade) {
    if (trades == 0) {
      open = high = low = trade.price;
    } else if (trade.price.compareTo(high) > 0) {
      high = trade.price;
    } else if (trade.price.compareTo(low) < 0) {
      low = trade.price;
    }
    close = trade.price;
    BigDecimal worth = trade.price.multiply(trade.qty);
    volume = volume.add(trade.qty);
    quote = quote.add(worth);
    if (trade.buy) {
      taker = taker.add(trade.qty);
      takerQuote = takerQuote.add(worth);
    }
    trades++;
    return this;
  }

  /** As JSON, the fields named as in md.candles.1m.v1; the key is exchange:SYMBOL. */
  byte[] encode(String key, long openTimeMs) {
    int colon = key.indexOf(':');
    StringBuilder json = new StringBuilder(400);
    json.append("{\"exchange\":\"").append(key, 0, colon);
    json.append("\",\"symbol\":\"").append(key, colon + 1, key.length());
    json.append("\",\"open_time_ms\":").append(openTimeMs).append(",\"trades\":").append(trades);
    field(json, "open", open);
    field(json, "high", high);
    field(json, "low", low);
    field(json, "close", close);
    field(json, "volume", volume);
    field(json, "quote_volume", quote);
    field(json, "taker_buy_volume", taker);
    field(json, "taker_buy_quote_volume", takerQuote);
    return json.append('}').toString().getBytes(StandardCharsets.ISO_8859_1);
  }

  private static void field(StringBuilder json, String name, BigDecimal value) {
    json.append(",\"").append(name).append("\":\"").append(value.toPlainString()).append('"');
  }
}
