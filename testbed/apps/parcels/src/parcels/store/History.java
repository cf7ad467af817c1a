package parcels.store;

import java.time.Instant;
import java.time.ZoneOffset;
import java.time.format.DateTimeFormatter;

/** All that happened to a parcel, as text for a customer. */
public final class History {
    private static final DateTimeFormatter TIME = DateTimeFormatter.ofPattern("dd MMM HH:mm").withZone(ZoneOffset.UTC);

    private final Parcel parcel;

    public History(Parcel parcel) {
        this.parcel = parcel;
    }

    public String render() {
        String text = "Parcel " + parcel.id() + " for " + parcel.name() + ", " + parcel.town() + "\n";
        String day = "";
        for (Event event : parcel.events()) {
            String time = TIME.format(Instant.ofEpochMilli(event.at()));
            if (!time.startsWith(day) || day.isEmpty()) {
                day = time.substring(0, 6);
                text += day + "\n";
            }
            text += "  " + time.substring(7) + "  " + describe(event.state()) + " " + event.place() + "\n";
        }
        return text + "Weight " + parcel.grams() + " g\n";
    }

    private static String describe(String state) {
        switch (state) {
            case "received": return "received at";
            case "sorted": return "sorted in";
            case "moving": return "on its way from";
            case "delivered": return "delivered in";
            default: return state;
        }
    }
}
