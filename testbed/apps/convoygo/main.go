// Command convoygo is a small server whose requests wait for a sync.Mutex. After the line
// FAULT who holds it computes longer.
package main

import (
	"bufio"
	"flag"
	"fmt"
	"log"
	"net"
	"strings"
	"sync"
	"sync/atomic"
)

type ledger struct {
	mu     sync.Mutex
	sum    uint64
	faulty atomic.Bool
}

//go:noinline
func (l *ledger) recount() {
	steps := 100_000
	if l.faulty.Load() {
		steps = 2_500_000
	}
	x := l.sum
	for range steps {
		x = x*6364136223846793005 + 1442695040888963407
	}
	l.sum = x
}

//go:noinline
func (l *ledger) enter() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.recount()
}

func (l *ledger) serve(c net.Conn) {
	defer c.Close()
	for in := bufio.NewScanner(c); in.Scan(); {
		if strings.HasPrefix(in.Text(), "FAULT") {
			l.faulty.Store(true)
		} else {
			l.enter()
		}
		if _, err := fmt.Fprintln(c, "OK"); err != nil {
			return
		}
	}
}

func main() {
	listen := flag.String("listen", "127.0.0.1:0", "host:port to listen on")
	flag.Parse()
	listener, err := net.Listen("tcp", *listen)
	if err != nil {
		log.Fatal(err)
	}
	l := &ledger{sum: 88172645463325252}
	for {
		c, err := listener.Accept()
		if err != nil {
			log.Fatal(err)
		}
		go l.serve(c)
	}
}
