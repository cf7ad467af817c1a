require_relative "app"

run Bookmobile
