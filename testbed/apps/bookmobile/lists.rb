# What is shown of villages and shelves.
module Lists
  def self.of_village(village)
    { village: village.name, loans: rows(village) }
  end

  # The mistake: the reader and the book of each loan are asked for one by one.
  def self.rows(village)
    village.loans.order(:week).map do |loan|
      { reader: loan.reader.name, book: loan.book.title, week: loan.week }
    end
  end

  def self.of_shelf(number)
    Book.where(shelf: number).order(:title).pluck(:id, :title)
  end
end
