package parcels.api;

import parcels.Metrics;
import parcels.Settings;
import parcels.net.Exchange;
import parcels.net.Response;
import parcels.peer.PeerPool;
import java.util.Map;
import java.util.TreeMap;

/** What the people who run the server ask for. */
public final class AdminHandlers {
    private final Settings settings;
    private final Metrics metrics;
    private final PeerPool pool;

    public AdminHandlers(Settings settings, Metrics metrics, PeerPool pool) {
        this.settings = settings;
        this.metrics = metrics;
        this.pool = pool;
    }

    public void register(Router router) {
        router.add("GET", "/healthz", exchange -> exchange.respond(Response.text(200, "ok\n")));
        router.add("GET", "/metrics", this::metrics);
        router.add("GET", "/admin", this::show);
        router.add("PUT", "/admin", this::change);
    }

    private void metrics(Exchange exchange) {
        exchange.respond(Response.text(200, metrics.text() + "peer_connections_idle " + pool.idle() + "\n"));
    }

    private void show(Exchange exchange) {
        Json json = new Json().open('{');
        for (Map.Entry<String, Integer> e : new TreeMap<>(settings.all()).entrySet()) {
            json.key(e.getKey()).value(e.getValue());
        }
        exchange.respond(Response.json(json.close('}').toString()));
    }

    private void change(Exchange exchange) {
        exchange.request().query().forEach(settings::set);
        show(exchange);
    }
}
