Gem::Specification.new do |s|
  s.name, s.version, s.summary, s.authors = "words", "1.0.0", "Words", ["Dev"]
  s.files = ["lib/words.rb"]
end
