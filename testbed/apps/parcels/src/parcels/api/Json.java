package parcels.api;

/** Writes JSON into one builder. */
final class Json {
    private final StringBuilder out = new StringBuilder(256);
    private boolean comma;

    Json open(char bracket) {
        separate();
        out.append(bracket);
        comma = false;
        return this;
    }

    Json close(char bracket) {
        out.append(bracket);
        comma = true;
        return this;
    }

    Json key(String name) {
        separate();
        quote(name);
        out.append(':');
        comma = false;
        return this;
    }

    Json value(String text) {
        separate();
        if (text == null) {
            out.append("null");
        } else {
            quote(text);
        }
        return this;
    }

    Json value(long number) {
        separate();
        out.append(number);
        return this;
    }

    private void separate() {
        if (comma) {
            out.append(',');
        }
        comma = true;
    }

    private void quote(String text) {
        out.append('"');
        for (int i = 0; i < text.length(); i++) {
            char c = text.charAt(i);
            if (c == '"' || c == '\\') {
                out.append('\\').append(c);
            } else if (c < ' ') {
                out.append(String.format("\\u%04x", (int) c));
            } else {
                out.append(c);
            }
        }
        out.append('"');
    }

    @Override
    public String toString() {
        return out.toString();
    }
}
