// Package swim finds out which members of a pool are alive, and tells everyone: the SWIM protocol (Das,
// Gupta, Motivala, DSN 2002) with Lifeguard's refinements (Dadgar, Phillips, Currey, 2018) and the full
// state exchange, graceful leave and reaping that Serf and Consul users know. docs/divergence.md lists
// where it departs from the papers.
//
// A Node is a pure state machine. Its driver hands it packets, streams and the time, and carries out
// what Node.Output returns.
//
//	node.go        the inputs and the clock
//	probe.go       failure detection: ping, ping-req, ack, nack
//	suspicion.go   the timeout that confirmations shorten
//	awareness.go   the local health multiplier
//	learn.go       what a claim changes; refutation
//	precedence.go  which of two claims holds: the one rule
//	gossip.go      piggyback, gossip, push/pull
//	digest.go      anti-entropy: who differs exchanges what differs
//	queue.go       updates to piggyback, least sent first
//	lamport.go     Lamport clocks, and what was heard of late
//	event.go       user events
//	query.go       queries and their answers
//	casts.go       events and queries to piggyback, least sent first
//	coalesce.go    of a burst of events the last one
//	join.go        join, leave, force-leave, tags
//	exile.go       failed members are asked again, also after they were forgotten
//	members.go     members by name and at random; the round of probes
//	index.go       where a name's member is
//	watch.go       deadlines of suspects and of the departed
//	locate.go      network coordinates
//	size.go        limits, and bounds of encoded sizes
package swim
