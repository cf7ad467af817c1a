package scenario

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"time"

	"github.com/perfscope/perfscope/testbed/client"
	"github.com/perfscope/perfscope/testbed/load"
	"github.com/perfscope/perfscope/testbed/server"
)

// fourthDaemons are servers of Debian.
func fourthDaemons() []Scenario {
	return []Scenario{dnsmasqTexts(), gearmandBacklog(), nginxStylesheet(), h2Customers()}
}

// dnsmasqTexts: texts are a list, which is gone through to its end for each question:
// https://thekelleys.org.uk/gitweb/?p=dnsmasq.git;a=blob;f=src/rfc1035.c;hb=v2.90
// (answer_request).
func dnsmasqTexts() Scenario {
	return Scenario{
		Name:   "dnsmasq-texts",
		Title:  "dnsmasq goes through a list of 60,000 texts",
		Server: "dnsmasq", Language: C, Kind: Computation, Source: Debian, Split: Tune,
		Normal: "addresses of 20,000 hosts are asked for, and of some that do not exist elsewhere",
		Fault:  "mail servers begin to ask for the texts of hosts, two hundred a second",
		// rfc1035.c: answer_request goes through the list, and util.c's hostname_isequal
		// compares. Debian's binary has no names, so a function is shown by where it starts
		// (2.90-4~deb12u2; perf).
		Truth:    []string{"answer_request", "hostname_isequal", "dnsmasq+0x14270", "dnsmasq+0x16fd0"},
		Patterns: []string{"long_computation"},
		Start: func(ctx context.Context) (Workload, error) {
			s, err := server.StartDnsmasq(ctx, 20_000, 60_000)
			if err != nil {
				return Workload{}, err
			}
			return Workload{
				Server: s,
				Load: load.Config{Workers: 6, Rate: 400, Dial: func() (load.Client, error) {
					c, err := client.DialDNS(s.Addr)
					return askingHosts{c}, err
				}},
				Fault: func(ctx context.Context) (func(), error) {
					c, err := client.DialDNS(s.Addr)
					if err != nil {
						return nil, err
					}
					end := repeat(ctx, 5*time.Millisecond, func(context.Context) {
						_ = c.Ask(shopHost(rand.IntN(60_000)), client.DNSTypeTXT)
					})
					return func() { end(); _ = c.Close() }, nil
				},
			}, nil
		},
	}
}

func shopHost(n int) string { return fmt.Sprintf("host%05d.shop.example", n) }

type askingHosts struct{ *client.DNS }

func (c askingHosts) Request(r *rand.Rand) error {
	return c.Ask(shopHost(r.IntN(20_000)), client.DNSTypeA)
}

// gearmandBacklog: jobs are in a table of so many buckets as it was started with, each a list:
// http://gearman.org/gearmand/ (--hashtable-buckets), libgearman-server/job.cc.
func gearmandBacklog() Scenario {
	return Scenario{
		Name:   "gearmand-backlog",
		Title:  "gearmand's table of jobs has thousands of jobs in each bucket",
		Server: "gearmand", Language: C, Kind: Computation, Source: Debian, Split: Tune,
		Normal: "jobs are queued and done, and a few wait",
		Fault:  "a program queues 400,000 jobs of which nobody does any, and goes on with a few",
		// job.cc: who looks for a job of the same unique identifier, whose own function
		// (_server_job_get_unique) is static and becomes a part of it. Debian's binary has no
		// names, so a function is shown by where it starts (1.1.20+ds-1; perf).
		Truth: []string{
			"gearman_server_job_add_reducer", "_server_job_get_unique", "gearman_server_job_add", "gearmand+0x253b0", "gearmand+0x25930",
		},
		Patterns: []string{"long_computation"},
		Start: func(ctx context.Context) (Workload, error) {
			s, err := server.StartGearmand(ctx)
			if err != nil {
				return Workload{}, err
			}
			var jobs atomic.Int64
			dial := func() (*client.Gearman, error) {
				c, err := client.DialGearman(s.Addr)
				if err == nil {
					err = c.CanDo("resize")
				}
				return c, err
			}
			return Workload{
				Server: s,
				Load: load.Config{Workers: 8, Rate: 600, Dial: func() (load.Client, error) {
					c, err := dial()
					return jobber{c, &jobs}, err
				}},
				Fault: func(ctx context.Context) (func(), error) {
					c, err := dial()
					if err != nil {
						return nil, err
					}
					const atOnce = 200
					queued := 0
					end := repeat(ctx, 10*time.Millisecond, func(context.Context) {
						n := 10
						if queued < 400_000 {
							n = atOnce
						}
						var unique []string
						for range n {
							queued++
							unique = append(unique, fmt.Sprintf("archive-%d", queued))
						}
						_ = c.Submit("archive", unique...)
					})
					return func() { end(); _ = c.Close() }, nil
				},
			}, nil
		},
	}
}

