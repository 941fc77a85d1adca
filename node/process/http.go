package process

import (
	"errors"
	"fmt"
	"net"

	httpapi "concord/api/http"
)

// httpDoor is the HTTP API with its listeners.
type httpDoor struct {
	p         *Process
	server    *httpapi.Server
	listeners []net.Listener
}

func openHTTP(p *Process) (*httpDoor, error) {
	d := &httpDoor{p: p, server: httpapi.New(httpapi.Config{Datacenter: p.cfg.Node.Datacenter,
		NodeName: p.cfg.Node.Name, DisableCoordinates: !p.cfg.Node.LAN.Swim.Coordinates, Headers: p.cfg.ResponseHeaders,
		MaxConnsPerClient: p.cfg.MaxHTTPConns, TempDir: p.cfg.DataDir}, p, p.log)}
	for _, addr := range p.cfg.HTTP {
		l, err := net.Listen("tcp", addr)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("cannot listen for HTTP on %s: %w: choose another port with -http-port, or -1 for none", addr, err), d.close())
		}
		d.listeners = append(d.listeners, l)
		go func() {
			if err := d.server.Serve(l); err != nil {
				p.log.Error("agent: the HTTP API stopped", "address", addr, "error", err)
			}
		}()
		p.log.Info("agent: Starting server", "address", l.Addr().String(), "network", "tcp", "protocol", "http")
	}
	return d, nil
}

func (d *httpDoor) addr() net.Addr {
	if d == nil || len(d.listeners) == 0 {
		return nil
	}
	return d.listeners[0].Addr()
}

func (d *httpDoor) close() error { return d.server.Close(d.p.closing()) }
