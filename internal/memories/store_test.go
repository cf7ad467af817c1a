package memories

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/extension/xextension/storage"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/perfscope/perfscope/pkg/inference"
	"github.com/perfscope/perfscope/pkg/threadtrace"
)

// disk is a storage that outlives stores, and may be full.
type disk struct {
	held
	full bool
}

func (d *disk) Batch(ctx context.Context, operations ...*storage.Operation) error {
	if d.full {
		return errors.New("no space left on device")
	}
	return d.held.Batch(ctx, operations...)
}

// known is a memory of a service that was watched for a minute, starting at a second.
func known(t *testing.T, from int64) *inference.Memory {
	t.Helper()
	a := inference.NewAnalyzer(inference.DefaultConfig(), "amd64")
	a.Follow("one", "server", 0)
	const sec = int64(1e9)
	for i := range int64(60) {
		at := (from + i) * sec
		a.AddBatch(&threadtrace.Batch{
			ThreadID: 1, Stacks: []threadtrace.Stack{{Frames: []threadtrace.Frame{{Function: "work", Module: "server"}}}},
			Events: []threadtrace.Event{{Kind: threadtrace.KindSample, Time: at + sec/2, Duration: sec / 5, Number: threadtrace.NoCall, Stack: 1}},
		})
		a.AddCoverage(threadtrace.Coverage{Start: at, End: at + sec, SamplePeriod: 2e7, SnapshotPeriod: 2e8, CPUTime: 2e8, Threads: 1})
		a.Advance(at)
	}
	m := a.Memory()
	require.NotNil(t, m)
	return m
}

type counts map[Result]int

func newStore(t *testing.T, on storage.Client, most int64) (*Store, *observer.ObservedLogs, counts) {
	t.Helper()
	core, logs := observer.New(zap.InfoLevel)
	n := counts{}
	s := New(zap.New(core), most, func(r Result) { n[r]++ })
	s.Use(context.Background(), func(context.Context, string) (storage.Client, error) { return on, nil })
	return s, logs, n
}

var orders = Of{Name: "orders", Version: "1.0", Build: "aa"}

func TestAMemoryOutlivesItsStore(t *testing.T) {
	on := &disk{held: held{}}
	s, _, n := newStore(t, on, 1<<30)
	m := known(t, 1_700_000_000)
	s.Keep(orders, m)
	got, from := s.Recall(orders) // before it is written
	require.NotNil(t, got)
	assert.Equal(t, orders, from)
	require.NoError(t, s.Close(context.Background()))
	assert.Equal(t, 1, n[Written])

	s, _, n = newStore(t, on, 1<<30)
	defer func() { _ = s.Close(context.Background()) }()
	got, from = s.Recall(orders)
	require.NotNil(t, got)
	assert.Equal(t, orders, from)
	assert.Equal(t, m.Until(), got.Until())
	assert.Equal(t, m.Hops(), got.Hops())
	// Another build inherits, another environment and another service do not.
	next := orders
	next.Version, next.Build = "1.1", "bb"
	got, from = s.Recall(next)
	assert.NotNil(t, got)
	assert.Equal(t, orders, from)
	assert.Equal(t, counts{Recalled: 1, Inherited: 1}, n)
	for _, other := range []Of{{Name: "orders", Environment: "staging"}, {Name: "carts"}, {Name: "orders", Namespace: "shop"}} {
		got, _ = s.Recall(other)
		assert.Nil(t, got, "%+v", other)
	}
}

