package cluster

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/aegis/infra/tools/devcluster/internal/config"
)

// downGrace is how long the components may take to end by themselves; their data is removed anyway.
const downGrace = 500 * time.Millisecond

// Down ends all processes and removes the directory.
func Down(dir string) (*Result, error) {
	result := &Result{Actions: []string{}}
	if _, err := os.Stat(dir); os.IsNotExist(err) {
		return result, nil
	}
	// Somebody's own folder must not be emptied by a mistyped path.
	if foreign(dir) {
		return nil, fmt.Errorf("%s is not the state of a devcluster (no %s in it); nothing was removed", dir, stateFile)
	}
	c, err := OpenLocked(dir)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	for _, name := range slices.Backward(Components) {
		c.state.Processes[name].Signal(syscall.SIGTERM)
	}
	end := time.Now().Add(downGrace)
	for _, name := range slices.Backward(Components) {
		process := c.state.Processes[name]
		if !process.Alive() {
			continue
		}
		process.waitGone(time.Until(end))
		if err := process.Stop(true, 0); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	for name := range c.state.Processes {
		result.Actions = append(result.Actions, "stopped "+name)
	}
	slices.Sort(result.Actions)
	if err := os.RemoveAll(c.Dir); err != nil {
		return nil, err
	}
	result.Actions = append(result.Actions, "removed "+c.Dir)
	result.Changed = true
	return result, nil
}

// foreign tells whether a directory has content but is not a cluster's.
func foreign(dir string) bool {
	if _, err := os.Stat(filepath.Join(dir, stateFile)); err == nil {
		return false
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return true
	}
	return slices.ContainsFunc(entries, func(entry os.DirEntry) bool { return entry.Name() != "lock" })
}

// openExisting locks an existing cluster with the configuration of its last up.
func openExisting(dir string) (*Cluster, error) {
	c, err := Open(dir)
	if err != nil {
		return nil, err
	}
	if !c.Exists() {
		return nil, fmt.Errorf("there is no cluster in %s; create it with `devcluster up`", c.Dir)
	}
	if c, err = OpenLocked(dir); err != nil {
		return nil, err
	}
	if c.Config, err = config.Load(c.path(fileConfig)); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// StopComponent ends one component, at once with kill.
func StopComponent(dir, name string, kill bool) (*Result, error) {
	return control(dir, name, func(c *Cluster, comp component, do *changes) error {
		return c.stop(comp, kill, do)
	})
}

// StartComponent starts one component and waits until it is ready.
func StartComponent(ctx context.Context, dir, name string) (*Result, error) {
	return control(dir, name, func(c *Cluster, comp component, do *changes) error {
		if c.state.Processes[comp.name].Alive() {
			return nil
		}
		return do.change("started "+comp.name, func() error { return c.startAndWait(ctx, comp) })
	})
}

// RestartComponent stops and starts one component and waits until it is ready.
func RestartComponent(ctx context.Context, dir, name string, kill bool) (*Result, error) {
	return control(dir, name, func(c *Cluster, comp component, do *changes) error {
		if err := c.stop(comp, kill, do); err != nil {
			return err
		}
		return do.change("started "+comp.name, func() error { return c.startAndWait(ctx, comp) })
	})
}

func control(dir, name string, act func(*Cluster, component, *changes) error) (*Result, error) {
	c, err := openExisting(dir)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	comp, err := c.component(name)
	if err != nil {
		return nil, err
	}
	do := &changes{report: func(string) {}, actions: []string{}}
	if err := act(c, comp, do); err != nil {
		return nil, err
	}
	return c.result(do), nil
}

func (c *Cluster) stop(comp component, kill bool, do *changes) error {
	process := c.state.Processes[comp.name]
	if !process.Alive() {
		return nil
	}
	return do.change("stopped "+comp.name, func() error { return process.Stop(kill, stopGrace) })
}

func (c *Cluster) startAndWait(ctx context.Context, comp component) error {
	if err := c.start(ctx, comp); err != nil {
		return err
	}
	return c.waitHealthy(ctx, comp)
}

// ComponentStatus is one line of the status.
type ComponentStatus struct {
	Name    string `json:"name"`
	Running bool   `json:"running"`
	// Ready is true when the component answers its health check, or just runs when it has none.
	Ready bool `json:"ready"`
	PID   int  `json:"pid,omitempty"`
	Port  int  `json:"port,omitempty"`
}

// NodeStatus is one node in the status.
type NodeStatus struct {
	Name  string `json:"name"`
	Pool  string `json:"pool"`
	Zone  string `json:"zone"`
	Ready bool   `json:"ready"`
}

// Status is the whole picture of a cluster.
type Status struct {
	Healthy    bool              `json:"healthy"`
	Server     string            `json:"server,omitempty"`
	Kubeconfig string            `json:"kubeconfig,omitempty"`
	APIReady   bool              `json:"api_ready"`
	Components []ComponentStatus `json:"components"`
	Nodes      []NodeStatus      `json:"nodes"`
}

// ReadStatus looks at a cluster without changing or locking it.
func ReadStatus(ctx context.Context, dir string) (*Status, error) {
	c, err := Open(dir)
	if err != nil {
		return nil, err
	}
	status := &Status{Components: []ComponentStatus{}, Nodes: []NodeStatus{}}
	if !c.Exists() {
		for _, name := range Components {
			status.Components = append(status.Components, ComponentStatus{Name: name})
		}
		return status, nil
	}
	if c.Config, err = config.Load(c.path(fileConfig)); err != nil {
		return nil, err
	}
	status.Server, status.Kubeconfig, status.Healthy = c.Server(), c.Kubeconfig(), true
	for _, comp := range c.components() {
		process := c.state.Processes[comp.name]
		line := ComponentStatus{Name: comp.name, Running: process.Alive(), Ready: c.healthy(comp), Port: comp.port}
		if line.Running {
			line.PID = process.PID
		}
		status.APIReady = status.APIReady || comp.name == apiServer && line.Ready
		status.Healthy = status.Healthy && line.Ready
		status.Components = append(status.Components, line)
	}
	if !status.APIReady {
		return status, nil
	}
	return status, c.nodeStatus(ctx, status)
}

func (c *Cluster) nodeStatus(ctx context.Context, status *Status) error {
	client, err := c.client()
	if err != nil {
		return err
	}
	list, err := client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	for i := range list.Items {
		node := &list.Items[i]
		line := NodeStatus{
			Name:  node.Name,
			Pool:  node.Labels[labelPool],
			Zone:  node.Labels["topology.kubernetes.io/zone"],
			Ready: nodeUsable(node),
		}
		status.Healthy = status.Healthy && line.Ready
		status.Nodes = append(status.Nodes, line)
	}
	return nil
}

// CopyLog writes a component's log, and with follow what is added to it, until ctx ends.
func CopyLog(ctx context.Context, dir, name string, follow bool, out io.Writer) error {
	c, err := Open(dir)
	if err != nil {
		return err
	}
	if !slices.Contains(append([]string{"audit"}, Components...), name) {
		return fmt.Errorf("there is no log of %q; there are: audit, %v", name, Components)
	}
	file, err := os.Open(c.Log(name))
	if err != nil {
		return fmt.Errorf("no log of %s: %w", name, err)
	}
	defer file.Close()
	for {
		if _, err := io.Copy(out, file); err != nil {
			return err
		}
		if !follow {
			return nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(200 * time.Millisecond):
		}
	}
}
