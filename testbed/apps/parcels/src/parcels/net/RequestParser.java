package parcels.net;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.Map;

/** HTTP/1.1 requests out of a buffer: request line, headers, a body of Content-Length bytes. */
final class RequestParser {
    /** Returns null, and takes nothing, until a request is complete. */
    Request parse(ByteBuffer in) {
        int end = endOfHead(in);
        if (end < 0) {
            return null;
        }
        String head = new String(in.array(), in.position(), end - in.position(), StandardCharsets.ISO_8859_1);
        Map<String, String> headers = new HashMap<>();
        int line = head.indexOf("\r\n");
        for (int at = line + 2; line >= 0 && at < head.length(); ) {
            int stop = head.indexOf("\r\n", at);
            if (stop < 0) {
                stop = head.length();
            }
            int colon = head.indexOf(':', at);
            if (colon > at && colon < stop) {
                headers.put(head.substring(at, colon).trim().toLowerCase(), head.substring(colon + 1, stop).trim());
            }
            at = stop + 2;
        }
        int length = 0;
        String given = headers.get("content-length");
        if (given != null) {
            length = Integer.parseInt(given);
        }
        if (in.limit() - end - 4 < length) {
            return null;
        }
        String body = new String(in.array(), end + 4, length, StandardCharsets.UTF_8);
        in.position(end + 4 + length);
        return request(line < 0 ? head : head.substring(0, line), headers, body);
    }

    private static int endOfHead(ByteBuffer in) {
        for (int i = in.position(); i + 3 < in.limit(); i++) {
            if (in.get(i) == '\r' && in.get(i + 1) == '\n' && in.get(i + 2) == '\r' && in.get(i + 3) == '\n') {
                return i;
            }
        }
        return -1;
    }

    private static Request request(String line, Map<String, String> headers, String body) {
        String[] parts = line.split(" ");
        if (parts.length != 3) {
            throw new IllegalArgumentException("not a request: " + line);
        }
        String path = parts[1];
        Map<String, String> query = new HashMap<>();
        int mark = path.indexOf('?');
        if (mark >= 0) {
            for (String pair : path.substring(mark + 1).split("&")) {
                int equals = pair.indexOf('=');
                if (equals > 0) {
                    query.put(pair.substring(0, equals), pair.substring(equals + 1));
                }
            }
            path = path.substring(0, mark);
        }
        return new Request(parts[0], path, query, headers, body);
    }
}
