package brewery;

import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.io.UncheckedIOException;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.util.concurrent.ConcurrentHashMap;

/** Rates of currencies, which another service knows and which are good for a second. */
final class Rates {
    private record Rate(double value, long until) {}

    private final ConcurrentHashMap<Integer, Rate> known = new ConcurrentHashMap<>();
    private final String host;
    private final int port;

    Rates(String address) {
        host = address.substring(0, address.indexOf(':'));
        port = Integer.parseInt(address.substring(address.indexOf(':') + 1));
    }

    /** The mistake: the map is locked, for this currency and for those beside it, while the service is asked. */
    double rate(int currency) {
        return known.compute(currency, (key, old) -> old != null && old.until() > System.nanoTime() ? old : fetch(key)).value();
    }

    private Rate fetch(int currency) {
        try (Socket socket = new Socket(host, port)) {
            OutputStream out = socket.getOutputStream();
            out.write(("GET /app/rate?of=" + currency + " HTTP/1.0\r\n\r\n").getBytes(StandardCharsets.US_ASCII));
            InputStream in = socket.getInputStream();
            String answer = new String(in.readAllBytes(), StandardCharsets.US_ASCII);
            return new Rate(Double.parseDouble(answer.substring(answer.indexOf("\r\n\r\n")).trim()), System.nanoTime() + 1_000_000_000L);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
