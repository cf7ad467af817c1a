//go:build ignore

// Command greetings chooses a language by Accept-Language.
package main

import (
	"net/http"

	"golang.org/x/text/language"
)

func main() {
	matcher := language.NewMatcher([]language.Tag{language.English, language.German, language.French, language.Japanese})
	serve(func(r *http.Request, _ []byte) (any, error) {
		tags, _, err := language.ParseAcceptLanguage(r.Header.Get("Accept-Language"))
		if err != nil {
			return nil, err
		}
		tag, _, _ := matcher.Match(tags...)
		return tag.String(), nil
	})
}
