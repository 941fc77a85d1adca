package command

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"

	"concord/cmd/node/client"
)

// kvVerbs: https://developer.hashicorp.com/consul/commands/kv
var kvVerbs = []verb{
	{name: "kv get", usage: "[options] [KEY_OR_PREFIX]", synopsis: "Retrieves data", about: "Prints the value of a key, or lists keys below a prefix.",
		example: "kv get -recurse config/", setup: kvGet},
	{name: "kv put", usage: "[options] KEY [DATA]", synopsis: "Sets or updates data",
		about: "Writes a value: DATA, the content of a file with @FILE, or standard input with -.", example: "kv put -flags=42 config/db @db.json", setup: kvPut},
	{name: "kv delete", usage: "[options] KEY_OR_PREFIX", synopsis: "Removes data", about: "Deletes a key, or all below a prefix.",
		example: "kv delete -recurse config/", setup: kvDelete},
	{name: "kv export", usage: "[options] [PREFIX]", synopsis: "Exports data as JSON", about: "Prints all keys below a prefix as JSON, for kv import.",
		example: "kv export config/ >config.json", setup: none(kvExport)},
	{name: "kv import", usage: "[options] [DATA]", synopsis: "Imports data from JSON",
		about: "Writes what kv export printed: DATA, the content of a file with @FILE, or standard input with -.", example: "kv import @config.json", setup: none(kvImport)},
}

// pair is a key as the API shows it.
type pair struct {
	Key                                        string
	CreateIndex, ModifyIndex, LockIndex, Flags uint64
	Value                                      []byte
	Session                                    string
}

func kvPath(key string) string { return "/v1/kv/" + strings.TrimPrefix(key, "/") }

func notFound(err error) bool {
	var s *client.StatusError
	return errors.As(err, &s) && s.Code == http.StatusNotFound
}

func kvGet(fs *flag.FlagSet) func(*call) error {
	recurse := fs.Bool("recurse", false, "All keys below the prefix, with their values.")
	keys := fs.Bool("keys", false, "The names of keys below the prefix.")
	separator := fs.String("separator", "/", "With -keys: stop behind this.")
	detailed := fs.Bool("detailed", false, "Show indexes, flags and session, too.")
	encode := fs.Bool("base64", false, "Print values in base64.")
	consistent := fs.Bool("consistent", false, "Read from a leader that has confirmed that it leads.")
	return func(c *call) error {
		key, query := "", url.Values{}
		switch len(c.args) {
		case 0:
			if !*keys && !*recurse {
				return badUsage("Error! Missing KEY argument")
			}
		case 1:
			key = c.args[0]
		default:
			return badUsage("Too many arguments (expected 1, got %d)", len(c.args))
		}
		if *consistent {
			query.Set("consistent", "")
		}
		if *keys {
			return c.kvKeys(key, *separator, query)
		}
		if *recurse {
			query.Set("recurse", "")
		}
		var found []pair
		err := c.api.Get(kvPath(key), query, &found)
		if notFound(err) && !*recurse {
			return fmt.Errorf("Error! No key exists at: %s", key)
		}
		if err != nil && !notFound(err) {
			return fmt.Errorf("Error querying Consul agent: %w", err)
		}
		for i := range found {
			c.printPair(&found[i], *detailed, *encode, *recurse)
		}
		return nil
	}
}

func (c *call) kvKeys(prefix, separator string, query url.Values) error {
	query.Set("keys", "")
	query.Set("separator", separator)
	var names []string
	if err := c.api.Get(kvPath(prefix), query, &names); err != nil && !notFound(err) {
		return fmt.Errorf("Error querying Consul agent: %w", err)
	}
	for _, n := range names {
		c.ui.Output(n)
	}
	return nil
}

func (c *call) printPair(p *pair, detailed, encode, withKey bool) {
	value := string(p.Value)
	if encode {
		value = base64.StdEncoding.EncodeToString(p.Value)
	}
	switch {
	case detailed:
		session := p.Session
		if session == "" {
			session = "-"
		}
		u := func(v uint64) string { return strconv.FormatUint(v, 10) }
		for _, row := range [][2]string{{"CreateIndex", u(p.CreateIndex)}, {"Flags", u(p.Flags)}, {"Key", p.Key}, {"LockIndex", u(p.LockIndex)},
			{"ModifyIndex", u(p.ModifyIndex)}, {"Session", session}, {"Value", value}} {
			c.ui.Output(fmt.Sprintf("%-17s%s", row[0], row[1]))
		}
		if withKey {
			c.ui.Output("")
		}
	case withKey:
		c.ui.Output(p.Key + ":" + value)
	default:
		c.ui.Output(value)
	}
}

// data is an argument, the content of a file (@FILE), or standard input (-).
func (c *call) data(arg string) ([]byte, error) {
	switch {
	case arg == "-":
		p, err := io.ReadAll(c.stdin)
		if err != nil {
			return nil, fmt.Errorf("Failed to read standard input: %w", err)
		}
		return p, nil
	case strings.HasPrefix(arg, "@"):
		p, err := os.ReadFile(arg[1:])
		if err != nil {
			return nil, fmt.Errorf("Failed to read file: %w", err)
		}
		return p, nil
	}
	return []byte(arg), nil
}

