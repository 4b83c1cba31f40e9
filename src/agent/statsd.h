// What happens in an agent as statsd lines, by the names of taskcluster.md 1.16. Metrics are never worth a task: what
// cannot be sent at once is dropped.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/observer.h"

namespace gantry::agent {

/// "<prefix>.docker-worker.<provisioner>.<group>.<type>.<node type>": the first dot of each part is written "-", a part
/// that is missing "unknown", an empty prefix is left out.
std::string statsd_prefix(std::string_view prefix, std::string_view task_queue, std::string_view worker_group,
                          std::string_view node_type);

/// The lines of one event, "prefix.name:value|c"; none for an event that is not counted.
std::vector<std::string> statsd_lines(std::string_view prefix, std::string_view event, const json::object& fields);

/// An observer that gives lines to `send`.
Observer statsd_observer(std::string prefix, std::function<void(std::string line)> send);

/// One line of JSON for an event: time, type, and the fields.
std::string event_line(Time now, std::string_view event, const json::object& fields);

}  // namespace gantry::agent
