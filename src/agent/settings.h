// How an agent is set up (taskcluster.md 1.17). Plain values; where they come from (profile, files, environment, flags)
// is the command line's affair.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "agent/images/registries.h"
#include "base/time.h"
#include "net/tls.h"
#include "wire/hawk.h"

namespace gantry::agent {

class OpenPgpKey;
class SigningKey;

/// What is cleared away, and when (taskcluster.md 1.15).
struct GarbageSettings {
  Duration interval = seconds(60);
  Duration image_expiration = hours(2);         // after its last use
  Duration container_expiration = minutes(30);  // of one of ours that has ended and nobody waits for
  /// Free on the disk, for each free slot and at least one; where there is less, unused caches and images go, and
  /// nothing is claimed until there is room again.
  std::int64_t disk_bytes_per_slot = 1'000'000'000;
  std::string disk_path;  // the disk that is watched; by default the engine's own directory, if it is on this machine
};

/// When the machine itself is given up (taskcluster.md 1.14).
struct ShutdownSettings {
  bool enabled = false;
  Duration after_idle = minutes(5);
  Duration billing_cycle{};                 // 0: idle time alone counts; else shut down before a new cycle begins
  Duration cycle_margin = seconds(120);     // before the end of a billing cycle
  std::string command = "shutdown -h now";  // run by sh once the agent has ended; empty: the agent only ends
  std::string metadata_url;                 // of the cloud's instance; empty: no spot notices are looked for
};

struct MetricsSettings {
  std::string statsd_url;  // udp://host:port (a bare host:port too); empty: none are sent
  std::string statsd_prefix;
  std::string worker_node_type;
  bool events = false;  // JSON events, a line each, on stdout
};

struct AgentSettings {
  std::string data_directory;  // made if it is not there: the agent's id, spooled logs
  std::string server_host;     // as in the Host header: what requests are signed for
  std::uint16_t server_port = 0;
  bool server_tls = false;  // https
  net::TlsFiles tls_files;
  wire::HawkCredentials credentials;
  std::string name;  // for people; by default the machine's host name
  std::string task_queue = "local/default";
  std::string worker_group = "local";
  std::string worker_id;                                 // by default made from the agent's id
  int slots = 0;                                         // tasks at once; 0: twice the machine's cpus
  std::int64_t log_bytes_max = std::int64_t{256} << 20;  // a task's log; past it the container is killed
  Registries registries;                                 // credentials and mirrors for images
  std::shared_ptr<const SigningKey> signing_key;         // null: tasks with chainOfTrust are refused
  std::shared_ptr<const OpenPgpKey> secrets_key;         // null: tasks with encryptedEnv are refused
  bool restrict_cpu = false;                             // tasks may have a cpu each: no more tasks than cpus then
  bool allow_privileged = false;                         // tasks with the scope may have privileged containers
  GarbageSettings garbage;
  ShutdownSettings shutdown;
  MetricsSettings metrics;
  std::string task_host;  // the name or address by which the agent's machine reaches containers' published ports
};

}  // namespace gantry::agent
