// What an agent and the server say to each other beyond the queue's API (design 3.10, 3.12): the poll, and the report
// that says what happened to a container.
#pragma once

#include <string>
#include <vector>

#include "base/ids.h"
#include "base/json.h"
#include "wire/queue_types.h"

namespace gantry::wire {

/// Header of a claim-work request that makes it safe to send again: the same worker's request with the same token gets
/// the same claims, as far as they still run. At most 64 bytes; a fresh one for each claim that is meant anew.
inline constexpr std::string_view claim_token_header = "x-gantry-claim-token";

struct RunRef {
  TaskId task;
  int run = 0;
  friend auto operator<=>(const RunRef&, const RunRef&) = default;
};

/// A cache of a node: the instances of one name.
struct CacheSummary {
  std::string name;
  std::string task_queue;
  int instances = 0;
  int in_use = 0;  // of the instances
  Time last_used;
};

/// POST /v1/nodes/{id}/poll
struct NodePoll {
  std::string name;
  std::string task_queue;
  std::string worker_group;
  std::string worker_id;
  int slots = 1;
  std::int64_t memory_bytes = 0;
  double cpus = 0;
  std::string version;
  std::uint64_t seen_generation = 0;
  /// The first poll of an agent that has just started: `holds` is all there is; what else the ledger has for this node
  /// is lost and is given out again.
  bool restarted = false;
  std::vector<RunRef> holds;
  /// Why it takes no tasks now (its container engine does not answer); empty if it does.
  std::string trouble;
  std::vector<CacheSummary> caches;  // those used last, if there are too many
  /// By how much its clock is ahead of the server's, behind if negative; 0 if it is about right, or not known.
  std::int64_t clock_ahead_ms = 0;
};

/// Somebody wants a shell in a run's container: connect to /v1/nodes/{id}/shells/{session}, once and soon.
struct ShellRequest {
  std::string session;
  RunRef run;
  bool tty = false;
  std::vector<std::string> command{};  // empty: a shell that is there
};

struct NodeNews {
  std::uint64_t generation = 0;  // never runs back; an agent ignores an older one
  std::vector<RunRef> cancel;    // of what the agent holds: no longer its own, kill it
  std::vector<ShellRequest> shells{};
};

/// How a container ended.
struct ContainerEnd {
  bool known = false;
  std::string cause;  // "exited", "time-limit", "log-limit", "not-started", "engine-lost", "worker-shutdown"
  int exit_code = 0;  // if it exited
  int signal = 0;
  bool out_of_memory = false;
  std::string message;
  std::vector<std::pair<std::string, Time>> steps;
};

/// POST /v1/tasks/{id}/runs/{run}/report
struct RunReport {
  ReasonResolved reason = ReasonResolved::completed;
  ContainerEnd end;
  /// Bytes of the run's log; the report is refused (conflict) until the server has them all. -1: there is no log.
  std::int64_t log_bytes = -1;
};

inline constexpr std::size_t holds_max = 10'000;
inline constexpr std::size_t shells_told_max = 1000;
inline constexpr std::size_t steps_max = 64;
inline constexpr std::size_t caches_told_max = 100;  // of one node

std::string to_json(const NodePoll& poll);
std::string to_json(const NodeNews& news);
std::string to_json(const RunReport& report);
Result<NodePoll> parse_node_poll(std::string_view body);
Result<NodeNews> parse_node_news(std::string_view body);
Result<RunReport> parse_run_report(std::string_view body);

/// "exit": {...} and nothing if it is not known; shared with the task's own page.
void append_end(JsonWriter& out, const ContainerEnd& end);

}  // namespace gantry::wire
