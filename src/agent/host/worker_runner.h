// A machine under Taskcluster's worker-runner, which has started the agent and speaks with it on standard input and
// output (runner_protocol.h). Only what both sides can is used.
#pragma once

#include <functional>

#include "agent/host/host.h"
#include "base/env.h"
#include "wire/hawk.h"

namespace gantry::agent {

/// Standard input and output, as far as the runner has them.
class RunnerPipes {
 public:
  virtual ~RunnerPipes() = default;
  /// Empty at the end.
  virtual Async<std::string> read_some() = 0;
  /// One line, at most 4096 bytes, in one piece; never waits. False if nobody reads, now or any more.
  virtual bool write(std::string_view line) = 0;
};

/// `use` is told new credentials; null: they are not asked for.
std::shared_ptr<Host> make_worker_runner_host(Env& env, std::shared_ptr<RunnerPipes> pipes,
                                              std::function<void(const wire::HawkCredentials&)> use);

}  // namespace gantry::agent
