# Fares of a railway: routes are its own, prices come from another service.
require "json"
require "net/http"

UPSTREAM = URI(ENV.fetch("UPSTREAM"))
ROUTES = Array.new(500) { |i| { id: i, from: "station-#{i % 40}", to: "station-#{i * 7 % 40}", minutes: 20 + i % 90 } }

def find_routes(from)
  ROUTES.select { |r| r[:from] == "station-#{from}" }.sort_by { |r| r[:minutes] }
end

# No timeout is set: it waits for as long as Net::HTTP does.
def fetch_price(id)
  Net::HTTP.start(UPSTREAM.host, UPSTREAM.port) { |http| http.get("/app/report?route=#{id}").body.bytesize }
end

run lambda { |env|
  case env["PATH_INFO"]
  when %r{\A/routes/(\d+)\z}
    [200, { "content-type" => "application/json" }, [JSON.generate(find_routes($1))]]
  when %r{\A/prices/(\d+)\z}
    [200, { "content-type" => "application/json" }, [JSON.generate(id: $1, price: fetch_price($1))]]
  else
    [404, { "content-type" => "text/plain" }, ["not here\n"]]
  end
}
