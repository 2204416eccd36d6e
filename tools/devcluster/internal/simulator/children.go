package simulator

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

const (
	fieldManager = "devcluster-simulator"
	// labelOwner leads from a child to the object it was created for.
	labelOwner          = "devcluster.aegis.io/owner-uid"
	annotationSimulated = "devcluster.aegis.io/simulated"
	// annotationHash is the hash of the child as it was rendered.
	annotationHash = "devcluster.aegis.io/hash"
	// annotationKeep in a rule leaves the child alone when its owner is deleted or no longer renders it.
	annotationKeep = "devcluster.aegis.io/keep"
	// annotationOnce in a rule never changes an existing child, for content made at random.
	annotationOnce = "devcluster.aegis.io/once"
)

// childKey names a child. Its UID would not do: the cache may learn of a new child while a pass runs.
type childKey struct {
	resource        schema.GroupVersionResource
	namespace, name string
}

// ensureChildren creates, updates and removes the objects of one owner. It tells whether all workloads
// among them are ready.
func (e *engine) ensureChildren(ctx context.Context, owner *unstructured.Unstructured, children []*unstructured.Unstructured) (bool, error) {
	var errs []error
	wanted := map[childKey]bool{}
	ready := true
	rolling := false
	for _, child := range children {
		kind, err := e.watch(ctx, child.GroupVersionKind())
		if err != nil {
			errs = append(errs, err)
			continue
		}
		adopt(owner, child, kind.namespaced)
		wanted[childKey{kind.resource, child.GetNamespace(), child.GetName()}] = true
		current := kind.get(child.GetNamespace(), child.GetName())
		changed, err := e.ensureChild(ctx, kind, current, child, &rolling)
		errs = append(errs, describe(child, err))
		ready = ready && err == nil && !changed && workloadReady(current)
	}
	pruned, err := e.prune(ctx, owner, wanted)
	errs = append(errs, err)
	return ready && !pruned, errors.Join(errs...)
}

func describe(child *unstructured.Unstructured, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s %s: %w", child.GetKind(), child.GetName(), err)
}

// adopt marks a rendered child as belonging to its owner.
func adopt(owner, child *unstructured.Unstructured, namespaced bool) {
	if namespaced && child.GetNamespace() == "" {
		child.SetNamespace(owner.GetNamespace())
	}
	annotations := child.GetAnnotations()
	if annotations == nil {
		annotations = map[string]string{}
	}
	annotations[annotationSimulated] = "true"
	annotations[annotationHash] = contentHash(child.Object)
	child.SetAnnotations(annotations)
	labels := child.GetLabels()
	if labels == nil {
		labels = map[string]string{}
	}
	labels[labelOwner] = string(owner.GetUID())
	child.SetLabels(labels)
	// An object of the cluster, or of another namespace, cannot be owned by one in a namespace.
	if child.GetNamespace() == owner.GetNamespace() && annotations[annotationKeep] == "" {
		yes := true
		child.SetOwnerReferences([]metav1.OwnerReference{{
			APIVersion: owner.GetAPIVersion(), Kind: owner.GetKind(), Name: owner.GetName(), UID: owner.GetUID(),
			Controller: &yes, BlockOwnerDeletion: &yes,
		}})
	}
}

func contentHash(content any) string {
	data, _ := json.Marshal(content)
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:8])
}

// ensureChild applies one child and tells whether it changed something or waits for something.
func (e *engine) ensureChild(ctx context.Context, kind *watched, current, child *unstructured.Unstructured, rolling *bool) (bool, error) {
	if current != nil {
		if current.GetDeletionTimestamp() != nil {
			return true, nil
		}
		annotations := current.GetAnnotations()
		sameOwner := current.GetLabels()[labelOwner] == child.GetLabels()[labelOwner]
		once := child.GetAnnotations()[annotationOnce] != ""
		if sameOwner && (once || annotations[annotationHash] == child.GetAnnotations()[annotationHash]) {
			return false, nil
		}
		if annotations[annotationSimulated] == "" {
			return false, errors.New("exists already and was not created for this object")
		}
	}
	_, err := e.client.Resource(kind.resource).Namespace(child.GetNamespace()).
		Apply(ctx, child.GetName(), child, metav1.ApplyOptions{FieldManager: fieldManager, Force: true})
	if apierrors.IsInvalid(err) && current != nil && child.GetKind() == "Pod" {
		return true, e.roll(ctx, kind, current, rolling)
	}
	return true, err
}

