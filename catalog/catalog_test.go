package catalog

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"concord/store"
	"concord/store/memstore"
)

const (
	idA = "aaaaaaaa-1111-1111-1111-111111111111"
	idB = "bbbbbbbb-1111-1111-1111-111111111111"
)

// script applies commands at indexes 10, 11, ...
type script struct {
	*testing.T
	*machine
	index uint64
}

func newScript(t *testing.T) *script { return &script{t, newMachine(), 9} }

func (s *script) do(cmd Command) []Topic {
	s.Helper()
	s.index++
	result, topics := s.apply(s, s.index, cmd)
	require.Equal(s, Result{OK: true, Index: s.index}, result)
	return topics
}

func (s *script) refused(cmd Command, why string) {
	s.Helper()
	s.index++
	result, topics := s.apply(s, s.index, cmd)
	require.Equal(s, Result{Err: why, Index: s.index}, result)
	require.Empty(s, topics)
}

func (s *script) notOK(cmd Command) {
	s.Helper()
	s.index++
	result, topics := s.apply(s, s.index, cmd)
	require.Equal(s, Result{Index: s.index}, result)
	require.Empty(s, topics)
}

func ask[T any](s *script, q Query) (T, uint64) {
	s.Helper()
	a := s.run(s, q)
	return a.Value.(T), a.Index
}

func node(name string) *Register { return &Register{Node: name, Address: "10.0.0.1"} }

func withService(name, service string, tags ...string) *Register {
	r := node(name)
	r.Service = &NodeService{Service: service, Tags: tags}
	return r
}

func withCheck(name string, c HealthCheck) *Register {
	r := node(name)
	r.Check = &c
	return r
}

func TestValidateSaysWhatConsulSays(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("k", MaxKeySize+1)
	for _, c := range []struct {
		cmd  Command
		want string
	}{
		{nil, ErrNoCommand.Error()},
		{&Register{}, "Must provide node"},
		{&Register{Node: "a"}, "Must provide address if SkipNodeUpdate is not set"},
		{&Register{Node: "a", SkipNodeUpdate: true}, ""},
		{&Register{Node: "a", Address: "x", ID: "nope"}, "Bad node ID: uuid string is wrong length"},
		{&Register{Node: "a", Address: "x", ID: strings.Repeat("a", 36)}, "Bad node ID: uuid is improperly formatted"},
		{&Register{Node: "a", Address: "x", ID: "5g111111-1111-1111-1111-111111111111"}, "Bad node ID: encoding/hex: invalid byte: U+0067 'g'"},
		{&Register{Node: "a", Address: "x", Service: &NodeService{ID: "i"}}, "Must provide service name with ID"},
		{&Register{Node: "a", Address: "x", Service: &NodeService{Service: "s", Address: "0.0.0.0"}}, "Invalid service address"},
		{&Register{Node: "a", Address: "x", Check: &HealthCheck{}}, "Must provide check name or ID"},
		{&Register{Node: "a", Address: "x", Checks: []*HealthCheck{nil, {Name: "x", Node: "b"}}}, `check node "b" does not match node "a"`},
		{&Deregister{}, "Must provide node"},
		{&Deregister{Node: "a"}, ""},
		{&KVWrite{Op: KVSet}, "Must provide key"},
		{&KVWrite{Op: KVDeleteTree}, ""},
		{&KVWrite{Key: "a"}, ErrKVOp.Error()},
		{&KVWrite{Op: KVUnlock + 1, Key: "a"}, ErrKVOp.Error()},
		{&KVWrite{Op: KVSet, Key: long}, ErrKeySize.Error()},
		{&KVWrite{Op: KVSet, Key: long[1:]}, ""},
		{&KVWrite{Op: KVLock, Key: "a"}, "missing session"},
		{&KVWrite{Op: KVUnlock, Key: "a"}, "missing session"},
		{&KVWrite{Op: KVLock, Key: "a", Session: "x"}, "failed session lookup: index error: UUID must be 36 characters"},
		{&SetAutopilot{}, ""},
	} {
		if c.want == "" {
			require.NoError(t, Validate(c.cmd))
			continue
		}
		require.EqualError(t, Validate(c.cmd), c.want)
		newScript(t).refused(c.cmd, c.want)
	}
}

