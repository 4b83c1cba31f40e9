#include "sim/batch.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <map>

#include <fmt/format.h>
#include <sys/wait.h>
#include <unistd.h>

namespace gantry::sim {
namespace {

constexpr std::uint64_t compare_every = 10;
constexpr std::size_t failure_bytes_max = 2'000;

/// What a child writes into its pipe: less than a pipe holds, so that it never waits.
struct Record {
  std::int64_t failed_at_us;
  std::uint64_t trace_hash;
  std::uint64_t requests;
  std::uint64_t commits;
  TaskCounts tasks;
  Faults::Counts faults;
  std::size_t failure_bytes;
  char failure[failure_bytes_max];
};

struct Child {
  std::uint64_t seed;
  int pipe;
};

[[noreturn]] void run_child(const Options& options, bool twice, int pipe) {
  Outcome outcome = run_seed(options, twice);
  Record record{};
  record.failed_at_us = outcome.failed_at_us;
  record.trace_hash = outcome.trace_hash;
  record.requests = outcome.requests;
  record.commits = outcome.commits;
  record.tasks = outcome.tasks;
  record.faults = outcome.faults;
  record.failure_bytes = std::min(outcome.failure.size(), failure_bytes_max);
  std::memcpy(record.failure, outcome.failure.data(), record.failure_bytes);
  bool written = ::write(pipe, &record, sizeof record) == static_cast<ssize_t>(sizeof record);
  std::fflush(stdout);
  ::_exit(written ? 0 : 1);
}

Child start_child(const Options& options, bool twice) {
  int ends[2];
  if (::pipe(ends) != 0) throw Error(ErrorCode::unavailable, fmt::format("cannot make a pipe: {}", strerror(errno)));
  std::fflush(stdout);
  pid_t pid = ::fork();
  if (pid < 0) throw Error(ErrorCode::unavailable, fmt::format("cannot start a process: {}", strerror(errno)));
  if (pid == 0) {
    ::close(ends[0]);
    run_child(options, twice, ends[1]);
  }
  ::close(ends[1]);
  return {static_cast<std::uint64_t>(pid), ends[0]};
}

SeedResult collect(std::uint64_t seed, int pipe, int status) {
  SeedResult result{seed, {}};
  Record record{};
  bool whole = ::read(pipe, &record, sizeof record) == static_cast<ssize_t>(sizeof record);
  ::close(pipe);
  Outcome& outcome = result.outcome;
  if (WIFSIGNALED(status)) {
    outcome.failure = fmt::format("the process died of signal {} ({})", WTERMSIG(status), strsignal(WTERMSIG(status)));
  } else if (!whole || WEXITSTATUS(status) != 0) {
    outcome.failure = fmt::format("the process ended with status {}", WEXITSTATUS(status));
  }
  if (!outcome.failure.empty()) return result;
  outcome.failed_at_us = record.failed_at_us;
  outcome.trace_hash = record.trace_hash;
  outcome.requests = record.requests;
  outcome.commits = record.commits;
  outcome.tasks = record.tasks;
  outcome.faults = record.faults;
  outcome.failure.assign(record.failure, record.failure_bytes);
  return result;
}

}  // namespace

Outcome run_seed(const Options& options, bool twice) {
  Outcome outcome = simulate(options);
  if (!twice || !outcome.passed()) return outcome;
  Outcome again = simulate(options);
  if (again.trace_hash != outcome.trace_hash) {
    outcome.failure =
        fmt::format("two runs of the seed differ: trace {:016x} and {:016x}", outcome.trace_hash, again.trace_hash);
  }
  return outcome;
}

void run_batch(const BatchOptions& options, const std::function<void(const SeedResult&)>& done) {
  std::map<pid_t, Child> running;
  std::uint64_t started = 0;
  bool failed = false;
  for (;;) {
    bool more = started < options.seeds && !(failed && options.stop_at_failure);
    if (more && running.size() < static_cast<std::size_t>(options.jobs)) {
      Options simulation = options.simulation;
      simulation.seed = options.first_seed + started++;
      bool twice = options.always_twice || simulation.seed % compare_every == 0;
      Child child = start_child(simulation, twice);
      running.emplace(static_cast<pid_t>(child.seed), Child{simulation.seed, child.pipe});
      continue;
    }
    if (running.empty()) return;
    int status = 0;
    pid_t pid = ::waitpid(-1, &status, 0);
    if (pid < 0 && errno == EINTR) continue;
    auto child = running.find(pid);
    if (child == running.end()) continue;
    SeedResult result = collect(child->second.seed, child->second.pipe, status);
    running.erase(child);
    failed = failed || !result.outcome.passed();
    done(result);
  }
}

}  // namespace gantry::sim
