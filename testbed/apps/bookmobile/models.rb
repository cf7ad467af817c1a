require "active_record"

ActiveRecord::Base.establish_connection(adapter: "sqlite3", database: ENV.fetch("DATABASE"), pool: 8, timeout: 5000)

class Village < ActiveRecord::Base
  has_many :loans
end

class Reader < ActiveRecord::Base
end

class Book < ActiveRecord::Base
end

class Loan < ActiveRecord::Base
  belongs_to :village
  belongs_to :reader
  belongs_to :book
end

unless Village.table_exists?
  ActiveRecord::Schema.verbose = false
  ActiveRecord::Schema.define do
    create_table(:villages) { |t| t.string :name }
    create_table(:readers) { |t| t.string :name }
    create_table(:books) { |t| t.string :title; t.integer :shelf, index: true }
    create_table(:loans) { |t| t.integer :village_id, index: true; t.integer :reader_id; t.integer :book_id; t.integer :week }
  end
  Village.insert_all((1..60).map { |i| { name: "Village #{i}" } })
  Reader.insert_all((1..400).map { |i| { name: "Reader #{i}" } })
  Book.insert_all((1..2000).map { |i| { title: "Book #{i}", shelf: i % 100 } })
  # A village has two to four books, but for the last one, a town.
  loans = (1..59).flat_map { |v| (0..1 + v % 3).map { |i| { village_id: v, reader_id: 1 + (v * 7 + i) % 400, book_id: 1 + (v * 31 + i) % 2000, week: i } } }
  loans += (0...220).map { |i| { village_id: 60, reader_id: 1 + i % 400, book_id: 1 + (i * 13) % 2000, week: i % 50 } }
  Loan.insert_all(loans)
end
