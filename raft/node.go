package raft

import (
	"time"

	"concord/internal/prng"
)

type Node struct{}

func New(cfg Config, st InitialState, rand *prng.Rand, now time.Duration) (*Node, error) {
	return &Node{}, nil
}
func Bootstrap(cfg Configuration) (InitialState, error) { return InitialState{}, nil }
func (n *Node) Tick(now time.Duration)                  {}
func (n *Node) Step(now time.Duration, m Message)       {}
func (n *Node) NextDeadline() time.Duration             { return 0 }
func (n *Node) Propose(now time.Duration, data ...[]byte) (firstIndex, term uint64, err error) {
	return
}
func (n *Node) ProposeChange(now time.Duration, c Change) (index, term uint64, err error) { return }
func (n *Node) ReadIndex(now time.Duration, id uint64)                                    {}
func (n *Node) LeaseRead(now time.Duration) (index uint64, ok bool)                       { return }
func (n *Node) TransferLeadership(now time.Duration, to ID) error                         { return nil }
func (n *Node) Persisted(now time.Duration, id uint64)                                    {}
func (n *Node) Applied(now time.Duration, index uint64)                                   {}
func (n *Node) LogRead(now time.Duration, r LogRead, entries []Entry, err error)          {}
func (n *Node) ChunkRead(now time.Duration, r ChunkRead, meta SnapshotMeta, chunk, next []byte, done bool, err error) {
}
func (n *Node) ChunkWritten(now time.Duration, w ChunkWrite, err error) {}
func (n *Node) Compacted(now time.Duration, firstIndex uint64)          {}
func (n *Node) PeerUnreachable(now time.Duration, id ID)                {}
func (n *Node) LeaderConnectionLost(now time.Duration)                  {}
func (n *Node) HasReady() bool                                          { return false }
func (n *Node) Ready() Ready                                            { return Ready{} }
func (n *Node) Status() Status                                          { return Status{} }
func (n *Node) Term(index uint64) (term uint64, ok bool)                { return }
