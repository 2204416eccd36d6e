package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/aegis/infra/tools/devcluster/internal/cluster"
	"github.com/aegis/infra/tools/devcluster/internal/config"
)

// exitNotRunning is the status of `status` when something does not run.
const exitNotRunning = 3

// errNotRunning makes `status` end with its own exit code and without a message.
var errNotRunning = errors.New("not everything runs")

// run executes the command line and returns the exit code.
func run(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	root := rootCommand()
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if errors.Is(err, errNotRunning) {
		return exitNotRunning
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "devcluster: "+err.Error())
		return 1
	}
	return 0
}

func rootCommand() *cobra.Command {
	var state string
	root := &cobra.Command{
		Use:               "devcluster",
		Short:             "Run a real Kubernetes control plane with simulated nodes and operators",
		SilenceUsage:      true,
		SilenceErrors:     true,
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
	}
	for _, command := range []*cobra.Command{
		upCommand(&state), downCommand(&state), statusCommand(&state), logsCommand(&state),
		restartCommand(&state), stopCommand(&state), startCommand(&state),
	} {
		command.Flags().StringVar(&state, "state", "", "directory that holds the cluster")
		_ = command.MarkFlagRequired("state")
		root.AddCommand(command)
	}
	root.AddCommand(versionCommand(), &cobra.Command{
		Use: "kubectl", Short: "Run kubectl " + cluster.LinkedVersion(), DisableFlagParsing: true,
	})
	return root
}

func upCommand(state *string) *cobra.Command {
	var file string
	var dryRun bool
	command := &cobra.Command{
		Use: "up", Short: "Create the cluster, or repair and update it", Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			settings, err := config.Load(file)
			if err != nil {
				return err
			}
			report := func(line string) { fmt.Fprintln(command.ErrOrStderr(), line) }
			result, err := cluster.Up(command.Context(), *state, settings, dryRun, report)
			return printResult(command, result, err)
		},
	}
	command.Flags().StringVar(&file, "config", "", "configuration file")
	command.Flags().BoolVar(&dryRun, "dry-run", false, "only say what would be done")
	_ = command.MarkFlagRequired("config")
	return command
}

func downCommand(state *string) *cobra.Command {
	return &cobra.Command{
		Use: "down", Short: "End the cluster and remove its directory", Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			result, err := cluster.Down(*state)
			return printResult(command, result, err)
		},
	}
}

func statusCommand(state *string) *cobra.Command {
	var output string
	command := &cobra.Command{
		Use: "status", Short: "Show components and nodes; the exit code is 3 when something does not run", Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			status, err := cluster.ReadStatus(command.Context(), *state)
			if err != nil {
				return err
			}
			if output == "json" {
				err = printJSON(command, status)
			} else {
				err = printStatus(command.OutOrStdout(), status)
			}
			if err == nil && !status.Healthy {
				return errNotRunning
			}
			return err
		},
	}
	command.Flags().StringVarP(&output, "output", "o", "text", "text or json")
	return command
}

func logsCommand(state *string) *cobra.Command {
	var follow bool
	command := &cobra.Command{
		Use: "logs COMPONENT", Short: "Print the log of a component, or audit", Args: cobra.ExactArgs(1),
		RunE: func(command *cobra.Command, args []string) error {
			return cluster.CopyLog(command.Context(), *state, args[0], follow, command.OutOrStdout())
		},
	}
	command.Flags().BoolVarP(&follow, "follow", "f", false, "print what is added, until interrupted")
	return command
}

func restartCommand(state *string) *cobra.Command {
	var kill bool
	command := &cobra.Command{
		Use: "restart COMPONENT", Short: "Stop a component, start it again and wait until it is ready", Args: cobra.ExactArgs(1),
		RunE: func(command *cobra.Command, args []string) error {
			result, err := cluster.RestartComponent(command.Context(), *state, args[0], kill)
			return printResult(command, result, err)
		},
	}
	command.Flags().BoolVar(&kill, "kill", false, "use SIGKILL instead of SIGTERM")
	return command
}

func stopCommand(state *string) *cobra.Command {
	var kill bool
	command := &cobra.Command{
		Use: "stop COMPONENT", Short: "Stop a component", Args: cobra.ExactArgs(1),
		RunE: func(command *cobra.Command, args []string) error {
			result, err := cluster.StopComponent(*state, args[0], kill)
			return printResult(command, result, err)
		},
	}
	command.Flags().BoolVar(&kill, "kill", false, "use SIGKILL instead of SIGTERM")
	return command
}

func startCommand(state *string) *cobra.Command {
	return &cobra.Command{
		Use: "start COMPONENT", Short: "Start a component and wait until it is ready", Args: cobra.ExactArgs(1),
		RunE: func(command *cobra.Command, args []string) error {
			result, err := cluster.StartComponent(command.Context(), *state, args[0])
			return printResult(command, result, err)
		},
	}
}

func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the Kubernetes version inside this program", Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			_, err := fmt.Fprintln(command.OutOrStdout(), cluster.LinkedVersion())
			return err
		},
	}
}

func printResult(command *cobra.Command, result *cluster.Result, err error) error {
	if err != nil {
		return err
	}
	return printJSON(command, result)
}

func printJSON(command *cobra.Command, value any) error {
	encoder := json.NewEncoder(command.OutOrStdout())
	encoder.SetIndent("", "  ")
	return encoder.Encode(value)
}

func printStatus(out io.Writer, status *cluster.Status) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "COMPONENT\tSTATE\tPID\tPORT")
	for _, line := range status.Components {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", line.Name, state(line), number(line.PID), number(line.Port))
	}
	if err := table.Flush(); err != nil {
		return err
	}
	ready := 0
	var waiting []string
	for _, node := range status.Nodes {
		if node.Ready {
			ready++
		} else {
			waiting = append(waiting, node.Name)
		}
	}
	fmt.Fprintf(out, "\nAPI server: %s, ready: %t\nnodes: %d of %d ready %s\n",
		status.Server, status.APIReady, ready, len(status.Nodes), strings.Join(waiting, " "))
	return nil
}

func state(line cluster.ComponentStatus) string {
	switch {
	case line.Ready:
		return "running"
	case line.Running:
		return "running, not ready"
	}
	return "stopped"
}

func number(n int) string {
	if n == 0 {
		return "-"
	}
	return fmt.Sprint(n)
}
