package scenario

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/perfscope/perfscope/testbed/server"
)

// tomcatJSP: Tomcat's default is to look every four seconds whether a page or
// what it includes has changed, and to compile it within the request then,
// while everybody else who wants the page waits.
func tomcatJSP() Scenario {
	return Scenario{
		Name:   "tomcat-jsp",
		Title:  "Tomcat compiles its pages again and again",
		Server: "tomcat", Language: Java, Kind: LockConvoy, Source: Debian, Split: Tune,
		Normal: "a shop with JSP pages, compiled when they were asked for first; development mode, which is the default",
		Fault:  "the banner that every page includes is published anew twice a second: pages are compiled again within requests, under a lock",
		// https://github.com/apache/tomcat/blob/10.1.x/java/org/apache/jasper/servlet/JspServletWrapper.java
		// service holds its monitor while it has the page compiled;
		// https://tomcat.apache.org/tomcat-10.1-doc/jasper-howto.html#Production_Configuration
		// warns of development=true.
		Truth: []string{
			"org.apache.jasper.servlet.JspServletWrapper.service", "org.apache.jasper.JspCompilationContext.compile",
			"org.apache.jasper.compiler.Compiler.compile", "org.apache.jasper.compiler.JDTCompiler.generateClass",
		},
		Patterns: []string{"lock_wait", "long_computation"},
		Start: func(ctx context.Context) (Workload, error) {
			return startTomcat(ctx, publishBanner)
		},
	}
}

func publishBanner(ctx context.Context, t *server.Tomcat) (func(), error) {
	banner := filepath.Join(t.App, "WEB-INF", "fragments", "banner.jspf")
	publish := func(i int) error {
		text := fmt.Sprintf("<p class=\"banner\">Free delivery from %d euros.</p>\n", 30+i%40)
		if err := os.WriteFile(banner+".new", []byte(text), 0o644); err != nil {
			return err
		}
		// Files are told apart by the second in which they changed.
		at := time.Now().Add(time.Duration(i) * time.Second)
		if err := os.Chtimes(banner+".new", at, at); err != nil {
			return err
		}
		return os.Rename(banner+".new", banner)
	}
	if err := publish(0); err != nil {
		return nil, err
	}
	return often(ctx, 500*time.Millisecond, func(_ context.Context, i int) {
		_ = publish(i) // the directory goes away at the end
	}), nil
}
