package main

import (
	"fmt"
	"net/http"
	"os"

	"localhost/dev/shop/v2/internal/price"
)

func main() {
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		found, _ := os.ReadDir("bin")
		for _, entry := range found {
			fmt.Fprintln(w, entry.Name())
		}
		fmt.Fprintln(w, price.Text)
	})
	http.ListenAndServe(":"+os.Getenv("PORT"), nil)
}