func kvPut(fs *flag.FlagSet) func(*call) error {
	cas := fs.Bool("cas", false, "Write only if -modify-index is the key's; 0: only if there is no such key.")
	modifyIndex := fs.Uint64("modify-index", 0, "With -cas: the index that the key must have.")
	flags := fs.Uint64("flags", 0, "Number to keep with the value.")
	encoded := fs.Bool("base64", false, "DATA is in base64.")
	return func(c *call) error {
		if len(c.args) == 0 {
			return badUsage("Missing KEY argument")
		}
		if len(c.args) > 2 {
			return badUsage("Too many arguments (expected 1 or 2, got %d)", len(c.args))
		}
		key, value := c.args[0], []byte(nil)
		if len(c.args) == 2 {
			var err error
			if value, err = c.data(c.args[1]); err != nil {
				return err
			}
		}
		if *encoded {
			plain, err := base64.StdEncoding.DecodeString(strings.TrimSpace(string(value)))
			if err != nil {
				return fmt.Errorf("Error! Cannot base 64 decode data: %w", err)
			}
			value = plain
		}
		query := url.Values{}
		if *flags != 0 {
			query.Set("flags", strconv.FormatUint(*flags, 10))
		}
		if *cas {
			query.Set("cas", strconv.FormatUint(*modifyIndex, 10))
		}
		if value == nil {
			value = []byte{}
		}
		out, err := c.api.Do(http.MethodPut, kvPath(key), query, value)
		if err != nil {
			return fmt.Errorf("Error! Failed writing data: %w", err)
		}
		if string(bytes.TrimSpace(out)) != "true" {
			return fmt.Errorf("Error! Did not write to %s: CAS failed", key)
		}
		c.ui.Output("Success! Data written to: " + key)
		return nil
	}
}

func kvDelete(fs *flag.FlagSet) func(*call) error {
	recurse := fs.Bool("recurse", false, "Delete all keys below the prefix.")
	cas := fs.Bool("cas", false, "Delete only if -modify-index is the key's.")
	modifyIndex := fs.Uint64("modify-index", 0, "With -cas: the index that the key must have.")
	return func(c *call) error {
		switch {
		case len(c.args) == 0:
			return badUsage("Missing KEY argument")
		case len(c.args) > 1:
			return badUsage("Too many arguments (expected 1, got %d)", len(c.args))
		case *cas && *recurse:
			return badUsage("Cannot specify both -cas and -recurse!")
		case *cas && *modifyIndex == 0:
			return badUsage("Must specify -modify-index when specifying -cas!")
		}
		key, query := c.args[0], url.Values{}
		if *recurse {
			query.Set("recurse", "")
		}
		if *cas {
			query.Set("cas", strconv.FormatUint(*modifyIndex, 10))
		}
		out, err := c.api.Do(http.MethodDelete, kvPath(key), query, nil)
		if err != nil {
			return fmt.Errorf("Error! Failed to delete: %w", err)
		}
		if string(bytes.TrimSpace(out)) != "true" {
			return fmt.Errorf("Error! Did not delete key %s: CAS failed", key)
		}
		if *recurse {
			c.ui.Output("Success! Deleted keys with prefix: " + key)
		} else {
			c.ui.Output("Success! Deleted key: " + key)
		}
		return nil
	}
}

// exported is a key in the format of kv export.
type exported struct {
	Key   string `json:"key"`
	Flags uint64 `json:"flags"`
	Value []byte `json:"value"`
}

func kvExport(c *call) error {
	prefix := ""
	if len(c.args) > 1 {
		return badUsage("Too many arguments (expected 1, got %d)", len(c.args))
	}
	if len(c.args) == 1 {
		prefix = c.args[0]
	}
	var found []pair
	if err := c.api.Get(kvPath(prefix), url.Values{"recurse": {""}}, &found); err != nil && !notFound(err) {
		return fmt.Errorf("Error querying Consul agent: %w", err)
	}
	out := make([]exported, 0, len(found))
	for _, p := range found {
		if p.Value == nil {
			p.Value = []byte{}
		}
		out = append(out, exported{p.Key, p.Flags, p.Value})
	}
	text, err := json.MarshalIndent(out, "", "\t")
	if err != nil {
		return fmt.Errorf("Error exporting KV data: %w", err)
	}
	c.ui.Output(string(text))
	return nil
}

func kvImport(c *call) error {
	if len(c.args) > 1 {
		return badUsage("Too many arguments (expected 1, got %d)", len(c.args))
	}
	arg := "-"
	if len(c.args) == 1 {
		arg = c.args[0]
	}
	text, err := c.data(arg)
	if err != nil {
		return err
	}
	var entries []exported
	if err := json.Unmarshal(text, &entries); err != nil {
		return fmt.Errorf("Cannot unmarshal data: %w: expected what 'node kv export' prints", err)
	}
	for _, e := range entries {
		query := url.Values{}
		if e.Flags != 0 {
			query.Set("flags", strconv.FormatUint(e.Flags, 10))
		}
		if e.Value == nil {
			e.Value = []byte{}
		}
		if err := c.api.Put(kvPath(e.Key), query, e.Value); err != nil {
			return fmt.Errorf("Error! Failed writing data for key %s: %w", e.Key, err)
		}
		c.ui.Output("Imported: " + e.Key)
	}
	return nil
}
