package releases

import (
	"context"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"

	"github.com/perfscope/perfscope/testbed/server"
)

// bureau are builds of testbed/apps/bureau, by their build tags; empty is without.
func bureau() (pairs []Pair) {
	for _, p := range []struct {
		name, before, after string
		kind                Kind
		truth               string
	}{
		{"authorise-twice", "", "authorise_twice", Regression, "main.authorise"},
		{"authorise-third", "", "authorise_third", Regression, "main.authorise"},
		{"find-linear", "", "find_linear", Regression, "main.(*bureau).findOrder"},
		{"price-regexp", "", "price_regexp", Regression, "main.priceOrder"},
		{"tax-table", "", "tax_table", Regression, "main.taxOf"},
		{"render-concat", "", "render_concat", Regression, "main.renderOrder"},
		{"render-sprintf", "", "render_sprintf", Regression, "main.renderOrder"},
		{"suggest-insertion", "", "suggest_insertion", Regression, "main.suggest"},
		{"suggest-all", "", "suggest_all", Regression, "main.suggest"},
		{"audit-indent", "", "audit_indent", Regression, "main.(*bureau).auditTrail"},
		{"audit-sync", "", "audit_sync", Regression, "main.(*bureau).auditTrail"},
		{"seal-lines", "", "seal_lines", Regression, "main.sealReply"},
		{"find-mended", "find_linear", "", Fix, "main.(*bureau).findOrder"},
		{"tax-mended", "tax_table", "", Fix, "main.taxOf"},
		{"audit-mended", "audit_indent", "", Fix, "main.(*bureau).auditTrail"},
		{"same-1", "", "another1", Same, ""},
		{"same-2", "another2", "another3", Same, ""},
		{"same-3", "another4", "another5", Same, ""},
		{"same-4", "tax_table", "tax_table another6", Same, ""},
		{"same-5", "audit_indent", "audit_indent another7", Same, ""},
		{"same-6", "find_linear", "find_linear another8", Same, ""},
		{"same-7", "render_sprintf", "render_sprintf another9", Same, ""},
		{"same-8", "another10", "another11", Same, ""},
		{"rename", "", "refactor_rename", Refactoring, ""},
		{"inline", "", "refactor_inline", Refactoring, ""},
		{"move", "", "refactor_move", Refactoring, ""},
		{"extract", "", "refactor_extract", Refactoring, ""},
		{"steps", "", "refactor_steps", Refactoring, ""},
	} {
		pairs = append(pairs, Pair{
			Name: p.name, Kind: p.kind, Before: tagged(p.before), After: tagged(p.after), Load: requests(orders), Truth: strings.Fields(p.truth),
		})
	}
	return pairs
}

func tagged(tags string) Build {
	return func(ctx context.Context, service string) (*server.Server, error) {
		return server.StartBureau(ctx, service, tags)
	}
}

// orders asks for one of the bureau's orders.
func orders(addr string, r *rand.Rand) (*http.Request, error) {
	q, err := http.NewRequest(http.MethodGet, "http://"+addr+"/orders/"+strconv.Itoa(7*r.IntN(4000)), nil) //nolint:noctx // it has a timeout
	if err == nil {
		q.Header.Set("Authorization", strings.Repeat("t", 32))
	}
	return q, err
}
