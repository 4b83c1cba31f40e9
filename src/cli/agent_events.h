// Where an agent process tells what happens: JSON lines on stdout, statsd.
//
// io_context thread only. Life: construct, start(), stop().
#pragma once

#include <memory>
#include <string>

#include "agent/settings.h"
#include "agent/udp_sender.h"

namespace gantry::cli {

class AgentEvents {
 public:
  /// Throws Error(invalid_input) for a URL that cannot be.
  AgentEvents(Env& env, const agent::AgentSettings& settings);

  /// Null if nobody wants to know. Must not outlive this.
  agent::Observer observer();
  void start();
  Async<> stop();

 private:
  Env& env_;
  bool print_;
  std::unique_ptr<agent::UdpSender> sender_;  // null: no statsd
  agent::Observer statsd_;                    // likewise
};

}  // namespace gantry::cli
