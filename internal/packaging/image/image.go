// Package image makes an OCI image layout for several architectures, without a
// container engine.
package image

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// User is the account that a gateway, which needs no privileges, runs under.
const User = 10001

// Spec is what the image is made of.
type Spec struct {
	// Name and Version are those of the distribution.
	Name, Version string
	// Binaries are its files by architecture (amd64, arm64).
	Binaries map[string]string
	// Configs are put into /etc/perfscope, Certificates is the PEM file of the
	// authorities that backends are trusted by.
	Configs      []string
	Certificates string
	// Created is the instant in the image; fixed, it makes builds alike.
	Created time.Time
}

// Write makes the layout in a folder that does not exist yet.
func (s Spec) Write(dir string) error {
	if _, err := os.Stat(dir); err == nil {
		return fmt.Errorf("%s is there already: remove it first", dir)
	}
	index := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	var adds []mutate.IndexAddendum
	for arch := range s.Binaries {
		adds = append(adds, mutate.IndexAddendum{Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: arch}}})
	}
	slices.SortFunc(adds, func(a, b mutate.IndexAddendum) int {
		return bytes.Compare([]byte(a.Platform.Architecture), []byte(b.Platform.Architecture))
	})
	for i := range adds {
		img, err := s.image(adds[i].Platform.Architecture)
		if err != nil {
			return err
		}
		adds[i].Add = img
	}
	index = mutate.AppendManifests(index, adds...)
	index, ok := mutate.Annotations(index, s.labels()).(v1.ImageIndex)
	if !ok {
		return fmt.Errorf("the index of %s cannot be labelled", s.Name)
	}
	// The layout's own index refers to the image, by its name, as engines want it.
	_, err := layout.Write(dir, mutate.AppendManifests(mutate.IndexMediaType(empty.Index, types.OCIImageIndex), mutate.IndexAddendum{
		Add: index,
		Descriptor: v1.Descriptor{Annotations: map[string]string{
			"org.opencontainers.image.ref.name": s.Version,
			"io.containerd.image.name":          "docker.io/perfscope/" + s.Name + ":" + s.Version,
		}},
	}))
	return err
}

func (s Spec) labels() map[string]string {
	return map[string]string{
		"org.opencontainers.image.title":       s.Name,
		"org.opencontainers.image.description": "OpenTelemetry Collector with PerfScope, which names the function behind a slow server",
		"org.opencontainers.image.version":     s.Version,
		"org.opencontainers.image.source":      "https://github.com/perfscope/perfscope",
		"org.opencontainers.image.licenses":    "Apache-2.0 AND (GPL-2.0-only OR BSD-2-Clause)",
		"org.opencontainers.image.created":     s.Created.UTC().Format(time.RFC3339),
	}
}

func (s Spec) image(arch string) (v1.Image, error) {
	files, err := s.files(arch)
	if err != nil {
		return nil, err
	}
	var data bytes.Buffer
	if err := s.tar(&data, files); err != nil {
		return nil, err
	}
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(data.Bytes())), nil
	}, tarball.WithMediaType(types.OCILayer))
	if err != nil {
		return nil, err
	}
	base := mutate.MediaType(mutate.ConfigMediaType(empty.Image, types.OCIConfigJSON), types.OCIManifestSchema1)
	img, err := mutate.Append(base, mutate.Addendum{Layer: layer, History: v1.History{
		CreatedBy: "make packages", Created: v1.Time{Time: s.Created},
	}})
	if err != nil {
		return nil, err
	}
	cfg, err := partial.ConfigFile(img)
	if err != nil {
		return nil, err
	}
	cfg = cfg.DeepCopy()
	cfg.OS, cfg.Architecture, cfg.Created = "linux", arch, v1.Time{Time: s.Created}
	cfg.Config = v1.Config{
		Entrypoint: []string{"/" + s.Name},
		Cmd:        []string{"--config", "/etc/perfscope/agent.yaml"},
		WorkingDir: "/var/lib/perfscope",
		Env:        s.Env(),
		Labels:     s.labels(),
	}
	return mutate.ConfigFile(img, cfg)
}

// entry is a file or a folder (without a source and a text) of the image.
type entry struct {
	name, source, text string
	mode               int64
	owner              int
}

func (s Spec) files(arch string) ([]entry, error) {
	binary, ok := s.Binaries[arch]
	if !ok {
		return nil, fmt.Errorf("no binary for %s", arch)
	}
	list := []entry{
		{name: "etc/", mode: 0o755},
		{name: "etc/passwd", mode: 0o644, text: fmt.Sprintf("root:x:0:0:root:/:/sbin/nologin\nperfscope:x:%d:%d::/var/lib/perfscope:/sbin/nologin\n", User, User)},
		{name: "etc/group", mode: 0o644, text: fmt.Sprintf("root:x:0:\nperfscope:x:%d:\n", User)},
		{name: "etc/perfscope/", mode: 0o755},
	}
	for _, file := range s.Configs {
		list = append(list, entry{name: path.Join("etc/perfscope", filepath.Base(file)), source: file, mode: 0o644})
	}
	return append(list,
		entry{name: "etc/ssl/", mode: 0o755},
		entry{name: "etc/ssl/certs/", mode: 0o755},
		entry{name: "etc/ssl/certs/ca-certificates.crt", source: s.Certificates, mode: 0o644},
		entry{name: s.Name, source: binary, mode: 0o755},
		entry{name: "tmp/", mode: 0o1777},
		entry{name: "var/", mode: 0o755},
		entry{name: "var/lib/", mode: 0o755},
		entry{name: "var/lib/perfscope/", mode: 0o750, owner: User},
		entry{name: "var/log/", mode: 0o755},
		entry{name: "var/log/perfscope/", mode: 0o750, owner: User},
	), nil
}

// Env are the variables that the image sets.
func (Spec) Env() []string {
	return []string{"SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt"}
}

// WriteFiles writes what a container of the image begins with into a folder, owned
// by who calls it.
func (s Spec) WriteFiles(arch, dir string) error {
	files, err := s.files(arch)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // other accounts read it
		return err
	}
	for _, f := range files {
		target := filepath.Join(dir, f.name)
		mode := os.FileMode(f.mode & 0o777) //nolint:gosec // nine bits
		if f.folder() {
			err = os.MkdirAll(target, mode)
		} else {
			var data []byte
			if data, err = f.data(); err == nil {
				err = os.WriteFile(target, data, mode)
			}
		}
		if err == nil {
			err = os.Chmod(target, mode) // whatever the umask is
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (e entry) folder() bool { return e.name[len(e.name)-1] == '/' }

func (e entry) data() ([]byte, error) {
	if e.source == "" {
		return []byte(e.text), nil
	}
	return os.ReadFile(e.source)
}

func (s Spec) tar(w io.Writer, files []entry) error {
	out := tar.NewWriter(w)
	for _, f := range files {
		data, err := f.data()
		if err != nil {
			return err
		}
		h := &tar.Header{Name: f.name, Mode: f.mode, Uid: f.owner, Gid: f.owner, Size: int64(len(data)), ModTime: s.Created, Typeflag: tar.TypeReg}
		if f.folder() {
			h.Typeflag = tar.TypeDir
		}
		if err := out.WriteHeader(h); err != nil {
			return err
		}
		if _, err := out.Write(data); err != nil {
			return err
		}
	}
	return out.Close()
}