func TestDamageCostsOneMemoryAndIsSaid(t *testing.T) {
	on := &disk{held: held{}}
	s, _, _ := newStore(t, on, 1<<30)
	older := orders
	older.Build = "a0"
	s.Keep(older, known(t, 1_700_000_000))
	require.NoError(t, s.Close(context.Background()))
	s, _, _ = newStore(t, on, 1<<30)
	s.Keep(orders, known(t, 1_700_001_000))
	require.NoError(t, s.Close(context.Background()))
	data := on.held[orders.key()]
	data[len(data)/2] ^= 0x55

	s, logs, n := newStore(t, on, 1<<30)
	got, from := s.Recall(orders)
	require.NotNil(t, got, "the other build's is whole")
	assert.Equal(t, older, from)
	assert.Equal(t, counts{Damaged: 1, Inherited: 1}, n)
	said := logs.FilterMessageSnippet("learned anew").All()
	require.Len(t, said, 1)
	assert.Contains(t, said[0].ContextMap()["error"], "damaged")
	require.NoError(t, s.Close(context.Background()))

	on.held[indexKey] = []byte(`[{"name":`)
	s, logs, _ = newStore(t, on, 1<<30)
	defer func() { _ = s.Close(context.Background()) }()
	assert.Len(t, logs.FilterMessageSnippet("cannot be found").All(), 1)
	got, _ = s.Recall(orders)
	assert.Nil(t, got)
	s.Keep(orders, known(t, 1_700_002_000))
	got, _ = s.Recall(orders)
	assert.NotNil(t, got, "it goes on")
}

// broken panics as a database with a damaged page does.
type broken struct{ held }

func (broken) Get(context.Context, string) ([]byte, error) { panic("page 3 already freed") }

func TestAStorageThatIsDamagedAsAWholeIsLeftAside(t *testing.T) {
	for name, first := range map[string]func() (storage.Client, error){
		"it cannot be opened": func() (storage.Client, error) { return nil, errors.New("invalid database") },
		"it panics":           func() (storage.Client, error) { return broken{held{}}, nil },
	} {
		t.Run(name, func(t *testing.T) {
			core, logs := observer.New(zap.InfoLevel)
			s, good := New(zap.New(core), 1<<30, nil), &disk{held: held{}}
			s.Use(context.Background(), func(_ context.Context, name string) (storage.Client, error) {
				if name == "memory" {
					return first()
				}
				return good, nil
			})
			assert.Len(t, logs.FilterMessageSnippet("It is left aside, and all is learned anew").All(), 1)
			s.Keep(orders, known(t, 1_700_000_000))
			require.NoError(t, s.Close(context.Background()))
			assert.Len(t, good.held, 2, "it is kept by another one")
		})
	}
	s := New(zap.NewNop(), 1<<30, nil)
	s.Use(context.Background(), func(context.Context, string) (storage.Client, error) { return nil, errors.New("permission denied") })
	s.Keep(orders, known(t, 1_700_000_000))
	got, _ := s.Recall(orders)
	assert.NotNil(t, got, "it lasts as long as the collector")
	require.NoError(t, s.Close(context.Background()))
}

func TestFilesAreWrittenAsAWhole(t *testing.T) {
	directory := filepath.Join(t.TempDir(), "a", "memory")
	open := func(context.Context, string) (storage.Client, error) { return Files(directory) }
	start := func() *Store {
		s := New(zap.NewNop(), 1<<30, nil)
		s.Use(context.Background(), open)
		return s
	}
	s := start()
	s.Keep(orders, known(t, 1_700_000_000))
	require.NoError(t, s.Close(context.Background()))
	left, orphan := filepath.Join(directory, orders.key()+suffix+".new"), filepath.Join(directory, "memory.00"+suffix)
	require.NoError(t, os.WriteFile(left, []byte("half"), 0o600))
	require.NoError(t, os.WriteFile(orphan, nil, 0o600))
	s = start()
	got, _ := s.Recall(orders)
	assert.NotNil(t, got)
	require.NoError(t, s.Close(context.Background()))
	assert.NoFileExists(t, left)
	assert.NoFileExists(t, orphan)

	for _, file := range []string{orders.key(), indexKey} {
		require.NoError(t, os.WriteFile(filepath.Join(directory, file+suffix), []byte("garbage"), 0o600))
		s = start()
		got, _ = s.Recall(orders)
		assert.Nil(t, got, file)
		s.Keep(orders, known(t, 1_700_000_000))
		require.NoError(t, s.Close(context.Background()), "it is learned anew")
		s = start()
		got, _ = s.Recall(orders)
		assert.NotNil(t, got, file)
		require.NoError(t, s.Close(context.Background()))
	}
}

