// Command manifests writes the plain Kubernetes manifests of the chart:
//
//	manifests CHART FILE
package main

import (
	"fmt"
	"os"

	"github.com/perfscope/perfscope/internal/packaging/chart"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "manifests: give the folder of the chart and the file to write")
		os.Exit(2)
	}
	if err := chart.WritePlain(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "manifests:", err)
		os.Exit(1)
	}
}
