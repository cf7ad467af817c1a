package parcels.net;

import parcels.AccessLog;
import parcels.Metrics;
import parcels.Settings;
import parcels.api.Router;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.net.StandardSocketOptions;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.util.concurrent.ArrayBlockingQueue;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.ThreadPoolExecutor;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;

/** One thread accepts, some read and write (IoLoop), a pool answers. */
public final class HttpServer {
    private final ServerSocketChannel listener;
    private final IoLoop[] loops;
    private final ThreadPoolExecutor workers;
    private final Router router;
    private final Metrics metrics;
    private final AccessLog log;

    public HttpServer(int port, Router router, Metrics metrics, AccessLog log, Settings settings) throws IOException {
        this.router = router;
        this.metrics = metrics;
        this.log = log;
        listener = ServerSocketChannel.open();
        listener.setOption(StandardSocketOptions.SO_REUSEADDR, true);
        listener.bind(new InetSocketAddress("127.0.0.1", port), 256);
        loops = new IoLoop[settings.get("io-threads")];
        for (int i = 0; i < loops.length; i++) {
            loops[i] = new IoLoop("io-" + i, settings);
        }
        AtomicInteger number = new AtomicInteger();
        int threads = settings.get("workers");
        workers = new ThreadPoolExecutor(threads, threads, 1, TimeUnit.MINUTES,
                new ArrayBlockingQueue<>(settings.get("queue")),
                task -> new Thread(task, "worker-" + number.getAndIncrement()));
    }

    public void start() {
        for (IoLoop loop : loops) {
            loop.start();
        }
        new Thread(this::accept, "acceptor").start();
    }

    private void accept() {
        int next = 0;
        while (true) {
            try {
                SocketChannel channel = listener.accept();
                channel.configureBlocking(false);
                channel.setOption(StandardSocketOptions.TCP_NODELAY, true);
                IoLoop loop = loops[next++ % loops.length];
                loop.register(new Connection(channel, loop, this));
            } catch (IOException e) {
                System.err.println("accept: " + e);
            }
        }
    }

    /** Has a worker answer the request; a full queue is answered at once. */
    void dispatch(Request request, Connection connection) {
        try {
            workers.execute(() -> answer(request, connection));
        } catch (RejectedExecutionException e) {
            metrics.reject();
            connection.send(Response.text(503, "busy\n"));
        }
    }

    private void answer(Request request, Connection connection) {
        long start = System.nanoTime();
        Exchange exchange = new Exchange(request, connection, response -> {
            long nanos = System.nanoTime() - start;
            metrics.record(router.routeOf(request), response.status(), nanos);
            log.add(request.method(), request.path(), response.status(), response.length(), nanos);
        });
        try {
            router.handle(exchange);
        } catch (IllegalArgumentException e) {
            exchange.respond(Response.text(400, e.getMessage() + "\n"));
        } catch (Exception e) {
            exchange.respond(Response.text(500, e + "\n"));
        }
    }
}
