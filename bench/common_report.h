// A benchmark's main(): reads its options, measures, prints a line a figure for people, or with --json a JSON array of
// {name, value, unit, better}.
#pragma once

#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>

#include "base/error.h"

namespace gantry::bench {

struct Options {
  bool json = false;
  bool quick = false;  // every figure, from a shorter run

  Options(int argc, char** argv) {
    for (int i = 1; i < argc; ++i) {
      std::string_view argument = argv[i];
      if (argument == "--json") {
        json = true;
      } else if (argument == "--quick") {
        quick = true;
      } else {
        fmt::print(stderr, "{}: unknown argument {}; known: --json --quick\n", argv[0], argument);
        std::exit(2);
      }
    }
  }
};

class Report {
 public:
  explicit Report(const Options& options) : json_(options.json) {}

  void add(std::string_view name, double value, std::string_view unit, std::string_view better) {
    if (json_) {
      lines_.push_back(
          fmt::format(R"({{"name":"{}","value":{:.6g},"unit":"{}","better":"{}"}})", name, value, unit, better));
    } else {
      fmt::print("{:32} {:>14.6g} {}\n", name, value, unit);
    }
  }
  void note(std::string_view text) const { fmt::print(stderr, "  {}\n", text); }
  ~Report() {
    if (json_) fmt::print("[{}]\n", fmt::join(lines_, ","));
  }
  Report(const Report&) = delete;
  Report& operator=(const Report&) = delete;

 private:
  bool json_;
  std::vector<std::string> lines_;
};

/// The exit code of a program that does `measure`.
inline int run(int argc, char** argv, void (*measure)(const Options&, Report&)) {
  Options options(argc, argv);
  try {
    Report report(options);
    measure(options, report);
  } catch (const Error& error) {
    fmt::print(stderr, "{}: {}\n{}\n", argv[0], error.message(), error.hint());
    return 1;
  }
  return 0;
}

}  // namespace gantry::bench