type jobber struct {
	*client.Gearman
	jobs *atomic.Int64
}

func (c jobber) Request(*rand.Rand) error {
	if err := c.Submit("resize", fmt.Sprintf("picture-%d", c.jobs.Add(1))); err != nil {
		return err
	}
	return c.Work()
}

// listsStylesheet shows the lots of a list by who sells them. The mistake: for each lot all
// before it are looked at, where a key would do:
// https://www.jenitennison.com/xslt/grouping/muenchian.html.
const listsStylesheet = `<?xml version="1.0"?>
<xsl:stylesheet version="1.0" xmlns:xsl="http://www.w3.org/1999/XSL/Transform">
<xsl:output method="html"/>
<xsl:template match="/list">
 <html><body><h1><xsl:value-of select="@name"/></h1>
 <xsl:for-each select="lot[not(@seller = preceding-sibling::lot/@seller)]">
  <h2><xsl:value-of select="@seller"/></h2>
 </xsl:for-each>
 <ul><xsl:apply-templates select="lot[position() &lt;= 30]"/></ul>
 </body></html>
</xsl:template>
<xsl:template match="lot"><li><xsl:value-of select="."/> (<xsl:value-of select="@seller"/>)</li></xsl:template>
</xsl:stylesheet>
`

func lotsDocument(name string, lots int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "<?xml version=\"1.0\"?>\n<list name=%q>\n", name)
	for i := range lots {
		fmt.Fprintf(&b, "<lot seller=\"seller%d\">lot %d, a thing of %d pounds</lot>\n", (i*7919)%4000, i, 5+i%90)
	}
	return b.String() + "</list>\n"
}

func nginxStylesheet() Scenario {
	return Scenario{
		Name:   "nginx-stylesheet",
		Title:  "nginx has a stylesheet compare each of 900 lots with all before it",
		Server: "nginx", Language: C, Kind: Computation, Source: Debian, Split: Tune,
		Normal: "lists of twenty to forty lots are turned into pages by a stylesheet, and small files sent",
		Fault:  "visitors look at the list of a great auction, of 900 lots, three times a second each",
		// ngx_http_xslt_filter_module.c has libxslt apply the stylesheet, whose xsl:for-each
		// (xsltForEach) has libxml2 evaluate the expression (xpath.c: xmlXPathCompOpEval,
		// xmlXPathCompOpEvalPredicate, xmlXPathNodeCollectAndTest, xmlXPathEqualNodeSets).
		// What has no name is shown by where it starts (1.22.1-9+deb12u11, 2.9.14; perf).
		Truth: []string{
			"ngx_http_xslt_body_filter", "ngx_http_xslt_filter_module.so+0x35a0", "xsltApplyStylesheetUser", "xsltForEach",
			"xmlXPathCompiledEval", "xmlXPathNextPrecedingSibling", "xmlXPathEqualValues", "libxml2.so.2.9.14+0xb4820",
			"libxml2.so.2.9.14+0xb2840", "libxml2.so.2.9.14+0xb3160", "libxml2.so.2.9.14+0xa0ac0",
		},
		Patterns: []string{"long_computation"},
		Start: func(ctx context.Context) (Workload, error) {
			documents := map[string]string{"great.xml": lotsDocument("a great auction", 900)}
			for i := range 30 {
				documents[fmt.Sprintf("list%d.xml", i)] = lotsDocument(fmt.Sprintf("auction %d", i), 20+i%20)
			}
			s, err := server.StartNginxStylesheet(ctx, listsStylesheet, documents)
			if err != nil {
				return Workload{}, err
			}
			return Workload{
				Server: s,
				Load: getting(8, 200, s.Addr, func(r *rand.Rand) string {
					if r.IntN(2) == 0 {
						return fmt.Sprintf("/%d.bin", 9*r.IntN(7)) // of 1 KiB
					}
					return fmt.Sprintf("/lists/list%d.xml", r.IntN(30))
				}),
				Fault: func(ctx context.Context) (func(), error) {
					return pesterPath(ctx, 3, 300*time.Millisecond, s.Addr, "/lists/great.xml"), nil
				},
			}, nil
		},
	}
}

