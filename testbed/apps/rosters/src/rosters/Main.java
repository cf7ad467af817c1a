package rosters;

import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;

/** Rosters of a hospital: who is on duty, and the plan of a month. */
public final class Main {
    private Main() {}

    public static void main(String[] args) throws Exception {
        ExecutorService pool = Executors.newFixedThreadPool(8);
        Rosters rosters = new Rosters(pool);
        HttpServer server = HttpServer.create(new InetSocketAddress("127.0.0.1", Integer.parseInt(args[0])), 64);
        server.setExecutor(pool);
        server.createContext("/duties/", exchange -> answer(exchange, rosters.planDay(number(exchange, "/duties/"))));
        server.createContext("/months/", exchange -> answer(exchange, rosters.planMonth(number(exchange, "/months/"))));
        server.start();
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