func TestAFullDiskIsSaidAndWhatWasWrittenStays(t *testing.T) {
	on := &disk{held: held{}}
	s, _, _ := newStore(t, on, 1<<30)
	s.Keep(orders, known(t, 1_700_000_000))
	require.NoError(t, s.Close(context.Background()))
	before := maps.Clone(on.held)

	s, logs, n := newStore(t, on, 1<<30)
	on.full = true
	s.Keep(orders, known(t, 1_700_001_000))
	s.flush()
	s.Keep(Of{Name: "carts"}, known(t, 1_700_001_000))
	s.flush()
	assert.Equal(t, 2, n[Failed])
	assert.Len(t, logs.FilterMessageSnippet("could not be stored").All(), 1, "once a minute")
	require.NoError(t, s.Close(context.Background()))
	assert.Equal(t, before, on.held)
}

func TestAllMemoriesTogetherAreBounded(t *testing.T) {
	on := &disk{held: held{}}
	m := known(t, 1_700_000_000)
	data, err := m.Encode()
	require.NoError(t, err)
	most := 3*int64(len(data)) + 100
	s, _, n := newStore(t, on, most)
	names := []string{"a", "b", "c", "d", "e"}
	for _, name := range names {
		s.Keep(Of{Name: name}, m)
		s.flush()
	}
	require.NoError(t, s.Close(context.Background()))
	assert.Equal(t, 2, n[Forgotten])
	sum, kept := 0, []string{}
	for key, value := range on.held {
		if key != indexKey {
			sum += len(value)
		}
	}
	for _, e := range s.index.list {
		kept = append(kept, e.Name)
	}
	assert.LessOrEqual(t, int64(sum), most)
	assert.Equal(t, names[2:], slices.Sorted(slices.Values(kept)), "the oldest go")
}

func TestAProgramIsKnownByItsNameWithoutAVersion(t *testing.T) {
	for file, want := range map[string]string{
		"nats-server-v2.10.1": "nats-server", "nats-server": "nats-server", "php-fpm8.2": "php-fpm", "postgres": "postgres", "orders_1.4.2-rc1": "orders",
		"imap": "imap", "imap-login": "imap-login", "7z": "7z", "": "",
	} {
		assert.Equal(t, want, ProgramOf(file), file)
	}
	s, _, _ := newStore(t, &disk{held: held{}}, 1<<30)
	defer func() { _ = s.Close(context.Background()) }()
	s.Keep(Of{Name: "dovecot", Program: "imap", Build: "aa"}, known(t, 1_700_000_000))
	m, _ := s.Recall(Of{Name: "dovecot", Program: "imap-login", Build: "bb"})
	assert.Nil(t, m, "another program of the service is no build of the first")
	m, _ = s.Recall(Of{Name: "dovecot", Program: "imap", Build: "bb"})
	assert.NotNil(t, m)
}

func TestExpectedAnomaliesAreNamedByAFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "expected")
	ids, err := ReadExpected(path)
	require.NoError(t, err)
	assert.Empty(t, ids)
	require.NoError(t, os.WriteFile(path, []byte("# backups\n0123 the nightly one\n\n  4567\n"+strings.Repeat("x", 300)+"\n"), 0o600))
	ids, err = ReadExpected(path)
	require.NoError(t, err)
	assert.Equal(t, []string{"0123", "4567"}, ids)
}

