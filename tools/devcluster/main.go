// Devcluster runs a real Kubernetes control plane with simulated nodes and operators on this machine.
// All components are inside this one program, which starts itself once for each of them.
package main

import (
	"os"
	"path/filepath"

	"github.com/aegis/infra/tools/devcluster/internal/component"
)

func main() {
	args := os.Args[1:]
	switch {
	case filepath.Base(os.Args[0]) == "kubectl":
		os.Exit(component.Kubectl(args))
	case len(args) > 0 && args[0] == "kubectl":
		os.Exit(component.Kubectl(args[1:]))
	case len(args) > 1 && args[0] == "component":
		os.Exit(component.Run(args[1], args[2:]))
	}
	component.ForgetGlobalFlags()
	os.Exit(run(args))
}
