package invariants

import (
	"fmt"

	"concord/swim"
)

// Datacenter: what is asked of one datacenter is done there and nowhere else, and each pool has the members that belong in it.
type Datacenter struct{}

// Written is told of each entry that carries a value: where it was committed, and which datacenter its client meant ("": any).
func (Datacenter) Written(at, meant string) error {
	if meant != "" && at != meant {
		return fmt.Errorf("a write for %s was committed in %s", meant, at)
	}
	return nil
}

// Member is told whom a node sees in the LAN pool of its datacenter.
func (Datacenter) Member(viewer, datacenter string, m swim.Member) error {
	if dc := m.Tags["dc"]; dc != datacenter && len(m.Tags) > 0 {
		return fmt.Errorf("%s of %s has %s of %s in its LAN pool", viewer, datacenter, m.Name, dc)
	}
	return nil
}

// WANMember is told whom a server sees in the WAN pool.
func (Datacenter) WANMember(viewer string, m swim.Member) error {
	if len(m.Tags) > 0 && m.Tags["role"] != "consul" {
		return fmt.Errorf("%s has %s, which is no server, in its WAN pool", viewer, m.Name)
	}
	return nil
}
