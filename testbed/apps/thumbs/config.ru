# Downloads of pictures, each with its checksum.
require "json"

DATA = ENV.fetch("DATA")
CHECKSUMS = {}

def picture(id)
  path = "#{DATA}/picture-#{id}.raw"
  File.binwrite(path, "#{id} " * 2000) unless File.exist?(path)
  path
end

# The mistake: what is kept is found by the whole address, and each new one starts a program.
def checksum(id, query)
  CHECKSUMS.clear if CHECKSUMS.size > 2000
  CHECKSUMS["#{id}?#{query}"] ||= run_sum(picture(id))
end

def run_sum(path)
  `sha256sum #{path} | cut -d ' ' -f 1`.strip
end

run lambda { |env|
  case env["PATH_INFO"]
  when %r{\A/pictures/(\d+)\z}
    body = File.binread(picture($1))
    [200, { "content-type" => "image/x-raw", "etag" => checksum($1, env["QUERY_STRING"]) }, [body]]
  when %r{\A/albums/(\d+)\z}
    [200, { "content-type" => "application/json" }, [JSON.generate((0...40).map { |i| { id: ($1.to_i * 7 + i) % 200, title: "Picture #{i}" } })]]
  else
    [404, { "content-type" => "text/plain" }, ["not here\n"]]
  end
}
