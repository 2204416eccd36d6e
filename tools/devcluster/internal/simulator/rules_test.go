package simulator

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aegis/infra/tools/devcluster/internal/config"
)

func write(t *testing.T, text string) string {
	t.Helper()
	folder := t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, "rule.yml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return folder
}

func TestTheProjectsRulesAreRight(t *testing.T) {
	rules, err := LoadRules(config.Simulation{Rules: "../../rules"})
	if err != nil {
		t.Fatal(err)
	}
	if len(rules) < 10 {
		t.Errorf("only %d kinds are played", len(rules))
	}
}

func TestAMistakeInARuleIsNamed(t *testing.T) {
	rows := map[string][2]string{
		"unknown key":     {"operator: o\nkinds:\n- kind: Thing.example.com\n  redy: x\n", "redy"},
		"no operator":     {"kinds:\n- kind: Thing.example.com\n", "operator is missing"},
		"broken template": {"operator: o\nkinds:\n- kind: Thing.example.com\n  ready: '{{ if }}'\n", "Thing.example.com"},
		"reserved name":   {"operator: o\ndefine: '{{ define \"ready\" }}{{ end }}'\nkinds:\n- kind: Thing.example.com\n", `"ready"`},
	}
	for name, row := range rows {
		t.Run(name, func(t *testing.T) {
			_, err := LoadRules(config.Simulation{Rules: write(t, row[0])})
			if err == nil || !strings.Contains(err.Error(), row[1]) {
				t.Errorf("got %v, wanted an error with %q", err, row[1])
			}
		})
	}
}

func TestTheClustersSettingsWin(t *testing.T) {
	folder := write(t, "operator: o\nkinds:\n- {kind: Thing.example.com, delay: 1s}\n")
	slow := config.Duration{Duration: 20 * time.Second}
	settings := config.Simulation{Rules: folder, Operators: map[string]config.Operator{"o": {Delay: &slow, Fail: "no disk"}}}
	rules, err := LoadRules(settings)
	if err != nil {
		t.Fatal(err)
	}
	if rules[0].delay() != slow.Duration || rules[0].failure != "no disk" {
		t.Errorf("got delay %s and failure %q", rules[0].delay(), rules[0].failure)
	}
	settings.Operators = map[string]config.Operator{"other": {}}
	if _, err := LoadRules(settings); err == nil || !strings.Contains(err.Error(), `"other"`) {
		t.Errorf("a setting for an operator that nobody plays gave %v", err)
	}
}

func TestATemplateSeesTheObject(t *testing.T) {
	folder := write(t, "operator: o\ndefine: '{{ define \"size\" }}{{ at .spec \"size\" 3 }}{{ end }}'\n"+
		"kinds:\n- kind: Thing.example.com\n  ready: 'members: {{ include \"size\" . }}'\n")
	rules, err := LoadRules(config.Simulation{Rules: folder})
	if err != nil {
		t.Fatal(err)
	}
	for want, spec := range map[int64]map[string]any{3: {}, 5: {"size": int64(5)}} {
		status, err := rules[0].renderMap(partReady, map[string]any{"spec": spec}, noLookups{})
		if err != nil || status["members"] != want {
			t.Errorf("got %v, %v; wanted %d members", status, err, want)
		}
	}
}

type noLookups struct{}

func (noLookups) one(string, string, string, string) (map[string]any, error) { return nil, nil }
func (noLookups) all(string, string, string, ...string) ([]any, error)       { return nil, nil }
