package image

import (
	"archive/tar"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/validate"
	"github.com/stretchr/testify/require"
)

func file(t *testing.T, name, text string) string {
	t.Helper()
	full := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(full, []byte(text), 0o600))
	return full
}

func spec(t *testing.T) Spec {
	return Spec{
		Name: "otelcol-perfscope", Version: "1.2.3", Created: time.Unix(1700000000, 0),
		Binaries:     map[string]string{"amd64": file(t, "a", "for amd64"), "arm64": file(t, "b", "for arm64")},
		Configs:      []string{file(t, "agent.yaml", "receivers:")},
		Certificates: file(t, "ca.crt", "a certificate"),
	}
}

// TestLayout reads the layout as an engine does.
func TestLayout(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "image")
	require.NoError(t, spec(t).Write(dir))
	top, err := layout.ImageIndexFromPath(dir)
	require.NoError(t, err)
	require.NoError(t, validate.Index(top))
	manifest, err := top.IndexManifest()
	require.NoError(t, err)
	require.Len(t, manifest.Manifests, 1)
	require.Equal(t, "1.2.3", manifest.Manifests[0].Annotations["org.opencontainers.image.ref.name"])
	index, err := top.ImageIndex(manifest.Manifests[0].Digest)
	require.NoError(t, err)
	inner, err := index.IndexManifest()
	require.NoError(t, err)
	require.Len(t, inner.Manifests, 2)
	for _, m := range inner.Manifests {
		img, err := index.Image(m.Digest)
		require.NoError(t, err)
		cfg, err := img.ConfigFile()
		require.NoError(t, err)
		require.Equal(t, m.Platform.Architecture, cfg.Architecture)
		require.Equal(t, "1.2.3", cfg.Config.Labels["org.opencontainers.image.version"])
		require.Equal(t, []string{"/otelcol-perfscope"}, cfg.Config.Entrypoint)
		files := contents(t, img)
		require.Equal(t, "for "+m.Platform.Architecture, files["otelcol-perfscope"])
		require.Equal(t, "a certificate", files["etc/ssl/certs/ca-certificates.crt"])
		require.Equal(t, "receivers:", files["etc/perfscope/agent.yaml"])
	}
}

func contents(t *testing.T, img v1.Image) map[string]string {
	t.Helper()
	layers, err := img.Layers()
	require.NoError(t, err)
	require.Len(t, layers, 1)
	data, err := layers[0].Uncompressed()
	require.NoError(t, err)
	defer data.Close()
	files := map[string]string{}
	for r := tar.NewReader(data); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		require.NoError(t, err)
		text, err := io.ReadAll(r)
		require.NoError(t, err)
		files[h.Name] = string(text)
	}
}

func TestTheSameInputGivesTheSameImage(t *testing.T) {
	s := spec(t)
	digest := func() string {
		dir := filepath.Join(t.TempDir(), "image")
		require.NoError(t, s.Write(dir))
		index, err := os.ReadFile(filepath.Join(dir, "index.json"))
		require.NoError(t, err)
		return string(index)
	}
	require.Equal(t, digest(), digest())
}

func TestWhatIsMissingIsNamed(t *testing.T) {
	s := spec(t)
	s.Certificates = "/nowhere/ca.crt"
	require.ErrorContains(t, s.Write(filepath.Join(t.TempDir(), "image")), "/nowhere/ca.crt")
	require.ErrorContains(t, s.Write(t.TempDir()), "is there already")
}
