// Command bundle renders the chart and writes its agent's pod as a bundle that a
// container runtime starts (runc run --bundle DIR ID):
//
//	bundle -chart deploy/helm/perfscope -values values.yaml -binary bin/otelcol-perfscope \
//	    -node worker -files DIR -uid UID -container ID -network /run/netns/NAME -out DIR
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"

	"github.com/perfscope/perfscope/internal/packaging/chart"
	"github.com/perfscope/perfscope/internal/packaging/image"
	"github.com/perfscope/perfscope/internal/packaging/pod"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "bundle:", err)
		os.Exit(1)
	}
}

func run() error {
	var (
		node   pod.Node
		at     pod.Placement
		dir    = flag.String("chart", "", "folder of the chart")
		values = flag.String("values", "", "file of its values")
		binary = flag.String("binary", "", "the collector")
		out    = flag.String("out", "", "folder of the bundle")
	)
	flag.StringVar(&node.Name, "node", "", "name of the node")
	flag.StringVar(&node.IP, "ip", "", "its address")
	flag.StringVar(&node.Files, "files", "", "folder that stands in for the node's files where it has them")
	flag.StringVar(&at.UID, "uid", "", "uid of the pod")
	flag.StringVar(&at.ContainerID, "container", "", "id of its container")
	flag.StringVar(&at.Network, "network", "", "file of its network namespace")
	flag.Parse()
	text, err := os.ReadFile(*values)
	if err != nil {
		return err
	}
	rendered, err := chart.Render(*dir, string(text), chart.Release{Name: "perfscope", Namespace: "perfscope"})
	if err != nil {
		return err
	}
	img := image.Spec{
		Name: filepath.Base(*binary), Binaries: map[string]string{runtime.GOARCH: *binary},
		Certificates: "/etc/ssl/certs/ca-certificates.crt",
	}
	return pod.Bundle(*out, rendered.Manifests, img, node, at)
}
