package parcels;

import parcels.api.AdminHandlers;
import parcels.api.Handlers;
import parcels.api.Router;
import parcels.label.BufferPool;
import parcels.label.LabelRenderer;
import parcels.net.HttpServer;
import parcels.peer.PeerPool;
import parcels.peer.RatesClient;
import parcels.store.Generator;
import parcels.store.Journal;
import parcels.store.ParcelStore;
import parcels.store.Summary;
import parcels.store.Watchers;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.Map;

/** A server that knows where parcels are: tracking, quotes, labels. */
public final class Main {
    private Main() {}

    public static void main(String[] args) throws Exception {
        Map<String, String> flags = parse(args);
        int port = Integer.parseInt(flags.getOrDefault("port", "8080"));
        Path dir = Path.of(flags.getOrDefault("dir", "."));
        Settings settings = new Settings();
        for (Map.Entry<String, String> flag : flags.entrySet()) {
            if (settings.knows(flag.getKey())) {
                settings.set(flag.getKey(), flag.getValue());
            }
        }

        Watchers watchers = new Watchers(settings);
        Journal journal = new Journal(dir.resolve("journal.log"));
        ParcelStore store = new ParcelStore(journal, watchers);
        new Generator(42).fill(store, Integer.parseInt(flags.getOrDefault("parcels", "20000")));
        Summary summary = new Summary(store);

        PeerPool pool = new PeerPool(flags.getOrDefault("rates", "127.0.0.1:9090"), settings);
        RatesClient rates = new RatesClient(pool, settings);
        LabelRenderer labels = new LabelRenderer(new BufferPool(8, 64 * 1024));

        Metrics metrics = new Metrics();
        Router router = new Router();
        new Handlers(store, summary, rates, labels, watchers).register(router);
        new AdminHandlers(settings, metrics, pool).register(router);

        AccessLog log = new AccessLog(dir.resolve("access.log"));
        HttpServer server = new HttpServer(port, router, metrics, log, settings);
        journal.start();
        summary.start();
        watchers.start();
        log.start();
        server.start();
        System.out.println("listening on port " + port);
    }

    private static Map<String, String> parse(String[] args) {
        Map<String, String> flags = new HashMap<>();
        for (String arg : args) {
            int equals = arg.indexOf('=');
            if (!arg.startsWith("--") || equals < 0) {
                throw new IllegalArgumentException("not a flag: " + arg + " (use --name=value)");
            }
            flags.put(arg.substring(2, equals), arg.substring(equals + 1));
        }
        return flags;
    }
}
