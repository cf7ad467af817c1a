package parcels.api;

import parcels.label.LabelRenderer;
import parcels.net.Exchange;
import parcels.net.Request;
import parcels.net.Response;
import parcels.peer.RatesClient;
import parcels.store.Event;
import parcels.store.History;
import parcels.store.Parcel;
import parcels.store.ParcelStore;
import parcels.store.Summary;
import parcels.store.Watchers;
import java.io.IOException;
import java.util.List;
import java.util.Map;

/** What customers and depots ask for. */
public final class Handlers {
    private final ParcelStore store;
    private final Summary summary;
    private final RatesClient rates;
    private final LabelRenderer labels;
    private final Watchers watchers;

    public Handlers(ParcelStore store, Summary summary, RatesClient rates, LabelRenderer labels, Watchers watchers) {
        this.store = store;
        this.summary = summary;
        this.rates = rates;
        this.labels = labels;
        this.watchers = watchers;
    }

    public void register(Router router) {
        router.add("GET", "/parcels", this::parcel);
        router.add("PUT", "/parcels", this::create);
        router.add("GET", "/search", this::search);
        router.add("POST", "/events", this::event);
        router.add("GET", "/history", this::history);
        router.add("GET", "/label", this::label);
        router.add("GET", "/quote", this::quote);
        router.add("GET", "/summary", this::summary);
        router.add("GET", "/watch", this::watch);
    }

    private Parcel find(Exchange exchange) {
        Parcel parcel = store.get(number(exchange.request().tail()));
        if (parcel == null) {
            exchange.respond(Response.text(404, "no such parcel\n"));
        }
        return parcel;
    }

    private static long number(String text) {
        try {
            return Long.parseLong(text);
        } catch (NumberFormatException e) {
            throw new IllegalArgumentException("not a number: " + text);
        }
    }

    private void parcel(Exchange exchange) {
        Parcel parcel = find(exchange);
        if (parcel != null) {
            Json json = new Json();
            write(json, parcel);
            exchange.respond(Response.json(json.toString()));
        }
    }

    private static void write(Json json, Parcel parcel) {
        json.open('{').key("id").value(parcel.id()).key("name").value(parcel.name()).key("street").value(parcel.street())
                .key("town").value(parcel.town()).key("grams").value(parcel.grams()).key("events").open('[');
        List<Event> events = parcel.events();
        for (Event e : events.subList(Math.max(0, events.size() - 3), events.size())) {
            json.open('{').key("at").value(e.at()).key("place").value(e.place()).key("state").value(e.state()).close('}');
        }
        json.close(']').close('}');
    }

    /** PUT /parcels/17 with name|street|town|grams; a parcel that is held at the counter has no street. */
    private void create(Exchange exchange) {
        Request request = exchange.request();
        String[] fields = request.body().split("\\|", -1);
        if (fields.length != 4) {
            throw new IllegalArgumentException("want name|street|town|grams");
        }
        String street = fields[1].isEmpty() ? null : fields[1];
        store.put(new Parcel(number(request.tail()), fields[0], street, fields[2], (int) number(fields[3])));
        exchange.respond(Response.text(204, ""));
    }

    private void search(Exchange exchange) {
        Request request = exchange.request();
        List<Parcel> found = store.search(request.need("town"), request.query().getOrDefault("state", ""), 20);
        Json json = new Json().open('[');
        for (Parcel parcel : found) {
            write(json, parcel);
        }
        exchange.respond(Response.json(json.close(']').toString()));
    }

    /** POST /events/17 with place|state. */
    private void event(Exchange exchange) throws IOException {
        String[] fields = exchange.request().body().split("\\|", -1);
        if (fields.length != 2) {
            throw new IllegalArgumentException("want place|state");
        }
        boolean known = store.append(number(exchange.request().tail()), new Event(System.currentTimeMillis(), fields[0], fields[1]));
        exchange.respond(known ? Response.text(204, "") : Response.text(404, "no such parcel\n"));
    }

    private void history(Exchange exchange) {
        Parcel parcel = find(exchange);
        if (parcel != null) {
            exchange.respond(Response.text(200, new History(parcel).render()));
        }
    }

    private void label(Exchange exchange) throws InterruptedException {
        Parcel parcel = find(exchange);
        if (parcel != null) {
            exchange.respond(new Response(200, "image/svg+xml", labels.render(parcel)));
        }
    }

    private void quote(Exchange exchange) throws IOException, InterruptedException {
        Request request = exchange.request();
        int cents = rates.cents(request.need("from"), request.need("to"), (int) number(request.need("grams")));
        exchange.respond(Response.json(new Json().open('{').key("cents").value(cents).close('}').toString()));
    }

    private void summary(Exchange exchange) {
        Json json = new Json().open('{');
        for (Map.Entry<String, Integer> e : summary.latest().entrySet()) {
            json.key(e.getKey()).value(e.getValue());
        }
        exchange.respond(Response.json(json.close('}').toString()));
    }

    private void watch(Exchange exchange) {
        Parcel parcel = find(exchange);
        if (parcel != null) {
            watchers.add(parcel.id(), exchange);
        }
    }
}
