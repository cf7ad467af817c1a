package parcels.store;

import parcels.Settings;
import parcels.net.Exchange;
import parcels.net.Response;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CopyOnWriteArrayList;

/** Clients that wait for the next event of a parcel (long polling). */
public final class Watchers implements Runnable {
    private record Watcher(Exchange exchange, long until) {}

    private final Map<Long, List<Watcher>> byParcel = new ConcurrentHashMap<>();
    private final Settings settings;

    public Watchers(Settings settings) {
        this.settings = settings;
    }

    public void start() {
        Thread thread = new Thread(this, "watchers");
        thread.setDaemon(true);
        thread.start();
    }

    public void add(long id, Exchange exchange) {
        long until = System.nanoTime() + settings.get("watch-seconds") * 1_000_000_000L;
        byParcel.computeIfAbsent(id, k -> new CopyOnWriteArrayList<>()).add(new Watcher(exchange, until));
    }

    void happened(long id, Event event) {
        List<Watcher> list = byParcel.remove(id);
        if (list != null) {
            for (Watcher w : list) {
                w.exchange().respond(Response.text(200, event.place() + " " + event.state() + "\n"));
            }
        }
    }

    @Override
    public void run() {
        try {
            while (true) {
                Thread.sleep(500);
                expire(System.nanoTime());
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    private void expire(long now) {
        for (Iterator<List<Watcher>> lists = byParcel.values().iterator(); lists.hasNext(); ) {
            List<Watcher> list = lists.next();
            for (Watcher w : list) {
                if (now - w.until() > 0) {
                    w.exchange().respond(Response.text(204, ""));
                    list.remove(w);
                }
            }
            if (list.isEmpty()) {
                lists.remove();
            }
        }
    }
}
