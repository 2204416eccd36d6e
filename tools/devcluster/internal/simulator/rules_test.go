package simulator

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aegis/infra/tools/devcluster/internal/config"
)

// nothing is a cluster without objects.
type nothing struct{}

func (nothing) one(string, string, string, string) (map[string]any, error) {
	return map[string]any{}, nil
}
func (nothing) all(string, string, string, ...string) ([]any, error) { return nil, nil }

func writeRule(t *testing.T, text string) config.Simulation {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "x.yml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return config.Simulation{Rules: dir}
}

const example = `
operator: x
define: |
  {{ define "ports" }}{{ range . }}{{ . }} {{ end }}{{ end }}
kinds:
  - kind: Thing.example.org
    delay: 2s
    children: |
      {{- range $i := until (int .spec.size) }}
      ---
      apiVersion: v1
      kind: ConfigMap
      metadata: {name: {{ $.metadata.name }}-{{ $i }}}
      data: {ports: {{ include "ports" (list 1 2) | quote }}, color: {{ at $.spec "a.b.color" "red" }}}
      {{- end }}
    ready: |
      size: {{ .spec.size }}
`

func TestRender(t *testing.T) {
	rules, err := LoadRules(writeRule(t, example))
	if err != nil {
		t.Fatal(err)
	}
	data := map[string]any{
		"metadata": map[string]any{"name": "one"},
		"spec":     map[string]any{"size": int64(2)},
		"status":   map[string]any{},
	}
	children, err := rules[0].renderObjects(partChildren, data, nothing{})
	if err != nil || len(children) != 2 {
		t.Fatalf("%d children, %v", len(children), err)
	}
	values := children[1].Object["data"].(map[string]any)
	if children[1].GetName() != "one-1" || values["ports"] != "1 2" || values["color"] != "red" {
		t.Errorf("got %v", children[1].Object)
	}
	delete(data["spec"].(map[string]any), "size")
	if _, err := rules[0].renderMap(partReady, data, nothing{}); err == nil || !strings.Contains(err.Error(), "missing") {
		t.Errorf("a missing field is rendered: %v", err)
	}
	data["spec"].(map[string]any)["size"] = int64(2)
	status, err := rules[0].renderMap(partReady, data, nothing{})
	if err != nil || status["size"] != int64(2) {
		t.Errorf("got %v, %v", status, err)
	}
}

func TestSettingsOfTheCluster(t *testing.T) {
	settings := writeRule(t, example)
	all, own := config.Duration{Duration: time.Second}, config.Duration{Duration: time.Minute}
	for _, step := range []struct {
		change func()
		want   time.Duration
	}{
		{func() {}, 2 * time.Second},
		{func() { settings.Delay = &all }, time.Second},
		{func() { settings.Operators = map[string]config.Operator{"x": {Delay: &own, Fail: "no"}} }, time.Minute},
	} {
		step.change()
		rules, err := LoadRules(settings)
		if err != nil || rules[0].delay() != step.want {
			t.Errorf("delay %s, want %s, %v", rules[0].delay(), step.want, err)
		}
	}
	settings.Operators["typo"] = config.Operator{}
	if _, err := LoadRules(settings); err == nil || !strings.Contains(err.Error(), `"typo"`) {
		t.Errorf("got %v", err)
	}
}

func TestMistakesInRulesAreFoundWhenLoading(t *testing.T) {
	for old, change := range map[string][2]string{
		"delay: 2s":      {"dely: 2s", `"dely"`},
		"{{- end }}\n":   {"\n", "unexpected EOF"},
		"until (int":     {"untill (int", `"untill"`},
		"operator: x":    {"", "operator is missing"},
		`define "ports"`: {`define "ready"`, `"ready"`},
		"  - kind: Thi":  {"  - when: Thi", "kind is missing"},
	} {
		_, err := LoadRules(writeRule(t, strings.Replace(example, old, change[0], 1)))
		if err == nil || !strings.Contains(err.Error(), change[1]) {
			t.Errorf("%s: got %v", change[0], err)
		}
	}
}

// The rules of this project must load.
func TestOwnRules(t *testing.T) {
	rules, err := LoadRules(config.Simulation{Rules: "../../rules"})
	if err != nil || len(rules) == 0 {
		t.Errorf("%d rules, %v", len(rules), err)
	}
}

func TestStatusPatch(t *testing.T) {
	current := map[string]any{
		"phase": "Creating", "gone": "x",
		"conditions": []any{map[string]any{"type": "Ready", "status": "True", "lastTransitionTime": "2020-01-01T00:00:00Z"}},
	}
	same := map[string]any{
		"phase": "Creating", "gone": "x",
		"conditions": []any{map[string]any{"type": "Ready", "status": "True"}},
	}
	if patch, err := statusPatch(current, same); err != nil || patch != nil {
		t.Errorf("an unchanged status is written: %s, %v", patch, err)
	}
	changed := map[string]any{
		"phase":      "Done",
		"conditions": []any{map[string]any{"type": "Ready", "status": "False"}},
	}
	patch, err := statusPatch(current, changed)
	if err != nil || !strings.Contains(string(patch), `"gone":null`) || strings.Contains(string(patch), "2020-01-01") {
		t.Errorf("got %s, %v", patch, err)
	}
}

func TestAddress(t *testing.T) {
	first, err := address("192.0.2.0/30", "a", nil)
	if err != nil {
		t.Fatal(err)
	}
	if again, _ := address("192.0.2.0/30", "a", nil); again != first {
		t.Errorf("%s and %s for the same key", first, again)
	}
	second, err := address("192.0.2.0/30", "a", []any{first})
	if err != nil || second == first {
		t.Errorf("a used address is given out: %s, %v", second, err)
	}
	if _, err := address("192.0.2.0/30", "a", []any{first, second}); err == nil {
		t.Error("a full network gives out addresses")
	}
}
