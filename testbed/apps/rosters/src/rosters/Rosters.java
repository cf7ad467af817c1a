package rosters;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;

/** Who is on duty. */
final class Rosters {
    private final ExecutorService pool;

    Rosters(ExecutorService pool) {
        this.pool = pool;
    }

    String planDay(int day) {
        StringBuilder text = new StringBuilder("[");
        for (int hour = 0; hour < 24; hour++) {
            text.append(hour == 0 ? "" : ",").append("{\"hour\":").append(hour).append(",\"nurse\":").append((day * 31 + hour * 7) % 90).append('}');
        }
        return text.append("]").toString();
    }

    /**
     * The days of a month, each by another thread. The mistake: they are those that
     * have the requests, so that where all of them wait nobody plans a day.
     */
    String planMonth(int month) {
        List<Future<String>> days = new ArrayList<>();
        for (int day = 0; day < 30; day++) {
            int number = month * 30 + day;
            days.add(pool.submit(() -> planDay(number)));
        }
        StringBuilder text = new StringBuilder("[");
        for (Future<String> day : days) {
            text.append(text.length() == 1 ? "" : ",").append(await(day));
        }
        return text.append("]").toString();
    }

    private static String await(Future<String> day) {
        try {
            return day.get(3, TimeUnit.SECONDS);
        } catch (TimeoutException e) {
            return "null";
        } catch (InterruptedException | ExecutionException e) {
            throw new IllegalStateException(e);
        }
    }
}
