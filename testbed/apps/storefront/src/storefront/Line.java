package storefront;

import java.io.Serializable;

/** One line of a cart. */
public final class Line implements Serializable {
    private static final long serialVersionUID = 1;

    private final int product;
    private final String name;
    private final int cents;
    private int count;

    Line(int product, String name, int cents, int count) {
        this.product = product;
        this.name = name;
        this.cents = cents;
        this.count = count;
    }

    public int product() {
        return product;
    }

    public String name() {
        return name;
    }

    public int count() {
        return count;
    }

    public int cents() {
        return cents * count;
    }

    void more(int n) {
        count += n;
    }
}
