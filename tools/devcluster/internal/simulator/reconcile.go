package simulator

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// reconcile brings one object and its children to where its rule wants them. It returns after which time
// to look again, 0 for not before something changes.
func (e *engine) reconcile(ctx context.Context, item key) (time.Duration, error) {
	kind, err := e.watch(ctx, item.rule.groupKind().WithVersion(""))
	if meta.IsNoMatchError(err) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	cached := kind.get(item.namespace, item.name)
	if cached == nil || cached.GetDeletionTimestamp() != nil {
		return 0, nil
	}
	object := cached.DeepCopy()
	source := &reader{engine: e, ctx: ctx, key: item}
	data := e.data(item.rule, object)
	if item.rule.When != "" {
		applies, err := item.rule.render(partWhen, data, source)
		if err != nil || applies == "" {
			return 0, err
		}
	}
	if item.rule.Delete {
		return 0, e.remove(ctx, kind, object)
	}
	e.own(item, object)
	return e.play(ctx, kind, item.rule, object, data, source)
}

// data is what templates see. Metadata, spec and status are always maps.
func (e *engine) data(rule *Rule, object *unstructured.Unstructured) map[string]any {
	data := map[string]any{"object": object.Object, "operator": rule.operator, "failure": rule.failure}
	for _, part := range []string{"metadata", "spec", "status"} {
		content, _ := object.Object[part].(map[string]any)
		data[part] = orEmpty(content)
	}
	var pods, ready []*unstructured.Unstructured
	for _, watched := range e.allWatched() {
		if watched.resource != corev1.SchemeGroupVersion.WithResource("pods") {
			continue
		}
		for _, pod := range watched.ownedBy(string(object.GetUID())) {
			pods = append(pods, pod)
			if podReady(pod) {
				ready = append(ready, pod)
			}
		}
	}
	data["pods"], data["readyPods"] = names(pods), names(ready)
	return data
}

// own remembers whom an event of a child is for.
func (e *engine) own(item key, object *unstructured.Unstructured) {
	e.mutex.Lock()
	defer e.mutex.Unlock()
	if e.owners[object.GetUID()] == nil {
		e.owners[object.GetUID()] = map[key]bool{}
	}
	e.owners[object.GetUID()][item] = true
}

// play makes the children and writes the status of the phase the object is in.
func (e *engine) play(ctx context.Context, kind *watched, rule *Rule, object *unstructured.Unstructured, data map[string]any, source lookups) (time.Duration, error) {
	children, err := rule.renderObjects(partChildren, data, source)
	if err != nil {
		return 0, err
	}
	ready := true
	if rule.Children != "" {
		if ready, err = e.ensureChildren(ctx, object, children); err != nil {
			e.record(object, rule, corev1.EventTypeWarning, "ReconcileFailed", err.Error())
			return 0, err
		}
	}
	waiting, err := rule.render(partWait, data, source)
	if err != nil {
		return 0, err
	}
	data["waiting"] = waiting
	known := e.remember(object)
	remaining := time.Until(known.since.Add(rule.delay()))
	phase := partReady
	switch {
	case rule.failure != "" && rule.Failure != "":
		phase = partFailure
	case remaining > 0 || !ready || waiting != "":
		phase = partProgress
	}
	wanted, err := rule.renderMap(phase, data, source)
	if err != nil {
		return 0, err
	}
	wrote := false
	if wanted != nil {
		if wrote, err = e.writeStatus(ctx, kind, object, wanted); err != nil {
			return 0, err
		}
	}
	e.announce(object, rule, known, phase, wrote)
	if phase == partProgress && remaining > 0 {
		return remaining, nil
	}
	return 0, nil
}

// remember returns what is known about the object, with the time of the last change of its spec.
func (e *engine) remember(object *unstructured.Unstructured) *history {
	e.mutex.Lock()
	defer e.mutex.Unlock()
	spec := contentHash(object.Object["spec"])
	known := e.played[object.GetUID()]
	switch {
	case known == nil:
		known = &history{spec: spec, since: specTime(object)}
		e.played[object.GetUID()] = known
	case known.spec != spec:
		known.spec, known.since = spec, time.Now()
	}
	return known
}

