// Package cluster runs a Kubernetes control plane as local processes that keep everything in one directory.
package cluster

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"k8s.io/component-base/version"

	"github.com/aegis/infra/tools/devcluster/internal/config"
	rules "github.com/aegis/infra/tools/devcluster/internal/simulator"
)

const (
	// startTimeout is how long a component may take to be ready, on a slow and busy machine.
	startTimeout = 2 * time.Minute
	// answerTimeout is how long a running component may stay silent before it is restarted.
	answerTimeout = 10 * time.Second
	stopGrace     = 4 * time.Second
)

// Result is what a changing command prints.
type Result struct {
	Changed           bool     `json:"changed"`
	Actions           []string `json:"actions"`
	Kubeconfig        string   `json:"kubeconfig,omitempty"`
	Server            string   `json:"server,omitempty"`
	KubernetesVersion string   `json:"kubernetes_version,omitempty"`
}

// changes collects what is done, or with dryRun what would be done.
type changes struct {
	dryRun  bool
	report  func(string)
	actions []string
}

// change runs one step, unless nothing is to be changed, and notes it.
func (d *changes) change(action string, step func() error) error {
	if !d.dryRun {
		if err := step(); err != nil {
			return fmt.Errorf("%s: failed: %w", action, err)
		}
	}
	d.note(action)
	return nil
}

func (d *changes) note(action string) {
	d.actions = append(d.actions, action)
	d.report(action)
}

// LinkedVersion is the Kubernetes version inside this program, such as 1.36.3.
func LinkedVersion() string { return strings.TrimPrefix(version.Get().GitVersion, "v") }

// Up makes the cluster in dir equal to the configuration. With dryRun it only says what it would do.
func Up(ctx context.Context, dir string, settings *config.Config, dryRun bool, report func(string)) (*Result, error) {
	if settings.KubernetesVersion != LinkedVersion() {
		return nil, fmt.Errorf("kubernetes_version %s is not available; this program has: %s", settings.KubernetesVersion, LinkedVersion())
	}
	// A mistake in a rule is told now, not in the simulator's log.
	if _, err := rules.LoadRules(settings.Simulation); err != nil {
		return nil, err
	}
	open := OpenLocked
	if dryRun {
		open = Open
	}
	c, err := open(dir)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	c.Config = settings
	do := &changes{dryRun: dryRun, report: report, actions: []string{}}
	if err := c.up(ctx, do); err != nil {
		return nil, err
	}
	return c.result(do), nil
}

func (c *Cluster) result(do *changes) *Result {
	result := &Result{
		Changed:           len(do.actions) > 0,
		Actions:           do.actions,
		Kubeconfig:        c.Kubeconfig(),
		KubernetesVersion: LinkedVersion(),
	}
	if c.state.Ports[portAPIServer] != 0 {
		result.Server = c.Server()
	}
	return result
}

func (c *Cluster) up(ctx context.Context, do *changes) error {
	if do.dryRun {
		return c.plan(ctx, do)
	}
	if err := c.prepare(do); err != nil {
		return err
	}
	if err := c.ensureProcesses(ctx, do); err != nil {
		return err
	}
	if err := c.ensureResources(ctx, do); err != nil {
		return err
	}
	// Those without a health endpoint may have ended since their start.
	for _, comp := range c.components() {
		if !c.state.Processes[comp.name].Alive() {
			return c.componentError(comp.name, "ended after its start")
		}
	}
	return nil
}

// prepare writes ports, certificates and files.
func (c *Cluster) prepare(do *changes) error {
	if err := os.Chmod(c.Dir, 0o700); err != nil {
		return err
	}
	if err := c.checkServiceCIDR(); err != nil {
		return err
	}
	changed, err := c.choosePorts()
	if err != nil {
		return err
	}
	if changed {
		do.note("chose ports")
	}
	if err := c.save(); err != nil {
		return err
	}
	leaves, err := c.leaves()
	if err != nil {
		return err
	}
	made, err := c.pki().Ensure(leaves, false)
	if err != nil {
		return fmt.Errorf("cannot make the certificates in %s: %w", c.path("pki"), err)
	}
	if len(made) > 0 {
		do.note("made certificates " + strings.Join(made, ", "))
	}
	files, err := c.writeFiles()
	if err != nil {
		return err
	}
	if len(files) > 0 {
		slices.Sort(files)
		do.note("wrote " + strings.Join(files, ", "))
	}
	return nil
}

// checkServiceCIDR refuses a change the API server would not survive: addresses already given out stay.
func (c *Cluster) checkServiceCIDR() error {
	old, err := config.Load(c.path(fileConfig))
	if err == nil && old.ServiceCIDR != c.Config.ServiceCIDR {
		return fmt.Errorf("service_cidr of a running cluster cannot change from %s to %s; `devcluster down` first", old.ServiceCIDR, c.Config.ServiceCIDR)
	}
	return nil
}

