package parcels.api;

import parcels.net.Exchange;
import parcels.net.Request;
import parcels.net.Response;
import java.util.HashMap;
import java.util.Map;

/** Finds the handler of a request by its method and the first directory of its path. */
public final class Router {
    /** Answers a request, before it returns or later. */
    @FunctionalInterface
    public interface Handler {
        void handle(Exchange exchange) throws Exception;
    }

    private final Map<String, Handler> handlers = new HashMap<>();

    public void add(String method, String path, Handler handler) {
        handlers.put(method + " " + path, handler);
    }

    public String routeOf(Request request) {
        int slash = request.path().indexOf('/', 1);
        return request.method() + " " + (slash < 0 ? request.path() : request.path().substring(0, slash));
    }

    public void handle(Exchange exchange) throws Exception {
        Handler handler = handlers.get(routeOf(exchange.request()));
        if (handler == null) {
            exchange.respond(Response.text(404, "no such page\n"));
            return;
        }
        handler.handle(exchange);
    }
}
