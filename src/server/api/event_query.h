// What a request to /v1/events asks for. Both throw Error(invalid_input), which names the value.
#pragma once

#include <optional>

#include "server/api/router.h"
#include "server/output/event_stream.h"

namespace gantry::server {

/// `task`, `group`, `queue` and `kind`: each may be repeated, and each may be a list with commas.
EventFilter event_filter(const Call& call);

/// The number of the event after which to begin: from `Last-Event-ID`, which a client that comes again sends, else from
/// `?after=` (0: all that the log has), else none: from now on.
std::optional<std::uint64_t> event_position(const Call& call);

}  // namespace gantry::server
