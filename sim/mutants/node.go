package mutants

var storage = []Mutant{
	{Name: "hard-state-dropped", What: "a write of entries leaves out the hard state that comes with it", File: "node/disk.go",
		Old: "if err := w.Add(t.HardState, t.Entries); err != nil {", New: "if len(t.Entries) > 0 {\n\t\t\t\tt.HardState = nil\n\t\t\t}\n\t\t\tif err := w.Add(t.HardState, t.Entries); err != nil {"},
	{Name: "old-tail-kept", What: "entries behind an overwritten one come back after a restart", File: "store/raftlog/recover.go",
		Old: "	r.l.index.put(e.Index, at)\n	r.terms.put(e.Index, e.Term)\n	s.LastIndex = e.Index\n",
		New: "	if s.LastIndex >= e.Index {\n		r.l.index.items[e.Index-r.l.index.first], r.terms.items[e.Index-r.terms.first] = at, e.Term\n		return nil\n	}\n	r.l.index.put(e.Index, at)\n	r.terms.put(e.Index, e.Term)\n	s.LastIndex = e.Index\n"},
	{Name: "flush-lies", What: "the state is said to be durable and is not", File: "node/machine/machine.go",
		Old: "	if err := m.st.Flush(); err != nil {\n		return Applied{}, fmt.Errorf(\"flush state: %w\", err)\n	}\n	return a, nil", New: "	return a, nil"},
	{Name: "end-unchecked", What: "a file of the log that is damaged ends there", File: "store/raftlog/internal/segment/group.go",
		Old: "return last, end, headedAfter(data, segment, end), nil", New: "return last, end, false, nil"},
	{Name: "log-not-synced", What: "what is written to the log is told before it is synced", File: "store/raftlog/internal/segment/segment.go",
		Old: "	if err := c.f.SyncData(); err != nil {\n		return Place{}, l.fail(err)\n	}\n", New: ""},
}

var proposals = []Mutant{
	{Name: "unknown-told-as-failed", What: "a write whose leader lost its office is told to have failed", File: "node/server.go",
		Old: "		delete(s.terms, index)\n		s.n.answer(c, &wire.Response{Code: wire.Unknown, Err: \"leadership lost while committing log\"})\n	}\n	for _, index := range sortedKeys(s.changes) {",
		New: "		delete(s.terms, index)\n		s.n.answer(c, &wire.Response{Code: wire.Failed, Err: \"leadership lost while committing log\"})\n	}\n	for _, index := range sortedKeys(s.changes) {"},
	{Name: "retried-after-loss", What: "a write whose connection broke is sent again, and may take effect twice", File: "node/calls.go",
		Old: "		if c.req.Command != nil {\n			n.answer(c, &wire.Response{Code: wire.Unknown, Err: \"lost", New: "		if c.req.Command != nil && c.req.Hops > maxHops {\n			n.answer(c, &wire.Response{Code: wire.Unknown, Err: \"lost"},
	{Name: "same-numbers-in-each-life", What: "requests are numbered from 1 in each life of a node", File: "node/calls.go",
		Old: "calls{last: rng.Uint64(),", New: "calls{last: rng.Uint64N(1),"},
	{Name: "applied-twice", What: "a command is applied twice", File: "node/machine/machine.go",
		Old: "	r, topics, err := catalog.Apply(", New: "	if _, _, err := catalog.Apply(line.txn(batch), line.index(e.Index), cmd); err != nil {\n		return err\n	}\n	r, topics, err := catalog.Apply("},
	{Name: "apply-skipped", What: "a server leaves out a command now and then", File: "node/machine/machine.go",
		Old: "		case raft.EntryCommand:\n", New: "		case raft.EntryCommand:\n			if len(entries) > 3 && i == 1 {\n				continue\n			}\n"},
	{Name: "applied-out-of-order", What: "two commands of a batch are applied in the wrong order", File: "node/machine/machine.go",
		Old: "			if err := out.command(batch, &line, e, i); err != nil {\n", New: "			if i+1 < len(entries) && entries[i+1].Type == raft.EntryCommand {\n				if err := out.command(batch, &line, &entries[i+1], i+1); err != nil {\n					return out, err\n				}\n			}\n			if err := out.command(batch, &line, e, i); err != nil {\n"},
}

