package parcels.peer;

import parcels.Settings;
import java.io.IOException;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;

/** What a parcel costs, by asking the rates service; answers are kept for a short while. */
public final class RatesClient {
    private record Known(int cents, long until) {}

    private final PeerPool pool;
    private final Settings settings;
    private final Map<String, Known> cache = new ConcurrentHashMap<>();

    public RatesClient(PeerPool pool, Settings settings) {
        this.pool = pool;
        this.settings = settings;
    }

    public int cents(String from, String to, int grams) throws IOException, InterruptedException {
        int kilos = grams / 1000 + 1;
        String question = from + " " + to + " " + kilos;
        long now = System.nanoTime();
        Known known = cache.get(question);
        if (known != null && now - known.until() < 0) {
            return known.cents();
        }
        int cents = fetch(question);
        if (cache.size() > 10_000) {
            cache.clear();
        }
        cache.put(question, new Known(cents, now + settings.get("quote-cache-ms") * 1_000_000L));
        return cents;
    }

    /** Asks the peer, again after a pause when it is busy; the pause doubles. */
    private int fetch(String question) throws IOException, InterruptedException {
        int pause = settings.get("retry-pause-ms");
        IOException last = null;
        for (int attempt = 0; attempt <= settings.get("retries"); attempt++) {
            if (attempt > 0) {
                Thread.sleep(pause);
                pause *= 2;
            }
            try {
                return ask(question);
            } catch (IOException e) {
                last = e;
            }
        }
        throw last;
    }

    private int ask(String question) throws IOException {
        PeerConnection c = pool.borrow();
        String answer;
        try {
            answer = c.ask("RATE " + question);
        } catch (IOException e) {
            c.close();
            throw e;
        }
        pool.giveBack(c);
        if (answer.equals("BUSY")) {
            throw new IOException("the rates service is busy");
        }
        return Integer.parseInt(answer);
    }
}
