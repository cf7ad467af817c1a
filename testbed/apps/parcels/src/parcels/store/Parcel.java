package parcels.store;

import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;

/** A parcel and what happened to it. */
public final class Parcel {
    private final long id;
    private final String name;
    private final String street; // null when it is held at the counter
    private final String town;
    private final int grams;
    private final List<Event> events = new CopyOnWriteArrayList<>();

    public Parcel(long id, String name, String street, String town, int grams) {
        this.id = id;
        this.name = name;
        this.street = street;
        this.town = town;
        this.grams = grams;
    }

    public long id() {
        return id;
    }

    public String name() {
        return name;
    }

    public String street() {
        return street;
    }

    public String town() {
        return town;
    }

    public int grams() {
        return grams;
    }

    public List<Event> events() {
        return events;
    }

    public String state() {
        int n = events.size();
        return n == 0 ? "announced" : events.get(n - 1).state();
    }
}
