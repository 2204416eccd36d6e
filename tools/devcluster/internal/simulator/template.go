package simulator

import (
	"bytes"
	"errors"
	"fmt"
	"hash/fnv"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"text/template"
	"time"

	"github.com/Masterminds/sprig/v3"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

// lookups reads other objects for a template; a missing object is an empty map.
type lookups interface {
	one(apiVersion, kind, namespace, name string) (map[string]any, error)
	all(apiVersion, kind, namespace string, selector ...string) ([]any, error)
}

// errNoLookups is returned by the functions that only exist while a rule is rendered.
var errNoLookups = errors.New("not available here")

// parseFunctions are all functions of a rule's templates: those of sprig without the environment, and our own.
func parseFunctions() template.FuncMap {
	functions := sprig.TxtFuncMap()
	delete(functions, "env")
	delete(functions, "expandenv")
	maps.Copy(functions, template.FuncMap{
		"toYaml":     toYAML,
		"at":         at,
		"label":      func(object map[string]any, key string) string { return metadataValue(object, "labels", key) },
		"annotation": func(object map[string]any, key string) string { return metadataValue(object, "annotations", key) },
		"timestamp":  timestamp,
		"address":    address,
		"include":    func(string, any) (string, error) { return "", errNoLookups },
		"lookup":     func(...string) (map[string]any, error) { return nil, errNoLookups },
		"lookupAll":  func(...string) ([]any, error) { return nil, errNoLookups },
	})
	return functions
}

// render executes one template of a rule.
func (r *Rule) render(part string, data map[string]any, source lookups) (string, error) {
	templates, err := r.templates.Clone()
	if err != nil {
		return "", err
	}
	templates.Funcs(template.FuncMap{
		"include": func(name string, data any) (string, error) {
			var out bytes.Buffer
			err := templates.ExecuteTemplate(&out, name, data)
			return strings.TrimSpace(out.String()), err
		},
		"lookup":    source.one,
		"lookupAll": source.all,
	})
	var out bytes.Buffer
	if err := templates.ExecuteTemplate(&out, part, data); err != nil {
		return "", err
	}
	if strings.Contains(out.String(), "<no value>") {
		return "", fmt.Errorf("%s of %s uses a field that is missing; `at` takes a fallback:\n%s", part, r.Kind, out.String())
	}
	return strings.TrimSpace(out.String()), nil
}

// renderMap renders a template to one YAML map; nil when it renders to nothing.
func (r *Rule) renderMap(part string, data map[string]any, source lookups) (map[string]any, error) {
	text, err := r.render(part, data, source)
	if err != nil || text == "" {
		return nil, err
	}
	object := map[string]any{}
	if err := unmarshal([]byte(text), &object); err != nil {
		return nil, fmt.Errorf("%s of %s is not a YAML map: %w", part, r.Kind, err)
	}
	return object, nil
}

// renderObjects renders a template to any number of objects.
func (r *Rule) renderObjects(part string, data map[string]any, source lookups) ([]*unstructured.Unstructured, error) {
	text, err := r.render(part, data, source)
	if err != nil {
		return nil, err
	}
	var objects []*unstructured.Unstructured
	for _, document := range strings.Split("\n"+text, "\n---") {
		if strings.TrimSpace(document) == "" {
			continue
		}
		content := map[string]any{}
		if err := unmarshal([]byte(document), &content); err != nil {
			return nil, fmt.Errorf("%s of %s: %w in\n%s", part, r.Kind, err, document)
		}
		if len(content) == 0 {
			continue
		}
		object := &unstructured.Unstructured{Object: content}
		if object.GetAPIVersion() == "" || object.GetKind() == "" || object.GetName() == "" {
			return nil, fmt.Errorf("%s of %s: apiVersion, kind or metadata.name is missing in\n%s", part, r.Kind, document)
		}
		objects = append(objects, object)
	}
	return objects, nil
}

// unmarshal reads YAML into the value types the API machinery uses (int64 for whole numbers).
func unmarshal(data []byte, into *map[string]any) error {
	text, err := yaml.YAMLToJSONStrict(data)
	if err != nil {
		return err
	}
	object := unstructured.Unstructured{}
	// The decoder wants a kind; a status has none.
	wrapped := fmt.Appendf(nil, `{"apiVersion":"v1","kind":"Wrapper","content":%s}`, text)
	if err := object.UnmarshalJSON(wrapped); err != nil {
		return err
	}
	content, ok := object.Object["content"].(map[string]any)
	if !ok && object.Object["content"] != nil {
		return errors.New("not a map")
	}
	*into = content
	return nil
}

func toYAML(value any) (string, error) {
	data, err := yaml.Marshal(value)
	return strings.TrimSuffix(string(data), "\n"), err
}

// at reads a dotted path in a map, and returns the fallback when a part of it is missing.
func at(object any, path string, fallback ...any) any {
	for part := range strings.SplitSeq(path, ".") {
		fields, ok := object.(map[string]any)
		if !ok {
			object = nil
			break
		}
		object = fields[part]
	}
	if object == nil && len(fallback) > 0 {
		return fallback[0]
	}
	return object
}

// metadataValue reads a label or an annotation of an object or of its metadata.
func metadataValue(object map[string]any, field, key string) string {
	if metadata, ok := object["metadata"].(map[string]any); ok {
		object = metadata
	}
	values, _ := object[field].(map[string]any)
	value, _ := values[key].(string)
	return value
}

func timestamp() string { return time.Now().UTC().Format(time.RFC3339) }

// address picks an address of an IPv4 network for a key, always the same one unless it is used already.
func address(network, key string, used []any) (string, error) {
	prefix, err := netip.ParsePrefix(network)
	if err != nil {
		return "", err
	}
	hash := fnv.New32a()
	hash.Write([]byte(key))
	base := prefix.Masked().Addr().As4()
	// The first and the last address of the network are not for hosts.
	size := uint32(1)<<(32-prefix.Bits()) - 2
	for try := range size {
		value := base
		offset := (hash.Sum32()+try)%size + 1
		for i := 3; offset > 0; i-- {
			offset += uint32(value[i])
			value[i] = byte(offset)
			offset >>= 8
		}
		candidate := netip.AddrFrom4(value).String()
		if !slices.Contains(used, any(candidate)) {
			return candidate, nil
		}
	}
	return "", fmt.Errorf("all addresses of %s are used", network)
}
