package catalog

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"concord/store"
	"concord/store/memstore"
	"concord/swim/coordinate"
)

// machine is a catalog in a store.
type machine struct {
	store                 *memstore.Store
	maxGraves, graveBatch uint64
}

func newMachine() *machine {
	return &machine{memstore.Open(memstore.NewDisk()), maxGraves, graveBatch}
}

func (m *machine) apply(t require.TestingT, index uint64, cmd Command) (Result, []Topic) {
	b := m.store.NewBatch()
	a := applier{reader: reader{view: b}, txn: b, index: index, maxGraves: m.maxGraves, graveBatch: m.graveBatch}
	result, topics, err := a.apply(cmd)
	require.NoError(t, err)
	require.NoError(t, b.Commit(store.NoSync))
	return result, topics
}

func (m *machine) run(t require.TestingT, q Query) Answer {
	answer, err := Run(m.store, q)
	require.NoError(t, err)
	return answer
}

// dump returns all keys and values of tables from lo to hi.
func (m *machine) dump(t require.TestingT, lo, hi byte) []string {
	var all []string
	require.NoError(t, m.store.Scan([]byte{lo}, []byte{hi}, func(k, v []byte) bool {
		all = append(all, fmt.Sprintf("%q=%q", k, v))
		return true
	}))
	return all
}

// Small alphabets, so that things meet.
var (
	someNodes    = []string{"n1", "n2", "N2", "n", "n\x00"}
	someIDs      = []string{"", "", "11111111-aaaa-1111-1111-111111111111", "22222222-2222-2222-2222-222222222222"}
	someServices = []string{"web", "Web", "db", "w\x00"}
	someTags     = [][]string{nil, {"a"}, {"b", "a", "b"}, {""}}
	someChecks   = []string{"c1", "c2", "serfHealth"}
	someStates   = []string{"passing", "warning", "critical", "", "odd"}
	someMetas    = []map[string]string{nil, nil, {"os": "a"}, {"os": "b", "x": ""}}
	someKeys     = []string{"a", "a/", "a/b", "a/b/c", "a/c", "ab", "b", "\x00", "a\xff", "a\xff\xff", "\xff"}
	somePrefixes = append([]string{"", "a/b/", "zz"}, someKeys...)
)

func pick[T any](t *rapid.T, from []T, what string) T { return rapid.SampledFrom(from).Draw(t, what) }

func drawCommand(t *rapid.T, index uint64) Command {
	switch rapid.IntRange(0, 13).Draw(t, "command") {
	case 12, 13:
		u := &UpdateCoordinates{}
		for range rapid.IntRange(1, 3).Draw(t, "updates") {
			c := Coordinate{Node: pick(t, someNodes, "node"), Coord: coordinate.New()}
			c.Coord.Vec[0] = float64(rapid.IntRange(-2, 2).Draw(t, "at")) / 100
			u.Updates = append(u.Updates, c)
		}
		return u
	case 0, 1, 2, 3:
		return drawRegister(t)
	case 4, 5:
		d := &Deregister{Node: pick(t, someNodes, "node")}
		switch rapid.IntRange(0, 4).Draw(t, "what") {
		case 0, 1:
			d.ServiceID = pick(t, someServices, "service")
		case 2, 3:
			d.CheckID = pick(t, someChecks, "check")
		}
		return d
	case 6:
		return &SetAutopilot{
			Config: AutopilotConfig{MinQuorum: uint(rapid.IntRange(0, 2).Draw(t, "quorum")), RaftIndex: RaftIndex{ModifyIndex: rapid.Uint64Range(0, index).Draw(t, "cas")}},
			CAS:    rapid.Bool().Draw(t, "isCAS"),
		}
	case 7, 8, 9:
		return drawKV(t, index, pick(t, []KVOp{KVSet, KVSet, KVDelete, KVDeleteTree}, "op"))
	default:
		return drawKV(t, index, KVOp(rapid.IntRange(int(KVSet), int(KVUnlock)).Draw(t, "op")))
	}
}

