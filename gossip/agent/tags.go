package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"time"

	"concord/gossip"
	"concord/gossip/agent/snapshot"
	"concord/swim"
)

// startTags are the tags to begin with: the configured ones, or those in the tags file.
func (c *Config) startTags() (map[string]string, error) {
	if c.TagsFile == "" {
		return c.Tags, nil
	}
	data, err := os.ReadFile(c.TagsFile)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil // it is written when a tag is set
	}
	if err != nil {
		return nil, fmt.Errorf("Failed to read tags file: %w", err)
	}
	var tags map[string]string
	if err := json.Unmarshal(data, &tags); err != nil {
		return nil, fmt.Errorf("Failed to decode tags file: %w", err)
	}
	return tags, nil
}

// ChangeTags implements ipc.Backend.
func (a *Agent) ChangeTags(ctx context.Context, set map[string]string, remove []string) error {
	return a.changeTags(ctx, func(tags map[string]string) map[string]string {
		tags = maps.Clone(tags)
		for _, name := range remove {
			delete(tags, name)
		}
		if tags == nil {
			tags = map[string]string{}
		}
		maps.Copy(tags, set)
		return tags
	})
}

// changeTags tells others of new tags, after they were kept in the tags file.
func (a *Agent) changeTags(ctx context.Context, change func(map[string]string) map[string]string) error {
	a.tagsMu.Lock()
	defer a.tagsMu.Unlock()
	tags := change(a.self().Tags)
	if size := swim.TagsSize(tags); size > swim.MaxTags {
		return fmt.Errorf("Encoded length of tags exceeds limit of %d bytes", swim.MaxTags)
	}
	if err := a.keepTags(tags); err != nil {
		return err
	}
	var refused error
	err := a.call(ctx, func(now time.Duration, p *gossip.Pool) { refused = p.SetTags(now, tags) })
	return errors.Join(err, refused)
}

// keepTags replaces the tags file, whole or not at all.
func (a *Agent) keepTags(tags map[string]string) error {
	if a.cfg.TagsFile == "" {
		return nil
	}
	data, err := json.MarshalIndent(tags, "", "  ")
	if err != nil {
		return fmt.Errorf("Failed to encode tags: %w", err)
	}
	if err := replaceFile(a.cfg.TagsFile, data, 0o600); err != nil {
		return fmt.Errorf("Failed to write tags file: %w", err)
	}
	return nil
}

// replaceFile writes a file beside the old one and gives it its name, durably.
func replaceFile(path string, data []byte, mode os.FileMode) error {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*.tmp")
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		os.Remove(f.Name())
		return err
	}
	return snapshot.SyncDir(filepath.Dir(path))
}
