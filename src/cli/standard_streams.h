// Standard input and output without blocking the thread, and without switching the descriptors to non-blocking: those
// are shared with the programs beside this one, which do not expect that.
#pragma once

#include <string>

#include <boost/asio/posix/basic_stream_descriptor.hpp>

#include "base/env.h"

namespace gantry::cli {

/// Waits until a descriptor can be read, or written. Files always can.
class Readiness {
 public:
  enum class For { reading, writing };
  /// Throws Error(unavailable).
  Readiness(Env& env, int descriptor, For what);
  Async<> wait();

 private:
  Async<> wait_for_watcher();

  asio::posix::basic_stream_descriptor<Executor> watcher_;  // an epoll of its own
  bool always_ = false;
};

/// Empty at the end, also where the terminal has gone.
Async<std::string> read_input(Readiness& ready, int descriptor);
/// All of it; throws Error(unavailable) if nobody reads any more.
Async<> write_output(Readiness& ready, int descriptor, std::string bytes);

}  // namespace gantry::cli
