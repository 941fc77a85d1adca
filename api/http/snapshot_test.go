package httpapi

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"concord/catalog"
	"concord/node/archive"
	"concord/wire"
)

func TestSnapshot(t *testing.T) {
	t.Parallel()
	page := answer(&catalog.SnapshotPage{Index: 7, Term: 2})
	w := request1(t, &fake{resp: page}, "GET", "/v1/snapshot?stale", "")
	require.Equal(t, 200, w.Code)
	require.Equal(t, "application/x-gzip", w.Header().Get("Content-Type"))
	require.Equal(t, "7", w.Header().Get("X-Consul-Index"))
	require.Equal(t, "true", w.Header().Get("X-Consul-KnownLeader"))
	require.Equal(t, "0", w.Header().Get("X-Consul-LastContact"))
	m, err := archive.Read(bytes.NewReader(w.Body.Bytes()), func([]byte) error { return nil })
	require.NoError(t, err)
	require.Equal(t, archive.Meta{Version: archive.Version, ID: m.ID, Index: 7, Term: 2, Size: 9}, m)

	f := &fake{resp: page}
	request1(t, f, "GET", "/v1/snapshot?stale", "")
	require.Equal(t, wire.Stale, f.asked.Read.Consistency)
	f = &fake{resp: written}
	w2 := request1(t, f, "PUT", "/v1/snapshot", w.Body.String())
	require.Equal(t, 200, w2.Code, w2.Body)
	require.Empty(t, w2.Body)
	last, err := wire.DecodeRestore(f.asked.Command)
	require.NoError(t, err)
	require.Equal(t, wire.Restore{Step: wire.RestoreEnd, ID: last.ID, Index: 7}, last)

	for _, c := range []struct {
		method, target, body string
		resp                 *wire.Response
		code                 int
		want                 string
	}{
		{"PUT", "/v1/snapshot", "hello", nil, 500, "failed to decompress snapshot: unexpected EOF"},
		{"PUT", "/v1/snapshot", w.Body.String(), &wire.Response{Code: wire.Refused, Err: "no"}, 400, "no"},
		{"GET", "/v1/snapshot", "", &wire.Response{Code: wire.NoLeader}, 500, "No cluster leader"},
		{"GET", "/v1/snapshot", "", answer([]string{}), 500, "the servers run another version"},
		{"GET", "/v1/snapshot?dc=dc9", "", noPath, 500, "No path to datacenter"},
		{"POST", "/v1/snapshot", "", nil, 405, "method POST not allowed"},
	} {
		got := request1(t, &fake{resp: c.resp}, c.method, c.target, c.body)
		require.Equal(t, c.code, got.Code, c.want)
		require.Contains(t, got.Body.String(), c.want)
	}
}
