# Couriers of a restaurant: their tours are its own, where they are another service says.
require "json"
require "net/http"

UPSTREAM = URI(ENV.fetch("UPSTREAM"))
TOURS = Array.new(400) { |i| { id: i, courier: i % 25, street: "street-#{i * 7 % 90}", minutes: 5 + i % 40 } }

def list_tours(courier)
  TOURS.select { |t| t[:courier] == courier % 25 }.sort_by { |t| t[:minutes] }
end

# The mistake: it tries again at once.
def locate_courier(id)
  tries = 0
  begin
    Net::HTTP.start(UPSTREAM.host, UPSTREAM.port) { |http| http.get("/app/rate?courier=#{id}").body.to_f }
  rescue SystemCallError
    tries += 1
    retry if tries < 150
    nil
  end
end

run lambda { |env|
  case env["PATH_INFO"]
  when %r{\A/tours/(\d+)\z}
    [200, { "content-type" => "application/json" }, [JSON.generate(list_tours($1.to_i))]]
  when %r{\A/couriers/(\d+)\z}
    [200, { "content-type" => "application/json" }, [JSON.generate(id: $1, place: locate_courier($1))]]
  else
    [404, { "content-type" => "text/plain" }, ["not here\n"]]
  end
}
