// A machine lent by AWS, as its instance metadata service tells (taskcluster.md 1.17): asked with a session token
// (IMDSv2), or without one where the service gives none. Spot notices are looked for each notice_interval.
#pragma once

#include "agent/host/host.h"
#include "base/env.h"
#include "net/transport.h"

namespace gantry::agent {

inline constexpr const char* aws_metadata_url = "http://169.254.169.254";

/// `transport` leads to the service, `host_header` names it.
std::shared_ptr<Host> make_aws_host(Env& env, std::shared_ptr<net::Transport> transport, std::string host_header);

}  // namespace gantry::agent
