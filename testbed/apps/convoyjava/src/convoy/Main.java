package convoy;

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.OutputStream;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;

/** A small server whose requests wait for a monitor. After the line FAULT who holds it computes longer. */
public final class Main {
    private static volatile boolean faulty;
    private static long sum = 88172645463325252L;

    private static void recount() {
        int steps = faulty ? 2_500_000 : 100_000;
        long x = sum;
        for (int i = 0; i < steps; i++) {
            x = x * 6364136223846793005L + 1442695040888963407L;
        }
        sum = x;
    }

    private static synchronized void enter() {
        recount();
    }

    private static void serve(Socket s) {
        try (s; BufferedReader in = new BufferedReader(new InputStreamReader(s.getInputStream())); OutputStream out = s.getOutputStream()) {
            s.setTcpNoDelay(true);
            for (String line = in.readLine(); line != null; line = in.readLine()) {
                if (line.startsWith("FAULT")) {
                    faulty = true;
                } else {
                    enter();
                }
                out.write("OK\n".getBytes());
            }
        } catch (java.io.IOException e) {
            // The client is gone.
        }
    }

    public static void main(String[] args) throws Exception {
        try (ServerSocket listener = new ServerSocket(Integer.parseInt(args[0]), 128, InetAddress.getLoopbackAddress())) {
            for (;;) {
                Socket s = listener.accept();
                new Thread(() -> serve(s), "connection").start();
            }
        }
    }
}
