package scenario

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	mathrand "math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/perfscope/perfscope/testbed/client"
	"github.com/perfscope/perfscope/testbed/load"
	"github.com/perfscope/perfscope/testbed/server"
)

// thirdDaemons are servers of Debian.
func thirdDaemons() []Scenario {
	return []Scenario{ngircdChannels(), tarantoolCount(), h2oListing(), stunnelHandshakes()}
}

// ngircdChannels: channels are a list, and so are the memberships of all users:
// https://github.com/ngircd/ngircd/blob/rel-26.1/src/ngircd/channel.c (Channel_Search,
// Get_Cl2Chan).
func ngircdChannels() Scenario {
	return Scenario{
		Name:   "ngircd-channels",
		Title:  "ngircd goes through lists of thousands of channels",
		Server: "ngircd", Language: C, Kind: Computation, Source: Debian, Split: Tune,
		Normal: "eight people talk in channels, look at topics, and join and leave some",
		Fault:  "a robot joins 2,000 new channels each second and stays",
		// channel.c: who goes through the channels (0x8030 to find one, 0x8e40 before it makes
		// one) and through the memberships (0x80b0), and the command that does so for each
		// name (irc-channel.c, 0x17a30). Debian's binary has no names, so a function is
		// shown by where it starts (26.1-1+deb12u1; perf, objdump).
		Truth:    []string{"ngircd+0x8030", "ngircd+0x8e40", "ngircd+0x80b0", "ngircd+0x17a30"},
		Patterns: []string{"long_computation"},
		Start: func(ctx context.Context) (Workload, error) {
			s, err := server.StartNgircd(ctx)
			if err != nil {
				return Workload{}, err
			}
			var users atomic.Int64
			return Workload{
				Server: s,
				Load: load.Config{Workers: 8, Rate: 200, Dial: func() (load.Client, error) {
					c, err := client.DialIRC(s.Addr, fmt.Sprintf("user%d", users.Add(1)))
					return talker{c}, err
				}},
				Fault: func(ctx context.Context) (func(), error) {
					robot, err := client.DialIRC(s.Addr, "robot")
					if err != nil {
						return nil, err
					}
					joined := 0
					end := repeat(ctx, 20*time.Millisecond, func(context.Context) {
						var names []string
						for range 40 {
							joined++
							names = append(names, fmt.Sprintf("#r%d", joined))
						}
						_ = robot.Do("JOIN " + strings.Join(names, ","))
					})
					return func() { end(); _ = robot.Close() }, nil
				},
			}, nil
		},
	}
}

type talker struct{ *client.IRC }

func (c talker) Request(r *mathrand.Rand) error {
	channel := fmt.Sprintf("#c%d", r.IntN(40))
	switch r.IntN(6) {
	case 0:
		return c.Do("JOIN " + channel)
	case 1:
		return c.Do("PART " + channel)
	case 2:
		return c.Do("TOPIC " + channel)
	}
	return c.Do("PRIVMSG " + channel + " :" + strings.Repeat("well ", 10))
}

// tarantoolCount: to count what an index has for a key, it is gone through:
// https://www.tarantool.io/en/doc/latest/reference/reference_lua/box_index/count/.
func tarantoolCount() Scenario {
	return Scenario{
		Name:   "tarantool-count",
		Title:  "tarantool counts 60,000 orders one by one",
		Server: "tarantool", Language: C, Kind: Computation, Source: Debian, Split: Tune,
		Normal: "orders are shown, and those of customers counted, who have two each",
		Fault:  "a customer of 60,000 orders has them counted, sixty times a second",
		// src/box/index.cc: box_index_count has generic_index_count go through the iterator
		// that memtx_tree.cc made (2.6.0; perf).
		Truth:    []string{"box_index_count", "generic_index_count", "tree_iterator_next_equal"},
		Patterns: []string{"long_computation"},
		Start: func(ctx context.Context) (Workload, error) {
			s, err := server.StartTarantool(ctx)
			if err != nil {
				return Workload{}, err
			}
			return Workload{
				Server: s,
				Load: load.Config{Workers: 6, Rate: 200, Dial: func() (load.Client, error) {
					c, err := client.DialConsole(s.Addr)
					return shopkeeper{c}, err
				}},
				Fault: func(ctx context.Context) (func(), error) {
					c, err := client.DialConsole(s.Addr)
					if err != nil {
						return nil, err
					}
					end := repeat(ctx, 16*time.Millisecond, func(context.Context) { _ = c.Do("return count(0)") })
					return func() { end(); _ = c.Close() }, nil
				},
			}, nil
		},
	}
}

type shopkeeper struct{ *client.Console }

