// A claim that is asked for again, with its token, gets what it got before as far as that still runs, and nothing else
// (core/queue/claim.h). So whatever of a worker still runs by one token was taken at once, and is in every answer to
// it.
#pragma once

#include "core/state/state.h"
#include "sim/oracle.h"
#include "sim/sim_network.h"

namespace gantry::sim {

class ClaimWatch {
 public:
  explicit ClaimWatch(Oracle::Fail fail) : fail_(std::move(fail)) {}

  /// An answer leaves the server, in whose state everything is that it says.
  void answered(const state::State& state, const Exchange& exchange, const net::Response& response) const;

 private:
  Oracle::Fail fail_;
};

}  // namespace gantry::sim
