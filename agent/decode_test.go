package agent

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"concord/catalog"
)

func object(t *testing.T, text string) map[string]any {
	t.Helper()
	var m map[string]any
	require.NoError(t, json.Unmarshal([]byte(text), &m))
	return m
}

func TestDecodeService(t *testing.T) {
	t.Parallel()
	want := ServiceDefinition{
		ID: "web1", Name: "web", Tags: []string{"a", "b"}, Address: "10.0.0.1", Port: 80,
		TaggedAddresses: map[string]catalog.ServiceAddress{"lan": {Address: "1.2.3.4", Port: 81}},
		Meta:            map[string]string{"k": "v"}, Weights: &catalog.Weights{Passing: 5, Warning: 1}, EnableTagOverride: true,
		Checks: []CheckDefinition{
			{TTL: 10 * time.Second, DeregisterCriticalServiceAfter: time.Minute},
			{ID: "h", Name: "n", HTTP: "http://x", Method: "PUT", Header: map[string][]string{"A": {"b"}}, Interval: time.Second, Timeout: 2, TLSSkipVerify: true},
		},
	}
	for name, text := range map[string]string{
		"API": `{"ID":"web1","Name":"web","Tags":["a","b"],"Address":"10.0.0.1","Port":80,"TaggedAddresses":{"lan":{"Address":"1.2.3.4","Port":81}},
			"Meta":{"k":"v"},"Weights":{"Passing":5},"EnableTagOverride":true,"Namespace":"","Proxy":null,"Connect":{},
			"Check":{"TTL":"10s","DeregisterCriticalServiceAfter":"1m","Shell":""},
			"Checks":[{"CheckID":"h","Name":"n","HTTP":"http://x","Method":"PUT","Header":{"A":["b"]},"Interval":"1s","Timeout":2,"TLSSkipVerify":true,"ScriptArgs":[]}]}`,
		"configuration": `{"id":"web1","name":"web","tags":["a","b"],"address":"10.0.0.1","port":80,"tagged_addresses":{"lan":{"address":"1.2.3.4","port":81}},
			"meta":{"k":"v"},"weights":{"passing":5},"enable_tag_override":true,
			"check":{"ttl":"10s","deregister_critical_service_after":"1m"},
			"checks":[{"id":"h","name":"n","http":"http://x","method":"PUT","header":{"A":["b"]},"interval":"1s","timeout":2,"tls_skip_verify":true}]}`,
	} {
		got, unsupported, err := DecodeService(object(t, text))
		require.NoError(t, err, name)
		require.Empty(t, unsupported, name)
		require.Equal(t, want, got, name)
	}
	// As an HCL parser gives it.
	got, _, err := DecodeService(map[string]any{"name": "web", "port": 80, "meta": []map[string]any{{"k": "v"}}, "check": []map[string]any{{"ttl": "1s"}, {"tcp": "x:1"}}})
	require.NoError(t, err)
	require.Equal(t, ServiceDefinition{Name: "web", Port: 80, Meta: map[string]string{"k": "v"}, Checks: []CheckDefinition{{TTL: time.Second}, {TCP: "x:1"}}}, got)
}

func TestDecodeProblems(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`{"Nmae":"web"}`:              "Nmae: unknown key of a service",
		`{"Name":1}`:                  "Name: must be a string, not 1",
		`{"Port":1.5}`:                "Port: must be a whole number, not 1.5",
		`{"Port":"80"}`:               "Port: must be a whole number, not 80",
		`{"Tags":"a"}`:                "Tags: must be a list of strings",
		`{"Tags":[1]}`:                "Tags: must be a string, not 1",
		`{"Meta":{"a":1}}`:            "Meta.a: must be a string",
		`{"Meta":3}`:                  "Meta: must be an object",
		`{"EnableTagOverride":"yes"}`: "EnableTagOverride: must be true or false",
		`{"name":"a","Name":"b"}`:     "name: it is also given as Name",
		`{"Checks":[{"TTL":"10s"},{"TTL":"10"}]}`:  `Checks[1].TTL: must be a duration such as "10s", not "10"`,
		`{"Check":{"TTL":true}}`:                   `Check.TTL: must be a duration`,
		`{"Check":{"Tll":"1s"}}`:                   "Check.Tll: unknown key of a check",
		`{"Checks":["x"]}`:                         "Checks: must be an object or a list",
		`{"Check":{"ScriptArgs":["true"]}}`:        "Check.ScriptArgs: checks of this kind are not supported",
		`{"Check":{"GRPC":"x:1","Interval":"1s"}}`: "Check.GRPC: checks of this kind",
		`{"Check":{"ID":"a","CheckID":"b"}}`:       `the check's ID is also given as`,
		`{"Weights":{"Pass":1}}`:                   "Weights.Pass: unknown key of weights",
		`{"TaggedAddresses":{"lan":{"Host":"x"}}}`: "TaggedAddresses.lan.Host: unknown key",
	} {
		_, _, err := DecodeService(object(t, text))
		require.ErrorContains(t, err, want)
	}
	_, unsupported, err := DecodeService(object(t, `{"Name":"web","Token":"t","Proxy":{"x":1},"Check":{"TTL":"1s","Namespace":"n"}}`))
	require.NoError(t, err)
	require.Equal(t, Unsupported{"Check.Namespace", "Proxy", "Token"}, unsupported)
	_, _, err = DecodeCheck(object(t, `{"Name":"c","UDP":"x:1"}`))
	var kind *UnsupportedCheckError
	require.ErrorAs(t, err, &kind)
	require.Equal(t, "UDP", kind.Key)
	check, _, err := DecodeCheck(object(t, `{"id":"c","CheckID":"c","alias_node":"n","service_id":"web","notes":"x","status":"passing","output_max_size":5}`))
	require.NoError(t, err)
	require.Equal(t, CheckDefinition{ID: "c", AliasNode: "n", ServiceID: "web", Notes: "x", Status: "passing", OutputMaxSize: 5}, check)
}

// FuzzDecode: whatever the body, it is decoded or refused; and what is valid can be registered.
func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"Name":"web","Port":80,"Check":{"TTL":"10s"},"Meta":{"a":"b"}}`))
	f.Add([]byte(`{"name":"web","checks":[{"http":"http://x","interval":"1s","header":{"a":["b"]}}],"tagged_addresses":{"lan":{"port":1}}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		var m map[string]any
		d := json.NewDecoder(bytes.NewReader(body))
		d.UseNumber()
		if d.Decode(&m) != nil {
			return
		}
		_, _, _ = DecodeCheck(m)
		def, _, err := DecodeService(m)
		if err != nil {
			return
		}
		w := newWorld(t, testConfig(), 1)
		if w.local.AddService(0, def) == nil {
			w.local.Tick(0)
			w.serve()
			w.requireInSync()
		}
	})
}
