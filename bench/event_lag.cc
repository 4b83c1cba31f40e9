// event_lag_p99_ms: from the moment of a decision (the event's own time, before it is on disk) until a client has the
// event from /v1/events, at 5,000 events a second. The events come from whole life-cycles of tasks over HTTP (create,
// claim, complete), evenly paced; client and server share the machine and its clock. Beside the reader that is
// measured, which sees every event, 20 more wait for events that do not come. A run that does not reach 5,000 a second
// is an error.
#include <atomic>
#include <thread>

#include <boost/asio/io_context.hpp>
#include <poll.h>

#include "base/time.h"
#include "bench/common_lifecycle.h"
#include "bench/common_report.h"

namespace gantry::bench {
namespace {

constexpr double events_per_s = 5'000;
constexpr double events_per_s_min = 4'900;  // what pacing by sleeping loses
constexpr int waiting_readers = 20;

double percentile(std::vector<double>& values, double part) {
  std::sort(values.begin(), values.end());
  return values.at(static_cast<std::size_t>(part * static_cast<double>(values.size() - 1) + 0.5));
}

/// A connection that follows the event stream.
class EventReader {
 public:
  EventReader(World& world, std::string_view target) : env_(world.env) {
    socket_ = ::socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(world.port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    std::string wanted = request(world, world.root, "GET", target, "");
    bool open = ::connect(socket_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0 &&
                ::send(socket_, wanted.data(), wanted.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(wanted.size());
    // The greeting says that it follows from here on.
    while (open && text_.find("retry: ") == std::string::npos) open = receive();
    if (!open || !text_.starts_with("HTTP/1.1 200")) {
      throw Error(ErrorCode::unavailable, "the event stream does not begin: " + text_.substr(0, 200));
    }
  }
  EventReader(const EventReader&) = delete;
  EventReader& operator=(const EventReader&) = delete;
  ~EventReader() { ::close(socket_); }

  /// Takes in events until `done` is set and a moment has passed without any.
  void run(const std::atomic<bool>& done) {
    for (;;) {
      pollfd wait{socket_, POLLIN, 0};
      if (::poll(&wait, 1, 500) == 0) {
        if (done) return;
        continue;
      }
      if (!receive()) throw Error(ErrorCode::unavailable, "the event stream ended");
      take_events();
    }
  }

  std::vector<double> lags_ms;

 private:
  bool receive() {
    char buffer[64 * 1024];
    ssize_t got = ::recv(socket_, buffer, sizeof buffer, 0);
    if (got > 0) text_.append(buffer, static_cast<std::size_t>(got));
    return got > 0;
  }
  void take_events() {
    constexpr std::string_view key = R"(","time":")";
    constexpr std::size_t time_bytes = 24;
    Time now = env_.now();
    std::size_t at = 0;
    for (std::size_t found; (found = text_.find(key, at)) != std::string::npos; at = found + key.size()) {
      if (found + key.size() + time_bytes > text_.size()) break;
      auto time = parse_time(std::string_view(text_).substr(found + key.size(), time_bytes));
      if (!time) throw Error(ErrorCode::internal, "an event's time cannot be read");
      lags_ms.push_back(static_cast<double>((now - *time).count()));
    }
    text_.erase(0, std::max(at, text_.size() - std::min(text_.size(), key.size() + time_bytes)));
  }

  Env& env_;
  int socket_ = -1;
  std::string text_;
};

/// Begins each life-cycle when its turn has come; that holds the other clients up as well, by less than a turn.
class Paced : public Sequence {
 public:
  Paced(World& world, std::int64_t begin_us, double per_s, std::uint64_t& begun)
      : world_(world), cycle_(world), begin_us_(begin_us), per_s_(per_s), begun_(begun) {}

  std::string next(int status, std::string_view body) override {
    if (calls_++ % requests_per_cycle == 0) {
      auto turn_us = begin_us_ + static_cast<std::int64_t>(static_cast<double>(begun_++) / per_s_ * 1e6);
      while (world_.env.uptime_us() < turn_us) {
        auto left_ms = static_cast<int>((turn_us - world_.env.uptime_us()) / 1000);
        if (left_ms > 0) ::poll(nullptr, 0, left_ms);
      }
    }
    return cycle_.next(status, body);
  }

 private:
  static constexpr int requests_per_cycle = 3;
  World& world_;
  LifeCycle cycle_;
  std::int64_t begin_us_;
  double per_s_;
  std::uint64_t& begun_;
  int calls_ = 0;
};

/// Runs life-cycles at an even pace; events a second.
double run_paced(World& world, EventReader& reader, double cycles_per_s) {
  std::atomic<bool> done = false;
  std::exception_ptr failure;
  std::thread reading([&] {
    try {
      reader.run(done);
    } catch (...) {
      failure = std::current_exception();
    }
  });
  std::int64_t begin_us = world.env.uptime_us();
  std::uint64_t begun = 0;
  std::vector<Paced> cycles(clients, Paced(world, begin_us, cycles_per_s, begun));
  std::vector<Sequence*> sequences;
  for (auto& cycle : cycles) sequences.push_back(&cycle);
  Load(world.port).run(sequences);
  double took_s = static_cast<double>(world.env.uptime_us() - begin_us) / 1e6;
  done = true;
  reading.join();
  if (failure) std::rethrow_exception(failure);
  return static_cast<double>(reader.lags_ms.size()) / took_s;
}

void measure(const Options& options, Report& report) {
  asio::io_context io;
  SystemEnv env(io);
  DevServer server;
  World world{env, wire::HawkSigner(server.credentials()), server.host(), server.port(), INT64_MAX, 0, 200};
  double events_per_cycle = 0;
  {
    EventReader reader(world, "/v1/events");
    run_paced(world, reader, 200);
    events_per_cycle = static_cast<double>(reader.lags_ms.size()) / static_cast<double>(world.completed);
  }
  std::vector<std::unique_ptr<EventReader>> waiting;
  for (int i = 0; i < waiting_readers; ++i) {
    waiting.push_back(std::make_unique<EventReader>(world, "/v1/events?kind=task-failed"));
  }
  EventReader reader(world, "/v1/events");
  double seconds_long = options.quick ? 5 : 30;
  world.completed = 0;
  world.limit = static_cast<std::uint64_t>(events_per_s / events_per_cycle * seconds_long);
  double reached = run_paced(world, reader, events_per_s / events_per_cycle);
  report.note(fmt::format("{} events at {:.0f}/s, {:.1f} a life-cycle; lag p50 {:.0f} ms, most {:.0f} ms",
                          reader.lags_ms.size(), reached, events_per_cycle, percentile(reader.lags_ms, 0.5),
                          percentile(reader.lags_ms, 1)));
  if (reached < events_per_s_min) {
    throw Error(ErrorCode::unavailable, fmt::format("only {:.0f} events a second were made", reached));
  }
  report.add("event_lag_p99_ms", percentile(reader.lags_ms, 0.99), "ms", "lower");
}

}  // namespace
}  // namespace gantry::bench

int main(int argc, char** argv) { return gantry::bench::run(argc, argv, gantry::bench::measure); }
