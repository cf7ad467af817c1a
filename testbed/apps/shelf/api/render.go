package api

import (
	"bufio"
	"fmt"
	"html"
	"io"
	"strings"

	"github.com/perfscope/perfscope/testbed/apps/shelf/store"
)

// render writes a document as HTML: headings, lists, emphasis, paragraphs.
func render(w io.Writer, d *store.Document) error {
	out := bufio.NewWriter(w)
	fmt.Fprintf(out, "<!doctype html><title>%s</title>\n<h1>%[1]s</h1>\n", html.EscapeString(d.Title))
	if d.Author != "" {
		fmt.Fprintf(out, "<p class=author>%s</p>\n", html.EscapeString(d.Author))
	}
	inList := false
	for block := range strings.SplitSeq(d.Body, "\n") {
		item, isItem := strings.CutPrefix(block, "- ")
		if isItem != inList {
			inList = isItem
			if inList {
				fmt.Fprintln(out, "<ul>")
			} else {
				fmt.Fprintln(out, "</ul>")
			}
		}
		switch {
		case isItem:
			fmt.Fprintf(out, "<li>%s</li>\n", emphasis(item))
		case strings.HasPrefix(block, "# "):
			fmt.Fprintf(out, "<h2>%s</h2>\n", emphasis(block[2:]))
		case block != "":
			fmt.Fprintf(out, "<p>%s</p>\n", emphasis(block))
		}
	}
	if inList {
		fmt.Fprintln(out, "</ul>")
	}
	return out.Flush()
}

// emphasis turns *words* into <em>words</em>.
func emphasis(text string) string {
	parts := strings.Split(html.EscapeString(text), "*")
	var b strings.Builder
	for i, p := range parts {
		switch {
		case i == 0:
		case i%2 == 1 && i < len(parts)-1:
			b.WriteString("<em>")
		case i%2 == 0:
			b.WriteString("</em>")
		default:
			b.WriteByte('*')
		}
		b.WriteString(p)
	}
	return b.String()
}
