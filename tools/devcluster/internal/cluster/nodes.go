package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"sort"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"

	"github.com/aegis/infra/tools/devcluster/internal/config"
)

const (
	labelPool = "devcluster.aegis.io/pool"
	// annotationNode marks the nodes KWOK plays.
	annotationNode = "kwok.x-k8s.io/node"
	// annotationApplied remembers the labels and taints this program set, to remove those no longer wanted.
	annotationApplied = "devcluster.aegis.io/applied"
	maxPodsPerNode    = "110"
)

// applied is what this program set on a node besides its status.
type applied struct {
	Labels map[string]string `json:"labels"`
	Taints []config.Taint    `json:"taints,omitempty"`
}

// desiredNodes are the nodes of all pools, by name.
func (c *Cluster) desiredNodes(version string) map[string]*corev1.Node {
	nodes := map[string]*corev1.Node{}
	for poolIndex, pool := range c.Config.NodePools {
		for i := range pool.Count {
			name := fmt.Sprintf("%s-%d", pool.Name, i)
			zone := c.Config.Zones[i%len(c.Config.Zones)]
			// 198.18.0.0/15 is reserved for benchmarks and never routed.
			address := fmt.Sprintf("198.18.%d.%d", poolIndex, i+1)
			nodes[name] = desiredNode(name, zone, c.Config.Region, address, version, pool)
		}
	}
	return nodes
}

func desiredNode(name, zone, region, address, version string, pool config.NodePool) *corev1.Node {
	labels := map[string]string{
		labelPool:                      pool.Name,
		corev1.LabelHostname:           name,
		corev1.LabelOSStable:           "linux",
		corev1.LabelArchStable:         "amd64",
		corev1.LabelTopologyZone:       zone,
		corev1.LabelTopologyRegion:     region,
		corev1.LabelInstanceTypeStable: pool.InstanceType,
	}
	maps.Copy(labels, pool.Labels)
	memory, _ := json.Marshal(applied{Labels: labels, Taints: pool.Taints})
	resources := corev1.ResourceList{
		corev1.ResourceCPU:              resource.MustParse(pool.CPU),
		corev1.ResourceMemory:           resource.MustParse(pool.Memory),
		corev1.ResourceEphemeralStorage: resource.MustParse(pool.Storage),
		corev1.ResourcePods:             resource.MustParse(maxPodsPerNode),
	}
	return &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{
			Name:        name,
			Labels:      labels,
			Annotations: map[string]string{annotationNode: "fake", annotationApplied: string(memory)},
		},
		Spec: corev1.NodeSpec{Taints: taints(pool.Taints)},
		Status: corev1.NodeStatus{
			Capacity:    resources,
			Allocatable: resources,
			Addresses: []corev1.NodeAddress{
				{Type: corev1.NodeInternalIP, Address: address},
				{Type: corev1.NodeHostName, Address: name},
			},
			NodeInfo: corev1.NodeSystemInfo{
				Architecture: "amd64", OperatingSystem: "linux", OSImage: "simulated",
				KubeletVersion: version, ContainerRuntimeVersion: "kwok://simulated",
			},
		},
	}
}

func taints(from []config.Taint) []corev1.Taint {
	var list []corev1.Taint
	for _, taint := range from {
		list = append(list, corev1.Taint{Key: taint.Key, Value: taint.Value, Effect: taint.Effect})
	}
	return list
}

// ensureNodes makes the nodes equal to the pools of the configuration.
func (c *Cluster) ensureNodes(ctx context.Context, client kubernetes.Interface, version string, do *changes) error {
	list, err := client.CoreV1().Nodes().List(ctx, metav1.ListOptions{LabelSelector: labelPool})
	if err != nil {
		return err
	}
	desired := c.desiredNodes(version)
	for _, name := range slices.Sorted(maps.Keys(desired)) {
		wanted := desired[name]
		index := slices.IndexFunc(list.Items, func(node corev1.Node) bool { return node.Name == name })
		if index < 0 {
			err = do.change("added node "+name, func() error { return createNode(ctx, client, wanted) })
		} else {
			err = updateNode(ctx, client, &list.Items[index], wanted, do)
		}
		if err != nil {
			return err
		}
	}
	for _, node := range list.Items {
		if desired[node.Name] != nil {
			continue
		}
		err := do.change("removed node "+node.Name, func() error {
			return client.CoreV1().Nodes().Delete(ctx, node.Name, metav1.DeleteOptions{})
		})
		if err != nil && !apierrors.IsNotFound(err) {
			return err
		}
	}
	return nil
}

func createNode(ctx context.Context, client kubernetes.Interface, node *corev1.Node) error {
	_, err := client.CoreV1().Nodes().Create(ctx, node, metav1.CreateOptions{})
	return err
}

