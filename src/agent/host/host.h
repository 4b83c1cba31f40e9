// What runs the agent's machine, as far as the agent has to know: who the machine is, when it is going to be taken
// away, and how it is given up (taskcluster.md 1.14, 1.17). One file a kind: standalone, aws, test, worker_runner.
//
// io_context thread only. Life: construct, facts() once, then wait_for_notice() at a time; shut_down() last.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "base/async.h"
#include "base/json.h"

namespace gantry::agent {

/// Who the machine is. What is not known is empty.
struct HostFacts {
  std::string worker_id;
  std::string worker_group;
  std::string worker_type;
  std::string node_type;  // the machine's size
  std::string region;
  std::string public_name;  // under which others reach it
  json::object settings;    // of the agent, for this machine, key by key
};

/// Why the agent has to end.
struct HostNotice {
  bool finish_tasks = false;  // there is time for those that run
  /// The agent gives the machine up, too. Else who gave notice does that.
  bool machine = false;
  std::string why;  // for people
};

class Host {
 public:
  virtual ~Host() = default;

  /// Throws Error if the machine cannot be asked: an agent under a wrong name does harm.
  virtual Async<HostFacts> facts() = 0;
  /// Until there is notice, perhaps for ever. Trouble on the way is logged. May be called again: a notice that leaves
  /// time for tasks may be followed by one that does not.
  virtual Async<HostNotice> wait_for_notice() = 0;
  /// Gives the machine up. False if this host has no way of its own: then the command of the settings does it.
  virtual Async<bool> shut_down() = 0;
  /// For whoever looks after the machine, apart from the log.
  virtual Async<> report_error(std::string title, std::string description) = 0;
};

/// A machine of its own: nothing is known, and no notice ever comes.
std::shared_ptr<Host> make_standalone_host();

/// A notice that the machine goes at this time, as cloud services write it (RFC 3339); nothing if it is no time.
std::optional<HostNotice> notice_of_termination(std::string_view time_text);

/// The agent's settings from a text that may be for others, too: what does not begin as a JSON object holds none.
/// Throws Error(invalid_input) if it is broken.
json::object host_settings(std::string_view text, std::string_view where);

}  // namespace gantry::agent
