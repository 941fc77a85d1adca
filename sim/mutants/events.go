package mutants

var events = []Mutant{
	{Name: "event-again-after-restart", What: "an agent that restarts delivers events of its former life again", File: "swim/event.go",
		Old: "since: now, recent: newHistory[*heardEvent](cfg.EventBuffer, cfg.EventClock)}", New: "since: beginning, recent: newHistory[*heardEvent](cfg.EventBuffer, 0)}"},
	{Name: "old-events-replayed", What: "an agent delivers events from before it began", File: "swim/event.go",
		Old: "		if h.fired < n.events.since {\n", New: "		if h.fired < beginning {\n"},
	{Name: "event-stays-at-home", What: "an event is told to nobody else, and no difference is noticed", File: "swim/event.go",
		Old: "	n.events.last = n.rememberEvent(e, true)\n", New: "	n.deliverEvent(&heardEvent{UserEvent: e, fired: n.now})\n"},
}
