package fleet;

import java.util.HashMap;
import java.util.Map;
import java.util.concurrent.locks.ReadWriteLock;
import java.util.concurrent.locks.ReentrantReadWriteLock;

/** Prices by zone and weight. */
final class Tariffs {
    private final Map<TariffKey, Integer> prices = new HashMap<>();
    private final ReadWriteLock lock = new ReentrantReadWriteLock();

    void load(int zone, int weights) {
        for (int weight = 0; weight < weights; weight++) {
            lock.writeLock().lock();
            try {
                prices.put(new TariffKey(zone, weight), 100 + zone + weight);
            } finally {
                lock.writeLock().unlock();
            }
        }
    }

    /** The price of a tour with so many stops, whose weights follow each other. */
    int priceTour(int zone, int weight, int stops) {
        int total = 0;
        lock.readLock().lock();
        try {
            for (int stop = 0; stop < stops; stop++) {
                total += prices.getOrDefault(new TariffKey(zone, weight + stop), 0);
            }
        } finally {
            lock.readLock().unlock();
        }
        return total;
    }
}
