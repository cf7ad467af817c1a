package storefront;

public record Product(int id, String name, String group, int cents, String text) {
    public String price() {
        return String.format("%d.%02d", cents / 100, cents % 100);
    }
}
