package mutants

import (
	"fmt"
	"strings"
)

// Find returns the mutant with the given name.
func Find(name string) (Mutant, error) {
	for _, m := range All() {
		if m.Name == name {
			return m, nil
		}
	}
	return Mutant{}, fmt.Errorf("there is no mutant %q", name)
}

// All returns every mutant.
func All() []Mutant {
	var all []Mutant
	for _, group := range [][]Mutant{elections, replication, reads, membership, snapshots, storage, proposals, data, watching, gossip, duties, events, datacenters, poolsOnly, secrets} {
		all = append(all, group...)
	}
	return all
}

// Table writes the results as a table in Markdown.
func Table(results []Result) string {
	var b strings.Builder
	b.WriteString("| Mutant | The bug | Seeds | Checker that fired |\n|---|---|---|---|\n")
	for _, r := range results {
		seeds, checker := fmt.Sprint(r.Seeds), r.Checker
		if !r.Found {
			seeds, checker = "none of "+seeds, "**not found**"
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", r.Mutant.Name, r.Mutant.What, seeds, checker)
	}
	return b.String()
}