func drawKV(t *rapid.T, index uint64, op KVOp) Command {
	return &KVWrite{
		Op:      op,
		Key:     pick(t, someKeys, "key"),
		Value:   pick(t, [][]byte{nil, []byte("x"), []byte("yy")}, "value"),
		Flags:   uint64(rapid.IntRange(0, 1).Draw(t, "flags")),
		Index:   rapid.Uint64Range(0, index).Draw(t, "index"),
		Session: "33333333-3333-3333-3333-333333333333",
	}
}

func drawRegister(t *rapid.T) Command {
	r := &Register{
		ID:             pick(t, someIDs, "id"),
		Node:           pick(t, someNodes, "node"),
		Address:        pick(t, []string{"10.0.0.1", "10.0.0.2"}, "address"),
		NodeMeta:       pick(t, someMetas, "meta"),
		SkipNodeUpdate: rapid.Bool().Draw(t, "skip"),
	}
	if rapid.Bool().Draw(t, "withService") {
		r.Service = &NodeService{
			ID:      pick(t, append([]string{""}, someServices...), "serviceID"),
			Service: pick(t, someServices, "service"),
			Tags:    pick(t, someTags, "tags"),
			Port:    rapid.IntRange(0, 1).Draw(t, "port"),
		}
	}
	for range rapid.IntRange(0, 2).Draw(t, "checks") {
		r.Checks = append(r.Checks, &HealthCheck{
			Name:      pick(t, someChecks, "check"),
			Status:    pick(t, someStates, "state"),
			ServiceID: pick(t, append([]string{"", ""}, someServices...), "of"),
			Output:    pick(t, []string{"", "ok"}, "output"),
		})
	}
	return r
}

// allQueries is a query of each kind for each thing there can be.
func allQueries() []Query {
	all := []Query{&AutopilotQuery{}, &CoordinatesQuery{}}
	for _, n := range append([]string{"none"}, someNodes...) {
		all = append(all, &CoordinateQuery{n})
	}
	for _, meta := range someMetas[1:] {
		all = append(all, &NodesQuery{meta}, &ServicesQuery{meta})
		for _, s := range append([]string{"passing", "odd"}, "any", "critical") {
			all = append(all, &StateChecksQuery{s, meta})
		}
		for _, s := range append([]string{"WEB", ""}, someServices...) {
			all = append(all, &ServiceChecksQuery{s, meta}, &ServiceNodesQuery{s, []string{"A"}, meta},
				&HealthServiceQuery{Service: s, NodeMeta: meta}, &HealthServiceQuery{Service: s, NodeMeta: meta, PassingOnly: true})
		}
	}
	for _, n := range append([]string{"none"}, someNodes...) {
		all = append(all, &NodeChecksQuery{n}, &NodeServicesQuery{n})
	}
	for _, id := range someIDs[2:] {
		all = append(all, &NodeServicesQuery{id})
	}
	for _, k := range somePrefixes {
		all = append(all, &KVGetQuery{k}, &KVListQuery{k}, &KVKeysQuery{k, ""}, &KVKeysQuery{k, "/"}, &KVKeysQuery{k, "b/"})
	}
	return all
}

// watching is a query with its last answer.
type watching struct {
	query   Query
	answer  Answer
	printed string
}

