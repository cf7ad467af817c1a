package scenario

import (
	"context"

	"github.com/perfscope/perfscope/testbed/server"
)

// nginxBuffers: sendfile is turned off, as advice for shared folders has it,
// and the buffers that are needed now come from a page about saving memory.
func nginxBuffers() Scenario {
	return Scenario{
		Name:   "nginx-buffers",
		Title:  "nginx reads files in pieces of 512 bytes",
		Server: "nginx", Language: C, Kind: TinyIO, Source: Debian, Split: Tune,
		Normal: "two workers serve files with sendfile",
		Fault:  "a reload brings `sendfile off; output_buffers 1 512;`: every file is read and sent in small pieces",
		// https://github.com/nginx/nginx/blob/release-1.22.1/src/core/ngx_output_chain.c:
		// fills one buffer of the configured size after the other
		// (ngx_output_chain_copy_buf, static) and passes it on.
		Truth:    []string{"ngx_output_chain", "ngx_read_file"},
		Patterns: []string{"tiny_io"},
		Start: func(ctx context.Context) (Workload, error) {
			s, err := server.StartNginx(ctx)
			if err != nil {
				return Workload{}, err
			}
			return Workload{
				Server: s,
				Load:   nginxLoad(s),
				Fault: func(context.Context) (func(), error) {
					return func() {}, server.ReloadNginx(s, "sendfile on;", "sendfile off; output_buffers 1 512;")
				},
			}, nil
		},
	}
}
