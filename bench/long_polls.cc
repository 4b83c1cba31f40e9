// long_polls_cpu_percent: of one core, used by `gantry dev` while 10,000 workers wait in claimWork on 100 task queues
// that have nothing for them. Each poll is answered after 20 s and sent again at once on the same connection; 60 s from
// when all are open, so three re-polls of each are counted. --quick: 1,000 workers, 30 s.
#include <algorithm>

#include <boost/asio/io_context.hpp>
#include <sys/resource.h>

#include "bench/common_fill.h"
#include "bench/common_report.h"

namespace gantry::bench {
namespace {

constexpr int queues = 100;

/// Asks for work until the time is over.
class Poll : public Sequence {
 public:
  Poll(World& world, int number, std::uint64_t& polls) : world_(world), number_(number), polls_(polls) {}

  std::string next(int status, std::string_view body) override {
    if (status != 0 && (status != 200 || body != R"({"tasks":[]})")) {
      fmt::print(stderr, "answer {}: {}\n", status, body.substr(0, 200));
      std::exit(1);
    }
    if (status != 0) ++polls_;
    if (world_.env.uptime_us() >= world_.until_us) return {};
    std::string target = fmt::format("/api/queue/v1/claim-work/bench/idle-{}", number_ % queues);
    return request(world_, world_.root, "POST", target,
                   fmt::format(R"({{"workerGroup":"bench","workerId":"w{}","tasks":1}})", number_));
  }

 private:
  World& world_;
  int number_;
  std::uint64_t& polls_;
};

/// One more worker, which reads the server's processor time whenever it is answered: from when all have been open for a
/// while, and at the end.
class Meter : public Sequence {
 public:
  Meter(World& world, const DevServer& server, std::int64_t from_us)
      : world_(world), server_(server), from_us_(from_us) {}

  std::string next(int, std::string_view) override {
    std::int64_t now_us = world_.env.uptime_us();
    if (now_us >= from_us_ && begin_us == 0) {
      begin_us = now_us;
      begin_s = processor_seconds(server_.process());
    }
    end_us = now_us;
    end_s = processor_seconds(server_.process());
    if (now_us >= world_.until_us) return {};
    return request(world_, world_.root, "POST", "/api/queue/v1/claim-work/bench/meter",
                   R"({"workerGroup":"bench","workerId":"meter","tasks":1})");
  }

  std::int64_t begin_us = 0;
  std::int64_t end_us = 0;
  double begin_s = 0;
  double end_s = 0;

 private:
  World& world_;
  const DevServer& server_;
  std::int64_t from_us_;
};

void allow_files(rlim_t count) {
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  if (limit.rlim_cur >= count) return;
  limit.rlim_cur = count;
  limit.rlim_max = std::max(limit.rlim_max, count);
  if (::setrlimit(RLIMIT_NOFILE, &limit) != 0) {
    throw Error(ErrorCode::unavailable, "cannot open so many connections", "raise the limit of open files");
  }
}

void measure(const Options& options, Report& report) {
  int workers = options.quick ? 1'000 : 10'000;
  std::int64_t open_us = options.quick ? 10'000'000 : 30'000'000;
  std::int64_t measure_us = options.quick ? 20'000'000 : 60'000'000;
  allow_files(static_cast<rlim_t>(workers) + 1000);
  asio::io_context io;
  SystemEnv env(io);
  DevServer server;
  std::int64_t until_us = env.uptime_us() + open_us + measure_us;
  World world{env, wire::HawkSigner(server.credentials()), server.host(), server.port(), until_us, 0, UINT64_MAX};
  Meter meter(world, server, env.uptime_us() + open_us);
  std::uint64_t polls = 0;
  std::vector<Poll> all;
  all.reserve(static_cast<std::size_t>(workers));
  for (int i = 0; i < workers; ++i) all.emplace_back(world, i, polls);
  std::vector<Sequence*> sequences;
  for (Poll& poll : all) sequences.push_back(&poll);
  sequences.push_back(&meter);
  Load(world.port).run(sequences);
  double seconds = static_cast<double>(meter.end_us - meter.begin_us) / 1e6;
  report.note(fmt::format("{} workers, {} polls answered in all, measured over {:.0f} s", workers, polls, seconds));
  report.add("long_polls_cpu_percent", 100 * (meter.end_s - meter.begin_s) / seconds, "%", "lower");
}

}  // namespace
}  // namespace gantry::bench

int main(int argc, char** argv) { return gantry::bench::run(argc, argv, gantry::bench::measure); }
