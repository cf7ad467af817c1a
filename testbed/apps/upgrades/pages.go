//go:build ignore

// Command pages counts the elements of pages of HTML.
package main

import (
	"bytes"
	"net/http"

	"golang.org/x/net/html"
)

func main() {
	serve(func(_ *http.Request, body []byte) (any, error) {
		page, err := html.Parse(bytes.NewReader(body))
		if err != nil {
			return nil, err
		}
		return count(page), nil
	})
}

func count(n *html.Node) int {
	elements := 1
	for child := n.FirstChild; child != nil; child = child.NextSibling {
		elements += count(child)
	}
	return elements
}
