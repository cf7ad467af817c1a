//go:build linux && (amd64 || arm64)

package capture

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"unsafe"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/rlimit"
	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"github.com/perfscope/perfscope/pkg/threadtrace"
)

// objects are the loaded maps and programs, and the maps' memory.
type objects struct {
	coll     *ebpf.Collection
	optional []*ebpf.Collection // each holds one program of its own
	degraded []Degraded

	sysExit, sample, snapshot, waking, sockets *ebpf.Program // the variant the kernel accepts; nil is none

	slots  []captureSlot
	cpus   []captureCpuState
	calls  []captureCallRecord
	rows   []captureRow
	shares []captureShare
	// contexts counts them, by CPU; nil without Config.TraceContext.
	contexts []captureContextCounts
	mapped   [][]byte
	records  int   // of each CPU's ring
	memory   int64 // of all maps, bytes
}

// required programs: without one of them there is no Tracer.
var required = []string{
	captureProgSysEnter, captureProgSysExit, captureProgTaskNewtask, captureProgSchedProcessExec,
	captureProgSchedProcessExit, captureProgSeedThreads, captureProgForgetThreads,
}

// possibleCPUs is replaced in tests.
var possibleCPUs = ebpf.PossibleCPU

// load puts the programs of spec into the kernel, attached to nothing.
func load(spec *ebpf.CollectionSpec, cfg Config, log *zap.Logger) (_ *objects, err error) {
	// Before 5.11 maps count as locked memory. Failing is no news there:
	// creating the maps will say so.
	_ = rlimit.RemoveMemlock()
	cpus, err := possibleCPUs()
	if err != nil {
		return nil, fmt.Errorf("capture: cannot tell how many CPUs there are (is /sys mounted?): %w", err)
	}
	o := &objects{records: cfg.RingRecords}
	for o.records > 16 && o.records*cpus*int(unsafe.Sizeof(captureCallRecord{})) > maxRingBytes {
		o.records /= 2
	}
	if o.records < cfg.RingRecords {
		log.Info("with so many CPUs the rings of calls are smaller than configured", zap.Int("cpus", cpus),
			zap.Int("records_per_cpu", o.records), zap.Int("configured", cfg.RingRecords), zap.Int("most_bytes", maxRingBytes))
	}
	if err = configure(spec, cfg, cpus, o.records); err != nil {
		return nil, err
	}
	if cfg.WakingRate > 0 {
		if err = placePreemptCount(spec, kernelTypes()); err != nil {
			return nil, err
		}
	}
	defer func() {
		if err != nil {
			o.close()
		}
	}()
	base := only(spec, required...)
	if o.coll, err = ebpf.NewCollection(base); err != nil {
		return nil, refused("the kernel refuses the eBPF programs", err)
	}
	if err = o.mapAll(spec, cpus, cfg); err != nil {
		return nil, err
	}
	if err = o.setStackRate(cfg, 1); err != nil {
		return nil, err
	}
	for _, m := range o.coll.Maps {
		o.memory += mapMemory(m)
	}
	o.sysExit = o.coll.Programs[captureProgSysExit]
	o.loadExit(spec, cfg)
	o.sample = o.loadVariant(spec, cfg.SampleHz > 0, "sample", captureProgSampleStack, captureProgSample)
	o.snapshot = o.loadVariant(spec, cfg.SnapshotInterval > 0, "snapshot", captureProgSnapshotStack, captureProgSnapshot)
	o.loadWaking(spec, cfg)
	o.loadSockets(spec)
	if d := missingDelay(kernelTypes()); d != nil {
		o.degraded = append(o.degraded, *d)
	}
	return o, nil
}

// loadExit loads the program for returning calls that can most of what is asked
// for: that for trace contexts takes stacks, too.
func (o *objects) loadExit(spec *ebpf.CollectionSpec, cfg Config) {
	for _, v := range []struct {
		wanted  bool
		feature string
		name    string
	}{
		{cfg.TraceContext, "trace context", captureProgSysExitContext},
		{cfg.StackEvery > 0 && cfg.StackBytes > 0, "syscall stacks", captureProgSysExitStack},
	} {
		if !v.wanted {
			continue
		}
		p, err := o.tryLoad(spec, v.name)
		if err == nil {
			o.sysExit = p
			return
		}
		o.degrade(v.feature, err)
	}
}

