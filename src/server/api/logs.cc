// Live logs: appended by agents, followed by readers (design 3.13).
#include <charconv>

#include <fmt/format.h>

#include "core/queue/artifact.h"
#include "core/queue/run.h"
#include "server/api/answers.h"
#include "server/api/finish_log.h"
#include "server/api/handlers.h"

namespace gantry::server {
namespace {

constexpr const char* log_content_type = "text/plain; charset=utf-8";

std::int64_t query_offset(const Call& call) {
  std::string_view text = call.query_value("offset");
  if (text.empty()) return 0;
  std::int64_t offset = -1;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), offset);
  if (error != std::errc() || end != text.data() + text.size() || offset < 0) {
    throw Error(ErrorCode::invalid_input, "offset: must be a number of bytes");
  }
  return offset;
}

/// The first bytes of a log make its live artifact. Throws Error(conflict) if the log has ended.
Async<> announce_log(Services& services, Call& call, wire::RunRef run) {
  std::string name(call.query_value("name"));
  if (name.empty()) name = "public/logs/live.log";
  co_await services.cold.ensure_artifacts(run.task);
  auto tx = services.commits.begin();
  queue::ArtifactRequest live;
  live.id = {run.task, run.run, name};
  live.type = state::StorageType::reference;
  live.content_type = log_content_type;
  live.target = base_url(services, call.request) + live_log_path(run);
  Result<const state::Artifact*> made = Error(ErrorCode::internal, "");
  bool again = false;
  auto task = queue::find_run(tx, run.task, run.run);
  if (task) {
    live.expires = task.value()->expires;
    // Sent again by an agent that lost the answer: it is a link once the log is finished.
    const state::Artifact* existing = tx.find<state::Artifact>(live.id);
    bool open = existing && existing->type == state::StorageType::reference;
    if (open) {
      made = existing;
      again = true;
    } else if (existing) {
      made = Error(ErrorCode::conflict, "the log has been closed");
    } else {
      made = queue::create_artifact(tx, live);
    }
  } else {
    made = task.error();
  }
  std::uint64_t version = services.commits.stage(tx, made.has_value());
  co_await services.commits.settled(version);
  value_or_throw(std::move(made));
  // A late repetition must not begin a second file, which would be left, or take the place of the whole log.
  if (again && co_await is_log_stored(services, run, name)) throw Error(ErrorCode::conflict, "the log has been closed");
}

Async<net::Response> append_log(Services& services, Call& call) {
  wire::RunRef run{call.task_id(), call.run_id()};
  call.require(fmt::format("queue:create-artifact:{}/{}", run.task.to_string(), run.run));
  std::int64_t offset = query_offset(call);
  std::string bytes = co_await call.body(log_append_bytes_max);
  if (!services.logs) throw Error(ErrorCode::unavailable, "this server keeps no logs");
  if (offset == 0) co_await announce_log(services, call, run);
  std::int64_t size = co_await services.logs->append(run, offset, std::move(bytes));
  // The last words of a run that was cancelled, which may be the first as well, and long after it was.
  if (is_run_over(services.commits.state(), run) && services.end_log) services.end_log(run);
  co_return json_response(fmt::format("{{\"bytes\":{}}}", size));
}

Async<net::Response> close_log(Services& services, Call& call) {
  wire::RunRef run{call.task_id(), call.run_id()};
  call.require(fmt::format("queue:create-artifact:{}/{}", run.task.to_string(), run.run));
  co_await call.body(body_bytes_max);
  co_await services.cold.ensure_task(run.task);
  co_await finish_log(services, run, -1);
  co_return json_response("{}");
}

/// The name under which this run's log is listed, and the object behind it if it is finished.
struct LogPlace {
  std::string live_name;  // empty: it has not begun
  std::string object;
};

LogPlace find_log(const state::State& state, wire::RunRef run) {
  LogPlace place;
  for (const auto& [run_id, name] : state.artifacts_of(run.task)) {
    if (run_id != run.run) continue;
    const state::Artifact& artifact = state.table<state::Artifact>().find({run.task, run_id, name})->record;
    if (artifact.type == state::StorageType::reference && artifact.target.ends_with(live_log_path(run))) {
      place.live_name = name;
    }
    if (artifact.type == state::StorageType::link && artifact.target == backing_name(name)) {
      place.live_name = name;
      place.object = artifact_object({run.task, run_id, artifact.target});
    }
  }
  return place;
}

