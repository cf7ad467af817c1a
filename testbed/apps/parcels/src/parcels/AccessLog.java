package parcels;

import java.io.BufferedWriter;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.ArrayBlockingQueue;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.TimeUnit;

/** A line per request, written by a thread of its own; lines are dropped when it cannot keep up. */
public final class AccessLog implements Runnable {
    private final BlockingQueue<String> lines = new ArrayBlockingQueue<>(8192);
    private final Path file;

    public AccessLog(Path file) {
        this.file = file;
    }

    public void start() {
        Thread thread = new Thread(this, "access-log");
        thread.setDaemon(true);
        thread.start();
    }

    public void add(String method, String path, int status, int bytes, long nanos) {
        lines.offer(System.currentTimeMillis() + " " + method + " " + path + " " + status + " " + bytes + " " + nanos / 1000);
    }

    @Override
    public void run() {
        try (BufferedWriter out = Files.newBufferedWriter(file)) {
            while (true) {
                String line = lines.poll(1, TimeUnit.SECONDS);
                if (line == null) {
                    out.flush();
                    continue;
                }
                out.write(line);
                out.newLine();
            }
        } catch (IOException e) {
            System.err.println("access log: " + e);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }
}
