// Where wishes for shells go (wire::ShellRequest): each run that may have some has an opener here.
//
// io_context thread only.
#pragma once

#include <functional>
#include <map>
#include <vector>

#include "base/log.h"
#include "wire/node_messages.h"

namespace gantry::agent {

class ShellDesk {
 public:
  using Opener = std::function<void(wire::ShellRequest)>;

  void add(wire::RunRef run, Opener opener) { openers_[run] = std::move(opener); }
  void remove(wire::RunRef run) { openers_.erase(run); }

  /// One of a run that is not here any more is left to the server, which ends it.
  void take(std::vector<wire::ShellRequest> requests) {
    for (wire::ShellRequest& request : requests) {
      auto opener = openers_.find(request.run);
      if (opener != openers_.end()) {
        opener->second(std::move(request));
      } else {
        log_debug("somebody wants a shell in task {}, which has none here", request.run.task.to_string());
      }
    }
  }

 private:
  std::map<wire::RunRef, Opener> openers_;
};

}  // namespace gantry::agent
