package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"concord/gossip"
)

// keyringFake remembers what it was asked.
type keyringFake struct {
	fake
	req       KeyringRequest
	responses []KeyringResponse
	err       error
}

func (f *fake) Keyring(context.Context, KeyringRequest) ([]KeyringResponse, error) { return nil, nil }
func (f *keyringFake) Keyring(_ context.Context, req KeyringRequest) ([]KeyringResponse, error) {
	f.req = req
	return f.responses, f.err
}

func TestKeyringRequests(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		method, target, body string
		want                 KeyringRequest
	}{
		{"GET", "", "", KeyringRequest{KeyRequest: gossip.KeyRequest{Op: gossip.ListKeys}}},
		{"GET", "?local-only=true", "", KeyringRequest{KeyRequest: gossip.KeyRequest{Op: gossip.ListKeys}, LocalOnly: true}},
		{"POST", "?relay-factor=5", `{"Key":"abc"}`, KeyringRequest{KeyRequest: gossip.KeyRequest{Op: gossip.InstallKey, Key: "abc", Relay: 5}}},
		{"PUT", "", `{"Key":"abc"}`, KeyringRequest{KeyRequest: gossip.KeyRequest{Op: gossip.UseKey, Key: "abc"}}},
		{"DELETE", "", `{"Key":"abc"}`, KeyringRequest{KeyRequest: gossip.KeyRequest{Op: gossip.RemoveKey, Key: "abc"}}},
	} {
		f := &keyringFake{}
		w := serve(t, f, c.method, "/v1/operator/keyring"+c.target, c.body)
		require.Equal(t, 200, w.Code, w.Body.String())
		require.Equal(t, c.want, f.req)
	}
	for _, c := range []struct{ method, target, body, want string }{
		{"POST", "", "{", "Bad request: Request decode failed: unexpected EOF"},
		{"GET", "?relay-factor=6", "", "Bad request: Invalid relay-factor: Relay factor must be in range: [0, 5]"},
		{"GET", "?relay-factor=x", "", "Error parsing relay factor"},
		{"GET", "?local-only=x", "", "Error parsing local-only"},
		{"PUT", "?local-only=1", `{}`, "Invalid use of local-only: local-only can only be set for list requests"},
	} {
		w := serve(t, &keyringFake{}, c.method, "/v1/operator/keyring"+c.target, c.body)
		require.Equal(t, 400, w.Code)
		require.Contains(t, w.Body.String(), c.want)
	}
	require.Equal(t, 405, serve(t, &keyringFake{}, "PATCH", "/v1/operator/keyring", "").Code)
}

func TestKeyringList(t *testing.T) {
	t.Parallel()
	keys := map[string]int{"k1": 2, "k2": 1}
	f := &keyringFake{responses: []KeyringResponse{{WAN: true, Datacenter: "dc1", Keys: keys, PrimaryKeys: map[string]int{"k1": 2}, NumNodes: 2}}}
	w := serve(t, f, "GET", "/v1/operator/keyring", "")
	require.JSONEq(t, `[{"WAN":true,"Datacenter":"dc1","Segment":"","Keys":{"k1":2,"k2":1},"PrimaryKeys":{"k1":2},"NumNodes":2}]`, w.Body.String())
	var again []KeyringResponse
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &again))
	require.Equal(t, f.responses, again)
}

func TestKeyringErrors(t *testing.T) {
	t.Parallel()
	f := &keyringFake{responses: []KeyringResponse{
		{WAN: true, Datacenter: "dc1"},
		{Datacenter: "dc1", Error: "1/2 nodes reported failure", Messages: map[string]string{"n2": "disk full"}},
	}}
	w := serve(t, f, "PUT", "/v1/operator/keyring", `{"Key":"abc"}`)
	require.Equal(t, 500, w.Code)
	require.Equal(t, "2 errors occurred:\n\t* dc1 (LAN) error: 1/2 nodes reported failure\n\t* n2: disk full\n\n", w.Body.String())
	f = &keyringFake{err: errors.New("keyring operations must run against a server node")}
	w = serve(t, f, "GET", "/v1/operator/keyring", "")
	require.Equal(t, 500, w.Code)
	require.Contains(t, w.Body.String(), "keyring operations must run against a server node")
}
