// A run's log on its way out: written to the spool, shipped to the server as fast as that takes it, never waiting for
// it.
//
// io_context thread only; the disk is touched on the blocking pool. start() and finish() belong to whoever runs the
// task.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "agent/server_api.h"
#include "agent/task/spool.h"
#include "base/env.h"

namespace gantry::agent {

class RunLog {
 public:
  /// `signer` is asked for each request, because credentials change with every reclaim.
  RunLog(Env& env, ServerApi& server, wire::RunRef run, std::string spool_path, std::function<Signer()> signer);

  // A disk that cannot be written to makes the log broken: what comes later is dropped, what was written is sent.

  /// Everything from now on is sent as the artifact `name`.
  void start(Scope& scope, std::string name);
  /// Container output (stream 1 or 2).
  Async<> write(int stream, std::string bytes);
  /// A line of our own: "[taskcluster 2026-... ] text".
  Async<> line(std::string text);
  /// "[taskcluster:error] text" on a line of its own.
  Async<> error_line(std::string text);

  /// Waits until the server has everything written so far. Throws Error if it refuses the log for good, or after
  /// `patience`.
  Async<> flush(Duration patience);
  /// How much of the container's stream was spooled before this process started.
  std::int64_t spooled(int stream) const { return spool_->stream_bytes(stream); }
  std::int64_t bytes() const { return spool_->bytes(); }
  /// How much of it the server is known to have.
  std::int64_t shipped() const { return shipped_; }
  bool started() const { return !name_.empty(); }
  /// Why it could not be written.
  const std::optional<Error>& broken() const { return broken_; }
  /// The server has it all, or nobody wants it: the spool can go.
  void discard() { spool_->remove(); }

 private:
  Async<> append(int stream, std::string bytes);
  Async<> ship();

  Env& env_;
  ServerApi& server_;
  wire::RunRef run_;
  std::shared_ptr<Spool> spool_;
  std::function<Signer()> signer_;
  std::string name_;
  std::int64_t shipped_ = 0;
  bool line_open_ = false;  // the last byte written was not a newline
  bool busy_ = false;       // the spool is being used on the pool
  Event idle_;
  Event written_;
  Event shipped_some_;
  std::optional<Error> refused_;
  std::optional<Error> broken_;
};

}  // namespace gantry::agent
