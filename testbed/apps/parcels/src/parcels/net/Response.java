package parcels.net;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;

public record Response(int status, String type, byte[] body) {
    public static Response text(int status, String body) {
        return new Response(status, "text/plain", body.getBytes(StandardCharsets.UTF_8));
    }

    public static Response json(String body) {
        return new Response(200, "application/json", body.getBytes(StandardCharsets.UTF_8));
    }

    public int length() {
        return body.length;
    }

    ByteBuffer encode(boolean keepAlive) {
        byte[] head = ("HTTP/1.1 " + status + " " + reason(status) + "\r\nContent-Type: " + type
                + "\r\nContent-Length: " + body.length
                + (keepAlive ? "" : "\r\nConnection: close") + "\r\n\r\n").getBytes(StandardCharsets.ISO_8859_1);
        return ByteBuffer.allocate(head.length + body.length).put(head).put(body).flip();
    }

    private static String reason(int status) {
        switch (status) {
            case 200: return "OK";
            case 204: return "No Content";
            case 400: return "Bad Request";
            case 404: return "Not Found";
            case 503: return "Service Unavailable";
            default: return "Error";
        }
    }
}
