#include "core/queue/status.h"

#include "core/state/stored.h"

namespace gantry::queue {
namespace {

void append_run(JsonWriter& out, const state::Run& run, std::size_t run_id) {
  out.begin_object().field("runId", static_cast<std::int64_t>(run_id)).field("state", name_of(run.state));
  out.field("reasonCreated", name_of(run.reason_created));
  if (run.reason_resolved != state::ReasonResolved::none) out.field("reasonResolved", name_of(run.reason_resolved));
  if (!run.worker_group.empty()) out.field("workerGroup", run.worker_group).field("workerId", run.worker_id);
  if (run.taken_until != Time()) out.field("takenUntil", run.taken_until);
  out.field("scheduled", run.scheduled);
  if (run.started != Time()) out.field("started", run.started);
  if (run.resolved != Time()) out.field("resolved", run.resolved);
  out.end_object();
}

}  // namespace

void append_status(JsonWriter& out, const state::Task& task) {
  auto slash = task.task_queue.str().find('/');
  std::string_view queue = task.task_queue.str();
  out.begin_object();
  state::add_slug(out, "taskId", task.id);
  out.field("provisionerId", queue.substr(0, slash)).field("workerType", queue.substr(slash + 1));
  out.field("taskQueueId", queue).field("schedulerId", task.scheduler).field("projectId", task.project);
  state::add_slug(out, "taskGroupId", task.group);
  out.field("priority", name_of(task.priority));
  out.field("deadline", task.deadline).field("expires", task.expires).field("retriesLeft", task.retries_left);
  out.field("state", name_of(task.state()));
  out.key("runs").begin_array();
  for (std::size_t i = 0; i < task.runs.size(); ++i) append_run(out, task.runs[i], i);
  out.end_array().end_object();
}

}  // namespace gantry::queue
