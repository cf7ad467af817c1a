# Invoices that firms send as XML are read and added up.
require "json"
require "rexml/document"

TOTALS = Hash.new(0)

def read_invoice(text)
  invoice = REXML::Document.new(text).root
  lines = invoice.get_elements("line")
  { firm: invoice.attributes["firm"], total: lines.sum { |l| l.attributes["amount"].to_i }, note: invoice.get_text("note").to_s.size }
end

def book_invoice(text)
  invoice = read_invoice(text)
  TOTALS[invoice[:firm]] += invoice[:total]
  invoice
end

def list_totals
  TOTALS.sort_by { |firm, total| [-total, firm] }.first(50)
end

run lambda { |env|
  if env["REQUEST_METHOD"] == "POST"
    [200, { "content-type" => "application/json" }, [JSON.generate(book_invoice(env["rack.input"].read))]]
  else
    [200, { "content-type" => "application/json" }, [JSON.generate(list_totals)]]
  end
}
