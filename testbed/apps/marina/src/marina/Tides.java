package marina;

/** When the water is high. */
final class Tides {
    private Tides() {}

    static String of(int day) {
        StringBuilder text = new StringBuilder();
        for (int hour = 0; hour < 24; hour++) {
            double height = 3 + 2 * Math.sin((day * 24 + hour) * Math.PI / 6.21);
            text.append(hour).append(":00 ").append(Math.round(height * 100) / 100.0).append(" m\n");
        }
        return text.toString();
    }
}
