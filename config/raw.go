// Package config reads an agent's flags and configuration files, with Consul's names and meanings
// (https://developer.hashicorp.com/consul/docs/agent/config).
package config

import (
	"reflect"
	"strings"
)

// raw is the configuration as it is written. Its tags are the keys that are served.
type raw struct {
	AdvertiseAddr        *string           `mapstructure:"advertise_addr"`
	AdvertiseAddrWAN     *string           `mapstructure:"advertise_addr_wan"`
	BindAddr             *string           `mapstructure:"bind_addr"`
	ClientAddr           *string           `mapstructure:"client_addr"`
	Bootstrap            *bool             `mapstructure:"bootstrap"`
	BootstrapExpect      *int              `mapstructure:"bootstrap_expect"`
	CheckUpdateInterval  *string           `mapstructure:"check_update_interval"`
	DataDir              *string           `mapstructure:"data_dir"`
	Datacenter           *string           `mapstructure:"datacenter"`
	DisableCoordinates   *bool             `mapstructure:"disable_coordinates"`
	DisableKeyringFile   *bool             `mapstructure:"disable_keyring_file"`
	DisableRemoteExec    *bool             `mapstructure:"disable_remote_exec"`
	Domain               *string           `mapstructure:"domain"`
	AltDomain            *string           `mapstructure:"alt_domain"`
	Encrypt              *string           `mapstructure:"encrypt"`
	EncryptIncoming      *bool             `mapstructure:"encrypt_verify_incoming"`
	EncryptOutgoing      *bool             `mapstructure:"encrypt_verify_outgoing"`
	LeaveOnTerminate     *bool             `mapstructure:"leave_on_terminate"`
	SkipLeaveOnInterrupt *bool             `mapstructure:"skip_leave_on_interrupt"`
	LogLevel             *string           `mapstructure:"log_level"`
	LogJSON              *bool             `mapstructure:"log_json"`
	NodeID               *string           `mapstructure:"node_id"`
	NodeName             *string           `mapstructure:"node_name"`
	NodeMeta             map[string]string `mapstructure:"node_meta"`
	PidFile              *string           `mapstructure:"pid_file"`
	Recursors            []string          `mapstructure:"recursors"`
	RejoinAfterLeave     *bool             `mapstructure:"rejoin_after_leave"`
	RetryJoin            []string          `mapstructure:"retry_join"`
	RetryInterval        *string           `mapstructure:"retry_interval"`
	RetryMax             *int              `mapstructure:"retry_max"`
	RetryJoinWAN         []string          `mapstructure:"retry_join_wan"`
	RetryIntervalWAN     *string           `mapstructure:"retry_interval_wan"`
	RetryMaxWAN          *int              `mapstructure:"retry_max_wan"`
	ReconnectTimeout     *string           `mapstructure:"reconnect_timeout"`
	ReconnectTimeoutWAN  *string           `mapstructure:"reconnect_timeout_wan"`
	SerfLAN              *string           `mapstructure:"serf_lan"`
	SerfWAN              *string           `mapstructure:"serf_wan"`
	Server               *bool             `mapstructure:"server"`
	StartJoin            []string          `mapstructure:"start_join"`
	StartJoinWAN         []string          `mapstructure:"start_join_wan"`
	CoordinateInterval   *string           `mapstructure:"sync_coordinate_interval_min"`
	CoordinateRate       *int              `mapstructure:"sync_coordinate_rate_target"`
	Services             []map[string]any  `mapstructure:"services"`
	Checks               []map[string]any  `mapstructure:"checks"`

	Ports struct {
		HTTP    *int `mapstructure:"http"`
		DNS     *int `mapstructure:"dns"`
		Server  *int `mapstructure:"server"`
		SerfLAN *int `mapstructure:"serf_lan"`
		SerfWAN *int `mapstructure:"serf_wan"`
	} `mapstructure:"ports"`
	Addresses struct {
		HTTP *string `mapstructure:"http"`
		DNS  *string `mapstructure:"dns"`
	} `mapstructure:"addresses"`
	Consul struct {
		Coordinate rawCoordinates `mapstructure:"coordinate"`
	} `mapstructure:"consul"`
	Performance struct {
		RaftMultiplier *int    `mapstructure:"raft_multiplier"`
		LeaveDrainTime *string `mapstructure:"leave_drain_time"`
		RPCHoldTimeout *string `mapstructure:"rpc_hold_timeout"`
	} `mapstructure:"performance"`
	Autopilot struct {
		CleanupDeadServers      *bool   `mapstructure:"cleanup_dead_servers"`
		LastContactThreshold    *string `mapstructure:"last_contact_threshold"`
		MaxTrailingLogs         *int    `mapstructure:"max_trailing_logs"`
		MinQuorum               *uint   `mapstructure:"min_quorum"`
		ServerStabilizationTime *string `mapstructure:"server_stabilization_time"`
	} `mapstructure:"autopilot"`
	DNS struct {
		NodeTTL         *string           `mapstructure:"node_ttl"`
		ServiceTTL      map[string]string `mapstructure:"service_ttl"`
		OnlyPassing     *bool             `mapstructure:"only_passing"`
		AllowStale      *bool             `mapstructure:"allow_stale"`
		EnableTruncate  *bool             `mapstructure:"enable_truncate"`
		UDPAnswerLimit  *int              `mapstructure:"udp_answer_limit"`
		ARecordLimit    *int              `mapstructure:"a_record_limit"`
		RecursorTimeout *string           `mapstructure:"recursor_timeout"`
		SOA             struct {
			Refresh *uint32 `mapstructure:"refresh"`
			Retry   *uint32 `mapstructure:"retry"`
			Expire  *uint32 `mapstructure:"expire"`
			MinTTL  *uint32 `mapstructure:"min_ttl"`
		} `mapstructure:"soa"`
	} `mapstructure:"dns_config"`
	Gossip    rawGossip `mapstructure:"gossip_lan"`
	GossipWAN rawGossip `mapstructure:"gossip_wan"`
	Limits    struct {
		HTTPMaxConnsPerClient *int `mapstructure:"http_max_conns_per_client"`
	} `mapstructure:"limits"`
	HTTPConfig struct {
		ResponseHeaders map[string]string `mapstructure:"response_headers"`
	} `mapstructure:"http_config"`
}

