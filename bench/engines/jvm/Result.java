import com.sun.management.OperatingSystemMXBean;
import java.lang.management.ManagementFactory;
import java.util.Locale;
import java.util.concurrent.CountDownLatch;

/** CPU of the whole process and wall, at the first trade, at the half and at the last one. One thread counts. */
final class Result {
  private static final OperatingSystemMXBean SYSTEM =
      (OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean();

  static final CountDownLatch DONE = new CountDownLatch(1);
  private static long expected;
  private static long seen;
  private static long[] first;
  private static long[] half;
  private static long[] last;

  private Result() {}

  static void expect(long trades) {
    expected = trades;
  }

  static void count() {
    if (seen++ == 0) {
      first = now();
    }
    if (seen == expected / 2) {
      half = now();
    }
    if (seen == expected) {
      last = now();
      DONE.countDown();
    }
  }

  static void tell() {
    System.out.printf(
        Locale.ROOT,
        "RESULT {\"trades\": %d, \"cpu_s\": %.6f, \"wall_s\": %.6f,"
            + " \"half_trades\": %d, \"half_cpu_s\": %.6f, \"half_wall_s\": %.6f}%n",
        seen, since(last, 0), since(last, 1), expected / 2, since(half, 0), since(half, 1));
  }

  private static long[] now() {
    return new long[] {SYSTEM.getProcessCpuTime(), System.nanoTime()};
  }

  private static double since(long[] then, int which) {
    return (then[which] - first[which]) / 1e9;
  }
}
