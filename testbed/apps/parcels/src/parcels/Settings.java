package parcels;

import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;

/** What can be changed while the server runs: PUT /admin/settings?name=value. */
public final class Settings {
    private final Map<String, Integer> values = new ConcurrentHashMap<>(Map.of(
            "io-threads", 2,
            "workers", 16,
            "queue", 512,
            "watch-seconds", 25,
            "peer-connections", 6,
            "peer-timeout-ms", 5000,
            "quote-cache-ms", 400,
            "retries", 4,
            "retry-pause-ms", 15,
            "idle-seconds", 60));

    public boolean knows(String name) {
        return values.containsKey(name);
    }

    public int get(String name) {
        return values.get(name);
    }

    public void set(String name, String value) {
        if (!knows(name)) {
            throw new IllegalArgumentException("no setting is named " + name);
        }
        values.put(name, Integer.parseInt(value));
    }

    public Map<String, Integer> all() {
        return values;
    }
}
