package server

import (
	"context"
	"errors"
)

// StartMochi installs a version of the MQTT broker mochi from the module
// proxy, once, and starts it.
func StartMochi(ctx context.Context, version string) (*Server, error) {
	path, err := installGo(ctx, "github.com/mochi-mqtt/server/v2/cmd", version)
	if err != nil {
		return nil, err
	}
	ws, err1 := FreeAddr()
	info, err2 := FreeAddr()
	if err := errors.Join(err1, err2); err != nil {
		return nil, err
	}
	return startGo(ctx, "mochi", path, "mochi "+version, func(addr, _ string) []string {
		return []string{"-tcp", addr, "-ws", ws, "-info", info}
	})
}
