package storefront;

import java.io.Serializable;
import java.util.ArrayList;
import java.util.List;

/** What a customer is going to buy; lives in the session. */
public final class Cart implements Serializable {
    private static final long serialVersionUID = 1;
    private static final int MAX_LINES = 20;

    private final List<Line> lines = new ArrayList<>();

    /** Adds to the cart; the oldest line goes when there are too many. */
    public void add(Product product, int count) {
        for (Line line : lines) {
            if (line.product() == product.id()) {
                line.more(count);
                return;
            }
        }
        if (lines.size() == MAX_LINES) {
            lines.remove(0);
        }
        lines.add(new Line(product.id(), product.name(), product.cents(), count));
    }

    /** Takes over an order of a business customer, line by line as it is in their books. */
    void importLine(Product product, String reference, int count) {
        lines.add(new Line(product.id(), product.name() + " (" + reference + ")", product.cents(), count));
    }

    public List<Line> lines() {
        return lines;
    }

    public long cents() {
        long sum = 0;
        for (Line line : lines) {
            sum += line.cents();
        }
        return sum;
    }
}
