package scenario

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"

	"github.com/perfscope/perfscope/testbed/client"
	"github.com/perfscope/perfscope/testbed/load"
	"github.com/perfscope/perfscope/testbed/server"
)

const (
	mqttRooms   = 2000
	mqttSensors = 10 // of a room
)

// underRooms puts a broker that has come up, or has not, under the load of
// sensors and people.
func underRooms(s *server.Server, err error, rate float64, fault func(context.Context) (func(), error)) (Workload, error) {
	if err != nil {
		return Workload{}, err
	}
	if err := fillRooms(s.Addr); err != nil {
		return stopAfter(err, s)
	}
	return Workload{Server: s, Load: mqttLoad(s.Addr, rate), Fault: fault}, nil
}

func sensorTopic(room, sensor int) string { return fmt.Sprintf("rooms/%d/sensor%d", room, sensor) }

func fillRooms(addr string) error {
	c, err := client.DialMQTT(addr, "commissioning")
	if err != nil {
		return err
	}
	for i := range mqttRooms * mqttSensors {
		if err := c.Publish(sensorTopic(i/mqttSensors, i%mqttSensors), []byte(strings.Repeat("0", 300)), true); err != nil {
			return errors.Join(err, c.Close())
		}
	}
	return c.Close()
}

// mqttLoad is sensors that publish, and people who look at all of a room's.
func mqttLoad(addr string, rate float64) load.Config {
	var names atomic.Int64
	return load.Config{
		Workers: 12,
		Rate:    rate,
		Dial: func() (load.Client, error) {
			c, err := client.DialMQTT(addr, fmt.Sprintf("gateway%d", names.Add(1)))
			return mqttRequests{c}, err
		},
	}
}

type mqttRequests struct{ *client.MQTT }

func (c mqttRequests) Request(r *rand.Rand) error {
	room := r.IntN(mqttRooms)
	switch n := r.IntN(100); {
	case n < 60:
		return c.Publish(sensorTopic(room, r.IntN(mqttSensors)), fmt.Appendf(nil, "%d.%0300d", room, r.IntN(100)), true)
	case n < 80:
		return c.Publish(fmt.Sprintf("events/%d/motion", room), []byte(`{"seen":true}`), false)
	}
	_, err := c.Look(fmt.Sprintf("rooms/%d/+", room))
	return err
}
