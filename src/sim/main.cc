// gantry-sim: the platform under simulated faults, seed by seed.
#include <algorithm>
#include <charconv>
#include <span>

#include <fmt/format.h>

#include "base/env.h"
#include "base/planted.h"
#include "sim/batch.h"

namespace gantry::sim {
namespace {

constexpr std::uint64_t planted_seeds_max = 60;
constexpr int jobs_max = 64;
constexpr double progress_every_s = 10;

constexpr std::string_view usage = R"(usage: gantry-sim [options]
  --seed N             the first seed (default 1)
  --seeds K            how many (default 1)
  --hours H            of simulated time for each (default 24)
  --faults F           all, none, or names separated by commas (default all)
  --jobs N             processes at a time (default 1)
  --check-determinism  run every seed twice and compare the traces (else one in ten)
  --trace              print every event (one seed)
  --list-faults        print the kinds of faults
  --planted-bugs       show that each planted bug is found within 60 seeds
  --bug NAME           switch this planted bug on; with --planted-bugs, only this one
)";

struct Arguments {
  BatchOptions batch;
  std::string faults = "all";
  int hours = 24;
  bool planted_bugs = false;
  bool list_faults = false;
  bool help = false;
  std::string bug;
};

/// Real time. The Env is made anew each time because its threads must not be there when a simulation forks off.
double wall_s() {
  asio::io_context io;
  SystemEnv env(io, 1);
  return static_cast<double>(env.uptime_us()) / 1e6;
}

template <class Number>
Number parse_number(std::string_view flag, std::string_view text, Number low, Number high) {
  Number number{};
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size() || number < low || number > high) {
    throw Error(ErrorCode::invalid_input, fmt::format("{}: must be a number from {} to {}", flag, low, high));
  }
  return number;
}

PlantedBug find_bug(std::string_view name) {
  auto found = std::ranges::find(planted_bugs, name, &PlantedBugInfo::name);
  if (found == std::end(planted_bugs)) {
    throw Error(ErrorCode::invalid_input, fmt::format("there is no planted bug \"{}\"", name));
  }
  return found->bug;
}

