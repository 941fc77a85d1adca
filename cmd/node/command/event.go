package command

import (
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// eventVerbs: https://developer.hashicorp.com/consul/commands/event and .../watch and .../exec
var eventVerbs = []verb{
	{name: "event", usage: "[options] [payload]", synopsis: "Fire a new event",
		about:   "Tells all agents of a datacenter, or those that the filters let through, of a user event with a name and a payload.",
		example: "event -name=deploy -service=web v1.2.3", setup: fireEvent},
	{name: "watch", usage: "[options] [child...]", synopsis: "Watch for changes in Consul",
		about:   "Waits for changes of what -type says and runs a command with each new value on its standard input, or prints the value once.",
		example: "watch -type=service -service=web ./reload.sh", setup: watch},
	{name: "exec", usage: "[options] [-|command...]", synopsis: "Executes a command on Consul nodes",
		about: "Runs a command, or with - the script on standard input, on all agents that the filters let through and that have " +
			"disable_remote_exec = false, and shows what it prints.",
		example: "exec -service=web uptime", setup: remoteExec},
}

// eventFilter are the flags that say whom an event is for.
type eventFilter struct{ node, service, tag string }

func (f *eventFilter) flags(fs *flag.FlagSet) {
	fs.StringVar(&f.node, "node", "", "Regular expression to filter on node names.")
	fs.StringVar(&f.service, "service", "", "Regular expression to filter on service instances.")
	fs.StringVar(&f.tag, "tag", "", "Regular expression to filter on service tags. Must be used with -service.")
}

// fire fires an event and returns its ID.
func (c *call) fire(name string, payload []byte, f eventFilter) (string, error) {
	query := url.Values{}
	for param, value := range map[string]string{"node": f.node, "service": f.service, "tag": f.tag} {
		if value != "" {
			query.Set(param, value)
		}
	}
	if payload == nil {
		payload = []byte{}
	}
	out, err := c.api.Do(http.MethodPut, "/v1/event/fire/"+name, query, payload)
	if err != nil {
		return "", err
	}
	var fired struct{ ID string }
	if err := json.Unmarshal(out, &fired); err != nil {
		return "", err
	}
	return fired.ID, nil
}

func fireEvent(fs *flag.FlagSet) func(*call) error {
	name := fs.String("name", "", "Name of the event.")
	var filter eventFilter
	filter.flags(fs)
	return func(c *call) error {
		switch {
		case *name == "":
			return badUsage("Event name must be specified")
		case len(c.args) > 1:
			return badUsage("Too many command line arguments: the payload is one, got %q", strings.Join(c.args, " "))
		case filter.tag != "" && filter.service == "":
			return badUsage("Cannot provide tag filter without service filter.")
		}
		var payload []byte
		if len(c.args) == 1 {
			payload = []byte(c.args[0])
		}
		id, err := c.fire(*name, payload, filter)
		if err != nil {
			return fmt.Errorf("Error firing event: %w", err)
		}
		c.ui.Output("Event ID: " + id)
		return nil
	}
}
