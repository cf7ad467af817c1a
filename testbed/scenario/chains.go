package scenario

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/perfscope/perfscope/testbed/client"
	"github.com/perfscope/perfscope/testbed/load"
	"github.com/perfscope/perfscope/testbed/server"
)

// ChainCase is a scenario in which requests wait for others, with the truth about what
// they wait for in the end.
type ChainCase struct {
	Scenario
	// End is the function at the end of the chain, any of these, and Ending the kind of
	// link that it is, as perfscope.wait_chain has it.
	End    []string
	Ending string
}

// Chains lists ten ways to wait for others.
func Chains() []ChainCase {
	convoy := func(kind, title, waits, fault, end, ending string) ChainCase {
		return newChain("convoy-"+kind, title, waits, fault, "convoy", C, []string{end}, ending,
			func(ctx context.Context) (*server.Server, error) { return server.StartConvoy(ctx, kind) })
	}
	return []ChainCase{
		convoy("mutex", "a mutex whose holder computes", "update_account", "who holds the mutex computes for milliseconds", "rebuild_index", "cpu"),
		convoy("rwlock", "a reader-writer lock whose writer waits for the disk", "look_up", "a thread loads the table from time to time with the lock held for writing, and that takes longer", "load_table", "disk"),
		convoy("pipeline", "a condition variable: the stage of a pipeline that computes", "submit_block", "the stage encodes for milliseconds", "encode_block", "cpu"),
		convoy("commit", "a group commit: one waits for the disk for all", "commit_order", "the leader writes more for the group", "flush_group", "disk"),
		convoy("pool", "a pool of threads that sleep in their jobs", "run_job", "a job sleeps for 16 ms", "fetch_remote", "timer"),
		convoy("pipe", "another process at a pipe that computes", "ask_renderer", "a page is rendered for milliseconds", "render_page", "cpu"),
		convoy("socket", "another process at a Unix socket that waits for the disk", "ask_resolver", "a name is stored again and again", "store_name", "disk"),
		newChain("convoy-go", "a Go mutex whose holder computes", "enter", "who holds the mutex computes for milliseconds", "convoygo", Go,
			[]string{"main.(*ledger).recount"}, "cpu", server.StartConvoyGo),
		newChain("convoy-java", "a Java monitor whose holder computes", "enter", "who holds the monitor computes for milliseconds", "convoyjava", Java,
			[]string{"convoy.Main.recount", "convoy.Main.enter"}, "cpu", server.StartConvoyJava),
		convoy("flock", "a lock on a file whose holder waits for the disk", "enter_record", "who holds the lock writes a record again and again", "append_record", "disk"),
	}
}

func newChain(name, title, waits, fault, service string, language Language, end []string, ending string, start func(context.Context) (*server.Server, error)) ChainCase {
	return ChainCase{End: end, Ending: ending, Scenario: Scenario{
		Name: name, Title: title, Server: service, Language: language, Kind: LockConvoy, Source: Own, Split: Report,
		Normal: fmt.Sprintf("requests of eight connections wait for others in %s, briefly", waits), Fault: fault, Truth: end, Top: 1, Observe: 20 * time.Second,
		Start: func(ctx context.Context) (Workload, error) {
			s, err := start(ctx)
			if err != nil {
				return Workload{}, err
			}
			return Workload{
				Server: s,
				Load: load.Config{Workers: 8, Rate: 90, Dial: func() (load.Client, error) {
					line, err := client.DialLine(s.Addr)
					return convoyClient{line}, err
				}},
				Fault: func(context.Context) (func(), error) {
					line, err := client.DialLine(s.Addr)
					if err != nil {
						return nil, err
					}
					defer line.Close()
					return func() {}, line.Do("FAULT")
				},
			}, nil
		},
	}}
}

type convoyClient struct{ *client.Line }

func (c convoyClient) Request(*rand.Rand) error { return c.Do("x") }
