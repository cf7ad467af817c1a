package inference

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/perfscope/perfscope/pkg/threadtrace"
)

// surroundings is what the machine says each second, beside a usual one.
type surroundings struct {
	delay    time.Duration // in which threads could run and had no CPU
	readings []threadtrace.Reading
	users    []threadtrace.User
}

// quietMachine is a host of two CPUs on which little else happens.
func quietMachine() []threadtrace.Reading {
	return []threadtrace.Reading{
		{Measure: threadtrace.MeasureStopped}, {Measure: threadtrace.MeasureUninterruptible, Value: 5e6},
		{Measure: threadtrace.MeasureHostBusy, Value: 9e8}, {Measure: threadtrace.MeasureSteal, Value: 0}, {Measure: threadtrace.MeasureCPUs, Value: 2},
		{Measure: threadtrace.MeasureDiskTime, Resource: "vda", Value: 20e6}, {Measure: threadtrace.MeasureDiskOperations, Resource: "vda", Value: 40}, {Measure: threadtrace.MeasureDiskBytes, Resource: "vda", Value: 1e6},
		{Measure: threadtrace.MeasurePeerWait, Resource: "10.0.0.2:5432", Value: 1e7}, {Measure: threadtrace.MeasurePeerSegments, Resource: "10.0.0.2:5432", Value: 300},
	}
}

// add tells the analyzer of the second to come.
func (m *surroundings) add(s *server) {
	told := &threadtrace.Machine{Start: s.now, End: s.now + second, Users: m.users}
	for _, r := range quietMachine() {
		for _, other := range m.readings {
			if other.Measure == r.Measure && other.Resource == r.Resource {
				r.Value = 0
			}
		}
		told.Readings = append(told.Readings, r)
	}
	told.Readings = append(told.Readings, m.readings...)
	s.analyzer.AddMachine(told)
	s.analyzer.AddCoverage(threadtrace.Coverage{Start: s.now, End: s.now + second, RunDelay: m.delay, Traced: time.Second})
}

// waitingForPeer is asking, with workers that wait for the answer for most of the time.
func waitingForPeer() load { return workersIn("read", "@read ask_peer job worker") }

// workersIn is asking, with workers that wait in a call for most of the time.
func workersIn(call, stack string) load {
	return with(asking(), func(l *load) {
		for i := 1; i < len(l.waits); i++ {
			l.waits[i].share = 0.2
			l.waits[i].also = &site{stack: stack, call: call, share: 0.7}
		}
	})
}

// busyDisk is a disk that a neighbour uses, and for which somebody waits.
func busyDisk() surroundings {
	return surroundings{
		readings: []threadtrace.Reading{
			{Measure: threadtrace.MeasureUninterruptible, Value: 14e8}, {Measure: threadtrace.MeasureDiskTime, Resource: "vda", Value: 2e9}, {Measure: threadtrace.MeasureDiskBytes, Resource: "vda", Value: 2e8},
		},
		users: []threadtrace.User{{Of: threadtrace.MeasureDiskBytes, Name: "tar", PID: 7, Value: 2e8}},
	}
}

// limitedDisk is a disk that the control group may use little of, and for which
// somebody waits.
func limitedDisk(wait int64) []threadtrace.Reading {
	return []threadtrace.Reading{{Measure: threadtrace.MeasureUninterruptible, Value: wait}, {Measure: threadtrace.MeasureDiskLimit, Resource: "vda", Value: 20}}
}

// droppingPages is a machine whose control group has pages read back as well.
func droppingPages(m surroundings) surroundings {
	m.readings = append(m.readings, threadtrace.Reading{Measure: threadtrace.MeasureRefaults, Resource: "/shop", Value: 4000})
	return m
}

// shortMemory is a service that holds so many bytes, waits for so long and has so many
// pages read back.
func shortMemory(held, wait, refaults int64) []threadtrace.Reading {
	return []threadtrace.Reading{
		{Measure: threadtrace.MeasureResident, Value: held}, {Measure: threadtrace.MeasureUninterruptible, Value: wait},
		{Measure: threadtrace.MeasureRefaults, Resource: "/shop", Value: refaults},
	}
}

