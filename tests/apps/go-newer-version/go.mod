module localhost/dev/modern

go 1.99
