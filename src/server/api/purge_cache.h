// The purge-cache service: its upkeep.
#pragma once

#include "server/services.h"

namespace gantry::server {

/// Erases purge requests that have expired. All of them are in memory, so it is cheap to ask.
Async<> expire_purge_requests(Services& services);

}  // namespace gantry::server
