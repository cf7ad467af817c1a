// Command kubeapiserver is Kubernetes' API server, as it is: the tests have it take the
// manifests of this project. It is a module of its own, since Kubernetes needs its
// parts replaced.
package main

import (
	"os"

	"k8s.io/component-base/cli"
	"k8s.io/kubernetes/cmd/kube-apiserver/app"
)

func main() { os.Exit(cli.Run(app.NewAPIServerCommand())) }
