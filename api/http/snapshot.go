package httpapi

import (
	"errors"
	"net/http"

	"concord/node/archive"
)

// snapshotRoutes: https://developer.hashicorp.com/consul/api-docs/snapshot
var snapshotRoutes = []route{{"/v1/snapshot", getPut, (*request).snapshot}}

func (q *request) snapshot() (any, error) {
	if q.r.Method == http.MethodPut {
		return nil, q.restore()
	}
	saved, err := archive.Save(q.r.Context(), q, q.level, q.s.cfg.TempDir)
	if err != nil {
		return nil, archiveFailure(err)
	}
	defer saved.Close()
	q.describe(saved.First)
	q.w.Header().Set("Content-Type", "application/x-gzip")
	if err := saved.Write(q.w); err != nil {
		q.s.log.Error("http: failed to stream snapshot out", "from", q.r.RemoteAddr, "error", err)
		panic(http.ErrAbortHandler) // how net/http is told that the body must not look complete
	}
	return done{}, nil
}

// restore answers once the whole cluster's state is that of the archive in the body.
func (q *request) restore() error {
	m, err := archive.Restore(q.r.Context(), q, q.r.Body, q.s.cfg.TempDir)
	if err != nil {
		return archiveFailure(err)
	}
	q.s.log.Info("http: restored a snapshot", "from", q.r.RemoteAddr, "id", m.ID, "index", m.Index)
	return nil
}

func archiveFailure(err error) error {
	var refused *archive.RequestError
	if errors.As(err, &refused) {
		return failure(refused.Response)
	}
	return err
}
