// What the command line draws with. In a pipe there are plain lines and nothing else: no colour, no bar, no line that
// is drawn over. NO_COLOR and TERM=dumb switch colour off on a terminal too.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/env.h"

namespace gantry::cli {

bool is_terminal(int descriptor);
/// In columns; 80 if it cannot be known.
std::size_t terminal_width(int descriptor);

/// Writes all of it; throws Error(unavailable) if nobody reads any more.
void write_all(int descriptor, std::string_view text);
void print(std::string_view text);  // to stdout
/// To stderr, with a line end; never throws.
void say(std::string_view line);

class Style {
 public:
  explicit Style(int descriptor);
  std::string bold(std::string_view text) const { return in("1", text); }
  std::string dim(std::string_view text) const { return in("2", text); }
  std::string red(std::string_view text) const { return in("31", text); }
  std::string green(std::string_view text) const { return in("32", text); }
  std::string yellow(std::string_view text) const { return in("33", text); }

 private:
  std::string in(std::string_view code, std::string_view text) const;
  bool on_;
};

/// Rows under headings. A cell's line ends and control characters become '?'.
class Table {
 public:
  explicit Table(std::vector<std::string> headings);
  void add(std::vector<std::string> row);
  bool empty() const { return rows_.size() == 1; }
  /// Lines are cut at `width_max` columns; 0: never.
  std::string text(std::size_t width_max = 0) const;

 private:
  std::vector<std::vector<std::string>> rows_;
};

/// "[#####.....]", `width` columns in all; a total below 1 draws an empty bar.
std::string progress_bar(std::int64_t done, std::int64_t total, std::size_t width);

/// One line on stderr that is drawn over, at most ten times a second; in a pipe it is never shown.
class StatusLine {
 public:
  explicit StatusLine(Env& env);
  ~StatusLine() { clear(); }
  StatusLine(const StatusLine&) = delete;
  StatusLine& operator=(const StatusLine&) = delete;

  bool visible() const { return visible_; }
  void show(std::string_view text);
  void clear();

 private:
  Env& env_;
  bool visible_;
  bool drawn_ = false;
  Duration last_drawn_{};
};

/// The next picture of a spinner that has been turning for so long.
std::string_view spinner(Duration turning);

}  // namespace gantry::cli
