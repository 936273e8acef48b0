module Words
  TEXT = "Hello from a gem of the repository"
end
