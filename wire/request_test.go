package wire

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// The number of a request is that of the request decoded whole, whatever else is in it.
func FuzzRequestID(f *testing.F) {
	for seed := range 20 {
		q := genRequest.Example(seed)
		f.Add(AppendRequest(nil, &q))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		id, ok := RequestID(in)
		if q, err := DecodeRequest(in); err == nil {
			require.True(t, ok)
			require.Equal(t, q.ID, id)
		}
	})
}

// A release that knew of one datacenter alone left the field out.
func TestRequestWithoutDatacenter(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		q := genRequest.Draw(t, "request")
		q.Datacenter = ""
		p := AppendRequest(nil, &q)
		older := bytes.Clone(p[:len(p)-1]) // without the empty text
		require.Equal(t, byte(0x97), older[1])
		older[1]--
		again, err := DecodeRequest(older)
		require.NoError(t, err)
		require.Equal(t, q, again)
	})
}
