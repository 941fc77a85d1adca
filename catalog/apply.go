package catalog

import "errors"

var errNotYet = errors.New("catalog: not implemented")

// Apply applies the command of log index `index`. It returns the command's outcome and the topics that it touched.
// The error is not nil only if the state could not be read or written, or is corrupt.
func Apply(txn Txn, index uint64, cmd Command) (Result, []Topic, error) {
	return Result{}, nil, errNotYet
}

// Run answers a query from a consistent view of the state.
func Run(view View, q Query) (Answer, error) { return Answer{}, errNotYet }

// Topics names what a watcher of q watches.
func Topics(q Query) []Topic { return nil }

// Validate tells why a command would be refused before it is proposed.
func Validate(cmd Command) error { return nil }

// Watches is the index from topics to those that watch them.
type Watches struct{}

// Add makes id a watcher of topics.
func (w *Watches) Add(id uint64, topics []Topic) {}

// Remove ends all that id watches.
func (w *Watches) Remove(id uint64) {}

// Touched returns, ascending, the watchers of the touched topics.
func (w *Watches) Touched(topics []Topic) []uint64 { return nil }
