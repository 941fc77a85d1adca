package ipc

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"
)

// Client is a connection to an agent. It is not safe for concurrent use: after Query and Monitor have begun it is theirs.
type Client struct {
	c   *conn
	seq uint64
}

// dialTimeout bounds the connecting.
const dialTimeout = 10 * time.Second

// Dial connects to an agent at host:port or unix:///path, with the token that it wants, if it wants one.
func Dial(ctx context.Context, addr, token string) (*Client, error) {
	network, address := split(addr)
	nc, err := (&net.Dialer{Timeout: dialTimeout}).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	c := &Client{c: newConn(nc, maxAnswer)}
	err = c.call(cmdHandshake, &handshakeRequest{Version: Version}, nil)
	if err == nil && token != "" {
		err = c.call(cmdAuth, &authRequest{AuthKey: token}, nil)
	}
	if err != nil {
		nc.Close()
		return nil, err
	}
	return c, nil
}

// Close ends the connection.
func (c *Client) Close() error { return c.c.Close() }

// agentError is an error that the agent told.
type agentError struct{ text string }

func (e *agentError) Error() string { return e.text }

// call makes a request and reads the answer into what answer points to, if it is not nil. An agent that fails sends an
// answer as well, except to a client that it does not know.
func (c *Client) call(command string, body, answer any) error {
	c.seq++
	if err := c.c.write(&requestHeader{Command: command, Seq: c.seq}, body); err != nil {
		return err
	}
	err := c.header()
	var told *agentError
	if err != nil && !errors.As(err, &told) || answer == nil || told != nil && told.text == textAuthRequired {
		return err
	}
	if readErr := c.c.read(answer); err == nil {
		err = readErr
	}
	return err
}

// header reads the header of an answer to the last request; an agentError is the agent's.
func (c *Client) header() error {
	var h responseHeader
	if err := c.c.read(&h); err != nil {
		return fmt.Errorf("the agent ended the connection: %w", err)
	}
	if h.Seq != c.seq {
		return fmt.Errorf("%w: an answer to request %d, not to %d", ErrMalformed, h.Seq, c.seq)
	}
	if h.Error != "" {
		return &agentError{h.Error}
	}
	return nil
}

// Members lists the members that match.
func (c *Client) Members(f Filter) ([]Member, error) {
	var r membersResponse
	err := c.call(cmdMembersFiltered, &f, &r)
	return r.Members, err
}

// Event fires a user event.
func (c *Client) Event(name string, payload []byte, coalesce bool) error {
	return c.call(cmdEvent, &eventRequest{Name: name, Payload: payload, Coalesce: coalesce}, nil)
}

// Join lets the agent join members, and returns how many answered.
func (c *Client) Join(addrs []string, replay bool) (int, error) {
	var r joinResponse
	err := c.call(cmdJoin, &joinRequest{Existing: addrs, Replay: replay}, &r)
	return int(r.Num), err
}

// Leave lets the agent leave the pool and end.
func (c *Client) Leave() error { return c.call(cmdLeave, nil, nil) }

// ForceLeave takes a failed member for one that has left; with prune it is forgotten.
func (c *Client) ForceLeave(name string, prune bool) error {
	return c.call(cmdForceLeave, &forceLeaveRequest{Node: name, Prune: prune}, nil)
}

// ChangeTags sets and removes tags of the agent's member.
func (c *Client) ChangeTags(set map[string]string, remove []string) error {
	return c.call(cmdTags, &tagsRequest{Tags: set, DeleteTags: remove}, nil)
}

// Keys carries out an operation on the keyrings of all members.
func (c *Client) Keys(operation, key string) (r KeyResponse, err error) {
	if operation == ListKeys {
		err = c.call(operation, nil, &r)
	} else {
		err = c.call(operation, &keyRequest{Key: key}, &r)
	}
	return r, err
}

// Stats returns what the agent counts.
func (c *Client) Stats() (s Stats, err error) {
	err = c.call(cmdStats, nil, &s)
	return s, err
}

// Coordinate returns the network coordinate of a member, and whether it is known.
func (c *Client) Coordinate(node string) (Coordinate, bool, error) {
	var r coordinateResponse
	err := c.call(cmdCoordinate, &coordinateRequest{Node: node}, &r)
	return r.Coord, r.Ok, err
}

// Query asks the pool. What next returns are the records, the last of which is RecordDone.
func (c *Client) Query(q Query) (next func() (QueryRecord, error), err error) {
	if err := c.call(cmdQuery, &q, nil); err != nil {
		return nil, err
	}
	return func() (r QueryRecord, err error) {
		if err = c.header(); err == nil {
			err = c.c.read(&r)
		}
		return r, err
	}, nil
}

// Monitor reads the agent's log. What next returns are its lines, those of the past first.
func (c *Client) Monitor(level string) (next func() (string, error), err error) {
	if err := c.call(cmdMonitor, &monitorRequest{LogLevel: level}, nil); err != nil {
		return nil, err
	}
	return func() (string, error) {
		var r logRecord
		err := c.header()
		if err == nil {
			err = c.c.read(&r)
		}
		return r.Log, err
	}, nil
}
