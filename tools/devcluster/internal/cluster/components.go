package cluster

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/aegis/infra/tools/devcluster/internal/pki"
)

// Names of the components, in the order they are started.
const (
	etcd              = "etcd"
	apiServer         = "kube-apiserver"
	controllerManager = "kube-controller-manager"
	scheduler         = "kube-scheduler"
	kwok              = "kwok"
	simulator         = "simulator"
)

// Components are all components, in the order they are started.
var Components = []string{etcd, apiServer, controllerManager, scheduler, kwok, simulator}

// component is how one process is started and asked whether it is ready.
type component struct {
	name string
	args []string
	// files are read by the process at its start, so a change of one needs a restart.
	files []string
	// port is shown in the status; 0 when the process does not listen.
	port int
	// health is the URL that answers 200 when the process is ready; empty when running is enough.
	health string
	// client and authority name the certificates for asking health.
	client, authority string
	environment       []string
}

// components describes all processes of this cluster.
func (c *Cluster) components() []component {
	return []component{c.etcd(), c.apiServer(), c.controllerManager(), c.scheduler(), c.kwok(), c.simulator()}
}

func (c *Cluster) component(name string) (component, error) {
	if !slices.Contains(Components, name) {
		return component{}, fmt.Errorf("there is no component %q; there are: %s", name, strings.Join(Components, ", "))
	}
	return c.components()[slices.Index(Components, name)], nil
}

func (c *Cluster) pki() *pki.Store { return &pki.Store{Dir: c.path("pki"), Now: time.Now} }

func (c *Cluster) url(port string) string {
	return fmt.Sprintf("https://127.0.0.1:%d", c.state.Ports[port])
}

func (c *Cluster) etcd() component {
	store := c.pki()
	client, peer := c.url(portEtcdClient), c.url(portEtcdPeer)
	return component{
		name: etcd,
		port: c.state.Ports[portEtcdClient],
		args: []string{
			"--name=devcluster",
			"--data-dir=" + c.path("etcd"),
			"--listen-client-urls=" + client,
			"--advertise-client-urls=" + client,
			"--listen-peer-urls=" + peer,
			"--initial-advertise-peer-urls=" + peer,
			"--initial-cluster=devcluster=" + peer,
			"--client-cert-auth",
			"--trusted-ca-file=" + store.Certificate(pki.EtcdCA),
			"--cert-file=" + store.Certificate(leafEtcd),
			"--key-file=" + store.Key(leafEtcd),
			"--peer-client-cert-auth",
			"--peer-trusted-ca-file=" + store.Certificate(pki.EtcdCA),
			"--peer-cert-file=" + store.Certificate(leafEtcd),
			"--peer-key-file=" + store.Key(leafEtcd),
			"--log-level=warn",
		},
		files:     []string{store.Certificate(pki.EtcdCA), store.Certificate(leafEtcd)},
		health:    client + "/health",
		client:    leafEtcdClient,
		authority: pki.EtcdCA,
	}
}

