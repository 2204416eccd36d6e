// Package component runs the programs linked into this one.
package component

import (
	"context"
	"fmt"
	"os"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"go.etcd.io/etcd/server/v3/etcdmain"
	"k8s.io/component-base/cli"
	"k8s.io/component-base/logs"
	kubectlcmd "k8s.io/kubectl/pkg/cmd"
	kubectlutil "k8s.io/kubectl/pkg/cmd/util"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllermanager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
	kwokconfig "sigs.k8s.io/kwok/pkg/config"
	kwokcmd "sigs.k8s.io/kwok/pkg/kwok/cmd"
	kwoklog "sigs.k8s.io/kwok/pkg/log"
	"sigs.k8s.io/kwok/pkg/utils/signals"

	"github.com/aegis/infra/tools/devcluster/internal/simulator"
)

// Run becomes the component with the given name and does not return before it ends.
// The components read their flags from os.Args, as they would alone.
func Run(name string, args []string) int {
	os.Args = append([]string{name}, args...)
	switch name {
	case "etcd":
		etcdmain.Main(os.Args)
		return 0
	case "kube-apiserver":
		return cli.Run(apiserver.NewAPIServerCommand())
	case "kube-controller-manager":
		return cli.Run(controllermanager.NewControllerManagerCommand())
	case "kube-scheduler":
		return cli.Run(scheduler.NewSchedulerCommand())
	case "kwok":
		return exit(runKwok())
	case "simulator":
		return cli.Run(simulatorCommand())
	}
	return exit(fmt.Errorf("there is no component %q", name))
}

// Kubectl runs kubectl with the given arguments.
func Kubectl(args []string) int {
	os.Args = append([]string{"kubectl"}, args...)
	// The verbosity has to be known before the command is built.
	_, _ = logs.GlogSetter(kubectlcmd.GetLogVerbosity(os.Args))
	if err := cli.RunNoErrOutput(kubectlcmd.NewDefaultKubectlCommand()); err != nil {
		kubectlutil.CheckErr(err)
	}
	return 0
}

// runKwok does what the main function of KWOK does: its flags exist only once its configuration is read.
func runKwok() error {
	ForgetGlobalFlags()
	flags := pflag.NewFlagSet("global", pflag.ContinueOnError)
	flags.ParseErrorsAllowlist.UnknownFlags = true
	flags.Usage = func() {}
	ctx, _ := kwoklog.InitFlags(signals.SetupSignalContext(), flags)
	ctx, err := kwokconfig.InitFlags(ctx, flags)
	if err != nil {
		return err
	}
	command := kwokcmd.NewCommand(ctx)
	command.PersistentFlags().AddFlagSet(flags)
	return command.ExecuteContext(ctx)
}

// ForgetGlobalFlags removes the flags the linked components registered for all commands of a program;
// cobra would offer them in every command.
func ForgetGlobalFlags() {
	pflag.CommandLine = pflag.NewFlagSet(os.Args[0], pflag.ContinueOnError)
}

func simulatorCommand() *cobra.Command {
	var options simulator.Options
	command := &cobra.Command{
		Use:  "simulator",
		Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			ctx, stop := signalContext(command.Context())
			defer stop()
			return simulator.Run(ctx, options)
		},
	}
	command.Flags().StringVar(&options.Kubeconfig, "kubeconfig", "", "how to reach the API server")
	command.Flags().StringVar(&options.Config, "config", "", "the cluster's configuration")
	return command
}

func exit(err error) int {
	if err == nil || err == context.Canceled {
		return 0
	}
	fmt.Fprintln(os.Stderr, err)
	return 1
}
