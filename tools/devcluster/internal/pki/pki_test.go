package pki

import (
	"crypto/x509"
	"os"
	"slices"
	"testing"
	"time"
)

var leaves = []Leaf{
	{Name: "server", Authority: ClusterCA, CommonName: "server", Hosts: []string{"localhost", "127.0.0.1"}, Server: true},
	{Name: "admin", Authority: ClusterCA, CommonName: "admin", Organizations: []string{"system:masters"}, Client: true},
}

func ensure(t *testing.T, store *Store, leaves []Leaf) []string {
	t.Helper()
	made, err := store.Ensure(leaves, false)
	if err != nil {
		t.Fatal(err)
	}
	return made
}

func TestEnsure(t *testing.T) {
	now := time.Now()
	store := &Store{Dir: t.TempDir(), Now: func() time.Time { return now }}

	if made := ensure(t, store, leaves); len(made) != 6 {
		t.Errorf("first run made %v", made)
	}
	server, _, err := store.load("server")
	if err != nil {
		t.Fatal(err)
	}
	authority, _, _ := store.load(ClusterCA)
	pool := x509.NewCertPool()
	pool.AddCert(authority)
	if _, err := server.Verify(x509.VerifyOptions{Roots: pool, DNSName: "localhost"}); err != nil {
		t.Error(err)
	}
	if info, _ := os.Stat(store.Key("server")); info.Mode().Perm() != 0o600 {
		t.Errorf("the key has mode %s", info.Mode())
	}

	if made := ensure(t, store, leaves); len(made) != 0 {
		t.Errorf("second run made %v", made)
	}
}

func TestEnsureRenews(t *testing.T) {
	now := time.Now()
	store := &Store{Dir: t.TempDir(), Now: func() time.Time { return now }}
	ensure(t, store, leaves)
	start := now

	now = start.Add(leafLifetime - RenewBefore - time.Hour)
	if made := ensure(t, store, leaves); len(made) != 0 {
		t.Errorf("renewed too early: %v", made)
	}
	now = start.Add(leafLifetime - RenewBefore + time.Hour)
	if made, _ := store.Ensure(leaves, true); !slices.Equal(made, []string{"server", "admin"}) {
		t.Errorf("would renew %v", made)
	}
	if made := ensure(t, store, leaves); !slices.Equal(made, []string{"server", "admin"}) {
		t.Errorf("renewed %v", made)
	}

	// A new authority makes its certificates worthless, those of other authorities not.
	if err := os.Remove(store.Certificate(ClusterCA)); err != nil {
		t.Fatal(err)
	}
	if made := ensure(t, store, leaves); !slices.Equal(made, []string{ClusterCA, "server", "admin"}) {
		t.Errorf("after the loss of the authority made %v", made)
	}

	changed := slices.Clone(leaves)
	changed[0].Hosts = append(slices.Clone(changed[0].Hosts), "10.96.0.1")
	if made := ensure(t, store, changed); !slices.Equal(made, []string{"server"}) {
		t.Errorf("after a new host made %v", made)
	}
}
