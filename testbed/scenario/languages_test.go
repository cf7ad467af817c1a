package scenario

import "testing"

func init() {
	addCheck("wiki-changes", nil) // it takes seconds until there are such versions
	addCheck("rates-lock", fewer(0.75))
	addCheck("stops-networks", burns(0.15))
	addCheck("php-related", slow(2))
	addCheck("uwsgi-rule", slow(2))
	addCheck("apache-related", slow(2))
	addCheck("markdown-plain", slowMedian(1.5))
	addCheck("tolls-tariff", fewer(0.5))
	addCheck("tolls-journal", fewer(0.75))
}

func TestTheTwelveFaultsOfTheLanguages(t *testing.T) {
	count, seen := map[Language]int{}, map[string]bool{}
	for _, sc := range Languages() {
		if seen[sc.Name] {
			t.Errorf("%s is there twice", sc.Name)
		}
		seen[sc.Name] = true
		count[sc.Language]++
	}
	for language, want := range map[Language]int{Python: 4, Ruby: 2, PHP: 1, Node: 2, Go: 3} {
		if count[language] != want {
			t.Errorf("%d faults in %s, want %d", count[language], language, want)
		}
	}
}