func TestWhatTheTimeIsLostTo(t *testing.T) {
	computing := with(steady(1), func(l *load) { l.busy["scan find handle loop main"] = 0.9; l.waits[0].share = 0 })
	for _, tc := range []struct {
		name     string
		fault    load
		usual    surroundings
		machine  surroundings
		want     CauseKind
		resource string
		user     string
		// blamed is the function that is a suspect, empty for none.
		blamed string
	}{
		{
			name: "a quota that is used up", fault: steady(0.5), want: CauseCPUQuota, resource: "/shop",
			machine: surroundings{delay: 800 * time.Millisecond, readings: []threadtrace.Reading{{Measure: threadtrace.MeasureThrottledTime, Resource: "/shop", Value: 8e8}}},
		},
		{
			name: "a neighbour on the CPUs", fault: steady(0.5), want: CauseCPUContention, user: "backup",
			machine: surroundings{
				delay: 800 * time.Millisecond, readings: []threadtrace.Reading{{Measure: threadtrace.MeasureHostBusy, Value: 2e9}},
				users: []threadtrace.User{{Of: threadtrace.MeasureHostBusy, Name: "backup", PID: 7, Value: 1e9}},
			},
		},
		{
			name: "another neighbour on CPUs that were all in use", fault: steady(1), want: CauseCPUContention, user: "backup",
			usual: surroundings{delay: 30 * time.Millisecond, readings: []threadtrace.Reading{{Measure: threadtrace.MeasureHostBusy, Value: 2e9}}},
			machine: surroundings{
				delay: 800 * time.Millisecond, readings: []threadtrace.Reading{{Measure: threadtrace.MeasureHostBusy, Value: 2e9}},
				users: []threadtrace.User{{Of: threadtrace.MeasureHostBusy, Name: "backup", PID: 7, Value: 1e9}},
			},
		},
		{
			name: "code on CPUs that were all in use", fault: computing, want: CauseCode, blamed: "scan",
			usual:   surroundings{delay: 30 * time.Millisecond, readings: []threadtrace.Reading{{Measure: threadtrace.MeasureHostBusy, Value: 2e9}}},
			machine: surroundings{delay: 800 * time.Millisecond, readings: []threadtrace.Reading{{Measure: threadtrace.MeasureHostBusy, Value: 2e9}}},
		},
		{
			name: "a hypervisor with other guests", fault: steady(0.5), want: CauseCPUContention, resource: "hypervisor",
			machine: surroundings{delay: 800 * time.Millisecond, readings: []threadtrace.Reading{{Measure: threadtrace.MeasureSteal, Value: 9e8}}},
		},
		{
			name: "stopped", fault: load{}, want: CauseStopped,
			machine: surroundings{readings: []threadtrace.Reading{{Measure: threadtrace.MeasureStopped, Value: 3e9}}},
		},
		{
			name: "a disk with a neighbour", fault: steady(0.5), want: CauseDisk, resource: "vda", user: "tar",
			machine: surroundings{
				readings: []threadtrace.Reading{
					{Measure: threadtrace.MeasureUninterruptible, Value: 8e8}, {Measure: threadtrace.MeasureDiskTime, Resource: "vda", Value: 2e9}, {Measure: threadtrace.MeasureDiskBytes, Resource: "vda", Value: 2e8},
				},
				users: []threadtrace.User{{Of: threadtrace.MeasureDiskBytes, Name: "tar", PID: 7, Value: 2e8}},
			},
		},
		{
			name: "memory at its limit", fault: steady(0.5), want: CauseMemory, resource: "/shop",
			machine: surroundings{readings: []threadtrace.Reading{
				{Measure: threadtrace.MeasureUninterruptible, Value: 8e8}, {Measure: threadtrace.MeasureRefaults, Resource: "/shop", Value: 4000}, {Measure: threadtrace.MeasureDiskTime, Resource: "vda", Value: 2e9},
			}},
		},
		{
			name: "a peer that is slow", fault: waitingForPeer(), want: CausePeer, resource: "10.0.0.2:5432", blamed: "ask_peer",
			machine: surroundings{readings: []threadtrace.Reading{
				{Measure: threadtrace.MeasurePeerWait, Resource: "10.0.0.2:5432", Value: 8e8}, {Measure: threadtrace.MeasurePeerSegments, Resource: "10.0.0.2:5432", Value: 100},
			}},
		},
		{
			name: "a peer that is slow, and new code that costs next to nothing", want: CausePeer, resource: "10.0.0.2:5432",
			fault: with(asking(), func(l *load) { l.busy["hang_up handle loop main"] = 0.02 }),
			machine: surroundings{readings: []threadtrace.Reading{
				{Measure: threadtrace.MeasurePeerWait, Resource: "10.0.0.2:5432", Value: 18e8}, {Measure: threadtrace.MeasurePeerSegments, Resource: "10.0.0.2:5432", Value: 100},
				{Measure: threadtrace.MeasureClientWait, Value: 18e8},
			}},
		},
		{
			name: "a peer that is asked two hundred times as often", fault: waitingForPeer(), want: CauseCode, blamed: "ask_peer",
			machine: surroundings{readings: []threadtrace.Reading{
				{Measure: threadtrace.MeasurePeerWait, Resource: "10.0.0.2:5432", Value: 12e8}, {Measure: threadtrace.MeasurePeerSegments, Resource: "10.0.0.2:5432", Value: 60000},
			}},
		},
		{
			name: "a peer that it never asked before", fault: waitingForPeer(), want: CauseCode, blamed: "ask_peer",
			machine: surroundings{readings: []threadtrace.Reading{{Measure: threadtrace.MeasurePeerWait, Resource: "10.0.0.9:80", Value: 8e8}}},
		},
		{
			name: "code, and its own threads wait for each other", fault: computing, want: CauseCode, blamed: "scan",
			machine: surroundings{delay: 500 * time.Millisecond, readings: []threadtrace.Reading{{Measure: threadtrace.MeasureHostBusy, Value: 17e8}}},
		},
		{
			name: "waits for a disk that others use", fault: workersIn("pread64", "@pread64 fetch job worker"), want: CauseDisk, resource: "vda", user: "tar",
			machine: busyDisk(),
		},
		{
			name: "code that sleeps beside a busy disk", fault: workersIn("nanosleep", "@nanosleep nap job worker"), want: CauseCode, blamed: "nap",
			machine: busyDisk(),
		},
		{
			name: "code that reads far more beside a busy disk", want: CauseDisk, resource: "vda", user: "tar", blamed: "fetch",
			fault: with(workersIn("read", "@read fetch job worker"), func(l *load) {
				l.calls = append(l.calls, calls{"read", 20, 60 * time.Millisecond, 1 << 20, "@read fetch job worker"})
			}),
			machine: busyDisk(),
		},
		{
			name: "a disk that it may use less of", fault: workersIn("pread64", "@pread64 fetch job worker"), want: CauseDisk, resource: "vda",
			machine: surroundings{readings: limitedDisk(14e8)},
		},
		{
			name: "code that waits for a disk under the limit it always had", fault: workersIn("pread64", "@pread64 fetch job worker"), want: CauseCode, blamed: "fetch",
			usual: surroundings{readings: limitedDisk(5e6)}, machine: surroundings{readings: limitedDisk(14e8)},
		},
		{
			name: "code that holds more memory than it did, at the limit", want: CauseMemory, resource: "/shop", blamed: "fetch",
			fault: workersIn("pread64", "@pread64 fetch job worker"), usual: surroundings{readings: shortMemory(100<<20, 5e6, 0)},
			machine: surroundings{readings: shortMemory(160<<20, 14e8, 4000)},
		},
		{
			name: "code that holds as much as ever, at a lower limit", want: CauseMemory, resource: "/shop",
			fault: workersIn("pread64", "@pread64 fetch job worker"), usual: surroundings{readings: shortMemory(100<<20, 5e6, 0)},
			machine: surroundings{readings: shortMemory(100<<20, 14e8, 4000)},
		},
		{
			name: "code that touches a file for the first time", want: CauseMemory, blamed: "fetch",
			fault: workersIn("pread64", "@pread64 fetch job worker"),
			machine: surroundings{readings: []threadtrace.Reading{
				{Measure: threadtrace.MeasureUninterruptible, Value: 14e8}, {Measure: threadtrace.MeasureMajorFaults, Value: 4000},
			}},
		},
		{
			name: "waits until it is on a busy disk, while pages of its group are dropped", want: CauseDisk, resource: "vda", user: "tar",
			fault: with(workersIn("fdatasync", "@fdatasync flush job worker"), func(l *load) {
				l.calls = append(l.calls, calls{"fdatasync", 1, 900 * time.Millisecond, 0, "@fdatasync flush job worker"})
			}),
			machine: droppingPages(busyDisk()),
		},
		{
			name: "a little code, and a little of others", want: CauseCPUContention, user: "backup", blamed: "scan",
			fault: with(asking(), func(l *load) { l.busy["scan find handle loop main"] = 0.06 }),
			machine: surroundings{
				delay: 90 * time.Millisecond, readings: []threadtrace.Reading{{Measure: threadtrace.MeasureHostBusy, Value: 2e9}},
				users: []threadtrace.User{{Of: threadtrace.MeasureHostBusy, Name: "backup", PID: 7, Value: 1e9}},
			},
		},
		{
			name: "calls that are refused on a busy host", fault: faulty()["refused"], want: CauseCode, blamed: "open_file",
			machine: surroundings{
				delay: 800 * time.Millisecond, readings: []threadtrace.Reading{{Measure: threadtrace.MeasureHostBusy, Value: 2e9}},
				users: []threadtrace.User{{Of: threadtrace.MeasureHostBusy, Name: "backup", PID: 7, Value: 1e9}},
			},
		},
		{
			name: "a network that takes longer", fault: workersIn("sendto", "@sendto answer job worker"), want: CauseNetwork, resource: "10.0.0.3",
			machine: surroundings{readings: []threadtrace.Reading{{Measure: threadtrace.MeasureNetworkLimited, Resource: "10.0.0.3", Value: 14e8}}},
		},
		{
			name: "a network over which far more is sent", want: CauseCode, blamed: "answer",
			fault: with(workersIn("sendto", "@sendto answer job worker"), func(l *load) {
				l.calls = append(l.calls, calls{"sendto", 20, 60 * time.Millisecond, 1 << 20, "@sendto answer job worker"})
			}),
			machine: surroundings{readings: []threadtrace.Reading{{Measure: threadtrace.MeasureNetworkLimited, Resource: "10.0.0.3", Value: 14e8}}},
		},
		{
			name: "code that computes until its quota is used up", want: CauseCode, blamed: "scan",
			fault:   with(steady(0.5), func(l *load) { l.busy["scan find handle loop main"] = 0.25 }),
			machine: surroundings{delay: 2 * time.Second, readings: []threadtrace.Reading{{Measure: threadtrace.MeasureThrottledTime, Resource: "/shop", Value: 2e9}}},
		},
		{
			name: "a peer on the same host that is asked far more, and has the CPUs", fault: waitingForPeer(), want: CauseCode, blamed: "ask_peer",
			machine: surroundings{
				delay: 600 * time.Millisecond, readings: []threadtrace.Reading{
					{Measure: threadtrace.MeasurePeerWait, Resource: "10.0.0.2:5432", Value: 12e8}, {Measure: threadtrace.MeasurePeerSegments, Resource: "10.0.0.2:5432", Value: 60000},
					{Measure: threadtrace.MeasureHostBusy, Value: 19e8},
				},
				users: []threadtrace.User{{Of: threadtrace.MeasureHostBusy, Name: "database", PID: 7, Value: 1e9}},
			},
		},
		{
			name: "short waits at each step, with a queue for CPUs after each", want: CauseCode, blamed: "write_line",
			fault: with(steady(1), func(l *load) {
				l.calls = append(l.calls, calls{"fsync", 80, 140 * time.Microsecond, 0, "@fsync write_line reply handle loop main"})
			}),
			usual:   surroundings{delay: 30 * time.Millisecond, readings: []threadtrace.Reading{{Measure: threadtrace.MeasureHostBusy, Value: 2e9}}},
			machine: surroundings{delay: 600 * time.Millisecond, readings: []threadtrace.Reading{{Measure: threadtrace.MeasureHostBusy, Value: 2e9}}},
		},
		{name: "code on a quiet machine", fault: computing, want: CauseCode, blamed: "scan"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			overSeeds(t, seeds, func(s *server) error {
				usual := steady(1)
				if len(tc.fault.waits) > 1 && tc.fault.waits[1].also != nil {
					usual = asking()
				}
				s.live(75, phase{load: usual, extra: tc.usual.add})
				if len(s.found) > 0 {
					return fmt.Errorf("before: %s", s.found[0].Summary)
				}
				s.live(30, phase{load: tc.fault, extra: tc.machine.add})
				if len(s.found) == 0 {
					return fmt.Errorf("nothing was told; score %.2f, evidence %.1f", s.analyzer.Stats().Score, s.analyzer.Stats().Evidence)
				}
				a := s.found[len(s.found)-1]
				if len(a.Causes) == 0 || a.Causes[0].Kind != tc.want || !strings.Contains(a.Causes[0].Resource, tc.resource) {
					return fmt.Errorf("%+v: %s", a.Causes, a.Summary)
				}
				if tc.user != "" && (len(a.Causes[0].Users) == 0 || a.Causes[0].Users[0].Name != tc.user) {
					return fmt.Errorf("the users are %+v", a.Causes[0].Users)
				}
				if tc.blamed == "" && len(a.Suspects) > 0 {
					return fmt.Errorf("%s is blamed: %s", a.Suspects[0].Function, a.Summary)
				}
				if tc.blamed != "" && (len(a.Suspects) == 0 || a.Suspects[0].Function != tc.blamed) {
					return fmt.Errorf("%s is not blamed: %s", tc.blamed, a.Summary)
				}
				sum := 0.0
				for _, c := range a.Causes {
					sum += c.Share
				}
				if sum > 1.000001 || sum < 0.8 {
					return fmt.Errorf("the shares are %+v", a.Causes)
				}
				return nil
			})
		})
	}
}

