package fleet;

/** What a price depends on. The mistake: its hash code leaves the weight out. */
final class TariffKey {
    private final int zone;
    private final int weight;

    TariffKey(int zone, int weight) {
        this.zone = zone;
        this.weight = weight;
    }

    @Override
    public boolean equals(Object other) {
        return other instanceof TariffKey && ((TariffKey) other).zone == zone && ((TariffKey) other).weight == weight;
    }

    @Override
    public int hashCode() {
        return zone;
    }
}
