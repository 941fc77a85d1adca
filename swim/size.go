package swim

import (
	"errors"
	"fmt"
	"net/netip"
	"time"
	"unicode"
	"unicode/utf8"
)

// Limits of what a member may tell of itself. Whatever breaks them is refused when it is
// configured and dropped when it is received.
const (
	// MaxName is the longest name in bytes.
	MaxName = 128
	// MaxID is the longest node ID in bytes; a UUID has 36.
	MaxID = 64
	// MaxTags is the largest size of the tags in bytes when encoded with msgpack (Serf's limit).
	MaxTags = 512
	// PacketOverhead is what the core leaves free in each packet for the codec's and the
	// transport's headers, encryption included.
	PacketOverhead = 64
	// MinPacket is the smallest Config.MaxPacket: any message with any one update fits.
	MinPacket = 1380

	// maxIncarnation leaves the owner room to refute: claims above it are nobody's.
	maxIncarnation = 1 << 62
	// maxAge bounds ages and timeouts: 73 years, so that no sum of them with the time passes the end of the clock.
	maxAge = time.Duration(1 << 61)

	clocksSize = 1 + 2*intSize + 2*3 // with the heads of the lists of events and queries
	addrSize   = 50                  // "[16 bytes as hex groups]:65535" with its header; less in binary
	intSize    = 9
	smallSize  = 2
	listSize   = 5  // the head of a list
	headSize   = 16 // version, head and small fields of a packet
	fieldCount = 16 // more than any struct has; each field may cost a byte of framing
)

// ErrConfig is wrapped by what Config.Validate reports.
var ErrConfig = errors.New("swim: bad configuration")

// ErrUpdate is wrapped by what Update.Validate reports.
var ErrUpdate = errors.New("swim: bad update")

// stringSize is the size of an encoded string of n bytes (msgpack's fixstr, str 8 to str 32).
func stringSize(n int) int {
	switch {
	case n < 32:
		return n + 1
	case n < 1<<8:
		return n + 2
	case n < 1<<16:
		return n + 3
	}
	return n + 5
}

// TagsSize returns the size in bytes of tags encoded with msgpack, which MaxTags bounds.
func TagsSize(tags map[string]string) int {
	size := 1
	if len(tags) > 15 {
		size = listSize
	}
	for k, v := range tags {
		size += stringSize(len(k)) + stringSize(len(v))
	}
	return size
}

// uintSize is the size of an encoded number.
func uintSize(v uint64) int {
	switch {
	case v < 1<<7:
		return 1
	case v < 1<<8:
		return 2
	case v < 1<<16:
		return 3
	case v < 1<<32:
		return 5
	}
	return intSize
}

// addrBytes is the size of an encoded address.
func addrBytes(a netip.AddrPort) int {
	switch {
	case !a.IsValid():
		return 1
	case a.Addr().Is4():
		return 2 + 4 + 2
	}
	return 2 + 16 + 2
}

// Size returns the encoded size in bytes, which the codec in wire must not exceed.
func (u *Update) Size() int {
	return 2 + uintSize(uint64(u.State)) + stringSize(len(u.Name)) + stringSize(len(u.ID)) + addrBytes(u.Addr) +
		uintSize(u.Incarnation) + TagsSize(u.Tags) + stringSize(len(u.From)) + uintSize(uint64(u.Age))
}

// Size returns a bound of the encoded size in bytes without the packet's updates.
func (m *Message) Size() int {
	size := headSize + uintSize(uint64(m.Type)) + uintSize(m.Seq) + stringSize(len(m.From)) + stringSize(len(m.Target)) +
		addrBytes(m.Addr) + smallSize + stringSize(len(m.Coordinate)) + listSize + intSize*len(m.Buckets) + listSize
	if m.Answer != nil {
		size += fieldCount + 2*intSize + stringSize(len(m.Answer.Payload))
	}
	if m.Digest != (Digest{}) {
		size += 3 * intSize
	}
	for _, u := range m.Members {
		size += u.Size()
	}
	return size
}

