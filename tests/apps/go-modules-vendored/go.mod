module localhost/dev/greeter

// +heroku goVersion go1.19

go 1.19

require localhost/dev/words v1.2.0
