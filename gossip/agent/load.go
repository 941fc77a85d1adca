package agent

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Load reads the configuration that the flags tell of: first the files, in the order in which they are named, then the
// flags themselves. What comes later replaces what came before, but handlers and addresses to join are added. It
// returns flag.ErrHelp if the flags ask for help.
func Load(args []string) (c Config, warnings []string, err error) {
	var files []string
	fs, _ := flagSet(&Config{}, &files)
	if err := fs.Parse(args); err != nil {
		return c, nil, err
	}
	if fs.NArg() > 0 {
		return c, nil, fmt.Errorf("%q is no flag: the agent takes no arguments", fs.Arg(0))
	}
	for _, f := range files {
		if err := c.read(f); err != nil {
			return c, nil, err
		}
	}
	fs, _ = flagSet(&c, new([]string))
	if err := fs.Parse(args); err != nil {
		return c, nil, err
	}
	if c, err = c.WithDefaults(); err != nil {
		return c, nil, err
	}
	warnings = c.correct()
	return c, warnings, c.Validate()
}

// correct changes what Serf changes with a warning instead of refusing it.
func (c *Config) correct() (warnings []string) {
	if c.Role != "" {
		warnings = append(warnings, "Deprecation warning: 'Role' has been replaced with 'Tags'")
	}
	for _, f := range []struct {
		name   string
		p      *Duration
		lowest Duration
	}{{"RetryInterval", &c.RetryInterval, minRetryInterval}, {"BroadcastTimeout", &c.BroadcastTimeout, minBroadcastTimeout}} {
		if *f.p < f.lowest {
			*f.p = f.lowest
			warnings = append(warnings, fmt.Sprintf("Warning: '%s' is too low. Setting to %v", f.name, f.lowest))
		}
	}
	if c.RejoinAfterLeave && c.SnapshotPath == "" {
		warnings = append(warnings, "Warning: 'RejoinAfterLeave' enabled without snapshot file")
	}
	return warnings
}

// read takes over a file, or the files of a folder whose names end in .json, in alphabetical order.
func (c *Config) read(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("Error reading configuration: %w", err)
	}
	if !info.IsDir() {
		return c.readFile(path)
	}
	entries, err := os.ReadDir(path) // in alphabetical order
	if err != nil {
		return fmt.Errorf("Error reading configuration: %w", err)
	}
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), ".json") && !e.IsDir() {
			if err := c.readFile(filepath.Join(path, e.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}

func (c *Config) readFile(path string) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("Error reading configuration: %w", err)
	}
	if err := c.merge(data); err != nil {
		return fmt.Errorf("Error decoding '%s': %w", path, err)
	}
	return nil
}

