//go:build ignore

// Command settings reads what is sent as YAML.
package main

import (
	"net/http"

	"gopkg.in/yaml.v2"
)

func main() {
	serve(func(_ *http.Request, body []byte) (any, error) {
		var settings map[string]any
		if err := yaml.Unmarshal(body, &settings); err != nil {
			return nil, err
		}
		return len(settings), nil
	})
}
