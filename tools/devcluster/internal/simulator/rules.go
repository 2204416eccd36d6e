// Package simulator plays operators: it watches the kinds named in rule files, creates the objects the real
// operator would create for them and writes the status the real operator would write.
package simulator

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"text/template"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/yaml"

	"github.com/aegis/infra/tools/devcluster/internal/config"
)

// File is one rule file: all kinds of one operator.
type File struct {
	Operator string `json:"operator"`
	// Define holds {{ define }} blocks that all templates of the file can include.
	Define string `json:"define,omitempty"`
	Kinds  []Rule `json:"kinds"`
}

// Rule says how objects of one kind are played. All texts are templates.
type Rule struct {
	// Kind is "Kind.group", or "Kind" alone for the core group. The version is found out.
	Kind string `json:"kind"`
	// Delay is the time from a change of the spec until the object can be ready.
	Delay config.Duration `json:"delay,omitempty"`
	// When limits the rule to objects for which it renders to something.
	When string `json:"when,omitempty"`
	// Delete removes the object instead of playing it.
	Delete bool `json:"delete,omitempty"`
	// Children are the objects to create, as YAML documents.
	Children string `json:"children,omitempty"`
	// Wait keeps the object in progress while it renders to something: what it waits for.
	Wait string `json:"wait,omitempty"`
	// Progress, Ready and Failure are the status in these phases. An empty one leaves the status alone.
	Progress string `json:"progress,omitempty"`
	Ready    string `json:"ready,omitempty"`
	Failure  string `json:"failure,omitempty"`

	operator  string
	failure   string
	templates *template.Template
}

// Names of a rule's templates.
const (
	partWhen     = "when"
	partChildren = "children"
	partWait     = "wait"
	partProgress = "progress"
	partReady    = "ready"
	partFailure  = "failure"
)

// LoadRules reads all *.yml files of the folder and applies the settings of the cluster to them.
func LoadRules(settings config.Simulation) ([]*Rule, error) {
	paths, err := filepath.Glob(filepath.Join(settings.Rules, "*.yml"))
	if err != nil {
		return nil, err
	}
	var rules []*Rule
	operators := map[string]bool{}
	for _, path := range paths {
		file, err := loadFile(path)
		if err != nil {
			return nil, fmt.Errorf("rule file %s: %w", path, err)
		}
		operators[file.Operator] = true
		for i := range file.Kinds {
			rule := &file.Kinds[i]
			rule.apply(file.Operator, settings)
			rules = append(rules, rule)
		}
	}
	for name := range settings.Operators {
		if !operators[name] {
			return nil, fmt.Errorf("simulation.operators: no rule file in %s is for the operator %q", settings.Rules, name)
		}
	}
	return rules, nil
}

func loadFile(path string) (*File, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	file := &File{}
	if err := yaml.UnmarshalStrict(data, file); err != nil {
		return nil, err
	}
	if file.Operator == "" {
		return nil, errors.New("operator is missing")
	}
	for i := range file.Kinds {
		if err := file.Kinds[i].compile(file.Define); err != nil {
			return nil, fmt.Errorf("kind %s: %w", file.Kinds[i].Kind, err)
		}
	}
	return file, nil
}

// compile parses the templates, so that a mistake is found before the rule is used.
func (r *Rule) compile(define string) error {
	if r.Kind == "" {
		return errors.New("kind is missing")
	}
	root, err := template.New("define").Funcs(parseFunctions()).Parse(define)
	if err != nil {
		return err
	}
	for name, text := range map[string]string{
		partWhen: r.When, partChildren: r.Children, partWait: r.Wait,
		partProgress: r.Progress, partReady: r.Ready, partFailure: r.Failure,
	} {
		if root.Lookup(name) != nil {
			return fmt.Errorf("define may not name a template %q: that is a part of every rule", name)
		}
		if _, err := root.New(name).Parse(text); err != nil {
			return err
		}
	}
	r.templates = root
	return nil
}

// apply puts in what the cluster's configuration says about this operator.
func (r *Rule) apply(operator string, settings config.Simulation) {
	own := settings.Operators[operator]
	r.operator, r.failure = operator, own.Fail
	switch {
	case own.Delay != nil:
		r.Delay = *own.Delay
	case settings.Delay != nil:
		r.Delay = *settings.Delay
	}
}

func (r *Rule) delay() time.Duration { return r.Delay.Duration }

// groupKind splits "Kind.group".
func (r *Rule) groupKind() schema.GroupKind {
	kind, group, _ := strings.Cut(r.Kind, ".")
	return schema.GroupKind{Group: group, Kind: kind}
}
