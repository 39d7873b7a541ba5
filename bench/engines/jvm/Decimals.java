import java.math.BigDecimal;
import java.math.BigInteger;
import java.nio.ByteBuffer;

/** Decimals in a store: each as scale and unscaled value. */
final class Decimals {
  private static final int MOST_DIGITS_OF_LONG = 18;

  private Decimals() {}

  static void put(ByteBuffer buffer, BigDecimal... decimals) {
    for (BigDecimal decimal : decimals) {
      if (decimal.precision() <= MOST_DIGITS_OF_LONG) {
        buffer.put((byte) decimal.scale()).putLong(decimal.unscaledValue().longValue());
      } else {
        byte[] digits = decimal.unscaledValue().toByteArray();
        buffer.put((byte) (decimal.scale() | 0x80)).putShort((short) digits.length).put(digits);
      }
    }
  }

  static BigDecimal get(ByteBuffer buffer) {
    byte scale = buffer.get();
    if (scale >= 0) {
      return BigDecimal.valueOf(buffer.getLong(), scale);
    }
    byte[] digits = new byte[buffer.getShort()];
    buffer.get(digits);
    return new BigDecimal(new BigInteger(digits), scale & 0x7f);
  }
}