Arguments parse_arguments(std::span<char*> words) {
  Arguments arguments;
  for (std::size_t i = 0; i < words.size(); ++i) {
    std::string_view flag = words[i];
    auto value = [&]() -> std::string_view {
      if (i + 1 >= words.size()) throw Error(ErrorCode::invalid_input, fmt::format("{}: needs a value", flag));
      return words[++i];
    };
    BatchOptions& batch = arguments.batch;
    if (flag == "--seed")
      batch.first_seed = parse_number<std::uint64_t>(flag, value(), 0, 1'000'000'000'000);
    else if (flag == "--seeds")
      batch.seeds = parse_number<std::uint64_t>(flag, value(), 1, 1'000'000'000);
    else if (flag == "--hours")
      arguments.hours = parse_number(flag, value(), 1, 1000);
    else if (flag == "--jobs")
      batch.jobs = parse_number(flag, value(), 1, jobs_max);
    else if (flag == "--faults")
      arguments.faults = value();
    else if (flag == "--bug")
      arguments.bug = value();
    else if (flag == "--check-determinism")
      batch.always_twice = true;
    else if (flag == "--trace")
      batch.simulation.trace = true;
    else if (flag == "--planted-bugs")
      arguments.planted_bugs = true;
    else if (flag == "--list-faults")
      arguments.list_faults = true;
    else if (flag == "--help" || flag == "-h")
      arguments.help = true;
    else
      throw Error(ErrorCode::invalid_input, fmt::format("unknown option \"{}\"", flag), "see --help");
  }
  arguments.batch.simulation.length = hours(arguments.hours);
  arguments.batch.simulation.faults = value_or_throw(Faults::parse(arguments.faults));
  return arguments;
}

/// Sums over all seeds.
struct Totals {
  std::uint64_t passed = 0;
  std::uint64_t failed = 0;
  std::uint64_t requests = 0;
  std::uint64_t commits = 0;
  TaskCounts tasks;
  Faults::Counts faults{};

  void add(const Outcome& outcome) {
    (outcome.passed() ? passed : failed) += 1;
    requests += outcome.requests;
    commits += outcome.commits;
    tasks.created += outcome.tasks.created;
    tasks.completed += outcome.tasks.completed;
    tasks.failed += outcome.tasks.failed;
    tasks.exception += outcome.tasks.exception;
    for (std::size_t i = 0; i < reason_count; ++i) tasks.runs[i] += outcome.tasks.runs[i];
    for (std::size_t i = 0; i < faults.size(); ++i) faults[i] += outcome.faults[i];
  }
};

std::string virtual_time(std::int64_t us) {
  std::int64_t s = us / 1'000'000;
  return fmt::format("{:02}:{:02}:{:02}.{:06}", s / 3600, s / 60 % 60, s % 60, us % 1'000'000);
}

void print_failure(const Arguments& arguments, const SeedResult& result) {
  fmt::print("FAILED seed {} at {} of simulated time: {}\n", result.seed, virtual_time(result.outcome.failed_at_us),
             result.outcome.failure);
  fmt::print("  repeat it: gantry-sim --seed {} --hours {} --faults {}{}{} --trace\n", result.seed, arguments.hours,
             arguments.faults, arguments.bug.empty() ? "" : " --bug ", arguments.bug);
}

void print_totals(const Arguments& arguments, const Totals& totals, double took_s) {
  double simulated_s = static_cast<double>(totals.passed + totals.failed) * arguments.hours * 3600;
  fmt::print("\n{} seeds x {} h = {:.0f} simulated hours in {:.1f} s: {:.0f} times as fast as real time\n",
             totals.passed + totals.failed, arguments.hours, simulated_s / 3600, took_s, simulated_s / took_s);
  fmt::print("{} requests, {} commits; {} tasks: {} completed, {} failed, {} exceptions\n", totals.requests,
             totals.commits, totals.tasks.created, totals.tasks.completed, totals.tasks.failed, totals.tasks.exception);
  fmt::print("runs:");
  for (std::size_t i = 1; i < reason_count; ++i) {
    if (totals.tasks.runs[i])
      fmt::print(" {} {},", totals.tasks.runs[i], name_of(static_cast<wire::ReasonResolved>(i)));
  }
  fmt::print("\nfaults:\n");
  for (const FaultInfo& info : fault_table) {
    fmt::print("  {:<18}{:>9}\n", info.name, totals.faults[static_cast<std::size_t>(info.fault)]);
  }
  fmt::print("{} passed, {} failed\n", totals.passed, totals.failed);
}

int run_seeds(const Arguments& arguments) {
  Totals totals;
  double began_s = wall_s();
  double next_s = began_s + progress_every_s;
  auto done = [&](const SeedResult& result) {
    totals.add(result.outcome);
    if (!result.outcome.passed()) print_failure(arguments, result);
    if (wall_s() < next_s) return;
    next_s = wall_s() + progress_every_s;
    fmt::print("{} of {} seeds, {} failed\n", totals.passed + totals.failed, arguments.batch.seeds, totals.failed);
    std::fflush(stdout);
  };
  if (arguments.batch.seeds == 1) {
    Options options = arguments.batch.simulation;
    options.seed = arguments.batch.first_seed;
    done({options.seed, run_seed(options, arguments.batch.always_twice)});
  } else {
    run_batch(arguments.batch, done);
  }
  print_totals(arguments, totals, wall_s() - began_s);
  return totals.failed == 0 ? 0 : 1;
}

bool find_planted(const Arguments& arguments, const PlantedBugInfo& info) {
  planted_bug = info.bug;
  BatchOptions batch = arguments.batch;
  batch.seeds = planted_seeds_max;
  batch.stop_at_failure = true;
  std::optional<SeedResult> found;
  run_batch(batch, [&](const SeedResult& result) {
    if (!result.outcome.passed() && (!found || result.seed < found->seed)) found = result;
  });
  planted_bug = PlantedBug::none;
  if (!found) {
    fmt::print("{:<28} NOT FOUND in {} seeds x {} h\n", info.name, planted_seeds_max, arguments.hours);
    return false;
  }
  fmt::print("{:<28} seed {:<3} {}: {}\n", info.name, found->seed, virtual_time(found->outcome.failed_at_us),
             found->outcome.failure);
  std::fflush(stdout);
  return true;
}

int find_planted_bugs(const Arguments& arguments) {
  int found = 0;
  int missed = 0;
  for (const PlantedBugInfo& info : planted_bugs) {
    if (!arguments.bug.empty() && arguments.bug != info.name) continue;
    (find_planted(arguments, info) ? found : missed) += 1;
  }
  fmt::print("{} planted bugs found, {} missed\n{} passed, {} failed\n", found, missed, found, missed);
  return missed == 0 ? 0 : 1;
}

int main_checked(std::span<char*> words) {
  Arguments arguments = parse_arguments(words);
  if (arguments.help) {
    fmt::print("{}", usage);
    return 0;
  }
  if (arguments.list_faults) {
    for (const FaultInfo& info : fault_table) fmt::print("{:<18}{}\n", info.name, info.description);
    return 0;
  }
  if (!arguments.bug.empty()) planted_bug = find_bug(arguments.bug);
  return arguments.planted_bugs ? find_planted_bugs(arguments) : run_seeds(arguments);
}

}  // namespace
}  // namespace gantry::sim

int main(int argc, char** argv) {
  try {
    return gantry::sim::main_checked(std::span(argv + 1, static_cast<std::size_t>(argc > 0 ? argc - 1 : 0)));
  } catch (const gantry::Error& error) {
    fmt::print(stderr, "gantry-sim: {}{}{}\n", error.message(), error.hint().empty() ? "" : "\n  ", error.hint());
    return 2;
  }
}
