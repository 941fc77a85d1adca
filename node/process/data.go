package process

import (
	"fmt"
	"os"
	"strconv"

	"concord/node/recovery"
	"concord/node/runner"
	"concord/raft"
)

// openData opens a server's stores, and gives them the configuration of peers.json if there is one.
func (p *Process) openData() error {
	files := recovery.FilesIn(p.data.Path())
	if err := files.Explain(); err != nil {
		return err
	}
	config, err := files.Read(raft.ID(p.id))
	if err != nil {
		return err
	}
	if err := p.data.Check(); err != nil {
		return err
	}
	if p.disk, err = runner.OpenDisk(p.data.Server(), p.id, p.diskFailed); err != nil || config == nil {
		return err
	}
	p.log.Info("server: found peers.json file, recovering Raft configuration...", "servers", config.String())
	if err := recovery.Replace(p.disk.Log, p.disk.Machine, *config); err != nil {
		return err
	}
	if err := p.disk.Reload(); err != nil {
		return err
	}
	if err := files.Done(); err != nil {
		return fmt.Errorf("recovery failed to delete peers.json, please delete manually (see peers.info for details): %w", err)
	}
	p.log.Info("server: deleted peers.json file after successful recovery")
	return nil
}

func writePid(path string) error {
	if path == "" {
		return nil
	}
	if err := os.WriteFile(path, []byte(strconv.Itoa(os.Getpid())+"\n"), 0o644); err != nil {
		return fmt.Errorf("PID file: %w", err)
	}
	return nil
}
