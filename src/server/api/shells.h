// Where the shell of a run is to be had (server/api/shells.cc).
#pragma once

#include <optional>
#include <string>

#include "core/state/records.h"
#include "server/services.h"

namespace gantry::server {

/// The reference that a run's agent makes of its shell leads here, with a signature that whoever may read the artifact
/// needs: its address for `request`'s client. Nothing for any other artifact.
std::optional<std::string> shell_page_url(const Services& services, const net::Request& request,
                                          const state::Artifact& artifact);

}  // namespace gantry::server