// updateNode brings an existing node back to what is wanted and leaves what others put on it.
func updateNode(ctx context.Context, client kubernetes.Interface, current, wanted *corev1.Node, do *changes) error {
	changed := current.DeepCopy()
	var before, after applied
	_ = json.Unmarshal([]byte(current.Annotations[annotationApplied]), &before)
	_ = json.Unmarshal([]byte(wanted.Annotations[annotationApplied]), &after)
	if changed.Annotations == nil {
		changed.Annotations = map[string]string{}
	}
	maps.Copy(changed.Annotations, wanted.Annotations)
	for key := range before.Labels {
		delete(changed.Labels, key)
	}
	maps.Copy(changed.Labels, wanted.Labels)
	changed.Spec.Taints = mergeTaints(current.Spec.Taints, taints(before.Taints), wanted.Spec.Taints)

	if !equalJSON(current.ObjectMeta, changed.ObjectMeta) || !equalJSON(current.Spec, changed.Spec) {
		if err := do.change("updated node "+current.Name, func() error { return patchNode(ctx, client, current, changed) }); err != nil {
			return err
		}
	}
	if equalJSON(current.Status.Capacity, wanted.Status.Capacity) && equalJSON(current.Status.Allocatable, wanted.Status.Allocatable) {
		return nil
	}
	return do.change("resized node "+current.Name, func() error {
		patch, err := json.Marshal(map[string]any{"status": map[string]any{
			"capacity": wanted.Status.Capacity, "allocatable": wanted.Status.Allocatable,
		}})
		if err != nil {
			return err
		}
		_, err = client.CoreV1().Nodes().Patch(ctx, current.Name, types.MergePatchType, patch, metav1.PatchOptions{}, "status")
		return err
	})
}

// patchNode fails on a conflict instead of overwriting taints set meanwhile; the caller's next run repairs that.
func patchNode(ctx context.Context, client kubernetes.Interface, current, changed *corev1.Node) error {
	labels := map[string]any{}
	for key := range current.Labels {
		labels[key] = nil
	}
	for key, value := range changed.Labels {
		labels[key] = value
	}
	patch, err := json.Marshal(map[string]any{
		"metadata": map[string]any{
			"resourceVersion": current.ResourceVersion,
			"labels":          labels,
			"annotations":     changed.Annotations,
		},
		"spec": map[string]any{"taints": changed.Spec.Taints},
	})
	if err != nil {
		return err
	}
	_, err = client.CoreV1().Nodes().Patch(ctx, current.Name, types.MergePatchType, patch, metav1.PatchOptions{})
	return err
}

// mergeTaints replaces the taints set before by the wanted ones, keeping those of others (such as a cordon).
func mergeTaints(current, before, wanted []corev1.Taint) []corev1.Taint {
	var merged []corev1.Taint
	for _, taint := range current {
		same := func(other corev1.Taint) bool { return taint.MatchTaint(&other) }
		if !slices.ContainsFunc(before, same) || slices.ContainsFunc(wanted, same) {
			merged = append(merged, taint)
		}
	}
	for _, taint := range wanted {
		same := func(other corev1.Taint) bool { return taint.MatchTaint(&other) }
		if i := slices.IndexFunc(merged, same); i >= 0 {
			merged[i].Value = taint.Value
		} else {
			merged = append(merged, taint)
		}
	}
	return merged
}

// equalJSON compares as the API would print it, where quantities of equal value are equal.
func equalJSON(a, b any) bool {
	left, _ := json.Marshal(a)
	right, _ := json.Marshal(b)
	return string(left) == string(right)
}

// waitNodes waits until every node is Ready and usable by the scheduler.
func waitNodes(ctx context.Context, client kubernetes.Interface) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for {
		waiting, err := unreadyNodes(ctx, client)
		if err == nil && len(waiting) == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			if err != nil {
				return err
			}
			return fmt.Errorf("nodes not ready after %s: %s; see the logs of kwok and kube-controller-manager", startTimeout, strings.Join(waiting, ", "))
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func unreadyNodes(ctx context.Context, client kubernetes.Interface) ([]string, error) {
	list, err := client.CoreV1().Nodes().List(ctx, metav1.ListOptions{LabelSelector: labelPool})
	if err != nil {
		return nil, err
	}
	var waiting []string
	for i := range list.Items {
		if !nodeUsable(&list.Items[i]) {
			waiting = append(waiting, list.Items[i].Name)
		}
	}
	sort.Strings(waiting)
	return waiting, nil
}

func nodeUsable(node *corev1.Node) bool {
	for _, taint := range node.Spec.Taints {
		if taint.Key == corev1.TaintNodeNotReady || taint.Key == corev1.TaintNodeUnreachable {
			return false
		}
	}
	for _, condition := range node.Status.Conditions {
		if condition.Type == corev1.NodeReady {
			return condition.Status == corev1.ConditionTrue
		}
	}
	return false
}

// releaseNodes deletes the leases of the nodes. KWOK plays the pods of a node only while it holds its lease, and
// would wait for the lease of its killed predecessor to run out.
func (c *Cluster) releaseNodes(ctx context.Context) {
	client, err := c.client()
	if err != nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	// When this fails the pods only start later.
	_ = client.CoordinationV1().Leases(corev1.NamespaceNodeLease).
		DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{})
}