func FuzzIndex(f *testing.F) {
	f.Add([]byte(`[{"name":"a","bytes":5,"kept":1}]`))
	f.Fuzz(func(t *testing.T, data []byte) {
		x, err := readIndex(bytes.Clone(data))
		if err == nil && len(x.list) > maxEntries {
			t.Error("too many")
		}
	})
}

func BenchmarkLoadHundredServices(b *testing.B) {
	on := &disk{held: held{}}
	s := New(zap.NewNop(), 1<<30, nil)
	s.Use(context.Background(), func(context.Context, string) (storage.Client, error) { return on, nil })
	m := known(&testing.T{}, 1_700_000_000)
	for i := range 100 {
		s.Keep(Of{Name: string(rune('a' + i))}, m)
	}
	s.flush()
	for b.Loop() {
		for i := range 100 {
			got, _ := s.Recall(Of{Name: string(rune('a' + i))})
			inference.NewAnalyzer(inference.DefaultConfig(), "amd64").Recall(got)
		}
	}
	_ = s.Close(context.Background())
}

func TestARoleGoesOnFromItsOwnPast(t *testing.T) {
	s, _, _ := newStore(t, held{}, 1<<30)
	defer func() { _ = s.Close(context.Background()) }()
	primary := Of{Name: "redis", Build: "aa", Role: "primary"}
	replica := Of{Name: "redis", Build: "aa", Role: "replica"}
	s.Keep(primary, known(t, 1_700_000_000))
	s.Keep(replica, known(t, 1_700_000_600))
	next := func(of Of, build string) Of { of.Build = build; return of }
	for _, c := range []struct {
		name   string
		of, as Of
	}{
		{"its own", primary, primary},
		{"the other's own", replica, replica},
		{"another build of its role, though the other is newer", next(primary, "bb"), primary},
		{"a role that nobody had: the newest of the build", Of{Name: "redis", Build: "aa", Role: "sentinel"}, replica},
	} {
		for _, stored := range []bool{false, true} {
			if stored {
				s.flush()
			}
			_, from := s.Recall(c.of)
			assert.Equal(t, c.as, from, "%s, stored: %v", c.name, stored)
		}
	}
}

func TestAnImageIsABuild(t *testing.T) {
	old := Of{Name: "shop", Build: "node", Image: "shop:1", Role: "a"}
	for _, c := range []struct {
		name string
		is   Of
		same bool
	}{
		{"itself", old, true},
		{"another role", Of{Name: "shop", Build: "node", Image: "shop:1", Role: "b"}, true},
		{"an image that is not known yet", Of{Name: "shop", Build: "node", Role: "a"}, true},
		{"another image of one interpreter", Of{Name: "shop", Build: "node", Image: "shop:2", Role: "a"}, false},
		{"another build id in one image", Of{Name: "shop", Build: "node2", Image: "shop:1", Role: "a"}, false},
		{"another service", Of{Name: "carts", Build: "node", Image: "shop:1", Role: "a"}, false},
	} {
		assert.Equal(t, c.same, c.is.SameBuild(old), c.name)
		assert.Equal(t, c.same, old.SameBuild(c.is), c.name)
	}
	assert.NotEqual(t, old.key(), Of{Name: "shop", Build: "node", Image: "shop:2", Role: "a"}.key())
}

func TestTheRolesOfABuildTakeTogetherWhatOneMemoryMay(t *testing.T) {
	var x index
	role := func(i int) Of { return Of{Name: "batch", Build: "aa", Role: strconv.Itoa(i)} }
	for i := range 10 {
		x.put(entry{Of: role(i), Bytes: inference.MaxMemory / 4})
	}
	x.put(entry{Of: Of{Name: "batch", Build: "bb"}, Bytes: inference.MaxMemory})
	gone := x.over(1 << 30)
	for i := range 6 {
		assert.Contains(t, gone, role(i), "the oldest go")
	}
	assert.Len(t, gone, 6)
	assert.Empty(t, (&index{x.list[6:]}).over(1<<30))
}
