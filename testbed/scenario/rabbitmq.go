package scenario

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/perfscope/perfscope/testbed/load"
	"github.com/perfscope/perfscope/testbed/server"
)

// rabbitmqPersistent: persistent messages are confirmed when they are on the
// disk: https://github.com/rabbitmq/rabbitmq-server/issues/1664.
func rabbitmqPersistent() Scenario {
	return Scenario{
		Name:   "rabbitmq-persistent",
		Title:  "rabbitmq waits for the disk before it confirms",
		Server: "rabbitmq", Language: Erlang, Kind: SyncWrite, Source: Debian, Split: Tune,
		Normal: "eight clients publish to durable queues, each message is confirmed; what is lost in a crash is lost",
		Fault:  "the clients make their messages persistent",
		// Erlang's erts/emulator/nifs/unix/unix_prim_file.c, which calls fsync
		// for rabbit_msg_store and rabbit_queue_index.
		Truth:    []string{"efile_sync"},
		Patterns: []string{"sync_write_per_operation"},
		Start: func(ctx context.Context) (Workload, error) {
			s, err := server.StartRabbitMQ(ctx)
			if err != nil {
				return Workload{}, err
			}
			var persistent atomic.Bool
			return Workload{
				Server: s.Server,
				Load:   amqpLoad(s, &persistent),
				Fault: func(context.Context) (func(), error) {
					persistent.Store(true)
					return func() {}, nil
				},
				Stop: s.StopNodes,
			}, nil
		},
	}
}

// queueLimit bounds what a queue holds: nobody takes anything out.
const queueLimit = 1000

// amqpLoad has each client publish to a queue of its own.
func amqpLoad(s *server.RabbitMQ, persistent *atomic.Bool) load.Config {
	var queues atomic.Int64
	return load.Config{Workers: 8, Rate: 200, Dial: func() (load.Client, error) {
		conn, err := amqp.Dial(s.URL())
		if err != nil {
			return nil, err
		}
		channel, err := conn.Channel()
		if err == nil {
			err = channel.Confirm(false)
		}
		queue := fmt.Sprintf("orders.%d", queues.Add(1))
		if err == nil {
			_, err = channel.QueueDeclare(queue, true, false, false, false, amqp.Table{"x-max-length": queueLimit})
		}
		if err != nil {
			return nil, errors.Join(err, conn.Close())
		}
		return amqpClient{conn, channel, queue, persistent}, nil
	}}
}

type amqpClient struct {
	*amqp.Connection
	channel    *amqp.Channel
	queue      string
	persistent *atomic.Bool
}

func (c amqpClient) Request(*rand.Rand) error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	message := amqp.Publishing{DeliveryMode: amqp.Transient, Body: []byte(order)}
	if c.persistent.Load() {
		message.DeliveryMode = amqp.Persistent
	}
	confirmation, err := c.channel.PublishWithDeferredConfirmWithContext(ctx, "", c.queue, false, false, message)
	if err != nil {
		return err
	}
	taken, err := confirmation.WaitContext(ctx)
	if err == nil && !taken {
		err = errors.New("the broker did not take the message")
	}
	return err
}
