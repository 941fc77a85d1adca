package httpapi

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"concord/gossip"
)

// keyOps are what the methods of /v1/operator/keyring do
// (https://developer.hashicorp.com/consul/api-docs/operator/keyring).
var keyOps = map[string]gossip.KeyOp{http.MethodGet: gossip.ListKeys, http.MethodPost: gossip.InstallKey, http.MethodPut: gossip.UseKey,
	http.MethodDelete: gossip.RemoveKey}

var keyringMethods = []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodDelete}

// maxKeyringBody bounds the body of a request in bytes.
const maxKeyringBody = 4 << 10

// maxRelay is the highest relay factor.
const maxRelay = 5

func (q *request) keyring() (any, error) {
	req, err := q.keyringRequest()
	if err != nil {
		return nil, err
	}
	responses, err := q.s.backend.Keyring(q.r.Context(), req)
	if err == nil {
		err = keyringErrors(responses)
	}
	if err != nil || req.Op != gossip.ListKeys {
		return nil, err
	}
	return responses, nil
}

func (q *request) keyringRequest() (KeyringRequest, error) {
	req := KeyringRequest{KeyRequest: gossip.KeyRequest{Op: keyOps[q.r.Method]}}
	if req.Op != gossip.ListKeys {
		var body struct{ Key string }
		text, err := q.body(maxKeyringBody)
		if err == nil {
			err = json.NewDecoder(bytes.NewReader(text)).Decode(&body)
		}
		if err != nil {
			return req, badRequest("Bad request: Request decode failed: %v", err)
		}
		req.Key = body.Key
	}
	if v := q.params.Get("relay-factor"); v != "" {
		n, err := strconv.Atoi(v)
		if err != nil {
			return req, badRequest("Bad request: Error parsing relay factor: %v", err)
		}
		if n < 0 || n > maxRelay {
			return req, badRequest("Bad request: Invalid relay-factor: Relay factor must be in range: [0, %d]", maxRelay)
		}
		req.Relay = n
	}
	if v := q.params.Get("local-only"); v != "" {
		var err error
		if req.LocalOnly, err = strconv.ParseBool(v); err != nil {
			return req, badRequest("Bad request: Error parsing local-only: %v", err)
		}
		if req.LocalOnly && req.Op != gossip.ListKeys {
			return req, badRequest("Bad request: Invalid use of local-only: local-only can only be set for list requests")
		}
	}
	return req, nil
}

// keyringErrors is what failed in any pool, each with what its members say; nil if nothing did.
func keyringErrors(responses []KeyringResponse) error {
	var lines []string
	for _, r := range responses {
		if r.Error == "" {
			continue
		}
		pool := r.Datacenter + " (LAN)"
		if r.WAN {
			pool = "WAN"
		}
		lines = append(lines, fmt.Sprintf("%s error: %s", pool, r.Error))
		for _, node := range slices.Sorted(maps.Keys(r.Messages)) {
			lines = append(lines, fmt.Sprintf("%s: %s", node, r.Messages[node]))
		}
	}
	switch len(lines) {
	case 0:
		return nil
	case 1:
		return fmt.Errorf("1 error occurred:\n\t* %s\n\n", lines[0])
	}
	return fmt.Errorf("%d errors occurred:\n\t* %s\n\n", len(lines), strings.Join(lines, "\n\t* "))
}
