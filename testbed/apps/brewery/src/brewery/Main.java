package brewery;

import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.util.concurrent.Executors;

/** Recipes of a brewery, and what their malt costs in a currency. */
public final class Main {
    private Main() {}

    public static void main(String[] args) throws Exception {
        Rates rates = new Rates(args[1]);
        HttpServer server = HttpServer.create(new InetSocketAddress("127.0.0.1", Integer.parseInt(args[0])), 64);
        server.setExecutor(Executors.newFixedThreadPool(12));
        server.createContext("/recipes/", exchange -> answer(exchange, recipe(number(exchange, "/recipes/"))));
        server.createContext("/prices/", exchange -> {
            int number = number(exchange, "/prices/");
            answer(exchange, String.valueOf((100 + number) * rates.rate(number % 6)));
        });
        server.start();
    }

    private static String recipe(int number) {
        StringBuilder text = new StringBuilder("[");
        for (int step = 0; step < 30; step++) {
            text.append(step == 0 ? "" : ",").append("{\"minute\":").append(step * 5).append(",\"degrees\":").append((number * 3 + step) % 80 + 20).append('}');
        }
        return text.append("]").toString();
    }

    private static int number(HttpExchange exchange, String prefix) {
        return Integer.parseInt(exchange.getRequestURI().getPath().substring(prefix.length()));
    }

    private static void answer(HttpExchange exchange, String text) throws IOException {
        byte[] body = text.getBytes(StandardCharsets.UTF_8);
        exchange.sendResponseHeaders(200, body.length);
        exchange.getResponseBody().write(body);
        exchange.close();
    }
}