func TestRegisterFillsInDefaults(t *testing.T) {
	t.Parallel()
	s := newScript(t)
	r := withService("N1", "web")
	r.Check = &HealthCheck{Name: "alive", ServiceID: "WEB"}
	given := *r.Check
	s.do(r)
	require.Equal(t, given, *r.Check, "the command is not the catalog's to change")
	list, index := ask[[]*CheckServiceNode](s, &HealthServiceQuery{Service: "web"})
	require.Equal(t, uint64(10), index)
	at := RaftIndex{10, 10}
	require.Equal(t, []*CheckServiceNode{{
		Node:    &Node{Node: "N1", Address: "10.0.0.1", RaftIndex: at},
		Service: &NodeService{ID: "web", Service: "web", Tags: []string{}, Weights: &Weights{1, 1}, RaftIndex: at},
		Checks:  []*HealthCheck{{Node: "N1", CheckID: "alive", Name: "alive", Status: "critical", ServiceID: "WEB", ServiceName: "web", ServiceTags: []string{}, RaftIndex: at}},
	}}, list)
	require.Empty(t, s.do(r), "the same once more changes nothing")
	_, index = ask[[]*CheckServiceNode](s, &HealthServiceQuery{Service: "web"})
	require.Equal(t, uint64(10), index)
}

func TestCheckOfUnknownServiceIsRefusedWhole(t *testing.T) {
	t.Parallel()
	s := newScript(t)
	r := withService("n", "web")
	r.Checks = []*HealthCheck{{Name: "a"}, {Name: "b", ServiceID: "db"}}
	s.refused(r, `failed inserting check: Missing service registration on node "n"`)
	require.Empty(t, s.dump(t, 0, 0xff))
}

func TestChecksFollowTheirService(t *testing.T) {
	t.Parallel()
	s := newScript(t)
	s.do(withService("n", "web", "a"))
	s.do(withCheck("n", HealthCheck{Name: "c", ServiceID: "web", ServiceName: "lie", ServiceTags: []string{"lie"}}))
	checks, _ := ask[[]*HealthCheck](s, &NodeChecksQuery{"n"})
	require.Equal(t, "web", checks[0].ServiceName)
	require.Equal(t, []string{"a"}, checks[0].ServiceTags)
	r := withService("n", "api", "b")
	r.Service.ID = "web"
	s.do(r)
	checks, index := ask[[]*HealthCheck](s, &ServiceChecksQuery{Service: "api"})
	require.Equal(t, s.index, index)
	require.Equal(t, "api", checks[0].ServiceName)
	require.Equal(t, []string{"b"}, checks[0].ServiceTags)
	require.Equal(t, RaftIndex{11, 12}, checks[0].RaftIndex)
	old, index := ask[[]*HealthCheck](s, &ServiceChecksQuery{Service: "web"})
	require.Empty(t, old)
	require.Equal(t, s.index, index)
}

func TestSkipNodeUpdate(t *testing.T) {
	t.Parallel()
	s := newScript(t)
	s.do(&Register{Node: "n", Address: "1", SkipNodeUpdate: true, ID: idA})
	require.Empty(t, s.do(&Register{Node: "n", Address: "2", SkipNodeUpdate: true, ID: idB}))
	nodes, _ := ask[[]*Node](s, &NodesQuery{})
	require.Equal(t, "1", nodes[0].Address)
}

