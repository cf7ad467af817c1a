package parcels.net;

import java.util.Map;

public record Request(String method, String path, Map<String, String> query, Map<String, String> headers, String body) {
    public String need(String name) {
        String value = query.get(name);
        if (value == null) {
            throw new IllegalArgumentException(name + " is missing");
        }
        return value;
    }

    /** The part of the path after its first directory: 17 of /parcels/17. */
    public String tail() {
        int slash = path.indexOf('/', 1);
        return slash < 0 ? "" : path.substring(slash + 1);
    }
}
