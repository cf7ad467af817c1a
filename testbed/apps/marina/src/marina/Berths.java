package marina;

import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** Who lies where. */
final class Berths {
    private static final Logger log = LoggerFactory.getLogger(Berths.class);

    private final int[] lengths;
    private final int[] boats;

    Berths(int many) {
        lengths = new int[many];
        boats = new int[many];
        for (int i = 0; i < many; i++) {
            lengths[i] = 4 + (i * 7) % 22;
        }
    }

    /** Gives a boat the berth that is the least too long for it. */
    String moor(int boat) {
        int length = 4 + (boat * 13) % 20;
        int best = -1;
        for (int i = 0; i < lengths.length; i++) {
            if (suits(i, boat, length) && (best < 0 || lengths[i] < lengths[best])) {
                best = i;
            }
        }
        boats[best] = boat;
        log.info("boat {} of {} m lies in berth {}", boat, length, best);
        return "berth " + best + "\n";
    }

    private boolean suits(int berth, int boat, int length) {
        boolean fits = lengths[berth] >= length;
        log.debug("boat {} of {} m in berth {} of {} m, where {} was: {}", boat, length, berth, lengths[berth], boats[berth], fits);
        return fits;
    }
}
