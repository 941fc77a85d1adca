package catalog

import (
	"encoding/binary"
	"strings"
)

// The first byte of each key names its table. Bytes below 0x10 belong to whoever keeps the
// applied index and the like beside the catalog.
//
// A part of a key that something follows is escaped and terminated (esc), so that names
// may hold any byte and still sort as themselves. Node names, service names and the IDs of
// services and checks are found whatever their case, as in Consul: keys hold them in lower case.
const (
	tableNodes        byte = 0x10 // node -> Node
	tableNodeIDs      byte = 0x11 // node ID -> node, as a part
	tableServices     byte = 0x12 // service, node, service ID -> NodeService
	tableNodeServices byte = 0x13 // node, service ID -> key in tableServices
	tableChecks       byte = 0x14 // service, node, service ID, check ID -> HealthCheck; node checks: no service
	tableNodeChecks   byte = 0x15 // node, check ID -> key in tableChecks
	tableStateChecks  byte = 0x16 // state, node, check ID -> key in tableChecks
	tableTags         byte = 0x17 // service, tag -> how many instances have it
	tableKV           byte = 0x18 // key, unescaped -> DirEntry
	tableIndexes      byte = 0x19 // topic -> the index it last changed at
	tableGraves       byte = 0x1a // index, topic: the dead among tableIndexes, oldest first
	tableGraveStats   byte = 0x1b // class of topics -> how many graves, and the floor
	tableConfig       byte = 0x1c // name -> configuration
	tableCoordinates  byte = 0x1d // node -> Coordinate
)

const (
	// In an escaped part a zero byte is escape, escapedZero; escape, terminator ends it. The
	// terminator sorts below everything that can follow an escape or a name.
	escape      = 0x00
	escapedZero = 0xff
	terminator  = 0x01
)

// key returns the key of table made of parts, in that order.
func key(table byte, parts ...string) []byte {
	n := 1
	for _, p := range parts {
		n += len(p)
	}
	k := append(make([]byte, 0, n), table)
	for _, p := range parts {
		k = append(k, p...)
	}
	return k
}

// esc returns name as a part of a key: escaped and terminated.
func esc(name string) string {
	if strings.IndexByte(name, escape) >= 0 {
		name = strings.ReplaceAll(name, "\x00", "\x00\xff")
	}
	return name + "\x00\x01"
}

// fold returns name as a part of a key in which case does not count.
func fold(name string) string { return esc(strings.ToLower(name)) }

// noService is the part that stands for the service of checks that have none.
var noService = esc("")

// cut splits the first part off a key whose table was removed.
func cut(k string) (part, rest string, ok bool) {
	for i := 0; i+1 < len(k); i++ {
		if k[i] != escape {
			continue
		}
		i++
		if k[i] == terminator {
			return k[:i+1], k[i+1:], true
		}
	}
	return "", "", false
}

// unesc returns the name that a part stands for.
func unesc(part string) string {
	return strings.ReplaceAll(strings.TrimSuffix(part, "\x00\x01"), "\x00\xff", "\x00")
}

// prefixEnd returns the smallest key greater than all keys with the prefix p. The tables'
// bytes see to it that there is one.
func prefixEnd(p []byte) []byte {
	end := append([]byte(nil), p...)
	for i := len(end) - 1; i >= 0; i-- {
		if end[i] < 0xff {
			end[i]++
			return end[:i+1]
		}
	}
	return nil
}

// indexKey is the key of a topic's index.
func indexKey(t Topic) []byte { return key(tableIndexes, string(rune(t.Kind)), t.Name) }

// graveKey is the key of a dead topic's place in its class's queue.
func graveKey(t Topic, at uint64) []byte {
	k := graveIndexKey(graveClass(t.Kind), at)
	k = append(k, byte(t.Kind))
	return append(k, t.Name...)
}

// graveIndexKey is the least key of the graves of a class from index at on.
func graveIndexKey(class TopicKind, at uint64) []byte {
	k := append(make([]byte, 0, 32), tableGraves, byte(class))
	return binary.BigEndian.AppendUint64(k, at)
}

// graveClass is the class of topics that share a floor. A deleted key and a deleted tree are
// looked for together.
func graveClass(k TopicKind) TopicKind {
	if k == TopicKVTree {
		return TopicKV
	}
	return k
}
