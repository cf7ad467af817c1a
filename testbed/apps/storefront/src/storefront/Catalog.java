package storefront;

import java.util.ArrayList;
import java.util.List;
import java.util.Random;

/** What the shop sells; the same at every start. */
public final class Catalog {
    private static final String[] GROUPS = {"lamps", "chairs", "desks", "shelves", "rugs", "clocks"};
    private static final String[] ADJECTIVES = {"plain", "oak", "steel", "folding", "tall", "round", "green", "old"};
    private static final Catalog INSTANCE = new Catalog(600);

    private final List<Product> products = new ArrayList<>();

    private Catalog(int size) {
        Random random = new Random(7);
        for (int id = 0; id < size; id++) {
            String group = GROUPS[id % GROUPS.length];
            String name = ADJECTIVES[random.nextInt(ADJECTIVES.length)] + " " + group.substring(0, group.length() - 1) + " no. " + id;
            products.add(new Product(id, name, group, 900 + random.nextInt(40000), "A " + name + ", sent within two days."));
        }
    }

    public static Catalog get() {
        return INSTANCE;
    }

    /** Returns null when there is no such product. */
    public Product find(int id) {
        return id < 0 || id >= products.size() ? null : products.get(id);
    }

    public List<Product> group(String name, int page, int perPage) {
        List<Product> found = new ArrayList<>();
        int skip = page * perPage;
        for (Product p : products) {
            if (p.group().equals(name) && skip-- <= 0) {
                found.add(p);
                if (found.size() == perPage) {
                    break;
                }
            }
        }
        return found;
    }

    public List<Product> similar(Product to) {
        List<Product> found = new ArrayList<>();
        for (Product p : products) {
            if (p.group().equals(to.group()) && p.id() != to.id() && Math.abs(p.cents() - to.cents()) < 2000) {
                found.add(p);
            }
        }
        return found.subList(0, Math.min(5, found.size()));
    }
}
