#include "cli/task_session.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>
#include <unistd.h>

#include "cli/download.h"
#include "cli/log_follower.h"
#include "cli/output.h"
#include "cli/task_output.h"
#include "cli/terminal.h"

namespace gantry::cli {
namespace {

constexpr Duration long_poll = seconds(20);
constexpr Duration long_poll_timeout = seconds(40);
/// How long the log of an ended run may still be under way; that of a run whose node is lost never ends.
constexpr Duration log_tail_max = seconds(15);
constexpr Duration frame = milliseconds(100);
/// A task that waits for so long deserves an explanation.
constexpr Duration pending_explained_after = seconds(5);
constexpr Duration node_silent_max = seconds(30);

bool is_resolved(std::string_view state) { return state == "completed" || state == "failed" || state == "exception"; }

const json::value& run_at(const json::value& task, int run) {
  const json::array& runs = array_at(task, "runs");
  static const json::value none;
  return static_cast<std::size_t>(run) < runs.size() ? runs[static_cast<std::size_t>(run)] : none;
}

Verdict judge_exception(std::string_view reason, const std::string& message, bool was_running) {
  auto with_message = [&](std::string text) { return message.empty() ? text : text + ": " + message; };
  if (reason == "canceled") return {exit_cancelled, "the task was cancelled", {}};
  if (reason == "deadline-exceeded") {
    if (was_running) return {exit_time_limit, "the task's deadline passed while it ran", {}};
    return {exit_not_run, "the task's deadline passed before a node took it",
            "see which queues have nodes: gantry nodes"};
  }
  if (reason == "malformed-payload") return {exit_not_run, with_message("the task's payload cannot be run"), {}};
  if (reason == "claim-expired") return {exit_not_run, with_message("the node that ran the task was lost"), {}};
  if (reason == "worker-shutdown") return {exit_not_run, with_message("the node that ran the task was shut down"), {}};
  return {exit_not_run, with_message(fmt::format("the task could not be run ({})", reason)), {}};
}

Verdict judge_failed(const json::value& exit) {
  std::string_view cause = text_at(exit, "cause");
  std::string message(text_at(exit, "message"));
  int code = static_cast<int>(number_at(exit, "code"));
  if (cause == "time-limit")
    return {exit_time_limit, "the task took too long: it " + message, "give it more with --timeout"};
  if (cause == "not-started" || cause == "log-limit") {
    return {exit_not_run, message.empty() ? "the task could not be started" : message, {}};
  }
  const json::value& out_of_memory = value_at(exit, "outOfMemory");
  if (out_of_memory.is_bool() && out_of_memory.get_bool()) {
    return {code, "the task ran out of memory: it " + message, "give it more with --memory"};
  }
  if (code == 0) return {exit_not_run, message.empty() ? "the task failed" : message, {}};
  return {code, fmt::format("the task failed with exit code {}", code) + (message.empty() ? "" : ": " + message), {}};
}

class Session {
 public:
  Session(std::shared_ptr<Client> client, SessionTask task, Interrupts& interrupts)
      : env_(client->env()),
        client_(std::move(client)),
        task_(std::move(task)),
        interrupts_(interrupts),
        patience_(std::make_shared<Patience>(env_)),
        line_(env_),
        scope_(env_.executor(), "task " + task_.id) {}

  Async<int> follow();

 private:
  Async<json::value> next_state(std::string_view known);
  Async<> watch_runs();
  Async<> follow_run(int run);
  Async<> await_log_end();
  Async<> cancel_on_interrupt();
  Async<> draw();
  Async<> explain_pending();
  Async<bool> fetch_artifacts();
  void note(std::string_view text);
  void show_output(std::string bytes);
  void tell_retry(int run);

