// How an agent on another machine gets credentials of its own: POST /v1/join with a join token, later
// POST /v1/nodes/{id}/renew with the present credentials. Both are answered by an Enrolment, which is also how the
// agent keeps it on disk.
#pragma once

#include <string>

#include "base/ids.h"
#include "base/json.h"
#include "wire/hawk.h"

namespace gantry::wire {

struct JoinRequest {
  std::string token;
  NodeId node;
  std::string worker_id;  // empty: made from the node's id
};

struct Enrolment {
  HawkCredentials credentials;
  std::string task_queue;
  std::string worker_group;
  std::string worker_id;
  Time issued;
  Time expires;

  /// From when on it is to be renewed: half its life.
  Time renew_at() const { return issued + (expires - issued) / 2; }
};

inline constexpr std::size_t join_token_bytes_max = 1024;

std::string to_json(const JoinRequest& request);
std::string to_json(const Enrolment& enrolment);
Result<JoinRequest> parse_join_request(std::string_view body);
Result<Enrolment> parse_enrolment(std::string_view body);

}  // namespace gantry::wire
