#include <algorithm>

#include "base/log.h"
#include "core/access/clients.h"
#include "core/access/role_changes.h"
#include "core/access/secrets.h"
#include "core/state/codec.h"
#include "server/api/auth_service.h"

namespace gantry::server {
namespace {

using state::TableId;

constexpr Duration round_every = minutes(1);
constexpr int rounds_between_sweeps = 60;  // of the secrets, which are read one by one
constexpr std::size_t scan_step = 100;
constexpr int steps_per_round_max = 1'000;

/// Says in the store that the role of everybody was made once, so that one that was deleted stays so.
const state::Key marker{0, "access"};
constexpr const char* marker_value = "{\"v\":1}";

/// Where whoever needs a key looks first: all secrets, a page at a time.
void check_keys_of_secrets(store::Store& store, const auth::Sealer& sealer) {
  std::optional<state::Key> after;
  for (;;) {
    auto entries = store.scan(TableId::secret, after ? &*after : nullptr, scan_step);
    for (const auto& entry : entries) {
      auto secret = value_or_throw(state::decode<state::Secret>(entry.key, entry.value));
      value_or_throw(sealer.check_key_of(secret.sealed_value));
    }
    if (entries.size() < scan_step) return;
    after = entries.back().key;
  }
}

}  // namespace

void AccessUpkeep::begin(store::Store& store) {
  services_.commits.state().table<state::Client>().for_each(
      [&](const state::Client& client) { value_or_throw(services_.sealer->check_key_of(client.sealed_token)); });
  check_keys_of_secrets(store, *services_.sealer);
  if (store.read(TableId::meta, marker)) return;
  auto tx = services_.commits.begin();
  access::create_anonymous_role(tx);
  tx.put_row(TableId::meta, marker, std::make_shared<const std::string>(marker_value));
  services_.commits.stage(tx);
}

Async<> AccessUpkeep::run() {
  for (int round = 1;; ++round) {
    co_await services_.env.sleep(round_every);
    if (!services_.leading) continue;
    std::exception_ptr failure;
    try {
      co_await tend_clients();
      if (round % rounds_between_sweeps == 0) co_await expire_secrets();
    } catch (...) {
      failure = std::current_exception();
    }
    if (is_cancelled(failure)) co_return;
    if (failure) log_warning("clients and secrets are not tended to: {}", error_of(failure).message());
  }
}

Async<> AccessUpkeep::tend_clients() {
  for (int step = 0; step < steps_per_round_max; ++step) {
    std::vector<std::string> used = services_.authenticator.take_used(access::expiry_step_max);
    if (used.empty()) break;
    auto tx = services_.commits.begin();
    access::note_used(tx, used);
    co_await services_.commits.settled(services_.commits.stage(tx));
  }
  bool more = true;
  for (int step = 0; more && step < steps_per_round_max; ++step) {
    auto tx = services_.commits.begin();
    more = access::expire_clients(tx);
    co_await services_.commits.settled(services_.commits.stage(tx));
  }
}

Async<> AccessUpkeep::expire_secrets() {
  std::optional<state::Key> after;
  for (;;) {
    auto entries = co_await services_.cold.scan(TableId::secret, after, scan_step);
    for (const auto& entry : entries) {
      auto secret = value_or_throw(state::decode<state::Secret>(entry.key, entry.value));
      if (secret.expires > services_.env.now()) continue;
      co_await services_.cold.ensure<state::Secret>(secret.name);
      auto tx = services_.commits.begin();
      access::expire_secret(tx, secret.name);
      services_.commits.stage(tx);
    }
    co_await services_.commits.settled(services_.commits.state().last_commit());
    if (entries.size() < scan_step) co_return;
    after = entries.back().key;
  }
}

}  // namespace gantry::server
