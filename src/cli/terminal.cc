#include "cli/terminal.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include <fmt/format.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/text.h"

namespace gantry::cli {
namespace {

constexpr std::size_t width_default = 80;
constexpr std::size_t cell_bytes_max = 400;
constexpr Duration frame = milliseconds(100);
constexpr std::string_view clear_line = "\r\x1b[K";

/// Columns of UTF-8 text, taking every character for one column wide.
std::size_t columns_of(std::string_view text) {
  return static_cast<std::size_t>(
      std::ranges::count_if(text, [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

std::string cut_at(std::string_view text, std::size_t columns) {
  if (columns_of(text) <= columns) return std::string(text);
  std::size_t seen = 0;
  std::size_t at = 0;
  for (; at < text.size(); ++at) {
    if ((static_cast<unsigned char>(text[at]) & 0xC0) != 0x80 && seen++ == columns) break;
  }
  return std::string(text.substr(0, at));
}

bool colour_wanted(int descriptor) {
  const char* no_color = std::getenv("NO_COLOR");
  const char* term = std::getenv("TERM");
  bool dumb = !term || std::string_view(term) == "dumb";
  return is_terminal(descriptor) && !dumb && (!no_color || !*no_color);
}

}  // namespace

bool is_terminal(int descriptor) { return ::isatty(descriptor) == 1; }

std::size_t terminal_width(int descriptor) {
  winsize size{};
  if (::ioctl(descriptor, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return width_default;
  return size.ws_col;
}

void write_all(int descriptor, std::string_view text) {
  while (!text.empty()) {
    ssize_t wrote = ::write(descriptor, text.data(), text.size());
    if (wrote >= 0) {
      text.remove_prefix(static_cast<std::size_t>(wrote));
    } else if (errno == EAGAIN) {
      pollfd writable{descriptor, POLLOUT, 0};
      ::poll(&writable, 1, -1);
    } else if (errno != EINTR) {
      throw Error(ErrorCode::unavailable, fmt::format("cannot write the output: {}", std::strerror(errno)));
    }
  }
}

void print(std::string_view text) { write_all(STDOUT_FILENO, text); }

void say(std::string_view line) {
  try {
    write_all(STDERR_FILENO, fmt::format("{}\n", line));
  } catch (const Error&) {
    return;  // nobody reads it: there is nobody to tell
  }
}

Style::Style(int descriptor) : on_(colour_wanted(descriptor)) {}

std::string Style::in(std::string_view code, std::string_view text) const {
  return on_ && !text.empty() ? fmt::format("\x1b[{}m{}\x1b[0m", code, text) : std::string(text);
}

Table::Table(std::vector<std::string> headings) { rows_.push_back(std::move(headings)); }

void Table::add(std::vector<std::string> row) {
  GANTRY_ASSERT(row.size() == rows_.front().size());
  for (std::string& cell : row) cell = shorten(cell, cell_bytes_max);
  rows_.push_back(std::move(row));
}

std::string Table::text(std::size_t width_max) const {
  std::vector<std::size_t> widths(rows_.front().size());
  for (const auto& row : rows_) {
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], columns_of(row[i]));
  }
  std::string out;
  for (const auto& row : rows_) {
    std::string line;
    for (std::size_t i = 0; i < row.size(); ++i) {
      line += row[i];
      if (i + 1 < row.size()) line.append(widths[i] - columns_of(row[i]) + 2, ' ');
    }
    line.erase(line.find_last_not_of(' ') + 1);
    out += (width_max == 0 ? line : cut_at(line, width_max)) + '\n';
  }
  return out;
}

std::string progress_bar(std::int64_t done, std::int64_t total, std::size_t width) {
  std::size_t inside = width > 2 ? width - 2 : 0;
  std::size_t filled = 0;
  if (total > 0) {
    double part = std::clamp(static_cast<double>(done) / static_cast<double>(total), 0.0, 1.0);
    filled = static_cast<std::size_t>(part * static_cast<double>(inside));
  }
  return "[" + std::string(filled, '#') + std::string(inside - filled, '.') + "]";
}

StatusLine::StatusLine(Env& env) : env_(env), visible_(is_terminal(STDERR_FILENO)) {}

void StatusLine::show(std::string_view text) {
  if (!visible_) return;
  Duration now = env_.uptime();
  if (drawn_ && now - last_drawn_ < frame) return;
  std::size_t width = terminal_width(STDERR_FILENO);
  std::string line = std::string(clear_line) + cut_at(text, width > 1 ? width - 1 : 1);
  drawn_ = true;
  last_drawn_ = now;
  try {
    write_all(STDERR_FILENO, line);
  } catch (const Error&) {
    visible_ = false;
  }
}

void StatusLine::clear() {
  if (!drawn_) return;
  drawn_ = false;
  try {
    write_all(STDERR_FILENO, clear_line);
  } catch (const Error&) {
    visible_ = false;
  }
}

std::string_view spinner(Duration turning) {
  static constexpr std::string_view pictures[] = {"|", "/", "-", "\\"};
  return pictures[static_cast<std::size_t>(turning / frame) % std::size(pictures)];
}

}  // namespace gantry::cli
