// How an agent is set up (taskcluster.md 1.17). Plain values; where they come from (profile, files, environment, flags)
// is the command line's affair.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "agent/images/registries.h"
#include "agent/observer.h"
#include "agent/side_container_settings.h"
#include "base/json.h"
#include "base/time.h"
#include "net/amqp_url.h"
#include "net/tls.h"
#include "wire/hawk.h"

namespace gantry::agent {

class OpenPgpKey;
class SigningKey;

/// What is cleared away, and when (taskcluster.md 1.15).
struct GarbageSettings {
  Duration interval = seconds(60);
  Duration image_expiration = hours(2);  // after its last use
  /// What nobody needs is removed at once; if that fails again and again, it is left alone for so long.
  Duration container_expiration = minutes(30);
  /// Free on the disk, for each free slot and at least one; where there is less, unused caches and images go, and
  /// nothing is claimed until there is room again. 0: the disk is not watched.
  std::int64_t disk_bytes_per_slot = 1'000'000'000;
  std::string disk_path;  // the disk that is watched; by default the engine's own directory, if it is on this machine
  /// Told what is cleared away, by the event names of taskcluster.md 1.16; may be null.
  std::function<void(std::string_view event, const json::object& fields)> observer{};
  /// Free bytes of the disk at a path, called on the blocking pool; may throw Error. Null: the real disk's.
  std::function<std::int64_t(const std::string& path)> free_bytes{};
};

/// What becomes of running tasks when the agent ends.
enum class OnStop {
  leave,      // their containers go on, and the next start takes them up
  hand_back,  // they are aborted and reported as worker-shutdown: the server has them tried again
  finish,     // nothing more is claimed, and they may end, within a limit; then as hand_back
};

/// When the machine itself is given up (taskcluster.md 1.14).
struct ShutdownSettings {
  bool enabled = false;  // because of idleness; a notice of the host ends the machine in any case
  Duration after_idle = minutes(5);
  Duration billing_cycle{};                 // 0: idle time alone counts; else shut down before a new cycle begins
  Duration cycle_margin = seconds(120);     // before the end of a billing cycle
  std::string command = "shutdown -h now";  // run by sh once the agent has ended; empty: the agent only ends
  /// Of the cloud's instance, for the host "aws"; empty: where AWS has it.
  std::string metadata_url;
  /// Told when the worker is idle and when it works, by the event names of taskcluster.md 1.16; may be null.
  std::function<void(std::string_view event, const json::object& fields)> observer{};
};

/// Where the agent's machine comes from (agent/host/).
struct HostSettings {
  std::string kind = "standalone";  // or aws, test, worker-runner
  std::string file;                 // with the facts of the machine, for the host "test"
};

struct MetricsSettings {
  std::string statsd_url;  // udp://host:port (a bare host:port too); empty: none are sent
  std::string statsd_prefix;
  std::string worker_node_type;
  bool events = false;  // JSON events, a line each, on stdout
};

/// Work for the queue of a foreign Taskcluster, by its public API alone (agent/taskcluster_queue.h).
struct ForeignSettings {
  bool enabled = false;
  std::string log_listen = "0.0.0.0:0";  // where live logs are read
  std::string log_host;                  // the name in their URLs; by default the agent's public name
  std::string log_certificate;           // PEM files: live logs are read by https; empty: by http
  std::string log_key;
  std::optional<net::AmqpUrl> pulse;  // the broker that tells of pending tasks and ended runs; none: they show later
};

/// What surrounds tasks' containers.
struct SurroundingsSettings {
  bool firewall = false;              // rules keep containers from this machine (agent/isolation.h)
  std::string dind_image;             // with a container engine in it; empty: features.dind is refused
  SideContainerList side_containers;  // those that a task may ask for
  bool superseder_anywhere = false;   // supersederUrl may lead to this machine
};

struct AgentSettings {
  std::string data_directory;  // made if it is not there: the agent's id, spooled logs
  std::string server_host;     // as in the Host header: what requests are signed for
  std::uint16_t server_port = 0;
  bool server_tls = false;  // https
  net::TlsFiles tls_files;
  wire::HawkCredentials credentials;
  std::string name;         // for people; by default the machine's host name
  std::string public_name;  // under which others reach the machine, told in logs; by default `name`
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
  SurroundingsSettings surroundings;
  GarbageSettings garbage;
  OnStop on_stop = OnStop::leave;     // on SIGTERM and Ctrl-C
  Duration finish_within = hours(1);  // what is left then is handed back; for OnStop::finish
  ShutdownSettings shutdown;
  HostSettings host;
  ForeignSettings foreign;
  MetricsSettings metrics;
  Observer observer{};  // told what happens; may be null
  /// The machine of the container engine, if it is another one than the agent's; empty: the same.
  std::string task_host;
  /// An address of the agent's machine under which that one's containers reach it, their own addresses unchanged on the
  /// way: the tasks' proxy listens there. Empty: there is none, and tasks with taskclusterProxy are refused.
  std::string proxy_address;
};

}  // namespace gantry::agent
