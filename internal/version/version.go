// Package version says which release this is.
package version

import "runtime/debug"

// Version is the version of Concord. It begins with that of the Consul whose API it serves, since clients and
// tools look at it.
const Version = "1.8.7+concord.0.1"

// Revision is the commit it was built from, if the build knows.
func Revision() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			return s.Value[:min(8, len(s.Value))]
		}
	}
	return ""
}
