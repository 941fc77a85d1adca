// Package ipc is Serf's RPC protocol: MessagePack values over a TCP connection or a unix socket, with which Serf's
// command line and its client libraries talk to an agent. A request is a header and, for most commands, a body;
// answers have the number of their request and may come in any order. Server is the agent's end, Client the other.
package ipc
