// lifecycles_per_s: durable life-cycles of tasks over HTTP: create (1.5 KB definition), claim (tasks: 1), complete with
// the credentials that the claim gave. Hawk on every request: the creator and the worker have temporary credentials
// with just the scopes they need. Tasks are in groups of 100, and every event goes into the outbox. SQLite FULL, 64
// clients on one thread beside the server, on a store that holds 1,000,000 resolved tasks already; 60 s (--quick:
// 100,000, 8 s).
#include <boost/asio/io_context.hpp>

#include "bench/common_fill.h"
#include "bench/common_report.h"
#include "server/auth/certificate.h"

namespace gantry::bench {
namespace {

/// Temporary credentials of the server's root, as an operator would give them to a scheduler or a worker.
wire::HawkSigner signer_with(Env& env, const DevServer& server, std::string_view name,
                             const std::vector<std::string>& scopes) {
  wire::HawkCredentials root = server.credentials();
  auth::Issuer issuer{root.client_id, HmacSha256Key(root.access_token)};
  Time now = env.now();
  auto made = auth::issue(issuer, name, scopes, now - minutes(1), now + hours(2), auth::random_certificate_seed(env));
  return wire::HawkSigner({made.client_id, made.access_token, made.certificate});
}

void measure(const Options& options, Report& report) {
  asio::io_context io;
  SystemEnv env(io);
  DevServer server;
  std::uint64_t stored = options.quick ? 100'000 : 1'000'000;
  std::int64_t duration_us = options.quick ? 8'000'000 : 60'000'000;
  fill(server, stored, 0);
  World world{env,           wire::HawkSigner(server.credentials()), server.host(),
              server.port(), env.uptime_us() + duration_us,          0,
              UINT64_MAX};
  world.creator = signer_with(env, server, "bench/scheduler",
                              {"queue:create-task:project:none", "queue:scheduler-id:bench", "bench:read:*",
                               "queue:create-task:lowest:bench/*"});
  world.worker = signer_with(env, server, "bench/worker", {"queue:claim-work:bench/*", "queue:worker-id:bench/*"});
  world.group_size = 100;
  double client_before_s = processor_seconds(::getpid());
  double before_s = processor_seconds(server.process());
  double rate = run_clients(world);
  double used_us = (processor_seconds(server.process()) - before_s) * 1e6;
  double client_us = (processor_seconds(::getpid()) - client_before_s) * 1e6;
  double count = static_cast<double>(world.completed);
  report.note(fmt::format("processor time of a life-cycle: server {:.0f} us, clients {:.0f} us", used_us / count,
                          client_us / count));
  report.add("lifecycles_per_s", rate, "life-cycles/s", "higher");
}

}  // namespace
}  // namespace gantry::bench

int main(int argc, char** argv) { return gantry::bench::run(argc, argv, gantry::bench::measure); }