// roll replaces pods whose change cannot be made in place: one in each pass, and the next only when all the
// others are ready again.
func (e *engine) roll(ctx context.Context, kind *watched, pod *unstructured.Unstructured, rolling *bool) error {
	if *rolling {
		return nil
	}
	for _, other := range kind.ownedBy(pod.GetLabels()[labelOwner]) {
		if other.GetName() != pod.GetName() && !workloadReady(other) {
			return nil
		}
	}
	*rolling = true
	return e.remove(ctx, kind, pod)
}

// prune removes the objects created for the owner earlier that it no longer renders.
func (e *engine) prune(ctx context.Context, owner *unstructured.Unstructured, wanted map[childKey]bool) (bool, error) {
	var errs []error
	pruned := false
	for _, kind := range e.allWatched() {
		for _, child := range kind.ownedBy(string(owner.GetUID())) {
			annotations := child.GetAnnotations()
			// Controllers copy labels to objects of their own, but not this annotation.
			name := childKey{kind.resource, child.GetNamespace(), child.GetName()}
			if wanted[name] || annotations[annotationHash] == "" || annotations[annotationKeep] != "" {
				continue
			}
			pruned = true
			if child.GetDeletionTimestamp() == nil {
				errs = append(errs, e.remove(ctx, kind, child))
			}
		}
	}
	return pruned, errors.Join(errs...)
}

func (e *engine) remove(ctx context.Context, kind *watched, object *unstructured.Unstructured) error {
	uid := object.GetUID()
	err := e.client.Resource(kind.resource).Namespace(object.GetNamespace()).
		Delete(ctx, object.GetName(), metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &uid}})
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return nil
	}
	return err
}

// workloadReady tells whether a pod, a StatefulSet or a Deployment is ready; other objects always are.
func workloadReady(object *unstructured.Unstructured) bool {
	if object == nil {
		return false
	}
	switch object.GetKind() {
	case "Pod":
		return podReady(object)
	case "StatefulSet":
		return replicasReady(object, "readyReplicas", "updatedReplicas")
	case "Deployment":
		return replicasReady(object, "availableReplicas", "updatedReplicas")
	}
	return true
}

func podReady(pod *unstructured.Unstructured) bool {
	if pod.GetDeletionTimestamp() != nil {
		return false
	}
	conditions, _, _ := unstructured.NestedSlice(pod.Object, "status", "conditions")
	return slices.ContainsFunc(conditions, func(entry any) bool {
		condition, _ := entry.(map[string]any)
		return condition["type"] == "Ready" && condition["status"] == "True"
	})
}

func replicasReady(object *unstructured.Unstructured, fields ...string) bool {
	observed, _, _ := unstructured.NestedInt64(object.Object, "status", "observedGeneration")
	replicas, found, _ := unstructured.NestedInt64(object.Object, "spec", "replicas")
	if !found {
		replicas = 1
	}
	for _, field := range fields {
		count, _, _ := unstructured.NestedInt64(object.Object, "status", field)
		if count != replicas {
			return false
		}
	}
	return observed >= object.GetGeneration()
}

// names returns the sorted names of objects.
func names(objects []*unstructured.Unstructured) []any {
	sorted := make([]string, 0, len(objects))
	for _, object := range objects {
		sorted = append(sorted, object.GetName())
	}
	slices.SortFunc(sorted, func(a, b string) int { return strings.Compare(a, b) })
	list := make([]any, len(sorted))
	for i, name := range sorted {
		list[i] = name
	}
	return list
}
