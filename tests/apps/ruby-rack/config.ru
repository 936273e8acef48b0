require "words"

run(lambda do |env|
  body = "#{Words::TEXT} #{ENV["RACK_ENV"]} #{File.read("public/assets/app.css")}"
  [200, { "Content-Type" => "text/plain" }, [body]]
end)
