package main

import (
	"errors"
	"strconv"
)

// count is a flag whose value is a number of at least 0.
type count struct{ n *int }

func newCount(n *int, value int) count {
	*n = value
	return count{n}
}

func (c count) Set(text string) error {
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 {
		return errors.New("give a number of at least 0")
	}
	*c.n = n
	return nil
}

func (c count) String() string {
	if c.n == nil {
		return "0"
	}
	return strconv.Itoa(*c.n)
}

func (c count) Type() string { return "int" }
