package command

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"concord/cmd/node/client"
)

// operatorVerbs: https://developer.hashicorp.com/consul/commands/operator
var operatorVerbs = []verb{
	{name: "operator raft list-peers", usage: "[options]", synopsis: "Shows the servers of the Raft configuration",
		about: "Shows the servers of the Raft configuration.", example: "operator raft list-peers", setup: none(listPeers)},
	{name: "operator raft transfer-leader", usage: "[options]", synopsis: "Hands leadership to another server",
		about: "Hands leadership to the server with -id, or to the best one.", example: "operator raft transfer-leader", setup: transferLeader},
	{name: "operator raft remove-peer", usage: "[options]", synopsis: "Removes a server from the Raft configuration",
		about: "Removes a server that is gone for good. One that runs would come back by itself.", example: "operator raft remove-peer -id=2f3c1a4e-...", setup: removePeer},
	{name: "operator autopilot get-config", usage: "[options]", synopsis: "Shows the autopilot configuration", about: "Shows the autopilot configuration.",
		example: "operator autopilot get-config", setup: none(autopilotGet)},
	{name: "operator autopilot set-config", usage: "[options]", synopsis: "Changes the autopilot configuration",
		about: "Changes what the flags name, and leaves the rest.", example: "operator autopilot set-config -cleanup-dead-servers=false", setup: autopilotSet},
	{name: "operator autopilot state", usage: "[options]", synopsis: "Shows the health of the servers", about: "Shows what autopilot knows of the servers.",
		example: "operator autopilot state -format=json", setup: autopilotState},
}

func listPeers(c *call) error {
	var r struct {
		Servers []struct {
			ID, Node, Address, ProtocolVersion string
			Leader, Voter                      bool
		}
	}
	if err := c.api.Get("/v1/operator/raft/configuration", nil, &r); err != nil {
		return fmt.Errorf("Error getting peers: Failed to retrieve raft configuration: %w", err)
	}
	rows := [][]string{{"Node", "ID", "Address", "State", "Voter", "RaftProtocol"}}
	for _, s := range r.Servers {
		state := "follower"
		if s.Leader {
			state = "leader"
		}
		rows = append(rows, []string{s.Node, s.ID, s.Address, state, strconv.FormatBool(s.Voter), s.ProtocolVersion})
	}
	c.table(rows)
	return nil
}

func transferLeader(fs *flag.FlagSet) func(*call) error {
	id := fs.String("id", "", "ID of the server that shall lead.")
	return func(c *call) error {
		query := url.Values{}
		if *id != "" {
			query.Set("id", *id)
		}
		if _, err := c.api.Do(http.MethodPost, "/v1/operator/raft/transfer-leader", query, nil); err != nil {
			return fmt.Errorf("Error transferring leadership: %w", err)
		}
		c.ui.Output("Success")
		return nil
	}
}

func removePeer(fs *flag.FlagSet) func(*call) error {
	id := fs.String("id", "", "ID of the server.")
	address := fs.String("address", "", "Address of the server, IP:port.")
	return func(c *call) error {
		query, what := url.Values{}, "id \""+*id+"\""
		switch {
		case *id == "" && *address == "":
			return badUsage("an address or id is required for the peer to remove")
		case *id != "" && *address != "":
			return badUsage("cannot remove a peer by both id and address")
		case *id != "":
			query.Set("id", *id)
		default:
			query.Set("address", *address)
			what = "address \"" + *address + "\""
		}
		if _, err := c.api.Do(http.MethodDelete, "/v1/operator/raft/peer", query, nil); err != nil {
			return fmt.Errorf("Error removing peer: %w", err)
		}
		c.ui.Output("Removed peer with " + what)
		return nil
	}
}

// autopilotConfig is the configuration as the API shows it.
type autopilotConfig struct {
	CleanupDeadServers      bool
	LastContactThreshold    string
	MaxTrailingLogs         uint64
	MinQuorum               uint
	ServerStabilizationTime string
	RedundancyZoneTag       string
	DisableUpgradeMigration bool
	UpgradeVersionTag       string
	CreateIndex             uint64
	ModifyIndex             uint64
}

