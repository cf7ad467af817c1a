# Guests of a lodge, in a file of Ruby's own store.
require 'webrick'
require 'pstore'

port, file = ARGV

class Lodge
  def initialize(file)
    @store = PStore.new(file, true)
  end

  # The mistake: for one guest the whole file is read, checked and written.
  def check_in(guest, room)
    @store.transaction { @store["guest#{guest}"] = { room: room, since: Time.now.to_i, wishes: %w[tea quiet] } }
  end

  def check_in_all(from, many)
    @store.transaction { many.times { |i| @store["guest#{from + i}"] = { room: i, since: 0, wishes: %w[coach] } } }
  end

  def rooms
    (1..120).map { |i| "room #{i}: #{%w[lake wood road][i % 3]}, #{i.to_s.rjust(3, '0').reverse}" }.join("\n")
  end
end

lodge = Lodge.new(file)
server = WEBrick::HTTPServer.new(
  BindAddress: '127.0.0.1', Port: port.to_i, DoNotReverseLookup: true,
  AccessLog: [], Logger: WEBrick::Log.new(File::NULL),
)
server.mount_proc('/') do |request, response|
  _, what, number, many = request.path.split('/')
  response.body =
    case what
    when 'guests' then lodge.check_in(number.to_i, number.to_i % 120).to_s
    when 'coaches' then lodge.check_in_all(number.to_i, many.to_i).to_s
    else lodge.rooms
    end
end
trap('TERM') { server.shutdown }
server.start
