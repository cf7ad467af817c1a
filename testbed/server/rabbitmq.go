package server

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/perfscope/perfscope/testbed/proc"
)

// RabbitMQ is a running rabbitmq-server and the daemon that knows Erlang's nodes.
type RabbitMQ struct {
	*Server
	nodes *proc.Process
}

// StartRabbitMQ starts Debian's rabbitmq-server, a node of its own name with its
// files in its own directory.
func StartRabbitMQ(ctx context.Context) (*RabbitMQ, error) {
	path, err := find("/usr/lib/rabbitmq/bin/rabbitmq-server")
	if err != nil {
		return nil, err
	}
	addr, err := FreeAddr()
	if err != nil {
		return nil, err
	}
	dir, err := newDir("rabbitmq")
	if err != nil {
		return nil, err
	}
	fail := func(err error) (*RabbitMQ, error) { return nil, errors.Join(err, os.RemoveAll(dir)) }
	own, err := ownDir(dir, "rabbitmq")
	if err != nil {
		return fail(err)
	}
	account := ""
	if os.Geteuid() == 0 {
		account = "rabbitmq"
	}
	env, err := rabbitEnv(own, addr)
	if err != nil {
		return fail(err)
	}
	// Erlang would start it as a daemon that outlives everything.
	epmd, err := find("epmd")
	if err != nil {
		return fail(err)
	}
	nodes, err := proc.Start(proc.Options{Path: epmd, Dir: dir, Env: env, Output: filepath.Join(dir, "epmd.log"), User: account})
	if err != nil {
		return fail(err)
	}
	log := filepath.Join(dir, "rabbitmq.log")
	p, err := proc.Start(proc.Options{Path: path, Dir: own, Env: env, Output: log, User: account})
	if err != nil {
		return fail(errors.Join(err, ignoreExit(nodes.Stop(time.Second))))
	}
	r := &RabbitMQ{Server: &Server{Process: p, Addr: addr, Dir: dir, Version: "rabbitmq-server"}, nodes: nodes}
	if err := r.waitReady(ctx, log); err != nil {
		r.StopNodes()
		return nil, errors.Join(err, r.Stop())
	}
	return r, nil
}

// rabbitEnv keeps a node away from all others and from Debian's files.
func rabbitEnv(own, addr string) ([]string, error) {
	nodes, err := FreePort()
	if err != nil {
		return nil, err
	}
	dist, err := FreePort()
	if err != nil {
		return nil, err
	}
	return []string{
		"OTEL_SERVICE_NAME=rabbitmq", "HOME=" + own,
		fmt.Sprintf("ERL_EPMD_PORT=%d", nodes), "ERL_EPMD_ADDRESS=127.0.0.1",
		fmt.Sprintf("RABBITMQ_NODENAME=perfscope%d@localhost", port(addr)), fmt.Sprintf("RABBITMQ_DIST_PORT=%d", dist),
		"RABBITMQ_NODE_IP_ADDRESS=127.0.0.1", fmt.Sprintf("RABBITMQ_NODE_PORT=%d", port(addr)),
		"RABBITMQ_MNESIA_BASE=" + own, "RABBITMQ_LOG_BASE=" + own, "RABBITMQ_SCHEMA_DIR=" + own,
		"RABBITMQ_GENERATED_CONFIG_DIR=" + own, "RABBITMQ_CONF_ENV_FILE=" + filepath.Join(own, "none"),
		"RABBITMQ_CONFIG_FILE=" + filepath.Join(own, "none"), "RABBITMQ_ENABLED_PLUGINS_FILE=" + filepath.Join(own, "plugins"),
	}, nil
}

// waitReady waits for longer than others need: it starts in ten seconds or more.
func (r *RabbitMQ) waitReady(ctx context.Context, log string) error {
	var err error
	for range 6 {
		err = waitReady(ctx, r.Process, log, func() error {
			c, err := amqp.Dial(r.URL())
			if err != nil {
				return err
			}
			return c.Close()
		})
		if err == nil || ctx.Err() != nil || r.Err() != nil {
			break
		}
	}
	return err
}

// URL is what clients connect to.
func (r *RabbitMQ) URL() string { return "amqp://guest:guest@" + r.Addr + "/" }

// StopNodes ends the daemon; the server must have ended.
func (r *RabbitMQ) StopNodes() { _ = r.nodes.Stop(time.Second) } // it is told to end