// checkAgainstOracle applies commands to a catalog and to the oracle and checks, after each, all that a client
// could see.
func checkAgainstOracle(t *rapid.T, graves, batch uint64) {
	m, twin, o := newMachine(), newMachine(), newOracle()
	m.maxGraves, m.graveBatch = graves, batch
	twin.maxGraves, twin.graveBatch = graves, batch
	var watches Watches
	var watched []watching
	for i, q := range allQueries() {
		watches.Add(uint64(i), Topics(q))
		a := m.run(t, q)
		require.Equal(t, uint64(1), a.Index, "of nothing: %#v", q)
		watched = append(watched, watching{q, a, show(a.Value)})
	}
	index := uint64(10)
	for range rapid.IntRange(1, 40).Draw(t, "steps") {
		index += uint64(rapid.IntRange(1, 2).Draw(t, "gap"))
		cmd := drawCommand(t, index)
		if rapid.IntRange(0, 3).Draw(t, "transaction") == 0 {
			cmd = &TxnWrite{drawTxn(t, o, index, append(writeVerbs, readVerbs...))}
		}
		before := m.dump(t, 0, 0xff)
		result, topics := m.apply(t, index, cmd)
		again, _ := twin.apply(t, index, cmd)
		require.Equal(t, result, again)
		after := m.dump(t, 0, 0xff)
		require.Equal(t, after, twin.dump(t, 0, 0xff), "not deterministic")
		ok, refused := o.apply(index, cmd)
		require.Equal(t, ok, result.OK, "%#v: %v", cmd, result.Err)
		require.Equal(t, refused, result.Err != "", "%#v: %v", cmd, result.Err)
		if len(topics) == 0 || result.Err != "" || !result.OK {
			require.Empty(t, topics)
			require.Equal(t, before, after, "changed something and touched nothing: %#v", cmd)
		}
		if result.Txn != nil {
			sameTxn(t, o.answer, result.Txn)
		}
		asked := drawTxn(t, o, index, readVerbs)
		sameTxn(t, o.txn(index, asked), m.run(t, &TxnQuery{asked}).Value.(*TxnAnswer))
		checkNear(t, m, o)
		woken := watches.Touched(topics)
		require.True(t, slices.IsSorted(woken))
		for i := range watched {
			w := &watched[i]
			_, isWoken := slices.BinarySearch(woken, uint64(i))
			checkWatch(t, w, m.run(t, w.query), o.run(w.query), index, isWoken, graves == maxGraves, cmd)
		}
		checkGraves(t, m)
	}
	checkEmptied(t, m, index)
}

// checkNear checks the order of answers by distance. What watches them is not woken by what only changes their order.
func checkNear(t *rapid.T, m *machine, o *oracle) {
	near := &NearQuery{Node: pick(t, append([]string{"none"}, someNodes...), "from")}
	for _, q := range []Query{&NodesQuery{}, &ServiceNodesQuery{Service: "web"}, &HealthServiceQuery{Service: "web"},
		&ServiceChecksQuery{Service: "web"}, &StateChecksQuery{State: HealthAny}} {
		near.Query = q
		got := m.run(t, near)
		require.Equal(t, show(o.run(near)), show(got.Value))
		require.Equal(t, m.run(t, q).Index, got.Index)
	}
}

func checkWatch(t *rapid.T, w *watching, got Answer, want any, index uint64, woken, precise bool, cmd Command) {
	printed := show(got.Value)
	require.Equal(t, show(want), printed, "%#v after %#v", w.query, cmd)
	require.GreaterOrEqual(t, got.Index, w.answer.Index, "index went backwards: %#v after %#v", w.query, cmd)
	if printed != w.printed {
		require.True(t, woken, "missed wake-up: %#v after %#v", w.query, cmd)
		require.Equal(t, index, got.Index, "answer changed but not its index: %#v after %#v", w.query, cmd)
	}
	if !woken && precise {
		require.Equal(t, w.answer.Index, got.Index, "index changed but nobody was woken: %#v after %#v", w.query, cmd)
	}
	if woken {
		require.Equal(t, index, got.Index, "woken for nothing: %#v after %#v", w.query, cmd)
	}
	w.answer, w.printed = got, printed
}

