// Command demo-traces makes redis slow behind an application on three hosts,
// and finds the function that did it in a trace in Jaeger. It exits with 0
// only when the trace says so.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/perfscope/perfscope/testbed/market"
	"github.com/perfscope/perfscope/testbed/runner"
	"github.com/perfscope/perfscope/testbed/server"
)

func main() {
	runner.Main(func(ctx context.Context, o runner.Options) (ok bool, err error) {
		out := filepath.Join(o.Out, "demo-traces")
		if err := os.MkdirAll(out, 0o755); err != nil {
			return false, err
		}
		began := time.Now()
		say := func(format string, args ...any) {
			fmt.Printf("[%4.0fs] %s\n", time.Since(began).Seconds(), fmt.Sprintf(format, args...))
		}
		fmt.Printf("PerfScope demo: which function, of which service, made this trace slow?\n\n")
		say("starting Jaeger (the first time it is built, which takes minutes)")
		jaeger, err := server.StartJaeger(ctx)
		if err != nil {
			return false, err
		}
		defer func() { err = errors.Join(err, jaeger.Stop()) }()
		say("starting three hosts: front | quote, stock | redis, postgres; an agent on each, and a gateway that sends to Jaeger")
		configs := filepath.Dir(o.Config)
		m, err := market.Start(ctx, market.Config{
			Agent: o.Binary + "-full", Gateway: o.Binary, Configs: configs, Out: out,
			GatewayOverlays: []string{filepath.Join(configs, "jaeger.yaml")},
			GatewayEnv:      []string{"JAEGER_ENDPOINT=" + jaeger.OTLP},
		})
		if err != nil {
			return false, err
		}
		defer func() { err = errors.Join(err, m.Stop()) }()
		faults := market.Faults()
		fault := faults[slices.IndexFunc(faults, func(f market.Fault) bool { return f.Name == "redis-keys" })]
		if _, err := m.Run(ctx, []market.Fault{fault}, say); err != nil {
			return false, err
		}
		return show(ctx, jaeger, fault)
	})
}
