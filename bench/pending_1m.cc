// pending_1m_rss_mb: resident memory of `gantry dev` with 1,000,000 pending tasks of 1.5 KB, after a start and 20,000
// claims. pending_1m_claim_p99_ms: of claimWork (tasks: 1), one at a time, each answered with a task; every answer is
// durable first. --quick: 100,000 tasks.
#include <boost/asio/io_context.hpp>

#include "bench/common_client.h"
#include "bench/common_fill.h"
#include "bench/common_report.h"

namespace gantry::bench {
namespace {

/// Claims one task after another and keeps how long each took.
class Claims : public Sequence {
 public:
  Claims(World& world, int count) : world_(world), left_(count) {}

  std::string next(int status, std::string_view body) override {
    std::int64_t now_us = world_.env.uptime_us();
    if (status != 0) {
      if (status != 200 || body.find("takenUntil") == std::string_view::npos) {
        fmt::print(stderr, "nothing was claimed: {} {}\n", status, body.substr(0, 200));
        std::exit(1);
      }
      took_ms.push_back(static_cast<double>(now_us - begin_us_) / 1000);
    }
    if (left_-- == 0) return {};
    begin_us_ = world_.env.uptime_us();
    return request(world_, world_.root, "POST", std::string("/api/queue/v1/claim-work/") + queue,
                   R"({"workerGroup":"bench","workerId":"bench","tasks":1})");
  }

  std::vector<double> took_ms;

 private:
  World& world_;
  int left_;
  std::int64_t begin_us_ = 0;
};

void measure(const Options& options, Report& report) {
  asio::io_context io;
  SystemEnv env(io);
  DevServer server;
  fill(server, 0, options.quick ? 100'000 : 1'000'000);
  World world{env, wire::HawkSigner(server.credentials()), server.host(), server.port(), INT64_MAX, 0, UINT64_MAX};
  Claims claims(world, options.quick ? 2'000 : 20'000);
  std::vector<Sequence*> sequences = {&claims};
  Load(world.port).run(sequences);
  report.add("pending_1m_claim_p99_ms", percentile(claims.took_ms, 0.99), "ms", "lower");
  report.add("pending_1m_rss_mb", resident_mb(server.process()), "MB", "lower");
}

}  // namespace
}  // namespace gantry::bench

int main(int argc, char** argv) { return gantry::bench::run(argc, argv, gantry::bench::measure); }
