// A run's log on its way out: written to the spool, shipped to the server as fast as that takes it, never waiting for
// it.
//
// io_context thread only. The disk is touched on the blocking pool, by one piece of work at a time: what was begun
// there ends by itself, also if the coroutine that asked for it is cancelled or the log is gone, and the spool cannot
// be opened again before that. start() belongs to whoever runs the task.
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
  /// What is in the log from `offset` on, some of it; empty at the end. Cheap if offsets ascend and nobody else reads.
  /// Throws Error(unavailable) if the disk cannot be read.
  Async<std::string> read(std::int64_t offset);
  /// How much of the container's stream is in the spool, as far as writes have returned; also from before a restart.
  std::int64_t spooled(int stream) const { return spool_->sizes.of_stream[static_cast<std::size_t>(stream)]; }
  std::int64_t bytes() const { return spool_->sizes.bytes; }
  /// How much of it the server is known to have.
  std::int64_t shipped() const { return shipped_; }
  bool started() const { return !name_.empty(); }
  /// Why it could not be written.
  const std::optional<Error>& broken() const { return broken_; }
  /// The server has it all, or nobody wants it: the spool can go.
  void discard() { spool_->file.remove(); }
  /// Until nothing of the pool works on the spool: then another RunLog can open it once this one is gone.
  Async<> settle();

 private:
  /// Shared with the work on the pool. `file` is for that work alone while `busy`, the rest for the io_context thread.
  struct OpenSpool {
    explicit OpenSpool(std::string path) : file(std::move(path)), sizes(file.sizes()) {}
    Spool file;
    Spool::Sizes sizes;
    bool busy = false;
    Event idle;
  };
  class Turn;

  /// Does `use` on the pool once it is its turn, and returns what that returned or throws what it threw.
  Async<std::string> use_spool(std::move_only_function<std::string(Spool&)> use);
  Async<> append(int stream, std::string bytes);
  Async<> ship();

  Env& env_;
  ServerApi& server_;
  wire::RunRef run_;
  std::shared_ptr<OpenSpool> spool_;
  std::function<Signer()> signer_;
  std::string name_;
  std::int64_t shipped_ = 0;
  bool line_open_ = false;  // the last byte written was not a newline
  Event shipped_some_;
  std::optional<Error> refused_;
  std::optional<Error> broken_;
};

}  // namespace gantry::agent
