package parcels.label;

import parcels.store.Parcel;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;

/** Draws the label of a parcel: the address, the number and its bar code. */
public final class LabelRenderer {
    private final BufferPool buffers;

    public LabelRenderer(BufferPool buffers) {
        this.buffers = buffers;
    }

    public byte[] render(Parcel parcel) throws InterruptedException {
        ByteBuffer out = buffers.take();
        put(out, "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"400\" height=\"300\">\n");
        address(out, parcel);
        Barcode.draw(out, Long.toString(parcel.id() * 1_000_003));
        put(out, "<text x=\"10\" y=\"290\">" + parcel.grams() + " g</text>\n</svg>\n");
        byte[] label = new byte[out.position()];
        out.flip().get(label);
        buffers.giveBack(out);
        return label;
    }

    private static void address(ByteBuffer out, Parcel parcel) {
        int y = 30;
        for (String line : new String[] {parcel.name(), parcel.street().toUpperCase(), parcel.town()}) {
            put(out, "<text x=\"10\" y=\"" + y + "\" class=\"address\">" + escape(line) + "</text>\n");
            y += 24;
        }
    }

    private static String escape(String text) {
        return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;");
    }

    static void put(ByteBuffer out, String text) {
        out.put(text.getBytes(StandardCharsets.UTF_8));
    }
}
