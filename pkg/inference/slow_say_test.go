package inference

import (
	"fmt"
	"strings"
	"testing"
)

// ranked reads suspects as "name score, name score".
func rankedOf(t *testing.T, s string) (list []Suspect) {
	t.Helper()
	for one := range strings.SplitSeq(s, ", ") {
		var x Suspect
		if s != "" {
			if _, err := fmt.Sscanf(one, "%s %f", &x.Function, &x.Score); err != nil {
				t.Fatal(err)
			}
			list = append(list, x)
		}
	}
	return list
}

// What is told is the same function in two hops in a row; rivals that change places are told,
// and do not take each other's place from then on.
func TestWhichExplanationIsTold(t *testing.T) {
	for _, tc := range []struct {
		name string
		hops []string
		said []string // the first suspect of each hop, empty where nothing is said, with "!" where it is news
	}{
		{"the same twice", []string{"a 0.9, b 0.1", "a 0.9", "a 0.8, b 0.3"}, []string{"", "a!", "a"}},
		{"another in each hop", []string{"a 0.9, b 0.1", "b 0.9, a 0.1", "a 0.9, b 0.1", "c 0.8"}, []string{"", "", "", ""}},
		{"rivals", []string{"a 0.50, b 0.45", "b 0.50, a 0.40", "a 0.5, b 0.4", "b 0.5, a 0.4"}, []string{"", "b!", "b", "b"}},
		{"of rivals the one with more in both", []string{"a 0.60, b 0.46", "b 0.50, a 0.40"}, []string{"", "a!"}},
		{"a rival twice in a row", []string{"a 0.60, b 0.46", "b 0.50, a 0.40", "b 0.5, a 0.4"}, []string{"", "a!", "b!"}},
		{"three rivals", []string{"a 0.4, b 0.39, c 0.38", "c 0.4, b 0.395, a 0.3", "b 0.5, a 0.4, c 0.4"}, []string{"", "b!", "b"}},
		{"one that leads no more", []string{"a 0.9", "a 0.9", "b 0.9, a 0.2", "b 0.9, a 0.2"}, []string{"", "a!", "", "b!"}},
		{"nothing in between", []string{"a 0.9", "", "a 0.9", "a 0.9", "", "a 0.9"}, []string{"", "", "", "a!", "", "a"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			k := &slowKind{}
			for i, hop := range tc.hops {
				said := ""
				found := Tail{Difference: DifferencePath}
				suspects, certain := k.settle(rankedOf(t, hop))
				if found.Suspects = suspects; len(suspects) == 0 {
					found.Difference = DifferenceUnexplained
				}
				if k.say(&found, 10, certain) {
					said = found.Suspects[0].Function
					if found.News {
						said += "!"
					}
				}
				if said != tc.said[i] {
					t.Errorf("hop %d: said %q instead of %q", i, said, tc.said[i])
				}
				for j := range suspects[min(1, len(suspects)):] {
					if suspects[j+1].Score > suspects[j].Score {
						t.Errorf("hop %d: out of order: %v", i, suspects)
					}
				}
			}
		})
	}
}

// That slow requests differ in another way than was said is news once it was found twice.
func TestAnotherDifferenceIsNewsOnceItIsFoundTwice(t *testing.T) {
	k := &slowKind{}
	var news []bool
	for _, d := range []Difference{DifferencePath, DifferenceSame, DifferencePath, DifferenceSame, DifferencePath, DifferencePath} {
		found := Tail{Difference: d}
		var certain bool
		found.Suspects, certain = k.settle(rankedOf(t, "a 0.9"))
		k.say(&found, 10, certain)
		news = append(news, found.News)
	}
	if want := fmt.Sprint([]bool{false, true, false, false, false, true}); fmt.Sprint(news) != want {
		t.Errorf("news %v instead of %s", news, want)
	}
}

// Nothing is said to be unexplained before that was so twice, and enough requests were slow.
func TestWhenNothingExplainsSlowRequests(t *testing.T) {
	k := &slowKind{}
	var said []bool
	for _, slow := range []float64{20, 40, 60, 80} {
		found := Tail{Difference: DifferenceUnexplained}
		is := k.say(&found, slow, false)
		said = append(said, is, found.News)
	}
	if want := fmt.Sprint([]bool{false, false, false, false, true, true, true, false}); fmt.Sprint(said) != want {
		t.Errorf("said %v instead of %s", said, want)
	}
}
