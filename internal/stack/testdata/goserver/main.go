// Command goserver answers requests with some work, and keeps a goroutine in
// a blocking read, so that the tests know a stack's truth.
package main

import (
	"fmt"
	"net/http"
	"os"
	"sort"
	"syscall"
)

//go:noinline
func blockInRead(fd int) {
	var b [8]byte
	_, _ = syscall.Read(fd, b[:])
}

//go:noinline
func waitForever() {
	var p [2]int
	if err := syscall.Pipe(p[:]); err != nil {
		panic(err)
	}
	blockInRead(p[0])
}

func work(n int) []int {
	v := make([]int, n)
	for i := range v {
		v[i] = i * 7919 % n
	}
	sort.Ints(v)
	return v
}

func handle(w http.ResponseWriter, _ *http.Request) {
	_, _ = fmt.Fprintln(w, work(20000)[:100])
}

func main() {
	go waitForever()
	http.HandleFunc("/", handle)
	fmt.Fprintln(os.Stderr, http.ListenAndServe(os.Args[1], nil))
	os.Exit(1)
}
