# A library on wheels: what villages have lent.
require "sinatra/base"
require "json"
require_relative "models"
require_relative "lists"

class Bookmobile < Sinatra::Base
  set :environment, :production
  set :logging, false
  set :protection, false
  set :host_authorization, {}

  get "/villages/:id" do
    content_type :json
    JSON.generate(Lists.of_village(Village.find(params[:id].to_i)))
  end

  get "/shelves/:id" do
    content_type :json
    JSON.generate(Lists.of_shelf(params[:id].to_i))
  end

  get "/about" do
    "a library on wheels\n"
  end
end
