package parcels.store;

import java.io.BufferedWriter;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

/** Every event in the order in which it came; written out four times a second. */
public final class Journal implements Runnable {
    private final BufferedWriter out;
    private StringBuilder pending = new StringBuilder();

    public Journal(Path file) throws IOException {
        out = Files.newBufferedWriter(file);
    }

    public void start() {
        Thread thread = new Thread(this, "journal");
        thread.setDaemon(true);
        thread.start();
    }

    synchronized void add(long id, Event event) {
        pending.append(id).append('|').append(event.at()).append('|').append(event.place()).append('|')
                .append(event.state()).append('\n');
    }

    private synchronized StringBuilder take() {
        StringBuilder taken = pending;
        pending = new StringBuilder();
        return taken;
    }

    @Override
    public void run() {
        try {
            while (true) {
                Thread.sleep(250);
                StringBuilder text = take();
                if (text.length() > 0) {
                    out.append(text);
                    out.flush();
                }
            }
        } catch (IOException e) {
            System.err.println("journal: " + e);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }
}