func (c *Cluster) apiServer() component {
	store := c.pki()
	return component{
		name: apiServer,
		port: c.state.Ports[portAPIServer],
		args: []string{
			"--bind-address=127.0.0.1",
			"--advertise-address=127.0.0.1",
			fmt.Sprintf("--secure-port=%d", c.state.Ports[portAPIServer]),
			// The address is a loopback address, which cannot be published as an endpoint.
			"--endpoint-reconciler-type=none",
			"--service-cluster-ip-range=" + c.Config.ServiceCIDR,
			"--etcd-servers=" + c.url(portEtcdClient),
			"--etcd-cafile=" + store.Certificate(pki.EtcdCA),
			"--etcd-certfile=" + store.Certificate(leafEtcdClient),
			"--etcd-keyfile=" + store.Key(leafEtcdClient),
			"--tls-cert-file=" + store.Certificate(leafAPIServer),
			"--tls-private-key-file=" + store.Key(leafAPIServer),
			"--client-ca-file=" + store.Certificate(pki.ClusterCA),
			"--requestheader-client-ca-file=" + store.Certificate(pki.FrontProxyCA),
			"--requestheader-allowed-names=" + leafFrontProxy,
			"--requestheader-username-headers=X-Remote-User",
			"--requestheader-group-headers=X-Remote-Group",
			"--requestheader-extra-headers-prefix=X-Remote-Extra-",
			"--proxy-client-cert-file=" + store.Certificate(leafFrontProxy),
			"--proxy-client-key-file=" + store.Key(leafFrontProxy),
			"--service-account-issuer=https://kubernetes.default.svc.cluster.local",
			"--service-account-key-file=" + store.Key(pki.ServiceAccountKey),
			"--service-account-signing-key-file=" + store.Key(pki.ServiceAccountKey),
			"--authentication-config=" + c.path(fileAuthentication),
			"--authorization-mode=Node,RBAC",
			"--enable-admission-plugins=NodeRestriction",
			"--encryption-provider-config=" + c.path(fileEncryption),
			"--audit-policy-file=" + c.path(fileAuditPolicy),
			"--audit-log-path=" + c.path("logs", "audit.log"),
			"--audit-log-maxsize=50",
			"--audit-log-maxbackup=2",
			"--audit-log-maxage=7",
			"--profiling=false",
			"--shutdown-delay-duration=0s",
		},
		files: []string{
			store.Certificate(pki.ClusterCA), store.Certificate(pki.EtcdCA), store.Certificate(pki.FrontProxyCA),
			store.Certificate(leafAPIServer), store.Certificate(leafEtcdClient), store.Certificate(leafFrontProxy),
			store.Key(pki.ServiceAccountKey),
			c.path(fileAuthentication), c.path(fileEncryption), c.path(fileAuditPolicy),
		},
		health:    c.Server() + "/readyz",
		client:    leafAdmin,
		authority: pki.ClusterCA,
	}
}

// kubeconfigFlags are the three kubeconfig flags the controller manager and the scheduler share.
func (c *Cluster) kubeconfigFlags(leaf string) []string {
	file := c.userKubeconfig(leaf)
	return []string{"--kubeconfig=" + file, "--authentication-kubeconfig=" + file, "--authorization-kubeconfig=" + file}
}

// controller describes the controller manager or the scheduler with the flags they share.
func (c *Cluster) controller(name, port, leaf string, args ...string) component {
	store := c.pki()
	return component{
		name: name,
		port: c.state.Ports[port],
		args: slices.Concat([]string{
			"--bind-address=127.0.0.1",
			fmt.Sprintf("--secure-port=%d", c.state.Ports[port]),
			"--tls-cert-file=" + store.Certificate(leafControllerServing),
			"--tls-private-key-file=" + store.Key(leafControllerServing),
			"--leader-elect=false",
			"--profiling=false",
		}, c.kubeconfigFlags(leaf), args),
		files:     []string{c.userKubeconfig(leaf), store.Certificate(leafControllerServing)},
		health:    c.url(port) + "/healthz",
		authority: pki.ClusterCA,
	}
}

func (c *Cluster) controllerManager() component {
	store := c.pki()
	return c.controller(controllerManager, portControllerManager, leafControllerManager,
		"--cluster-name="+c.Config.Name,
		"--cluster-cidr="+c.Config.PodCIDR,
		"--service-cluster-ip-range="+c.Config.ServiceCIDR,
		"--allocate-node-cidrs=false",
		"--use-service-account-credentials",
		"--root-ca-file="+store.Certificate(pki.ClusterCA),
		"--service-account-private-key-file="+store.Key(pki.ServiceAccountKey),
		"--cluster-signing-cert-file="+store.Certificate(pki.ClusterCA),
		"--cluster-signing-key-file="+store.Key(pki.ClusterCA),
	)
}

func (c *Cluster) scheduler() component {
	return c.controller(scheduler, portScheduler, leafScheduler)
}

