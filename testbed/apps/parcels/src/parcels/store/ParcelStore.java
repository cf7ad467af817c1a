package parcels.store;

import java.io.IOException;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CopyOnWriteArrayList;

/** All parcels, in memory, by number and by town. */
public final class ParcelStore {
    /** The events of a parcel that are kept before the oldest of them go. */
    private static final int MAX_EVENTS = 4000;

    private final Map<Long, Parcel> byNumber = new ConcurrentHashMap<>();
    private final Map<String, List<Long>> byTown = new ConcurrentHashMap<>();
    private final Journal journal;
    private final Watchers watchers;

    public ParcelStore(Journal journal, Watchers watchers) {
        this.journal = journal;
        this.watchers = watchers;
    }

    public Parcel get(long id) {
        return byNumber.get(id);
    }

    public Collection<Parcel> all() {
        return byNumber.values();
    }

    public void put(Parcel parcel) {
        if (byNumber.put(parcel.id(), parcel) == null) {
            byTown.computeIfAbsent(parcel.town(), town -> new CopyOnWriteArrayList<>()).add(parcel.id());
        }
    }

    /** Adds many at once: the list of a town is copied with every addition. */
    void load(Collection<Parcel> parcels) {
        Map<String, List<Long>> towns = new ConcurrentHashMap<>();
        for (Parcel parcel : parcels) {
            byNumber.put(parcel.id(), parcel);
            towns.computeIfAbsent(parcel.town(), town -> new ArrayList<>()).add(parcel.id());
        }
        towns.forEach((town, ids) -> byTown.put(town, new CopyOnWriteArrayList<>(ids)));
    }

    public List<Parcel> search(String town, String state, int limit) {
        List<Parcel> found = new ArrayList<>();
        for (long id : byTown.getOrDefault(town, List.of())) {
            Parcel parcel = byNumber.get(id);
            if (state.isEmpty() || parcel.state().equals(state)) {
                found.add(parcel);
                if (found.size() == limit) {
                    break;
                }
            }
        }
        return found;
    }

    /** Returns false when there is no such parcel. */
    public boolean append(long id, Event event) throws IOException {
        Parcel parcel = byNumber.get(id);
        if (parcel == null) {
            return false;
        }
        List<Event> events = parcel.events();
        events.add(event);
        if (events.size() > MAX_EVENTS) {
            events.remove(0);
        }
        journal.add(id, event);
        watchers.happened(id, event);
        return true;
    }
}
