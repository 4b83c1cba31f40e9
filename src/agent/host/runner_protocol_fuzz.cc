// Whatever comes on standard input: no crash, lines keep their bound, and however the bytes are cut they make the same
// lines.
#include "agent/host/limits.h"
#include "agent/host/runner_protocol.h"

namespace {

using namespace gantry::agent;

std::vector<std::string> lines_of(std::string_view bytes, std::size_t piece) {
  RunnerLines lines;
  std::vector<std::string> found;
  for (std::size_t at = 0; at < bytes.size(); at += piece) {
    lines.add(bytes.substr(at, piece));
    while (auto line = lines.next()) found.push_back(*line);
  }
  return found;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view text(reinterpret_cast<const char*>(data), size);
  std::vector<std::string> lines = lines_of(text, std::max<std::size_t>(size, 1));
  if (lines != lines_of(text, 7)) __builtin_trap();
  for (const std::string& line : lines) {
    if (line.size() > runner_line_bytes_max || line.find('\n') != std::string::npos) __builtin_trap();
    auto message = parse_runner_line(line);
    if (message && message->capabilities.size() > runner_capabilities_max) __builtin_trap();
    if (runner_log(line).size() > 4096 || runner_error_report(line, line).size() > 4096) __builtin_trap();
  }
  return 0;
}
