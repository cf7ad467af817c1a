# Threads that wait in known places; each says itself where it is, in JSON:
# the native id to [method, line], innermost first. It ends when its input does.
require 'json'
$stdout.sync = true
NEVER = Queue.new
READY = Queue.new

def wait
  READY << true
  NEVER.pop
end

class Shop
  def checkout(items)
    items.each { |item| price(item) }
  end

  def price(item)
    [3, 1].sort_by { |x| wait if x == 3 }
  end
end

def recursion(n)
  n.zero? ? wait : recursion(n - 1)
end

def long(n)
  a = n
  a += 1 + n * 2 - n / 3
  a += 2 + n * 2 - n / 3
  a += 3 + n * 2 - n / 3
  a += 4 + n * 2 - n / 3
  a += 5 + n * 2 - n / 3
  a += 6 + n * 2 - n / 3
  a += 7 + n * 2 - n / 3
  a += 8 + n * 2 - n / 3
  a += 9 + n * 2 - n / 3
  wait if a > 0
  a
end

eval(<<~CODE, TOPLEVEL_BINDING, "config.ru", 1)
  def evaluated
    catch(:done) { wait }
  end
CODE

threads = [-> { evaluated }, -> { Shop.new.checkout([1]) }, -> { recursion(20) }, -> { long(1) }].map { |f| Thread.new { f.call } }
threads.each { READY.pop }
sleep 0.1 until threads.all?(&:stop?)
told = threads.to_h do |t|
  [t.native_thread_id, t.backtrace_locations.reject { |l| l.label =~ /\A(pop|each|sort_by|map|call|catch)\z/ }.map { |l| [l.base_label, l.lineno] }]
end
puts JSON.generate(pid: Process.pid, threads: told)
$stdin.read