// TestAMachineThatIsAsEverCausesNothing: what a service always lacked is its past.
func TestAMachineThatIsAsEverCausesNothing(t *testing.T) {
	overSeeds(t, seeds, func(s *server) error {
		always := surroundings{delay: 300 * time.Millisecond, readings: []threadtrace.Reading{
			{Measure: threadtrace.MeasureThrottledTime, Resource: "/shop", Value: 3e8}, {Measure: threadtrace.MeasureUninterruptible, Value: 3e8}, {Measure: threadtrace.MeasureHostBusy, Value: 19e8},
			{Measure: threadtrace.MeasurePeerWait, Resource: "10.0.0.2:5432", Value: 3e8},
		}}
		s.live(180, phase{load: steady(1), extra: always.add})
		if len(s.found) > 0 {
			return fmt.Errorf("%s", s.found[0].Summary)
		}
		return nil
	})
}

// TestAPeerIsSlowWhileClientsWait: it may speak when it likes, and may take longer for two
// hops. When clients wait for the service meanwhile, for longer, it is slow.
func TestAPeerIsSlowWhileClientsWait(t *testing.T) {
	for _, tc := range []struct {
		name    string
		clients int64
		seconds int
		told    bool
	}{
		{"nobody waits", 0, 60, false},
		{"clients wait", 3e9, 60, true},
		{"they do for two hops", 3e9, 10, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			overSeeds(t, seeds, func(s *server) error {
				var quiet surroundings
				s.live(75, phase{load: steady(1), extra: quiet.add})
				silent := surroundings{readings: []threadtrace.Reading{
					{Measure: threadtrace.MeasurePeerWait, Resource: "10.0.0.2:5432", Value: 3e9}, {Measure: threadtrace.MeasurePeerSegments, Resource: "10.0.0.2:5432", Value: 100},
					{Measure: threadtrace.MeasureClientWait, Value: tc.clients},
				}}
				s.live(tc.seconds, phase{load: steady(1), extra: silent.add})
				s.live(20, phase{load: steady(1), extra: quiet.add})
				if told := len(s.found) > 0; told != tc.told {
					return fmt.Errorf("told is %v: %+v", told, s.found)
				}
				return nil
			})
		})
	}
}

