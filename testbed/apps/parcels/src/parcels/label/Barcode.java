package parcels.label;

import java.nio.ByteBuffer;

/** The bars of Code 11, which is made for digits. */
final class Barcode {
    private static final String[] BARS = {
        "101011", "1101011", "1001011", "1100101", "1011011", "1101101", "1001101", "1010011", "1101001", "110101",
    };
    private static final String EDGE = "1011001";

    private Barcode() {}

    static void draw(ByteBuffer out, String digits) {
        int x = bars(out, EDGE, 10);
        for (int i = 0; i < digits.length(); i++) {
            x = bars(out, BARS[digits.charAt(i) - '0'], x);
        }
        x = bars(out, BARS[check(digits)], x);
        bars(out, EDGE, x);
    }

    private static int check(String digits) {
        int sum = 0;
        for (int i = digits.length() - 1, weight = 1; i >= 0; i--, weight = weight % 10 + 1) {
            sum += weight * (digits.charAt(i) - '0');
        }
        return sum % 11 % 10;
    }

    private static int bars(ByteBuffer out, String pattern, int x) {
        for (int i = 0; i < pattern.length(); i++, x += 2) {
            if (pattern.charAt(i) == '1') {
                LabelRenderer.put(out, "<rect x=\"" + x + "\" y=\"120\" width=\"2\" height=\"120\"/>\n");
            }
        }
        return x + 2;
    }
}
