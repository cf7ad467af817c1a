package com.shop;

import java.net.ServerSocket;

/** Threads that queue behind one lock, in code that has been compiled. */
final class Cart {
    private long sum;

    private synchronized void add(int price) {
        for (int i = 0; i < 20_000; i++) {
            sum += (price * 31L) ^ i;
        }
    }

    private void buy() {
        for (int price = 0; ; price++) {
            add(price);
        }
    }

    public static void main(String[] args) throws Exception {
        Cart cart = new Cart();
        for (int i = 0; i < 4; i++) {
            Thread buyer = new Thread(cart::buy, "buyer");
            buyer.setDaemon(true);
            buyer.start();
        }
        try (ServerSocket listener = new ServerSocket(Integer.parseInt(args[0]))) {
            while (true) {
                listener.accept().close();
            }
        }
    }
}
