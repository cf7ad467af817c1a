package life

import (
	"math"
	"os"
	"path/filepath"
	"testing"
)

func TestRatesOfASummary(t *testing.T) {
	s := Summary{ServiceDays: 3}
	s.rates()
	if s.PerDay != 0 || math.Abs(s.Upper95-2.9957/3) > 0.001 {
		t.Errorf("without an alarm: %+v", s)
	}
	s.Told = []Alarm{{ID: "a"}, {ID: "a"}, {ID: "b"}}
	s.rates()
	if s.Alarms != 3 || s.Episodes != 2 || s.PerDay != 1 || math.Abs(s.Upper95-7.7537/3) > 0.001 {
		t.Errorf("with three records of two: %+v", s)
	}
}

func TestTheFilesOfARecordingAreJoinedInOrder(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"records-2026-01-01T10-00-00.000.bin": "one ", "records-2026-01-01T11-00-00.000.bin": "two ", "records.bin": "three",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if n := recorded(dir); n != 13 {
		t.Errorf("%d bytes are recorded", n)
	}
	for range 2 { // the second time there is one
		if err := join(dir); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(filepath.Join(dir, "records.bin"))
	if err != nil || string(text) != "one two three" {
		t.Errorf("%q, %v", text, err)
	}
	if len(parts(dir)) != 1 {
		t.Errorf("left: %q", parts(dir))
	}
	if err := removeOlder(dir); err != nil || recorded(dir) != 0 {
		t.Errorf("%d bytes left, %v", recorded(dir), err)
	}
}
