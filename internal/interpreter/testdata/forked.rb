# A forked worker whose main thread waits in a known place, as waits.rb does; Ruby
# keeps the native id that the thread had in its parent.
require 'json'
$stdout.sync = true
NEVER = Queue.new

class Worker
  def serve(requests)
    requests.each { |request| answer(request) }
  end

  def answer(_request)
    NEVER.pop
  end
end

child = fork do
  main = Thread.current
  Thread.new do
    sleep 0.1 until main.stop?
    frames = main.backtrace_locations.reject { |l| l.label =~ /\A(pop|each|fork)\z/ }.map { |l| [l.base_label, l.lineno] }
    puts JSON.generate(pid: Process.pid, threads: { Process.pid => frames })
    $stdin.read
    exit!
  end
  Worker.new.serve([1])
end
Process.wait(child)
