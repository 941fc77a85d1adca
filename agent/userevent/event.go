// Package userevent has the user events of a datacenter as Consul's users know them: fired at any agent, told to
// all by gossip, kept for a while by those whose node and services the filters let through.
package userevent

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"

	"concord/catalog"
)

// MaxVersion is the highest Event.Version that this release understands.
const MaxVersion = 1

// RemoteExec is the name of the event that lets agents run a command.
const RemoteExec = "_rexec"

// Event is a user event. The filters are regular expressions; an empty one lets everybody through.
type Event struct {
	ID            string // UUID
	Name          string
	Payload       []byte
	NodeFilter    string
	ServiceFilter string
	TagFilter     string
	Version       int
	LTime         uint64 // Lamport time, 0 at who fires it
}

// ErrInvalid is wrapped by the errors of Validate.
var ErrInvalid = errors.New("userevent: not valid")

type invalid string

func (e invalid) Error() string        { return string(e) }
func (e invalid) Is(target error) bool { return target == ErrInvalid }

// Validate tells what is wrong with an event that is to be fired, in Consul's words.
func (e *Event) Validate() error {
	if e.Name == "" {
		return invalid("User event missing name")
	}
	if e.TagFilter != "" && e.ServiceFilter == "" {
		return invalid("Cannot provide tag filter without service filter")
	}
	for _, f := range []struct{ what, expr string }{{"node", e.NodeFilter}, {"service", e.ServiceFilter}, {"tag", e.TagFilter}} {
		if _, err := regexp.Compile(f.expr); err != nil {
			return invalid(fmt.Sprintf("Invalid %s filter: %v", f.what, err))
		}
	}
	return nil
}

// Concerns tells whether the filters let a node with these services through. An event of a later version concerns nobody.
func (e *Event) Concerns(node string, services []catalog.NodeService) bool {
	if e.Version > MaxVersion || !matches(e.NodeFilter, node) {
		return false
	}
	if e.ServiceFilter == "" {
		return true
	}
	return slices.ContainsFunc(services, func(s catalog.NodeService) bool {
		return matches(e.ServiceFilter, s.Service) &&
			(e.TagFilter == "" || slices.ContainsFunc(s.Tags, func(tag string) bool { return matches(e.TagFilter, tag) }))
	})
}

// matches tells whether the expression, if there is one, matches. One that is none comes from a member that does not check, and
// matches nothing.
func matches(expr, text string) bool {
	if expr == "" {
		return true
	}
	re, err := regexp.Compile(expr)
	return err == nil && re.MatchString(text)
}

// Index is what the blocking list of events shows as the index of an event: both halves of its UUID in one number, 0 if the
// ID is no UUID.
func (e *Event) Index() uint64 {
	if len(e.ID) != 36 {
		return 0
	}
	low, err1 := strconv.ParseUint(e.ID[0:8]+e.ID[9:13]+e.ID[14:18], 16, 64)
	high, err2 := strconv.ParseUint(e.ID[19:23]+e.ID[24:36], 16, 64)
	if err1 != nil || err2 != nil {
		return 0
	}
	return low ^ high
}
