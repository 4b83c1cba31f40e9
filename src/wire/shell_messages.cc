#include "wire/shell_messages.h"

#include <algorithm>

#include <fmt/format.h>

namespace gantry::wire {
namespace {

void append_16(std::string& out, int value) {
  out += static_cast<char>(value & 0xff);
  out += static_cast<char>(value >> 8 & 0xff);
}

int read_16(std::string_view bytes) {
  return static_cast<std::uint8_t>(bytes[0]) | static_cast<std::uint8_t>(bytes[1]) << 8;
}

Error bad(std::string_view what) {
  return Error(ErrorCode::invalid_input, fmt::format("a message of a shell is not well formed: {}", what));
}

Result<ShellMessage> decode_resize(std::string_view payload) {
  if (payload.size() != 4) return bad("a resize has 4 bytes");
  ShellMessage message{ShellCode::resize};
  message.rows = read_16(payload.substr(0, 2));
  message.columns = read_16(payload.substr(2, 2));
  if (message.rows < 1 || message.columns < 1) return bad("a terminal has a row and a column at least");
  return message;
}

Result<ShellMessage> decode_stopped(std::string_view payload) {
  if (payload.size() != 1) return bad("an exit code has 1 byte");
  ShellMessage message{ShellCode::stopped};
  message.exit_code = static_cast<std::uint8_t>(payload[0]);
  return message;
}

}  // namespace

std::string encode_shell(const ShellMessage& message) {
  std::string out(1, static_cast<char>(message.code));
  switch (message.code) {
    case ShellCode::input:
    case ShellCode::output:
    case ShellCode::error_output:
    case ShellCode::error: out += message.bytes; break;
    case ShellCode::resize:
      append_16(out, std::clamp(message.rows, 1, terminal_side_max));
      append_16(out, std::clamp(message.columns, 1, terminal_side_max));
      break;
    case ShellCode::stopped: out += static_cast<char>(message.exit_code & 0xff); break;
    case ShellCode::resume:
    case ShellCode::pause:
    case ShellCode::end:
    case ShellCode::shutdown: break;
  }
  return out;
}

Result<ShellMessage> decode_shell(std::string_view bytes) {
  if (bytes.empty()) return bad("it is empty");
  auto code = static_cast<ShellCode>(bytes[0]);
  std::string_view payload = bytes.substr(1);
  switch (code) {
    case ShellCode::input:
    case ShellCode::output:
    case ShellCode::error_output:
    case ShellCode::error: return ShellMessage{code, std::string(payload)};
    case ShellCode::resize: return decode_resize(payload);
    case ShellCode::stopped: return decode_stopped(payload);
    case ShellCode::resume:
    case ShellCode::pause:
    case ShellCode::end:
    case ShellCode::shutdown:
      if (!payload.empty()) return bad("it has a payload");
      return ShellMessage{code};
  }
  return bad(fmt::format("there is no code {}", static_cast<int>(code)));
}

}  // namespace gantry::wire