func TestNodeIsItsID(t *testing.T) {
	t.Parallel()
	register := func(name, id, status string) *Register {
		r := withService(name, "s-"+name)
		r.ID = id
		if status != "" {
			r.Check = &HealthCheck{CheckID: SerfCheckID, Status: status}
		}
		return r
	}
	t.Run("rename drops the old name", func(t *testing.T) {
		s := newScript(t)
		s.do(register("old", idA, "passing"))
		s.do(register("new", idA, ""))
		nodes, _ := ask[[]*Node](s, &NodesQuery{})
		require.Len(t, nodes, 1)
		require.Equal(t, "new", nodes[0].Node)
		require.Equal(t, RaftIndex{10, 11}, nodes[0].RaftIndex)
		services, _ := ask[map[string][]string](s, &ServicesQuery{})
		require.Equal(t, map[string][]string{"s-new": {}}, services)
		byID, index := ask[*NodeServices](s, &NodeServicesQuery{strings.ToUpper(idA)})
		require.Equal(t, "new", byID.Node.Node)
		require.Equal(t, uint64(11), index)
	})
	t.Run("another case is the same name", func(t *testing.T) {
		s := newScript(t)
		s.do(register("n", idA, "passing"))
		s.do(&Register{Node: "N", Address: "10.0.0.1", ID: idA})
		n, _ := ask[*NodeServices](s, &NodeServicesQuery{"n"})
		require.Equal(t, "N", n.Node.Node)
		require.Len(t, n.Services, 1)
	})
	t.Run("a living agent keeps its name", func(t *testing.T) {
		s := newScript(t)
		s.do(register("n", idA, "passing"))
		s.do(register("m", idB, ""))
		s.refused(register("n", idB, ""), `failed inserting node: Error while renaming Node ID: "`+idB+`" (10.0.0.1): Node name n is reserved by node `+idA+` with name n (10.0.0.1)`)
		other := strings.Replace(idB, "b", "c", 1)
		s.refused(register("N", other, ""), `failed inserting node: Error while renaming Node ID: "`+other+`": Node name N is reserved by node `+idA+` with name n (10.0.0.1)`)
	})
	t.Run("a dead agent's name is free", func(t *testing.T) {
		s := newScript(t)
		s.do(register("n", idA, "critical"))
		s.do(register("n", idB, ""))
		gone, index := ask[*NodeServices](s, &NodeServicesQuery{idA})
		require.Nil(t, gone)
		require.Equal(t, s.index, index)
	})
	t.Run("an ID may come later", func(t *testing.T) {
		s := newScript(t)
		s.do(register("n", "", "passing"))
		s.do(register("n", idA, ""))
	})
}

func TestDeregister(t *testing.T) {
	t.Parallel()
	s := newScript(t)
	for _, d := range []*Deregister{{Node: "n"}, {Node: "n", ServiceID: "x"}, {Node: "n", CheckID: "x"}} {
		require.Empty(t, s.do(d), "nothing is there")
	}
	s.do(withService("n", "web"))
	s.do(withCheck("n", HealthCheck{Name: "c", ServiceID: "web"}))
	s.do(withCheck("n", HealthCheck{Name: "d"}))
	require.Empty(t, s.do(&Deregister{Node: "n", CheckID: "nosuch"}))
	s.do(&Deregister{Node: "n", ServiceID: "web", CheckID: "d"}) // the service counts
	checks, index := ask[[]*HealthCheck](s, &NodeChecksQuery{"N"})
	require.Len(t, checks, 1)
	require.Equal(t, s.index, index)
	_, index = ask[[]*HealthCheck](s, &ServiceChecksQuery{Service: "web"})
	require.Equal(t, s.index, index)
	s.do(&Deregister{Node: "n", CheckID: "d"})
	s.do(&Deregister{Node: "N"})
	gone, index := ask[*NodeServices](s, &NodeServicesQuery{"n"})
	require.Nil(t, gone)
	require.Equal(t, s.index, index)
}

func TestServicesAreSharedTagsByName(t *testing.T) {
	t.Parallel()
	s := newScript(t)
	s.do(withService("n1", "web", "b", "a", "b"))
	s.do(withService("n2", "db"))
	touched := s.do(withService("n2", "web", "a"))
	require.NotContains(t, touched, Topic{Kind: TopicServices}, "the list does not change")
	services, index := ask[map[string][]string](s, &ServicesQuery{})
	require.Equal(t, map[string][]string{"db": {}, "web": {"a", "b"}}, services)
	require.Equal(t, uint64(11), index)
	s.do(&Deregister{Node: "n1"})
	services, index = ask[map[string][]string](s, &ServicesQuery{})
	require.Equal(t, map[string][]string{"db": {}, "web": {"a"}}, services)
	require.Equal(t, s.index, index)
}

