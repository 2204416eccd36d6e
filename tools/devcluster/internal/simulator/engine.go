package simulator

import (
	"context"
	"errors"
	"sync"
	"time"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
	"k8s.io/client-go/tools/record"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/klog/v2"
)

const (
	workers = 2
	// discoveryInterval is how soon a rule follows the appearance of its kind.
	discoveryInterval = time.Second
	maxRetryDelay     = 10 * time.Second
)

// key is one object played by one rule.
type key struct {
	rule            *Rule
	namespace, name string
}

// scope is a kind in one namespace, or in all with "".
type scope struct {
	resource  schema.GroupVersionResource
	namespace string
}

// engine plays a fixed set of rules until its context ends.
type engine struct {
	ctx       context.Context
	client    dynamic.Interface
	discovery discovery.CachedDiscoveryInterface
	mapper    *restmapper.DeferredDiscoveryRESTMapper
	events    record.EventRecorder
	rules     []*Rule
	queue     workqueue.TypedRateLimitingInterface[key]

	mutex sync.Mutex
	kinds map[schema.GroupVersionResource]*watched
	// owners leads from the UID of an object to its keys, for events of its children.
	owners map[types.UID]map[key]bool
	// readers are the keys whose templates looked something up in a scope.
	readers map[scope]map[key]bool
	// played remembers what cannot be read from the objects.
	played map[types.UID]*history
	// stale is set when definitions of kinds came or went.
	stale bool
}

// history is what is remembered about an object between two passes.
type history struct {
	// spec is the hash of the last seen spec, and since the time it was changed.
	spec  string
	since time.Time
	phase string
}

func newEngine(ctx context.Context, settings *rest.Config, events record.EventRecorder, rules []*Rule) (*engine, error) {
	client, err := dynamic.NewForConfig(settings)
	if err != nil {
		return nil, err
	}
	found, err := discovery.NewDiscoveryClientForConfig(settings)
	if err != nil {
		return nil, err
	}
	cached := memory.NewMemCacheClient(found)
	limiter := workqueue.NewTypedItemExponentialFailureRateLimiter[key](50*time.Millisecond, maxRetryDelay)
	return &engine{
		ctx: ctx, client: client, discovery: cached, events: events, rules: rules,
		mapper:  restmapper.NewDeferredDiscoveryRESTMapper(cached),
		queue:   workqueue.NewTypedRateLimitingQueue(limiter),
		kinds:   map[schema.GroupVersionResource]*watched{},
		owners:  map[types.UID]map[key]bool{},
		readers: map[scope]map[key]bool{},
		played:  map[types.UID]*history{},
		stale:   true,
	}, nil
}

// run plays until the context ends.
func (e *engine) run() error {
	defer e.queue.ShutDown()
	// The definitions tell when kinds come and go; pods are the children of nearly every rule.
	for _, gvk := range []schema.GroupVersionKind{
		apiextensionsv1.SchemeGroupVersion.WithKind("CustomResourceDefinition"),
		{Version: "v1", Kind: "Pod"},
	} {
		if _, err := e.watch(e.ctx, gvk); err != nil {
			return err
		}
	}
	var group sync.WaitGroup
	for range workers {
		group.Go(e.work)
	}
	defer group.Wait()
	ticker := time.NewTicker(discoveryInterval)
	defer ticker.Stop()
	for {
		e.discover()
		select {
		case <-e.ctx.Done():
			e.queue.ShutDown()
			return nil
		case <-ticker.C:
		}
	}
}

// discover starts to watch the kinds of rules that have appeared since the last time.
func (e *engine) discover() {
	e.mutex.Lock()
	stale := e.stale
	e.stale = false
	e.mutex.Unlock()
	if !stale {
		return
	}
	e.mapper.Reset()
	for _, rule := range e.rules {
		_, err := e.watch(e.ctx, rule.groupKind().WithVersion(""))
		if err == nil || meta.IsNoMatchError(err) && !e.defined(rule.groupKind()) {
			continue
		}
		// The definition is there, but not served yet.
		e.mutex.Lock()
		e.stale = true
		e.mutex.Unlock()
	}
	e.enqueueAll()
}

// defined tells whether a definition for the kind exists.
func (e *engine) defined(kind schema.GroupKind) bool {
	resource := apiextensionsv1.SchemeGroupVersion.WithResource("customresourcedefinitions")
	e.mutex.Lock()
	definitions := e.kinds[resource]
	e.mutex.Unlock()
	for _, object := range definitions.in("") {
		definition := object.(*unstructured.Unstructured).Object
		if at(definition, "spec.group") == kind.Group && at(definition, "spec.names.kind") == kind.Kind {
			return true
		}
	}
	return false
}

// enqueueAll lets every object be looked at, as something a rule reads may have appeared.
func (e *engine) enqueueAll() {
	for _, rule := range e.rules {
		kind, err := e.watch(e.ctx, rule.groupKind().WithVersion(""))
		if err != nil {
			continue
		}
		for _, object := range kind.in("") {
			found := object.(*unstructured.Unstructured)
			e.queue.Add(key{rule, found.GetNamespace(), found.GetName()})
		}
	}
}

func (e *engine) rulesOf(kind schema.GroupKind) []*Rule {
	var found []*Rule
	for _, rule := range e.rules {
		if rule.groupKind() == kind {
			found = append(found, rule)
		}
	}
	return found
}

// notify queues everything a changed object matters for: itself, its owner, and who looked it up.
func (e *engine) notify(kind schema.GroupKind, resource schema.GroupVersionResource, object *unstructured.Unstructured) {
	for _, rule := range e.rulesOf(kind) {
		e.queue.Add(key{rule, object.GetNamespace(), object.GetName()})
	}
	e.mutex.Lock()
	defer e.mutex.Unlock()
	if kind.Kind == "CustomResourceDefinition" {
		e.definitionChanged(object)
	}
	for reader := range e.owners[types.UID(object.GetLabels()[labelOwner])] {
		e.queue.Add(reader)
	}
	for _, namespace := range []string{object.GetNamespace(), ""} {
		for reader := range e.readers[scope{resource, namespace}] {
			e.queue.Add(reader)
		}
		if object.GetNamespace() == "" {
			break
		}
	}
}

// definitionChanged makes the next discovery look again, and stops watching what is being removed.
// The caller holds the mutex.
func (e *engine) definitionChanged(definition *unstructured.Unstructured) {
	group, _ := at(definition.Object, "spec.group").(string)
	plural, _ := at(definition.Object, "spec.names.plural").(string)
	kind, _ := at(definition.Object, "spec.names.kind").(string)
	if len(e.rulesOf(schema.GroupKind{Group: group, Kind: kind})) == 0 {
		return
	}
	e.stale = true
	if definition.GetDeletionTimestamp() != nil {
		go e.forget(schema.GroupResource{Group: group, Resource: plural})
	}
}

func (e *engine) work() {
	for {
		item, stop := e.queue.Get()
		if stop {
			return
		}
		again, err := e.reconcile(e.ctx, item)
		switch {
		case err != nil:
			if !errors.Is(err, context.Canceled) {
				klog.ErrorS(err, "Cannot play", "kind", item.rule.Kind, "namespace", item.namespace, "name", item.name)
			}
			e.queue.AddRateLimited(item)
		case again > 0:
			e.queue.Forget(item)
			e.queue.AddAfter(item, again)
		default:
			e.queue.Forget(item)
		}
		e.queue.Done(item)
	}
}