func configure(spec *ebpf.CollectionSpec, cfg Config, cpus, records int) error {
	spec.Maps[captureMapCpus].MaxEntries = uint32(cpus)
	spec.Maps[captureMapCalls].MaxEntries = uint32(cpus * records)
	spec.Maps[captureMapShares].MaxEntries = uint32(cpus * MaxGroups)
	spec.Maps[captureMapScratches].MaxEntries = uint32(cpus * 2)
	spec.Maps[captureMapStacks].MaxEntries = uint32(cfg.StackRingBytes)
	spec.Maps[captureMapContexts].MaxEntries = contextRingBytes
	for _, name := range []string{captureMapPayloads, captureMapContextCounts, captureMapContexts} {
		if !cfg.TraceContext {
			delete(spec.Maps, name) // only one program asks for it
		} else if name != captureMapContexts {
			spec.Maps[name].MaxEntries = uint32(cpus)
		}
	}
	failEvery := cfg.StackEvery / 4
	if cfg.StackEvery > 0 && failEvery == 0 {
		failEvery = 1
	}
	children := uint32(0)
	if cfg.IncludeChildren {
		children = 1
	}
	slow := uint64(cfg.SlowCall)
	if slow == 0 {
		slow = ^uint64(0)
	}
	var idle [8]uint64
	if cfg.SnapshotInterval > 0 && cfg.MaxSnapshotStacks > 0 {
		idle = idleCalls(runtime.GOARCH)
	}
	for name, value := range map[string]any{
		"ring_records":     uint32(records),
		"ring_cpus":        uint32(cpus),
		"stack_bytes":      uint32(cfg.StackBytes),
		"stack_every":      uint32(cfg.StackEvery),
		"fail_every":       uint32(failEvery),
		"slow_ns":          slow,
		"share_records":    uint32(records / shareParts * shareOfGroup),
		"idle_calls":       idle,
		"stacks_half":      uint64(cfg.StackRingBytes / 2),
		"include_children": children,
		"own_namespace":    ownNamespace(),
		"ticks":            ticksPerSecond(),
	} {
		v := spec.Variables[name]
		if v == nil {
			return fmt.Errorf("capture: the embedded eBPF object has no variable %s: run make generate", name)
		}
		if err := v.Set(value); err != nil {
			return fmt.Errorf("capture: cannot set %s: %w", name, err)
		}
	}
	return nil
}

// setStackRate bounds the stacks of calls to a part of Config.StackRate, and wakings to
// one of Config.WakingRate.
func (o *objects) setStackRate(cfg Config, part float64) error {
	// The kernel counts in windows of 2^24 ns, about sixty a second, and in
	// eight bits.
	if err := o.set(captureVarCpuWakings, uint32(max(1, part*float64(cfg.WakingRate)/60))); err != nil {
		return err
	}
	if cfg.StackEvery <= 1 || cfg.StackRate <= 0 {
		return nil // no bound was asked for
	}
	ofThread := uint32(min(255, max(1, part*float64(cfg.StackRate)/60)))
	ofCPU := uint32(min(4*255, max(2, part*float64(4*cfg.StackRate)/60)))
	return errors.Join(o.set(captureVarThreadStacks, ofThread), o.set(captureVarCpuStacks, ofCPU))
}

// idleCalls is the set of the numbers of calls in which threads wait for work.
func idleCalls(arch string) (set [8]uint64) {
	classes := threadtrace.NewClasses(arch)
	for nr := range int32(64 * len(set)) {
		if classes.Is(nr, threadtrace.ClassIdle) {
			set[nr/64] |= 1 << (nr % 64)
		}
	}
	return set
}

// only returns a copy of spec with just the programs named.
func only(spec *ebpf.CollectionSpec, names ...string) *ebpf.CollectionSpec {
	c := spec.Copy()
	c.Programs = make(map[string]*ebpf.ProgramSpec, len(names))
	for _, n := range names {
		c.Programs[n] = spec.Programs[n].Copy()
	}
	return c
}