func TestKVConditions(t *testing.T) {
	t.Parallel()
	s := newScript(t)
	get := func() *DirEntry { e, _ := ask[*DirEntry](s, &KVGetQuery{"k"}); return e }
	s.notOK(&KVWrite{Op: KVCAS, Key: "k", Index: 5})
	s.do(&KVWrite{Op: KVCAS, Key: "k", Value: []byte("1")})
	at := s.index
	s.notOK(&KVWrite{Op: KVCAS, Key: "k", Value: []byte("2")})
	s.notOK(&KVWrite{Op: KVDeleteCAS, Key: "k"})
	s.notOK(&KVWrite{Op: KVDeleteCAS, Key: "k", Index: at + 1})
	require.Empty(t, s.do(&KVWrite{Op: KVSet, Key: "k", Value: []byte("1")}), "the same once more changes nothing")
	require.Equal(t, RaftIndex{at, at}, get().RaftIndex)
	s.do(&KVWrite{Op: KVSet, Key: "k", Value: []byte("1"), Flags: 4})
	require.Equal(t, &DirEntry{Key: "k", Value: []byte("1"), Flags: 4, RaftIndex: RaftIndex{at, s.index}}, get())
	s.do(&KVWrite{Op: KVCAS, Key: "k", Index: s.index})
	require.Nil(t, get().Value)
	s.refused(&KVWrite{Op: KVLock, Key: "k", Session: idA}, `invalid session "`+idA+`"`)
	s.notOK(&KVWrite{Op: KVUnlock, Key: "k", Session: idA})
	s.do(&KVWrite{Op: KVDeleteCAS, Key: "k", Index: get().ModifyIndex})
	require.Nil(t, get())
	require.Empty(t, s.do(&KVWrite{Op: KVDeleteCAS, Key: "k", Index: 3}), "it is not there, as asked")
	require.Empty(t, s.do(&KVWrite{Op: KVDelete, Key: "k"}))
}

func TestKVKeysWithSeparator(t *testing.T) {
	t.Parallel()
	s := newScript(t)
	for _, k := range []string{"a/b/c", "a/b/d", "a/e", "b", "x", "a/b/"} {
		s.do(&KVWrite{Op: KVSet, Key: k})
	}
	// The answers of Consul 1.8.
	for _, c := range []struct {
		prefix, separator string
		want              []string
	}{
		{"a", "", []string{"a/b/", "a/b/c", "a/b/d", "a/e"}},
		{"a", "/", []string{"a/"}},
		{"a/", "/", []string{"a/b/", "a/e"}},
		{"a/b", "/", []string{"a/b/"}},
		{"a/b/", "/", []string{"a/b/", "a/b/c", "a/b/d"}},
		{"", "/", []string{"a/", "b", "x"}},
		{"", "/b", []string{"a/b", "a/e", "b", "x"}},
		{"nos", "/", []string{}},
	} {
		keys, _ := ask[[]string](s, &KVKeysQuery{c.prefix, c.separator})
		require.Equal(t, c.want, keys, "%q %q", c.prefix, c.separator)
	}
}