// Size returns a bound of the encoded size in bytes, PacketOverhead included.
func (p *Packet) Size() int {
	size := PacketOverhead + clocksSize + listSize + p.Message.Size()
	for _, u := range p.Updates {
		size += u.Size()
	}
	for i := range p.Events {
		size += p.Events[i].Size()
	}
	for i := range p.Queries {
		size += p.Queries[i].Size()
	}
	return size
}

// Size returns a bound of the encoded size in bytes.
func (e *UserEvent) Size() int {
	return fieldCount + 4*intSize + stringSize(len(e.From)) + stringSize(len(e.Name)) + stringSize(len(e.Payload))
}

// Size returns a bound of the encoded size in bytes.
func (c *QueryCast) Size() int {
	size := fieldCount + 2*smallSize + 3*intSize + addrSize + stringSize(len(c.ID.From)) + stringSize(len(c.Name)) + stringSize(len(c.Payload))
	for _, name := range c.Nodes {
		size += stringSize(len(name))
	}
	for tag, expr := range c.Tags {
		size += stringSize(len(tag)) + stringSize(len(expr))
	}
	return size
}

// Validate tells what is wrong with an event that was received; it wraps ErrEvent.
func (e *UserEvent) Validate() error {
	switch {
	case e.Name == "":
		return fmt.Errorf("%w: it has no name", ErrEvent)
	case !validName(e.From):
		return fmt.Errorf("%w: sender %q must have 1 to %d bytes of printable UTF-8", ErrEvent, clip(e.From), MaxName)
	case e.LTime >= maxLTime || e.Prev >= maxLTime:
		return fmt.Errorf("%w: Lamport time %d is out of range", ErrEvent, e.LTime)
	case e.Age < 0 || e.Age > maxAge:
		return fmt.Errorf("%w: age %v must be 0 to %v", ErrEvent, e.Age, maxAge)
	}
	return nil
}

// Validate tells what is wrong with a claim that was received or configured; it wraps ErrUpdate.
func (u *Update) Validate() error {
	switch {
	case u.State < StateAlive || u.State > StateLeft:
		return fmt.Errorf("%w: state %d is unknown", ErrUpdate, u.State)
	case !validName(u.Name):
		return fmt.Errorf("%w: name %q must have 1 to %d bytes of printable UTF-8", ErrUpdate, clip(u.Name), MaxName)
	case u.From != "" && u.From != u.Name && !validName(u.From):
		return fmt.Errorf("%w: author %q must have up to %d bytes of printable UTF-8", ErrUpdate, clip(u.From), MaxName)
	case u.ID != "" && (len(u.ID) > MaxID || !validName(u.ID)):
		return fmt.Errorf("%w: ID %q of %s must have up to %d bytes of printable UTF-8", ErrUpdate, clip(u.ID), u.Name, MaxID)
	case !validAddr(u.Addr):
		return fmt.Errorf("%w: address %v of %s needs an IP without zone and a port", ErrUpdate, u.Addr, u.Name)
	case u.Incarnation > maxIncarnation:
		return fmt.Errorf("%w: incarnation %d of %s is out of range", ErrUpdate, u.Incarnation, u.Name)
	case u.Age < 0 || u.Age > maxAge:
		return fmt.Errorf("%w: age %v of %s must be 0 to %v", ErrUpdate, u.Age, u.Name, maxAge)
	}
	if size := TagsSize(u.Tags); size > MaxTags {
		return fmt.Errorf("%w: tags of %s need %d bytes encoded; at most %d are allowed: shorten or remove some", ErrUpdate, u.Name, size, MaxTags)
	}
	return nil
}

func validAddr(a netip.AddrPort) bool {
	return a.IsValid() && a.Port() != 0 && a.Addr().Zone() == "" && !a.Addr().IsUnspecified()
}

func validName(s string) bool {
	if len(s) == 0 || len(s) > MaxName || !utf8.ValidString(s) {
		return false
	}
	for _, r := range s {
		if !unicode.IsPrint(r) {
			return false
		}
	}
	return true
}

// clip shortens what a stranger sent for an error message.
func clip(s string) string { return s[:min(len(s), 32)] }
