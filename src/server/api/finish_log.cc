#include "server/api/finish_log.h"

#include <fmt/format.h>

#include "base/log.h"
#include "core/queue/artifact.h"

namespace gantry::server {
namespace {

/// The reference that stands for the live log of this run; empty if there is none (any more).
std::string live_name_of(const state::State& state, wire::RunRef run) {
  for (const auto& [run_id, name] : state.artifacts_of(run.task)) {
    if (run_id != run.run) continue;
    const auto* row = state.table<state::Artifact>().find({run.task, run_id, name});
    bool live = row->record.type == state::StorageType::reference && row->record.target.ends_with(live_log_path(run));
    if (live) return name;
  }
  return {};
}

/// Both artifacts in one commit; the run may have been resolved long ago, and then there is nobody to tell.
std::uint64_t record_log(Services& services, wire::RunRef run, const std::string& live, std::int64_t bytes) {
  auto tx = services.commits.begin();
  const state::Task* task = tx.find<state::Task>(run.task);
  if (!task) return tx.abandon();
  queue::ArtifactRequest backing;
  backing.id = {run.task, run.run, backing_name(live)};
  backing.content_type = "text/plain; charset=utf-8";
  backing.content_bytes = bytes;
  backing.expires = task->expires;
  queue::ArtifactRequest link = backing;
  link.id.name = live;
  link.type = state::StorageType::link;
  link.content_bytes = -1;
  link.target = backing.id.name;
  auto stored = queue::create_artifact(tx, backing);
  auto linked = queue::create_artifact(tx, link);
  return services.commits.stage(tx, stored.has_value() && linked.has_value());
}

/// Size of an object, or -1. It is there without its artifact if the commit failed, or the server died, in between.
Async<std::int64_t> stored_bytes(Services& services, std::string object) {
  try {
    object::ObjectInfo info = co_await services.objects->info(std::move(object));
    co_return info.bytes;
  } catch (const Error& error) {
    if (error.code() != ErrorCode::not_found) throw;
  }
  co_return -1;
}

/// A log without a live artifact: will there never be one? Throws Error(unavailable) if that cannot be told now.
bool is_orphan(Services& services, wire::RunRef run) {
  const state::State& state = services.commits.state();
  bool in_memory = state.table<state::Task>().find(run.task) != nullptr;
  bool certain = in_memory ? state.artifacts_loaded(run.task) : !services.cold.known().may_know(run.task);
  if (!services.leading || !certain) {
    throw Error(ErrorCode::unavailable, "the artifacts of the run cannot be read now", "try again in a moment");
  }
  return is_run_over(state, run);
}

}  // namespace

std::string backing_name(const std::string& live_name) {
  auto slash = live_name.rfind('/');
  auto dot = live_name.rfind('.');
  if (dot == std::string::npos || (slash != std::string::npos && dot < slash)) return live_name + "_backing";
  return live_name.substr(0, dot) + "_backing" + live_name.substr(dot);
}

std::string artifact_object(const state::ArtifactId& id) {
  return fmt::format("t/{}/{}/{}", id.task.to_string(), id.run, id.name);
}

std::string live_log_path(wire::RunRef run) {
  return fmt::format("/v1/tasks/{}/runs/{}/log", run.task.to_string(), run.run);
}

Async<> finish_log(Services& services, wire::RunRef run, std::int64_t bytes) {
  if (!services.logs || !services.objects) co_return;
  co_await services.cold.ensure_artifacts(run.task);
  std::int64_t size = co_await services.logs->size(run);
  if (bytes > std::max<std::int64_t>(size, 0) && size >= 0) {
    throw Error(ErrorCode::conflict, fmt::format("the log has {} bytes, not {}", size, bytes), "send the rest first");
  }
  std::string live = live_name_of(services.commits.state(), run);
  if (live.empty()) {
    if (size >= 0 && is_orphan(services, run)) {
      log_warning("the log of run {} of task {} belongs to no artifact and is removed ({} bytes)", run.run,
                  run.task.to_string(), size);
      co_await services.logs->discard(run);
    }
    co_return;
  }
  std::string object = artifact_object({run.task, run.run, backing_name(live)});
  if (size >= 0) {
    co_await services.logs->finish(run, *services.objects, object);
    co_await services.cold.ensure_artifacts(run.task);
  } else {
    size = co_await stored_bytes(services, object);
    if (size < 0) co_return;
  }
  co_await services.commits.settled(record_log(services, run, live, size));
}

Async<bool> is_log_stored(Services& services, wire::RunRef run, std::string live_name) {
  if (!services.objects || services.logs->is_open(run)) co_return false;
  std::int64_t bytes = co_await stored_bytes(services, artifact_object({run.task, run.run, backing_name(live_name)}));
  co_return bytes >= 0;
}

bool is_run_over(const state::State& state, wire::RunRef run) {
  const auto* row = state.table<state::Task>().find(run.task);
  auto index = static_cast<std::size_t>(run.run);
  return !row || index >= row->record.runs.size() || wire::is_resolved(row->record.runs[index].state);
}

}  // namespace gantry::server
