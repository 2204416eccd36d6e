// Package config reads and checks the description of one development cluster.
package config

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/validation"
	"sigs.k8s.io/yaml"
)

// Config is the content of the configuration file.
type Config struct {
	Name              string         `json:"name"`
	KubernetesVersion string         `json:"kubernetes_version"`
	ServiceCIDR       string         `json:"service_cidr"`
	PodCIDR           string         `json:"pod_cidr"`
	Region            string         `json:"region"`
	Zones             []string       `json:"zones"`
	NodePools         []NodePool     `json:"node_pools"`
	StorageClasses    []StorageClass `json:"storage_classes,omitempty"`
	Simulation        Simulation     `json:"simulation"`
}

// NodePool describes nodes of one kind; they are spread over the zones in turn.
type NodePool struct {
	Name         string            `json:"name"`
	Count        int               `json:"count"`
	CPU          string            `json:"cpu"`
	Memory       string            `json:"memory"`
	Storage      string            `json:"storage"`
	InstanceType string            `json:"instance_type"`
	Labels       map[string]string `json:"labels,omitempty"`
	Taints       []Taint           `json:"taints,omitempty"`
}

// Taint is a node taint.
type Taint struct {
	Key    string             `json:"key"`
	Value  string             `json:"value,omitempty"`
	Effect corev1.TaintEffect `json:"effect"`
}

// StorageClass describes a class whose volumes the simulator provisions.
type StorageClass struct {
	Name          string                               `json:"name"`
	Default       bool                                 `json:"default,omitempty"`
	ReclaimPolicy corev1.PersistentVolumeReclaimPolicy `json:"reclaim_policy,omitempty"`
}

// Simulation says how operators are played.
type Simulation struct {
	// Rules is the folder with the rule files; a relative path is read from the configuration file's folder.
	Rules string `json:"rules"`
	// Delay overrides the delay of every rule.
	Delay *Duration `json:"delay,omitempty"`
	// Operators holds the settings of single operators, by the rule file's operator name.
	Operators map[string]Operator `json:"operators,omitempty"`
}

// Operator holds what one played operator does differently.
type Operator struct {
	// Delay wins over Simulation.Delay and over the rule's own delay.
	Delay *Duration `json:"delay,omitempty"`
	// Fail makes the operator report failure with this message.
	Fail string `json:"fail,omitempty"`
}

// Duration is a time.Duration written as "20s".
type Duration struct{ time.Duration }

// UnmarshalJSON reads "20s".
func (d *Duration) UnmarshalJSON(data []byte) error {
	value, err := time.ParseDuration(strings.Trim(string(data), `"`))
	if err != nil {
		return fmt.Errorf("%s is not a duration such as 20s", data)
	}
	d.Duration = value
	return nil
}

// MarshalJSON writes "20s".
func (d Duration) MarshalJSON() ([]byte, error) { return []byte(`"` + d.String() + `"`), nil }

// Load reads and checks the file at path. An unknown key is an error that names it.
func Load(path string) (*Config, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("cannot read the configuration: %w", err)
	}
	c := &Config{}
	if err := yaml.UnmarshalStrict(data, c); err != nil {
		return nil, fmt.Errorf("configuration %s: %w", path, shorten(err))
	}
	if c.Simulation.Rules != "" && !filepath.IsAbs(c.Simulation.Rules) {
		folder, err := filepath.Abs(filepath.Dir(path))
		if err != nil {
			return nil, err
		}
		c.Simulation.Rules = filepath.Join(folder, c.Simulation.Rules)
	}
	if err := c.check(); err != nil {
		return nil, fmt.Errorf("configuration %s: %w", path, err)
	}
	return c, nil
}

// shorten removes the decoder's own words, so that the key comes first.
func shorten(err error) error {
	text := err.Error()
	for _, noise := range []string{"error unmarshaling JSON: ", "while decoding JSON: ", "error converting YAML to JSON: ", "json: "} {
		text = strings.ReplaceAll(text, noise, "")
	}
	return errors.New(text)
}