// specTime is when somebody last wrote the object other than its status: the best guess for an object
// that was there before this process.
func specTime(object *unstructured.Unstructured) time.Time {
	last := object.GetCreationTimestamp().Time
	for _, entry := range object.GetManagedFields() {
		if entry.Subresource == "" && entry.Time != nil && entry.Time.After(last) {
			last = entry.Time.Time
		}
	}
	return last
}

// announce records an event when the object entered a phase.
func (e *engine) announce(object *unstructured.Unstructured, rule *Rule, known *history, phase string, wrote bool) {
	e.mutex.Lock()
	entered := known.phase != phase
	known.phase = phase
	e.mutex.Unlock()
	switch {
	case entered && phase == partFailure:
		e.record(object, rule, corev1.EventTypeWarning, "Failed", rule.failure)
	case entered && phase == partReady && wrote:
		e.record(object, rule, corev1.EventTypeNormal, "Ready", object.GetKind()+" is ready")
	case entered && phase == partProgress && wrote:
		e.record(object, rule, corev1.EventTypeNormal, "Reconciling", "Creating or updating the objects of the "+object.GetKind())
	}
}

// record writes an event, in the name of the played operator.
func (e *engine) record(object *unstructured.Unstructured, rule *Rule, kind, reason, message string) {
	e.events.AnnotatedEventf(&corev1.ObjectReference{
		APIVersion: object.GetAPIVersion(), Kind: object.GetKind(), Namespace: object.GetNamespace(),
		Name: object.GetName(), UID: object.GetUID(), ResourceVersion: object.GetResourceVersion(),
	}, map[string]string{annotationSimulated: "true"}, kind, reason, "%s", rule.operator+": "+message)
}

// reader reads objects for the templates of one key and remembers where it looked.
type reader struct {
	engine *engine
	ctx    context.Context
	key    key
}

// scope returns the cache of a kind, nil while the kind does not exist.
func (r *reader) scope(gvk schema.GroupVersionKind, namespace string) (*watched, error) {
	kind, err := r.engine.watch(r.ctx, gvk)
	if meta.IsNoMatchError(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if !kind.namespaced {
		namespace = ""
	}
	where := scope{kind.resource, namespace}
	r.engine.mutex.Lock()
	defer r.engine.mutex.Unlock()
	if r.engine.readers[where] == nil {
		r.engine.readers[where] = map[key]bool{}
	}
	r.engine.readers[where][r.key] = true
	return kind, nil
}

func (r *reader) one(apiVersion, kind, namespace, name string) (map[string]any, error) {
	found, err := r.scope(parseGVK(apiVersion, kind), namespace)
	if err != nil || found == nil {
		return map[string]any{}, err
	}
	if !found.namespaced {
		namespace = ""
	}
	object := found.get(namespace, name)
	if object == nil {
		return map[string]any{}, nil
	}
	return object.DeepCopy().Object, nil
}

func (r *reader) all(apiVersion, kind, namespace string, selector ...string) ([]any, error) {
	found, err := r.scope(parseGVK(apiVersion, kind), namespace)
	if err != nil || found == nil {
		return nil, err
	}
	wanted, err := labels.Parse(strings.Join(selector, ","))
	if err != nil {
		return nil, fmt.Errorf("lookupAll: %w", err)
	}
	var objects []*unstructured.Unstructured
	for _, entry := range found.in(namespace) {
		object := entry.(*unstructured.Unstructured)
		if wanted.Matches(labels.Set(object.GetLabels())) {
			objects = append(objects, object)
		}
	}
	slices.SortFunc(objects, func(a, b *unstructured.Unstructured) int {
		return strings.Compare(a.GetNamespace()+"/"+a.GetName(), b.GetNamespace()+"/"+b.GetName())
	})
	list := make([]any, len(objects))
	for i, object := range objects {
		list[i] = object.DeepCopy().Object
	}
	return list, nil
}