// served are the paths of all keys of raw.
var served = paths(reflect.TypeOf(raw{}), "")

func paths(t reflect.Type, prefix string) map[string]bool {
	out := map[string]bool{}
	for i := range t.NumField() {
		f := t.Field(i)
		key := prefix + f.Tag.Get("mapstructure")
		out[key] = true
		if f.Type.Kind() == reflect.Struct {
			for k := range paths(f.Type, key+".") {
				out[k] = true
			}
		}
	}
	return out
}

// harmless are keys that Concord accepts without a word: what they ask for is so anyhow, or concerns
// nothing that it does.
var harmless = set(`disable_update_check disable_anonymous_signature protocol raft_protocol disable_host_node_id
	ports.https ports.grpc ports.grpc_tls ports.sidecar_min_port ports.sidecar_max_port ports.expose_min_port ports.expose_max_port
	enable_syslog ui ui_config ui_dir ui_content_path`)

// unserved are keys that Consul knows and Concord does not serve yet. What is below them is not looked at.
var unserved = set(`acl_agent_master_token acl_agent_token acl_datacenter acl_default_policy acl_down_policy acl_enable_key_list_policy
	acl_enforce_version_8 acl_master_token acl_replication_token acl_token acl_ttl acl addresses.https addresses.grpc addresses.grpc_tls advertise_addr_ipv4
	advertise_addr_ipv6 advertise_addr_wan_ipv4 advertise_addr_wan_ipv6 advertise_reconnect_timeout audit auto_config auto_encrypt
	auto_reload_config autopilot.disable_upgrade_migration autopilot.redundancy_zone_tag autopilot.upgrade_version_tag bind_addr_rpc cache check_deregister_interval_min
	check_output_max_size check_reap_interval cloud config_entries connect default_query_time disable_http_unprintable_char_filter
	discard_check_output discovery_max_stale dns_config.cache_max_age dns_config.disable_compression dns_config.max_stale
	dns_config.node_meta_txt dns_config.prefer_namespace dns_config.recursor_strategy dns_config.use_cache enable_acl_replication
	enable_agent_tls_for_checks enable_central_service_config enable_debug enable_local_script_checks enable_script_checks
	experiments http_config.allow_write_http_from http_config.block_endpoints http_config.max_header_bytes
	http_config.use_cache license_path limits.http_max_conns_per_client_tls limits.https_handshake_timeout limits.kv_max_value_size limits.request_limits
	limits.rpc_client_timeout limits.rpc_handshake_timeout limits.rpc_max_burst limits.rpc_max_conns_per_client limits.rpc_rate limits.txn_max_req_len
	locality log_file log_rotate_bytes log_rotate_duration log_rotate_max_files max_query_time non_voting_server partition peering
	performance.grpc_keepalive_interval performance.grpc_keepalive_timeout pid_file_mode primary_datacenter primary_gateways primary_gateways_interval raft_boltdb raft_logstore
	raft_snapshot_interval raft_snapshot_threshold raft_trailing_logs read_replica reporting
	rpc segment segment_limit segments serf_allowed_cidrs_lan serf_allowed_cidrs_wan server_name server_rejoin_age_max
	session_ttl_min static_runtime_source statsd_addr statsite_addr statsite_prefix syslog_facility tagged_addresses telemetry translate_wan_addrs
	unix_sockets use_streaming_backend view_config watches xds ca_path cert_file tls_cipher_suites tls_min_version tls_prefer_server_cipher_suites
	verify_server_hostname_wan version version_prerelease`)

// refused are keys whose silent absence would leave a cluster open that its operator takes for closed.
var refused = set(`verify_incoming verify_incoming_https verify_incoming_rpc verify_outgoing verify_server_hostname key_file ca_file tls`)

func set(words string) map[string]bool {
	out := map[string]bool{}
	for _, w := range strings.Fields(words) {
		out[w] = true
	}
	return out
}
