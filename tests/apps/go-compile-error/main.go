package main

func main() {
	println(missing)
}
