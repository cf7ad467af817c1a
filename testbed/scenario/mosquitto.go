package scenario

import (
	"context"

	"github.com/perfscope/perfscope/testbed/server"
)

// mosquittoAutosave: the file of what is kept is written as a whole, by the
// one thread that does everything else.
func mosquittoAutosave() Scenario {
	return Scenario{
		Name:   "mosquitto-autosave",
		Title:  "mosquitto writes and syncs its whole database at every few changes",
		Server: "mosquitto", Language: C, Kind: SyncWrite, Source: Debian, Split: Report,
		Normal: "20,000 sensors' last values are retained; sensors publish, people look at rooms; saved every half an hour",
		Fault:  "after a crash somebody wants nothing lost: autosave_on_changes with autosave_interval 20, and a reload; twenty messages later it saves, and so on",
		// https://mosquitto.org/man/mosquitto-conf-5.html (autosave_on_changes:
		// the interval counts changes); src/persist_write.c at v2.0.11:
		// persist__backup writes every message with its own fwrite and syncs
		// the file before it is renamed.
		Truth: []string{
			"persist__backup", "persist__chunk_message_store_write_v6", "persist__chunk_retain_write_v6",
		},
		Patterns: []string{"sync_write_per_operation"},
		Start: func(ctx context.Context) (Workload, error) {
			s, err := server.StartMosquitto(ctx)
			return underRooms(s, err, 800, func(context.Context) (func(), error) {
				return func() {}, server.ReloadMosquitto(s, "autosave_on_changes true", "autosave_interval 20")
			})
		},
	}
}
