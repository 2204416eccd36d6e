package cluster

import (
	"crypto/rand"
	_ "embed"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"strings"

	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	nodefast "sigs.k8s.io/kwok/kustomize/stage/node/fast"
	nodeheartbeat "sigs.k8s.io/kwok/kustomize/stage/node/heartbeat-with-lease"
	podfast "sigs.k8s.io/kwok/kustomize/stage/pod/fast"
	"sigs.k8s.io/yaml"

	"github.com/aegis/infra/tools/devcluster/internal/pki"
)

// Files in the state directory.
const (
	fileConfig         = "config.yml"
	fileAuthentication = "authentication.yml"
	fileEncryption     = "encryption.yml"
	fileAuditPolicy    = "audit-policy.yml"
	fileStages         = "kwok-stages.yml"
)

// Names of the certificates.
const (
	leafEtcd              = "etcd"
	leafEtcdClient        = "apiserver-etcd-client"
	leafAPIServer         = "apiserver"
	leafFrontProxy        = "front-proxy-client"
	leafControllerServing = "controllers-serving"
	leafAdmin             = "admin"
	leafControllerManager = "controller-manager"
	leafScheduler         = "scheduler"
	leafKwok              = "kwok"
	leafSimulator         = "simulator"
)

// users are the certificates that get a kubeconfig, with their user names.
var users = map[string]string{
	leafAdmin:             "devcluster-admin",
	leafControllerManager: "system:kube-controller-manager",
	leafScheduler:         "system:kube-scheduler",
	leafKwok:              "devcluster-kwok",
	leafSimulator:         "devcluster-simulator",
}

//go:embed audit-policy.yaml
var auditPolicy []byte

// authentication lets nobody in without a name, except to the health endpoints.
const authentication = `apiVersion: apiserver.config.k8s.io/v1
kind: AuthenticationConfiguration
anonymous:
  enabled: true
  conditions:
    - path: /livez
    - path: /readyz
    - path: /healthz
`

// leaves are all certificates of the cluster.
func (c *Cluster) leaves() ([]pki.Leaf, error) {
	serviceIP, err := firstServiceIP(c.Config.ServiceCIDR)
	if err != nil {
		return nil, err
	}
	local := []string{"127.0.0.1", "localhost"}
	apiHosts := append([]string{"kubernetes", "kubernetes.default", "kubernetes.default.svc",
		"kubernetes.default.svc.cluster.local", serviceIP}, local...)
	leaves := []pki.Leaf{
		{Name: leafEtcd, Authority: pki.EtcdCA, CommonName: "etcd", Hosts: local, Server: true, Client: true},
		{Name: leafEtcdClient, Authority: pki.EtcdCA, CommonName: "kube-apiserver", Client: true},
		{Name: leafAPIServer, Authority: pki.ClusterCA, CommonName: "kube-apiserver", Hosts: apiHosts, Server: true},
		{Name: leafFrontProxy, Authority: pki.FrontProxyCA, CommonName: leafFrontProxy, Client: true},
		{Name: leafControllerServing, Authority: pki.ClusterCA, CommonName: leafControllerServing, Hosts: local, Server: true},
	}
	for _, leaf := range []string{leafAdmin, leafControllerManager, leafScheduler, leafKwok, leafSimulator} {
		entry := pki.Leaf{Name: leaf, Authority: pki.ClusterCA, CommonName: users[leaf], Client: true}
		if leaf == leafAdmin {
			entry.Organizations = []string{"system:masters"}
		}
		leaves = append(leaves, entry)
	}
	return leaves, nil
}

func firstServiceIP(cidr string) (string, error) {
	prefix, err := netip.ParsePrefix(cidr)
	if err != nil {
		return "", err
	}
	return prefix.Masked().Addr().Next().String(), nil
}

// writeFiles writes what the components read and returns the names of the changed files.
func (c *Cluster) writeFiles() ([]string, error) {
	var changed []string
	write := func(name string, data []byte) error {
		wrote, err := writeFile(c.path(name), data)
		if wrote {
			changed = append(changed, name)
		}
		return err
	}
	settings, err := yaml.Marshal(c.Config)
	if err != nil {
		return nil, err
	}
	encryption, err := c.encryption()
	if err != nil {
		return nil, err
	}
	contents := []struct {
		name string
		data []byte
	}{
		{fileConfig, settings},
		{fileAuthentication, []byte(authentication)},
		{fileEncryption, encryption},
		{fileAuditPolicy, auditPolicy},
		{fileStages, []byte(stages())},
	}
	for _, file := range contents {
		if err := write(file.name, file.data); err != nil {
			return nil, err
		}
	}
	for leaf, user := range users {
		data, err := c.kubeconfig(leaf, user)
		if err != nil {
			return nil, err
		}
		name := "kubeconfigs/" + leaf
		if leaf == leafAdmin {
			name = "kubeconfig"
		}
		if err := write(name, data); err != nil {
			return nil, err
		}
	}
	return changed, nil
}

// stages tell KWOK how nodes and pods live; all of them come with KWOK.
func stages() string {
	return strings.Join([]string{
		nodefast.DefaultNodeInit,
		nodeheartbeat.DefaultNodeHeartbeatWithLease,
		podfast.DefaultPodReady,
		podfast.DefaultPodComplete,
		podfast.DefaultPodDelete,
	}, "\n---\n")
}

// encryption keeps the key of an existing cluster: without it its Secrets could not be read any more.
func (c *Cluster) encryption() ([]byte, error) {
	old, err := os.ReadFile(c.path(fileEncryption))
	if err == nil {
		return old, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	key := make([]byte, 32)
	if _, err := rand.Read(key); err != nil {
		return nil, err
	}
	return fmt.Appendf(nil, `apiVersion: apiserver.config.k8s.io/v1
kind: EncryptionConfiguration
resources:
  - resources: [secrets]
    providers:
      - secretbox:
          keys:
            - {name: key1, secret: %s}
      - identity: {}
`, base64.StdEncoding.EncodeToString(key)), nil
}

func (c *Cluster) userKubeconfig(leaf string) string { return c.path("kubeconfigs", leaf) }

// kubeconfig has everything inside, so that it can be copied.
func (c *Cluster) kubeconfig(leaf, user string) ([]byte, error) {
	store := c.pki()
	read := map[string][]byte{}
	for _, path := range []string{store.Certificate(pki.ClusterCA), store.Certificate(leaf), store.Key(leaf)} {
		data, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		read[path] = data
	}
	name := c.Config.Name
	return clientcmd.Write(clientcmdapi.Config{
		CurrentContext: name,
		Clusters: map[string]*clientcmdapi.Cluster{name: {
			Server:                   c.Server(),
			CertificateAuthorityData: read[store.Certificate(pki.ClusterCA)],
		}},
		AuthInfos: map[string]*clientcmdapi.AuthInfo{user: {
			ClientCertificateData: read[store.Certificate(leaf)],
			ClientKeyData:         read[store.Key(leaf)],
		}},
		Contexts: map[string]*clientcmdapi.Context{name: {Cluster: name, AuthInfo: user}},
	})
}
