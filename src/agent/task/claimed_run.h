// An element of claimWork's answer, as the agent uses it.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "base/json.h"
#include "base/time.h"
#include "wire/hawk.h"
#include "wire/node_messages.h"
#include "wire/payload.h"

namespace gantry::agent {

struct ClaimedRun {
  wire::RunRef run;
  Time taken_until;
  std::optional<Time> created;  // the task; nothing if the server does not say
  Time expires;                 // of the task
  Time deadline;
  std::shared_ptr<const json::value> task;  // the whole definition
  json::value payload;
  wire::HawkCredentials credentials;
};

/// Throws Error(invalid_input) if the server's answer is not what it should be.
ClaimedRun read_claim(const json::value& element);

/// What the payload asks for and the claim does not allow.
std::optional<std::string> objection(const wire::Payload& payload, const ClaimedRun& claim);

/// What a reclaim gives anew.
struct RenewedClaim {
  Time taken_until;
  wire::HawkCredentials credentials;
};

/// From the answer to a reclaim or to a resume. Throws Error(invalid_input).
RenewedClaim read_renewal(const json::value& answer);

}  // namespace gantry::agent
