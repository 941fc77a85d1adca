package process

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/hashicorp/go-hclog"
	"github.com/stretchr/testify/require"

	"concord/gossip"
	"concord/node"
	"concord/node/runner"
)

const (
	keyA = "AAAAAAAAAAAAAAAAAAAAAA=="
	keyB = "AQEBAQEBAQEBAQEBAQEBAQ=="
)

// opened is what a start with the configuration finds or makes of keyrings, and the log.
func opened(t *testing.T, dir string, cfg Config) (node.Config, string, error) {
	t.Helper()
	var log bytes.Buffer
	p := &Process{cfg: cfg, log: hclog.New(&hclog.LoggerOptions{Output: &log})}
	p.cfg.Node.Server, p.cfg.SerfWANPort = true, 8302
	if dir != "" {
		var err error
		p.files, err = runner.OpenFiles(filepath.Join(dir, "serf"))
		require.NoError(t, err)
	}
	c := p.cfg.Node
	err := p.keyrings(&c)
	require.Equal(t, c.LAN.Keyring != nil, p.Encrypted())
	return c, log.String(), err
}

func TestKeyringFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c, _, err := opened(t, dir, Config{})
	require.NoError(t, err)
	require.Nil(t, c.LAN.Keyring)

	c, log, err := opened(t, dir, Config{EncryptKey: keyA})
	require.NoError(t, err)
	require.Equal(t, []string{keyA}, c.LAN.Keyring.List())
	require.Equal(t, []string{keyA}, c.WAN.Keyring.List())
	require.True(t, c.LAN.KeepKeyring)
	require.Empty(t, log)
	for _, name := range []string{"local.keyring", "remote.keyring"} {
		path := filepath.Join(dir, "serf", name)
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		require.JSONEq(t, `["`+keyA+`"]`, string(text))
		info, err := os.Stat(path)
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	}

	// From now on the files count.
	c, log, err = opened(t, dir, Config{EncryptKey: keyB})
	require.NoError(t, err)
	require.Equal(t, []string{keyA}, c.LAN.Keyring.List())
	require.Contains(t, log, "LAN keyring exists but -encrypt given, using keyring")
	require.NotContains(t, log, keyA)
	require.NotContains(t, log, keyB)
	c, log, err = opened(t, dir, Config{})
	require.NoError(t, err)
	require.Equal(t, []string{keyA}, c.LAN.Keyring.List())
	require.Empty(t, log)
	c, _, err = opened(t, dir, Config{EncryptKey: keyB, DisableKeyringFile: true})
	require.NoError(t, err)
	require.Equal(t, []string{keyB}, c.LAN.Keyring.List())
	require.False(t, c.LAN.KeepKeyring)

	// A client agent that becomes a server begins the WAN pool with its keys.
	require.NoError(t, os.Remove(filepath.Join(dir, "serf", "remote.keyring")))
	c, _, err = opened(t, dir, Config{})
	require.NoError(t, err)
	require.Equal(t, []string{keyA}, c.WAN.Keyring.List())
	require.NotSame(t, c.LAN.Keyring, c.WAN.Keyring)

	require.NoError(t, os.WriteFile(filepath.Join(dir, "serf", "local.keyring"), []byte("[]"), 0o600))
	_, _, err = opened(t, dir, Config{EncryptKey: keyA})
	require.ErrorIs(t, err, gossip.ErrNoKeys)
	require.ErrorContains(t, err, "local.keyring")
}

func TestKeyringInMemory(t *testing.T) {
	t.Parallel()
	c, _, err := opened(t, "", Config{EncryptKey: keyA})
	require.NoError(t, err)
	require.Equal(t, []string{keyA}, c.LAN.Keyring.List())
	require.False(t, c.LAN.KeepKeyring)
	_, _, err = opened(t, "", Config{EncryptKey: "AAAA"})
	require.ErrorContains(t, err, "key size must be 16, 24 or 32 bytes")
}
