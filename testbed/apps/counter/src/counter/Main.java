package counter;

import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.util.HashMap;
import java.util.Map;
import java.util.concurrent.Executors;

/**
 * A bank's counter over HTTP, with a pool of threads. Some of its requests take a slow
 * way from its first second on, which an option chooses.
 */
public final class Main {
	private static final Map<Integer, Integer> balances = new HashMap<>();
	private static String slow = "";
	private static int permille;

	public static void main(String[] args) throws Exception {
		int port = 0;
		for (String a : args) {
			String value = a.substring(a.indexOf('=') + 1);
			if (a.startsWith("--port=")) port = Integer.parseInt(value);
			if (a.startsWith("--slow=")) slow = value;
			if (a.startsWith("--permille=")) permille = Integer.parseInt(value);
		}
		for (int i = 0; i < 2000; i++) balances.put(i, i);
		HttpServer server = HttpServer.create(new InetSocketAddress("127.0.0.1", port), 64);
		server.createContext("/", Main::answer);
		server.setExecutor(Executors.newFixedThreadPool(8));
		server.start();
	}

	private static void answer(HttpExchange exchange) throws IOException {
		String path = exchange.getRequestURI().getPath();
		int id = path.startsWith("/item/") ? Integer.parseInt(path.substring(6)) : 999;
		int pages = 120;
		if (id % 1000 < permille) {
			switch (slow) {
			case "statement" -> buildStatement(id);
			case "reindex" -> reindex(id, 4000);
			case "short-reindex" -> reindex(id, 1000);
			case "large" -> pages *= 40;
			default -> { }
			}
		}
		byte[] body = (balance(id) + " " + seal(id, pages)).getBytes(StandardCharsets.UTF_8);
		exchange.sendResponseHeaders(200, body.length);
		exchange.getResponseBody().write(body);
		exchange.close();
	}

	private static int balance(int id) {
		synchronized (balances) {
			return balances.get(id % 2000);
		}
	}

	private static int seal(int id, int pages) {
		try {
			byte[] page = new byte[4096];
			MessageDigest d = MessageDigest.getInstance("SHA-256");
			byte[] sum = d.digest(String.valueOf(id).getBytes(StandardCharsets.UTF_8));
			for (int i = 0; i < pages; i++) {
				System.arraycopy(sum, 0, page, 0, sum.length);
				sum = d.digest(page);
			}
			return sum[0];
		} catch (java.security.NoSuchAlgorithmException e) {
			throw new IllegalStateException(e);
		}
	}

	static int buildStatement(int id) {
		String text = "";
		for (int i = 0; i < 2500; i++) {
			text += "booking " + i + " of " + id + "\n";
		}
		return text.length();
	}

	static void reindex(int id, int turns) {
		synchronized (balances) {
			long sum = id;
			for (int turn = 0; turn < turns; turn++) {
				for (int v : balances.values()) sum = sum * 31 + v;
			}
			balances.put(0, (int) sum);
		}
	}
}
