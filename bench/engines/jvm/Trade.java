import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonParser;
import java.io.IOException;
import java.math.BigDecimal;

/** One trade, parsed by Jackson's streaming parser; other fields are passed over. */
public class Trade {
  private static final JsonFactory JSON = new JsonFactory();

  public String key;
  public BigDecimal price;
  public BigDecimal qty;
  public boolean buy;
  public long timeUs;

  public Trade() {}

  static Trade parse(byte[] value) {
    Trade trade = new Trade();
    try (JsonParser parser = JSON.createParser(value)) {
      parser.nextToken();
      for (String field = parser.nextFieldName(); field != null; field = parser.nextFieldName()) {
        parser.nextToken();
        switch (field) {
          case "price": trade.price = decimal(parser); break;
          case "qty": trade.qty = decimal(parser); break;
          case "side": trade.buy = parser.getTextCharacters()[parser.getTextOffset()] == 'b'; break;
          case "time_us": trade.timeUs = parser.getLongValue(); break;
          default:
        }
      }
    } catch (IOException error) {
      throw new IllegalArgumentException(error);
    }
    return trade;
  }

  private static BigDecimal decimal(JsonParser parser) throws IOException {
    return new BigDecimal(parser.getTextCharacters(), parser.getTextOffset(), parser.getTextLength());
  }
}