// TestOthersAreBusyForAWhile: what others do to the machine is told when it lasts, from its
// begin on. What is over before says nothing of what the service is like, nor of what its own
// excursions cost.
func TestOthersAreBusyForAWhile(t *testing.T) {
	busy := surroundings{
		delay: 800 * time.Millisecond, readings: []threadtrace.Reading{{Measure: threadtrace.MeasureHostBusy, Value: 2e9}},
		users: []threadtrace.User{{Of: threadtrace.MeasureHostBusy, Name: "backup", PID: 7, Value: 1e9}},
	}
	for _, tc := range []struct {
		name    string
		seconds []int // of each time, half a minute apart
		told    bool
	}{
		{"for a hop", []int{6}, false},
		{"for two hops and a half", []int{13}, false},
		{"for half a minute", []int{30}, true},
		{"for a moment, and for half a minute", []int{13, 30}, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			overSeeds(t, seeds, func(s *server) error {
				var quiet surroundings
				s.live(75, phase{load: steady(1), extra: quiet.add})
				before := s.analyzer.rareCost()
				var begun int64
				for _, n := range tc.seconds {
					begun = s.now
					s.live(n, phase{load: steady(0.5), extra: busy.add})
					s.live(30, phase{load: steady(1), extra: quiet.add})
				}
				if told := len(s.found) > 0; told != tc.told {
					return fmt.Errorf("told is %v: %+v", told, s.found)
				}
				if tc.told && (s.found[0].Onset < begun-int64(s.analyzer.cfg.Hop) || s.found[0].Onset > begun+int64(s.analyzer.cfg.Hop)) {
					return fmt.Errorf("its onset is %d s after it", (s.found[0].Onset-begun)/second)
				}
				if after := s.analyzer.rareCost(); after > before {
					return fmt.Errorf("an excursion must cost %.3f s now, %.3f s before", after, before)
				}
				return nil
			})
		})
	}
}

