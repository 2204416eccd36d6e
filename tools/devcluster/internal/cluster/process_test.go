package cluster

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

func TestAProcessWhosePidWasGivenAwayIsNeverSignalled(t *testing.T) {
	stranger := exec.Command("sleep", "60")
	if err := stranger.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = stranger.Process.Kill(); _ = stranger.Wait() }()
	stale := Process{PID: stranger.Process.Pid}
	if stale.Alive() {
		t.Error("a pid with another start time counts as ours")
	}
	stale.Signal(syscall.SIGKILL)
	if err := stale.Stop(true, time.Second); err != nil {
		t.Error(err)
	}
	if err := stranger.Process.Signal(syscall.Signal(0)); err != nil {
		t.Errorf("the stranger was ended: %v", err)
	}
}

func TestAStartedProcessIsStopped(t *testing.T) {
	process, err := spawn("/bin/sleep", []string{"60"}, os.Environ(), filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	if !process.Alive() {
		t.Fatal("it does not run")
	}
	if err := process.Stop(false, 5*time.Second); err != nil {
		t.Fatal(err)
	}
	if process.Alive() {
		t.Error("it still runs")
	}
}

func TestPortsStayOutOfTheRangeOfOutgoingConnections(t *testing.T) {
	for range 20 {
		listener, err := listenAnywhere()
		if err != nil {
			t.Fatal(err)
		}
		port := listener.Addr().(*net.TCPAddr).Port
		listener.Close()
		if port < firstPort || port >= lastPort {
			t.Errorf("port %d", port)
		}
	}
}