func TestKVIndexesOfTheDeleted(t *testing.T) {
	t.Parallel()
	s := newScript(t)
	index := func(q Query) uint64 { return s.run(t, q).Index }
	require.Equal(t, uint64(1), index(&KVListQuery{""}))
	for _, k := range []string{"a/b/c", "a/b/d", "a/e", "b"} { // 10 to 13
		s.do(&KVWrite{Op: KVSet, Key: k})
	}
	require.Equal(t, uint64(11), index(&KVListQuery{"a/b"}))
	require.Equal(t, uint64(1), index(&KVListQuery{"zzz"}))
	s.do(&KVWrite{Op: KVDelete, Key: "a/b/d"}) // 14
	require.Equal(t, uint64(14), index(&KVGetQuery{"a/b/d"}))
	require.Equal(t, uint64(14), index(&KVKeysQuery{Prefix: "a/b"}))
	require.Equal(t, uint64(14), index(&KVListQuery{""}))
	require.Equal(t, uint64(10), index(&KVGetQuery{"a/b/c"}))
	require.Equal(t, uint64(1), index(&KVGetQuery{"a/b/x"}))
	s.do(&KVWrite{Op: KVDeleteTree, Key: "a/b"}) // 15
	for _, q := range []Query{&KVGetQuery{"a/b/c"}, &KVGetQuery{"a/b/x"}, &KVGetQuery{"a/b"}, &KVListQuery{"a/"}, &KVListQuery{"a/b/c/d"}} {
		require.Equal(t, uint64(15), index(q), "%#v", q)
	}
	require.Equal(t, uint64(1), index(&KVGetQuery{"a/"}))
	require.Equal(t, uint64(13), index(&KVGetQuery{"b"}))
	require.Empty(t, s.do(&KVWrite{Op: KVDeleteTree, Key: "a/b"}), "nothing is there any more")
	s.do(&KVWrite{Op: KVSet, Key: "a/b/c"}) // 17
	require.Equal(t, uint64(17), index(&KVGetQuery{"a/b/c"}))
	s.do(&KVWrite{Op: KVDeleteTree}) // 18: above the tree a/b, which was deleted before
	require.Equal(t, uint64(18), index(&KVGetQuery{"a/b/x"}))
	require.Equal(t, uint64(18), index(&KVGetQuery{"anything"}))
}

func TestGravesAreBounded(t *testing.T) {
	t.Parallel()
	s := newScript(t)
	for i := range maxGraves + 2*graveBatch {
		s.do(&KVWrite{Op: KVSet, Key: fmt.Sprint("key-", i)})
		s.do(&KVWrite{Op: KVDelete, Key: fmt.Sprint("key-", i)})
	}
	graves := len(s.dump(t, tableGraves, tableGraves+1))
	require.GreaterOrEqual(t, graves, maxGraves)
	require.Less(t, graves, maxGraves+graveBatch)
	require.GreaterOrEqual(t, s.run(t, &KVGetQuery{"key-0"}).Index, uint64(11))
	require.Equal(t, s.index, s.run(t, &KVListQuery{"key"}).Index)
}

func TestAutopilotConfig(t *testing.T) {
	t.Parallel()
	s := newScript(t)
	config := func() *AutopilotConfig { c, _ := ask[*AutopilotConfig](s, &AutopilotQuery{}); return c }
	require.Nil(t, config())
	s.do(&SetAutopilot{Config: AutopilotConfig{MinQuorum: 3}})
	require.Equal(t, &AutopilotConfig{MinQuorum: 3, RaftIndex: RaftIndex{10, 10}}, config())
	require.Empty(t, s.do(&SetAutopilot{Config: AutopilotConfig{MinQuorum: 3}}))
	s.notOK(&SetAutopilot{Config: AutopilotConfig{MinQuorum: 5, RaftIndex: RaftIndex{ModifyIndex: 11}}, CAS: true})
	s.do(&SetAutopilot{Config: AutopilotConfig{MinQuorum: 5, RaftIndex: RaftIndex{ModifyIndex: 10}}, CAS: true})
	require.Equal(t, &AutopilotConfig{MinQuorum: 5, RaftIndex: RaftIndex{10, 13}}, config())
}

// brokenTxn fails once it was used so often.
type brokenTxn struct {
	Txn
	left int
}

var errDisk = errors.New("disk on fire")

func (b *brokenTxn) use() error {
	if b.left--; b.left < 0 {
		return errDisk
	}
	return nil
}

func (b *brokenTxn) Get(k []byte) ([]byte, bool, error) {
	if err := b.use(); err != nil {
		return nil, false, err
	}
	return b.Txn.Get(k)
}

func (b *brokenTxn) Scan(lo, hi []byte, fn func(k, v []byte) bool) error {
	if err := b.use(); err != nil {
		return err
	}
	return b.Txn.Scan(lo, hi, fn)
}

func (b *brokenTxn) Set(k, v []byte) error {
	if err := b.use(); err != nil {
		return err
	}
	return b.Txn.Set(k, v)
}

