package machine

import (
	"fmt"

	"concord/raft"
	"concord/store"
)

// ReplaceConfig replaces, durably, the membership configuration that the state has, unless it has none yet. It is for a
// server whose cluster has lost its quorum, and to be called while nothing is applied.
func (m *Machine) ReplaceConfig(c raft.Configuration) error {
	if m.applied.ConfigIndex == 0 {
		return nil
	}
	batch := m.st.NewBatch()
	defer batch.Close()
	if err := batch.Set(keyConfig, encodeConfig(m.applied.ConfigIndex, c)); err != nil {
		return err
	}
	if err := batch.Commit(store.NoSync); err != nil {
		return fmt.Errorf("replace the configuration of the state: %w", err)
	}
	m.applied.Config = c
	_, err := m.Flush()
	return err
}
