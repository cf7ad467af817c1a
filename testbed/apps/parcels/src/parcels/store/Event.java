package parcels.store;

/** Where a parcel was seen, and when (milliseconds since 1970). */
public record Event(long at, String place, String state) {}
