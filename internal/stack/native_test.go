package stack

import (
	"testing"

	"github.com/perfscope/perfscope/pkg/threadtrace"
)

// TestTheStandardLibraryInAProgram has names as rustc and g++ make them.
func TestTheStandardLibraryInAProgram(t *testing.T) {
	const library, application = threadtrace.OriginLibrary, threadtrace.OriginApplication
	for symbol, want := range map[string]threadtrace.Origin{
		"_ZN48_$LT$std..fs..File$u20$as$u20$std..io..Write$GT$5write17h0123456789abcdefE":                                       library,
		"_ZN4core3fmt5write17h0123456789abcdefE":                                                                                library,
		"_ZN4core3fmt3num3imp52_$LT$impl$u20$core..fmt..Display$u20$for$u20$u64$GT$3fmt17h0123456789abcdefE":                    library,
		"_ZN42_$LT$$RF$T$u20$as$u20$core..fmt..Debug$GT$3fmt17h0123456789abcdefE":                                               library,
		"_ZN9herbarium9Herbarium6export17h0123456789abcdefE":                                                                    application,
		"_ZN55_$LT$herbarium..Plant$u20$as$u20$core..fmt..Display$GT$3fmt17h0123456789abcdefE":                                  application,
		"_RNvNtCs1234_4core3fmt5write":                                                                                          library,
		"_RNvCs1234_9herbarium6export":                                                                                          application,
		"_ZSt16__introsort_loopIN9__gnu_cxx17__normal_iteratorIPiSt6vectorIiSaIiEEEElNS0_5__ops15_Iter_less_iterEEvT_S9_T0_T1_": library,
		"_ZN4core6Engine3runEv": application, // a namespace of C++
		"main":                  application,
	} {
		if got := nativeOrigin(symbol, application); got != want {
			t.Errorf("%s: %v, want %v (%s)", symbol, got, want, displayName(symbol))
		}
	}
	if got := nativeOrigin("_ZN4core3fmt5write17h0123456789abcdefE", threadtrace.OriginRuntime); got != threadtrace.OriginRuntime {
		t.Errorf("a function of a runtime is %v", got)
	}
}
