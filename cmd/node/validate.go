package main

import (
	"flag"
	"io"
	"strings"

	"github.com/hashicorp/cli"

	"concord/config"
)

// validateCommand looks at configuration files without starting an agent.
type validateCommand struct{ ui cli.Ui }

// Synopsis is the line in the list of commands.
func (c *validateCommand) Synopsis() string { return "Validates configuration files" }

// Help describes the command.
func (c *validateCommand) Help() string {
	return `Usage: node validate [options] FILE_OR_DIRECTORY...

  Reads configuration files, and the .json and .hcl files of folders, as the agent does, and tells every problem.
  Returns 0 if there is none.

      $ node validate /etc/concord.d

Options:

  -config-format
     Format of all files: json or hcl.
  -quiet
     Say nothing if all is well.
`
}

// Run validates the files.
func (c *validateCommand) Run(args []string) int {
	fs := flag.NewFlagSet("validate", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	format := fs.String("config-format", "", "")
	quiet := fs.Bool("quiet", false, "")
	if err := fs.Parse(args); err != nil || fs.NArg() == 0 {
		c.ui.Error("Must specify at least one config file or directory")
		return 1
	}
	warnings, err := config.Validate(fs.Args(), *format)
	for _, w := range warnings {
		c.ui.Warn(w)
	}
	if err != nil {
		for _, line := range strings.Split(err.Error(), "\n") {
			c.ui.Error("Config validation failed: " + line)
		}
		return 1
	}
	if !*quiet {
		c.ui.Output("Configuration is valid!")
	}
	return 0
}