func (c *Cluster) kwok() component {
	return component{
		name: kwok,
		args: []string{
			"--kubeconfig=" + c.userKubeconfig(leafKwok),
			"--config=" + c.path(fileStages),
			"--manage-all-nodes=false",
			"--manage-nodes-with-annotation-selector=" + annotationNode + "=fake",
			"--cidr=" + c.Config.PodCIDR,
			"--node-lease-duration-seconds=40",
		},
		files: []string{c.userKubeconfig(leafKwok), c.path(fileStages)},
		// Without its own folder it would read and write one in the user's home.
		environment: []string{"KWOK_WORKDIR=" + c.path("kwok")},
	}
}

// simulator is not restarted for a change of the configuration or the rules: it follows both itself.
func (c *Cluster) simulator() component {
	return component{
		name:  simulator,
		args:  []string{"--kubeconfig=" + c.userKubeconfig(leafSimulator), "--config=" + c.path(fileConfig)},
		files: []string{c.userKubeconfig(leafSimulator)},
	}
}

// fingerprint changes when the process has to be restarted.
func (c *Cluster) fingerprint(comp component, program string) string {
	hash := sha256.New()
	fmt.Fprintln(hash, program, comp.args, comp.environment)
	for _, file := range comp.files {
		data, _ := os.ReadFile(file)
		fmt.Fprintln(hash, file, len(data))
		hash.Write(data)
	}
	return hex.EncodeToString(hash.Sum(nil))[:16]
}

// start runs a component. The caller waits for it to be ready.
func (c *Cluster) start(ctx context.Context, comp component) error {
	if comp.name == kwok {
		c.releaseNodes(ctx)
	}
	program, err := os.Executable()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(c.path("logs"), 0o700); err != nil {
		return err
	}
	args := append([]string{"component", comp.name}, comp.args...)
	process, err := spawn(program, args, comp.environment, c.Log(comp.name))
	if err != nil {
		return c.componentError(comp.name, "did not start: "+err.Error())
	}
	process.Fingerprint = c.fingerprint(comp, program)
	c.state.Processes[comp.name] = process
	return c.save()
}

// healthy asks a component once whether it is ready.
func (c *Cluster) healthy(comp component) bool {
	if !c.state.Processes[comp.name].Alive() {
		return false
	}
	if comp.health == "" {
		return true
	}
	client, err := c.httpClient(comp)
	if err != nil {
		return false
	}
	defer client.CloseIdleConnections()
	response, err := client.Get(comp.health)
	if err != nil {
		return false
	}
	response.Body.Close()
	return response.StatusCode == http.StatusOK
}

// httpClient trusts the component's authority and shows the client certificate it asks for.
func (c *Cluster) httpClient(comp component) (*http.Client, error) {
	store := c.pki()
	pool := x509.NewCertPool()
	authority, err := os.ReadFile(store.Certificate(comp.authority))
	if err != nil {
		return nil, err
	}
	pool.AppendCertsFromPEM(authority)
	settings := &tls.Config{RootCAs: pool}
	if comp.client != "" {
		pair, err := tls.LoadX509KeyPair(store.Certificate(comp.client), store.Key(comp.client))
		if err != nil {
			return nil, err
		}
		settings.Certificates = []tls.Certificate{pair}
	}
	return &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{TLSClientConfig: settings}}, nil
}

// waitHealthy waits until the component is ready, and fails at once when its process ends.
func (c *Cluster) waitHealthy(ctx context.Context, comp component) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for {
		if !c.state.Processes[comp.name].Alive() {
			return c.componentError(comp.name, "ended while starting")
		}
		if c.healthy(comp) {
			return nil
		}
		select {
		case <-ctx.Done():
			return c.componentError(comp.name, fmt.Sprintf("was not ready within %s", startTimeout))
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// componentError says what is wrong with a component, what it last wrote, and what to do.
func (c *Cluster) componentError(name, problem string) error {
	return fmt.Errorf("%s %s\nthe last lines of %s:\n%s\nfix the cause and run `devcluster up` again; `devcluster down` starts over without the data",
		name, problem, c.Log(name), tail(c.Log(name), 15))
}
