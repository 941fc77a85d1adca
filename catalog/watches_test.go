package catalog

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestWatchesOfKV(t *testing.T) {
	t.Parallel()
	var w Watches
	require.Empty(t, w.Touched([]Topic{{Kind: TopicKV, Name: "a"}}))
	w.Add(7, []Topic{{Kind: TopicKV, Name: "a/b"}})
	w.Add(3, []Topic{{Kind: TopicKV, Name: "a/", Prefix: true}, {Kind: TopicNodes}})
	w.Add(5, []Topic{{Kind: TopicKV, Name: "", Prefix: true}})
	w.Add(5, []Topic{{Kind: TopicKV, Name: "", Prefix: true}})
	w.Add(9, []Topic{{Kind: TopicKV, Name: "a/b/c", Prefix: true}})
	require.Equal(t, 4, w.Len())
	for _, c := range []struct {
		name    string
		touched []Topic
		want    []uint64
	}{
		{"key", []Topic{{Kind: TopicKV, Name: "a/b"}}, []uint64{3, 5, 7}},
		{"sibling", []Topic{{Kind: TopicKV, Name: "a/c"}}, []uint64{3, 5}},
		{"shorter", []Topic{{Kind: TopicKV, Name: "a"}}, []uint64{5}},
		{"below", []Topic{{Kind: TopicKV, Name: "a/b/cd"}}, []uint64{3, 5, 9}},
		{"tree above all", []Topic{{Kind: TopicKVTree, Name: ""}}, []uint64{3, 5, 7, 9}},
		{"tree", []Topic{{Kind: TopicKVTree, Name: "a/b"}}, []uint64{3, 5, 7, 9}},
		{"tree beside", []Topic{{Kind: TopicKVTree, Name: "a/x"}}, []uint64{3, 5}},
		{"tree below the key", []Topic{{Kind: TopicKVTree, Name: "a/b/c/d"}}, []uint64{3, 5, 9}},
		{"another table", []Topic{{Kind: TopicNodes}}, []uint64{3}},
		{"several", []Topic{{Kind: TopicNodes}, {Kind: TopicKV, Name: "a/b"}}, []uint64{3, 5, 7}},
		{"nothing", nil, nil},
		{"unwatched", []Topic{{Kind: TopicAutopilot}}, nil},
	} {
		require.Equal(t, c.want, w.Touched(c.touched), c.name)
	}
	for _, id := range []uint64{3, 5, 7, 9, 100} {
		w.Remove(id)
	}
	require.Zero(t, w.Len())
	require.Empty(t, w.byTopic)
	require.Empty(t, w.prefixes)
	require.Empty(t, w.Touched([]Topic{{Kind: TopicKVTree, Name: ""}}))
}

// concerns is what Watches is about, one pair at a time.
func concerns(touched, watched Topic) bool {
	if touched.Kind == TopicKVTree && watched.Kind == TopicKV {
		return strings.HasPrefix(watched.Name, touched.Name) || watched.Prefix && strings.HasPrefix(touched.Name, watched.Name)
	}
	if touched.Kind != watched.Kind {
		return false
	}
	return touched.Name == watched.Name || watched.Prefix && strings.HasPrefix(touched.Name, watched.Name)
}

func TestWatchesAgreeWithNaive(t *testing.T) {
	t.Parallel()
	name := rapid.SampledFrom([]string{"", "a", "a/", "a/b", "ab", "b"})
	watchedTopic := rapid.Custom(func(t *rapid.T) Topic {
		if rapid.Bool().Draw(t, "kv") {
			return Topic{Kind: TopicKV, Name: name.Draw(t, "name"), Prefix: rapid.Bool().Draw(t, "prefix")}
		}
		return Topic{Kind: TopicService, Name: name.Draw(t, "name")}
	})
	touchedTopic := rapid.Custom(func(t *rapid.T) Topic {
		return Topic{Kind: rapid.SampledFrom([]TopicKind{TopicKV, TopicKVTree, TopicService}).Draw(t, "kind"), Name: name.Draw(t, "name")}
	})
	rapid.Check(t, func(t *rapid.T) {
		var w Watches
		naive := map[uint64][]Topic{}
		for range rapid.IntRange(0, 20).Draw(t, "steps") {
			id := rapid.Uint64Range(0, 5).Draw(t, "id")
			if rapid.Bool().Draw(t, "add") {
				topics := rapid.SliceOfN(watchedTopic, 0, 3).Draw(t, "topics")
				w.Add(id, topics)
				naive[id] = append(naive[id], topics...)
			} else {
				w.Remove(id)
				delete(naive, id)
			}
			touched := rapid.SliceOfN(touchedTopic, 0, 3).Draw(t, "touched")
			var want []uint64
			for id := range uint64(6) {
				hit := false
				for _, a := range touched {
					for _, b := range naive[id] {
						hit = hit || concerns(a, b)
					}
				}
				if hit {
					want = append(want, id)
				}
			}
			require.Equal(t, want, append([]uint64(nil), w.Touched(touched)...))
		}
	})
}

func BenchmarkWatchesTouchedKey(b *testing.B) {
	var w Watches
	for i := range uint64(10_000) {
		w.Add(i, []Topic{{Kind: TopicKV, Name: "app/" + strings.Repeat("x", int(i%50)), Prefix: true}})
	}
	touched := []Topic{{Kind: TopicKV, Name: "other/key/of/some/length"}}
	b.ReportAllocs()
	for b.Loop() {
		w.Touched(touched)
	}
}
