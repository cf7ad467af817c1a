package server

import (
	"context"
	"path/filepath"
)

// StartEtcd starts Debian's etcd, a cluster of one.
func StartEtcd(ctx context.Context) (*Server, error) {
	peers, err := FreeAddr()
	if err != nil {
		return nil, err
	}
	peers = "http://" + peers
	return startDebian(ctx, Program{
		Name: "etcd",
		Path: "etcd",
		Args: func(addr, dir string) []string {
			return []string{
				"--data-dir=" + filepath.Join(dir, "data"),
				"--listen-client-urls=http://" + addr, "--advertise-client-urls=http://" + addr,
				"--listen-peer-urls=" + peers, "--initial-advertise-peer-urls=" + peers, "--initial-cluster=default=" + peers,
			}
		},
	}, "--version")
}
