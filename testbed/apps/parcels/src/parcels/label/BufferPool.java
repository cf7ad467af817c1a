package parcels.label;

import java.nio.ByteBuffer;
import java.util.ArrayDeque;
import java.util.Deque;

/** A fixed number of buffers, so that labels never take more memory than was set aside for them. */
public final class BufferPool {
    private final Deque<ByteBuffer> free = new ArrayDeque<>();

    public BufferPool(int count, int bytes) {
        for (int i = 0; i < count; i++) {
            free.add(ByteBuffer.allocate(bytes));
        }
    }

    /** Waits until a buffer is free. */
    public synchronized ByteBuffer take() throws InterruptedException {
        while (free.isEmpty()) {
            wait();
        }
        return free.pop().clear();
    }

    public synchronized void giveBack(ByteBuffer buffer) {
        free.push(buffer);
        notify();
    }
}
