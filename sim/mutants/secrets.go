package mutants

var secrets = []Mutant{
	{Name: "label-not-authenticated", What: "the label of a pool is not authenticated with its messages", File: "transport/seal/seal.go",
		Old: "	a = append(a, head[:sessionAt]...)\n	a = append(a, byte(kind))\n	return append(a, s.label...)\n",
		New: "	a = append(a, head[:labelledHeader]...)\n	return append(a, byte(kind))\n"},
	{Name: "kind-not-authenticated", What: "a recorded datagram is good as a stream", File: "transport/seal/seal.go",
		Old: "	a = append(a, byte(kind))\n", New: ""},
	{Name: "replay-window-ignored", What: "a message is taken in as often as it comes", File: "transport/seal/seal.go",
		Old: "session == s.own[kind].session || s.heard.replayed(session, count)", New: "session == s.own[kind].session"},
	{Name: "same-session-in-each-life", What: "a member that starts again numbers its messages as before", File: "transport/seal/seal.go",
		Old: "counter{session: binary.BigEndian.Uint64(b[:])}", New: "counter{session: uint64(kind)}"},
	{Name: "plaintext-believed", What: "what is not encrypted is taken in by an encrypted pool", File: "gossip/pool.go",
		Old: "		if p.cfg.Keyring != nil && !p.cfg.AcceptPlaintext {\n", New: "		if p.cfg.Keyring != nil && !p.cfg.AcceptPlaintext && !stream {\n"},
	{Name: "primary-key-removed", What: "the key that seals can be removed", File: "gossip/keyring.go",
		Old: "	case i == 0:\n		return ErrPrimaryKey\n	case i > 0:\n", New: "	case i >= 0 && len(r.keys) > 1:\n"},
	{Name: "removed-key-kept", What: "a key that was removed still opens", File: "gossip/keyring.go",
		Old: "		r.keys = slices.Delete(r.keys, i, i+1)\n	}\n	return nil\n}\n\n// String", New: "	}\n	return nil\n}\n\n// String"},
	{Name: "key-answered-before-kept", What: "a change of the keys is answered before it is on disk", File: "gossip/keys.go",
		Old: "		c.saving = true\n", New: "		c.saving = true\n		defer p.changed(nil)\n"},
}
