module localhost/dev/shop/v2

// +heroku install ./cmd/web ./cmd/clock

go 1.18