// checkGraves checks that the graves are as many as counted, within their bound, and those of the dead.
func checkGraves(t *rapid.T, m *machine) {
	r := reader{view: m.store}
	for class := TopicNodes; class <= TopicCoordinate; class++ {
		count := uint64(0)
		r.scan([]byte{tableGraves, byte(class)}, func(k, _ []byte) bool {
			count++
			record, ok := r.get(append([]byte{tableIndexes}, k[10:]...))
			require.True(t, ok, "grave of nothing: %q", k)
			got, err := decodeIndex(record)
			require.NoError(t, err)
			require.True(t, got.dead)
			require.Equal(t, graveKey(Topic{Kind: TopicKind(k[10]), Name: string(k[11:])}, got.index), k)
			return true
		})
		require.Equal(t, count, r.graves(class).count, "class %d", class)
	}
	dead, graves := 0, len(m.dump(t, tableGraves, tableGraves+1))
	r.scan([]byte{tableIndexes}, func(_, v []byte) bool {
		if i, _ := decodeIndex(v); i.dead {
			dead++
		}
		return true
	})
	require.NoError(t, r.err)
	require.Equal(t, graves, dead)
}

// checkEmptied deletes everything and checks that only indexes remain.
func checkEmptied(t *rapid.T, m *machine, index uint64) {
	for _, n := range someNodes {
		index++
		m.apply(t, index, &Deregister{Node: n})
	}
	m.apply(t, index+1, &KVWrite{Op: KVDeleteTree})
	require.Empty(t, m.dump(t, tableNodes, tableIndexes))
	r := reader{view: m.store}
	r.scan([]byte{tableIndexes}, func(k, v []byte) bool {
		got, err := decodeIndex(v)
		require.NoError(t, err)
		if kind := TopicKind(k[1]); kind != TopicChecks && len(k) > 2 {
			require.True(t, got.dead, "outlives what it is about: %q", k)
		}
		return true
	})
	require.NoError(t, r.err)
}

// show prints a value with all that pointers lead to and sorted maps.
func show(v any) string {
	var b strings.Builder
	switch v := v.(type) {
	case []*Node:
		for _, n := range v {
			fmt.Fprintf(&b, "%#v\n", *n)
		}
	case map[string][]string:
		fmt.Fprintf(&b, "%#v", v)
	case []*ServiceNode:
		for _, s := range v {
			fmt.Fprintf(&b, "%#v\n", *s)
		}
	case *NodeServices:
		if v != nil {
			fmt.Fprintf(&b, "%#v\n", *v.Node)
			for _, id := range sortedKeys(v.Services, strings.Compare) {
				b.WriteString(showService(v.Services[id]))
			}
		}
	case []*HealthCheck:
		for _, c := range v {
			fmt.Fprintf(&b, "%#v\n", *c)
		}
	case []*CheckServiceNode:
		for _, c := range v {
			fmt.Fprintf(&b, "%#v\n%s%s", *c.Node, showService(c.Service), show(c.Checks))
		}
	case []*Coordinate:
		for _, c := range v {
			fmt.Fprintf(&b, "%#v\n", *c)
		}
	case *DirEntry:
		if v != nil {
			fmt.Fprintf(&b, "%#v", *v)
		}
	case []*DirEntry:
		for _, e := range v {
			fmt.Fprintf(&b, "%#v\n", *e)
		}
	case []string:
		fmt.Fprintf(&b, "%#v", v)
	case *AutopilotConfig:
		if v != nil {
			fmt.Fprintf(&b, "%#v", *v)
		}
	default:
		panic(fmt.Sprintf("%T", v))
	}
	return b.String()
}

func showService(s *NodeService) string {
	c := *s
	c.Weights = nil
	return fmt.Sprintf("%#v %v\n", c, *s.Weights)
}

func TestCatalogAgreesWithOracle(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) { checkAgainstOracle(t, maxGraves, graveBatch) })
}

func TestCatalogAgreesWithOracleWhenGravesAreForgotten(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		checkAgainstOracle(t, uint64(rapid.IntRange(0, 3).Draw(t, "graves")), uint64(rapid.IntRange(1, 3).Draw(t, "batch")))
	})
}
