package main

import "github.com/pkg/errors"

func main() { panic(errors.New("x")) }
