#include "agent/task/run_log.h"

#include <fmt/format.h>

#include "agent/limits.h"
#include "base/log.h"

namespace gantry::agent {
namespace {

constexpr int conflicts_max = 3;
/// Ends a line that the task has left open before one of ours; not "\n", so that readers (cli/task_output.h) can tell
/// the task's bytes from ours.
constexpr const char* line_break = "\r\n";

/// One user of a resource at a time, first come first served as far as Event is.
class Turn {
 public:
  Turn(bool& busy, Event& idle) : busy_(busy), idle_(idle) { busy_ = true; }
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;
  ~Turn() {
    busy_ = false;
    idle_.notify_all();
  }

 private:
  bool& busy_;
  Event& idle_;
};

}  // namespace

RunLog::RunLog(Env& env, ServerApi& server, wire::RunRef run, std::string spool_path, std::function<Signer()> signer)
    : env_(env),
      server_(server),
      run_(run),
      spool_(std::make_shared<Spool>(std::move(spool_path))),
      signer_(std::move(signer)) {}

void RunLog::start(Scope& scope, std::string name) {
  name_ = std::move(name);
  scope.spawn("log of " + run_.task.to_string(), ship());
}

Async<> RunLog::append(int stream, std::string bytes) {
  while (busy_) co_await idle_.wait();
  if (broken_) co_return;
  {
    Turn turn(busy_, idle_);
    if (!bytes.empty()) line_open_ = bytes.back() != '\n';
    auto write = [spool = spool_, stream, bytes = std::move(bytes)] {
      for (std::size_t at = 0; at < bytes.size(); at += Spool::frame_bytes_max) {
        spool->append(stream, std::string_view(bytes).substr(at, Spool::frame_bytes_max));
      }
    };
    try {
      co_await env_.blocking(std::move(write));
    } catch (const Error& error) {
      broken_ = error;
    }
  }
  if (broken_) log_error("the log of task {}: {}", run_.task.to_string(), broken_->message());
  written_.notify_all();
}

Async<> RunLog::write(int stream, std::string bytes) { co_await append(stream, std::move(bytes)); }

Async<> RunLog::line(std::string text) {
  std::string when = format_time(env_.now());
  when[10] = ' ';
  std::string start = line_open_ ? line_break : "";
  co_await append(0, fmt::format("{}[taskcluster {}] {}\n", start, when, text));
}

Async<> RunLog::error_line(std::string text) {
  std::string start = line_open_ ? line_break : "";
  co_await append(0, fmt::format("{}[taskcluster:error] {}\n", start, text));
}

/// Sends what is in the spool, in order, until cancelled or refused.
Async<> RunLog::ship() {
  bool position_known = shipped_ == 0 && spool_->bytes() == 0;
  Duration delay = retry_delay_min;
  int conflicts = 0;  // in a row: the server's log is longer or shorter than ours, or closed
  for (;;) {
    while (spool_->bytes() <= shipped_ && position_known) co_await written_.wait();
    std::string piece;
    if (position_known) {
      while (busy_) co_await idle_.wait();
      Turn turn(busy_, idle_);
      auto read = [spool = spool_, at = shipped_] { return spool->read(at, log_piece_bytes_max); };
      try {
        piece = co_await env_.blocking(read);
      } catch (const Error& error) {
        refused_ = error;
      }
    }
    if (refused_) {
      shipped_some_.notify_all();
      co_return;
    }
    std::optional<Error> failed;
    try {
      // After a restart an empty append tells how far the server is.
      std::int64_t at = position_known ? shipped_ : 0;
      shipped_ = co_await server_.append_log(signer_(), run_, name_, at, std::move(piece));
      position_known = true;
      conflicts = 0;
      delay = retry_delay_min;
    } catch (const Error& error) {
      failed = error;
    }
    shipped_some_.notify_all();
    if (!failed) continue;
    bool conflict = failed->code() == ErrorCode::conflict;
    if (conflict) position_known = false;
    // Credentials that ran out while the server was away are renewed by whoever holds the claim.
    bool rights = failed->code() == ErrorCode::not_authenticated || failed->code() == ErrorCode::not_authorized;
    if (conflict ? ++conflicts > conflicts_max : !may_retry(*failed) && !rights) {
      refused_ = failed;
      shipped_some_.notify_all();
      co_return;
    }
    co_await env_.sleep(delay);
    delay = std::min(delay * 2, retry_delay_max);
  }
}

Async<> RunLog::flush(Duration patience) {
  Duration until = env_.uptime() + patience;
  while (shipped_ < spool_->bytes() && started()) {
    if (refused_) throw *refused_;
    if (env_.uptime() > until) throw Error(ErrorCode::deadline_exceeded, "the server did not take the log");
    co_await shipped_some_.wait_for(env_, std::min<Duration>(patience, seconds(1)));
  }
}

}  // namespace gantry::agent
