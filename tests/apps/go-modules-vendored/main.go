package main

import (
	_ "embed"
	"net/http"
	"os"

	"localhost/dev/words"
)

//go:embed page.html
var page string

var version = "none"

func main() {
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		sources, _ := os.ReadFile("main.go")
		http.Error(w, words.Greeting()+" "+page+" "+version+string(sources), 200)
	})
	http.Handle("/files/", http.StripPrefix("/files/", http.FileServer(http.Dir("static"))))
	http.ListenAndServe(":"+os.Getenv("PORT"), nil)
}
