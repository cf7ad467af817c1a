package signature

import (
	"errors"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
)

func TestReadGivesWhatWasWritten(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 0))
	for i := range 50 {
		f := randomFile(r, r.IntN(30), 40)
		if i%2 == 0 {
			f.BuildIDKind, f.BuildID, f.Service, f.Load = "gnu", "60f4", "orders \"2\"", "a load\nof two lines"
		}
		written := text(t, f)
		got, err := Read(strings.NewReader(written))
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, f) {
			t.Fatalf("%+v was written, %+v read", f, got)
		}
		if text(t, got) != written {
			t.Fatal("the same file gives another text")
		}
	}
}

func TestNamesOfAnyKind(t *testing.T) {
	f := &File{Program: Program{Executable: "/opt/a b/\"c\"", Arch: arch}, Calls: 10, Functions: []Function{
		{Name: "ns::f<int>(char const*, int) [clone .cold]", Module: "lib x.so", Calls: 1, Signatures: []Signature{{Episode: Episode{{Call: 0}}}}},
		{Name: "\xff\n", Module: "lib x.so", Calls: 1, Signatures: []Signature{{Episode: Episode{{Call: 0}}}}},
	}}
	got, err := Read(strings.NewReader(text(t, f)))
	if err != nil || !reflect.DeepEqual(got, f) {
		t.Errorf("%+v, %v", got, err)
	}
}

const good = `perfscope-signatures 1
# a comment

executable "/usr/bin/server"
build_id gnu "60f4"
arch "amd64"
calls 100 sequences 50

function "f" in "server" calls 10 invocations 5 beneath 0
  5/5 read
  4/5 write, *, fdatasync:EINTR
`

func TestReadSaysWhatIsWrong(t *testing.T) {
	if _, err := Read(strings.NewReader(good)); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ old, new, want string }{
		"another file":         {good, "root:x:0:0", "line 1: this is no signature file"},
		"empty":                {good, "", "the file is empty"},
		"only the first line":  {good, "perfscope-signatures 1\n", `"executable" is missing`},
		"newer":                {"signatures 1", "signatures 2", "line 1: version 2"},
		"older":                {"signatures 1", "signatures 0", "line 1: there is no version 0"},
		"no architecture":      {"arch \"amd64\"\n", "", "line 9: \"read\" is no system call of architecture \"\""},
		"unknown call":         {"  5/5 read", "  5/5 raed", `line 10: "raed" is no system call`},
		"unknown error":        {"EINTR", "EINTER", `"EINTER" is no error code`},
		"leading gap":          {"write, *,", "*, write,", `"*" stands between two calls`},
		"trailing gap":         {"*, fdatasync:EINTR", "*", `"*" stands between two calls`},
		"too long":             {"5/5 read", "5/5 read" + strings.Repeat(", read", MaxSteps), "at most 5 calls"},
		"more right than all":  {"4/5 write", "6/5 write", "line 11: 6 right of 5"},
		"no count":             {"4/5 write", "x/5 write", `"x" is no count`},
		"negative":             {"calls 100", "calls -1", `"-1" is no count`},
		"more than there were": {"calls 10 ", "calls 101 ", "101 calls and 5 invocations"},
		"twice":                {"arch \"amd64\"\n", "arch \"amd64\"\narch \"amd64\"\n", "line 7: arch was there before"},
		"unknown word":         {"arch", "aarch", `"aarch" is none of`},
		"not quoted":           {"\"/usr/bin/server\"", "/usr/bin/server", "is not in quotes"},
		"text after the end":   {"\"amd64\"", "\"amd64\" or so", "after the end"},
		"episodes out of order": {"  5/5 read\n  4/5 write, *, fdatasync:EINTR", "  4/5 write\n  5/5 read",
			`line 11: episode "read" is out of order`},
		"function twice": {"  5/5 read\n", "  5/5 read\nfunction \"f\" in \"server\" calls 10 invocations 5 beneath 0\n",
			`line 11: function "f" is out of order`},
		"cut off":           {"  5/5 read\n  4/5 write, *, fdatasync:EINTR\n", "", `function "f" has no episode: the file is cut off`},
		"episode too early": {"arch \"amd64\"", "  1/1 read", "an episode before the first function"},
		"header too late":   {"  5/5 read\n", "  5/5 read\nload \"x\"\n", `"load" after the first function`},
	} {
		_, err := Read(strings.NewReader(strings.Replace(good, c.old, c.new, 1)))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, err := Read(strings.NewReader(strings.Replace(good, "signatures 1", "signatures 2", 1)))
	if !errors.Is(err, ErrVersion) {
		t.Errorf("a newer version gives %v", err)
	}
}

func FuzzRead(f *testing.F) {
	f.Add(good)
	r := rand.New(rand.NewPCG(2, 0))
	for range 4 {
		f.Add(text(f, randomFile(r, 5, 40)))
	}
	f.Fuzz(func(t *testing.T, data string) {
		file, err := Read(strings.NewReader(data))
		if err != nil {
			return
		}
		// What is taken can be written, read again, and followed.
		again, err := Read(strings.NewReader(text(t, file)))
		if err != nil || !reflect.DeepEqual(again, file) {
			t.Fatalf("%+v became %+v, %v", file, again, err)
		}
		m := NewMatcher(file)
		var th Thread
		for i := range 100 {
			e := event(Symbol(i*7%40) << errnoBits)
			m.Next(&th, &e)
		}
	})
}
