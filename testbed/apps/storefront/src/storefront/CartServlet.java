package storefront;

import jakarta.servlet.ServletException;
import jakarta.servlet.http.HttpServlet;
import jakarta.servlet.http.HttpServletRequest;
import jakarta.servlet.http.HttpServletResponse;
import jakarta.servlet.http.HttpSession;
import java.io.BufferedReader;
import java.io.IOException;

/** GET /cart shows it, POST /cart?product=17&count=2 adds to it, PUT /cart takes over an order. */
public final class CartServlet extends HttpServlet {
    private static final long serialVersionUID = 1;

    private static Cart cart(HttpServletRequest request) {
        HttpSession session = request.getSession();
        Cart cart = (Cart) session.getAttribute("cart");
        if (cart == null) {
            cart = new Cart();
            session.setAttribute("cart", cart);
        }
        return cart;
    }

    @Override
    protected void doGet(HttpServletRequest request, HttpServletResponse response) throws IOException {
        Cart cart = cart(request);
        StringBuilder out = new StringBuilder("<html><body><h1>Your cart</h1><ul>\n");
        int shown = 0;
        for (Line line : cart.lines()) {
            if (shown++ == 50) {
                break;
            }
            out.append("<li>").append(line.count()).append(" x ").append(line.name()).append("</li>\n");
        }
        out.append("</ul><p>").append(cart.lines().size()).append(" lines, ").append(cart.cents() / 100).append(" euros</p></body></html>\n");
        response.setContentType("text/html");
        response.getWriter().append(out);
    }

    @Override
    protected void doPost(HttpServletRequest request, HttpServletResponse response) throws IOException {
        Product product = Catalog.get().find(number(request.getParameter("product")));
        if (product == null) {
            response.sendError(HttpServletResponse.SC_NOT_FOUND);
            return;
        }
        cart(request).add(product, Math.max(1, number(request.getParameter("count"))));
        response.setStatus(HttpServletResponse.SC_NO_CONTENT);
    }

    /** Lines of product,reference,count. */
    @Override
    protected void doPut(HttpServletRequest request, HttpServletResponse response) throws ServletException, IOException {
        Cart cart = cart(request);
        BufferedReader lines = request.getReader();
        for (String line = lines.readLine(); line != null; line = lines.readLine()) {
            String[] fields = line.split(",");
            Product product = fields.length == 3 ? Catalog.get().find(number(fields[0])) : null;
            if (product == null) {
                response.sendError(HttpServletResponse.SC_BAD_REQUEST, "not a line: " + line);
                return;
            }
            cart.importLine(product, fields[1], number(fields[2]));
        }
        response.setStatus(HttpServletResponse.SC_NO_CONTENT);
    }

    private static int number(String text) {
        try {
            return text == null ? 0 : Integer.parseInt(text);
        } catch (NumberFormatException e) {
            return -1;
        }
    }
}