func (b *brokenTxn) Delete(k []byte) error {
	if err := b.use(); err != nil {
		return err
	}
	return b.Txn.Delete(k)
}

func TestStorageErrorsAreReturned(t *testing.T) {
	t.Parallel()
	before := withService("n", "web", "a")
	before.Check = &HealthCheck{Name: "c", ServiceID: "web"}
	for _, cmd := range []Command{withService("n", "web", "b"), &Deregister{Node: "n"}, &KVWrite{Op: KVSet, Key: "k"}, &KVWrite{Op: KVDelete, Key: "old"}, &SetAutopilot{},
		&TxnWrite{[]TxnOp{kvOp(TxnSet, "k", 0), kvOp(TxnGetTree, "k", 0), nodeOp(TxnSet, "m", 0), serviceOp(TxnSet, "m", "db", 0), checkOp(TxnSet, "m", "c", "db", 0),
			checkOp(TxnGet, "m", "c", "", 0), kvOp(TxnDeleteTree, "old", 0), nodeOp(TxnDelete, "n", 0)}}} {
		for left := 0; ; left++ {
			s := newScript(t)
			s.do(before)
			s.do(&KVWrite{Op: KVSet, Key: "old"})
			_, _, err := Apply(&brokenTxn{s.store.NewBatch(), left}, 20, cmd)
			if err == nil {
				require.Positive(t, left)
				break
			}
			require.ErrorIs(t, err, errDisk)
		}
	}
}

func TestCorruptRecordsAreReported(t *testing.T) {
	t.Parallel()
	s := newScript(t)
	r := withService("n", "web", "a")
	r.ID, r.Check = idA, &HealthCheck{Name: "c", ServiceID: "web"}
	s.do(r)
	s.do(&KVWrite{Op: KVSet, Key: "k"})
	b := s.store.NewBatch()
	require.NoError(t, s.store.Scan(nil, []byte{tableIndexes}, func(k, v []byte) bool {
		switch k[0] {
		case tableNodes, tableServices, tableChecks, tableKV:
			return b.Set(k, []byte{9}) == nil
		}
		return true
	}))
	require.NoError(t, b.Commit(store.NoSync))
	for _, q := range []Query{&NodesQuery{}, &NodeServicesQuery{"n"}, &NodeServicesQuery{idA}, &NodeChecksQuery{"n"}, &HealthServiceQuery{Service: "web"},
		&ServiceChecksQuery{Service: "web"}, &KVGetQuery{"k"}, &KVListQuery{""}, &KVKeysQuery{"", "/"}, &TxnQuery{[]TxnOp{kvOp(TxnGet, "k", 0)}},
		&TxnQuery{[]TxnOp{kvOp(TxnGetTree, "k", 0)}}, &TxnQuery{[]TxnOp{serviceOp(TxnGet, "n", "web", 0)}}} {
		_, err := Run(s.store, q)
		require.ErrorIs(t, err, ErrVersion, "%#v", q)
	}
	_, _, err := Apply(s.store.NewBatch(), 99, r)
	require.ErrorIs(t, err, ErrVersion)
}

// fill registers a service with instances, each with a check of its own and one of its node.
func fill(t testing.TB, s store.Store, instances int) {
	for i := range instances {
		b := s.NewBatch()
		r := withService(fmt.Sprintf("node-%04d", i), "web", "v1", "primary")
		r.ID = fmt.Sprintf("%08d-1111-1111-1111-111111111111", i)
		r.NodeMeta = map[string]string{"rack": "r1"}
		r.Checks = []*HealthCheck{{CheckID: SerfCheckID, Name: SerfCheckName, Status: HealthPassing, Output: SerfAliveOutput}, {CheckID: "service:web", Name: "web", Status: HealthPassing, ServiceID: "web"}}
		_, _, err := Apply(b, uint64(i+1), r)
		require.NoError(t, err)
		require.NoError(t, b.Commit(store.NoSync))
	}
}

func mem(testing.TB) store.Store { return memstore.Open(memstore.NewDisk()) }
