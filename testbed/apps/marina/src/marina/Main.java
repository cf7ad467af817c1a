package marina;

import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.util.concurrent.Executors;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** A marina: boats get berths, and tides are shown. */
public final class Main {
    private static final Logger log = LoggerFactory.getLogger(Main.class);

    private Main() {}

    public static void main(String[] args) throws Exception {
        Berths berths = new Berths(240);
        HttpServer server = HttpServer.create(new InetSocketAddress("127.0.0.1", Integer.parseInt(args[0])), 64);
        server.setExecutor(Executors.newFixedThreadPool(8));
        server.createContext("/boats/", exchange -> answer(exchange, berths.moor(number(exchange, "/boats/"))));
        server.createContext("/tides/", exchange -> answer(exchange, Tides.of(number(exchange, "/tides/"))));
        server.createContext("/loggers/", exchange -> answer(exchange, level(exchange)));
        server.start();
        log.info("{} berths", 240);
    }

    /** As the loggers endpoint of Spring Boot: sets the level of everything of this program. */
    private static String level(HttpExchange exchange) {
        String level = exchange.getRequestURI().getPath().substring("/loggers/".length());
        ((ch.qos.logback.classic.Logger) LoggerFactory.getLogger("marina")).setLevel(ch.qos.logback.classic.Level.toLevel(level));
        return level + "\n";
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
