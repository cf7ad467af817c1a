package parcels;

import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.LongAdder;

/** Counts requests by route and status, and the time they took. */
public final class Metrics {
    private static final class Route {
        final LongAdder requests = new LongAdder();
        final LongAdder failures = new LongAdder();
        final LongAdder nanos = new LongAdder();
    }

    private final Map<String, Route> routes = new ConcurrentHashMap<>();
    private final LongAdder rejected = new LongAdder();

    public void record(String route, int status, long nanos) {
        Route r = routes.computeIfAbsent(route, name -> new Route());
        r.requests.increment();
        r.nanos.add(nanos);
        if (status >= 500) {
            r.failures.increment();
        }
    }

    public void reject() {
        rejected.increment();
    }

    public String text() {
        StringBuilder out = new StringBuilder(1024);
        for (Map.Entry<String, Route> e : new TreeMap<>(routes).entrySet()) {
            Route r = e.getValue();
            long n = Math.max(1, r.requests.sum());
            out.append("requests{route=\"").append(e.getKey()).append("\"} ").append(n).append('\n')
                    .append("failures{route=\"").append(e.getKey()).append("\"} ").append(r.failures.sum()).append('\n')
                    .append("mean_us{route=\"").append(e.getKey()).append("\"} ").append(r.nanos.sum() / n / 1000).append('\n');
        }
        return out.append("rejected ").append(rejected.sum()).append('\n').toString();
    }
}
