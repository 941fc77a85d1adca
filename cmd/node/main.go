// Command node is Concord: an agent, as a server or a client, and the command line that talks to one.
package main

import (
	"fmt"
	"os"

	"github.com/hashicorp/cli"

	"concord/cmd/node/command"
	"concord/internal/version"
)

func main() { os.Exit(run(os.Args[1:])) }

func run(args []string) int {
	ui := &cli.BasicUi{Reader: os.Stdin, Writer: os.Stdout, ErrorWriter: os.Stderr}
	commands := command.Commands(ui, version.Version)
	commands["agent"] = func() (cli.Command, error) { return &agentCommand{ui: ui}, nil }
	commands["gossip agent"] = func() (cli.Command, error) { return &gossipAgentCommand{ui: ui}, nil }
	commands["validate"] = func() (cli.Command, error) { return &validateCommand{ui: ui}, nil }
	app := &cli.CLI{Name: "node", Version: version.Version, Args: args, Commands: commands, HelpFunc: cli.BasicHelpFunc("node"),
		Autocomplete: false, HelpWriter: os.Stdout, ErrorWriter: os.Stderr}
	code, err := app.Run()
	if err != nil {
		fmt.Fprintln(os.Stderr, "node:", err)
		return 1
	}
	return code
}
