// How an agent on another machine comes to credentials of its own, and keeps them: a join token is exchanged for them
// at the first start; they are kept in the data directory (enrolment.json, mode 0600) and renewed at half their life.
#pragma once

#include <functional>
#include <optional>

#include "agent/server_api.h"
#include "wire/join_messages.h"

namespace gantry::agent {

/// Nothing if the agent of this directory has not joined yet. Throws Error(invalid_input) if the file is not what it
/// should be. Blocks on the disk.
std::optional<wire::Enrolment> read_enrolment(const std::string& directory);
/// Replaces it; durable when it returns. Throws Error(unavailable). Blocks on the disk.
void write_enrolment(const std::string& directory, const wire::Enrolment& enrolment);

/// Exchanges the token, and waits for a server that does not answer. Throws Error: not_authenticated for a wrong or
/// expired token, conflict if another node has the name.
Async<wire::Enrolment> join(ServerApi& server, wire::JoinRequest request);

/// Renews for ever: writes each new enrolment and hands its credentials to `use`. A server that refuses or does not
/// answer is asked again.
Async<> keep_enrolled(ServerApi& server, std::string directory, NodeId node, wire::Enrolment enrolment,
                      std::function<void(const wire::HawkCredentials&)> use);

}  // namespace gantry::agent