/// The log's bytes if there are any; nullptr if not. Throws not_authorized if the caller may not read it.
Async<std::shared_ptr<net::BodyReader>> open_log(Services& services, auth::Identity identity, wire::RunRef run,
                                                 LogPlace place, std::int64_t offset, bool follow) {
  value_or_throw(identity.require("queue:get-artifact:" + place.live_name));
  std::shared_ptr<net::BodyReader> log;
  if (place.object.empty()) log = co_await services.logs->read(run, offset, follow);
  if (log) co_return log;
  // Finished; or its file is an object already, and the commit that says so failed.
  if (place.object.empty()) place.object = artifact_object({run.task, run.run, backing_name(place.live_name)});
  object::OpenObject object = co_await services.objects->open(place.object, offset);
  co_return object.body;
}

/// A log that has not begun: waits for it, and only then knows its name and whether this caller may read it.
class LogToCome : public net::BodyReader {
 public:
  LogToCome(Services& services, auth::Identity identity, wire::RunRef run, std::int64_t offset)
      : services_(services), identity_(std::move(identity)), run_(run), offset_(offset) {}

  Async<std::string> read_some() override {
    while (!log_) {
      co_await services_.cold.ensure_artifacts(run_.task);
      LogPlace place = find_log(services_.commits.state(), run_);
      if (!place.live_name.empty()) {
        log_ = co_await open_log(services_, identity_, run_, std::move(place), offset_, true);
        break;
      }
      const auto* row = services_.commits.state().table<state::Task>().find(run_.task);
      auto run = static_cast<std::size_t>(run_.run);
      bool over = !row || row->record.runs.size() <= run || wire::is_resolved(row->record.runs[run].state);
      if (over || !services_.may_wait()) co_return std::string();
      co_await services_.task_lines[run_.task].wait(services_.env, services_.long_poll, nullptr);
    }
    co_return co_await log_->read_some();
  }

 private:
  Services& services_;
  auth::Identity identity_;
  wire::RunRef run_;
  std::int64_t offset_;
  std::shared_ptr<net::BodyReader> log_;
};

/// From `?offset=`, until the run has ended; with `&follow=false` only what is there.
Async<net::Response> read_log(Services& services, Call& call) {
  wire::RunRef run{call.task_id(), call.run_id()};
  std::int64_t offset = query_offset(call);
  bool follow = call.query_value("follow") != "false";
  if (!services.logs) throw Error(ErrorCode::unavailable, "this server keeps no logs");
  co_await services.cold.ensure_artifacts(run.task);
  auto tx = services.commits.begin();
  auto task = queue::find_run(tx, run.task, run.run);
  LogPlace place;
  bool resolved = false;
  if (task) {
    place = find_log(services.commits.state(), run);
    resolved = wire::is_resolved(task.value()->runs[static_cast<std::size_t>(run.run)].state);
  }
  co_await services.commits.settled(services.commits.stage(tx));
  value_or_throw(std::move(task));
  net::Response response;
  response.headers.add("content-type", log_content_type);
  if (!place.live_name.empty()) {
    response.stream = co_await open_log(services, call.identity, run, std::move(place), offset, follow && !resolved);
  } else if (follow && !resolved) {
    response.stream = std::make_shared<LogToCome>(services, call.identity, run, offset);
  } else {
    throw Error(ErrorCode::not_found, fmt::format("run {} of task {} has no log", run.run, run.task.to_string()));
  }
  co_return response;
}

}  // namespace

void add_log_routes(Router& router, Services& services) {
  Bind bind{services};
  const std::string log = "/v1/tasks/:taskId/runs/:runId/log";
  using enum net::Method;
  router.add({post, log, "appendLog", Dialect::native, bind(append_log), true, {"offset", "name"}});
  router.add({post, log + "/close", "closeLog", Dialect::native, bind(close_log), true, {}});
  router.add({get, log, "readLog", Dialect::native, bind(read_log), true, {"offset", "follow"}});
}

}  // namespace gantry::server
