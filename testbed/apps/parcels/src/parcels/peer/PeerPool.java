package parcels.peer;

import parcels.Settings;
import java.io.IOException;
import java.util.ArrayDeque;
import java.util.Deque;

/** Connections to the peer that are used again; each is tried before it is handed out. */
public final class PeerPool {
    private final String address;
    private final Settings settings;
    private final Deque<PeerConnection> idle = new ArrayDeque<>();

    public PeerPool(String address, Settings settings) {
        this.address = address;
        this.settings = settings;
    }

    synchronized PeerConnection borrow() throws IOException {
        while (!idle.isEmpty()) {
            PeerConnection c = idle.pop();
            if (c.alive()) {
                return c;
            }
            c.close();
        }
        return new PeerConnection(address, settings.get("peer-timeout-ms"));
    }

    synchronized void giveBack(PeerConnection c) {
        if (idle.size() < settings.get("peer-connections")) {
            idle.push(c);
        } else {
            c.close();
        }
    }

    public synchronized int idle() {
        return idle.size();
    }
}
