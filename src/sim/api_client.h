// A scripted client's way to the server: signs, sends, waits, and holds every answer against the oracle.
#pragma once

#include <memory>

#include "sim/group_book.h"
#include "sim/native_check.h"
#include "sim/oracle.h"
#include "sim/sim_network.h"
#include "sim/state_watch.h"
#include "wire/hawk.h"

namespace gantry::sim {

using Signer = std::shared_ptr<const wire::HawkSigner>;

inline constexpr const char* api_host = "gantry.example";

struct Answer {
  int status = 0;  // 0: none came, and the request may or may not have been carried out
  std::string body;
  std::int64_t sent_us = 0;

  bool ok() const { return status >= 200 && status < 300; }
  /// No answer, or "not now": the same request may be sent again.
  bool again() const { return status == 0 || status == 503; }
};

/// What all clients of one simulation share.
struct ClientWorld {
  VirtualClock& clock;
  SimNetwork& network;
  Faults& faults;
  Oracle& oracle;
  GroupBook& groups;
  StateWatch& watch;
  Trace& trace;
  Oracle::Fail fail;
  Signer root;
  std::uint64_t seed;
  wire::HawkCredentials root_credentials;
  NativeCheck& native;
  std::int64_t end_us;   // of the simulation
  bool burying = false;  // a process has died, and what its coroutines do while they end does not count
};

/// What else a request may say about itself.
struct CallOptions {
  Duration timeout = seconds(30);
  std::string claim_token{};
  bool may_be_invalid = false;  // the server may answer that it makes no sense
};

/// Fails the simulation if a proper request must not be answered like this.
void check_answer(ClientWorld& world, int status, const std::string& body, std::int64_t sent_us,
                  std::string_view target);

class ApiClient {
 public:
  ApiClient(ClientWorld& world, SimEnv& env, std::string name)
      : world_(world), env_(env), link_(world.network, env, std::move(name)) {}

  /// Never throws but when it is cancelled.
  Async<Answer> call(net::Method method, std::string target, std::string body, Signer signer, CallOptions options = {});
  /// Tells the oracle the task that the answer's `status` shows, if it has one.
  void saw_status(const Answer& answer, std::string_view where);

  Link& link() { return link_; }

 private:
  ClientWorld& world_;
  SimEnv& env_;
  Link link_;
};

}  // namespace gantry::sim
