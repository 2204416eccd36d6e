package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const right = `name: test
kubernetes_version: 1.36.3
service_cidr: 10.96.0.0/16
pod_cidr: 10.244.0.0/16
region: local
zones: [a, b]
node_pools:
- {name: data, count: 2, cpu: "2", memory: 4Gi, storage: 10Gi, instance_type: test}
simulation: {rules: rules}
`

func load(t *testing.T, text string) (*Config, error) {
	t.Helper()
	folder := t.TempDir()
	if err := os.Mkdir(filepath.Join(folder, "rules"), 0o700); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(folder, "config.yml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return Load(path)
}

func TestARightConfigurationIsRead(t *testing.T) {
	c, err := load(t, right)
	if err != nil {
		t.Fatal(err)
	}
	if c.NodePools[0].Count != 2 || !filepath.IsAbs(c.Simulation.Rules) {
		t.Errorf("got %+v", c)
	}
}

func TestAMistakeIsNamed(t *testing.T) {
	rows := map[string][2]string{
		"zones: [a, b]":                 {"zonse: [a, b]", "zonse"},
		"count: 2":                      {"count: -1", "count"},
		"memory: 4Gi":                   {"memory: lots", "lots"},
		"service_cidr: 10.96.0.0/16":    {"service_cidr: nowhere", "nowhere"},
		"simulation: {rules: rules}":    {"simulation: {rules: rules, delay: soon}", "soon"},
		"- {name: data, count: 2, cpu:": {"- {name: 'Not A Name', count: 2, cpu:", "Not A Name"},
	}
	for from, row := range rows {
		t.Run(row[0], func(t *testing.T) {
			_, err := load(t, strings.Replace(right, from, row[0], 1))
			if err == nil || !strings.Contains(err.Error(), row[1]) {
				t.Errorf("got %v, wanted an error with %q", err, row[1])
			}
		})
	}
}
