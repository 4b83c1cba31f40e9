// What goes through the WebSocket of a shell in a running container: the protocol of npm's docker-exec-websocket-server
// and -client 3.0.0 (taskcluster.md 1.8). One binary message each: a code, then its payload.
//
// The shell's side says resume when it is ready, then output, then stopped. Who is told to pause holds back what it has
// for the other's streams until it is told to resume; what is on its way still comes.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace gantry::wire {

enum class ShellCode : std::uint8_t {
  input = 0,   // bytes for stdin
  output = 1,  // bytes of stdout; a terminal's are all here
  error_output = 2,
  resize = 50,  // rows, columns: 16 bits each, the low byte first
  resume = 100,
  pause = 101,
  end = 102,       // of stdin
  stopped = 200,   // the exit code: one byte
  shutdown = 201,  // the shell's side is gone
  error = 202,     // why, in UTF-8
};

struct ShellMessage {
  ShellCode code = ShellCode::output;
  std::string bytes = {};  // input, output, error_output, error
  int rows = 0;            // resize
  int columns = 0;
  int exit_code = 0;  // stopped: 0 to 255
};

/// What may be on its way to somebody who does not take it: then it is told to pause.
inline constexpr std::size_t shell_window_bytes = std::size_t{8} << 20;
/// Of one message. Clients send what they are given at once: a pasted file is one message.
inline constexpr std::size_t shell_message_bytes_max = (std::size_t{8} << 20) + 1;
inline constexpr int shells_per_run_max = 10;
/// What whoever is one too many is told.
inline constexpr std::string_view too_many_shells = "Too many sessions active!";
inline constexpr int terminal_side_max = 65535;
inline constexpr std::size_t shell_words_max = 100;
inline constexpr std::size_t shell_command_bytes_max = 8192;
/// The artifact that leads to a run's shell; who may read it may use the shell.
inline constexpr std::string_view shell_artifact = "private/docker-worker/shell.html";

std::string encode_shell(const ShellMessage& message);
/// Error(invalid_input) for an empty message, an unknown code, a payload that is too short or not asked for.
Result<ShellMessage> decode_shell(std::string_view bytes);

inline std::string encode_shell(ShellCode code, std::string_view bytes = {}) {
  return encode_shell(ShellMessage{code, std::string(bytes)});
}

}  // namespace gantry::wire
