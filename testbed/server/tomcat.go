package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"github.com/perfscope/perfscope/testbed/proc"
)

const (
	tomcatHome = "/usr/share/tomcat10"
	servletAPI = "/usr/share/java/tomcat10-servlet-api.jar"
)

// Tomcat is Debian's Tomcat with one web application.
type Tomcat struct {
	*Server
	// App is the directory of the application, as it is deployed.
	App string
}

// StartTomcat starts Debian's Tomcat, never as a service, with apps/storefront
// as its only web application; elements are added to its <Context>.
func StartTomcat(ctx context.Context, elements ...string) (*Tomcat, error) {
	catalina, err := find(tomcatHome + "/bin/catalina.sh")
	if err != nil {
		return nil, err
	}
	java, err := find("java")
	if err != nil {
		return nil, err
	}
	if java, err = filepath.EvalSymlinks(java); err != nil {
		return nil, err
	}
	classes, err := compileJava("storefront", servletAPI)
	if err != nil {
		return nil, err
	}
	addr, err := FreeAddr()
	if err != nil {
		return nil, err
	}
	dir, err := newDir("tomcat")
	if err != nil {
		return nil, err
	}
	fail := func(err error) (*Tomcat, error) {
		os.RemoveAll(dir)
		return nil, err
	}
	t := &Tomcat{App: filepath.Join(dir, "webapps", "ROOT")}
	if err := layOutTomcat(dir, t.App, classes, addr, elements); err != nil {
		return fail(err)
	}
	log := filepath.Join(dir, "logs", "catalina.out")
	p, err := proc.Start(proc.Options{
		Path: catalina, Args: []string{"run"}, Dir: dir, Output: log,
		Env: []string{
			"OTEL_SERVICE_NAME=tomcat", "CATALINA_HOME=" + tomcatHome, "CATALINA_BASE=" + dir,
			"JRE_HOME=" + filepath.Dir(filepath.Dir(java)), "CATALINA_OPTS=" + strings.Join(jvmFlags, " "),
		},
	})
	if err != nil {
		return fail(err)
	}
	t.Server = &Server{Process: p, Addr: addr, Dir: dir, Version: "tomcat " + tomcatVersion(), beside: keepPerfMap}
	err = t.waitReady(ctx, log, func() error {
		response, err := http.Get("http://" + addr + "/offers.jsp")
		if err != nil {
			return err
		}
		defer response.Body.Close()
		if response.StatusCode != http.StatusOK {
			return errors.New(response.Status)
		}
		return nil
	})
	if err != nil {
		return nil, errors.Join(err, t.Stop())
	}
	return t, nil
}

// layOutTomcat makes the directories of a CATALINA_BASE, with Debian's own
// web.xml and a connector on addr.
func layOutTomcat(dir, app, classes, addr string, elements []string) error {
	for _, d := range []string{"conf", "logs", "temp", "work", "sessions"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			return err
		}
	}
	root, err := Repository()
	if err != nil {
		return err
	}
	for from, to := range map[string]string{
		filepath.Join(root, "testbed", "apps", "storefront", "web"): app,
		classes: filepath.Join(app, "WEB-INF", "classes"),
	} {
		if err := os.CopyFS(to, os.DirFS(from)); err != nil {
			return err
		}
	}
	for _, name := range []string{"web.xml", "catalina.properties"} {
		data, err := os.ReadFile(filepath.Join(tomcatHome, "etc", name))
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, "conf", name), data, 0o644); err != nil {
			return err
		}
	}
	conf := fmt.Sprintf(`<?xml version="1.0" encoding="UTF-8"?>
<Server port="-1" shutdown="SHUTDOWN">
  <Service name="Catalina">
    <Connector port="%d" address="127.0.0.1" protocol="HTTP/1.1" maxThreads="24" connectionTimeout="20000"/>
    <Engine name="Catalina" defaultHost="localhost">
      <Host name="localhost" appBase="webapps" autoDeploy="false" deployOnStartup="false">
        <Context path="" docBase="%s">%s</Context>
        <Valve className="org.apache.catalina.valves.AccessLogValve" directory="logs" prefix="access" suffix=".log"/>
      </Host>
    </Engine>
  </Service>
</Server>
`, port(addr), app, strings.Join(elements, "\n"))
	return os.WriteFile(filepath.Join(dir, "conf", "server.xml"), []byte(conf), 0o644)
}

// tomcatVersion is in the name of a library: asking Tomcat takes a JVM.
func tomcatVersion() string {
	found, _ := filepath.Glob("/usr/share/java/tomcat10-catalina-[0-9]*.jar")
	if len(found) == 0 {
		return ""
	}
	return strings.TrimSuffix(strings.TrimPrefix(filepath.Base(found[0]), "tomcat10-catalina-"), ".jar")
}
