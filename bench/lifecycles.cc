// lifecycles_per_s: durable life-cycles of tasks over HTTP: create (1.5 KB definition), claim (tasks: 1), complete with
// the credentials that the claim gave. Hawk on every request, SQLite FULL, 64 clients on one thread beside the server,
// on a store that holds 100,000 resolved tasks already.
#include <boost/asio/io_context.hpp>

#include "bench/common_lifecycle.h"
#include "bench/common_report.h"

int main(int argc, char** argv) {
  using namespace gantry;
  using namespace gantry::bench;
  Options options(argc, argv);
  Report report(options);
  asio::io_context io;
  SystemEnv env(io);
  DevServer server;
  std::uint64_t stored = options.quick ? 20'000 : 100'000;
  std::int64_t duration_us = options.quick ? 8'000'000 : 30'000'000;
  World fill{env, wire::HawkSigner(server.credentials()), server.host(), server.port(), INT64_MAX, 0, stored};
  double fill_rate = run_clients(fill);
  report.note(fmt::format("filled the store with {} resolved tasks at {:.0f}/s", fill.completed, fill_rate));
  World world{env,           wire::HawkSigner(server.credentials()), server.host(),
              server.port(), env.uptime_us() + duration_us,          0,
              UINT64_MAX};
  report.add("lifecycles_per_s", run_clients(world), "life-cycles/s", "higher");
}
