package cluster

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/aegis/infra/tools/devcluster/internal/config"
)

// sleeper starts a process that this test may end.
func sleeper(t *testing.T) Process {
	t.Helper()
	program, err := exec.LookPath("sleep")
	if err != nil {
		t.Skip(err)
	}
	process, err := spawn(program, []string{"60"}, nil, filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = process.Stop(true, 0) })
	return process
}

func TestReusedPIDIsNotOurs(t *testing.T) {
	process := sleeper(t)
	if !process.Alive() {
		t.Fatal("the process does not run")
	}
	stranger := process
	stranger.StartTime++
	if stranger.Alive() {
		t.Error("a process with another start time passes for ours")
	}
	stranger.Signal(syscall.SIGKILL)
	if err := stranger.Stop(true, 0); err != nil {
		t.Error(err)
	}
	time.Sleep(50 * time.Millisecond)
	if !process.Alive() {
		t.Fatal("a signal reached a process that is not ours")
	}
	earlier := process
	earlier.Boot = "another boot"
	if earlier.Alive() {
		t.Error("a process of an earlier boot passes for ours")
	}
	if err := process.Stop(false, time.Second); err != nil || process.Alive() {
		t.Errorf("the process was not stopped: %v", err)
	}
}

func TestPortsAreRememberedUntilTaken(t *testing.T) {
	dir := t.TempDir()
	c, err := OpenLocked(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if changed, err := c.choosePorts(); err != nil || !changed {
		t.Fatalf("changed %t, %v", changed, err)
	}
	if err := c.save(); err != nil {
		t.Fatal(err)
	}
	again, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	if changed, _ := again.choosePorts(); changed {
		t.Error("free ports were chosen again")
	}

	taken := again.state.Ports[portAPIServer]
	listener, err := listen(taken)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	// While our own API server runs, the listener is its own.
	again.state.Processes[apiServer] = sleeper(t)
	if changed, _ := again.choosePorts(); changed {
		t.Error("the port of a running component was changed")
	}
	delete(again.state.Processes, apiServer)
	if changed, _ := again.choosePorts(); !changed || again.state.Ports[portAPIServer] == taken {
		t.Error("a taken port was kept")
	}
	if c.state.Ports[portScheduler] != again.state.Ports[portScheduler] {
		t.Error("a free port was changed too")
	}
}

func TestDownKeepsForeignFolders(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "thesis.txt")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Down(dir); err == nil || !strings.Contains(err.Error(), "nothing was removed") {
		t.Errorf("got %v", err)
	}
	if _, err := os.Stat(file); err != nil {
		t.Error(err)
	}
}

func TestTaintsOfOthersStay(t *testing.T) {
	ours := corev1.Taint{Key: "role", Value: "a", Effect: corev1.TaintEffectNoSchedule}
	cordon := corev1.Taint{Key: corev1.TaintNodeUnschedulable, Effect: corev1.TaintEffectNoSchedule}
	if got := mergeTaints([]corev1.Taint{ours, cordon}, []corev1.Taint{ours}, nil); !slices.Equal(got, []corev1.Taint{cordon}) {
		t.Errorf("got %v", got)
	}
	changed := ours
	changed.Value = "b"
	if got := mergeTaints([]corev1.Taint{ours, cordon}, []corev1.Taint{ours}, []corev1.Taint{changed}); !slices.Equal(got, []corev1.Taint{changed, cordon}) {
		t.Errorf("got %v", got)
	}
}

func TestNodesAreSpreadOverZones(t *testing.T) {
	c := &Cluster{Config: &config.Config{Region: "r", Zones: []string{"a", "b"}, NodePools: []config.NodePool{
		{Name: "data", Count: 3, CPU: "2", Memory: "4Gi", Storage: "50Gi", Labels: map[string]string{"tier": "x"}},
	}}}
	nodes := c.desiredNodes("v1.0.0")
	for name, zone := range map[string]string{"data-0": "a", "data-1": "b", "data-2": "a"} {
		node := nodes[name]
		if node == nil || node.Labels[corev1.LabelTopologyZone] != zone || node.Labels["tier"] != "x" {
			t.Errorf("%s: %v", name, node)
		}
	}
}