  Env& env_;
  std::shared_ptr<Client> client_;
  SessionTask task_;
  Interrupts& interrupts_;
  std::shared_ptr<Patience> patience_;
  StatusLine line_;
  Scope scope_;
  Duration began_{};
  json::value status_;  // the newest GET /v1/tasks/:id
  std::string state_ = "pending";
  std::unique_ptr<TaskOutput> output_;
  bool log_ended_ = false;
  bool output_shown_ = false;
  bool output_line_open_ = false;
  Event log_end_;
  std::exception_ptr log_failure_;
};

void Session::note(std::string_view text) {
  line_.clear();
  // On a terminal, not at the end of the task's unfinished line.
  if (std::exchange(output_line_open_, false) && is_terminal(STDOUT_FILENO)) say("");
  say(text);
}

void Session::show_output(std::string bytes) {
  std::string text = output_->take(bytes);
  if (text.empty()) return;
  line_.clear();
  output_shown_ = true;
  output_line_open_ = text.back() != '\n';
  print(text);
}

/// The task once it is no longer in the state that is known.
Async<json::value> Session::next_state(std::string_view known) {
  std::string target = fmt::format("/v1/tasks/{}", task_.id);
  if (!known.empty()) target += fmt::format("?wait={}s&while={}", long_poll.count() / 1000, known);
  for (;;) {
    std::optional<Error> failure;
    try {
      json::value task = co_await client_->get(target, long_poll_timeout);
      patience_->over();
      co_return task;
    } catch (const Error& error) {
      failure = error;
    }
    co_await patience_->after(*failure);
  }
}

Async<> Session::follow_run(int run) {
  std::exception_ptr failure;
  try {
    co_await follow_log(client_, task_.id, run, patience_,
                        [this](std::string bytes) { show_output(std::move(bytes)); });
    std::string rest = output_->rest();
    if (!rest.empty()) print(rest);
  } catch (...) {
    failure = std::current_exception();
  }
  if (is_cancelled(failure)) std::rethrow_exception(failure);
  log_failure_ = failure;
  log_ended_ = true;
  log_end_.notify_all();
}

Async<> Session::await_log_end() {
  Duration until = env_.uptime() + log_tail_max;
  while (!log_ended_) {
    Duration left = until - env_.uptime();
    if (left <= Duration(0)) co_return note("gantry: the end of the log is missing: its node does not answer");
    co_await log_end_.wait_for(env_, left);
  }
  if (log_failure_) std::rethrow_exception(log_failure_);
}

void Session::tell_retry(int run) {
  const json::value& before = run_at(status_, run - 1);
  std::string_view why = text_at(value_at(before, "exit"), "message");
  note(fmt::format("gantry: run {} ended ({}){}{}; the task is tried again", run - 1, text_at(before, "reason"),
                   why.empty() ? "" : ": ", why));
}

/// One run after the other, until the task is resolved and its last log was read.
Async<> Session::watch_runs() {
  for (int run = 0;; ++run) {
    if (run > 0) tell_retry(run);
    output_ = std::make_unique<TaskOutput>([this](std::string_view line) {
      if (line.starts_with("Pulling image")) note(fmt::format("task {}: {}", task_.id, line));
    });
    log_ended_ = false;
    log_failure_ = nullptr;
    Scope reader(env_.executor(), "log");
    reader.spawn("log", follow_run(run));
    std::exception_ptr failure;
    try {
      std::string known;
      while (!is_resolved(text_at(run_at(status_, run), "state"))) {
        status_ = co_await next_state(known);
        known = text_at(status_, "state");
        if (known == "running" && state_ == "pending") note(fmt::format("task {}: running", task_.id));
        state_ = known;
        // A reader that cannot go on (stdout is closed) ends the session.
        if (log_failure_) std::rethrow_exception(log_failure_);
      }
      co_await await_log_end();
    } catch (...) {
      failure = std::current_exception();
    }
    reader.cancel();
    co_await reader.join();
    if (failure) std::rethrow_exception(failure);
    if (static_cast<std::size_t>(run) + 1 >= array_at(status_, "runs").size()) co_return;
  }
}

Async<> Session::cancel_on_interrupt() {
  co_await interrupts_.wait(env_);
  note(fmt::format("gantry: cancelling task {}; press Ctrl-C again to leave at once", task_.id));
  patience_->hurry();
  for (;;) {
    std::optional<Error> failure;
    try {
      co_await client_->post(fmt::format("/api/queue/v1/task/{}/cancel", task_.id), "{}");
    } catch (const Error& error) {
      failure = error;
    }
    if (!failure || failure->code() == ErrorCode::conflict) co_return;  // it has ended by itself
    bool goes_on = false;
    try {
      co_await patience_->after(*failure);
      goes_on = true;
    } catch (const Error& error) {
      failure = error;
    }
    if (goes_on) continue;
    // That the server stays away is what watch_runs() ends with; it is told once.
    if (failure->code() != ErrorCode::unavailable) {
      note(fmt::format("gantry: task {} could not be cancelled: {}", task_.id, failure->message()));
    }
    co_return;
  }
}

/// The status line, as long as the task has not written anything.
Async<> Session::draw() {
  while (line_.visible() && !output_shown_) {
    Duration passed = env_.uptime() - began_;
    line_.show(fmt::format("{} {} {}", spinner(passed), state_, format_duration(passed)));
    co_await env_.sleep(frame);
  }
}

Async<> Session::explain_pending() {
  co_await env_.sleep(pending_explained_after);
  if (state_ != "pending") co_return;
  json::value answer;
  try {
    answer = co_await client_->get("/v1/nodes");
  } catch (const Error&) {
    co_return;  // watch_runs() tells of a server that does not answer
  }
  bool served = std::ranges::any_of(array_at(answer, "nodes"), [&](const json::value& node) {
    bool polled = !value_at(node, "lastPollMsAgo").is_null();
    return text_at(node, "taskQueueId") == task_.task_queue && polled &&
           Duration(number_at(node, "lastPollMsAgo")) < node_silent_max;
  });
  if (state_ != "pending") co_return;
  for (const json::value& node : array_at(answer, "nodes")) {
    std::string_view trouble = text_at(node, "trouble");
    if (text_at(node, "taskQueueId") != task_.task_queue || trouble.empty()) continue;
    note(fmt::format("task {}: waiting, because node {} takes no tasks: {}", task_.id, text_at(node, "name"), trouble));
    co_return;
  }
  note(served ? fmt::format("task {}: waiting for room on a node of {}", task_.id, task_.task_queue)
              : fmt::format("task {}: waiting, because no node takes tasks from {}; see: gantry nodes", task_.id,
                            task_.task_queue));
}

Async<bool> Session::fetch_artifacts() {
  if (task_.artifacts.empty()) co_return true;
  int run = static_cast<int>(array_at(status_, "runs").size()) - 1;
  bool complete = true;
  std::vector<ArtifactEntry> entries = co_await list_artifacts(client_, task_.id, run);
  for (const std::string& wanted : task_.artifacts) {
    bool found = false;
    for (const ArtifactEntry& entry : entries) {
      if (entry.name != wanted && !entry.name.starts_with(wanted + "/")) continue;
      found = true;
      std::optional<Error> failure;
      try {
        std::string path = local_path(task_.download_directory, entry.name);
        std::int64_t bytes = co_await download_artifact(client_, task_.id, run, entry.name, path);
        note(fmt::format("artifact {}: {} bytes in {}", entry.name, bytes, path));
      } catch (const Error& error) {
        failure = error;
      }
      if (failure) note(fmt::format("gantry: artifact {}: {}", entry.name, failure->message()));
      complete = complete && !failure;
    }
    if (!found) note(fmt::format("gantry: the task left no artifact {}", wanted));
    complete = complete && found;
  }
  co_return complete;
}

Async<int> Session::follow() {
  began_ = env_.uptime();
  note(fmt::format("task {}: pending", task_.id));
  scope_.spawn("interrupt", cancel_on_interrupt());
  scope_.spawn("status line", draw());
  scope_.spawn("explanation", explain_pending());
  std::exception_ptr failure;
  Verdict verdict;
  try {
    co_await watch_runs();
    verdict = judge(status_);
    std::string_view state = text_at(status_, "state");
    note(fmt::format("task {}: {} in {}", task_.id, state, format_duration(env_.uptime() - began_)));
    // What was cancelled or never ran has left nothing to fetch.
    bool ran = verdict.exit_code != exit_cancelled && verdict.exit_code != exit_not_run;
    if (ran && !co_await fetch_artifacts() && verdict.exit_code == 0) verdict.exit_code = exit_not_run;
  } catch (...) {
    failure = std::current_exception();
  }
  scope_.cancel();
  co_await scope_.join();
  line_.clear();
  if (failure) std::rethrow_exception(failure);
  if (!verdict.message.empty()) say("gantry: " + verdict.message);
  if (!verdict.hint.empty()) say("        " + verdict.hint);
  co_return verdict.exit_code;
}

}  // namespace

Verdict judge(const json::value& task) {
  const json::array& runs = array_at(task, "runs");
  std::string_view state = text_at(task, "state");
  static const json::value none;
  const json::value& last = runs.empty() ? none : runs.back();
  const json::value& exit = value_at(last, "exit");
  if (state == "completed") return {};
  if (state == "failed") return judge_failed(exit);
  bool was_running = std::ranges::any_of(array_at(last, "timeline"),
                                         [](const json::value& step) { return text_at(step, "step") == "claimed"; });
  return judge_exception(text_at(last, "reason"), std::string(text_at(exit, "message")), was_running);
}

Async<> create_task(std::shared_ptr<Client> client, SessionTask task) {
  co_await client->put("/api/queue/v1/task/" + task.id, task.definition);
}

Async<int> follow_task(std::shared_ptr<Client> client, SessionTask task, Interrupts& interrupts) {
  auto session = std::make_unique<Session>(client, std::move(task), interrupts);
  co_return co_await session->follow();
}

}  // namespace gantry::cli
