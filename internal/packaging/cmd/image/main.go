// Command image writes the OCI image layout of a distribution:
//
//	image -name otelcol-perfscope -version 0.2.0 -out dist/image \
//	    -certificates /etc/ssl/certs/ca-certificates.crt \
//	    -binary amd64=dist/a -binary arm64=dist/b config/*.yaml
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/perfscope/perfscope/internal/packaging/image"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "image:", err)
		os.Exit(1)
	}
}

func run() error {
	s := image.Spec{Binaries: map[string]string{}, Created: time.Now()}
	out := flag.String("out", "", "folder of the layout, must not exist")
	flag.StringVar(&s.Name, "name", "", "name of the distribution")
	flag.StringVar(&s.Version, "version", "", "its version")
	flag.StringVar(&s.Certificates, "certificates", "/etc/ssl/certs/ca-certificates.crt", "certificate authorities, PEM")
	flag.Func("binary", "architecture=file, repeated", func(v string) error {
		arch, file, found := strings.Cut(v, "=")
		if !found {
			return errors.New("must be architecture=file")
		}
		s.Binaries[arch] = file
		return nil
	})
	flag.Parse()
	s.Configs = flag.Args()
	// What builds that are to be alike set: https://reproducible-builds.org/specs/source-date-epoch/
	if epoch := os.Getenv("SOURCE_DATE_EPOCH"); epoch != "" {
		seconds, err := strconv.ParseInt(epoch, 10, 64)
		if err != nil {
			return fmt.Errorf("SOURCE_DATE_EPOCH: must be seconds since 1970, not %q", epoch)
		}
		s.Created = time.Unix(seconds, 0)
	}
	if s.Name == "" || s.Version == "" || *out == "" || len(s.Binaries) == 0 {
		return errors.New("-name, -version, -out and -binary must be given")
	}
	return s.Write(*out)
}