// plan says what up would do.
func (c *Cluster) plan(ctx context.Context, do *changes) error {
	leaves, err := c.leaves()
	if err != nil {
		return err
	}
	made, err := c.pki().Ensure(leaves, true)
	if err != nil {
		return err
	}
	if len(made) > 0 {
		do.note("made certificates " + strings.Join(made, ", "))
	}
	if c.Exists() {
		if err := c.checkServiceCIDR(); err != nil {
			return err
		}
	}
	if c.configChanged() {
		do.note("wrote " + fileConfig)
	}
	program, err := os.Executable()
	if err != nil {
		return err
	}
	for _, comp := range c.components() {
		switch process := c.state.Processes[comp.name]; {
		case !process.Alive():
			do.note("started " + comp.name)
		case process.Fingerprint != c.fingerprint(comp, program):
			do.note("restarted " + comp.name)
		}
	}
	if c.state.Ports[portAPIServer] != 0 && c.healthy(c.apiServer()) {
		return c.ensureResources(ctx, do)
	}
	if !c.Exists() {
		c.planResources(do)
	}
	return nil
}

func (c *Cluster) configChanged() bool {
	old, err := config.Load(c.path(fileConfig))
	return err != nil || !equalJSON(old, c.Config)
}

// planResources lists what a new cluster gets.
func (c *Cluster) planResources(do *changes) {
	do.note("created ClusterRoleBinding " + bindingName)
	for _, class := range c.Config.StorageClasses {
		do.note("created StorageClass " + class.Name)
	}
	for _, pool := range c.Config.NodePools {
		for i := range pool.Count {
			do.note(fmt.Sprintf("added node %s-%d", pool.Name, i))
		}
	}
}

// ensureProcesses starts what does not run and restarts what runs with old settings or does not answer.
func (c *Cluster) ensureProcesses(ctx context.Context, do *changes) error {
	stopped, err := c.stopStale()
	if err != nil {
		return err
	}
	// The API server gives up when it finds no etcd, and the others when they find no API server.
	for _, name := range []string{etcd, apiServer} {
		if err := c.ensureStarted(ctx, do, stopped, name); err != nil {
			return err
		}
	}
	client, err := c.client()
	if err != nil {
		return err
	}
	// KWOK and the simulator can do nothing without it.
	if err := ensureRights(ctx, client, do); err != nil {
		return err
	}
	return c.ensureStarted(ctx, do, stopped, controllerManager, scheduler, kwok, simulator)
}

// ensureStarted starts those of the components that do not run and waits until they are ready.
func (c *Cluster) ensureStarted(ctx context.Context, do *changes, stopped map[string]bool, names ...string) error {
	var started []component
	for _, comp := range c.components() {
		if !slices.Contains(names, comp.name) {
			continue
		}
		action, err := c.ensureRunning(ctx, comp)
		if err != nil {
			return err
		}
		switch {
		case action == "":
			continue
		case stopped[comp.name]:
			action = "restarted"
		}
		do.note(action + " " + comp.name)
		started = append(started, comp)
	}
	for _, comp := range started {
		if err := c.waitHealthy(ctx, comp); err != nil {
			return err
		}
	}
	return nil
}

// ensureRunning returns "started", "restarted" for a process that did not answer, or "" for a good one.
func (c *Cluster) ensureRunning(ctx context.Context, comp component) (string, error) {
	process := c.state.Processes[comp.name]
	if !process.Alive() {
		return "started", c.start(ctx, comp)
	}
	if c.answers(comp) {
		return "", nil
	}
	if err := process.Stop(false, stopGrace); err != nil {
		return "", fmt.Errorf("%s: %w", comp.name, err)
	}
	return "restarted", c.start(ctx, comp)
}

// stopStale stops the processes that run with old settings, those that use others first, as an open connection
// holds up the end of the one it leads to.
func (c *Cluster) stopStale() (map[string]bool, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	stopped := map[string]bool{}
	for _, comp := range slices.Backward(c.components()) {
		process := c.state.Processes[comp.name]
		if !process.Alive() || process.Fingerprint == c.fingerprint(comp, program) {
			continue
		}
		if err := process.Stop(false, stopGrace); err != nil {
			return nil, fmt.Errorf("%s: %w", comp.name, err)
		}
		stopped[comp.name] = true
	}
	return stopped, nil
}

// answers gives a running component some time, as it may just be starting.
func (c *Cluster) answers(comp component) bool {
	for end := time.Now().Add(answerTimeout); ; time.Sleep(100 * time.Millisecond) {
		if c.healthy(comp) {
			return true
		}
		if !c.state.Processes[comp.name].Alive() || time.Now().After(end) {
			return false
		}
	}
}

// ensureResources makes the objects in the API that belong to the cluster itself.
func (c *Cluster) ensureResources(ctx context.Context, do *changes) error {
	client, err := c.client()
	if err != nil {
		return err
	}
	if err := c.ensureStorage(ctx, client, do); err != nil {
		return err
	}
	if err := c.ensureNodes(ctx, client, version.Get().GitVersion, do); err != nil {
		return err
	}
	if do.dryRun {
		return nil
	}
	return waitNodes(ctx, client)
}