var data = []Mutant{
	{Name: "txn-half-done", What: "a transaction that fails keeps what its first operations did", File: "catalog/txnwrite.go",
		Old: "if a.err == nil && len(answer.Errors) == 0 {", New: "if a.err == nil {"},
	{Name: "cas-ignores-index", What: "check-and-set sets whatever the index", File: "catalog/kv.go",
		Old: "if exists != (c.Index != 0) || old.ModifyIndex != c.Index {", New: "if exists != (c.Index != 0) {"},
	{Name: "delete-tree-too-little", What: "deleting a tree leaves the key that is the prefix itself and those after it", File: "catalog/kv.go",
		Old: "	a.deleteRange(lo, prefixEnd(lo))\n", New: "	a.delete(lo)\n"},
	{Name: "deletion-leaves-no-index", What: "a deletion changes no index", File: "catalog/kv.go",
		Old: "	a.delete(key(tableKV, name))\n	t := Topic{Kind: TopicKV, Name: name}\n	a.bury(t, a.index)\n", New: "	a.delete(key(tableKV, name))\n	t := Topic{Kind: TopicKV, Name: name}\n"},
	{Name: "index-goes-back", What: "a list has the index of its last entry, not of its newest", File: "catalog/kv.go",
		Old: "		index = max(index, e.ModifyIndex)\n		list = append(list, &e)\n", New: "		index = e.ModifyIndex\n		list = append(list, &e)\n"},
	{Name: "list-from-two-states", What: "a list leaves out what was written by the newest command", File: "catalog/kv.go",
		Old: "		list = append(list, &e)\n", New: "		if e.ModifyIndex%7 != 0 {\n			list = append(list, &e)\n		}\n"},
	{Name: "depends-on-the-server", What: "the outcome of a command depends on what the server did before", File: "catalog/kv.go",
		Old: "func (a *applier) kvSet(c *KVWrite, old *DirEntry, exists bool) {\n", New: "var mutantCalls int\n\nfunc (a *applier) kvSet(c *KVWrite, old *DirEntry, exists bool) {\n	mutantCalls++\n	if mutantCalls%50 == 0 {\n		return\n	}\n"},
}

var watching = []Mutant{
	{Name: "missed-wake-up", What: "a change during an evaluation is forgotten", File: "node/watch.go",
		Old: "	if g.dirty {\n		g.answer = nil\n", New: "	if g.dirty && g.answer == nil {\n		g.answer = nil\n"},
	{Name: "prefix-not-woken", What: "who watches a prefix is not woken by a key below it", File: "catalog/watches.go",
		Old: "				if length <= len(t.Name) {\n", New: "				if length == len(t.Name) {\n"},
	{Name: "tree-not-woken", What: "nobody is woken by the deletion of a tree", File: "catalog/watches.go",
		Old: "			ids = w.appendTree(ids, t.Name)\n", New: ""},
	{Name: "spurious-loop", What: "a blocking query is answered with the index it waits to be passed", File: "node/watch.go",
		Old: "if g.answer.Index > wt.call.req.Read.MinIndex || wt.late {", New: "if g.answer.Index >= wt.call.req.Read.MinIndex || wt.late {"},
	{Name: "cached-answer-kept", What: "a cached answer outlives the change of what it is about", File: "node/machine/cache.go",
		Old: "	for _, id := range c.watches.Touched(topics) {\n", New: "	for _, id := range c.watches.Touched(topics[:len(topics)/2]) {\n"},
}

var gossip = []Mutant{
	{Name: "incarnation-not-bumped", What: "a refutation does not raise the incarnation", File: "swim/learn.go",
		Old: "c.Incarnation, c.State = max(c.Incarnation, above)+1, s", New: "c.Incarnation, c.State = max(c.Incarnation, above, 1), s"},
	{Name: "dead-resurrected", What: "an old claim that a member lives overrides that it failed", File: "swim/precedence.go",
		Old: "	return rank(a) > rank(b)\n", New: "	return rank(a) > rank(b) || a.State == StateAlive && b.State == StateDead\n"},
	{Name: "suspicion-never-expires", What: "a suspected member is suspected for ever", File: "swim/learn.go",
		Old: "func (n *Node) declareDead(m *member) {\n", New: "func (n *Node) declareDead(m *member) {\n	if m.watch != nil {\n		n.watch.set(m, n.now+1<<50)\n		return\n	}\n"},
	{Name: "no-refutation", What: "who is suspected says nothing", File: "swim/learn.go",
		Old: "	n.raise(u.Incarnation, n.self.claim.State)\n", New: ""},
	{Name: "incarnation-falls", What: "a claim of a lower incarnation overrides one of a higher", File: "swim/precedence.go",
		Old: "		return a.Incarnation > b.Incarnation\n", New: "		return a.Incarnation > b.Incarnation || a.State == StateSuspect\n"},
}

