package cluster

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"syscall"

	"github.com/aegis/infra/tools/devcluster/internal/config"
)

const stateFile = "state.json"

// State is what the cluster remembers between two commands.
type State struct {
	// Ports by purpose, chosen once.
	Ports map[string]int `json:"ports"`
	// Processes by component name.
	Processes map[string]Process `json:"processes"`
}

// Cluster is one state directory, locked while it is changed.
type Cluster struct {
	Dir    string
	Config *config.Config
	state  State
	lock   *os.File
}

// Open reads the state directory without locking it.
func Open(dir string) (*Cluster, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	c := &Cluster{Dir: dir, state: State{Ports: map[string]int{}, Processes: map[string]Process{}}}
	data, err := os.ReadFile(c.path(stateFile))
	if errors.Is(err, fs.ErrNotExist) {
		return c, nil
	}
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(data, &c.state); err != nil {
		return nil, fmt.Errorf("%s cannot be read (%w); `devcluster down` removes the cluster", c.path(stateFile), err)
	}
	return c, nil
}

// OpenLocked creates the directory where it is missing, waits for its lock and reads the state.
func OpenLocked(dir string) (*Cluster, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	lock, err := lockDir(dir)
	if err != nil {
		return nil, err
	}
	c, err := Open(dir)
	if err != nil {
		lock.Close()
		return nil, err
	}
	c.lock = lock
	return c, nil
}

// lockDir takes the lock of dir. The loop is for a holder that removed the directory while we waited.
func lockDir(dir string) (*os.File, error) {
	path := filepath.Join(dir, "lock")
	for {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, err
		}
		file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX); err != nil {
			file.Close()
			return nil, fmt.Errorf("cannot lock %s: %w", path, err)
		}
		held, err := file.Stat()
		if err != nil {
			file.Close()
			return nil, err
		}
		if current, err := os.Stat(path); err == nil && os.SameFile(held, current) {
			return file, nil
		}
		file.Close()
	}
}

// Close gives the lock back.
func (c *Cluster) Close() {
	if c.lock != nil {
		c.lock.Close()
	}
}

// Exists tells whether the directory holds a cluster.
func (c *Cluster) Exists() bool {
	_, err := os.Stat(c.path(stateFile))
	return err == nil
}

func (c *Cluster) path(parts ...string) string {
	return filepath.Join(append([]string{c.Dir}, parts...)...)
}

// Kubeconfig is the administrator's kubeconfig.
func (c *Cluster) Kubeconfig() string { return c.path("kubeconfig") }

// Server is the URL of the API server.
func (c *Cluster) Server() string {
	return fmt.Sprintf("https://127.0.0.1:%d", c.state.Ports[portAPIServer])
}

// Log is the log file of a component.
func (c *Cluster) Log(component string) string { return c.path("logs", component+".log") }

func (c *Cluster) save() error {
	data, err := json.MarshalIndent(c.state, "", "  ")
	if err != nil {
		return err
	}
	_, err = writeFile(c.path(stateFile), append(data, '\n'))
	return err
}

// writeFile replaces a file in one step, only when its content differs, and tells whether it did.
func writeFile(path string, data []byte) (bool, error) {
	if old, err := os.ReadFile(path); err == nil && string(old) == string(data) {
		return false, nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return false, err
	}
	temporary := path + ".tmp"
	if err := os.WriteFile(temporary, data, 0o600); err != nil {
		return false, err
	}
	return true, os.Rename(temporary, path)
}

// Names of the ports in the state.
const (
	portEtcdClient        = "etcd-client"
	portEtcdPeer          = "etcd-peer"
	portAPIServer         = "kube-apiserver"
	portControllerManager = "kube-controller-manager"
	portScheduler         = "kube-scheduler"
)

// portOwner says which component listens on a port.
var portOwner = map[string]string{
	portEtcdClient:        etcd,
	portEtcdPeer:          etcd,
	portAPIServer:         apiServer,
	portControllerManager: controllerManager,
	portScheduler:         scheduler,
}

// choosePorts keeps each remembered port unless another process took it while our component was not
// running. It reports whether any port changed.
func (c *Cluster) choosePorts() (bool, error) {
	changed := false
	// Listeners stay open until all are chosen, so that no port is given out twice.
	var open []net.Listener
	defer func() {
		for _, listener := range open {
			listener.Close()
		}
	}()
	for purpose, owner := range portOwner {
		port := c.state.Ports[purpose]
		if port != 0 {
			if c.state.Processes[owner].Alive() {
				continue
			}
			if listener, err := listen(port); err == nil {
				open = append(open, listener)
				continue
			}
		}
		listener, err := listenAnywhere()
		if err != nil {
			return false, err
		}
		open = append(open, listener)
		c.state.Ports[purpose] = listener.Addr().(*net.TCPAddr).Port
		changed = true
	}
	return changed, nil
}

// Ports are taken from below the range that the kernel gives to outgoing connections (32768 and up on Linux): a
// client that keeps trying to reach a restarting server could otherwise be given the server's own port, connect to
// itself, and keep the server from listening again.
const (
	firstPort    = 20000
	lastPort     = 32000
	portAttempts = 200
)

// listenAnywhere listens on a free port.
func listenAnywhere() (net.Listener, error) {
	var last error
	for range portAttempts {
		listener, err := listen(firstPort + rand.IntN(lastPort-firstPort))
		if err == nil {
			return listener, nil
		}
		last = err
	}
	return nil, fmt.Errorf("no free port on 127.0.0.1 from %d to %d: %w", firstPort, lastPort, last)
}

func listen(port int) (net.Listener, error) {
	return net.Listen("tcp4", fmt.Sprintf("127.0.0.1:%d", port))
}
