// Package pki makes and renews the keys and certificates of a development cluster.
package pki

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"time"
)

const (
	authorityLifetime = 10 * 365 * 24 * time.Hour
	leafLifetime      = 365 * 24 * time.Hour
	// RenewBefore is how long before its end a certificate is made anew.
	RenewBefore = 30 * 24 * time.Hour
)

// Names of the authorities. Each is a pair of files <name>.crt and <name>.key.
const (
	ClusterCA    = "ca"
	EtcdCA       = "etcd-ca"
	FrontProxyCA = "front-proxy-ca"
	// ServiceAccountKey signs the tokens of service accounts; it has no certificate.
	ServiceAccountKey = "service-account"
)

// Leaf describes a certificate signed by one of the authorities.
type Leaf struct {
	Name          string
	Authority     string
	CommonName    string
	Organizations []string
	// Hosts are the DNS names and addresses of a serving certificate.
	Hosts []string
	// Server and Client say what the certificate may be used for.
	Server, Client bool
}

// Store is a folder with keys and certificates.
type Store struct {
	Dir string
	Now func() time.Time
}

// Certificate returns the path of a certificate.
func (s *Store) Certificate(name string) string { return filepath.Join(s.Dir, name+".crt") }

// Key returns the path of a private key.
func (s *Store) Key(name string) string { return filepath.Join(s.Dir, name+".key") }

// Ensure makes every missing, ending or wrongly made certificate and returns the names of those it made.
// With dryRun it only names them.
func (s *Store) Ensure(leaves []Leaf, dryRun bool) ([]string, error) {
	if !dryRun {
		if err := os.MkdirAll(s.Dir, 0o700); err != nil {
			return nil, err
		}
	}
	var made []string
	renewed := map[string]bool{}
	for _, name := range []string{ClusterCA, EtcdCA, FrontProxyCA} {
		if s.authorityGood(name) {
			continue
		}
		renewed[name] = true
		made = append(made, name)
		if !dryRun {
			if err := s.makeAuthority(name); err != nil {
				return nil, err
			}
		}
	}
	for _, leaf := range leaves {
		if !renewed[leaf.Authority] && s.leafGood(leaf) {
			continue
		}
		made = append(made, leaf.Name)
		if !dryRun {
			if err := s.makeLeaf(leaf); err != nil {
				return nil, err
			}
		}
	}
	if _, err := os.Stat(s.Key(ServiceAccountKey)); errors.Is(err, os.ErrNotExist) {
		made = append(made, ServiceAccountKey)
		if !dryRun {
			if _, err := s.newKey(ServiceAccountKey); err != nil {
				return nil, err
			}
		}
	}
	return made, nil
}

func (s *Store) authorityGood(name string) bool {
	certificate, key, err := s.load(name)
	return err == nil && s.lasts(certificate) && matches(certificate, key)
}

func (s *Store) leafGood(leaf Leaf) bool {
	certificate, key, err := s.load(leaf.Name)
	if err != nil || !s.lasts(certificate) || !matches(certificate, key) {
		return false
	}
	authority, _, err := s.load(leaf.Authority)
	if err != nil || certificate.CheckSignatureFrom(authority) != nil {
		return false
	}
	for _, host := range leaf.Hosts {
		if certificate.VerifyHostname(host) != nil {
			return false
		}
	}
	return certificate.Subject.CommonName == leaf.CommonName &&
		slices.Equal(certificate.Subject.Organization, leaf.Organizations)
}

// lasts tells whether the certificate is valid now and for a while.
func (s *Store) lasts(certificate *x509.Certificate) bool {
	now := s.Now()
	return now.After(certificate.NotBefore) && now.Add(RenewBefore).Before(certificate.NotAfter)
}

func matches(certificate *x509.Certificate, key *ecdsa.PrivateKey) bool {
	public, ok := certificate.PublicKey.(*ecdsa.PublicKey)
	return ok && public.Equal(&key.PublicKey)
}

func (s *Store) load(name string) (*x509.Certificate, *ecdsa.PrivateKey, error) {
	certificatePEM, err := os.ReadFile(s.Certificate(name))
	if err != nil {
		return nil, nil, err
	}
	keyPEM, err := os.ReadFile(s.Key(name))
	if err != nil {
		return nil, nil, err
	}
	certificateBlock, _ := pem.Decode(certificatePEM)
	keyBlock, _ := pem.Decode(keyPEM)
	if certificateBlock == nil || keyBlock == nil {
		return nil, nil, fmt.Errorf("%s is not in PEM form", name)
	}
	certificate, err := x509.ParseCertificate(certificateBlock.Bytes)
	if err != nil {
		return nil, nil, err
	}
	key, err := x509.ParseECPrivateKey(keyBlock.Bytes)
	return certificate, key, err
}

func (s *Store) makeAuthority(name string) error {
	key, err := s.newKey(name)
	if err != nil {
		return err
	}
	template := &x509.Certificate{
		Subject:               pkix.Name{CommonName: "devcluster " + name},
		NotAfter:              s.Now().Add(authorityLifetime),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature | x509.KeyUsageCRLSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
	}
	return s.sign(name, template, template, &key.PublicKey, key)
}

func (s *Store) makeLeaf(leaf Leaf) error {
	authority, authorityKey, err := s.load(leaf.Authority)
	if err != nil {
		return err
	}
	key, err := s.newKey(leaf.Name)
	if err != nil {
		return err
	}
	template := &x509.Certificate{
		Subject:  pkix.Name{CommonName: leaf.CommonName, Organization: leaf.Organizations},
		NotAfter: s.Now().Add(leafLifetime),
		KeyUsage: x509.KeyUsageDigitalSignature,
	}
	if leaf.Server {
		template.ExtKeyUsage = append(template.ExtKeyUsage, x509.ExtKeyUsageServerAuth)
	}
	if leaf.Client {
		template.ExtKeyUsage = append(template.ExtKeyUsage, x509.ExtKeyUsageClientAuth)
	}
	for _, host := range leaf.Hosts {
		if ip := net.ParseIP(host); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, host)
		}
	}
	return s.sign(leaf.Name, template, authority, &key.PublicKey, authorityKey)
}

func (s *Store) sign(name string, template, parent *x509.Certificate, public crypto.PublicKey, signer crypto.Signer) error {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return err
	}
	template.SerialNumber = serial
	// A little in the past, for clocks that are set back.
	template.NotBefore = s.Now().Add(-5 * time.Minute)
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, signer)
	if err != nil {
		return err
	}
	return writePEM(s.Certificate(name), "CERTIFICATE", der)
}

func (s *Store) newKey(name string) (*ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return nil, err
	}
	return key, writePEM(s.Key(name), "EC PRIVATE KEY", der)
}

func writePEM(path, kind string, der []byte) error {
	var out bytes.Buffer
	if err := pem.Encode(&out, &pem.Block{Type: kind, Bytes: der}); err != nil {
		return err
	}
	return os.WriteFile(path, out.Bytes(), 0o600)
}
