package granary;

import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.util.concurrent.Executors;

/** Samples of grain, and what a field brought. */
public final class Main {
    private Main() {}

    public static void main(String[] args) throws Exception {
        Samples samples = new Samples();
        HttpServer server = HttpServer.create(new InetSocketAddress("127.0.0.1", Integer.parseInt(args[0])), 64);
        server.setExecutor(Executors.newFixedThreadPool(8));
        server.createContext("/samples/", exchange -> answer(exchange, samples.show(number(exchange, "/samples/"))));
        server.createContext("/fields/", exchange -> answer(exchange, field(number(exchange, "/fields/"))));
        server.start();
    }

    private static String field(int number) {
        StringBuilder text = new StringBuilder();
        for (int year = 0; year < 60; year++) {
            text.append(1960 + year).append(": ").append((number * 37 + year * year) % 900).append(" t\n");
        }
        return text.toString();
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
