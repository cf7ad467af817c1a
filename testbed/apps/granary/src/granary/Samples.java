package granary;

import java.lang.ref.SoftReference;
import java.util.concurrent.ConcurrentHashMap;

/** What samples weigh grain by grain, kept as long as there is memory. */
final class Samples {
    private final ConcurrentHashMap<Integer, SoftReference<Integer[]>> kept = new ConcurrentHashMap<>();

    String show(int number) {
        Integer[] grains = find(number);
        return grains.length + " grains, the first of " + grains[0] + " mg\n";
    }

    /** The mistake: what is kept until memory is short keeps memory short. */
    private Integer[] find(int number) {
        SoftReference<Integer[]> known = kept.get(number);
        Integer[] grains = known == null ? null : known.get();
        if (grains == null) {
            grains = weigh(number);
            kept.put(number, new SoftReference<>(grains));
        }
        return grains;
    }

    private static Integer[] weigh(int number) {
        Integer[] grains = new Integer[8000];
        for (int i = 0; i < grains.length; i++) {
            grains[i] = Integer.valueOf(1000 + (number * 31 + i * 7) % 9000);
        }
        return grains;
    }
}
