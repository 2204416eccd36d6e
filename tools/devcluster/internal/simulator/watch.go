package simulator

import (
	"context"
	"fmt"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic/dynamicinformer"
	"k8s.io/client-go/tools/cache"
)

const (
	indexOwner = "owner"
	// resync lets rules that depend on the time run again.
	resync      = time.Minute
	syncTimeout = 15 * time.Second
)

// watched is one kind with the cache of all its objects.
type watched struct {
	resource   schema.GroupVersionResource
	namespaced bool
	// statusSubresource tells where the status is written.
	statusSubresource bool
	informer          cache.SharedIndexInformer
	stop              context.CancelFunc
}

// watch returns the cache of a kind, which it starts and fills the first time.
func (e *engine) watch(ctx context.Context, gvk schema.GroupVersionKind) (*watched, error) {
	var versions []string
	if gvk.Version != "" {
		versions = append(versions, gvk.Version)
	}
	mapping, err := e.mapper.RESTMapping(gvk.GroupKind(), versions...)
	if err != nil {
		return nil, err
	}
	kind := e.startWatch(mapping)
	ctx, cancel := context.WithTimeout(ctx, syncTimeout)
	defer cancel()
	if !cache.WaitForCacheSync(ctx.Done(), kind.informer.HasSynced) {
		return nil, fmt.Errorf("%s cannot be watched", gvk.Kind)
	}
	return kind, nil
}

func (e *engine) startWatch(mapping *meta.RESTMapping) *watched {
	e.mutex.Lock()
	defer e.mutex.Unlock()
	if kind := e.kinds[mapping.Resource]; kind != nil {
		return kind
	}
	ctx, stop := context.WithCancel(e.ctx)
	kind := &watched{
		resource:          mapping.Resource,
		namespaced:        mapping.Scope.Name() == meta.RESTScopeNameNamespace,
		statusSubresource: e.hasStatus(mapping.Resource),
		stop:              stop,
	}
	kind.informer = dynamicinformer.NewFilteredDynamicInformer(e.client, mapping.Resource, "", resync,
		cache.Indexers{cache.NamespaceIndex: cache.MetaNamespaceIndexFunc, indexOwner: byOwner}, nil).Informer()
	// Managed fields are half of every object and only needed where the age of a spec is read from them.
	groupKind := mapping.GroupVersionKind.GroupKind()
	if len(e.rulesOf(groupKind)) == 0 {
		_ = kind.informer.SetTransform(stripManagedFields)
	}
	notify := func(object any) {
		if changed, ok := object.(*unstructured.Unstructured); ok {
			e.notify(groupKind, mapping.Resource, changed)
		}
	}
	_, _ = kind.informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    notify,
		UpdateFunc: func(_, object any) { notify(object) },
		DeleteFunc: func(object any) {
			if deleted, ok := object.(cache.DeletedFinalStateUnknown); ok {
				object = deleted.Obj
			}
			notify(object)
			if gone, ok := object.(*unstructured.Unstructured); ok {
				e.forgetObject(gone.GetUID())
			}
		},
	})
	e.kinds[mapping.Resource] = kind
	go kind.informer.RunWithContext(ctx)
	return kind
}

func stripManagedFields(object any) (any, error) {
	if accessor, err := meta.Accessor(object); err == nil {
		accessor.SetManagedFields(nil)
	}
	return object, nil
}

func byOwner(object any) ([]string, error) {
	accessor, err := meta.Accessor(object)
	if err != nil {
		return nil, err
	}
	if owner := accessor.GetLabels()[labelOwner]; owner != "" {
		return []string{owner}, nil
	}
	return nil, nil
}

// hasStatus asks the discovery whether a resource has the status subresource.
func (e *engine) hasStatus(resource schema.GroupVersionResource) bool {
	list, err := e.discovery.ServerResourcesForGroupVersion(resource.GroupVersion().String())
	if err != nil {
		return true
	}
	for _, entry := range list.APIResources {
		if entry.Name == resource.Resource+"/status" {
			return true
		}
	}
	return false
}

// forget stops watching a resource whose definition was removed.
func (e *engine) forget(resource schema.GroupResource) {
	e.mutex.Lock()
	defer e.mutex.Unlock()
	for key, kind := range e.kinds {
		if key.GroupResource() == resource {
			kind.stop()
			delete(e.kinds, key)
		}
	}
}

// forgetObject drops what is remembered about a deleted object.
func (e *engine) forgetObject(uid types.UID) {
	e.mutex.Lock()
	defer e.mutex.Unlock()
	delete(e.owners, uid)
	delete(e.played, uid)
}

func (e *engine) allWatched() []*watched {
	e.mutex.Lock()
	defer e.mutex.Unlock()
	kinds := make([]*watched, 0, len(e.kinds))
	for _, kind := range e.kinds {
		kinds = append(kinds, kind)
	}
	return kinds
}

// get returns an object from the cache, or nil.
func (w *watched) get(namespace, name string) *unstructured.Unstructured {
	key := name
	if namespace != "" {
		key = namespace + "/" + name
	}
	object, found, err := w.informer.GetStore().GetByKey(key)
	if err != nil || !found {
		return nil
	}
	return object.(*unstructured.Unstructured)
}

// ownedBy returns the cached objects created for an owner.
func (w *watched) ownedBy(uid string) []*unstructured.Unstructured {
	found, err := w.informer.GetIndexer().ByIndex(indexOwner, uid)
	if err != nil {
		return nil
	}
	objects := make([]*unstructured.Unstructured, 0, len(found))
	for _, object := range found {
		objects = append(objects, object.(*unstructured.Unstructured))
	}
	return objects
}

// in returns the cached objects of a namespace, or of all with "".
func (w *watched) in(namespace string) []any {
	if namespace == "" {
		return w.informer.GetStore().List()
	}
	objects, err := w.informer.GetIndexer().ByIndex(cache.NamespaceIndex, namespace)
	if err != nil {
		return nil
	}
	return objects
}

// parseGVK reads the apiVersion and kind of a lookup; the version may be left out ("group/").
func parseGVK(apiVersion, kind string) schema.GroupVersionKind {
	group, version, found := strings.Cut(apiVersion, "/")
	if !found {
		group, version = "", apiVersion
	}
	return schema.GroupVersionKind{Group: group, Version: version, Kind: kind}
}
