// Reads a run's log to its end, through connections that break and servers that restart.
#pragma once

#include <functional>
#include <memory>

#include "cli/client.h"

namespace gantry::cli {

/// How long an absent server is waited for before following it is given up.
inline constexpr Duration server_patience = minutes(10);
inline constexpr Duration server_patience_hurried = seconds(5);

std::string log_target(const std::string& task, int run, std::int64_t offset);

/// Waits out one failed request: returns after a moment if it is worth trying again, else throws `error`. One object a
/// followed thing, so that the trouble is told once and its end too.
class Patience {
 public:
  explicit Patience(Env& env) : env_(env) {}
  Async<> after(Error error);
  /// The server has answered.
  void over();
  /// The user wants to leave: from now on a server that stays away is waited for a few seconds only.
  void hurry();

 private:
  Env& env_;
  bool waiting_ = false;
  bool hurried_ = false;
  Duration since_{};
};

/// Hands the log's bytes to `sink` as they come, until the run has ended and its log is complete; without a log there
/// are none. Throws Error if the server stays away or refuses.
Async<> follow_log(std::shared_ptr<Client> client, std::string task, int run, std::shared_ptr<Patience> patience,
                   std::function<void(std::string)> sink);

}  // namespace gantry::cli
