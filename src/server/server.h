// The control plane: answers requests from the state it loaded, moves time along, and reads the state again if the
// outcome of a write is not known.
//
// io_context thread only. Life: construct, start(), handle() as often as needed, stop(); stop() returns when no request
// is being answered any more.
#pragma once

#include <memory>

#include "base/env.h"
#include "net/http.h"
#include "object/object_store.h"
#include "server/api/auth_service.h"
#include "server/api/index_service.h"
#include "server/api/router.h"
#include "server/expiry.h"
#include "server/output/metrics.h"
#include "server/output/outbox.h"
#include "server/output/pulse.h"
#include "server/services.h"
#include "server/shells.h"

namespace gantry::server {

struct ServerSettings {
  auth::RootClient root;
  auth::SealKeys seal_keys;     // what secrets are sealed with, newest first; without any there can be none
  std::string seal_key_source;  // how messages call the place where the keys are
  std::string public_url;       // empty: the Host that the client used
  std::string log_directory;    // empty: no logs are kept (simulator)
  Duration long_poll = seconds(20);
  ExpirySettings expiry{};
  /// Resolved tasks that stay in memory; older ones are read when needed. With fewer than ten, requests that need
  /// several may be refused as unavailable.
  std::size_t resolved_in_memory_max = 1'000;
  std::string pulse_url;                      // of the broker that events go to (net/amqp_url.h); empty: none
  std::optional<OutboxLimits> outbox_limits;  // default: by whether there is an output
  std::int64_t event_log_bytes_max = 0;       // of these limits; 0: theirs
};

class Server : public net::Handler {
 public:
  using OpenStore = std::function<std::shared_ptr<store::Store>()>;

  /// `open_store` is called at start() and again after a write with an unknown outcome; it throws Error if it cannot.
  /// `objects` may be null (simulator).
  Server(Env& env, ServerSettings settings, OpenStore open_store, object::ObjectStore* objects);
  ~Server() override;

  /// Reads the state. Throws Error (corrupt, unsupported, unavailable).
  void start();
  Async<net::Response> handle(net::Request request) override;
  /// Long polls answer at once, requests under way are finished.
  Async<> stop();

  Services& services() { return services_; }
  const state::State& state() const { return *state_; }
  const Expiry& expiry() const { return expiry_; }

 private:
  Async<net::Response> answer(Call& call);
  Async<net::Response> serve_metrics(Call& call);
  net::Response preflight() const;
  void open_and_load();
  void watch_changes();
  void on_change(const state::Change& change);
  void wake_native_claims();
  /// Every long poll looks again.
  void wake_all();
  Async<> run_timers();
  /// Continues what is too large for one transaction (core/queue/work.h), a step after the other.
  Async<> run_works();
  void add_expiry_steps();
  Async<> end_log(wire::RunRef run);
  Async<> end_old_logs();
  Async<> expire();
  Async<> step_down(std::string reason);
  Duration until_next_tick() const;

  Env& env_;
  ServerSettings settings_;
  OpenStore open_store_;
  std::unique_ptr<state::State> state_;
  std::shared_ptr<store::Store> store_;
  std::unique_ptr<CommitLoop> commits_;
  ColdRecords cold_;
  auth::Sealer sealer_;
  auth::Authenticator authenticator_;
  std::unique_ptr<LiveLogs> logs_;
  Outbox outbox_;
  std::unique_ptr<Pulse> pulse_;
  Shells shells_{env_};
  Services services_;
  Indexer indexer_{services_};
  Expiry expiry_;
  SweepCursor index_tasks_;
  SweepCursor index_namespaces_;
  SweepCursor object_cursor_;
  Event work_news_;
  std::uint64_t moves_seen_ = 0;  // State::moves_in_line()
  AccessUpkeep access_upkeep_{services_};
  Router router_;
  Metrics metrics_;
  Scope scope_;
  Event requests_done_;
  std::size_t requests_ = 0;
  std::uint64_t request_count_ = 0;
  std::string request_prefix_;
  Time listening_since_;
  Duration last_tick_{};
  Time last_tick_wall_;
};

}  // namespace gantry::server