func (c shopkeeper) Request(r *mathrand.Rand) error {
	if r.IntN(3) == 0 {
		return c.Do(fmt.Sprintf("return count(%d)", 1+r.IntN(2999)))
	}
	return c.Do(fmt.Sprintf("return show(%d)", 1+r.IntN(6000)))
}

// h2oListing: a folder is read, sorted and written anew for each request:
// https://h2o.examp1e.net/configure/file_directives.html#file.dirlisting.
func h2oListing() Scenario {
	return Scenario{
		Name:   "h2o-listing",
		Title:  "h2o lists a folder of 20,000 files for each request",
		Server: "h2o", Language: C, Kind: Computation, Source: Debian, Split: Tune,
		Normal: "small files are sent, and a folder of twenty is listed",
		Fault:  "two crawlers look at a folder of 20,000 files again and again",
		// lib/handler/file.c: send_dir_listing reads the folder and has it sorted; it has no
		// name in Debian's binary and is shown by where it starts (2.2.5; perf, objdump).
		Truth:    []string{"send_dir_listing", "h2o+0x54410"},
		Patterns: []string{"long_computation", "tiny_io"},
		Start: func(ctx context.Context) (Workload, error) {
			s, err := server.StartH2O(ctx, 20_000)
			if err != nil {
				return Workload{}, err
			}
			get := func(path string) (*http.Request, error) {
				return http.NewRequest(http.MethodGet, "http://"+s.Addr+path, nil)
			}
			return Workload{
				Server: s,
				Load: httpLoad(8, 200, func(r *mathrand.Rand) (*http.Request, error) {
					if r.IntN(4) == 0 {
						return get("/few/")
					}
					return get(fmt.Sprintf("/many/picture-%05d.txt", (r.IntN(20_000)*7919)%100_000))
				}),
				Fault: func(ctx context.Context) (func(), error) {
					return pesterMany(ctx, 2, 100*time.Millisecond, func() (*http.Request, error) { return get("/many/") }), nil
				},
			}, nil
		},
	}
}

// stunnelHandshakes: a client that does not keep its connection has the private key used
// each time.
func stunnelHandshakes() Scenario {
	return Scenario{
		Name:   "stunnel-handshakes",
		Title:  "stunnel is connected to anew for each request",
		Server: "stunnel", Language: C, Kind: Churn, Source: Debian, Split: Tune,
		Normal: "eight clients ask an application by TLS, over connections that they keep",
		Fault:  "a new program makes a connection for each of its requests, hundreds a second",
		// src/client.c: who calls SSL_accept of libssl, which jumps to SSL_do_handshake and
		// that to statem.c's state machine. What has no name in Debian's binaries is shown
		// by where it starts (5.68, libssl3 3.0; perf, objdump).
		Truth:    []string{"SSL_accept", "SSL_do_handshake", "stunnel4+0xb8b0", "libssl.so.3+0x65ee0"},
		Patterns: []string{"connection_churn", "long_computation"},
		Start: func(ctx context.Context) (Workload, error) {
			identity, err := selfSigned()
			if err != nil {
				return Workload{}, err
			}
			a, err := startApplication()
			if err != nil {
				return Workload{}, err
			}
			s, err := server.StartStunnel(ctx, a.addr, identity)
			if err != nil {
				return stopApplication(err, a)
			}
			page := func() (*http.Request, error) {
				return http.NewRequest(http.MethodGet, "https://"+s.Addr+"/app/page", nil)
			}
			return Workload{
				Server: s,
				Load:   trusting(httpLoad(8, 100, func(*mathrand.Rand) (*http.Request, error) { return page() })),
				Fault: func(ctx context.Context) (func(), error) {
					c := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{
						DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
					}}
					var ends []func()
					for range 4 {
						ends = append(ends, repeat(ctx, 10*time.Millisecond, func(ctx context.Context) {
							if request, err := page(); err == nil {
								_ = send(ctx, c, request)
							}
						}))
					}
					return func() {
						for _, end := range ends {
							end()
						}
					}, nil
				},
				Stop: a.stop,
			}, nil
		},
	}
}

// trusting has an httpLoad take any certificate.
func trusting(c load.Config) load.Config {
	dial := c.Dial
	c.Dial = func() (load.Client, error) {
		made, err := dial()
		if requests, ok := made.(httpRequests); ok {
			requests.http.Transport.(*http.Transport).TLSClientConfig = &tls.Config{InsecureSkipVerify: true}
		}
		return made, err
	}
	return c
}

// selfSigned is a certificate of this machine for a day, with its key of 2048 bits, in PEM.
func selfSigned() ([]byte, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(24 * time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return append(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}),
		pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...), nil
}
