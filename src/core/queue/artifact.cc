#include "core/queue/artifact.h"

#include <fmt/format.h>

#include "base/text.h"
#include "core/queue/limits.h"
#include "core/queue/run.h"

namespace gantry::queue {
namespace {

using state::Artifact;
using state::StorageType;
using state::Task;
using state::TaskState;

Result<void> check_run_takes_artifacts(const Task& task, int run_id, Time now) {
  const state::Run& run = task.runs[static_cast<std::size_t>(run_id)];
  bool late_log = run.state == TaskState::exception && now <= run.resolved + late_artifact_term;
  if (run.state == TaskState::running || late_log) return success();
  return Error(ErrorCode::conflict, fmt::format("run {} of task {} takes no artifacts: it is {}", run_id,
                                                task.id.to_string(), name_of(run.state)));
}

Result<void> check_values(const ArtifactRequest& request, const Task& task, Time now) {
  const std::string& name = request.id.name;
  if (name.empty() || name.size() > artifact_name_bytes_max || !is_printable_ascii(name)) {
    return Error(ErrorCode::invalid_input, "an artifact's name must be 1 to 1024 printable ASCII characters");
  }
  if (request.expires > task.expires) {
    return Error(ErrorCode::invalid_input, fmt::format("expires: {} must not be greater than task expiration {}",
                                                       format_time(request.expires), format_time(task.expires)));
  }
  if (request.expires <= now) {
    return Error(ErrorCode::invalid_input, fmt::format("expires: {} has passed", format_time(request.expires)));
  }
  return success();
}

bool same_content(const Artifact& artifact, const ArtifactRequest& request) {
  // Every request for an object brings a fresh uploadId; the first one stays.
  bool same_target = artifact.target == request.target || request.type == StorageType::object;
  return artifact.type == request.type && artifact.content_type == request.content_type &&
         artifact.content_bytes == request.content_bytes && same_target && artifact.reason == request.reason &&
         artifact.message == request.message;
}

bool may_become(const Artifact& artifact, const ArtifactRequest& request) {
  bool to_pointer = request.type == StorageType::reference || request.type == StorageType::link;
  return artifact.type == StorageType::reference && to_pointer;
}

void fill(Artifact& artifact, const ArtifactRequest& request) {
  artifact.type = request.type;
  artifact.content_type = request.content_type;
  artifact.content_bytes = request.content_bytes;
  artifact.expires = request.expires;
  artifact.target = request.target;
  artifact.reason = request.reason;
  artifact.message = request.message;
}

void add_created(state::Transaction& tx, const state::ArtifactId& id) {
  state::Change change{state::Change::Kind::artifact_created, id.task, id.run};
  change.name = id.name;
  tx.add_change(std::move(change));
}

}  // namespace

Result<const Artifact*> create_artifact(state::Transaction& tx, const ArtifactRequest& request) {
  TRY(const Task* task, find_run(tx, request.id.task, request.id.run));
  TRY(check_run_takes_artifacts(*task, request.id.run, tx.now()));
  TRY(check_values(request, *task, tx.now()));
  if (const Artifact* existing = tx.find<Artifact>(request.id)) {
    bool same = same_content(*existing, request);
    if (same && existing->expires == request.expires) return existing;
    bool prolonged = same && request.expires > existing->expires;
    if (!prolonged && !may_become(*existing, request)) {
      return Error(ErrorCode::conflict,
                   fmt::format("artifact \"{}\" of run {} of task {} exists already with other values", request.id.name,
                               request.id.run, request.id.task.to_string()));
    }
    tx.update<Artifact>(request.id, [&](Artifact& artifact) {
      std::string upload = same ? artifact.target : request.target;
      fill(artifact, request);
      artifact.target = std::move(upload);
    });
  } else {
    if (tx.state().artifacts_of(request.id.task).size() >= artifacts_per_task_max) {
      return Error(ErrorCode::too_large, fmt::format("task {} has {} artifacts already, the most there may be",
                                                     request.id.task.to_string(), artifacts_per_task_max));
    }
    Artifact artifact;
    artifact.id = request.id;
    artifact.task_sequence = task->sequence;
    fill(artifact, request);
    artifact.present = request.type != StorageType::object;
    if (artifact.present) add_created(tx, request.id);
    tx.insert(std::move(artifact));
  }
  return tx.find<Artifact>(request.id);
}

Result<const Artifact*> finish_artifact(state::Transaction& tx, const state::ArtifactId& id,
                                        const std::string& upload_id) {
  TRY(const Task* task, find_run(tx, id.task, id.run));
  const Artifact* artifact = tx.find<Artifact>(id);
  if (!artifact) {
    return Error(ErrorCode::not_found, fmt::format("run {} of task {} has no artifact \"{}\"", id.run,
                                                   id.task.to_string(), shorten(id.name, 200)));
  }
  if (artifact->type != StorageType::object || artifact->target != upload_id) {
    return Error(ErrorCode::invalid_input,
                 fmt::format("\"{}\" is not the upload of artifact \"{}\" of run {} of task {}", shorten(upload_id, 80),
                             shorten(id.name, 200), id.run, id.task.to_string()),
                 "finish it with the uploadId that createArtifact gave");
  }
  if (artifact->present) return artifact;
  TRY(check_run_takes_artifacts(*task, id.run, tx.now()));
  tx.update<Artifact>(id, [](Artifact& changed) { changed.present = true; });
  add_created(tx, id);
  return tx.find<Artifact>(id);
}

Result<const Artifact*> find_artifact(state::Transaction& tx, const state::ArtifactId& id) {
  const Artifact* artifact = tx.find<Artifact>(id);
  if (!artifact || !artifact->present) {
    return Error(ErrorCode::not_found, fmt::format("run {} of task {} has no artifact \"{}\"", id.run,
                                                   id.task.to_string(), shorten(id.name, 200)));
  }
  if (artifact->expires <= tx.now()) {
    return Error(ErrorCode::expired,
                 fmt::format("artifact \"{}\" of run {} of task {} expired at {}", shorten(id.name, 200), id.run,
                             id.task.to_string(), format_time(artifact->expires)));
  }
  return artifact;
}

}  // namespace gantry::queue