func autopilotGet(c *call) error {
	var a autopilotConfig
	if err := c.api.Get("/v1/operator/autopilot/configuration", nil, &a); err != nil {
		return fmt.Errorf("Error querying Autopilot configuration: %w", err)
	}
	c.ui.Output(fmt.Sprintf("CleanupDeadServers = %v\nLastContactThreshold = %s\nMaxTrailingLogs = %d\nMinQuorum = %d\nServerStabilizationTime = %s\nRedundancyZoneTag = %q\nDisableUpgradeMigration = %v\nUpgradeVersionTag = %q",
		a.CleanupDeadServers, a.LastContactThreshold, a.MaxTrailingLogs, a.MinQuorum, a.ServerStabilizationTime, a.RedundancyZoneTag, a.DisableUpgradeMigration, a.UpgradeVersionTag))
	return nil
}

func autopilotSet(fs *flag.FlagSet) func(*call) error {
	cleanup := fs.Bool("cleanup-dead-servers", true, "Whether failed servers are removed.")
	contact := fs.Duration("last-contact-threshold", 0, "How long a healthy server may be without contact to the leader.")
	trailing := fs.Uint64("max-trailing-logs", 0, "By how many entries a healthy server may trail the leader.")
	quorum := fs.Uint("min-quorum", 0, "Number of voters below which no dead server is removed.")
	stable := fs.Duration("server-stabilization-time", 0, "How long a server must be healthy to get a vote.")
	return func(c *call) error {
		var a autopilotConfig
		if err := c.api.Get("/v1/operator/autopilot/configuration", nil, &a); err != nil {
			return fmt.Errorf("Error querying Autopilot configuration: %w", err)
		}
		fs.Visit(func(f *flag.Flag) {
			switch f.Name {
			case "cleanup-dead-servers":
				a.CleanupDeadServers = *cleanup
			case "last-contact-threshold":
				a.LastContactThreshold = contact.String()
			case "max-trailing-logs":
				a.MaxTrailingLogs = *trailing
			case "min-quorum":
				a.MinQuorum = *quorum
			case "server-stabilization-time":
				a.ServerStabilizationTime = stable.String()
			}
		})
		out, err := c.api.Do(http.MethodPut, "/v1/operator/autopilot/configuration", url.Values{"cas": {strconv.FormatUint(a.ModifyIndex, 10)}}, a)
		if err != nil {
			return fmt.Errorf("Error setting Autopilot configuration: %w", err)
		}
		if string(bytes.TrimSpace(out)) != "true" {
			return errors.New("Configuration could not be atomically updated, please try again")
		}
		c.ui.Output("Configuration updated!")
		return nil
	}
}

func autopilotState(fs *flag.FlagSet) func(*call) error {
	format := fs.String("format", "pretty", "pretty or json.")
	return func(c *call) error {
		if *format != "pretty" && *format != "json" {
			return badUsage("-format: %q is neither pretty nor json", *format)
		}
		out, err := c.api.Do(http.MethodGet, "/v1/operator/autopilot/health", nil, nil)
		var bad *client.StatusError
		if errors.As(err, &bad) && bad.Code == http.StatusTooManyRequests {
			err = nil // the answer is there: a server is unhealthy
		}
		if err != nil {
			return fmt.Errorf("Error querying Autopilot state: %w", err)
		}
		var h struct {
			Healthy          bool
			FailureTolerance int
			Servers          []struct {
				ID, Name, Address, SerfStatus, LastContact string
				Leader, Healthy, Voter                     bool
				LastTerm, LastIndex                        uint64
				StableSince                                time.Time
			}
		}
		if err := json.Unmarshal(out, &h); err != nil {
			return fmt.Errorf("Error decoding Autopilot state: %w", err)
		}
		if *format == "json" {
			text, err := json.MarshalIndent(h, "", "   ")
			if err != nil {
				return err
			}
			c.ui.Output(string(text))
			return nil
		}
		c.ui.Output(fmt.Sprintf("Healthy:           %v\nFailure Tolerance: %d\nServers:", h.Healthy, h.FailureTolerance))
		for _, s := range h.Servers {
			c.ui.Output(fmt.Sprintf("   %s\n      Name:         %s\n      Address:      %s\n      Leader:       %v\n      Voter:        %v\n      Healthy:      %v\n      Node Status:  %s\n      Last Contact: %s\n      Last Term:    %d\n      Last Index:   %d\n      Stable Since: %s",
				s.ID, s.Name, s.Address, s.Leader, s.Voter, s.Healthy, s.SerfStatus, s.LastContact, s.LastTerm, s.LastIndex, s.StableSince.Format(time.RFC3339)))
		}
		return nil
	}
}
