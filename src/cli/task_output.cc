#include "cli/task_output.h"

#include <algorithm>
#include <utility>

namespace gantry::cli {
namespace {

constexpr std::string_view prefixes[] = {"[taskcluster ", "[taskcluster:error] "};
constexpr std::size_t agent_line_bytes_max = 16 * 1024;  // of which on_line gets to know

bool is_prefix(std::string_view text) { return std::ranges::find(prefixes, text) != std::end(prefixes); }

bool may_become_prefix(std::string_view text) {
  return std::ranges::any_of(prefixes, [&](std::string_view prefix) { return prefix.starts_with(text); });
}

}  // namespace

void TaskOutput::agent_line_over() {
  std::string_view line = held_;
  if (line.starts_with(prefixes[0])) {
    auto bracket = line.find("] ");  // behind the time
    line.remove_prefix(bracket == std::string_view::npos ? prefixes[0].size() : bracket + 2);
  } else {
    line.remove_prefix(prefixes[1].size());
  }
  if (on_line_) on_line_(line);
  held_.clear();
  at_ = At::line_start;
}

void TaskOutput::take_byte(char c, std::string& out) {
  if (at_ == At::agent_line) {
    if (c == '\n') {
      agent_line_over();
    } else if (held_.size() < agent_line_bytes_max) {
      held_ += c;
    }
    return;
  }
  if (at_ == At::line_start) {
    held_ += c;
    if (is_prefix(held_)) {
      line_break_.clear();
      at_ = At::agent_line;
      return;
    }
    if (may_become_prefix(held_)) return;
    out += line_break_;
    line_break_.clear();
    std::string line = std::exchange(held_, {});
    at_ = At::in_line;
    for (char again : line) take_byte(again, out);
    return;
  }
  if (line_break_.empty() && c == '\r') {
    line_break_ = "\r";
    return;
  }
  if (c == '\n') {
    if (line_break_.empty()) {
      out += c;
    } else {
      line_break_ += c;
    }
    at_ = At::line_start;
    return;
  }
  out += std::exchange(line_break_, {});
  if (c == '\r') {
    line_break_ = "\r";
  } else {
    out += c;
  }
}

std::string TaskOutput::take(std::string_view piece) {
  std::string out;
  out.reserve(piece.size());
  while (!piece.empty()) {
    // Most bytes stand inside lines: those go over in one copy.
    if (at_ == At::in_line && line_break_.empty()) {
      auto plain = std::min(piece.find_first_of("\r\n"), piece.size());
      out += piece.substr(0, plain);
      piece.remove_prefix(plain);
      if (piece.empty()) break;
    }
    take_byte(piece.front(), out);
    piece.remove_prefix(1);
  }
  return out;
}

std::string TaskOutput::rest() {
  std::string out = std::exchange(line_break_, {});
  if (at_ == At::agent_line) {
    agent_line_over();
  } else {
    out += std::exchange(held_, {});
  }
  at_ = At::line_start;
  return out;
}

}  // namespace gantry::cli
