// Package lint tests the code itself: the tiers of the design, the purity of the cores, and the size
// of files and functions. It is imported by nothing.
package lint

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const (
	maxFunction = 70
	maxFile     = 500
)

// tiers says how high a folder is; imports only point down or stay in the tier. A folder that is not listed
// takes the tier of its parent.
var tiers = map[string]int{
	"internal": 0, "internal/testcluster": 3, "internal/version": 3,
	"raft": 1, "swim": 1, "catalog": 1, "gossip": 2, "gossip/agent": 3, "gossip/runner": 3,
	"wire": 2, "transport": 2, "store": 2, "agent": 2, "node": 2, "store/raftlog": 2,
	"node/archive": 3, "node/runner": 3, "node/process": 3, "node/datadir": 3, "node/recovery": 3, "transport/tcp": 3, "transport/udp": 3, "transport/seal": 2, "store/pebblestore": 3, "store/memstore": 3,
	"store/storetest": 3, "agent/checks": 3, "agent/rexec": 3, "agent/definitions": 3, "api": 3, "sim": 3, "linearizability": 3, "bench": 3, "cmd": 3, "config": 3,
}

// impure are the packages that a pure core must not import.
var impure = []string{"os", "net", "net/http", "sync", "sync/atomic", "log", "math/rand", "math/rand/v2", "io/ioutil", "syscall", "os/exec",
	"github.com/hashicorp/go-hclog"}

// impureCalls are calls that read the world or the clock.
var impureCalls = []string{"time.Now", "time.Since", "time.Until", "time.Sleep", "time.After", "time.AfterFunc", "time.NewTimer", "time.NewTicker", "time.Tick",
	"fmt.Print", "fmt.Println", "fmt.Printf"}

type source struct {
	path, dir string
	test      bool
	file      *ast.File
	fset      *token.FileSet
	lines     int
}

func sources(t *testing.T) []source {
	root, err := filepath.Abs("../..")
	require.NoError(t, err)
	var out []source
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(root, path)
		if d.IsDir() {
			_, nested := os.Stat(filepath.Join(path, "go.mod"))
			if rel != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata" || nested == nil) {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(path, ".go") {
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		fset := token.NewFileSet()
		file, err := parser.ParseFile(fset, path, text, parser.SkipObjectResolution|parser.ParseComments)
		if err != nil {
			return err
		}
		out = append(out, source{path: rel, dir: filepath.ToSlash(filepath.Dir(rel)), test: strings.HasSuffix(rel, "_test.go"),
			file: file, fset: fset, lines: strings.Count(string(text), "\n")})
		return nil
	})
	require.NoError(t, err)
	require.Greater(t, len(out), 20, "the sources were not found")
	return out
}

func tierOf(dir string) (int, bool) {
	for d := dir; d != "."; d = filepath.ToSlash(filepath.Dir(d)) {
		if tier, ok := tiers[d]; ok {
			return tier, true
		}
	}
	return 0, false
}

func imports(s source) []string {
	var out []string
	for _, i := range s.file.Imports {
		p, _ := strconv.Unquote(i.Path.Value)
		out = append(out, p)
	}
	return out
}

func TestTiers(t *testing.T) {
	t.Parallel()
	for _, s := range sources(t) {
		tier, ok := tierOf(s.dir)
		if !ok {
			t.Errorf("%s: the folder has no tier: add it to the list", s.path)
			continue
		}
		if s.test {
			continue
		}
		for _, p := range imports(s) {
			target, own := strings.CutPrefix(p, "concord/")
			if !own {
				continue
			}
			if other, _ := tierOf(target); other > tier {
				t.Errorf("%s: tier %d imports %s of tier %d", s.path, tier, p, other)
			}
		}
	}
}

func TestPurity(t *testing.T) {
	t.Parallel()
	for _, s := range sources(t) {
		tier, _ := tierOf(s.dir)
		if s.test || tier > 1 || s.dir == "internal/lint" {
			continue
		}
		for _, p := range imports(s) {
			if slices.Contains(impure, p) {
				t.Errorf("%s: a pure core imports %s", s.path, p)
			}
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.GoStmt:
				t.Errorf("%s: a pure core starts a goroutine", s.fset.Position(n.Pos()))
			case *ast.ChanType:
				t.Errorf("%s: a pure core has a channel", s.fset.Position(n.Pos()))
			case *ast.SelectStmt:
				t.Errorf("%s: a pure core selects", s.fset.Position(n.Pos()))
			case *ast.SelectorExpr:
				if x, ok := n.X.(*ast.Ident); ok && slices.Contains(impureCalls, x.Name+"."+n.Sel.Name) {
					t.Errorf("%s: a pure core calls %s.%s", s.fset.Position(n.Pos()), x.Name, n.Sel.Name)
				}
			}
			return true
		})
	}
}

func TestSizes(t *testing.T) {
	t.Parallel()
	for _, s := range sources(t) {
		if s.test {
			continue
		}
		if s.lines > maxFile {
			t.Errorf("%s: %d lines, at most %d", s.path, s.lines, maxFile)
		}
		for _, d := range s.file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok || f.Body == nil {
				continue
			}
			if n := s.fset.Position(f.End()).Line - s.fset.Position(f.Pos()).Line + 1; n > maxFunction {
				t.Errorf("%s: %s has %d lines, at most %d", s.fset.Position(f.Pos()), f.Name.Name, n, maxFunction)
			}
		}
	}
}

func TestPackagesAreDocumented(t *testing.T) {
	t.Parallel()
	documented := map[string]bool{}
	for _, s := range sources(t) {
		if s.test && s.file.Doc == nil {
			continue
		}
		documented[s.dir] = documented[s.dir] || s.file.Doc != nil
	}
	for dir, ok := range documented {
		if !ok {
			t.Errorf("%s: no file has a package comment", dir)
		}
	}
}
