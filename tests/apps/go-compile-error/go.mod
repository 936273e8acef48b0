module localhost/dev/broken

go 1.19
