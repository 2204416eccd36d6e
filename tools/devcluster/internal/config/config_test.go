package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const valid = `
name: test
kubernetes_version: 1.36.3
service_cidr: 10.96.0.0/16
pod_cidr: 10.244.0.0/16
region: local
zones: [a, b]
node_pools:
  - {name: data, count: 2, cpu: "2", memory: 4Gi, storage: 50Gi, instance_type: small}
storage_classes: [{name: fast, default: true}]
simulation:
  rules: rules
  operators: {x: {delay: 20s}}
`

func load(t *testing.T, text string) (*Config, error) {
	t.Helper()
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "rules"), 0o700); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "config.yml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return Load(path)
}

func TestLoad(t *testing.T) {
	c, err := load(t, valid)
	if err != nil {
		t.Fatal(err)
	}
	if got := c.Simulation.Operators["x"].Delay.Duration; got != 20*time.Second {
		t.Errorf("delay is %s", got)
	}
	if !filepath.IsAbs(c.Simulation.Rules) {
		t.Errorf("rules are not read from the folder of the configuration: %s", c.Simulation.Rules)
	}
	if c.StorageClasses[0].ReclaimPolicy != "Delete" {
		t.Errorf("the default of reclaim_policy is %q", c.StorageClasses[0].ReclaimPolicy)
	}
}

func TestLoadNamesTheMistake(t *testing.T) {
	for name, mistake := range map[string]struct{ old, new, want string }{
		"unknown key":        {"region: local", "region: local\nregoin: x", `"regoin"`},
		"unknown nested key": {"count: 2", "count: 2, size: 3", `"size"`},
		"bad quantity":       {"4Gi", "4Gigs", `memory "4Gigs"`},
		"bad network":        {"10.96.0.0/16", "10.96.0.0", "service_cidr"},
		"bad duration":       {"20s", "soon", "duration"},
		"missing rules":      {"rules: rules", "rules: nowhere", "nowhere is not a folder"},
		"two defaults":       {"[{name: fast, default: true}]", "[{name: a, default: true}, {name: b, default: true}]", "only one"},
		"repeated key":       {"name: test", "name: test\nname: other", "name"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := load(t, strings.Replace(valid, mistake.old, mistake.new, 1))
			if err == nil || !strings.Contains(err.Error(), mistake.want) {
				t.Errorf("got %v, want an error with %s", err, mistake.want)
			}
		})
	}
}
