// What the server's request handlers work with. Owned by Server (server/server.h); everything belongs to the io_context
// thread.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>

#include "base/crypto.h"
#include "core/queue/limits.h"
#include "object/object_store.h"
#include "server/auth/authenticator.h"
#include "server/cold.h"
#include "server/commit.h"
#include "server/live_logs.h"
#include "server/wait_line.h"
#include "wire/node_messages.h"

namespace gantry::server {

class Outbox;
class Pulse;
class Shells;

/// A native node as far as it lives in memory only.
struct NodeLink {
  Duration last_poll{};                      // Env::uptime
  int waiting_for_disk = 0;                  // polls that cannot be answered because a commit is slow
  std::string trouble;                       // why it takes no tasks, as it says
  std::vector<wire::CacheSummary> caches{};  // as it says
  std::int64_t clock_ahead_ms = 0;           // of ours, as it says
  WaitLine news;

  /// Not heard of for so long that its runs are given to others.
  bool is_silent(Duration uptime) const { return waiting_for_disk == 0 && uptime - last_poll > queue::node_term; }
};

struct Services {
  Env& env;
  CommitLoop& commits;
  ColdRecords& cold;
  auth::Authenticator& authenticator;
  object::ObjectStore* objects;                   // null in the simulator: no artifacts are stored there
  LiveLogs* logs;                                 // null in the simulator
  HmacSha256Key object_key;                       // signs the URLs of objects
  std::string public_url;                         // empty: the Host that the client used
  std::map<std::string, WaitLine> claim_lines{};  // by task queue
  std::map<TaskId, WaitLine> task_lines{};        // who waits for a task's next change
  std::map<NodeId, NodeLink> nodes{};
  Outbox* outbox = nullptr;  // never null once the server is made
  Pulse* pulse = nullptr;    // null: none is configured
  Shells* shells = nullptr;  // never null once the server is made
  bool leading = false;      // false while the state is being read again
  bool stopping = false;     // long polls answer at once
  Duration started{};

  const auth::Sealer* sealer = nullptr;    // never null once the server is made
  std::set<std::string> objects_in_use{};  // of the object service, being written or finished

  /// False once long polls should end.
  bool may_wait() const { return leading && !stopping; }
  bool is_silent(NodeId node) const {
    auto link = nodes.find(node);
    return link == nodes.end() || link->second.is_silent(env.uptime());
  }

  /// Sees to the end of a log that somebody has written to although its run is over.
  std::function<void(wire::RunRef)> end_log{};

  /// How long requests wait for news.
  Duration long_poll = seconds(20);
};

}  // namespace gantry::server