// tryLoad loads one more program onto the maps there are.
func (o *objects) tryLoad(spec *ebpf.CollectionSpec, name string) (*ebpf.Program, error) {
	c, err := ebpf.NewCollectionWithOptions(only(spec, name), ebpf.CollectionOptions{MapReplacements: o.coll.Maps})
	if err != nil {
		return nil, err
	}
	o.optional = append(o.optional, c)
	return c.Programs[name], nil
}

// loadVariant loads the program with stacks, or else the one without.
func (o *objects) loadVariant(spec *ebpf.CollectionSpec, wanted bool, feature, withStack, without string) *ebpf.Program {
	if !wanted {
		return nil
	}
	p, err := o.tryLoad(spec, withStack)
	if err == nil {
		return p
	}
	o.degrade(feature+" stacks", err)
	if p, err = o.tryLoad(spec, without); err == nil {
		return p
	}
	o.degrade(feature+"s", err)
	return nil
}

func (o *objects) degrade(feature string, err error) {
	o.degraded = append(o.degraded, Degraded{Feature: feature, Reason: explain(err)})
}

func (o *objects) mapAll(spec *ebpf.CollectionSpec, cpus int, cfg Config) (err error) {
	slots := spec.Variables[captureVarSlots]
	if o.slots, err = mapArrayAt[captureSlot](o, slots.SectionName, int(slots.Offset), MaxThreads); err != nil {
		return err
	}
	if o.cpus, err = mapArray[captureCpuState](o, captureMapCpus, cpus); err != nil {
		return err
	}
	if o.calls, err = mapArray[captureCallRecord](o, captureMapCalls, cpus*o.records); err != nil {
		return err
	}
	if o.shares, err = mapArray[captureShare](o, captureMapShares, cpus*MaxGroups); err != nil {
		return err
	}
	if cfg.TraceContext {
		if o.contexts, err = mapArray[captureContextCounts](o, captureMapContextCounts, cpus); err != nil {
			return err
		}
	}
	o.rows, err = mapArray[captureRow](o, captureMapRows, MaxThreads)
	return err
}

// mapArray maps an array map's memory, read-only.
func mapArray[T any](o *objects, name string, n int) ([]T, error) {
	return mapArrayAt[T](o, name, 0, n)
}

// mapArrayAt does so with an array that begins at an offset in bytes.
func mapArrayAt[T any](o *objects, name string, offset, n int) ([]T, error) {
	var zero T
	size := offset + n*int(unsafe.Sizeof(zero))
	page := os.Getpagesize()
	b, err := unix.Mmap(o.coll.Maps[name].FD(), 0, (size+page-1)/page*page, unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("capture: cannot map the eBPF map %s (kernel 5.5 or later is needed): %w", name, err)
	}
	o.mapped = append(o.mapped, b)
	return unsafe.Slice((*T)(unsafe.Pointer(unsafe.SliceData(b[offset:]))), n), nil
}

// mapMemory is the memory the kernel says a map takes, or, where it does not
// say, that of its keys and values.
func mapMemory(m *ebpf.Map) int64 {
	if info, err := m.Info(); err == nil {
		if n, ok := info.Memlock(); ok {
			return int64(n)
		}
	}
	if m.Type() == ebpf.RingBuf {
		return int64(m.MaxEntries())
	}
	return int64(m.MaxEntries()) * int64(m.KeySize()+m.ValueSize())
}

func (o *objects) set(name string, value any) error {
	if err := o.coll.Variables[name].Set(value); err != nil {
		return fmt.Errorf("capture: cannot set %s: %w", name, err)
	}
	return nil
}

func (o *objects) get(name string) uint32 {
	var v uint32
	// Reading a mapped variable of the right size does not fail.
	_ = o.coll.Variables[name].Get(&v)
	return v
}

func (o *objects) close() error {
	var errs []error
	for _, b := range o.mapped {
		errs = append(errs, unix.Munmap(b))
	}
	o.mapped, o.slots, o.cpus, o.calls, o.rows, o.shares, o.contexts = nil, nil, nil, nil, nil, nil, nil
	for _, c := range o.optional {
		c.Close()
	}
	if o.coll != nil {
		o.coll.Close()
	}
	return errors.Join(errs...)
}
