// Package agent is the gossip-only agent: a member of a pool for those who want membership, user events and queries
// without servers. To its users it is what Serf's agent is: the same flags and configuration files, event handlers,
// snapshot and RPC protocol.
package agent
