<?php
// Reads requests of all connections and writes the answers.
class Loop
{
    private $listener;
    private array $connections = [];
    private array $pending = [];

    public function __construct(string $address)
    {
        $this->listener = stream_socket_server("tcp://$address", $code, $message) ?: die("$message\n");
        stream_set_blocking($this->listener, false);
    }

    public function run(callable $answer): void
    {
        while (true) {
            $ready = [$this->listener, ...array_values($this->connections)];
            $none = null;
            if (!stream_select($ready, $none, $none, null)) {
                continue;
            }
            foreach ($ready as $stream) {
                $stream === $this->listener ? $this->accept() : $this->receive($stream, $answer);
            }
        }
    }

    private function accept(): void
    {
        $stream = @stream_socket_accept($this->listener, 0);
        if ($stream) {
            stream_set_blocking($stream, false);
            $this->connections[(int)$stream] = $stream;
            $this->pending[(int)$stream] = '';
        }
    }

    private function receive($stream, callable $answer): void
    {
        $id = (int)$stream;
        $read = fread($stream, 8192);
        if ($read === '' || $read === false) {
            fclose($stream);
            unset($this->connections[$id], $this->pending[$id]);
            return;
        }
        $this->pending[$id] .= $read;
        while (($end = strpos($this->pending[$id], "\r\n\r\n")) !== false) {
            $request = substr($this->pending[$id], 0, $end);
            $this->pending[$id] = substr($this->pending[$id], $end + 4);
            $body = $answer(explode(' ', $request, 3)[1] ?? '/');
            fwrite($stream, "HTTP/1.1 200 OK\r\nContent-Length: " . strlen($body) . "\r\n\r\n$body");
        }
    }
}