// check returns all mistakes at once.
func (c *Config) check() error {
	var errs []error
	fail := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }

	if len(validation.IsDNS1123Label(c.Name)) > 0 {
		fail("name %q must be a DNS label", c.Name)
	}
	if c.KubernetesVersion == "" {
		fail("kubernetes_version is missing")
	}
	for key, value := range map[string]string{"service_cidr": c.ServiceCIDR, "pod_cidr": c.PodCIDR} {
		if prefix, err := netip.ParsePrefix(value); err != nil || !prefix.Addr().Is4() {
			fail("%s %q must be an IPv4 network such as 10.96.0.0/16", key, value)
		}
	}
	if len(validation.IsValidLabelValue(c.Region)) > 0 || c.Region == "" {
		fail("region %q must be a label value", c.Region)
	}
	if len(c.Zones) == 0 {
		fail("zones must name at least one zone")
	}
	if len(c.NodePools) == 0 {
		fail("node_pools must hold at least one pool")
	}
	if c.Simulation.Rules == "" {
		fail("simulation.rules must name the folder with the operators' rules")
	} else if info, err := os.Stat(c.Simulation.Rules); err != nil || !info.IsDir() {
		fail("simulation.rules: %s is not a folder", c.Simulation.Rules)
	}
	errs = append(errs, c.checkPools()...)
	errs = append(errs, c.checkStorage()...)
	return errors.Join(errs...)
}

func (c *Config) checkPools() []error {
	var errs []error
	seen := map[string]bool{}
	for _, pool := range c.NodePools {
		fail := func(format string, args ...any) {
			errs = append(errs, fmt.Errorf("node pool %q: %s", pool.Name, fmt.Sprintf(format, args...)))
		}
		if len(validation.IsDNS1123Label(pool.Name)) > 0 {
			fail("the name must be a DNS label")
		}
		if seen[pool.Name] {
			fail("the name is used twice")
		}
		seen[pool.Name] = true
		if pool.Count < 0 || pool.Count > 250 {
			fail("count %d is not between 0 and 250", pool.Count)
		}
		for key, value := range map[string]string{"cpu": pool.CPU, "memory": pool.Memory, "storage": pool.Storage} {
			if _, err := resource.ParseQuantity(value); err != nil {
				fail("%s %q is not a quantity", key, value)
			}
		}
		for key, value := range pool.Labels {
			if len(validation.IsQualifiedName(key)) > 0 || len(validation.IsValidLabelValue(value)) > 0 {
				fail("label %s=%s is not valid", key, value)
			}
		}
		effects := []corev1.TaintEffect{corev1.TaintEffectNoSchedule, corev1.TaintEffectPreferNoSchedule, corev1.TaintEffectNoExecute}
		for _, taint := range pool.Taints {
			if len(validation.IsQualifiedName(taint.Key)) > 0 || !slices.Contains(effects, taint.Effect) {
				fail("taint %s:%s is not valid", taint.Key, taint.Effect)
			}
		}
	}
	return errs
}

func (c *Config) checkStorage() []error {
	var errs []error
	defaults := 0
	for i := range c.StorageClasses {
		class := &c.StorageClasses[i]
		if class.Default {
			defaults++
		}
		if class.ReclaimPolicy == "" {
			class.ReclaimPolicy = corev1.PersistentVolumeReclaimDelete
		}
		if len(validation.IsDNS1123Subdomain(class.Name)) > 0 {
			errs = append(errs, fmt.Errorf("storage class %q: the name is not valid", class.Name))
		}
		if class.ReclaimPolicy != corev1.PersistentVolumeReclaimDelete && class.ReclaimPolicy != corev1.PersistentVolumeReclaimRetain {
			errs = append(errs, fmt.Errorf("storage class %q: reclaim_policy is Delete or Retain, not %q", class.Name, class.ReclaimPolicy))
		}
	}
	if defaults > 1 {
		errs = append(errs, errors.New("storage_classes: only one can be the default"))
	}
	return errs
}
