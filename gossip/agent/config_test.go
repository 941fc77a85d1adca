package agent

import (
	"encoding/json"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const testKey = "5K9OtfP7efFrNKe5WCQvXvnaXJ5cWP0SvXiwe0kkjM4="

func write(t *testing.T, path, text string) string {
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

func TestDefaults(t *testing.T) {
	t.Parallel()
	c, warnings, err := Load(nil)
	require.NoError(t, err)
	require.Empty(t, warnings)
	host, err := os.Hostname()
	require.NoError(t, err)
	require.Equal(t, Config{NodeName: host, Bind: "0.0.0.0", LogLevel: "INFO", RPCAddr: "127.0.0.1:7373", Profile: "lan", Protocol: 5,
		RetryInterval: Duration(30 * time.Second), BroadcastTimeout: Duration(5 * time.Second)}, c)
	bind, err := c.bindAddr()
	require.NoError(t, err)
	require.Equal(t, netip.MustParseAddrPort("0.0.0.0:7946"), bind)
	told, err := c.advertised(bind)
	require.NoError(t, err)
	require.False(t, told.Addr().IsUnspecified(), "others need an address that they can reach")
	require.EqualValues(t, 7946, told.Port())
}

func TestFlags(t *testing.T) {
	t.Parallel()
	c, warnings, err := Load(strings.Fields("-node a -bind 127.0.0.5 -advertise 10.0.0.1:99 -join x -join=y -retry-join z -retry-interval 2s -retry-max 3 " +
		"-tag role=web -tag k=a=b -event-handler user:deploy=x.sh -event-handler y.sh -rpc-addr unix:///tmp/s -rpc-auth t -snapshot f -rejoin -replay -profile wan " +
		"-log-level debug -leave-on-term -skip-leave-on-interrupt -pid-file p -broadcast-timeout 7s -protocol 5 -disable-compression -encrypt " + testKey))
	require.NoError(t, err)
	require.Empty(t, warnings)
	require.Equal(t, Config{NodeName: "a", Bind: "127.0.0.5", Advertise: "10.0.0.1:99", StartJoin: []string{"x", "y"}, RetryJoin: []string{"z"},
		RetryInterval: Duration(2 * time.Second), RetryMax: 3, Tags: map[string]string{"role": "web", "k": "a=b"}, EventHandlers: []string{"user:deploy=x.sh", "y.sh"},
		RPCAddr: "unix:///tmp/s", RPCAuth: "t", SnapshotPath: "f", RejoinAfterLeave: true, ReplayOnJoin: true, Profile: "wan", LogLevel: "debug", LeaveOnTerm: true,
		SkipLeaveOnInt: true, PidFile: "p", BroadcastTimeout: Duration(7 * time.Second), Protocol: 5, EncryptKey: testKey}, c)
	require.Equal(t, 5*time.Second, c.swim().ProbeInterval)
	require.Equal(t, 7*time.Second, c.swim().LeaveTimeout)
	bind, err := c.bindAddr()
	require.NoError(t, err)
	told, err := c.advertised(bind)
	require.NoError(t, err)
	require.Equal(t, netip.MustParseAddrPort("10.0.0.1:99"), told)
	for _, h := range strings.Split(FlagHelp(), "\n  -")[1:] {
		name, _, _ := strings.Cut(strings.Fields(h)[0], "=")
		fs, _ := flagSet(&Config{}, new([]string))
		require.NotNil(t, fs.Lookup(name), name)
	}
}

// Files come before flags and replace one another, but lists grow.
func TestFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first := write(t, filepath.Join(dir, "first"), `{"node_name": "from-first", "tags": {"role": "web", "dc": "a"}, "event_handlers": ["a.sh"], "log_level": "warn",
		"reconnect_timeout": "10m", "user_event_size_limit": 300, "disable_coordinates": true, "leave_on_terminate": true}`)
	sub := filepath.Join(dir, "conf.d")
	require.NoError(t, os.Mkdir(sub, 0o700))
	write(t, filepath.Join(sub, "20.json"), `{"node_name": "from-20", "event_handlers": ["20.sh"]}`)
	write(t, filepath.Join(sub, "10.json"), `{"node_name": "from-10", "event_handlers": ["10.sh"], "tags": {"dc": "b"}, "start_join": ["x"]}`)
	write(t, filepath.Join(sub, "30.txt"), `not read`)
	c, _, err := Load([]string{"-config-file", first, "-join", "y", "-config-dir", sub, "-log-level", "err", "-tag", "k=v"})
	require.NoError(t, err)
	require.Equal(t, "from-20", c.NodeName)
	require.Equal(t, "err", c.LogLevel)
	require.Equal(t, []string{"a.sh", "10.sh", "20.sh"}, c.EventHandlers)
	require.Equal(t, []string{"x", "y"}, c.StartJoin)
	require.Equal(t, map[string]string{"role": "web", "dc": "b", "k": "v"}, c.Tags)
	require.True(t, c.LeaveOnTerm)
	s := c.swim()
	require.Equal(t, 10*time.Minute, s.ReconnectTimeout)
	require.Equal(t, 300, s.MaxEvent)
	require.False(t, s.Coordinates)

	for text, want := range map[string]string{
		`{"node_nam": "a"}`:            "node_nam",
		`{`:                            "unexpected EOF",
		`{} {}`:                        "after the end",
		`{"retry_interval": "soon"}`:   "soon",
		`{"statsd_addr": "127.0.0.1"}`: "statsd_addr",
		`{"enable_syslog": true}`:      "syslog",
		`{"mdns": {"interface": "x"}}`: "multicast",
	} {
		_, _, err := Load([]string{"-config-file", write(t, filepath.Join(dir, "bad"), text)})
		require.ErrorContains(t, err, want, text)
	}
	_, _, err = Load([]string{"-config-file", filepath.Join(dir, "none")})
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	for args, want := range map[string]string{
		"-discover x":                           "multicast",
		"-syslog":                               "service manager",
		"-protocol 4":                           "only 5 is served",
		"-encrypt k -keyring-file f":            "not allowed while using a keyring",
		"-tag a=b -tags-file f":                 "not allowed while using tag files",
		"-role web -tags-file f":                "not allowed while using tag files",
		"-profile mars":                         "Unknown profile: mars",
		"-log-level loud":                       "Unknown log level: LOUD",
		"-event-handler foo=bar":                "Invalid event script",
		"-bind nowhere":                         "Invalid bind address",
		"-iface nothing0":                       "Invalid network interface",
		"-tag x":                                "Invalid tag: 'x'",
		"-retry-max -1":                         "must not be negative",
		"stray":                                 "takes no arguments",
		"-frobnicate":                           "not defined",
		"-iface lo -bind 10.99.99.99":           "has no '10.99.99.99' address",
		"-profile mars -log-level loud -syslog": "Unknown profile: mars\nUnknown log level: LOUD",
	} {
		_, _, err := Load(strings.Fields(args))
		require.ErrorContains(t, err, want, args)
	}
	_, _, err := Load([]string{"-help"})
	require.ErrorIs(t, err, flag.ErrHelp)
	c := Config{ValidateNodeNames: true, NodeName: "a b"}
	c, err = c.WithDefaults()
	require.NoError(t, err)
	require.ErrorContains(t, c.Validate(), "letters, digits")
}

func TestCorrections(t *testing.T) {
	t.Parallel()
	c, warnings, err := Load(strings.Fields("-retry-interval 1ms -broadcast-timeout 1ms -rejoin -role web"))
	require.NoError(t, err)
	require.Equal(t, []string{"Deprecation warning: 'Role' has been replaced with 'Tags'", "Warning: 'RetryInterval' is too low. Setting to 1s",
		"Warning: 'BroadcastTimeout' is too low. Setting to 1s", "Warning: 'RejoinAfterLeave' enabled without snapshot file"}, warnings)
	require.Equal(t, map[string]string{"role": "web"}, c.Tags)
	require.Equal(t, minRetryInterval, c.RetryInterval)
}

func TestAddresses(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{"10.0.0.1": "10.0.0.1:7946", "10.0.0.1:1": "10.0.0.1:1", "::1": "[::1]:7946", "[::1]": "[::1]:7946", "[::1]:5": "[::1]:5"} {
		got, err := parseAddr(text)
		require.NoError(t, err)
		require.Equal(t, want, got.String(), text)
	}
	c := Config{Bind: "10.0.0.1:55", Advertise: "10.0.0.9"}
	bind, err := c.bindAddr()
	require.NoError(t, err)
	told, err := c.advertised(bind)
	require.NoError(t, err)
	require.Equal(t, "10.0.0.9:55", told.String(), "an address without a port has that of the socket")
	c = Config{Bind: "0.0.0.0:55", Interface: "lo"}
	bind, err = c.bindAddr()
	require.NoError(t, err)
	require.Equal(t, "127.0.0.1:55", bind.String())
	for text, want := range map[string]string{"web": "web 9", "web:5": "web 5", "::1": "::1 9", "[::1]:5": "::1 5", "[::1]": "::1 9"} {
		host, port, err := splitHost(text, 9)
		require.NoError(t, err)
		require.Equal(t, want, fmt.Sprint(host, " ", port), text)
	}
	_, _, err = splitHost("web:http", 9)
	require.Error(t, err)
}

// FuzzMerge reads any configuration file.
func FuzzMerge(f *testing.F) {
	seed, err := json.Marshal(Config{NodeName: "a", Tags: map[string]string{"k": "v"}, EventHandlers: []string{"x"}, RetryInterval: Duration(time.Second)})
	require.NoError(f, err)
	f.Add(seed)
	f.Add([]byte(`{"mdns": [[[1]]], "tags": null}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		c := Config{EventHandlers: []string{"first"}}
		if c.merge(data) != nil {
			return
		}
		require.Equal(t, "first", c.EventHandlers[0])
		full, err := c.WithDefaults()
		require.NoError(t, err)
		full.Validate()
	})
}
