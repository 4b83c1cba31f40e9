#include "agent/task/run_log.h"

#include <fmt/format.h>

#include "agent/limits.h"
#include "agent/queue_link.h"
#include "base/log.h"

namespace gantry::agent {
namespace {

constexpr int conflicts_max = 3;
/// Ends a line that the task has left open before one of ours; not "\n", so that readers (cli/task_output.h) can tell
/// the task's bytes from ours.
constexpr const char* line_break = "\r\n";

}  // namespace

/// The right to use the spool on the pool. It goes there and comes back with the result, so it ends on the io_context
/// thread when the work has ended, whoever waits for that.
class RunLog::Turn {
 public:
  explicit Turn(std::shared_ptr<OpenSpool> spool) : spool_(std::move(spool)), sizes_(spool_->sizes) {
    spool_->busy = true;
  }
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;
  ~Turn() {
    spool_->sizes = sizes_;
    spool_->busy = false;
    spool_->idle.notify_all();
  }

  /// On the pool.
  std::string use(std::move_only_function<std::string(Spool&)>& function, std::exception_ptr& failure) {
    std::string result;
    try {
      result = function(spool_->file);
    } catch (...) {
      failure = std::current_exception();
    }
    sizes_ = spool_->file.sizes();
    return result;
  }

 private:
  std::shared_ptr<OpenSpool> spool_;
  Spool::Sizes sizes_;
};

RunLog::RunLog(Env& env, ServerApi& server, wire::RunRef run, std::string spool_path, std::function<Signer()> signer)
    : env_(env),
      server_(server),
      run_(run),
      spool_(std::make_shared<OpenSpool>(std::move(spool_path))),
      signer_(std::move(signer)) {}

Async<std::string> RunLog::use_spool(std::move_only_function<std::string(Spool&)> use) {
  struct Done {
    std::shared_ptr<Turn> turn;
    std::string result;
    std::exception_ptr failure;
  };
  while (spool_->busy) co_await spool_->idle.wait();
  auto work = [turn = std::make_shared<Turn>(spool_), use = std::move(use)]() mutable {
    Done done{std::move(turn), {}, nullptr};
    done.result = done.turn->use(use, done.failure);
    return done;
  };
  Done done = co_await env_.blocking(std::move(work));
  if (done.failure) std::rethrow_exception(done.failure);
  co_return std::move(done.result);
}

Async<std::string> RunLog::read(std::int64_t offset) {
  co_return co_await use_spool([offset](Spool& spool) { return spool.read(offset, log_piece_bytes_max); });
}

Async<> RunLog::settle() {
  while (spool_->busy) co_await spool_->idle.wait();
}

void RunLog::start(Scope& scope, std::string name) {
  name_ = std::move(name);
  scope.spawn("log of " + run_.task.to_string(), ship());
}

Async<> RunLog::append(int stream, std::string bytes) {
  while (spool_->busy) co_await spool_->idle.wait();
  if (broken_ || bytes.empty()) co_return;
  line_open_ = bytes.back() != '\n';
  auto write = [stream, bytes = std::move(bytes)](Spool& spool) {
    for (std::size_t at = 0; at < bytes.size(); at += Spool::frame_bytes_max) {
      spool.append(stream, std::string_view(bytes).substr(at, Spool::frame_bytes_max));
    }
    return std::string();
  };
  try {
    co_await use_spool(std::move(write));
  } catch (const Error& error) {
    broken_ = error;
  }
  if (broken_) log_error("the log of task {}: {}", run_.task.to_string(), broken_->message());
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
  bool position_known = shipped_ == 0 && bytes() == 0;
  Duration delay = retry_delay_min;
  int conflicts = 0;  // in a row: the server's log is longer or shorter than ours, or closed
  for (;;) {
    while (bytes() <= shipped_ && position_known) co_await spool_->idle.wait();
    std::string piece;
    if (position_known) {
      auto read = [at = shipped_](Spool& spool) { return spool.read(at, log_piece_bytes_max); };
      try {
        piece = co_await use_spool(read);
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
      shipped_ = co_await server_.queue().append_log(signer_(), run_, name_, at, std::move(piece));
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
  while (shipped_ < bytes() && started()) {
    if (refused_) throw *refused_;
    if (env_.uptime() > until) throw Error(ErrorCode::deadline_exceeded, "the server did not take the log");
    co_await shipped_some_.wait_for(env_, std::min<Duration>(patience, seconds(1)));
  }
}

}  // namespace gantry::agent
