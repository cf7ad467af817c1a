package threadtrace

import (
	"errors"
	"reflect"
	"strings"
	"testing"
)

func someMachine() *Machine {
	return &Machine{
		Start: 1_700_000_000e9, End: 1_700_000_001e9,
		Readings: []Reading{{MeasureThrottledTime, "/shop", 8e8}, {MeasureStopped, "", 0}, {Measure(200), "later", 1}},
		Users:    []User{{MeasureHostBusy, "backup", 42, 9e8}},
	}
}

func TestAMachineComesBackAsItWas(t *testing.T) {
	for _, m := range []*Machine{someMachine(), {Start: 5, End: 5, Readings: []Reading{}, Users: []User{}}} {
		got, err := DecodeMachine(AppendMachine(nil, m))
		if err != nil || !reflect.DeepEqual(got, m) {
			t.Errorf("%+v, %v; want %+v", got, err, m)
		}
	}
}

func TestAMachineIsBounded(t *testing.T) {
	m := someMachine()
	for range 2 * MaxReadings {
		m.Readings = append(m.Readings, Reading{MeasurePeerWait, strings.Repeat("x", 2*MaxResourceName), 1})
		m.Users = append(m.Users, User{Of: MeasureDiskBytes})
	}
	got, err := DecodeMachine(AppendMachine(nil, m))
	if err != nil || len(got.Readings) != MaxReadings || len(got.Users) != MaxUsers || len(got.Readings[9].Resource) != MaxResourceName {
		t.Errorf("%d readings, %d users, %v", len(got.Readings), len(got.Users), err)
	}
}

func TestADamagedMachineIsRefused(t *testing.T) {
	whole := AppendMachine(nil, someMachine())
	for n := range whole {
		if m, err := DecodeMachine(whole[:n]); err == nil {
			t.Errorf("the first %d bytes are taken for %+v", n, m)
		}
	}
	newer := append([]byte(nil), whole...)
	newer[3]++
	negative := someMachine()
	negative.Readings[0].Value = -1
	backwards := someMachine()
	backwards.End = 0
	for name, c := range map[string]struct {
		data []byte
		want error
	}{
		"newer":     {newer, ErrNewerVersion},
		"more":      {append(whole[:len(whole):len(whole)], 0), ErrCorrupted},
		"negative":  {AppendMachine(nil, negative), errImpossible},
		"backwards": {AppendMachine(nil, backwards), errImpossible},
	} {
		if _, err := DecodeMachine(c.data); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzDecodeMachine(f *testing.F) {
	f.Add(AppendMachine(nil, someMachine()))
	f.Add([]byte(machineMagic))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := DecodeMachine(data)
		if err != nil {
			return
		}
		again, err := DecodeMachine(AppendMachine(nil, m))
		if err != nil || !reflect.DeepEqual(again, m) {
			t.Errorf("%+v became %+v, %v", m, again, err)
		}
	})
}
