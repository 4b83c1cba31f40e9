// The one place where an agent says what happens: events by the names of taskcluster.md 1.16, told to whoever wants
// them (JSON lines on stdout, statsd). An observer must return at once and must not throw.
//
//   start                     the agent begins
//   claimed task              taskId, runId, createdMsAgo
//   task start, task run      taskId, runId: the container is prepared, the container runs
//   task step                 taskId, runId, step, ms: how long a step of a run took
//   reclaimed task            taskId, runId, ms
//   error reclaiming task     taskId, runId, error
//   cancel task               taskId, runId
//   task aborted              taskId, runId, reason
//   task max runtime timeout  taskId, runId, maxRunTime (seconds)
//   task resolved             taskId, runId, taskState, reason, totalMs, runMs
//   ensure image, image ready taskId, runId, image
//   cache volume hit, cache volume miss, cache volume created
//                             name, taskId, runId
//   exit                      the agent has ended
//
// and those of garbage collection (agent/garbage.h) and of idleness (agent/host/life.h).
#pragma once

#include <functional>
#include <string_view>

#include "base/json.h"

namespace gantry::agent {

using Observer = std::function<void(std::string_view event, const json::object& fields)>;

/// `observer` may be null.
inline void tell(const Observer& observer, std::string_view event, const json::object& fields = {}) {
  if (observer) observer(event, fields);
}

}  // namespace gantry::agent