// merge takes over a file's content.
func (c *Config) merge(data []byte) error {
	lists := []*[]string{&c.EventHandlers, &c.StartJoin, &c.RetryJoin}
	var before [][]string
	for _, l := range lists {
		before = append(before, *l)
		*l = nil
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(c); err != nil {
		return err
	}
	if _, err := d.Token(); err != io.EOF {
		return errors.New("there is something after the end of the object")
	}
	for i, l := range lists {
		*l = slices.Concat(before[i], *l)
	}
	return nil
}

// help is what each flag is for, in the order of the help.
type help struct{ name, arg, text string }

// flagSet returns flags that set the configuration, and what to tell of each. Files named are added to files.
func flagSet(c *Config, files *[]string) (*flag.FlagSet, []help) {
	fs := flag.NewFlagSet("agent", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	var all []help
	tell := func(name, arg, text string) { all = append(all, help{name, arg, text}) }
	text := func(p *string, name, arg, about string) { fs.StringVar(p, name, *p, ""); tell(name, arg, about) }
	toggle := func(p *bool, name, about string) { fs.BoolVar(p, name, *p, ""); tell(name, "", about) }
	number := func(p *int, name, arg, about string) { fs.IntVar(p, name, *p, ""); tell(name, arg, about) }
	span := func(p *Duration, name, arg, about string) { fs.TextVar(p, name, *p, ""); tell(name, arg, about) }
	many := func(p *[]string, name, arg, about string) { fs.Var((*list)(p), name, ""); tell(name, arg, about) }

	text(&c.NodeName, "node", "NAME", "Name of this member, unique in the pool; by default that of the machine.")
	text(&c.Bind, "bind", "ADDR", "Address to meet other members at, for TCP and UDP; by default 0.0.0.0:7946.")
	text(&c.Interface, "iface", "NAME", "Network interface whose address to bind to.")
	text(&c.Advertise, "advertise", "ADDR", "Address to tell to others, if it is not the one bound to.")
	many(files, "config-file", "FILE", "JSON file with settings. May be given more than once.")
	many(files, "config-dir", "DIR", "Folder of such files, of which those in .json are read by name.")
	many(&c.StartJoin, "join", "ADDR", "Member to join at start; the agent ends if none of those given answers.")
	many(&c.RetryJoin, "retry-join", "ADDR", "Member to join, tried until one of those given answers.")
	span(&c.RetryInterval, "retry-interval", "30s", "Time between two tries to join.")
	number(&c.RetryMax, "retry-max", "N", "Tries to join after which the agent ends; 0: none.")
	toggle(&c.ReplayOnJoin, "replay", "Have past user events told when joining at start.")
	text(&c.Role, "role", "ROLE", "Deprecated: '-tag role=ROLE'.")
	fs.Var((*tags)(&c.Tags), "tag", "")
	tell("tag", "KEY=VALUE", "What to tell others of this member. May be given more than once.")
	text(&c.TagsFile, "tags-file", "FILE", "File in which tags are kept when they are changed.")
	text(&c.EncryptKey, "encrypt", "KEY", "Key to encrypt with: 16, 24 or 32 bytes in base64 (keygen makes one).")
	text(&c.KeyringFile, "keyring-file", "FILE", "File with the keys to encrypt with, which is kept up to date.")
	many(&c.EventHandlers, "event-handler", "[TYPES=]SCRIPT", "Script to run on events. May be given more than once.")
	text(&c.RPCAddr, "rpc-addr", "ADDR", "Address for the command line, or unix:///path; by default "+DefaultRPCAddr+".")
	text(&c.RPCAuth, "rpc-auth", "TOKEN", "Token that the command line has to know.")
	text(&c.SnapshotPath, "snapshot", "FILE", "File to remember members and clocks in, so as to rejoin after a restart.")
	toggle(&c.RejoinAfterLeave, "rejoin", "Rejoin the members in the snapshot even after having left.")
	text(&c.Profile, "profile", "lan|wan|local", "Timing for where the members are; by default lan.")
	text(&c.LogLevel, "log-level", "LEVEL", "trace, debug, info, warn or err; by default info.")
	toggle(&c.LeaveOnTerm, "leave-on-term", "Leave the pool when told to terminate.")
	toggle(&c.SkipLeaveOnInt, "skip-leave-on-interrupt", "Do not leave the pool when interrupted.")
	span(&c.BroadcastTimeout, "broadcast-timeout", "5s", "How long leaving may take until enough members know.")
	text(&c.PidFile, "pid-file", "FILE", "File to write the process ID to.")
	fs.BoolFunc("disable-compression", "", func(string) error { return nil })
	tell("disable-compression", "", "Accepted: messages are not compressed.")
	fs.BoolVar(&c.UseNewTimeFormat, "msgpack-use-new-time-format", c.UseNewTimeFormat, "")
	tell("msgpack-use-new-time-format", "", "Accepted: no message has a time.")
	number(&c.Protocol, "protocol", "5", "Accepted if it is 5.")
	fs.StringVar(&c.Discover, "discover", c.Discover, "")
	fs.BoolVar(&c.EnableSyslog, "syslog", c.EnableSyslog, "")
	return fs, all
}

// FlagHelp describes the agent's flags.
func FlagHelp() string {
	var b strings.Builder
	_, all := flagSet(&Config{}, new([]string))
	for _, h := range all {
		name := "-" + h.name
		if h.arg != "" {
			name += "=" + h.arg
		}
		fmt.Fprintf(&b, "  %s\n     %s\n", name, h.text)
	}
	return b.String()
}

// list is a flag that may be given more than once.
type list []string

func (l *list) String() string     { return strings.Join(*l, ",") }
func (l *list) Set(v string) error { *l = append(*l, v); return nil }

// tags are the -tag flags.
type tags map[string]string

func (t *tags) String() string { return fmt.Sprint(map[string]string(*t)) }

func (t *tags) Set(v string) error {
	key, value, ok := strings.Cut(v, "=")
	if !ok || key == "" {
		return fmt.Errorf("Invalid tag: '%s'", v)
	}
	if *t == nil {
		*t = tags{}
	}
	(*t)[key] = value
	return nil
}
