package parcels.net;

import java.util.concurrent.atomic.AtomicBoolean;
import java.util.function.Consumer;

/** A request and the way to answer it, now or later, once. */
public final class Exchange {
    private final Request request;
    private final Connection connection;
    private final Consumer<Response> answered;
    private final AtomicBoolean done = new AtomicBoolean();

    Exchange(Request request, Connection connection, Consumer<Response> answered) {
        this.request = request;
        this.connection = connection;
        this.answered = answered;
    }

    public Request request() {
        return request;
    }

    public void respond(Response response) {
        if (done.compareAndSet(false, true)) {
            answered.accept(response);
            connection.send(response);
        }
    }
}