var duties = []Mutant{
	{Name: "failure-not-in-catalog", What: "the leader does not mark the checks of a failed member", File: "node/reconcile.go",
		Old: "			s.memberFailed(m, reg)\n", New: ""},
	{Name: "stranger-kept", What: "an agent leaves services of its node in the catalog that it does not have", File: "agent/diff.go",
		Old: "			l.services[id] = &service{record: *stored[id], deleted: true}\n", New: "			continue\n"},
	{Name: "held-requests-forgotten", What: "requests that wait for a leader are not tried again when there is one", File: "node/server.go",
		Old: "	if c.Leader != \"\" {\n		s.n.releaseHeld()\n", New: "	if c.Leader != \"\" {\n"},
	{Name: "new-server-not-added", What: "a server that joins is never added", File: "node/reconcile.go",
		Old: "return raft.Change{Type: raft.AddNonvoter, Server", New: "return raft.Change{Type: raft.DemoteVoter, Server"},
	{Name: "coordinate-unlimited", What: "one sample moves a coordinate by whatever it says", File: "swim/coordinate/client.go",
		Old: "c.move(other, clamp(mul(mul(cc, weight), off), maxStep))", New: "c.move(other, mul(8, rtt-c.own.seconds(other)))"},
	{Name: "coordinates-not-written", What: "the leader keeps the coordinates that it got for itself", File: "node/coordinates.go",
		Old: "	for batch := range slices.Chunk(names, s.n.cfg.Coordinates.BatchSize) {\n", New: "	for batch := range slices.Chunk(names[:0], s.n.cfg.Coordinates.BatchSize) {\n"},
	{Name: "coordinate-without-node", What: "the coordinate of a node outlives it", File: "catalog/register.go",
		Old: "	a.deleteCoordinate(n)\n", New: ""},
}

var datacenters = []Mutant{
	{Name: "write-done-at-home", What: "a write for another datacenter is done in the own one", File: "node/calls.go", Preset: "wan",
		Old: "	if n.server != nil && n.abroad(c.req) {\n		n.sendAbroad(c)", New: "	if n.server != nil && n.abroad(c.req) && c.req.Command == nil {\n		n.sendAbroad(c)"},
	{Name: "servers-not-flooded", What: "servers whose fellows are in the WAN pool stay out of it", File: "node/wan.go", Preset: "wan",
		Old: "		n.wan.Join(n.now, []netip.AddrPort{a})\n", New: ""},
	{Name: "sent-taken-for-unsent", What: "a write that may have been sent goes to the next server", File: "node/calls.go", Preset: "wan",
		Old: "		again := unsent[c.sentAs]\n", New: "		again := unsent[c.sentAs] || c.req.Hops == 0\n"},
	{Name: "datacenters-mixed", What: "agents of another datacenter are let into the LAN pool", File: "node/wan.go", Preset: "wan",
		Old: "		if dc := u.Tags[tagDatacenter]; dc != datacenter {\n", New: "		if dc := u.Tags[tagDatacenter]; dc == \"\" {\n"},
	{Name: "lost-told-as-no-path", What: "a write whose connection to another datacenter broke is told not to have been sent", File: "node/calls.go", Preset: "wan",
		Old: "		if c.req.Command != nil {\n			n.answer(c, &wire.Response{Code: wire.Unknown, Err: \"lost",
		New: "		if n.abroad(c.req) {\n			n.answer(c, noPath())\n			continue\n		}\n		if c.req.Command != nil {\n			n.answer(c, &wire.Response{Code: wire.Unknown, Err: \"lost"},
}
