// commits_per_s: separate Transactions of one 1.2 KB record, each awaited by its caller, 64 callers, SQLite with
// synchronous FULL in the current directory's file system. commits_slow_disk_per_s: 1,024 callers, 5 ms added to each
// fsync.
#include <chrono>
#include <filesystem>

#include <boost/asio/io_context.hpp>

#include "bench/common_report.h"
#include "server/commit.h"
#include "store/sqlite/sqlite_store.h"

namespace gantry::bench {
namespace {

struct Load {
  int callers;
  std::chrono::microseconds fsync_delay;
  double duration_s;
};

/// A node's description is the one record that is a single write; its name brings it to 1.2 KB.
state::Node record(Env& env, int caller) {
  state::Node node;
  node.id = NodeId::random(env);
  node.worker_id = fmt::format("worker-{}", caller);
  node.worker_group = "bench";
  node.task_queue = "bench/commits";
  node.name = std::string(1000, 'n');
  return node;
}

Async<> call(server::CommitLoop& commits, Env& env, int caller, std::int64_t until_us, std::uint64_t& count) {
  state::Node node = record(env, caller);
  NodeId id = node.id;
  auto first = commits.begin();
  first.insert(std::move(node));
  co_await commits.settled(commits.stage(first));
  for (int slots = 0; env.uptime_us() < until_us; ++slots) {
    auto tx = commits.begin();
    tx.update<state::Node>(id, [&](state::Node& changed) { changed.slots = slots; });
    co_await commits.settled(commits.stage(tx));
    ++count;
  }
}

double commits_per_s(const Load& load) {
  std::string directory = fmt::format("bench-commits-{}", ::getpid());
  std::filesystem::create_directory(directory);
  double rate = 0;
  {
    asio::io_context io;
    SystemEnv env(io);
    state::State state;
    store::SqliteOptions options;
    options.fsync_delay = load.fsync_delay;
    auto store = store::open_sqlite(directory + "/bench.db", options);
    server::CommitLoop commits(env, state);
    commits.attach(*store);
    Scope scope(env.executor(), "bench");
    std::uint64_t count = 0;
    std::int64_t begin = env.uptime_us();
    auto until = begin + static_cast<std::int64_t>(load.duration_s * 1e6);
    for (int i = 0; i < load.callers; ++i) {
      scope.spawn("caller", call(commits, env, i, until, count));
    }
    auto work = asio::make_work_guard(io);
    while (scope.size() > 0) io.run_one();
    rate = static_cast<double>(count) / (static_cast<double>(env.uptime_us() - begin) / 1e6);
    work.reset();
    io.run();
  }
  std::filesystem::remove_all(directory);
  return rate;
}

void measure(const Options& options, Report& report) {
  double duration_s = options.quick ? 3 : 10;
  report.add("commits_per_s", commits_per_s({64, std::chrono::microseconds(0), duration_s}), "commits/s", "higher");
  report.add("commits_slow_disk_per_s", commits_per_s({1024, std::chrono::milliseconds(5), duration_s}), "commits/s",
             "higher");
}

}  // namespace
}  // namespace gantry::bench

int main(int argc, char** argv) { return gantry::bench::run(argc, argv, gantry::bench::measure); }
