package parcels.net;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.ClosedChannelException;
import java.nio.channels.SelectionKey;
import java.nio.channels.Selector;
import java.nio.channels.SocketChannel;
import java.util.ArrayDeque;
import java.util.Queue;

/**
 * One client. Read by its loop's thread; written by whoever has the answer. One request is under
 * way at a time, those that a client sends meanwhile wait in line.
 */
final class Connection {
    private final SocketChannel channel;
    private final IoLoop loop;
    private final HttpServer server;
    private final RequestParser parser = new RequestParser();
    private final Queue<Request> waiting = new ArrayDeque<>();
    private final Queue<ByteBuffer> output = new ArrayDeque<>();
    private ByteBuffer input = ByteBuffer.allocate(8 * 1024);
    private SelectionKey key;
    private boolean busy;
    private boolean closeAfterAnswer;
    private volatile long lastUse = System.nanoTime();

    Connection(SocketChannel channel, IoLoop loop, HttpServer server) {
        this.channel = channel;
        this.loop = loop;
        this.server = server;
    }

    void attach(Selector selector) throws ClosedChannelException {
        key = channel.register(selector, SelectionKey.OP_READ, this);
    }

    /** Reads what has come and starts the requests in it. */
    void readable() throws IOException {
        int n = channel.read(input);
        if (n < 0) {
            peerClosed();
            return;
        }
        lastUse = System.nanoTime();
        input.flip();
        while (true) {
            Request request;
            try {
                request = parser.parse(input);
            } catch (IllegalArgumentException e) {
                closeAfterAnswer = true;
                send(Response.text(400, e.getMessage() + "\n"));
                return;
            }
            if (request == null) {
                break;
            }
            begin(request);
        }
        input.compact();
        if (!input.hasRemaining()) {
            grow();
        }
    }

    /** The client sends no more; it may still want the answer that it waits for. */
    private synchronized void peerClosed() {
        if (busy || !output.isEmpty()) {
            closeAfterAnswer = true;
        } else {
            close();
        }
    }

    private void grow() throws IOException {
        if (input.capacity() >= 256 * 1024) {
            throw new IOException("request too large");
        }
        ByteBuffer larger = ByteBuffer.allocate(2 * input.capacity());
        input.flip();
        larger.put(input);
        input = larger;
    }

    private void begin(Request request) {
        synchronized (this) {
            if (busy) {
                waiting.add(request);
                return;
            }
            busy = true;
        }
        server.dispatch(request, this);
    }

    /** Sends the answer to the request under way and goes on to the next. */
    void send(Response response) {
        Request next;
        synchronized (this) {
            output.add(response.encode(!closeAfterAnswer));
            next = waiting.poll();
            busy = next != null;
        }
        try {
            flush();
        } catch (IOException e) {
            loop.execute(this::close);
            return;
        }
        if (next != null) {
            server.dispatch(next, this);
        }
    }

    private synchronized void flush() throws IOException {
        while (!output.isEmpty()) {
            ByteBuffer first = output.peek();
            channel.write(first);
            if (first.hasRemaining()) {
                loop.execute(() -> wantWrite(true));
                return;
            }
            output.remove();
        }
        lastUse = System.nanoTime();
        if (closeAfterAnswer && !busy) {
            loop.execute(this::close);
        }
    }

    void writable() throws IOException {
        flush();
        boolean done;
        synchronized (this) {
            done = output.isEmpty();
        }
        if (done) {
            wantWrite(false);
        }
    }

    private void wantWrite(boolean want) {
        if (key != null && key.isValid()) {
            key.interestOps(want ? SelectionKey.OP_READ | SelectionKey.OP_WRITE : SelectionKey.OP_READ);
        }
    }

    long idleSince(long now) {
        synchronized (this) {
            return busy ? 0 : now - lastUse;
        }
    }

    void close() {
        if (key != null) {
            key.cancel();
        }
        try {
            channel.close();
        } catch (IOException e) {
            // Nobody is left to tell.
        }
    }
}
