#include "sim/container_plan.h"

#include <algorithm>
#include <cstring>
#include <tuple>

#include <fmt/format.h>

#include "sim/random.h"

namespace gantry::sim {
namespace {

constexpr std::int64_t hour_us = 3'600'000'000;
constexpr Duration work_min = milliseconds(200);
constexpr Duration work_max = minutes(20);
constexpr std::int64_t hanging_us = 1000 * hour_us;
constexpr int pieces_max = 24;
constexpr std::int64_t piece_bytes_max = 300;
constexpr std::int64_t burst_bytes_min = 20'000;
constexpr std::int64_t burst_bytes_max = 90'000;
constexpr std::uint64_t newline_of_256 = 5;  // so many bytes in 256 end a line

constexpr std::string_view agent_line = "[taskcluster";
constexpr std::string_view agent_line_break = "\r\n";

std::uint64_t mix(std::uint64_t z) {
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
  return z ^ (z >> 31);
}

void plan_end(ContainerPlan& plan, Random& random) {
  double roll = random.unit();
  if (roll < 0.78) return;
  if (roll < 0.90) {
    plan.exit_code = static_cast<int>(random.between(std::int64_t{1}, std::int64_t{100}));
  } else if (roll < 0.94) {
    plan.exit_code = 137;
    plan.out_of_memory = true;
  } else {
    plan.exit_code = roll < 0.97 ? 137 : 143;  // it has signalled itself
  }
}

/// Which stream a byte of output belongs to.
int stream_of(char byte) {
  if ((byte >= 'a' && byte <= 'p') || byte == '\n') return 1;
  if ((byte >= 'A' && byte <= 'P') || byte == ';') return 2;
  return 0;
}

constexpr std::size_t block_bytes = 512;

void put_octal(std::string& header, std::size_t at, std::size_t width, std::size_t number) {
  std::string digits = fmt::format("{:0{}o}", number, width - 1);
  std::memcpy(header.data() + at, digits.data(), digits.size());
}

void append_entry(std::string& archive, std::string_view name, char type, std::string_view content) {
  std::string header(block_bytes, '\0');
  std::memcpy(header.data(), name.data(), name.size());
  put_octal(header, 100, 8, 0644);
  put_octal(header, 108, 8, 0);
  put_octal(header, 116, 8, 0);
  put_octal(header, 124, 12, content.size());
  put_octal(header, 136, 12, 0);
  header[156] = type;
  std::memcpy(header.data() + 257, "ustar\00000", 8);
  std::memset(header.data() + 148, ' ', 8);
  std::size_t sum = 0;
  for (char c : header) sum += static_cast<unsigned char>(c);
  put_octal(header, 148, 7, sum);
  archive += header;
  archive += content;
  archive.append((block_bytes - content.size() % block_bytes) % block_bytes, '\0');
}

}  // namespace

ContainerPlan plan_container(std::uint64_t seed, const wire::RunRef& run) {
  Random random(seed, fmt::format("container {}/{}", run.task.to_string(), run.run));
  ContainerPlan plan;
  bool hangs = random.chance(0.03);
  plan.length_us = hangs ? hanging_us : random.spread(work_min, work_max).count() * 1000;
  plan.ignores_term = random.chance(0.3);
  plan.has_files = random.chance(0.93);
  plan_end(plan, random);
  std::int64_t writes_until_us = std::min(plan.length_us, hour_us);
  std::int64_t pieces = random.between(std::int64_t{0}, std::int64_t{pieces_max});
  for (std::int64_t i = 0; i < pieces; ++i) {
    bool burst = random.chance(0.004);
    std::int64_t bytes =
        burst ? random.between(burst_bytes_min, burst_bytes_max) : random.between(std::int64_t{1}, piece_bytes_max);
    bool last_words = random.chance(0.1);
    std::int64_t at_us = last_words ? writes_until_us : random.between(std::int64_t{0}, writes_until_us);
    plan.output.push_back({at_us, random.chance(0.3) ? 2 : 1, bytes});
  }
  std::ranges::sort(plan.output, {},
                    [](const OutputPlan& piece) { return std::tuple(piece.at_us, piece.stream, piece.bytes); });
  return plan;
}

std::string output_bytes(const wire::RunRef& run, int stream, std::int64_t offset, std::int64_t count) {
  const char first = stream == 1 ? 'a' : 'A';
  const char line_end = stream == 1 ? '\n' : ';';
  std::uint64_t key = run.task.hash() + static_cast<std::uint64_t>(run.run) * 0x9E3779B97F4A7C15ull +
                      static_cast<std::uint64_t>(stream) * 0xD1B54A32D192ED03ull;
  std::string bytes(static_cast<std::size_t>(count), '\0');
  std::uint64_t word = 0;
  for (std::int64_t i = 0; i < count; ++i) {
    auto at = static_cast<std::uint64_t>(offset + i);
    if (i == 0 || at % 8 == 0) word = mix(key + at / 8);
    std::uint64_t number = word >> (at % 8 * 8) & 255;
    bytes[static_cast<std::size_t>(i)] = number < newline_of_256 ? line_end : static_cast<char>(first + (number & 15));
  }
  return bytes;
}

std::optional<std::string> stream_in_log(std::string_view log, int stream) {
  std::string bytes;
  while (!log.empty()) {
    std::string_view after_break = log.starts_with(agent_line_break) ? log.substr(agent_line_break.size()) : log;
    if (after_break.starts_with(agent_line)) {
      std::size_t end = after_break.find('\n');
      if (end == std::string_view::npos) return std::nullopt;
      log = after_break.substr(end + 1);
      continue;
    }
    int of = stream_of(log.front());
    if (of == 0) return std::nullopt;
    if (of == stream) bytes += log.front();
    log.remove_prefix(1);
  }
  return bytes;
}

std::vector<ContainerFile> container_files(const wire::RunRef& run) {
  constexpr int streams_of_files = 16;
  return {
      {std::string(output_file), output_bytes(run, streams_of_files, 0, 40 + static_cast<int>(run.task.hash() % 3000))},
      {"/out/more/empty.txt", ""},
      {"/out/more/notes.json", output_bytes(run, streams_of_files + 1, 0, 700)}};
}

std::optional<std::string> archive_of(const std::vector<ContainerFile>& files, std::string_view path) {
  std::string archive;
  auto slash = path.rfind('/');
  for (const ContainerFile& file : files) {
    if (file.path == path) append_entry(archive, path.substr(slash + 1), '0', file.content);
  }
  bool directory = archive.empty();
  if (directory) {
    std::string below = std::string(path) + "/";
    for (const ContainerFile& file : files) {
      if (!file.path.starts_with(below)) continue;
      if (archive.empty()) append_entry(archive, below.substr(slash + 1), '5', "");
      append_entry(archive, std::string_view(file.path).substr(slash + 1), '0', file.content);
    }
  }
  if (archive.empty()) return std::nullopt;
  archive.append(2 * block_bytes, '\0');
  return archive;
}

}  // namespace gantry::sim