// TestWhatAServiceMayHaveBroughtAboutIsToldSooner: who holds more memory than it did need
// not wait for its shortness to last as who holds as much as ever.
func TestWhatAServiceMayHaveBroughtAboutIsToldSooner(t *testing.T) {
	for _, tc := range []struct {
		name string
		held int64
		told bool
	}{
		{"it holds more", 160 << 20, true},
		{"it holds as much as ever", 100 << 20, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			overSeeds(t, seeds, func(s *server) error {
				usual, short := surroundings{readings: shortMemory(100<<20, 5e6, 0)}, surroundings{readings: shortMemory(tc.held, 14e8, 4000)}
				s.live(75, phase{load: steady(1), extra: usual.add})
				s.live(14, phase{load: steady(0.5), extra: short.add})
				s.live(20, phase{load: steady(1), extra: usual.add})
				if told := len(s.found) > 0; told != tc.told {
					return fmt.Errorf("told is %v: %+v", told, s.found)
				}
				return nil
			})
		})
	}
}

// TestAMachineOfAnythingIsTaken: no figure brings the analysis down.
func TestAMachineOfAnythingIsTaken(t *testing.T) {
	overSeeds(t, seeds, func(s *server) error {
		for range 60 {
			var wild surroundings
			for range s.rng.IntN(40) {
				wild.readings = append(wild.readings, threadtrace.Reading{
					Measure: threadtrace.Measure(s.rng.IntN(70)), Resource: []string{"", "a", "b"}[s.rng.IntN(3)], Value: s.rng.Int64() >> s.rng.IntN(63),
				})
			}
			s.live(1, phase{load: steady(1), extra: wild.add})
		}
		return nil
	})
}

