package scenario

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/perfscope/perfscope/testbed/load"
	"github.com/perfscope/perfscope/testbed/server"
)

// phpArticles has the articles of a magazine and says which are alike.
const phpArticles = `<?php
function headline(int $id): string {
    return "Article $id about " . ['trains', 'gardens', 'planets', 'bridges', 'bread'][$id % 5];
}
function summary(int $id, int $words): string {
    $text = [];
    for ($i = 0; $i < $words; $i++) { $text[] = dechex(crc32("$id-$i") % 4096); }
    return implode(' ', $text);
}
function related_articles(int $id, string $text, int $words): array {
    $alike = [];
    for ($other = $id + 1; $other <= $id + 30; $other++) {
        $alike[$other] = similar_text($text, summary($other, $words));
    }
    arsort($alike);
    return array_slice(array_keys($alike), 0, 5);
}
$id = (int)($_GET['id'] ?? 0);
echo '<h1>', htmlspecialchars(headline($id)), "</h1>\n";
if (isset($_GET['words'])) {
    $words = min(400, (int)$_GET['words']);
    foreach (related_articles($id, summary($id, $words), $words) as $other) { echo '<li>', headline($other), "\n"; }
}
`

// phpRelated: similar_text takes a time that grows with the cube of its texts:
// https://www.php.net/manual/en/function.similar-text.php ("the complexity of this
// algorithm is O(N**3)").
func phpRelated() Scenario {
	return Scenario{
		Name:   "php-related",
		Title:  "PHP computes: texts are compared by similar_text",
		Server: "php-fpm", Language: PHP, Kind: Computation, Source: Own, Split: Report,
		Normal: "articles of a magazine, one in five with what is related to it, told by summaries of eight words",
		Fault:  "the related ones are told by summaries of eighty words from now on",
		// related_articles of the script, and what it calls. Below it is
		// ext/standard/string.c, of which Debian's binary has no name.
		Truth:    []string{"related_articles", "similar_text"},
		Patterns: []string{"long_computation"},
		Start: func(ctx context.Context) (Workload, error) {
			s, err := server.StartPHP(ctx, map[string]string{"article.php": phpArticles})
			if err != nil {
				return Workload{}, err
			}
			reader := &phpReader{server: s}
			return Workload{
				Server: s,
				Load:   load.Config{Workers: 8, Rate: 120, Dial: func() (load.Client, error) { return reader, nil }},
				Fault:  reader.long.fault,
			}, nil
		},
	}
}

// phpReader reads articles.
type phpReader struct {
	server *server.Server
	long   flip
}

func (*phpReader) Close() error { return nil }

func (c *phpReader) Request(r *rand.Rand) error {
	query := fmt.Sprintf("id=%d", r.IntN(5000))
	if r.IntN(5) == 0 {
		words := 8
		if c.long.on() {
			words = 80
		}
		query += fmt.Sprintf("&words=%d", words)
	}
	return phpGet(c.server, 10*time.Second, "article.php", query, "reader")
}
