package frames

import (
	"testing"

	"github.com/perfscope/perfscope/pkg/threadtrace"
)

func TestANativeMethodHasItsJavaName(t *testing.T) {
	for symbol, want := range map[string]string{
		"Java_sun_nio_ch_FileDispatcherImpl_force0": "sun.nio.ch.FileDispatcherImpl.force0",
		"Java_a_b_1c_Outer_00024Inner_run":          "a.b_c.Outer$Inner.run",
		"Java_a_B_put__ILjava_lang_String_2":        "a.B.put",
		"Java_a_B_0zzzz":                            "",
		"Java_":                                     "",
		"JavaCalls::call_helper":                    "",
		"force0":                                    "",
	} {
		if got, ok := jniName(symbol); ok != (want != "") || ok && got != want {
			t.Errorf("%s: %q, %v", symbol, got, ok)
		}
	}
	stacks := NewTable()
	s := stacks.Get(stacks.Intern(&threadtrace.Stack{Frames: []threadtrace.Frame{
		{Function: "fsync", Module: "libc.so.6", Origin: threadtrace.OriginLibrary},
		{Function: "Java_sun_nio_ch_FileDispatcherImpl_force0", Module: "libnio.so", Origin: threadtrace.OriginRuntime},
		{Function: "Interpreter", Module: "[jit]", Origin: threadtrace.OriginRuntime},
	}}))
	if len(s.Frames) == 0 || stacks.Function(s.Frames[0]).Name != "sun.nio.ch.FileDispatcherImpl.force0" {
		t.Errorf("%+v", s)
	}
	s = stacks.Get(stacks.Intern(&threadtrace.Stack{Frames: []threadtrace.Frame{
		{Function: "Java_sun_nio_ch_EPoll_ctl", Module: "libnio.so", Origin: threadtrace.OriginRuntime},
		{Function: "sun.nio.ch.EPoll.ctl", Module: "[jit]", Origin: threadtrace.OriginLibrary},
		{Function: "sun.nio.ch.EPollSelectorImpl.doSelect", Module: "[jit]", Origin: threadtrace.OriginLibrary},
	}}))
	if len(s.Frames) != 2 || stacks.Function(s.Frames[0]).Module != "libnio.so" {
		t.Errorf("a native method and the code that calls it are one: %+v", s)
	}
}

func TestAMethodThatIsUsedAsAValueHasOneName(t *testing.T) {
	stacks := NewTable()
	s := stacks.Get(stacks.Intern(&threadtrace.Stack{Frames: []threadtrace.Frame{
		{Function: "main.(*server).serve", Module: "server"},
		{Function: "main.(*server).serve-fm", Module: "server"},
		{Function: "main.main", Module: "server"},
	}}))
	if len(s.Frames) != 2 || stacks.Function(s.Frames[0]).Name != "main.(*server).serve" {
		t.Errorf("%+v", s)
	}
}
