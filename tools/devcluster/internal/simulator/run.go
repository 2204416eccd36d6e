package simulator

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/record"
	"k8s.io/klog/v2"

	"github.com/aegis/infra/tools/devcluster/internal/config"
)

const reloadInterval = time.Second

// Options are the flags of the process.
type Options struct {
	Kubeconfig string
	// Config is the cluster's configuration; it and the rules it names are read again when they change.
	Config string
}

// Run plays operators until the context ends.
func Run(ctx context.Context, options Options) error {
	settings, err := clientcmd.BuildConfigFromFlags("", options.Kubeconfig)
	if err != nil {
		return err
	}
	settings.QPS, settings.Burst = 100, 200
	client, err := kubernetes.NewForConfig(settings)
	if err != nil {
		return err
	}
	broadcaster := record.NewBroadcaster(record.WithContext(ctx))
	defer broadcaster.Shutdown()
	broadcaster.StartRecordingToSink(&typedcorev1.EventSinkImpl{Interface: client.CoreV1().Events("")})
	events := broadcaster.NewRecorder(scheme.Scheme, corev1.EventSource{Component: "devcluster-simulator"})

	var stop func()
	last := ""
	for {
		rules, version, err := load(options.Config)
		switch {
		case version == last:
		case err != nil:
			// The rules in use stay until the mistake is repaired.
			klog.ErrorS(err, "Cannot use the rules")
			last = version
		default:
			if stop != nil {
				stop()
			}
			klog.InfoS("Playing", "kinds", len(rules))
			stop, last = startEngine(ctx, settings, events, rules), version
		}
		select {
		case <-ctx.Done():
			if stop != nil {
				stop()
			}
			return nil
		case <-time.After(reloadInterval):
		}
	}
}

// startEngine runs an engine, again when it fails, and returns the function that stops it.
func startEngine(parent context.Context, settings *rest.Config, events record.EventRecorder, rules []*Rule) func() {
	ctx, cancel := context.WithCancel(parent)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			engine, err := newEngine(ctx, settings, events, rules)
			if err == nil {
				err = engine.run()
			}
			if err != nil && ctx.Err() == nil {
				klog.ErrorS(err, "Starting again")
				time.Sleep(time.Second)
			}
		}
	}()
	return func() {
		cancel()
		<-done
	}
}

// load reads the rules with the cluster's settings. The version changes with the content of any file.
func load(path string) ([]*Rule, string, error) {
	cluster, err := config.Load(path)
	if err != nil {
		return nil, err.Error(), err
	}
	version, err := contentVersion(cluster.Simulation)
	if err != nil {
		return nil, err.Error(), err
	}
	rules, err := LoadRules(cluster.Simulation)
	return rules, version, err
}

func contentVersion(simulation config.Simulation) (string, error) {
	hash := sha256.New()
	settings, err := json.Marshal(simulation)
	if err != nil {
		return "", err
	}
	hash.Write(settings)
	paths, err := filepath.Glob(filepath.Join(simulation.Rules, "*.yml"))
	if err != nil {
		return "", err
	}
	slices.Sort(paths)
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			return "", err
		}
		fmt.Fprintln(hash, path, len(data))
		hash.Write(data)
	}
	return fmt.Sprintf("%x", hash.Sum(nil)), nil
}
