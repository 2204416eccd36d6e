package simulator

import (
	"context"
	"encoding/json"

	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
)

// statusPatch returns the merge patch that turns the current status into the wanted one, or nil.
func statusPatch(current, wanted map[string]any) ([]byte, error) {
	keepTransitionTimes(current, wanted)
	before, err := json.Marshal(map[string]any{"status": orEmpty(current)})
	if err != nil {
		return nil, err
	}
	after, err := json.Marshal(map[string]any{"status": wanted})
	if err != nil {
		return nil, err
	}
	patch, err := jsonpatch.CreateMergePatch(before, after)
	if err != nil || string(patch) == "{}" {
		return nil, err
	}
	return patch, nil
}

func orEmpty(status map[string]any) map[string]any {
	if status == nil {
		return map[string]any{}
	}
	return status
}

// keepTransitionTimes gives each condition the time it last changed, so that rules need not care.
func keepTransitionTimes(current, wanted map[string]any) {
	conditions, _ := wanted["conditions"].([]any)
	old, _ := current["conditions"].([]any)
	for _, entry := range conditions {
		condition, ok := entry.(map[string]any)
		if !ok || condition["lastTransitionTime"] != nil {
			continue
		}
		condition["lastTransitionTime"] = timestamp()
		for _, entry := range old {
			before, ok := entry.(map[string]any)
			if ok && before["type"] == condition["type"] && before["status"] == condition["status"] && before["lastTransitionTime"] != nil {
				condition["lastTransitionTime"] = before["lastTransitionTime"]
			}
		}
	}
}

// writeStatus brings the status of an object to the wanted one and tells whether it had to.
func (e *engine) writeStatus(ctx context.Context, kind *watched, object *unstructured.Unstructured, wanted map[string]any) (bool, error) {
	current, _ := object.Object["status"].(map[string]any)
	patch, err := statusPatch(current, wanted)
	if err != nil || patch == nil {
		return false, err
	}
	var subresources []string
	if kind.statusSubresource {
		subresources = []string{"status"}
	}
	_, err = e.client.Resource(kind.resource).Namespace(object.GetNamespace()).
		Patch(ctx, object.GetName(), types.MergePatchType, patch, metav1.PatchOptions{FieldManager: fieldManager}, subresources...)
	if apierrors.IsNotFound(err) {
		// It was deleted meanwhile.
		return false, nil
	}
	return err == nil, err
}
