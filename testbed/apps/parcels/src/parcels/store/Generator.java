package parcels.store;

import java.util.ArrayList;
import java.util.List;
import java.util.Random;

/** Parcels to begin with; the same ones at every start. */
public final class Generator {
    static final String[] TOWNS = {
        "Aarhus", "Bergen", "Cork", "Delft", "Espoo", "Ghent", "Graz", "Linz", "Lyon", "Malmo",
        "Nantes", "Oulu", "Porto", "Siena", "Split", "Tartu", "Turin", "Vigo", "Wels", "York",
    };
    private static final String[] STATES = {"received", "sorted", "moving", "delivered"};
    private static final String[] STREETS = {"Mill Lane", "Station Road", "Harbour Street", "Church Square", "Long Row"};
    private static final String[] NAMES = {"Ada Berg", "Bo Lund", "Cleo Marsh", "Dirk Haan", "Eva Stern", "Finn Ode"};

    private final Random random;

    public Generator(long seed) {
        random = new Random(seed);
    }

    public void fill(ParcelStore store, int count) {
        long start = System.currentTimeMillis() - 5L * 24 * 3600 * 1000;
        List<Parcel> parcels = new ArrayList<>(count);
        for (long id = 1; id <= count; id++) {
            String street = random.nextInt(1 + 90) + " " + pick(STREETS);
            Parcel parcel = new Parcel(id, pick(NAMES), street, pick(TOWNS), 100 + random.nextInt(20000));
            long at = start;
            for (int i = random.nextInt(STATES.length + 1); i > 0; i--) {
                at += random.nextInt(12 * 3600 * 1000);
                parcel.events().add(new Event(at, pick(TOWNS), STATES[parcel.events().size()]));
            }
            parcels.add(parcel);
        }
        store.load(parcels);
    }

    private String pick(String[] from) {
        return from[random.nextInt(from.length)];
    }
}
