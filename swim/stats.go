package swim

// Stats counts what a Node saw and did since it was made.
type Stats struct {
	// Health is the local health multiplier: 0 is healthy (Lifeguard section IV-A).
	Health int
	// Queued is the number of updates that wait to be piggybacked.
	Queued int
	// QueuedEvents and QueuedQueries are the numbers of user events and queries that wait to be piggybacked.
	QueuedEvents, QueuedQueries int
	// EventTime and QueryTime are EventClock and QueryClock.
	EventTime, QueryTime uint64
	// Alive, Failed and Left are the numbers of members in these states, this one included;
	// suspects count as alive and the pruned as left.
	Alive, Failed, Left int

	Probes         uint64 // probes started
	ProbesFailed   uint64 // probes that got no answer by any path
	IndirectProbes uint64 // probes others were asked for
	Relayed        uint64 // probes made for others
	NacksSent      uint64
	NacksMissed    uint64 // indirect probes that brought neither ack nor nack
	Suspicions     uint64 // suspicions of members begun here, from own probes or others' claims
	Deaths         uint64 // members declared dead by this one's suspicion timeout
	Refutes        uint64 // false claims about this member that it refuted
	Conflicts      uint64 // claims of another node with a name in use
	PushPulls      uint64 // full states merged
	Digests        uint64 // pings with a digest of all that is known
	DigestsDiffer  uint64 // digests of others that differed from this one's
	PacketsSent    uint64
	StreamsSent    uint64

	PacketsReceived uint64
	StreamsReceived uint64
	UpdatesAccepted uint64 // claims that changed something
	InvalidUpdates  uint64 // claims that break a limit
	InvalidMessages uint64 // messages of an unknown type, in the wrong place or for somebody else
	UnknownAcks     uint64 // acks and nacks nobody waits for
	MembersRefused  uint64 // members not taken because of Config.MaxMembers
	// StrangersRefused are claims about those whom Config.Refuse keeps out.
	StrangersRefused uint64
	RelaysRefused    uint64 // indirect probes not made because too many are under way
	JoinsRefused     uint64 // joins not tried because too many are under way
	StreamsFailed    uint64 // streams that could not be delivered
	Stalls           uint64 // times this node was not driven for longer than a probe interval
	FallbackAcks     uint64 // probes that only the stream answered
	Samples          uint64 // round trips that changed this member's coordinate
	SamplesRefused   uint64 // round trips or coordinates that cannot be true

	CastsDropped     uint64 // events and queries not told to the end because too many waited
	EventsFired      uint64 // by this member
	EventsDelivered  uint64
	EventsDuplicate  uint64 // known already
	EventsOld        uint64 // not delivered: fired before this member began, or too far behind the clock
	EventsInvalid    uint64
	EventsOutOfOrder uint64 // delivered although an earlier one of the sender did not come in time
	QueriesAsked     uint64 // by this member
	QueriesReceived  uint64 // questions put to this member
	QueriesDuplicate uint64 // known already
	QueriesOld       uint64 // too far behind the clock
	QueriesInvalid   uint64
	QueriesRefused   uint64 // not put to this member because too many wait for its answer
	Answers          uint64 // answers and notes of receipt to own queries
	AnswersDuplicate uint64
	AnswersLate      uint64 // to queries that are over or unknown
	AnswersRelayed   uint64 // passed on for others
}
