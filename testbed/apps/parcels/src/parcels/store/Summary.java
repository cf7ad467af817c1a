package parcels.store;

import java.util.Map;
import java.util.TreeMap;

/** How many parcels are in which state, counted every second by a thread of its own. */
public final class Summary implements Runnable {
    private final ParcelStore store;
    private volatile Map<String, Integer> latest = Map.of();

    public Summary(ParcelStore store) {
        this.store = store;
    }

    public void start() {
        Thread thread = new Thread(this, "summary");
        thread.setDaemon(true);
        thread.start();
    }

    public Map<String, Integer> latest() {
        return latest;
    }

    @Override
    public void run() {
        try {
            while (true) {
                latest = count();
                Thread.sleep(1000);
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    private Map<String, Integer> count() {
        Map<String, Integer> counts = new TreeMap<>();
        for (Parcel parcel : store.all()) {
            counts.merge(parcel.state(), 1, Integer::sum);
        }
        return counts;
    }
}
