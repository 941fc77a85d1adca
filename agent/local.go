package agent

import (
	"time"

	"concord/internal/prng"
)

// Local is the truth about a node's own services and checks.
type Local struct{}

func New(cfg Config, rng *prng.Rand, now time.Duration) *Local { return nil }

func (l *Local) AddService(now time.Duration, def ServiceDefinition) error                { return nil }
func (l *Local) AddServiceReplacingChecks(now time.Duration, def ServiceDefinition) error { return nil }
func (l *Local) RemoveService(now time.Duration, id string) error                         { return nil }
func (l *Local) AddCheck(now time.Duration, def CheckDefinition) error                    { return nil }
func (l *Local) RemoveCheck(now time.Duration, id string) error                           { return nil }
func (l *Local) UpdateCheck(now time.Duration, id, status, output string) error           { return nil }
func (l *Local) SetTTL(now time.Duration, id, status, output string) error                { return nil }
func (l *Local) Maintenance(now time.Duration, serviceID string, enable bool, reason string) error {
	return nil
}
func (l *Local) Services() []Service                               { return nil }
func (l *Local) Service(id string) (Service, bool)                 { return Service{}, false }
func (l *Local) Checks() []Check                                   { return nil }
func (l *Local) Check(id string) (Check, bool)                     { return Check{}, false }
func (l *Local) ServiceHealth(id string) (string, []Check)         { return "", nil }
func (l *Local) Pause()                                            {}
func (l *Local) Resume(now time.Duration)                          {}
func (l *Local) SetClusterSize(n int)                              {}
func (l *Local) ServerUp(now time.Duration)                        {}
func (l *Local) Tick(now time.Duration)                            {}
func (l *Local) NextDeadline() time.Duration                       { return 0 }
func (l *Local) Output() Output                                    { return Output{} }
func (l *Local) Replied(now time.Duration, id uint64, reply Reply) {}
func (l *Local) Restore(now time.Duration, p Persisted)            {}
func (l *Local) LoadConfigServices(now time.Duration, services []ServiceDefinition, checks []CheckDefinition) error {
	return nil
}
