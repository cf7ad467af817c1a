# Stops of a bus company: timetables, and the stops that several lines share.
require "json"

LINES = Array.new(60) { |i| Array.new(25) { |k| "stop-#{(i * 11 + k * 3) % 200}" } }

def timetable(line)
  LINES[line % LINES.size].each_with_index.map { |stop, k| { stop: stop, minute: (line * 7 + k * 2) % 60 } }
end

# The mistake: each stop is looked for among all that were found before it.
def merge_stops(lines)
  merged = []
  lines.each { |stops| stops.each { |stop| merged << stop unless merged.include?(stop) } }
  merged
end

# A line may be given with all of its trips, of which each has stops of its own.
def trips(count)
  Array.new(count) { |trip| Array.new(25) { |k| "stop-#{k}-#{trip}" } }
end

def answer(body)
  [200, { "content-type" => "application/json" }, [JSON.generate(body)]]
end

run lambda { |env|
  case env["PATH_INFO"]
  when %r{\A/timetables/(\d+)\z}
    answer(timetable($1.to_i))
  when %r{\A/shared/(\d+)/(\d+)\z}
    answer(merge_stops([LINES[$1.to_i % LINES.size], LINES[$2.to_i % LINES.size]]))
  when %r{\A/networks/(\d+)\z}
    answer(merge_stops(trips([$1.to_i, 200].min)).size)
  else
    [404, { "content-type" => "text/plain" }, ["not here\n"]]
  end
}
