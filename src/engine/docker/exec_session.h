// A command inside a container, over Docker's exec calls: create, start (which takes the connection over), resize,
// inspect.
#pragma once

#include <memory>
#include <string>

#include "engine/docker/requests.h"

namespace gantry::engine::docker {

/// `container` is an id or a name that was checked.
Async<std::shared_ptr<ExecSession>> start_exec(std::shared_ptr<Requests> requests, std::string container,
                                               ExecSpec spec);

}  // namespace gantry::engine::docker