// TestAFaultBesideABusyMachineIsNamed: a service that already lacks the CPU, and then
// computes in vain, has a suspect, whatever the larger part is.
func TestAFaultBesideABusyMachineIsNamed(t *testing.T) {
	overSeeds(t, seeds, func(s *server) error {
		var quiet surroundings
		s.live(75, phase{load: steady(1), extra: quiet.add})
		busy := surroundings{
			delay: 800 * time.Millisecond, readings: []threadtrace.Reading{{Measure: threadtrace.MeasureHostBusy, Value: 2e9}},
			users: []threadtrace.User{{Of: threadtrace.MeasureHostBusy, Name: "backup", PID: 7, Value: 1e9}},
		}
		s.live(120, phase{load: steady(0.5), extra: busy.add})
		before := len(s.found)
		if before == 0 || len(s.found[before-1].Suspects) > 0 {
			return fmt.Errorf("before the fault %d were told: %+v", before, s.found)
		}
		fault := with(steady(0.5), func(l *load) { l.busy["scan find handle loop main"] = 0.3 })
		s.live(15, phase{load: fault, extra: busy.add})
		for _, a := range s.found[before:] {
			if len(a.Suspects) > 0 && a.Suspects[0].Function == "scan" && len(a.Causes) > 1 {
				return nil
			}
		}
		return fmt.Errorf("scan is not named: %s", s.found[len(s.found)-1].Summary)
	})
}
