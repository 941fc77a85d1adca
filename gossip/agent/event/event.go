// Package event has what a gossip agent tells its scripts and clients: changes of membership, user events and queries,
// the filters by which each of them chooses, and the coalescing of bursts.
package event

import (
	"fmt"
	"slices"
	"strings"

	"concord/swim"
)

// The types of events beside those of membership, which are named by swim.EventType.
const (
	User  = "user"
	Query = "query"
	All   = "*"
)

// memberTypes are the changes of membership in the order in which those of one moment are told.
var memberTypes = []string{
	swim.EventJoin.String(), swim.EventLeave.String(), swim.EventFailed.String(), swim.EventUpdate.String(), swim.EventReap.String(),
}

// Event is something that happened in the pool.
type Event struct {
	Type    string        // member-join, ..., User or Query
	Members []swim.Member // whom a change of membership is about
	User    swim.UserEvent
	Query   swim.Question
}

// OfUser returns a user event as an event.
func OfUser(e swim.UserEvent) Event { return Event{Type: User, User: e} }

// OfQuery returns a question as an event.
func OfQuery(q swim.Question) Event { return Event{Type: Query, Query: q} }

// String describes the event for the log, as Serf does. Names that others chose cannot begin a line of their own.
func (e *Event) String() string {
	switch e.Type {
	case User:
		return "user-event: " + oneLine(e.User.Name)
	case Query:
		return "query: " + oneLine(e.Query.Name)
	}
	return e.Type
}

func oneLine(s string) string {
	if strings.ContainsFunc(s, func(r rune) bool { return r < ' ' }) {
		return fmt.Sprintf("%q", s)
	}
	return s
}

// Filter chooses events.
type Filter struct {
	Type string // of the event, or "*"
	Name string // of a user event or query, "" for all of them
}

// ParseFilters reads a list of filters: types separated by commas, each with the name of one event or query if it says so
// ("member-join,user:deploy"). Nothing chooses everything.
func ParseFilters(s string) ([]Filter, error) {
	if s == "" {
		return []Filter{{Type: All}}, nil
	}
	var out []Filter
	for _, part := range strings.Split(s, ",") {
		f := Filter{Type: part}
		if kind, name, ok := strings.Cut(part, ":"); ok && (kind == User || kind == Query) {
			f = Filter{Type: kind, Name: name}
		}
		if f.Type != All && f.Type != User && f.Type != Query && !slices.Contains(memberTypes, f.Type) {
			return nil, fmt.Errorf("event: %q is no type of event: it must be %s, user, user:NAME, query, query:NAME or *", part, strings.Join(memberTypes, ", "))
		}
		out = append(out, f)
	}
	return out, nil
}

// String is the filter as Serf shows it.
func (f Filter) String() string { return f.Type + ":" + f.Name }

// Match tells whether the filter chooses the event.
func (f Filter) Match(e *Event) bool {
	switch {
	case f.Type == All:
		return true
	case f.Type != e.Type:
		return false
	case f.Name == "":
		return true
	case e.Type == User:
		return f.Name == e.User.Name
	}
	return f.Name == e.Query.Name
}

// MatchAny tells whether one of the filters chooses the event.
func MatchAny(filters []Filter, e *Event) bool {
	return slices.ContainsFunc(filters, func(f Filter) bool { return f.Match(e) })
}
