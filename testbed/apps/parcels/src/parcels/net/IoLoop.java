package parcels.net;

import parcels.Settings;
import java.io.IOException;
import java.nio.channels.ClosedChannelException;
import java.nio.channels.SelectionKey;
import java.nio.channels.Selector;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import java.util.Queue;
import java.util.concurrent.ConcurrentLinkedQueue;

/** The thread that waits for sockets to be ready, for its share of the connections. */
final class IoLoop implements Runnable {
    private final String name;
    private final Selector selector;
    private final Settings settings;
    private final Queue<Runnable> tasks = new ConcurrentLinkedQueue<>();
    private long lastSweep = System.nanoTime();

    IoLoop(String name, Settings settings) throws IOException {
        this.name = name;
        this.settings = settings;
        this.selector = Selector.open();
    }

    void start() {
        new Thread(this, name).start();
    }

    /** Runs a task in the loop's thread. */
    void execute(Runnable task) {
        tasks.add(task);
        selector.wakeup();
    }

    void register(Connection connection) {
        execute(() -> {
            try {
                connection.attach(selector);
            } catch (ClosedChannelException e) {
                connection.close();
            }
        });
    }

    @Override
    public void run() {
        while (true) {
            try {
                selector.select(1000);
                runTasks();
                processSelected();
                sweep();
            } catch (IOException e) {
                System.err.println(name + ": " + e);
            }
        }
    }

    private void runTasks() {
        Queue<Runnable> due = new ArrayDeque<>();
        for (Runnable task = tasks.poll(); task != null; task = tasks.poll()) {
            due.add(task);
        }
        for (Runnable task : due) {
            task.run();
        }
    }

    private void processSelected() {
        Iterator<SelectionKey> keys = selector.selectedKeys().iterator();
        while (keys.hasNext()) {
            SelectionKey key = keys.next();
            keys.remove();
            if (!key.isValid()) {
                continue;
            }
            Connection connection = (Connection) key.attachment();
            try {
                if (key.isReadable()) {
                    connection.readable();
                }
                if (key.isValid() && key.isWritable()) {
                    connection.writable();
                }
            } catch (IOException e) {
                connection.close();
            }
        }
    }

    /** Closes what has been idle for too long, every five seconds. */
    private void sweep() {
        long now = System.nanoTime();
        if (now - lastSweep < 5_000_000_000L) {
            return;
        }
        lastSweep = now;
        long limit = settings.get("idle-seconds") * 1_000_000_000L;
        List<Connection> idle = new ArrayList<>();
        for (SelectionKey key : selector.keys()) {
            Connection connection = (Connection) key.attachment();
            if (connection.idleSince(now) > limit) {
                idle.add(connection);
            }
        }
        idle.forEach(Connection::close);
    }
}