// h2Customers: what has no index is looked for in all rows:
// https://h2database.com/html/performance.html#storage_and_indexes.
func h2Customers() Scenario {
	return Scenario{
		Name:   "h2-customers",
		Title:  "H2 goes through 60,000 orders, as customers have no index",
		Server: "h2", Language: Java, Kind: Computation, Source: Debian, Split: Tune,
		Normal: "orders are shown by their numbers",
		Fault:  "four programs add up what customers have ordered, twenty times a second each",
		// org/h2/command/query/Select.java has the rows of a group looked at, and
		// table/TableFilter.java goes on to the next, which mvstore/Cursor.java finds.
		Truth: []string{
			"org.h2.command.query.Select.queryGroup", "org.h2.command.query.Select.queryWithoutCache",
			"org.h2.command.query.Select.gatherGroup", "org.h2.command.query.Select.queryGroupWindow", "org.h2.command.query.Select.isConditionMet",
			"org.h2.command.query.Select$LazyResultGroupSorted.fetchNextRow",
			"org.h2.table.TableFilter.next", "org.h2.index.IndexCursor.next", "org.h2.mvstore.db.MVPrimaryIndex$MVStoreCursor.next",
			"org.h2.mvstore.Cursor.hasNext", "org.h2.mvstore.Cursor.next", "org.h2.mvstore.tx.TransactionMap$TMIterator.fetchNext",
			"org.h2.mvstore.tx.TransactionMap$CommittedIterator.fetchNext", "org.h2.mvstore.tx.TransactionMap$UncommittedIterator.fetchNext",
			"org.h2.mvstore.tx.TransactionMap$RepeatableIterator.fetchNext",
		},
		Patterns: []string{"long_computation"},
		Start: func(ctx context.Context) (Workload, error) {
			s, err := server.StartH2(ctx)
			if err != nil {
				return Workload{}, err
			}
			dial := func() (*client.Postgres, error) { return client.DialPostgresWith(s.Addr, "sa", "secret", "orders") }
			if err := fillH2(dial); err != nil {
				return stopAfter(err, s)
			}
			return Workload{
				Server: s,
				Load: load.Config{Workers: 6, Rate: 200, Dial: func() (load.Client, error) {
					c, err := dial()
					return orderReader{c}, err
				}},
				Fault: func(ctx context.Context) (func(), error) {
					var ends []func()
					for range 4 {
						c, err := dial()
						if err != nil {
							return nil, err
						}
						end := repeat(ctx, 50*time.Millisecond, func(context.Context) {
							_ = c.Query(fmt.Sprintf("SELECT count(*), sum(price) FROM orders WHERE customer = %d", rand.IntN(3000)))
						})
						ends = append(ends, func() { end(); _ = c.Close() })
					}
					return func() {
						for _, end := range ends {
							end()
						}
					}, nil
				},
			}, nil
		},
	}
}

func fillH2(dial func() (*client.Postgres, error)) error {
	c, err := dial()
	if err != nil {
		return err
	}
	defer c.Close()
	for _, statement := range []string{
		"CREATE TABLE orders (id INT PRIMARY KEY, customer INT, price INT, text VARCHAR(80))",
		"INSERT INTO orders SELECT n, mod(n, 3000), 1 + mod(n * 37, 900), 'an order of the usual things' FROM system_range(1, 60000) AS r(n)",
	} {
		if err := c.Query(statement); err != nil {
			return err
		}
	}
	return nil
}

type orderReader struct{ *client.Postgres }

func (c orderReader) Request(r *rand.Rand) error {
	return c.Query(fmt.Sprintf("SELECT * FROM orders WHERE id = %d", 1+r.IntN(60_000)))
}
