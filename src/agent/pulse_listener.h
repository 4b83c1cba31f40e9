// What a foreign Taskcluster's pulse says that concerns this worker (taskcluster.md 1.14, 2.11): a task of its pool is
// pending, a run was ended by somebody else. News, not truth: without it, and for what it misses while the broker is
// away, claimWork and reclaim say the same later.
//
// A thread of its own listens. The rest belongs to the io_context thread.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/env.h"
#include "net/amqp_url.h"
#include "wire/node_messages.h"

namespace gantry::agent {

struct PulseNews {
  bool pending = false;               // there is a task to claim
  std::optional<wire::RunRef> ended;  // this run is nobody's any more
};

/// Nothing for a message that says neither, or is none of Taskcluster's queue. Any bytes.
std::optional<PulseNews> parse_pulse_news(std::string_view exchange, std::string_view body,
                                          std::string_view task_queue);

class PulseListener {
 public:
  /// `told` is called on the io_context thread, from start() to stop().
  PulseListener(Env& env, net::AmqpUrl url, std::string task_queue, std::function<void(PulseNews)> told);
  ~PulseListener();
  PulseListener(const PulseListener&) = delete;
  PulseListener& operator=(const PulseListener&) = delete;

  void start();
  Async<> stop();

 private:
  class Thread;
  Env& env_;
  std::shared_ptr<std::function<void(PulseNews)>> told_;  // null once nobody wants to hear it
  std::shared_ptr<Thread> thread_;
};

}  // namespace gantry::agent
